//! `cargo xtask ci | tidy | bench | bench-churn | bench-instructions | bench-mark | bench-page | bench-recording | bench-symbols | bench-trace | compare | fuzz | soak | stress | screenshots | suites`: what runs on every change, and what no compiler checks.
//!
//! `.ci/run` and the README's command come here through `tests/run`, which has installed what the tests need. Each step of `ci` is a
//! command that can be typed by hand; it is printed before it runs, and the first failure ends it.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program for people"
)]

mod bench;
mod bench_instructions;
mod bench_mark;
mod bench_recording;
mod bench_symbols;
mod bench_table;
mod bench_trace;
mod bench_workloads;
mod ci;
mod compare;
mod direction;
mod files;
mod fuzz;
mod layout_hash;
#[path = "../../tests/src/own_directory.rs"]
mod own_directory;
mod pairs;
mod peers;
mod programs;
mod took;
mod versions;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// What a check found wrong: a line for each.
type Complaints = Vec<String>;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["ci"] => ci::run(&root()),
        ["bench", ref command @ ..] => bench::run(&root(), command),
        ["bench-churn", ref words @ ..] => programs::run(&root(), "churn", words),
        ["bench-instructions", ref words @ ..] => bench_instructions::run(&root(), words),
        ["bench-mark", ref words @ ..] => bench_mark::run(&root(), words),
        ["bench-recording", ref words @ ..] => bench_recording::run(&root(), words),
        ["bench-trace", ref words @ ..] => bench_trace::run(&root(), words),
        ["bench-symbols", ref words @ ..] => bench_symbols::run(&root(), words),
        ["compare", ref command @ ..] => compare::run(&root(), command),
        ["fuzz", ref words @ ..] => fuzz::run(&root(), words),
        ["soak", ref words @ ..] => programs::run(&root(), "soak", words),
        ["stress", ref words @ ..] => programs::run(&root(), "stress", words),
        ["bench-page", ref words @ ..] => programs::run(&root(), "page-times", words),
        ["screenshots"] => programs::run(&root(), "screenshots", &[]),
        ["suites", ref words @ ..] => programs::run(&root(), "suites", words),
        ["tidy"] => tidy(&root()),
        ["layout-hash"] => {
            println!("{}", layout_hash::line(&root()));
            ExitCode::SUCCESS
        }
        _ => {
            eprintln!(
                "usage: cargo xtask ci | tidy | bench [RUNS] [--judge] [ROW…] | bench [RUNS] -- COMMAND… | bench-churn [--for 20m] | bench-instructions [keep] | bench-mark [RUNS] | bench-page [N] | bench-recording [RUNS] [ROW…] [-- COMMAND…] | bench-symbols [MIB] | bench-trace [MIB] [--times N] | compare [RUNS] -- COMMAND… | fuzz [--runs 10m] [--keep] [TARGET…] | soak [--write] [NAME…] | stress [--for 1h] [--from SEED] | screenshots | suites [SUITE[/TEST]…] | layout-hash"
            );
            ExitCode::from(2)
        }
    }
}

fn root() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package
        .parent()
        .expect("xtask lies in the workspace")
        .to_path_buf()
}

fn tidy(root: &Path) -> ExitCode {
    let checks: [fn(&Path) -> Complaints; 3] = [files::check, direction::check, layout_hash::check];
    let complaints: Complaints = checks.iter().flat_map(|check| check(root)).collect();
    for complaint in &complaints {
        eprintln!("tidy: {complaint}");
    }
    ExitCode::from(u8::from(!complaints.is_empty()))
}
