//! The report as `tracemalloc` would print it: the lines of `snapshot.compare_to(old, key_type)`, in its text and its order.
//!
//! Scripts that read these lines go on reading them. As in CPython, what shrank ranks with what grew, files are named as the
//! code was compiled from them, a file has line 0, and memory that no stack is known for is `<unknown>:0`. By stack, the line of
//! the oldest frame is followed by what `traceback.format()` prints. A native frame without a line is `[module+address]:0`.
//!
//! Not here: `Snapshot.statistics`, which has no second moment: `diff start NAME` has its numbers.

use super::table::{NO_THREAD, address_in};
use super::text::escape;
use super::{Render, View};
use crate::report::{Amount, By, Report, Row, Sort};
use crate::symbolize::{SymbolFrame, absolute};
use std::io::{self, Write};

/// Rows, where the user does not say how many: as in the table.
const TOP: usize = 10;
/// The greatest unit has no next one.
const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];

/// `compare_to`'s lines.
#[derive(Clone, Copy, Debug)]
pub struct Tracemalloc;

/// A frame as `tracemalloc` has it: a file and a line, 0 where there is none.
type Frame = (String, u32);

/// `tracemalloc.StatisticDiff`.
#[derive(Debug)]
struct Statistic {
    /// Oldest frame first.
    traceback: Vec<Frame>,
    live: Amount,
    growth: Amount,
}

impl Render for Tracemalloc {
    fn render(&self, report: &Report, view: &View<'_>, out: &mut dyn Write) -> io::Result<()> {
        let mut statistics = statistics(report);
        if report.sort == Sort::Growth {
            statistics.sort_by(|one, other| other.key().cmp(&one.key()));
        }
        let top = view
            .top
            .map_or(TOP, |top| if top == 0 { usize::MAX } else { top });
        for statistic in statistics.iter().take(top) {
            writeln!(out, "{}", statistic.line())?;
            if report.by == By::Stack {
                statistic.format(report, view, out)?;
            }
        }
        Ok(())
    }
}

/// Those that `compare_to` would have: what is alive, or was.
fn statistics(report: &Report) -> Vec<Statistic> {
    let none = Amount::default();
    let rows = report.rows.iter();
    let rows = rows.filter(|row| (row.live, row.growth) != (none, none));
    let statistic = |row: &Row| Statistic {
        traceback: traceback(report, row),
        live: row.live,
        growth: row.growth,
    };
    rows.map(statistic).chain(unknown(report)).collect()
}

/// What is in no row. Filters drop it, as tracemalloc's do.
fn unknown(report: &Report) -> Option<Statistic> {
    let rows: Amount = report.rows.iter().map(|row| row.live).sum();
    let live = [report.to.live, -rows].into_iter().sum();
    let growth = report.unattributed.growth;
    let is_known = report.filtered || report.cumulative;
    let is_none = (live, growth) == (Amount::default(), Amount::default());
    (!is_known && !is_none).then(|| Statistic {
        traceback: vec![("<unknown>".to_string(), 0)],
        live,
        growth,
    })
}

fn traceback(report: &Report, row: &Row) -> Vec<Frame> {
    if report.by == By::Stack {
        let stack = report.mode.visible(row.stack.to_vec());
        return stack.iter().rev().map(frame).collect();
    }
    if report.by == By::Thread {
        let thread = row.thread.as_deref().unwrap_or(NO_THREAD);
        return vec![(thread.to_owned(), 0)];
    }
    let by_line = report.by == By::Line;
    let found = row.blamed_frame().map(frame);
    let (file, line) = found.unwrap_or_else(|| ("<unknown>".to_string(), 0));
    let file = row.file.clone().unwrap_or(file);
    vec![(file, if by_line { line } else { 0 })]
}

fn frame(frame: &SymbolFrame) -> Frame {
    if let Some(reason) = frame.reason.as_ref().filter(|reason| reason.is_mark()) {
        return (format!("<{reason}>"), 0);
    }
    let address = || address_in(frame.module.as_deref(), frame.address);
    let file = frame.file.clone().unwrap_or_else(address);
    (file, frame.line.unwrap_or(0))
}

impl Statistic {
    /// What `compare_to` sorts by, greatest first.
    fn key(&self) -> (u64, i64, u64, i64, &[Frame]) {
        let (live, growth) = (self.live, self.growth);
        let differences = (growth.bytes.unsigned_abs(), growth.blocks.unsigned_abs());
        (
            differences.0,
            live.bytes,
            differences.1,
            live.blocks,
            &self.traceback,
        )
    }

    /// `str()` of it.
    fn line(&self) -> String {
        let (live, growth) = (self.live, self.growth);
        let (file, line) = self
            .traceback
            .first()
            .map_or(("<unknown>", 0), |(file, line)| (&**file, *line));
        let mut text = format!(
            "{}:{line}: size={} ({}), count={} ({:+})",
            escape(file),
            size(to_float(live.bytes), false),
            size(to_float(growth.bytes), true),
            live.blocks,
            growth.blocks,
        );
        if live.blocks != 0 {
            let average = to_float(live.bytes) / to_float(live.blocks);
            text.push_str(&format!(", average={}", size(average, false)));
        }
        text
    }

    /// `traceback.format()`.
    fn format(&self, report: &Report, view: &View<'_>, out: &mut dyn Write) -> io::Result<()> {
        for (file, line) in &self.traceback {
            writeln!(out, "  File \"{}\", line {line}", escape(file))?;
            let path = absolute(&report.target.directory, file);
            let source = view.sources.line(&path, *line).unwrap_or_default();
            let source = source.trim();
            if !source.is_empty() {
                writeln!(out, "    {}", escape(source))?;
            }
        }
        Ok(())
    }
}

/// Its numbers are floats as well, from the first division on.
#[expect(
    clippy::cast_precision_loss,
    reason = "what it prints has at most five digits"
)]
fn to_float(number: i64) -> f64 {
    number as f64
}

/// `tracemalloc._format_size`.
fn size(bytes: f64, with_sign: bool) -> String {
    let mut size = bytes;
    let last = UNITS.len() - 1;
    for (at, unit) in UNITS.iter().enumerate() {
        let digits = usize::from(size.abs() < 100.0 && at > 0);
        if digits == 1 || size.abs() < 10.0 * 1024.0 || at == last {
            return if with_sign {
                format!("{size:+.digits$} {unit}")
            } else {
                format!("{size:.digits$} {unit}")
            };
        }
        size /= 1024.0;
    }
    String::new()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blame::Mode;
    use crate::fixture::{amount, python_frame, report};
    use crate::render::SourceLines;
    use crate::symbolize::Language;

    fn rendered(report: &Report, view: &View<'_>) -> Vec<String> {
        let mut out = Vec::new();
        Tracemalloc.render(report, view, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        text.lines().map(str::to_string).collect()
    }

    /// A report of these rows: line, live, growth.
    fn of(rows: &[(u32, Amount, Amount)]) -> Report {
        let mut report = report();
        let template = report.rows[0].clone();
        let row = |&(line, live, growth): &(u32, Amount, Amount)| {
            let frame = python_frame("f", "app.py", line);
            Row {
                file: frame.file.clone(),
                line: frame.line,
                live,
                growth,
                stack: vec![frame].into(),
                blamed: 0,
                ..template.clone()
            }
        };
        report.rows = rows.iter().map(row).collect();
        report.to.live = rows.iter().map(|row| row.1).sum();
        report
    }

    /// Check the text of CPython's own example, what shrank among it, and that what came and went has no line.
    #[test]
    fn text_of_tracemalloc() {
        let report = of(&[
            (7, amount(0, 0), amount(-10_560, -12)),
            (6, amount(1_041_408, 1001), amount(1_031_168, 989)),
            (8, amount(0, 0), amount(0, 0)),
            (9, amount(112_640, 1744), amount(112_640, 1744)),
        ]);
        let expected = [
            "app.py:6: size=1017 KiB (+1007 KiB), count=1001 (+989), average=1040 B",
            "app.py:9: size=110 KiB (+110 KiB), count=1744 (+1744), average=65 B",
            "app.py:7: size=0 B (-10.3 KiB), count=0 (-12)",
        ];
        assert_eq!(rendered(&report, &View::default()), expected);
        let top = View {
            top: Some(1),
            ..View::default()
        };
        assert_eq!(rendered(&report, &top), expected[..1]);
    }

    /// Check that what is in no row is a line of its own, and that filters drop it.
    #[test]
    fn unknown_is_a_line() {
        let mut report = of(&[(6, amount(10, 1), amount(10, 1))]);
        report.to.live = amount(15, 2);
        report.unattributed.growth = amount(5, 1);
        let lines = rendered(&report, &View::default());
        assert_eq!(
            lines[1],
            "<unknown>:0: size=5 B (+5 B), count=1 (+1), average=5 B"
        );
        report.filtered = true;
        assert_eq!(rendered(&report, &View::default()).len(), 1);
    }

    /// A file of which every line reads the same.
    struct Same;

    impl SourceLines for Same {
        fn line(&self, file: &str, line: u32) -> Option<String> {
            (file == "/srv/app.py").then(|| format!("\tline({line})  "))
        }
    }

    /// Check a stack: oldest frame first, without native frames, with source lines where there are any.
    #[test]
    fn stack_is_a_traceback() {
        let mut report = of(&[(6, amount(10, 1), amount(10, 1))]);
        (report.by, report.mode) = (By::Stack, Mode::Python);
        let native = SymbolFrame {
            language: Language::C,
            ..python_frame("pair_list_new", "/src/_pair_list.c", 150)
        };
        let row = &mut report.rows[0];
        row.stack.edit(|frames| {
            frames.insert(0, native);
            frames.push(python_frame("<module>", "<frozen runpy>", 88));
        });
        let view = View {
            sources: &Same,
            ..View::default()
        };
        let expected = [
            "<frozen runpy>:88: size=10 B (+10 B), count=1 (+1), average=10 B",
            "  File \"<frozen runpy>\", line 88",
            "  File \"app.py\", line 6",
            "    line(6)",
        ];
        assert_eq!(rendered(&report, &view), expected);
        report.mode = Mode::App;
        assert_eq!(
            rendered(&report, &view)[4],
            "  File \"/src/_pair_list.c\", line 150"
        );
    }

    /// Check that files have no line, and that a name cannot drive a terminal.
    #[test]
    fn files_and_their_names() {
        let mut report = of(&[(6, amount(10, 1), amount(10, 1))]);
        report.by = By::File;
        report.rows[0].file = Some("a\u{1b}[2J.py".to_string());
        let line = &rendered(&report, &View::default())[0];
        assert!(line.ends_with(".py:0: size=10 B (+10 B), count=1 (+1), average=10 B"));
        assert!(!line.contains('\u{1b}'), "{line}");
    }

    /// Check where a size changes its unit and its digits.
    #[test]
    fn sizes() {
        for (bytes, plain, signed) in [
            (0, "0 B", "+0 B"),
            (10_239, "10239 B", "+10239 B"),
            (10_240, "10.0 KiB", "+10.0 KiB"),
            (-102_399, "-100.0 KiB", "-100.0 KiB"),
            (102_400, "100 KiB", "+100 KiB"),
            (10_485_760, "10.0 MiB", "+10.0 MiB"),
            (1 << 60, "1048576 TiB", "+1048576 TiB"),
        ] {
            let bytes = to_float(bytes);
            assert_eq!(
                (size(bytes, false), size(bytes, true)),
                (plain.into(), signed.into())
            );
        }
    }
}
