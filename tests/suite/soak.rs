//! Programs of the soak that the suite's own packages bring: the others run by `cargo xtask soak`.

use heapshim_tests::{skip, soaks};

fn check(name: &str) {
    let all = soaks();
    let soak = all.iter().find(|soak| soak.name == name);
    let soak = soak.expect("a script of that name");
    if let Some(missing) = soak.missing() {
        return skip(missing);
    }
    let outcome = soak.run();
    assert!(
        outcome.problems.is_empty(),
        "{name}: {:#?}",
        outcome.problems
    );
}

/// Check a server that forks for its snapshots, on another allocator.
#[test]
fn redis() {
    check("redis");
}

/// Check an interpreter's pool of forked workers, its threads and what it starts.
#[test]
fn python3() {
    check("python3");
}

/// Check forked children of an interpreter.
#[test]
fn perl() {
    check("perl");
}

/// Check a compiler, its driver and its linker.
#[test]
fn gcc() {
    check("gcc");
}

/// Check children by the dozen, and threads that pack.
#[test]
fn git() {
    check("git");
}

/// Check a program that traces another.
#[test]
fn gdb() {
    check("gdb");
}

/// Check threads with buffers of many megabytes.
#[test]
fn xz() {
    check("xz");
}

/// Check a shell's subshells.
#[test]
fn bash() {
    check("bash");
}
