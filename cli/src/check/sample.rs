//! What one run grew by, line by line, without what is suppressed.

use super::suppressions::Suppressions;
use crate::place::Place;
use crate::report::{Amount, Report};
use std::collections::BTreeMap;

/// One run's growth.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    /// By line, with the function that most of it is in.
    pub lines: BTreeMap<Place, (Option<String>, Amount)>,
    /// In no line.
    pub not_attributed: Amount,
}

impl Sample {
    /// Adds a report up, by line, or by stack where there are suppressions: stacks that are suppressed are counted there and nowhere else.
    #[must_use]
    pub fn of(report: &Report, suppressions: &mut Suppressions) -> Sample {
        let mut sample = Sample {
            not_attributed: report.unattributed.growth,
            ..Sample::default()
        };
        for row in &report.rows {
            if !suppressions.take(row) {
                let line = sample.lines.entry(Place::of(row));
                let (_, amount) = line.or_insert_with(|| (row.function.clone(), Amount::default()));
                *amount += row.growth;
            }
        }
        sample
    }

    /// What it grew by since another sample.
    #[must_use]
    pub fn since(&self, before: &Sample) -> Sample {
        let mut since = self.clone();
        since.not_attributed += -before.not_attributed;
        for (place, (function, amount)) in &before.lines {
            let line = since.lines.entry(place.clone());
            let (_, left) = line.or_insert_with(|| (function.clone(), Amount::default()));
            *left += -*amount;
        }
        since
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    /// Check that stacks of one line are one, that what is suppressed is in none, and that two samples are subtracted line by line.
    #[test]
    fn lines_and_differences() {
        let mut report = fixture::report();
        report.unattributed.growth = fixture::amount(9, 1);
        report.rows.push(report.rows[1].clone());
        let mut suppressions = Suppressions::parse("leak:small.c", "s").expect("sound");
        let one = Sample::of(&report, &mut suppressions);
        let conn = Place::of(&report.rows[1]);
        assert_eq!(one.lines[&conn].1, fixture::amount(131_072, 32));
        assert_eq!(one.lines.len(), 8);
        assert_eq!(
            suppressions.used(),
            [("leak:small.c".to_string(), fixture::amount(1230, 6))]
        );
        let none = Sample::default();
        assert_eq!(one.since(&none), one);
        let nothing = one.since(&one);
        assert!(
            nothing
                .lines
                .values()
                .all(|(_, amount)| *amount == Amount::default())
        );
        assert_eq!(
            none.since(&one).lines[&conn].1,
            fixture::amount(-131_072, -32)
        );
    }
}
