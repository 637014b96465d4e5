//! Lines followed over many snapshots: what each had grown by since the first.
//!
//! Filled by `watch` with a report for each snapshot after the first; judged by `trend`. Bounded: when there are more than `MOST` points,
//! every other goes, so that a week takes no more memory than an hour.

mod json;
mod text;

pub use json::json;
pub use text::{Looks, Per, Unit, text};

use crate::place::Place;
use crate::report::{Amount, Report};
use crate::trend::{self, Trend};
use std::collections::BTreeMap;

/// Points that are kept: pairs of all of them are looked at, line by line.
const MOST: usize = 240;

/// All lines.
#[derive(Clone, Debug)]
pub struct Series {
    times: Vec<f64>,
    lines: BTreeMap<Place, Line>,
    heap: Vec<Amount>,
    /// How far the heap's last point may be off.
    error: Option<Amount>,
}

#[derive(Clone, Debug)]
struct Line {
    function: Option<String>,
    growth: Vec<Amount>,
    /// How far the last point that it had may be off.
    error: Option<Amount>,
}

/// How a line went, or the heap as a whole.
#[derive(Clone, Debug, PartialEq)]
pub struct Course {
    /// From the first snapshot to the last.
    pub growth: Amount,
    /// How far that may be off; None where it is exact.
    pub error: Option<Amount>,
    /// What it does.
    pub trend: Trend,
}

/// What became of a line.
#[derive(Clone, Debug, PartialEq)]
pub struct Followed {
    /// Where.
    pub place: Place,
    /// The function that most of it is in.
    pub function: Option<String>,
    /// How it went.
    pub course: Course,
}

impl Series {
    /// The first snapshot: every line is at nothing.
    #[must_use]
    pub fn new(time: f64) -> Series {
        Series {
            times: vec![time],
            lines: BTreeMap::new(),
            heap: vec![Amount::default()],
            error: None,
        }
    }

    /// Adds a snapshot by its growth since the first.
    pub fn add(&mut self, time: f64, report: &Report) {
        let count = self.times.len();
        for row in &report.rows {
            let line = self.lines.entry(Place::of(row)).or_insert_with(|| Line {
                function: row.function.clone(),
                growth: vec![Amount::default(); count],
                error: None,
            });
            line.error = row.errors.map(|errors| errors.growth);
            line.growth.resize(count, Amount::default());
            line.growth.push(row.growth);
        }
        self.times.push(time);
        self.heap.push(report.growth);
        self.error = report.errors.map(|errors| errors.growth);
        // A line without a row is where it was at the first snapshot.
        let count = self.times.len();
        for line in self.lines.values_mut() {
            if line.growth.len() < count {
                line.error = None;
            }
            line.growth.resize(count, Amount::default());
        }
        if count > MOST {
            self.thin();
        }
    }

    /// Every other point goes; the first and the last stay.
    fn thin(&mut self) {
        let last = self.times.len() - 1;
        let keep: Vec<bool> = (0..=last).map(|at| at == last || at % 2 == 0).collect();
        retain(&mut self.times, &keep);
        retain(&mut self.heap, &keep);
        for line in self.lines.values_mut() {
            retain(&mut line.growth, &keep);
        }
    }

    /// Snapshots that are kept, the first included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.times.len()
    }

    /// True for none, which is never: there is always a first.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.times.is_empty()
    }

    /// What the heap as a whole has grown by.
    #[must_use]
    pub fn growth(&self) -> Amount {
        self.heap.last().copied().unwrap_or_default()
    }

    /// How the heap as a whole went.
    #[must_use]
    pub fn whole(&self) -> Course {
        self.course(&self.heap, self.error)
    }

    fn course(&self, growth: &[Amount], error: Option<Amount>) -> Course {
        Course {
            growth: growth.last().copied().unwrap_or_default(),
            error,
            trend: self.trend(growth),
        }
    }

    /// Every line that changed at all: those that grow first, the fastest first.
    #[must_use]
    pub fn lines(&self) -> Vec<Followed> {
        let changed = |line: &&(&Place, &Line)| {
            line.1
                .growth
                .iter()
                .any(|amount| *amount != Amount::default())
        };
        let lines = self.lines.iter().filter(|line| changed(&line));
        let mut all: Vec<Followed> = lines
            .map(|(place, line)| Followed {
                place: place.clone(),
                function: line.function.clone(),
                course: self.course(&line.growth, line.error),
            })
            .collect();
        all.sort_by(|one, other| {
            let (one, other) = (&one.course, &other.course);
            let class = one.trend.class.cmp(&other.trend.class);
            let slope = other.trend.slope.total_cmp(&one.trend.slope);
            class
                .then(slope)
                .then(other.growth.bytes.cmp(&one.growth.bytes))
        });
        all
    }

    #[expect(clippy::cast_precision_loss, reason = "slopes are estimates")]
    fn trend(&self, growth: &[Amount]) -> Trend {
        let points = self.times.iter().zip(growth);
        let points: Vec<_> = points
            .map(|(&time, amount)| (time, amount.bytes as f64))
            .collect();
        trend::trend(&points)
    }
}

fn retain<T: Clone>(values: &mut Vec<T>, keep: &[bool]) {
    let kept = values.iter().zip(keep).filter(|(_, keep)| **keep);
    *values = kept.map(|(value, _)| value.clone()).collect();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;
    use crate::trend::Class;

    /// A report in which two lines have grown by this much, the second only where it is not nothing.
    fn report(first: i64, second: i64) -> Report {
        let mut report = fixture::report();
        report.rows.truncate(2);
        report.rows[0].growth = fixture::amount(first, first / 40);
        report.rows[1].growth = fixture::amount(second, 1);
        report.growth = fixture::amount(first + second, 0);
        if second == 0 {
            report.rows.truncate(1);
        }
        report
    }

    /// Check that a line which comes later was at nothing before, and that lines which grow come first.
    #[test]
    fn lines_in_their_order() {
        let mut series = Series::new(0.0);
        for at in 1_u32..20 {
            let second = if at < 5 { 0 } else { 9000 };
            series.add(f64::from(at), &report(i64::from(at) * 40, second));
        }
        let lines = series.lines();
        let classes: Vec<Class> = lines.iter().map(|line| line.course.trend.class).collect();
        assert_eq!(classes, [Class::Grows, Class::Plateau]);
        assert_eq!(
            (lines[0].course.growth, lines[0].course.trend.slope),
            (fixture::amount(760, 19), 40.0)
        );
        assert_eq!(series.growth().bytes, 9760);
    }

    /// Check that a long series is thinned, keeps its first and last point, and its slope.
    #[test]
    fn long_series() {
        let mut series = Series::new(0.0);
        for at in 1_u32..2000 {
            series.add(f64::from(at), &report(i64::from(at) * 40, 0));
        }
        assert!(series.times.len() <= MOST, "{}", series.times.len());
        assert_eq!((series.times[0], series.times.last()), (0.0, Some(&1999.0)));
        assert_eq!(series.lines()[0].course.trend.slope, 40.0);
    }
}
