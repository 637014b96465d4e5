//! `cargo xtask bench-recording [RUNS] [ROW…]`: what recording every event of each workload of the table costs here, beside the account alone and
//! `heaptrack --raw`; `[RUNS] -- COMMAND…`: the same of a command.
//!
//! The three run in turn, since machines are noisy; medians, and ratios of neighbouring runs, of wall time and of processor time. The latter is that of the command
//! and of whoever reads its events together, which on a machine with processors to spare is not what the user waits for. heaptrack is left out where it is not
//! installed, and where it takes a minute. A workload's result is the same each time; what is above its bar is marked.

use crate::bench::{self, sorted};
use crate::bench_workloads::{Kind, Ready, Workload, all};
use crate::own_directory::OwnDirectory;
use crate::took::Took;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// Runs of each kind, unless told otherwise: of a command, and of each workload.
const RUNS: usize = 5;
const RUNS_OF_ALL: usize = 3;
/// What an event may take on disk, and a recording of the time that the account alone takes.
const MOST_BYTES: f64 = 4.0;
const MOST_TIMES: f64 = 1.5;
/// Behind what is more than it may be.
const MISSED: &str = " ✗";

/// Runs it.
pub(crate) fn run(root: &Path, words: &[&str]) -> ExitCode {
    let (before, command) = match words.iter().position(|word| *word == "--") {
        Some(at) => (&words[..at], Some(&words[at + 1..])),
        None => (words, None),
    };
    let is_number = |word: &&&str| word.parse::<usize>().is_ok_and(|runs| runs > 0);
    let runs = before
        .first()
        .filter(is_number)
        .map(|word| word.parse().unwrap_or(RUNS));
    let names = &before[usize::from(runs.is_some())..];
    let mut rows = all(root);
    rows.retain(|row| row.kind != Kind::Start && (names.is_empty() || names.contains(&row.name)));
    let is_known = |name: &&str| rows.iter().any(|row| row.name == *name);
    if command.is_some_and(<[_]>::is_empty) || !names.iter().all(is_known) {
        eprintln!("usage: cargo xtask bench-recording [RUNS] [ROW…] | [RUNS] -- COMMAND ARGS…");
        return ExitCode::from(2);
    }
    let bench = bench::library(root).and_then(|_| Bench::new(root));
    let measured = bench.and_then(|bench| match command {
        Some(words) => bench.command(words, runs.unwrap_or(RUNS)),
        None => bench.table(&rows, runs.unwrap_or(RUNS_OF_ALL)),
    });
    match measured {
        Some(()) => ExitCode::SUCCESS,
        None => {
            eprintln!(
                "bench-recording: something does not build, does not run, fails, or has another result"
            );
            ExitCode::FAILURE
        }
    }
}

/// What is run, and where its files go.
struct Bench {
    heapshim: PathBuf,
    directory: OwnDirectory,
    has_heaptrack: bool,
}

/// One run, and what it wrote.
struct Run {
    took: Took,
    events: u64,
    bytes: u64,
}

/// One way's runs.
struct Runs(Vec<Run>);

impl Bench {
    fn new(root: &Path) -> Option<Bench> {
        let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
        let target = target.unwrap_or_else(|| root.join("target"));
        Some(Bench {
            heapshim: target.join("release/heapshim"),
            directory: OwnDirectory::new(&std::env::temp_dir(), "bench-recording").ok()?,
            has_heaptrack: Command::new("heaptrack").arg("--version").output().is_ok(),
        })
    }

    fn command(&self, words: &[&str], runs: usize) -> Option<()> {
        let words = words.iter().map(|word| (*word).to_owned());
        let [accounts, recordings, raws] = self.measure(&Ready::command(words.collect()), runs)?;
        tell("the account alone", &accounts, &accounts);
        tell("every event recorded", &recordings, &accounts);
        tell("heaptrack --raw", &raws, &accounts);
        Some(())
    }

    fn table(&self, rows: &[Workload], runs: usize) -> Option<()> {
        println!(
            "| workload | account alone, ms | recorded: × the account, wall · processor | at most | bytes an event | at most | MB | M events a second | heaptrack --raw: × the account | MB |"
        );
        println!("|{}", " --- |".repeat(10));
        for workload in rows {
            let measured = workload
                .ready
                .as_ref()
                .map(|ready| self.measure(ready, runs));
            match measured {
                Some(Some(ways)) => println!("| {} | {} |", workload.name, cells(&ways)),
                Some(None) => return None,
                None => println!("| {} | not here, or does not build |", workload.name),
            }
        }
        println!("\n{runs} runs of each, interleaved; medians.{MISSED}: more than it may be.");
        Some(())
    }

    /// Runs of the account alone, of recordings, of heaptrack.
    fn measure(&self, ready: &Ready, runs: usize) -> Option<[Runs; 3]> {
        let mut all = [const { Runs(Vec::new()) }; 3];
        for _ in 0..runs {
            let (account, result) = self.account(ready)?;
            all[0].0.push(account);
            let (recording, recorded) = self.recorded(ready)?;
            all[1].0.push(recording);
            let raw = self.has_heaptrack.then(|| self.heaptrack(ready)).flatten();
            // It says something of its own before and after.
            let raw = raw.filter(|(_, said)| said.contains(&result));
            all[2].0.extend(raw.map(|(run, _)| run));
            (recorded == result).then_some(())?;
        }
        Some(all)
    }

    fn account(&self, ready: &Ready) -> Option<(Run, String)> {
        let under = |words: &[String]| {
            let mut run = Command::new(&self.heapshim);
            run.args(["run", "--quiet", "--"]).args(words);
            Some(run)
        };
        let (took, result) = ready.run(&under)?;
        let (events, bytes) = (0, 0);
        Some((
            Run {
                took,
                events,
                bytes,
            },
            result,
        ))
    }

    fn recorded(&self, ready: &Ready) -> Option<(Run, String)> {
        let file = self.directory.path().join("run.heaptrace");
        let under = |words: &[String]| {
            let mut run = Command::new(&self.heapshim);
            run.args(["run", "--quiet", "--lossless", "--record"]);
            run.arg(&file).arg("--").args(words);
            Some(run)
        };
        let (took, result) = ready.run(&under)?;
        // `recorded 2,300,000 events, none lost, …`
        let events = took.stderr.split("recorded ").nth(1)?.split(' ').next()?;
        let run = Run {
            events: events.replace(',', "").parse().ok()?,
            bytes: fs::metadata(&file).ok()?.len(),
            took,
        };
        Some((run, result))
    }

    fn heaptrack(&self, ready: &Ready) -> Option<(Run, String)> {
        let file = self.directory.path().join("raw");
        let under = |words: &[String]| {
            let mut run = Command::new("timeout");
            run.args(["-k", "1", "60", "heaptrack", "--raw", "-o"]);
            run.arg(&file).args(words);
            Some(run)
        };
        let (took, said) = ready.run(&under)?;
        let written = fs::read_dir(self.directory.path()).ok()?.flatten();
        let is_raw = |name: &str| name.starts_with("raw");
        let raw = written.filter(|entry| entry.file_name().to_str().is_some_and(is_raw));
        let bytes = raw.filter_map(|entry| entry.metadata().ok());
        let bytes = bytes.map(|metadata| metadata.len()).sum();
        let events = 0;
        Some((
            Run {
                took,
                events,
                bytes,
            },
            said,
        ))
    }
}

impl Runs {
    fn median(&self, of: impl Fn(&Run) -> f64) -> f64 {
        let values = sorted(self.0.iter().map(of));
        values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
    }

    /// Of neighbouring runs, as multiples of the account's.
    fn times(&self, accounts: &Runs, of: fn(&Took) -> f64) -> f64 {
        let pairs = self.0.iter().zip(&accounts.0);
        let ratios = sorted(pairs.map(|(run, account)| of(&run.took) / of(&account.took)));
        ratios.get(ratios.len() / 2).copied().unwrap_or(f64::NAN)
    }

    fn events(&self) -> f64 {
        self.median(|run| run.events as f64)
    }

    fn bytes(&self) -> f64 {
        self.median(|run| run.bytes as f64)
    }

    fn wall_ms(&self) -> f64 {
        self.median(|run| run.took.wall_ms)
    }
}

/// A row of the table.
fn cells([accounts, recordings, raws]: &[Runs; 3]) -> String {
    let marked = |value: f64, most: f64| {
        // As it is printed.
        let is_missed = (value * 100.0).round() > (most * 100.0).round();
        format!("{value:.2}{}", if is_missed { MISSED } else { "" })
    };
    let wall = recordings.times(accounts, |took| took.wall_ms);
    let processor = recordings.times(accounts, |took| took.processor_ms);
    let an_event = recordings.bytes() / recordings.events();
    let raw = match raws.0.is_empty() {
        true => "– | –".to_owned(),
        false => {
            let times = raws.times(accounts, |took| took.wall_ms);
            format!("{times:.2} | {:.1}", raws.bytes() / 1e6)
        }
    };
    format!(
        "{:.0} | {} · {processor:.2} | {MOST_TIMES} | {} | {MOST_BYTES} | {:.1} | {:.1} | {raw}",
        accounts.wall_ms(),
        marked(wall, MOST_TIMES),
        marked(an_event, MOST_BYTES),
        recordings.bytes() / 1e6,
        recordings.events() / recordings.wall_ms() / 1e3,
    )
}

/// A line of a command.
fn tell(name: &str, runs: &Runs, accounts: &Runs) {
    if runs.0.is_empty() {
        return println!("{name}: not measured");
    }
    let (wall, processor) = (runs.wall_ms(), runs.median(|run| run.took.processor_ms));
    print!(
        "{name}: {wall:.0} ms ({:.2} × the account), processor {processor:.0} ms ({:.2} ×)",
        runs.times(accounts, |took| took.wall_ms),
        runs.times(accounts, |took| took.processor_ms),
    );
    let (events, bytes) = (runs.events(), runs.bytes());
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
