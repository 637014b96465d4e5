//! `cargo xtask bench [RUNS] -- COMMAND…`: what tracing a command costs here. Without a command: the table (`bench_table`).
//!
//! Runs it bare and traced in turn, since machines are noisy, and prints medians and the ratios of neighbouring runs: of time (the number itself where a
//! command prints `ns_per_pair=NUMBER`, else wall time), of processor time, and of the most memory resident.

use crate::took::Took;
use std::path::Path;
use std::process::{Command, ExitCode};

/// Runs of each kind, unless told otherwise.
const RUNS: usize = 9;

/// Runs it.
pub(crate) fn run(root: &Path, words: &[&str]) -> ExitCode {
    let (runs, command) = match words {
        ["--", command @ ..] => (RUNS, command),
        [runs, "--", command @ ..] => (runs.parse().unwrap_or(RUNS).max(1), command),
        _ => return crate::bench_table::run(root, words),
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
    let own = pairs.iter().all(|(bare, _)| own_number(bare).is_some());
    match own {
        true => tell("time", "ns a pair", &pairs, |took| {
            own_number(took).unwrap_or(0.0)
        }),
        false => tell("time", "ms", &pairs, |took| took.wall_ms),
    }
    tell("processor", "ms", &pairs, |took| took.processor_ms);
    tell("memory", "MB", &pairs, |took| took.peak_bytes / 1e6);
    println!("{runs} runs each");
    ExitCode::SUCCESS
}

/// A line: medians, the median of ratios, and between which they lie.
fn tell(name: &str, unit: &str, pairs: &[(Took, Took)], of: impl Fn(&Took) -> f64) {
    let middle = pairs.len() / 2;
    let bare = sorted(pairs.iter().map(|(bare, _)| of(bare)));
    let traced = sorted(pairs.iter().map(|(_, traced)| of(traced)));
    let ratios = sorted(pairs.iter().map(|(bare, traced)| of(traced) / of(bare)));
    println!(
        "{name}: bare {:.1} {unit}, traced {:.1} {unit}, ratio {:.2} ({:.2} to {:.2})",
        bare[middle],
        traced[middle],
        ratios[middle],
        ratios[0],
        ratios[ratios.len() - 1],
    );
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

fn measure(words: &[&str], preload: Option<&str>) -> Option<Took> {
    let mut command = Command::new(words.first()?);
    command.args(&words[1..]);
    if let Some(library) = preload {
        command.env("LD_PRELOAD", library);
    }
    Took::by(&mut command)
}

/// What it says that it took.
fn own_number(took: &Took) -> Option<f64> {
    let mut words = took.stdout.split_whitespace();
    words
        .find_map(|word| word.strip_prefix("ns_per_pair="))?
        .parse()
        .ok()
}

pub(crate) fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values
}
