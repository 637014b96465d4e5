//! `cargo xtask suites [SUITE[/TEST]…]`: other people's tests, with and without the shim, and how many cases of them say the same.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program for people"
)]

mod strays;

use heapshim_tests::{OthersTest, Verdict, builds, tests_of, tests_of_python};
use std::process::ExitCode;

/// Suites that Debian packages (libglib2.0-tests, gdk-pixbuf-tests): processes, threads, signals, main loops, spawning; codecs.
const SUITES: [&str; 2] = ["glib", "gdk-pixbuf"];

/// CPython's own tests of what a tracer in the process could disturb: memory and its collector, frames, threads, signals, processes, descriptors,
/// interpreters, event loops. (The suite runs those that take seconds.)
const PYTHONS: &[&str] = &[
    "test_gc",
    "test_generators",
    "test_coroutines",
    "test_asyncgen",
    "test_tracemalloc",
    "test_threading",
    "test_thread",
    "test_threading_local",
    "test_ctypes",
    "test_embed",
    "test_subprocess",
    "test_asyncio",
    "test_weakref",
    "test_sys",
    "test_sys_settrace",
    "test_frame",
    "test_code",
    "test_capi",
    "test_traceback",
    "test_exceptions",
    "test_atexit",
    "test_faulthandler",
    "test_signal",
    "test_fork1",
    "test_mmap",
    "test_queue",
    "test_context",
    "test_concurrent_futures",
    "test_multiprocessing_fork",
    "test_multiprocessing_spawn",
    "test__xxsubinterpreters",
];

fn main() -> ExitCode {
    strays::adopt();
    let words: Vec<String> = std::env::args().skip(1).collect();
    let installed = SUITES.map(|suite| (suite.to_owned(), tests_of(suite)));
    let pythons = builds().into_iter().filter(|python| !python.debug);
    let pythons = pythons.map(|python| {
        let suite = format!("python3.{}", python.minor);
        (suite, tests_of_python(&python, PYTHONS))
    });
    let mut differing = 0;
    for (suite, all) in installed.into_iter().chain(pythons) {
        let wanted: Vec<&OthersTest> = all.iter().filter(|test| is_wanted(test, &words)).collect();
        if all.is_empty() {
            println!("skipped: {suite} (its tests are not installed)");
        } else if !wanted.is_empty() {
            differing += run(&suite, &wanted);
        }
    }
    ExitCode::from(u8::from(differing > 0))
}

fn is_wanted(test: &OthersTest, words: &[String]) -> bool {
    let suite = test.name.split('/').next().unwrap_or_default();
    words.is_empty() || words.iter().any(|word| *word == test.name || word == suite)
}

/// How many differ.
fn run(suite: &str, tests: &[&OthersTest]) -> usize {
    let (mut same, mut cases, mut unsteady, mut differing) = (0, 0, 0, 0);
    for test in tests {
        match test.run_apart(&strays::end_all) {
            Verdict::Same(number) => (same, cases) = (same + 1, cases + number),
            Verdict::Unsteady(how) => {
                unsteady += 1;
                println!("{}: not the same twice: {how}", test.name);
            }
            Verdict::Differs(how) => {
                differing += 1;
                println!("{}: {how}", test.name);
            }
        }
    }
    println!(
        "{suite}: {same} tests of {} the same, {cases} cases; {unsteady} not the same twice, {differing} differ",
        tests.len()
    );
    differing
}
