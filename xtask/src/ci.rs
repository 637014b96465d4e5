//! The lanes of `cargo xtask ci`, in the order in which they fail cheapest. What a lane that passed has not compared, the last line says.

use crate::bench_instructions;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Instant;

/// One lane: what it is called, its command, and variables that it sets.
struct Lane {
    name: &'static str,
    words: &'static [&'static str],
    variables: &'static [(&'static str, &'static str)],
}

const fn lane(name: &'static str, words: &'static [&'static str]) -> Lane {
    Lane {
        name,
        words,
        variables: &[],
    }
}

/// The lane that compares with kept figures, where those are of this system.
const INSTRUCTIONS: &str = "instructions";

/// The suite runs once, in release: it compiles and starts real programs, and the library under test is a release build either way.
const LANES: &[Lane] = &[
    lane("fmt", &["fmt", "--all", "--check"]),
    lane("tidy", &["xtask", "tidy"]),
    lane(
        "clippy",
        &[
            "clippy",
            "--workspace",
            "--all-targets",
            "--locked",
            "--",
            "-D",
            "warnings",
        ],
    ),
    lane(
        "unit tests, debug",
        &[
            "test",
            "--workspace",
            "--locked",
            "--exclude",
            "heapshim-tests",
        ],
    ),
    lane(
        "all tests, release",
        &["test", "--workspace", "--locked", "--release"],
    ),
    // Behind the release build, whose library it measures; half a minute.
    lane(INSTRUCTIONS, &["xtask", "bench-instructions"]),
    Lane {
        name: "doc",
        words: &["doc", "--workspace", "--no-deps", "--locked"],
        variables: &[("RUSTDOCFLAGS", "-D warnings")],
    },
    // Its own directory: with other flags everything is built anew, and the other lanes' builds would be thrown away.
    Lane {
        name: "loom",
        words: &[
            "test",
            "-p",
            "heapshim-ledger",
            "--release",
            "--locked",
            "--target-dir",
            "target/loom",
        ],
        variables: &[("RUSTFLAGS", "--cfg loom")],
    },
];

/// Runs every lane; ends at the first that fails.
pub(crate) fn run(root: &Path) -> ExitCode {
    let mut times = Vec::new();
    // Of a run before this one.
    bench_instructions::not_compared(root);
    for lane in LANES {
        println!("== {}: cargo {}", lane.name, lane.words.join(" "));
        let begun = Instant::now();
        let mut cargo = Command::new(env!("CARGO"));
        cargo.current_dir(root).args(lane.words);
        cargo.envs(lane.variables.iter().copied());
        // This program's own package variables are no business of what it starts.
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("CARGO_PKG_") {
                cargo.env_remove(name);
            }
        }
        let done = cargo.status().is_ok_and(|status| status.success());
        times.push(format!("{} {} s", lane.name, begun.elapsed().as_secs()));
        if !done {
            eprintln!("failed: {}", lane.name);
            return ExitCode::FAILURE;
        }
    }
    println!(
        "{}",
        verdict(&times, &bench_instructions::not_compared(root))
    );
    ExitCode::SUCCESS
}

/// The last line: lanes that passed and what they took, first the one that passed because it had nothing to compare with.
fn verdict(times: &[String], not_compared: &[String]) -> String {
    let times = times.join(" · ");
    match not_compared {
        [] => format!("passed: {times}"),
        remarks => format!(
            "passed, but the lane {INSTRUCTIONS} is not whole ({}): {times}",
            remarks.join("; ")
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Check that a lane which did not compare is named in the last line, with why, and that nothing is said of one that did.
    #[test]
    fn last_line() {
        let times = ["fmt 1 s".to_owned(), "instructions 30 s".to_owned()];
        assert_eq!(verdict(&times, &[]), "passed: fmt 1 s · instructions 30 s");
        let remark = "not compared: the kept figures are of gcc 1, this is gcc 2";
        let said = verdict(&times, &[remark.to_owned()]);
        assert!(
            said.contains(INSTRUCTIONS) && said.contains(remark),
            "{said}"
        );
    }
}
