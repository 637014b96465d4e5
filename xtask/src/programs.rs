//! What needs the suite's harness is a program of tests/, run in release, as the suite is: `bench-churn`, `bench-page`, `screenshots`, `soak` (the programs of tests/soak, each with and
//! without the shim), `stress` (seed after seed), `suites` (other people's tests with and without the shim), and a part of `bench-trace`. Their words are theirs.

use std::path::Path;
use std::process::{Command, ExitCode};

/// Runs the program of tests/ that has this name.
pub(crate) fn run(root: &Path, program: &str, words: &[&str]) -> ExitCode {
    let run = [
        "run",
        "--quiet",
        "--release",
        "--locked",
        "-p",
        "heapshim-tests",
    ];
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(run).args(["--bin", program, "--"]).args(words);
    let status = cargo.current_dir(root).status();
    ExitCode::from(u8::from(!status.is_ok_and(|status| status.success())))
}
