//! Whose line is it, where the answer is known: what containers, strings, streams and libraries take is charged to the program's line,
//! which says in a comment what it takes and through what.
//!
//! At each level of optimisation, since what is inlined then differs: at -O3 with link-time optimisation nearly all of it is.

use heapshim_tests::{Amount, Compiler, Diff, Package, Target, needs, skip};
use std::process::Command;

const LEVELS: [&[&str]; 3] = [&["-O0"], &["-O2"], &["-O3", "-flto"]];

/// What the compiler must be told to find these libraries; None, and the test is skipped, where one is missing.
fn flags(libraries: &[&str]) -> Option<Vec<String>> {
    if !needs(&["pkg-config"]) {
        return None;
    }
    for library in libraries {
        let exists = Command::new("pkg-config")
            .args(["--exists", library])
            .status();
        if !exists.is_ok_and(|status| status.success()) {
            skip(&format!("library {library}"));
            return None;
        }
    }
    let output = Command::new("pkg-config")
        .args(["--cflags", "--libs"])
        .args(libraries)
        .output();
    let text = String::from_utf8(output.expect("pkg-config starts").stdout).expect("UTF-8");
    Some(text.split_whitespace().map(str::to_string).collect())
}

/// Lets the program fill what it fills, at each level.
fn check(target: &Target, flags: &[&str], levels: &[&[&str]]) {
    for level in levels {
        let flags = flags.iter().chain(*level);
        fill(flags.fold(target.clone(), |target, flag| target.opt(flag)));
    }
}

/// Each line is as its comment says, and nothing grew anywhere else.
fn fill(target: Target) {
    let mut running = target.spawn();
    running.mark("warm");
    assert!(!running.step(b"go").is_empty(), "the program ended early");
    let diff = running.diff(&["warm", "now"]);
    diff.assert_rows(&running.expected());
    assert_nowhere_else(&diff, &running.expected()[0].file);
    diff.assert_complete();
}

fn assert_nowhere_else(diff: &Diff, file: &str) {
    let elsewhere = diff
        .rows()
        .into_iter()
        .filter(|row| row.file_name() != Some(file));
    for row in elsewhere {
        let nothing = Amount::default();
        assert_eq!(
            (row.growth(), row.total()),
            (nothing, nothing),
            "{}",
            row.brief()
        );
    }
}

/// Check the standard library of C++: smart pointers, containers, strings, streams, functions.
#[test]
fn standard_library() {
    if needs(&["c++"]) {
        check(&Target::cpp("containers.cpp"), &["-std=c++17"], &LEVELS);
    }
}

/// Check functions that do nothing but ask malloc, under names that are in no table, and those that merely look like them.
#[test]
fn wrappers_of_c() {
    for compiler in [Compiler::C, Compiler::Clang] {
        if needs(&[compiler.program()]) {
            let target = Target::c("wrappers.c").compiled_by(compiler);
            check(&target, &[], &LEVELS);
        }
    }
}

/// Check allocators that a C++ program brings itself.
#[test]
fn wrappers_of_cpp() {
    for compiler in [Compiler::Cpp, Compiler::ClangCpp] {
        if needs(&[compiler.program()]) {
            let target = Target::cpp("wrappers.cpp").compiled_by(compiler);
            check(&target, &["-std=c++17"], &LEVELS);
        }
    }
}

/// Check that what was found out once is kept, that the raw line is there for who asks for it, and that a wrapper may be declared one's own.
#[test]
fn wrappers_asked_otherwise() {
    let mut running = Target::c("wrappers.c").opt("-O0").spawn();
    running.mark("warm");
    running.step(b"go");
    for _ in 0..2 {
        running
            .diff(&["warm", "now"])
            .assert_rows(&running.expected());
    }
    let of = |options: &[&str]| {
        let diff = running.diff_with(&["warm", "now"], options);
        let rows = diff.rows_in("wrappers.c").into_iter();
        let mut named = rows.filter(|row| row.function() == Some("grab"));
        (named.next().map(|row| row.growth()), named.count())
    };
    let all = Amount {
        bytes: 101 + 110 + 55,
        blocks: 12,
    };
    assert_eq!(of(&[]), (None, 0));
    assert_eq!(of(&["--blame", "innermost"]), (Some(all), 0));
    assert_eq!(of(&["--own", "grab"]), (Some(all), 0));
    assert_eq!(of(&["--cumulative"]), (None, 0));
}

/// Check that an allocator that a Rust program brings itself is none of its lines.
#[test]
fn global_allocator_of_rust() {
    for level in ["opt-level=0", "opt-level=3"] {
        fill(Target::rust("global_allocator.rs").opt("-C").opt(level));
    }
}

/// Check libraries of C, which are stripped: GLib, APR, SQLite, and the C library's own.
#[test]
fn libraries_of_c() {
    let Some(flags) = flags(&["glib-2.0", "apr-1", "sqlite3"]) else {
        return;
    };
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    check(
        &Target::c("libraries.c"),
        &[&flags[..], &["-D_GNU_SOURCE"]].concat(),
        &LEVELS,
    );
}

/// Check libraries of C++, which are headers for the most part: Boost, Abseil, fmt, JSON readers, Eigen, Qt.
#[test]
fn libraries_of_cpp() {
    let names = [
        "Qt5Core",
        "eigen3",
        "fmt",
        "absl_flat_hash_map",
        "absl_strings",
        "nlohmann_json",
        "RapidJSON",
    ];
    let Some(flags) = flags(&names) else {
        return;
    };
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    check(
        &Target::cpp("libraries.cpp"),
        &[&flags[..], &["-std=c++17", "-fPIC"]].concat(),
        // Its headers take long to compile: all inlined, and nothing.
        &[LEVELS[0], LEVELS[2]],
    );
}

/// Check the standard library of Rust and what programs are made of: bytes, smallvec, hashbrown, serde, futures, tokio.
#[test]
fn libraries_of_rust() {
    let Some(_) = Package::fetched("tokio-1.54.1") else {
        return;
    };
    let package = Package::own();
    let source = package.tree().join("src").join("shop.rs");
    for profile in ["dev", "release", "fat"] {
        fill(Target::built(&package.built("shop", profile), &source));
    }
}
