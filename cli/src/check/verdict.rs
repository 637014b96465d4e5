//! Judges runs: what grew in each of them, and whether that is more than is allowed.
//!
//! Growth that repeats is the least of all samples. A sample is a run's growth; or, where run i did i repetitions of the work, what run i
//! grew by more than run i − 1: then warm-up, which every run has once, is in no sample. A line that shrank pays for no line that grew.

use super::sample::Sample;
use crate::place::Place;
use crate::report::Amount;

/// What may grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// All lines together; None: any amount.
    pub whole: Option<i64>,
    /// Each line; None: any amount.
    pub line: Option<i64>,
}

/// What the runs are to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    /// So many runs of the same.
    Runs(u32),
    /// Run i did i repetitions, up to so many.
    Repetitions(u32),
}

/// A line that grew in every sample.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Where.
    pub place: Place,
    /// The function that most of it is in.
    pub function: Option<String>,
    /// The least that it grew by.
    pub growth: Amount,
    /// True where it alone is more than a line may grow by.
    pub over: bool,
}

/// What came out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The lines that grew, most first.
    pub lines: Vec<Finding>,
    /// What grew in no line.
    pub not_attributed: Amount,
    /// All that grew: the lines, and what is in none.
    pub growth: Amount,
    /// What was allowed.
    pub limits: Limits,
    /// What the runs were.
    pub repeat: Repeat,
    /// What each suppression left out, over all runs.
    pub suppressed: Vec<(String, Amount)>,
}

impl Verdict {
    /// True where it is more than is allowed.
    #[must_use]
    pub fn failed(&self) -> bool {
        let whole = self
            .limits
            .whole
            .is_some_and(|most| self.growth.bytes > most);
        whole || self.lines.iter().any(|line| line.over)
    }
}

/// Judges the runs, in their order.
#[must_use]
pub fn judge(
    runs: &[Sample],
    repeat: Repeat,
    limits: Limits,
    suppressed: Vec<(String, Amount)>,
) -> Verdict {
    let samples: Vec<Sample> = match repeat {
        Repeat::Runs(_) => runs.to_vec(),
        Repeat::Repetitions(_) => runs.windows(2).map(|two| two[1].since(&two[0])).collect(),
    };
    let mut lines: Vec<Finding> = match samples.split_first() {
        None => Vec::new(),
        Some((first, others)) => findings(first, others, limits),
    };
    lines.sort_by_key(|one| (-one.growth.bytes, one.place.clone()));
    let not_attributed = samples.iter().map(|sample| sample.not_attributed);
    let not_attributed = not_attributed
        .min_by_key(|one| one.bytes)
        .unwrap_or_default();
    let not_attributed = Some(not_attributed).filter(grew).unwrap_or_default();
    let in_lines = lines.iter().map(|line| line.growth);
    Verdict {
        growth: in_lines.chain([not_attributed]).sum(),
        lines,
        not_attributed,
        limits,
        repeat,
        suppressed,
    }
}

fn findings(first: &Sample, others: &[Sample], limits: Limits) -> Vec<Finding> {
    let least = |place: &Place, growth: Amount| {
        let none = Amount::default();
        let other = |sample: &Sample| sample.lines.get(place).map_or(none, |(_, amount)| *amount);
        let all = others.iter().map(other).chain([growth]);
        all.min_by_key(|one| (one.bytes, one.blocks))
    };
    let lines = first
        .lines
        .iter()
        .filter_map(|(place, (function, growth))| {
            let growth = least(place, *growth).filter(grew)?;
            Some(Finding {
                place: place.clone(),
                function: function.clone(),
                growth,
                over: limits.line.is_some_and(|most| growth.bytes > most),
            })
        });
    lines.collect()
}

fn grew(amount: &Amount) -> bool {
    amount.bytes > 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::amount;

    fn sample(lines: &[(u32, i64)]) -> Sample {
        let line = |&(line, bytes): &(u32, i64)| {
            let place = Place::Line("/src/a.c".to_string(), line);
            (
                place,
                (Some("f".to_string()), amount(bytes, bytes.signum())),
            )
        };
        Sample {
            lines: lines.iter().map(line).collect(),
            not_attributed: Amount::default(),
        }
    }

    fn judged(runs: &[Sample], repeat: Repeat, whole: Option<i64>, line: Option<i64>) -> Verdict {
        judge(runs, repeat, Limits { whole, line }, Vec::new())
    }

    fn grown(verdict: &Verdict) -> Vec<(String, i64)> {
        let line = |one: &Finding| (one.place.to_string(), one.growth.bytes);
        verdict.lines.iter().map(line).collect()
    }

    /// Check one run: lines in their order, one that shrank pays for none, and both limits to the byte.
    #[test]
    fn one_run() {
        let runs = [sample(&[(1, 10), (2, 30), (3, -1000), (4, 0)])];
        let verdict = judged(&runs, Repeat::Runs(1), Some(40), None);
        let expected = [
            ("/src/a.c:2".to_string(), 30),
            ("/src/a.c:1".to_string(), 10),
        ];
        assert_eq!(grown(&verdict), expected);
        assert_eq!((verdict.growth, verdict.failed()), (amount(40, 2), false));
        assert!(judged(&runs, Repeat::Runs(1), Some(39), None).failed());
        assert!(!judged(&runs, Repeat::Runs(1), None, Some(30)).failed());
        let verdict = judged(&runs, Repeat::Runs(1), None, Some(29));
        let over: Vec<bool> = verdict.lines.iter().map(|line| line.over).collect();
        assert_eq!((verdict.failed(), over), (true, vec![true, false]));
    }

    /// Check that only what grew in every run counts, by the least of them.
    #[test]
    fn several_runs() {
        let runs = [
            sample(&[(1, 100), (2, 50), (3, 7)]),
            sample(&[(1, 90), (3, -7)]),
            sample(&[(1, 95), (2, 50), (3, 7)]),
        ];
        let verdict = judged(&runs, Repeat::Runs(3), Some(0), None);
        assert_eq!(grown(&verdict), [("/src/a.c:1".to_string(), 90)]);
    }

    /// Check that warm-up, a cache that fills at the second repetition, and a table that doubles are none, and that a leak is, by
    /// what one repetition adds.
    #[test]
    fn repetitions() {
        let run = |repetitions: i64| {
            let cache = if repetitions > 1 { 500 } else { 0 };
            let table = 64 << repetitions.ilog2();
            sample(&[(1, 4096), (2, 48 * repetitions), (3, cache), (4, table)])
        };
        let runs: Vec<Sample> = (1..=5).map(run).collect();
        let verdict = judged(&runs, Repeat::Repetitions(5), Some(0), None);
        assert_eq!(grown(&verdict), [("/src/a.c:2".to_string(), 48)]);
        assert!(verdict.failed());
        let clean: Vec<Sample> = (1..=5).map(|_| run(1)).collect();
        assert!(!judged(&clean, Repeat::Repetitions(5), Some(0), None).failed());
    }

    /// Check that growth in no line counts as growth.
    #[test]
    fn not_attributed() {
        let mut one = sample(&[]);
        one.not_attributed = amount(70, 2);
        let verdict = judged(&[one.clone()], Repeat::Runs(1), Some(69), None);
        assert!(verdict.failed() && verdict.lines.is_empty());
        assert_eq!(verdict.not_attributed, amount(70, 2));
        one.not_attributed = amount(-70, -2);
        assert!(!judged(&[one], Repeat::Runs(1), Some(0), None).failed());
    }
}
