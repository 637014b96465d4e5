//! What `watch` prints: a sentence on the heap, and the lines that changed.

use super::{Course, Followed, Series};
use crate::render::{Labels, blocks, escape, grouped, signed_size, size};
use crate::report::Amount;
use crate::trend::{Class, Trend};
use std::path::Path;

/// What the axis of time is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Hours.
    Hour,
    /// One snapshot after the other: the user decided when.
    Step,
}

impl Unit {
    /// The word for one of it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Unit::Hour => "hour",
            Unit::Step => "step",
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Unit::Hour => "/h",
            Unit::Step => "/step",
        }
    }
}

/// A count that growth is divided by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Per {
    /// How many there were while it was watched.
    pub count: u64,
    /// Of what: `request`.
    pub what: String,
}

/// How it is to be printed.
#[derive(Clone, Debug)]
pub struct Looks<'a> {
    /// What rates are in.
    pub unit: Unit,
    /// What growth is divided by.
    pub per: Option<Per>,
    /// Lines at most; 0: all.
    pub top: usize,
    /// Paths below it are shown relative to it.
    pub current_dir: Option<&'a Path>,
}

/// The whole text; `name` is who was watched.
#[must_use]
pub fn text(series: &Series, name: &str, looks: &Looks<'_>) -> String {
    let lines = series.lines();
    let Course {
        growth,
        error,
        trend: heap,
    } = series.whole();
    let count = match series.len() {
        1 => "1 snapshot".to_owned(),
        count => format!("{count} snapshots"),
    };
    let mut text = format!(
        "{}   {count}\nheap {}, {}{}",
        escape(name),
        signed_size(growth.bytes),
        blocks(growth.blocks),
        error.map(off_by).unwrap_or_default(),
    );
    text.push_str(&match heap.class {
        Class::TooFew => "\ntoo few snapshots to say what a line does: five at least\n".to_owned(),
        class => format!(" · {} {}\n", class.as_str(), rate(heap.slope, looks.unit)),
    });
    let top = if looks.top == 0 {
        usize::MAX
    } else {
        looks.top
    };
    let shown = &lines[..lines.len().min(top)];
    if !shown.is_empty() {
        text.push_str("\n       trend            rate   sure      growth      blocks   line\n");
    }
    let files = shown.iter().filter_map(|line| line.place.file());
    let labels = Labels::new(files, looks.current_dir);
    for line in shown {
        text.push_str(&row(line, &labels, looks));
    }
    if lines.len() > shown.len() {
        text.push_str(&format!(
            "{} more lines changed\n",
            lines.len() - shown.len()
        ));
    }
    text
}

fn row(line: &Followed, labels: &Labels, looks: &Looks<'_>) -> String {
    let course = &line.course;
    let Trend { class, slope, .. } = course.trend;
    let file = line.place.file().map_or("", |file| labels.of(file));
    let mut row = format!(
        "{:>12}{:>16}{:>7}{:>12}{:>12}   {}  {}\n",
        class.as_str(),
        rate(slope, looks.unit),
        sure(&course.trend),
        signed_size(course.growth.bytes),
        grouped(course.growth.blocks),
        escape(&line.place.shown(file)),
        line.function.as_deref().map(escape).unwrap_or_default(),
    );
    if class == Class::Grows {
        let (least, most) = course.trend.between;
        let (least, most) = (rate(least, looks.unit), rate(most, looks.unit));
        row.push_str(&format!("{:62}95 %: {least} to {most}\n", ""));
    }
    if let Some(error) = course.error {
        row.push_str(&format!("{:62}{}\n", "", off_by(error).trim_start()));
    }
    let divided = looks
        .per
        .as_ref()
        .and_then(|per| divided(course.growth, per));
    if let Some(divided) = divided {
        row.push_str(&format!("{:62}{divided}\n", ""));
    }
    row
}

/// Of samples: ` (±1.2 KiB, ±3 blocks)`.
fn off_by(error: Amount) -> String {
    let (bytes, blocks) = (size(error.bytes), grouped(error.blocks));
    format!(" (±{bytes}, ±{} blocks)", blocks.trim_start_matches('+'))
}

/// `40.0 B × 1.00 per request`: bytes of a block, and blocks of a request.
fn divided(growth: Amount, per: &Per) -> Option<String> {
    let grew = growth.bytes > 0 && growth.blocks > 0 && per.count > 0;
    let (bytes, blocks) = (float(growth.bytes), float(growth.blocks));
    let count = float(i64::try_from(per.count).unwrap_or(i64::MAX));
    let what = escape(&per.what);
    grew.then(|| format!("{:.1} B × {:.2} per {what}", bytes / blocks, blocks / count))
}

/// A rate, rounded to bytes.
#[expect(
    clippy::cast_possible_truncation,
    reason = "saturates, and is an estimate"
)]
fn rate(slope: f64, unit: Unit) -> String {
    format!("{}{}", signed_size(slope.round() as i64), unit.as_str())
}

/// A trend's certainty; nothing is quite sure.
fn sure(trend: &Trend) -> String {
    match trend.class {
        Class::Grows | Class::Shrinks => format!("{:.1}%", (trend.sure * 100.0).min(99.9)),
        Class::SawTooth | Class::Plateau | Class::TooFew => String::new(),
    }
}

#[expect(clippy::cast_precision_loss, reason = "rounded to two places")]
pub(super) fn float(number: i64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;
    use crate::report::Errors;

    /// Check every line of a leak of 40 bytes at each step, and of growth that has ended.
    #[test]
    fn whole_text() {
        let mut series = Series::new(0.0);
        for at in 1_u32..20 {
            let mut report = fixture::report();
            report.rows.truncate(2);
            report.rows[0].growth = fixture::amount(i64::from(at) * 40, i64::from(at));
            report.rows[1].growth = fixture::amount(9000, 1);
            report.growth = fixture::amount(i64::from(at) * 40 + 9000, i64::from(at) + 1);
            series.add(f64::from(at), &report);
        }
        let looks = Looks {
            unit: Unit::Step,
            per: Some(Per {
                count: 19,
                what: "request".to_string(),
            }),
            top: 1,
            current_dir: None,
        };
        let expected = "\
server (pid 1)   20 snapshots
heap +9.5 KiB, +20 blocks · grows +40 B/step

       trend            rate   sure      growth      blocks   line
       grows      +40 B/step  99.9%      +760 B         +19   aiohttp/web_response.py:56  __init__
                                                              95 %: +40 B/step to +40 B/step
                                                              40.0 B × 1.00 per request
1 more lines changed
";
        assert_eq!(text(&series, "server (pid 1)", &looks), expected);
    }

    /// Check that growth from samples says how far it may be off, the heap's and a line's.
    #[test]
    fn of_samples() {
        let mut series = Series::new(0.0);
        let mut report = fixture::report();
        report.rows.truncate(1);
        let errors = |bytes, blocks| {
            Some(Errors {
                growth: fixture::amount(bytes, blocks),
                ..Errors::default()
            })
        };
        (report.errors, report.rows[0].errors) = (errors(2048, 7), errors(1024, 3));
        series.add(1.0, &report);
        let looks = Looks {
            unit: Unit::Hour,
            per: None,
            top: 0,
            current_dir: None,
        };
        let text = text(&series, "server", &looks);
        assert!(
            text.contains(" blocks (±2.0 KiB, ±7 blocks)\ntoo few snapshots"),
            "{text}"
        );
        let row = format!("\n{:62}(±1.0 KiB, ±3 blocks)\n", "");
        assert!(text.contains(&row), "{text}");
    }

    /// Check that nothing is divided by nothing.
    #[test]
    fn per_nothing() {
        let per = |count| Per {
            count,
            what: "job".to_string(),
        };
        assert_eq!(divided(fixture::amount(80, 2), &per(0)), None);
        assert_eq!(divided(fixture::amount(-80, -2), &per(1)), None);
        let half = divided(fixture::amount(80, 2), &per(4));
        assert_eq!(half.as_deref(), Some("40.0 B × 0.50 per job"));
    }
}
