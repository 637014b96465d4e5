//! Estimates of lines of every kind, by 400 samples each: in 95 of 100 they are right to within what they say themselves, and their mean is right, of what lives and of what
//! changed between two marks, in one mode and across switches of a running program.
//!
//! The program says what is alive at each line; its seeds are those of the samples, so that each run is the same again. On another system a program allocates otherwise until it is
//! there, and draws otherwise: so what is judged, some 150 numbers, is judged by bounds that right estimates pass but for one chance of a million. Of estimates that are 3 % too high or too low each
//! test finds some that are 15 standard errors off; of errors that are too small by a third, some with 346 of 400 within.

use heapshim_cli::control::{self, ControlPage};
use heapshim_cli::diff::{self, From};
use heapshim_cli::model::Snapshot;
use heapshim_cli::report::{Amount as Sum, Report};
use heapshim_cli::session::Session;
use heapshim_cli::symbolize::{self, Symbolizer};
use heapshim_cli::{mode, process, snapshot};
use heapshim_tests::{Running, Target, line_of, programs};
use std::collections::BTreeMap;

const SOURCE: &str = "sampled_sizes.c";
/// The lines, in the order in which the program says what is alive.
const LINES: [&str; 6] = [
    "one size",
    "many sizes",
    "few large",
    "many small",
    "resized",
    "small beside large",
];
const RUNS: u32 = 400;
/// Of 400 runs that are right in 95 of 100, fewer are in one of 700 million.
const LEAST: u32 = 350;
/// Standard errors that a mean is off in one of 500 million.
const MOST: f64 = 6.0;

/// A program under a sample, and what it said with each copy of its account.
struct Sampled {
    running: Running,
    session: Session,
}

/// An account, and the right numbers of its lines.
struct Moment {
    snapshot: Snapshot,
    right: Vec<Sum>,
}

impl Sampled {
    fn begin(target: &Target, seed: u32, sample: &str) -> Sampled {
        let running = Target::built(&target.build(), &programs().join(SOURCE))
            .env("HEAPSHIM_SAMPLE", sample)
            .env("HEAPSHIM_SAMPLE_SEED", seed.to_string())
            .spawn();
        let session = Session::attach(running.pid()).expect("traced");
        Sampled { running, session }
    }

    fn step(&mut self, command: &[u8]) -> Moment {
        self.running.step(command);
        let numbers = self.running.numbers();
        let pairs = numbers.as_chunks::<2>().0;
        let right = pairs.iter().map(|&[bytes, blocks]| Sum { bytes, blocks });
        let process = self.session.process().expect("its process");
        let memory = process::memory(self.running.pid());
        let reader = self.session.reader().expect("a ledger");
        Moment {
            snapshot: snapshot::take(&reader, process, "now", memory).expect("an account"),
            right: right.collect(),
        }
    }

    /// Switches it; the account is of a moment when it has.
    fn switch(&mut self, word: &str) -> Moment {
        let asked = mode::parse(word).expect("a mode");
        ControlPage::open(&self.session)
            .expect("its control page")
            .ask(asked);
        let moment = self.step(b"n");
        assert_eq!(control::mode(&self.session).expect("a mode"), asked);
        moment
    }
}

/// What came of one number in all runs.
#[derive(Default)]
struct Tally {
    within: u32,
    off: Vec<f64>,
    errors: f64,
    /// What a sample stands for at most.
    unit: f64,
}

impl Tally {
    fn add(&mut self, found: i64, right: i64, error: i64) {
        self.within += u32::from((found - right).abs() <= error);
        self.off.push((found - right) as f64);
        self.errors += error as f64;
    }

    /// How many standard errors the mean is off. By scores, as of a line that has a sample in ten runs the spread is as little known: what the mean
    /// lacks, or has too much, is samples of a unit each.
    fn bias(&self) -> f64 {
        let count = self.off.len() as f64;
        let mean = self.off.iter().sum::<f64>() / count;
        let squares: f64 = self.off.iter().map(|one| (one - mean).powi(2)).sum();
        let variance = squares / (count - 1.0) + self.unit * mean.abs();
        // A whole byte, as sites' sums are rounded.
        (mean.abs() - 1.0).max(0.0) / (variance / count).sqrt().max(1e-9)
    }
}

/// The numbers of all runs, by what they are of.
#[derive(Default)]
struct Tallies(BTreeMap<String, Tally>);

impl Tallies {
    fn add(&mut self, of: &str, found: Sum, right: Sum, error: Sum) {
        let pairs = [
            ("bytes", 65_536.0, found.bytes, right.bytes, error.bytes),
            ("blocks", 1024.0, found.blocks, right.blocks, error.blocks),
        ];
        for (kind, unit, found, right, error) in pairs {
            let tally = self.0.entry(format!("{of}, {kind}")).or_default();
            tally.unit = unit;
            tally.add(found, right, error);
        }
    }

    /// Adds each line's growth, and all lines'.
    fn compare(&mut self, of: &str, from: Option<&Moment>, to: &Moment, by: &mut Symbolizer) {
        let begin = from.map_or(From::Start, |from| From::Mark(&from.snapshot));
        let report = diff::diff(begin, &to.snapshot, by, &diff::Options::default());
        for (at, line) in LINES.iter().enumerate() {
            let before = from.map_or(Sum::default(), |from| from.right[at]);
            let right = Sum {
                bytes: to.right[at].bytes - before.bytes,
                blocks: to.right[at].blocks - before.blocks,
            };
            let (found, error) = growth(&report, line);
            self.add(&format!("{of}: {line}"), found, right, error);
        }
        // What is not the program's is nothing between two marks.
        if let Some(from) = from {
            let all = |moment: &Moment| moment.right.iter().copied().fold(Sum::default(), sum);
            let (then, now) = (all(from), all(to));
            let right = Sum {
                bytes: now.bytes - then.bytes,
                blocks: now.blocks - then.blocks,
            };
            let error = report.errors.map(|errors| errors.growth);
            let error = error.unwrap_or_default();
            self.add(&format!("{of}: all"), report.growth, right, error);
        }
    }

    fn assert(&self) {
        let told = |(of, tally): (&String, &Tally)| {
            let error = tally.errors / f64::from(RUNS);
            let (within, bias) = (tally.within, tally.bias());
            format!("{of}: {within} within ± {error:.0}, {bias:.1} standard errors off\n")
        };
        let table: String = self.0.iter().map(told).collect();
        tell(&table);
        let is_right = |tally: &Tally| tally.within >= LEAST && tally.bias() < MOST;
        assert!(self.0.values().all(is_right), "{table}");
    }
}

/// For who runs it with `--nocapture`: the table of docs/SAMPLING.md.
#[expect(clippy::print_stdout, reason = "it is asked for")]
fn tell(table: &str) {
    println!("{table}");
}

fn sum(one: Sum, other: Sum) -> Sum {
    Sum {
        bytes: one.bytes + other.bytes,
        blocks: one.blocks + other.blocks,
    }
}

/// A line's growth and its error. A line of which nothing was seen has no row: it is none, to within what the whole may hide.
fn growth(report: &Report, line: &str) -> (Sum, Sum) {
    let number = u32::try_from(line_of(SOURCE, &format!("// line: {line}"))).ok();
    let mut rows = report.rows.iter();
    let is_it = |file: &str| file.ends_with(SOURCE);
    let row = rows.find(|row| row.line == number && row.file.as_deref().is_some_and(is_it));
    let errors = row.map_or(report.errors, |row| row.errors);
    (
        row.map_or_else(Sum::default, |row| row.growth),
        errors.unwrap_or_default().growth,
    )
}

fn symbolizer() -> Symbolizer {
    Symbolizer::new(symbolize::Options::default())
}

/// Check what lives of each line, before and after a part of it was freed and more came, and what changed between the two.
#[test]
fn of_each_line() {
    let (target, mut by) = (Target::c(SOURCE), symbolizer());
    let mut tallies = Tallies::default();
    for seed in 0..RUNS {
        let mut sampled = Sampled::begin(&target, seed, "64K");
        let begun = sampled.step(b"n");
        let made = sampled.step(b"m");
        let changed = sampled.step(b"c");
        tallies.compare("made", None, &made, &mut by);
        tallies.compare("made since a mark", Some(&begun), &made, &mut by);
        tallies.compare("left", None, &changed, &mut by);
        tallies.compare("changed", Some(&made), &changed, &mut by);
    }
    tallies.assert();
}

/// Check the same of a program that is switched from exact to a sample, back, off for a moment, and to another sample: from the start, between marks before and after each
/// switch, and between two marks in one mode, where blocks go that came in another.
#[test]
fn across_switches() {
    let (target, mut by) = (Target::c(SOURCE), symbolizer());
    let mut tallies = Tallies::default();
    for seed in 0..RUNS {
        let mut sampled = Sampled::begin(&target, seed, "");
        let counted = sampled.step(b"m");
        let begun = sampled.switch("sample=64K");
        let made = sampled.step(b"c");
        tallies.compare("exact, sampled", Some(&counted), &made, &mut by);
        tallies.compare("sampled after exact", Some(&begun), &made, &mut by);
        let exact = sampled.switch("exact");
        let changed = sampled.step(b"c");
        tallies.compare("sampled, exact", Some(&made), &changed, &mut by);
        tallies.compare("exact after sampled", Some(&exact), &changed, &mut by);
        sampled.switch("off");
        let again = sampled.switch("sample=16K");
        let last = sampled.step(b"c");
        tallies.compare("exact, off, sampled", Some(&exact), &last, &mut by);
        tallies.compare("another sample", Some(&again), &last, &mut by);
        tallies.compare("from the start", None, &last, &mut by);
    }
    tallies.assert();
}
