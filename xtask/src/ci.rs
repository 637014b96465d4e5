//! The lanes of `cargo xtask ci`, in the order in which they fail cheapest.

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
    lane("instructions", &["xtask", "bench-instructions"]),
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
    println!("passed: {}", times.join(" · "));
    ExitCode::SUCCESS
}
