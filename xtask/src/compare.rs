//! `cargo xtask compare [RUNS] -- COMMAND…`: what tracing a command costs here, with heapshim and with its peers that are installed.
//!
//! Prints the rows of the table in docs/COMPARISON.md: the median wall time of each tool as a multiple of the bare command's, all run in turn,
//! and the bytes that a run left on disk. A tool that is not there, or with which the command fails, is named and left out.

use crate::peers::{self, Tool};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

/// Runs of each tool, unless told otherwise.
const RUNS: usize = 5;

/// Runs it.
pub(crate) fn run(root: &Path, words: &[&str]) -> ExitCode {
    let (runs, command) = match words {
        ["--", command @ ..] => (RUNS, command),
        [runs, "--", command @ ..] => (runs.parse().unwrap_or(RUNS).max(1), command),
        _ => (RUNS, &[][..]),
    };
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let heapshim = target.join("release/heapshim");
    let build = ["build", "--quiet", "--release", "--package", "heapshim"];
    let built = Command::new(env!("CARGO"))
        .args(build)
        .current_dir(root)
        .status();
    if command.is_empty() || !built.is_ok_and(|status| status.success()) {
        eprintln!("usage: cargo xtask compare [RUNS] -- COMMAND ARGS…");
        return ExitCode::from(2);
    }
    let directory = target.join("compare");
    let tools = tools(&heapshim);
    let mut times: Vec<Option<Vec<f64>>> = tools.iter().map(|_| Some(Vec::new())).collect();
    let mut left = vec![0; tools.len()];
    for _ in 0..runs {
        for (at, tool) in tools.iter().enumerate() {
            let once = times[at]
                .is_some()
                .then(|| measure(tool, command, &directory))
                .flatten();
            match (once, &mut times[at]) {
                (Some((seconds, bytes)), Some(times)) => {
                    times.push(seconds);
                    left[at] = bytes;
                }
                _ => times[at] = None,
            }
        }
    }
    print(&tools, times, &left)
}

/// The first is the bare command.
fn tools(heapshim: &Path) -> Vec<Tool> {
    let heapshim = heapshim.to_string_lossy();
    let words = [&*heapshim, "run", "--quiet", "--save", "@", "--"];
    let ours = [
        Tool::new("bare", &[], &[]),
        Tool::new("heapshim", &words, &[]),
    ];
    ours.into_iter().chain(peers::all()).collect()
}

/// One run: seconds, and bytes written. None where it fails.
fn measure(tool: &Tool, command: &[&str], directory: &Path) -> Option<(f64, u64)> {
    let _ = std::fs::remove_dir_all(directory);
    std::fs::create_dir_all(directory).ok()?;
    let command: Vec<String> = command.iter().map(|word| (*word).to_owned()).collect();
    let mut run = tool.command(&command, directory)?;
    run.stdout(Stdio::null())
        .stderr(Stdio::null())
        .stdin(Stdio::null());
    let begun = Instant::now();
    let status = run.status().ok()?;
    status
        .success()
        .then(|| (begun.elapsed().as_secs_f64(), bytes_in(directory)))
}

fn bytes_in(directory: &Path) -> u64 {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let files: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    files
        .iter()
        .filter_map(|file| file.metadata().ok())
        .map(|file| file.len())
        .sum()
}

fn print(tools: &[Tool], times: Vec<Option<Vec<f64>>>, left: &[u64]) -> ExitCode {
    let mut medians = times.into_iter().map(|times| {
        let mut times = times.filter(|times| !times.is_empty())?;
        times.sort_by(f64::total_cmp);
        times.get(times.len() / 2).copied()
    });
    let Some(bare) = medians.next().flatten() else {
        eprintln!("the command does not run, or fails");
        return ExitCode::FAILURE;
    };
    println!(
        "| tool | wall, times bare ({bare:.2} s) | left on disk, bytes |\n| --- | ---: | ---: |"
    );
    for ((tool, median), bytes) in tools
        .iter()
        .zip(std::iter::once(Some(bare)).chain(medians))
        .zip(left)
    {
        match median {
            Some(median) => println!("| {} | {:.2} | {bytes} |", tool.name, median / bare),
            None => println!("| {} | not there, or fails | |", tool.name),
        }
    }
    ExitCode::SUCCESS
}
