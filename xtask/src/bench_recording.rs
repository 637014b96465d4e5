//! `cargo xtask bench-recording [RUNS] -- COMMAND…`: what recording every event of a command costs here, beside the account alone and `heaptrack --raw`.
//!
//! The three run in turn, since machines are noisy; medians, and ratios of neighbouring runs, of wall time and of processor time. The latter is that of the command
//! and of whoever reads its events together, which on a machine with processors to spare is not what the user waits for. heaptrack is left out where it is not
//! installed.

use crate::bench;
use crate::took::Took;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// Runs of each kind, unless told otherwise.
const RUNS: usize = 5;

/// Runs it.
pub(crate) fn run(root: &Path, words: &[&str]) -> ExitCode {
    let (runs, command) = match words {
        ["--", command @ ..] => (RUNS, command),
        [runs, "--", command @ ..] => (runs.parse().unwrap_or(RUNS).max(1), command),
        _ => (RUNS, &[][..]),
    };
    if command.is_empty() || bench::library(root).is_none() {
        eprintln!("usage: cargo xtask bench-recording [RUNS] -- COMMAND ARGS…");
        return ExitCode::from(2);
    }
    let directory = std::env::temp_dir().join(format!("bench-recording-{}", std::process::id()));
    let measured = fs::create_dir_all(&directory)
        .ok()
        .and_then(|()| Bench::new(root, &directory, command).measure(runs));
    // What is left there is the system's to clear.
    let _removed = fs::remove_dir_all(&directory);
    match measured {
        Some(()) => ExitCode::SUCCESS,
        None => {
            eprintln!("{}: does not run, or fails", command[0]);
            ExitCode::FAILURE
        }
    }
}

/// What is run, and where its files go.
struct Bench<'a> {
    heapshim: PathBuf,
    directory: &'a Path,
    command: &'a [&'a str],
}

/// One run, and what it wrote.
#[derive(Clone)]
struct Run {
    took: Took,
    events: u64,
    bytes: u64,
}

impl<'a> Bench<'a> {
    fn new(root: &Path, directory: &'a Path, command: &'a [&'a str]) -> Bench<'a> {
        let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
        let target = target.unwrap_or_else(|| root.join("target"));
        Bench {
            heapshim: target.join("release/heapshim"),
            directory,
            command,
        }
    }

    fn measure(&self, runs: usize) -> Option<()> {
        let has_heaptrack = Command::new("heaptrack").arg("--version").output().is_ok();
        let mut all = Vec::new();
        for _ in 0..runs {
            let raw = has_heaptrack.then(|| self.heaptrack()).flatten();
            all.push((self.account()?, self.recorded()?, raw));
        }
        let accounts: Vec<Run> = all.iter().map(|one| one.0.clone()).collect();
        let recordings: Vec<Run> = all.iter().map(|one| one.1.clone()).collect();
        let raws: Vec<Run> = all.iter().filter_map(|one| one.2.clone()).collect();
        tell("the account alone", &accounts, &accounts);
        tell("every event recorded", &recordings, &accounts);
        tell("heaptrack --raw", &raws, &accounts);
        Some(())
    }

    fn account(&self) -> Option<Run> {
        let mut run = Command::new(&self.heapshim);
        run.args(["run", "--quiet", "--"]).args(self.command);
        Some(Run {
            took: Took::by(&mut run)?,
            events: 0,
            bytes: 0,
        })
    }

    fn recorded(&self) -> Option<Run> {
        let file = self.directory.join("run.heaptrace");
        let mut run = Command::new(&self.heapshim);
        run.args(["run", "--quiet", "--lossless", "--record"])
            .arg(&file);
        run.arg("--").args(self.command);
        let took = Took::by(&mut run)?;
        // `recorded 2,300,000 events, none lost, …`
        let events = took.stderr.split("recorded ").nth(1)?.split(' ').next()?;
        Some(Run {
            events: events.replace(',', "").parse().ok()?,
            bytes: fs::metadata(&file).ok()?.len(),
            took,
        })
    }

    fn heaptrack(&self) -> Option<Run> {
        let file = self.directory.join("raw");
        let mut run = Command::new("heaptrack");
        run.args(["--raw", "-o"]).arg(&file).args(self.command);
        let took = Took::by(&mut run)?;
        let written = fs::read_dir(self.directory).ok()?.flatten();
        let is_raw = |name: &str| name.starts_with("raw");
        let raw = written.filter(|entry| entry.file_name().to_str().is_some_and(is_raw));
        let bytes = raw.filter_map(|entry| entry.metadata().ok());
        Some(Run {
            took,
            events: 0,
            bytes: bytes.map(|metadata| metadata.len()).sum(),
        })
    }
}

fn tell(name: &str, runs: &[Run], accounts: &[Run]) {
    if runs.is_empty() {
        return println!("{name}: not measured");
    }
    let median = |of: &dyn Fn(&Run) -> f64| {
        let mut values: Vec<f64> = runs.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    let ratio = |of: fn(&Run) -> f64| {
        let mut ratios: Vec<f64> = runs
            .iter()
            .zip(accounts)
            .map(|(run, account)| of(run) / of(account))
            .collect();
        ratios.sort_by(f64::total_cmp);
        ratios[ratios.len() / 2]
    };
    let (wall, processor) = (
        median(&|run| run.took.wall_ms),
        median(&|run| run.took.processor_ms),
    );
    print!(
        "{name}: {wall:.0} ms ({:.2} × the account), processor {processor:.0} ms ({:.2} ×)",
        ratio(|run| run.took.wall_ms),
        ratio(|run| run.took.processor_ms),
    );
    let events = median(&|run| run.events as f64);
    let bytes = median(&|run| run.bytes as f64);
    if bytes > 0.0 {
        print!(", {:.1} MB", bytes / 1e6);
    }
    if events > 0.0 {
        print!(
            ", {events:.0} events, {:.2} bytes each, {:.2} M a second",
            bytes / events,
            events / wall / 1e3
        );
    }
    println!();
}
