//! `cargo xtask bench [RUNS] [--judge] [ROW…]`: the table of docs/PERFORMANCE.md, of programs that are built or installed here.
//!
//! Each workload runs bare, traced exactly, sampled and off, and under such peers as are installed, in turn, as often as it is told to: what is
//! compared are neighbouring runs. A workload must give the same result however it runs, and before it is timed each way of tracing shows
//! that it is one (`account`): a library that did not load costs nothing. A row whose programs are not here is named and left out.
//! A figure above what it may be is marked; that is no failure, unless `--judge` says so.

mod account;
mod cells;

use crate::bench::library;
use crate::bench_workloads::{Kind, Ready, Workload, all};
use crate::own_directory::OwnDirectory;
use crate::peers::{self, Tool};
use crate::took::Took;
use crate::versions;
use cells::{Cells, Ratios};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Instant;

/// Runs of each kind, unless told otherwise.
const RUNS: usize = 5;
/// Runs of a program that hardly runs, for each one of the others.
const STARTS: usize = 6;
/// `HEAPSHIM_SAMPLE` of each way to trace.
pub(super) const EXACT: &str = "";
pub(super) const SAMPLED: &str = "512K";
pub(super) const OFF: &str = "off";
const WAYS: [&str; 3] = [EXACT, SAMPLED, OFF];
/// A peer that takes longer in its first round runs no other.
const SLOW_MS: f64 = 2000.0;
/// Rounds that peers take part in.
const PEER_ROUNDS: usize = 3;
/// A peer's run that takes so many seconds is ended: some take all memory there is.
const PEER_SECONDS: &str = "20";

/// Runs it.
pub(crate) fn run(root: &Path, words: &[&str]) -> ExitCode {
    let Some((runs, judge, rows)) = asked(root, words) else {
        eprintln!("usage: cargo xtask bench [RUNS] [--judge] [ROW…]");
        let names: Vec<&str> = all(root).iter().map(|row| row.name).collect();
        eprintln!("rows: {}", names.join(" "));
        return ExitCode::from(2);
    };
    let begun = Instant::now();
    let Some(bench) = Bench::new(root) else {
        eprintln!("bench: the command, or the library that counts, does not build");
        return ExitCode::FAILURE;
    };
    let names: Vec<&str> = bench.peers.iter().map(|peer| peer.name).collect();
    cells::print_header(&names);
    let (mut failed, mut missed) = (false, 0);
    for workload in rows {
        match bench.row(&workload, runs) {
            Ok(cells) => {
                missed += cells.missed;
                println!("| {} | {} |", workload.name, cells.text);
            }
            Err(problem) => {
                failed |= workload.ready.is_some();
                println!("| {} | {problem} |", workload.name);
            }
        }
    }
    println!(
        "\n{}\n\n{runs} runs of each, interleaved ({STARTS} times as many of `start-…`, {PEER_ROUNDS} of a peer, 1 where that takes {:.0} s); medians and, in parentheses, ranges: wall time · processor time, \
         as multiples of the bare run's beside it. Peers: wall time. ✗: more than it may be, in wall time. {missed} such. Took {} s.",
        versions::line(root),
        SLOW_MS / 1e3,
        begun.elapsed().as_secs()
    );
    ExitCode::from(u8::from(failed || judge && missed > 0))
}

/// Runs, whether a missed bar fails, and rows; None where a word is none of these.
fn asked(root: &Path, words: &[&str]) -> Option<(usize, bool, Vec<Workload>)> {
    let (mut runs, mut judge, mut names) = (RUNS, false, Vec::new());
    for word in words {
        match (word, word.parse()) {
            (_, Ok(0)) => return None,
            (_, Ok(number)) => runs = number,
            (&"--judge", _) => judge = true,
            _ => names.push(*word),
        }
    }
    let mut rows = all(root);
    if names
        .iter()
        .any(|name| rows.iter().all(|row| row.name != *name))
    {
        return None;
    }
    rows.retain(|row| names.is_empty() || names.contains(&row.name));
    Some((runs, judge, rows))
}

/// What rows are measured with.
struct Bench {
    library: String,
    account: account::Account,
    peers: Vec<Tool>,
    /// What a run writes; made anew for each.
    directory: PathBuf,
    /// What it and the account's files lie in.
    _place: OwnDirectory,
}

/// One round: bare, then each of `WAYS`, then each peer that took part.
struct Round {
    ours: [Took; 4],
    peers: Vec<Option<Took>>,
}

impl Bench {
    fn new(root: &Path) -> Option<Bench> {
        let place = OwnDirectory::new(&std::env::temp_dir(), "bench").ok()?;
        let directory = place.path().join("run");
        std::fs::create_dir_all(&directory).ok()?;
        let mut peers = peers::exact();
        peers.retain(|peer| is_here(peer, &directory));
        Some(Bench {
            library: library(root)?,
            account: account::Account::new(root, place.path())?,
            peers,
            directory,
            _place: place,
        })
    }

    /// A row's cells, or why it has none.
    fn row(&self, workload: &Workload, runs: usize) -> Result<Cells, String> {
        let ready = workload.ready.as_ref();
        let ready = ready.ok_or("not here, or does not build")?;
        self.account.check(ready, &self.library)?;
        let runs = match workload.kind {
            Kind::Start => runs * STARTS,
            Kind::Times | Kind::Pairs(_) => runs,
        };
        let mut rounds: Vec<Round> = Vec::new();
        for _ in 0..runs {
            let round = self.round(ready, &rounds)?;
            rounds.push(round);
        }
        Ok(cells(workload, &rounds, self.peers.len()))
    }

    fn round(&self, ready: &Ready, before: &[Round]) -> Result<Round, String> {
        let failed = "does not run, or fails";
        let (bare, result) = ready.run(&plain).ok_or(failed)?;
        let mut ours = vec![bare];
        for sample in WAYS {
            let under = |words: &[String]| traced(words, &self.library, sample);
            let (took, said) = ready.run(&under).ok_or(failed)?;
            if said != result {
                return Err(format!(
                    "its result is another where it is traced: {sample}"
                ));
            }
            ours.push(took);
        }
        let peers = self.peers.iter().enumerate();
        Ok(Round {
            ours: ours.try_into().map_err(|_| failed)?,
            peers: peers
                .map(|(at, peer)| {
                    takes_part(before, at).then(|| self.peer(ready, peer, &result))?
                })
                .collect(),
        })
    }

    /// A run under a peer. None where it fails, where it takes too long, or where the program's own result is not among what is said.
    fn peer(&self, ready: &Ready, peer: &Tool, result: &str) -> Option<Took> {
        let _gone = std::fs::remove_dir_all(&self.directory);
        std::fs::create_dir_all(&self.directory).ok()?;
        let under = |words: &[String]| Some(limited(&peer.command(words, &self.directory)?));
        let (took, said) = ready.run(&under)?;
        said.contains(result).then_some(took)
    }
}

/// True where a peer runs in the round after these: it did well in the first, and fast.
fn takes_part(before: &[Round], peer: usize) -> bool {
    let Some(first) = before.first() else {
        return true;
    };
    let fast = |took: &Took| took.wall_ms < SLOW_MS;
    before.len() < PEER_ROUNDS && first.peers[peer].as_ref().is_some_and(fast)
}

fn is_here(peer: &Tool, directory: &Path) -> bool {
    let words = ["/usr/bin/python3", "--version"].map(str::to_owned);
    let command = peer.command(&words, directory);
    command.is_some_and(|mut command| Took::by(&mut command).is_some())
}

fn plain(words: &[String]) -> Option<Command> {
    let mut command = Command::new(words.first()?);
    command.args(&words[1..]);
    Some(command)
}

/// The command with the library before it.
pub(super) fn traced(words: &[String], library: &str, sample: &str) -> Option<Command> {
    let mut command = plain(words)?;
    command.env("LD_PRELOAD", library);
    command.env("HEAPSHIM_SAMPLE", sample);
    Some(command)
}

/// The same command, which is ended after a time with all that it started.
fn limited(command: &Command) -> Command {
    let mut limited = Command::new("timeout");
    limited.args(["-k", "1", PEER_SECONDS]);
    limited.arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        limited.env(name, value.unwrap_or_default());
    }
    limited
}

fn cells(workload: &Workload, rounds: &[Round], peers: usize) -> Cells {
    let bars = workload.bars;
    let mut cells = Cells::new(workload.kind);
    let of = |way: usize| rounds.iter().map(move |round| &round.ours[way]);
    let ratios = |way: usize| Ratios::of(of(way).zip(of(0)));
    let bare: Vec<&Took> = of(0).collect();
    cells.bare(&bare);
    cells.way(&ratios(1), bars.exact, bars.aim);
    cells.way(&ratios(2), bars.sampled, None);
    cells.way(&ratios(3), bars.off, None);
    cells.memory(&bare, &of(1).collect::<Vec<_>>());
    for peer in 0..peers {
        let took = rounds
            .iter()
            .filter_map(|round| Some((round.peers[peer].as_ref()?, &round.ours[0])));
        cells.peer(&Ratios::of(took));
    }
    cells
}
