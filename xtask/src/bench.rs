//! `cargo xtask bench [RUNS] -- COMMAND…`: what tracing a command costs here.
//!
//! Runs it bare and traced in turn, since machines are noisy, and prints medians and the ratios of neighbouring runs. A command that prints
//! `ns_per_pair=NUMBER` is judged by that number, any other by its wall time.

use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Instant;

/// Runs of each kind, unless told otherwise.
const RUNS: usize = 9;

/// Runs it.
pub(crate) fn run(root: &Path, words: &[&str]) -> ExitCode {
    let (runs, command) = match words {
        ["--", command @ ..] => (RUNS, command),
        [runs, "--", command @ ..] => (runs.parse().unwrap_or(RUNS).max(1), command),
        _ => (RUNS, &[][..]),
    };
    let Some(library) = library(root).filter(|_| !command.is_empty()) else {
        eprintln!("usage: cargo xtask bench [RUNS] -- COMMAND ARGS…");
        return ExitCode::from(2);
    };
    let once = |preload: Option<&str>| measure(command, preload);
    let pairs = (0..runs).map(|_| Some((once(None)?, once(Some(&library))?)));
    let Some(pairs) = pairs.collect::<Option<Vec<_>>>() else {
        eprintln!("{}: does not run, or fails", command[0]);
        return ExitCode::FAILURE;
    };
    let unit = if pairs[0].0.1 { "ns a pair" } else { "ms" };
    let bare = sorted(pairs.iter().map(|(bare, _)| bare.0));
    let traced = sorted(pairs.iter().map(|(_, traced)| traced.0));
    let ratios = sorted(pairs.iter().map(|(bare, traced)| traced.0 / bare.0));
    println!(
        "bare {:.1} {unit}, traced {:.1} {unit}, ratio {:.2} ({:.2} to {:.2}), {runs} runs each",
        bare[runs / 2],
        traced[runs / 2],
        ratios[runs / 2],
        ratios[0],
        ratios[runs - 1],
    );
    ExitCode::SUCCESS
}

/// Builds the command in release and asks it for its library.
pub(crate) fn library(root: &Path) -> Option<String> {
    let build = [
        "run",
        "--quiet",
        "--release",
        "--package",
        "heapshim",
        "--",
        "lib",
    ];
    let output = Command::new(env!("CARGO"))
        .args(build)
        .current_dir(root)
        .output()
        .ok()?;
    let path = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| path.trim_end().to_owned())
}

/// One run: what it took, and whether the command said so itself.
fn measure(words: &[&str], preload: Option<&str>) -> Option<(f64, bool)> {
    let mut command = Command::new(words.first()?);
    command.args(&words[1..]);
    if let Some(library) = preload {
        command.env("LD_PRELOAD", library);
    }
    let begun = Instant::now();
    let output = command
        .output()
        .ok()
        .filter(|output| output.status.success())?;
    let milliseconds = begun.elapsed().as_secs_f64() * 1e3;
    let said = String::from_utf8_lossy(&output.stdout);
    let own = said
        .split_whitespace()
        .find_map(|word| word.strip_prefix("ns_per_pair="));
    let own = own.and_then(|number| number.parse().ok());
    Some((own.unwrap_or(milliseconds), own.is_some()))
}

fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values
}
