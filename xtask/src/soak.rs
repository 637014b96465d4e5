//! `cargo xtask soak [--write] [NAME…]`: the programs of tests/soak, each with and without the shim. `cargo xtask stress [--for 1h]`: seed after seed
//! of the randomized stress. `cargo xtask suites [SUITE[/TEST]…]`: other people's tests with and without the shim. The work is done by programs of tests/, which have the suite's harness; they run in release, as the suite does.

use std::path::Path;
use std::process::{Command, ExitCode};

/// Runs the program of tests/ that has this name.
pub(crate) fn run(root: &Path, program: &str, words: &[&str]) -> ExitCode {
    let soak = [
        "run",
        "--quiet",
        "--release",
        "--locked",
        "-p",
        "heapshim-tests",
    ];
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(soak).args(["--bin", program, "--"]).args(words);
    let status = cargo.current_dir(root).status();
    ExitCode::from(u8::from(!status.is_ok_and(|status| status.success())))
}
