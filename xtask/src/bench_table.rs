//! `cargo xtask bench [RUNS]`: the table of docs/PERFORMANCE.md, of programs that are built or installed here.
//!
//! Each workload runs bare, traced exactly, sampled and off, in turn, as often as it is told to. What is compared is processor time, of neighbouring
//! runs, since wall time is the machine's as much as ours; and the most memory that a run had resident. A workload must say the same however it runs.
//! One whose programs are not here is named and left out. Peers are `cargo xtask compare`'s.

use crate::bench::{library, sorted};
use crate::bench_workloads::{Workload, all};
use crate::took::Took;
use std::path::Path;
use std::process::ExitCode;

/// Runs of each kind, unless told otherwise.
const RUNS: usize = 5;
/// Ways to run a workload: what `HEAPSHIM_SAMPLE` is; None = bare.
const WAYS: [Option<&str>; 4] = [None, Some(""), Some("512K"), Some("off")];

/// Runs it.
pub(crate) fn run(root: &Path, runs: Option<&str>) -> ExitCode {
    let runs = runs.map_or(Some(RUNS), |runs| runs.parse().ok());
    let Some((runs, library)) = runs.filter(|runs| *runs > 0).zip(library(root)) else {
        eprintln!("usage: cargo xtask bench [RUNS]");
        return ExitCode::from(2);
    };
    println!(
        "| workload | bare, ms of processor | exact | sampled 512K | off | memory, MB: bare, exact |"
    );
    println!("| --- | ---: | --- | --- | --- | --- |");
    let mut failed = false;
    for workload in all(root) {
        let row = rounds(&workload, &library, runs).and_then(|rounds| row(&rounds));
        failed |= row.is_err();
        match row {
            Ok(cells) => println!("| {} | {cells} |", workload.name),
            Err(problem) => println!("| {} | {problem} | | | | |", workload.name),
        }
    }
    println!("{runs} runs each; medians, the ratios' ranges in parentheses");
    ExitCode::from(u8::from(failed))
}

type Round = Vec<Took>;

/// Every way once, as often as asked.
fn rounds(workload: &Workload, library: &str, runs: usize) -> Result<Vec<Round>, String> {
    let ready = workload
        .ready
        .as_ref()
        .ok_or("not here, or does not build")?;
    let once = |way: Option<&str>| ready.run(way.map(|sample| (library, sample)));
    let round = |_| {
        let round: Option<Round> = WAYS.into_iter().map(once).collect();
        round.ok_or_else(|| "does not run, or fails".to_owned())
    };
    (0..runs).map(round).collect()
}

/// A row's cells, if all runs said the same.
fn row(rounds: &[Round]) -> Result<String, String> {
    let mut said = rounds.iter().flatten().map(|took| result(&took.stdout));
    let first = said.next().unwrap_or_default();
    if said.any(|other| other != first) {
        return Err("its runs do not say the same".to_owned());
    }
    let time = |took: &Took| took.processor_ms;
    let mut cells = vec![format!("{:.0}", median(rounds, 0, time))];
    for way in 1..WAYS.len() {
        let ratios = rounds
            .iter()
            .map(|round| time(&round[way]) / time(&round[0]));
        let ratios = sorted(ratios);
        let (least, most) = (ratios[0], ratios[ratios.len() - 1]);
        let middle = ratios[ratios.len() / 2];
        cells.push(format!("{middle:.2} ({least:.2}–{most:.2})"));
    }
    let [bare, exact] = [0, 1].map(|way| median(rounds, way, |took| took.peak_bytes / 1e6));
    cells.push(format!("{bare:.1}, {exact:.1}"));
    Ok(cells.join(" | "))
}

fn median(rounds: &[Round], way: usize, of: impl Fn(&Took) -> f64) -> f64 {
    let values = sorted(rounds.iter().map(|round| of(&round[way])));
    values[values.len() / 2]
}

/// What it says, without the times that it measures itself.
fn result(stdout: &str) -> String {
    let words = stdout.split_whitespace();
    let kept: Vec<&str> = words
        .filter(|word| !word.starts_with("ns_per_pair="))
        .collect();
    kept.join(" ")
}
