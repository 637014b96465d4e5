//! The examples that the README walks through give the answer that they promise.

use heapshim_tests::{Compiler, Target, needs};

/// Lets an example serve its first thousand, marks, lets it serve another thousand, and asserts what its source promises.
fn check(compiler: Compiler, source: &str, option: &str) {
    if !needs(&[compiler.program()]) {
        return;
    }
    let mut running = Target::example(compiler, source).opt(option).spawn();
    running.step(b"");
    running.mark("warm");
    running.step(b"");
    let diff = running.diff(&["warm", "now"]);
    diff.assert_rows(&running.expected());
    diff.assert_complete();
}

/// Check the sessions that are never closed.
#[test]
fn sessions() {
    check(Compiler::C, "sessions.c", "-O0");
    check(Compiler::C, "sessions.c", "-O2");
}

/// Check that the line that calls the wrapper is charged, and the wrapper named.
#[test]
fn sessions_via() {
    let mut running = Target::example(Compiler::C, "sessions.c").spawn();
    running.step(b"");
    let diff = running.diff(&["start", "now"]);
    let buffer = &running.expected()[1];
    assert_eq!(diff.row(&buffer.file, buffer.line).json["via"], "xmalloc");
}

/// Check the cache that never finds anything.
#[test]
fn cache() {
    check(Compiler::Cpp, "cache.cpp", "-O0");
    check(Compiler::Cpp, "cache.cpp", "-O2");
}

/// Check the observers that nobody takes away.
#[test]
fn observers() {
    check(Compiler::Rust, "observers.rs", "-Copt-level=0");
    check(Compiler::Rust, "observers.rs", "-Copt-level=2");
}

/// Check the history without end: the line of the script, and nothing of the interpreter that runs it.
#[test]
fn history() {
    check(Compiler::Python, "history.py", "");
}
