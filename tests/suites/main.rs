//! `cargo xtask suites [SUITE[/TEST]…]`: other people's tests, with and without the shim, and how many cases of them say the same.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program for people"
)]

use heapshim_tests::{OthersTest, Verdict, tests_of};
use std::process::ExitCode;

/// Suites that Debian packages (libglib2.0-tests, gdk-pixbuf-tests): processes, threads, signals, main loops, spawning; codecs.
const SUITES: [&str; 2] = ["glib", "gdk-pixbuf"];

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let mut differing = 0;
    for suite in SUITES {
        let all = tests_of(suite);
        let wanted: Vec<&OthersTest> = all.iter().filter(|test| is_wanted(test, &words)).collect();
        if all.is_empty() {
            println!("skipped: {suite} (its tests are not installed)");
        } else if !wanted.is_empty() {
            differing += run(suite, &wanted);
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
        match test.run() {
            Verdict::Same(number) => (same, cases) = (same + 1, cases + number),
            Verdict::Unsteady => {
                unsteady += 1;
                println!("{}: not the same twice without the shim", test.name);
            }
            Verdict::Differs(how) => {
                differing += 1;
                println!("{}: {how}", test.name);
            }
        }
    }
    println!(
        "{suite}: {same} tests of {} the same, {cases} cases; {unsteady} unsteady without the shim, {differing} differ",
        tests.len()
    );
    differing
}
