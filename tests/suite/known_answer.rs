//! Known answers: programs that leak odd sizes at known lines, in C, C++ and Rust, with and without optimisation.
//!
//! What is right stands in each program's source, as comments that begin with `row:`.

use heapshim_tests::{Target, needs};

/// Runs the program from its mark `warm` to its next word, and asserts its rows.
fn check(target: Target) {
    let mut running = target.spawn();
    running.mark("warm");
    assert!(!running.step(b"go").is_empty(), "the program ended early");
    let diff = running.diff(&["warm", "now"]);
    diff.assert_rows(&running.expected());
    diff.assert_complete();
    assert!(diff.exact(), "nothing was in flight: {}", diff.json()["to"]);
    assert!(running.finish().0.success());
}

/// Check that C programs' leaks, shrinking and freed blocks are exact by line, unoptimised.
#[test]
fn c_unoptimised() {
    check(Target::c("leak.c").opt("-O0"));
}

/// Check the same with optimisation, where functions are inlined.
#[test]
fn c_optimised() {
    check(Target::c("leak.c").opt("-O2"));
}

/// Check that every function of the malloc family is charged with the size that was asked for.
#[test]
fn malloc_family_unoptimised() {
    check(Target::c("family.c").opt("-O0"));
}

/// Check the same with optimisation.
#[test]
fn malloc_family_optimised() {
    check(Target::c("family.c").opt("-O2"));
}

/// Check that operators new and delete and the standard containers are charged to the user's lines.
#[test]
fn cpp_unoptimised() {
    check(Target::cpp("operators.cpp").opt("-O0"));
}

/// Check the same with optimisation.
#[test]
fn cpp_optimised() {
    check(Target::cpp("operators.cpp").opt("-O2"));
}

/// Check that an exception from operator new passes, and that what it takes itself is charged and given back.
#[test]
fn cpp_that_throws() {
    check(Target::cpp("throws.cpp").opt("-O0"));
    check(Target::cpp("throws.cpp").opt("-O2"));
}

/// Check that memory of Rust's standard types is charged to the user's lines.
#[test]
fn rust_unoptimised() {
    if needs(&["rustc"]) {
        check(Target::rust("leak.rs"));
    }
}

/// Check the same with optimisation.
#[test]
fn rust_optimised() {
    if needs(&["rustc"]) {
        check(Target::rust("leak.rs").opt("-Copt-level=2"));
    }
}

/// Check that walking by frame pointers gives the same rows where all code has them.
#[test]
fn by_frame_pointers() {
    let target = Target::c("leak.c").opt("-fno-omit-frame-pointer");
    check(target.env("HEAPSHIM_UNWIND", "fp"));
}

/// Check that a program that has forbidden itself all system calls but an allocator's lives, and is charged for what it does then.
#[test]
fn in_a_sandbox() {
    check(Target::c("sandbox.c").opt("-O1"));
}

/// Check allocations on stacks that the program made itself: coroutines and an alternate signal stack.
#[test]
fn on_own_stacks() {
    for option in ["-O0", "-O2"] {
        let mut running = Target::c("coroutines.c").opt(option).spawn();
        running.mark("warm");
        assert_eq!(running.step(b"go"), "done");
        // Stacks may be cut where they lead from one stack to another: what is charged is the innermost line.
        running
            .diff(&["warm", "now"])
            .assert_rows(&running.expected());
    }
}
