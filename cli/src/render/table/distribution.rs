//! The columns of a report of lifetimes or sizes: how many blocks, what half and 95 of 100 of them had at most, the greatest, and a bar in which each
//! character is a power of two.

use crate::distribution::{Distribution, Measure, bounds};
use crate::render::text::{grouped, size};
use crate::report::{Report, Row};

/// Characters of a bar at most: of a wider range, each stands for several powers of two.
const BAR: u8 = 16;
/// From no block to the most of the row's.
const HEIGHTS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// The powers of two that the bars of one table go over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Axis {
    measure: Measure,
    first: u8,
    last: u8,
    /// Powers of two of a character.
    step: u8,
    /// False where events were lost, or samples taken: whether a block whose end is not there has ended, nobody knows.
    knows_ends: bool,
}

impl Axis {
    /// None where the report is of no distribution.
    pub(super) fn of(report: &Report, shown: &[&Row]) -> Option<Axis> {
        let (measure, _) = report.distribution.as_ref()?;
        let each = shown.iter().filter_map(|row| row.distribution.as_ref());
        let numbers = each.flat_map(|one| one.buckets().map(|(number, _)| number));
        let (first, last) = numbers.fold((u8::MAX, 0), |(first, last), number| {
            (first.min(number), last.max(number))
        });
        let first = first.min(last);
        Some(Axis {
            measure: *measure,
            first,
            last,
            step: (last - first + 1).div_ceil(BAR),
            knows_ends: report.to.moment.exact,
        })
    }

    /// Names and least widths of the columns.
    pub(super) fn columns(&self) -> Vec<(String, usize)> {
        let rest = match self.measure {
            Measure::Lifetime => "still live",
            Measure::Size => "bytes",
        };
        let mut columns: Vec<(String, usize)> = [("blocks", 12), ("median", 10), ("95%", 10)]
            .into_iter()
            .chain([("longest", 10), (rest, 12)])
            .map(|(name, width)| (name.to_owned(), width))
            .collect();
        if self.measure == Measure::Size {
            "largest".clone_into(&mut columns[3].0);
        }
        let ends = format!(
            "{}–{}",
            value(self.measure, bounds(self.first).0),
            value(self.measure, bounds(self.last).1)
        );
        let width = 3 + ends.chars().count().max(usize::from(self.characters()));
        columns.push((ends, width));
        columns
    }

    fn characters(&self) -> u8 {
        (self.last - self.first + 1).div_ceil(self.step)
    }

    /// What stands in them.
    pub(super) fn numbers(&self, row: &Row) -> Vec<String> {
        let none = Distribution::default();
        let of = row.distribution.as_ref().unwrap_or(&none);
        let at_most = |percent| {
            let found = of.at_most(percent);
            found.map_or_else(|| "–".to_owned(), |most| value(self.measure, most))
        };
        let rest = match self.measure {
            Measure::Lifetime => still_live(row.growth.blocks, self.knows_ends),
            Measure::Size => size(row.total.bytes),
        };
        let columns = self.columns();
        let room = columns.last().map_or(0, |(_, width)| width - 3);
        vec![
            count(of.blocks()),
            at_most(50),
            at_most(95),
            at_most(100),
            rest,
            format!("{:<room$}", self.bar(of)),
        ]
    }

    /// `▁▂█▂ ▁`: any block at all is seen.
    fn bar(&self, of: &Distribution) -> String {
        let mut blocks = vec![0u64; usize::from(self.characters())];
        for (number, bucket) in of.buckets() {
            let at = number.saturating_sub(self.first) / self.step.max(1);
            if let Some(place) = blocks.get_mut(usize::from(at)) {
                *place = place.saturating_add(bucket.blocks);
            }
        }
        let most = u128::from(blocks.iter().copied().max().unwrap_or(0).max(1));
        let height = |&blocks: &u64| {
            let height = (u128::from(blocks) * 8).div_ceil(most);
            HEIGHTS[usize::try_from(height).unwrap_or(8).min(8)]
        };
        blocks.iter().map(height).collect()
    }
}

/// `660 of 680 blocks freed; half within 12 µs, 95% within 3 ms, the longest 5.0 s; 20 still live; 3 freed that were older than the recording`
pub(super) fn headline(report: &Report, measure: Measure, all: &Distribution) -> String {
    let most = [50, 95, 100].map(|percent| all.at_most(percent).unwrap_or_default());
    let [half, most_of, last] = most.map(|most| value(measure, most));
    match measure {
        Measure::Size if all.blocks() == 0 => "0 blocks allocated".to_owned(),
        Measure::Size => format!(
            "{} blocks allocated; half up to {half}, 95% up to {most_of}, the largest {last}",
            count(all.blocks())
        ),
        Measure::Lifetime => {
            let spans = match all.blocks() {
                0 => String::new(),
                _ => {
                    let [half, most_of, _] = most.map(within);
                    format!("; half {half}, 95% {most_of}, the longest {last}")
                }
            };
            let older = match all.unknown {
                0 => String::new(),
                older => format!(
                    "; {} freed that were older than the recording",
                    count(older)
                ),
            };
            let live = match report.to.moment.exact {
                true => format!("{} still live", still_live(report.growth.blocks, true)),
                false => {
                    let why = match report.to.moment.lost_events {
                        0 => "as not every event was recorded",
                        _ => "as events were lost",
                    };
                    format!("how many still live is unknown, {why}")
                }
            };
            let freed = count(all.blocks());
            format!("{freed} blocks freed{spans}; {live}{older}")
        }
    }
}

/// How long blocks lived at most: of less than a recording tells apart, that it was less.
fn within(most: u64) -> String {
    match most {
        0 => "under 1 µs".to_owned(),
        _ => format!("within {}", value(Measure::Lifetime, most)),
    }
}

fn still_live(blocks: i64, knows_ends: bool) -> String {
    match knows_ends {
        true => count(blocks.cast_unsigned()),
        false => "unknown".to_owned(),
    }
}

/// A count that is no difference.
fn count(blocks: u64) -> String {
    let text = grouped(i64::try_from(blocks).unwrap_or(i64::MAX));
    text.trim_start_matches(['+', '-']).to_owned()
}

/// A value as people read it.
fn value(measure: Measure, value: u64) -> String {
    match measure {
        Measure::Size => size(i64::try_from(value).unwrap_or(i64::MAX)),
        Measure::Lifetime => match value {
            0 => "<1 µs".to_owned(),
            1..1000 => format!("{value} µs"),
            1000..10_000 => format!("{}.{} ms", value / 1000, value / 100 % 10),
            _ => crate::render::duration(0, value.saturating_mul(1000)),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::distribution::{Bucket, bucket_of};
    use crate::fixture;
    use crate::render::{Render, Table, View};

    fn distribution(values: &[u64]) -> Distribution {
        let mut all = Distribution::default();
        for &value in values {
            all.add(bucket_of(value), &Bucket::one(value, 10));
        }
        all
    }

    fn report(measure: Measure, values: &[u64]) -> Report {
        let mut report = fixture::report();
        report.rows.truncate(2);
        report.rows[0].distribution = Some(distribution(values));
        report.rows[1].distribution = Some(distribution(&values[..1]));
        report.distribution = Some((measure, distribution(values)));
        report
    }

    /// Check that each bar has a place for every power of two of the table, the most blocks the highest, and that one block among many is seen.
    #[test]
    fn bars() {
        let mut values = vec![3; 1000];
        values.push(40);
        let report = report(Measure::Lifetime, &values);
        let shown: Vec<&Row> = report.rows.iter().collect();
        let axis = Axis::of(&report, &shown).expect("of a distribution");
        let bars = shown.iter().filter_map(|row| row.distribution.as_ref());
        let bars: Vec<String> = bars.map(|one| axis.bar(one)).collect();
        assert_eq!(bars, ["█   ▁", "█    "]);
    }

    /// Check that a range of all numbers has bars no longer than others, and nothing at all none.
    #[test]
    fn widths() {
        for values in [&[0, u64::MAX][..], &[0, 1], &[u64::MAX]] {
            let report = report(Measure::Size, values);
            let shown: Vec<&Row> = report.rows.iter().collect();
            let axis = Axis::of(&report, &shown).expect("of a distribution");
            let bar = axis.bar(&distribution(values)).chars().count();
            assert!(bar <= usize::from(BAR) && bar > 0, "{values:?}");
        }
        let report = report(Measure::Size, &[1]);
        assert!(Axis::of(&report, &[]).is_some());
        assert_eq!(Axis::of(&fixture::report(), &[]), None);
    }

    /// Check that where events were lost nothing is said of the blocks whose ends may be among them.
    #[test]
    fn lost() {
        let mut report = report(Measure::Lifetime, &[3, 3]);
        report.to.moment.exact = false;
        for (lost, why) in [
            (7, "as events were lost"),
            (0, "as not every event was recorded"),
        ] {
            report.to.moment.lost_events = lost;
            let mut out = Vec::new();
            Table.render(&report, &View::default(), &mut out).unwrap();
            let text = String::from_utf8(out).unwrap();
            assert_eq!(text.matches("unknown").count(), 3, "{text}");
            let said = format!("; how many still live is unknown, {why}");
            assert!(text.contains(&said), "{text}");
        }
    }

    /// Check the lines of a whole table: the header's, the columns' and a row's.
    #[test]
    fn table() {
        let report = report(Measure::Lifetime, &[3, 3, 3, 2000, 1_500_000]);
        let mut out = Vec::new();
        Table.render(&report, &View::default(), &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert!(
            lines[1].starts_with(
                "5 blocks freed; half within 3 µs, 95% within 1.5 s, the longest 1.5 s; "
            ),
            "{text}"
        );
        assert!(
            lines[3].contains("blocks    median       95%   longest"),
            "{text}"
        );
        assert!(
            lines[4].contains("5      3 µs     1.5 s     1.5 s"),
            "{text}"
        );
        let short = distribution(&[0, 0, 0, 2]);
        let said = headline(&report, Measure::Lifetime, &short);
        assert!(
            said.starts_with(
                "4 blocks freed; half under 1 µs, 95% within 2 µs, the longest 2 µs; "
            ),
            "{said}"
        );
    }
}
