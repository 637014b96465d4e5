//! The table: what people read.
//!
//! Three parts: two header lines, the rows, and a closing line that accounts for what is not shown. The rows, 'more', 'shrank',
//! 'not attributed' and 'left out' add up to the growth in the header, to the rounding.

mod closing;
mod distribution;
mod freed;
mod header;

use super::paths::Labels;
use super::text::{cut, escape, grouped, signed_size, size, source_line};
use super::{Render, Stacks, View};
use crate::frees::Freeing;
use crate::report::{Amount, By, Report, Row, Sort};
use crate::symbolize::{Language, Reason, SymbolFrame};
use distribution::Axis;
use std::io::{self, Write};

/// Rows, where the user does not say how many.
const TOP: usize = 10;

/// Columns of a source line's end where there is no terminal: a minified file is one line of a megabyte.
const SOURCE_WIDTH: usize = 160;

/// Columns between a row's text and its reason, at least.
const GAP: usize = 3;

/// What no thread's label is known of: marks from before there were labels.
pub(super) const NO_THREAD: &str = "[no thread known]";

const GREEN: &str = "32";
const RED: &str = "31";
const BOLD: &str = "1";
const DIM: &str = "2";

/// For people.
#[derive(Clone, Copy, Debug)]
pub struct Table;

impl Render for Table {
    fn render(&self, report: &Report, view: &View<'_>, out: &mut dyn Write) -> io::Result<()> {
        let shown = shown(report, view);
        header::headline(report, out)?;
        header::notes(report, out)?;
        header::totals(report, out)?;
        writeln!(out)?;
        let layout = Layout::new(report, &shown, view);
        if !shown.is_empty() {
            layout.heading(out)?;
        }
        for row in &shown {
            layout.row(row, out)?;
        }
        let closing = closing::closing(report, &shown);
        writeln!(out, "{:1$}{closing}", "", layout.indent)
    }
}

/// The lines above the table: whose growth, between which moments, what to know of it, and how much in all.
///
/// # Errors
/// None: it is written to memory.
pub(crate) fn heading(report: &Report) -> io::Result<String> {
    let mut text = Vec::new();
    header::headline(report, &mut text)?;
    header::notes(report, &mut text)?;
    header::totals(report, &mut text)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// The rows that are printed.
fn shown<'a>(report: &'a Report, view: &View<'_>) -> Vec<&'a Row> {
    let top = match view.top {
        None => TOP,
        Some(0) => usize::MAX,
        Some(top) => top,
    };
    let wanted = |row: &&Row| {
        let has_blocks = row.distribution.is_some() && row.total.blocks > 0;
        row.grew() || view.all && row.shrank() || is_busy(row, report.sort) || has_blocks
    };
    report.rows.iter().filter(wanted).take(top).collect()
}

/// None where it is not known.
fn survived(row: &Row) -> Option<Amount> {
    row.survivors.unwrap_or_default().known()
}

fn survivors(row: &Row) -> String {
    survived(row).map_or_else(|| "unknown".to_owned(), |amount| size(amount.bytes))
}

/// Blocks: what they cost is calls, not memory.
fn temporary(row: &Row) -> String {
    let known = row.temporary.map(|amount| count(amount.blocks));
    known.unwrap_or_else(|| "unknown".to_owned())
}

/// A row that did not grow may still be what the user sorts for.
fn is_busy(row: &Row, sort: Sort) -> bool {
    match sort {
        Sort::Growth | Sort::Blocks => false,
        Sort::Live => row.live.bytes > 0 && !row.shrank(),
        Sort::Total | Sort::Allocations => row.total.blocks > 0 && !row.shrank(),
        // Also where more of what was there before has gone.
        Sort::Survivors => survived(row).is_none_or(|amount| amount.blocks > 0),
        Sort::Temporary => row.temporary.is_some_and(|amount| amount.blocks > 0),
    }
}

/// How the rows of one table are laid out.
struct Layout<'a> {
    report: &'a Report,
    view: &'a View<'a>,
    files: Labels,
    widths: Vec<usize>,
    /// Of a report of lifetimes or sizes.
    axis: Option<Axis>,
    /// Where the text of a row begins.
    indent: usize,
}

impl<'a> Layout<'a> {
    fn new(report: &'a Report, shown: &[&'a Row], view: &'a View<'a>) -> Layout<'a> {
        let stacks = shown.iter().filter(|_| shows_stacks(report, view));
        let in_stacks = stacks
            .flat_map(|row| row.stack.iter())
            .filter_map(|f| f.file.as_deref());
        let freed = shown.iter().filter_map(|row| row.freed.as_ref());
        let freed = freed.flat_map(|freed| freed.by.iter().map(|one| &one.by));
        let in_rows = shown.iter().copied().chain(freed);
        let in_rows = in_rows.filter_map(|row| row.file.as_deref());
        let files = Labels::new(in_rows.chain(in_stacks), view.current_dir);
        let mut layout = Layout {
            report,
            view,
            files,
            widths: Vec::new(),
            axis: Axis::of(report, shown),
            indent: 0,
        };
        layout.widths = layout.columns().into_iter().map(|one| one.1).collect();
        for row in shown {
            let numbers = layout.numbers(row);
            for (width, text) in layout.widths.iter_mut().zip(numbers) {
                *width = (*width).max(text.chars().count() + 2);
            }
        }
        layout.indent = layout.widths.iter().sum::<usize>() + 3;
        layout
    }

    fn columns(&self) -> Vec<(String, usize)> {
        match &self.axis {
            Some(axis) => axis.columns(),
            None => columns(self.report)
                .map(|(name, width)| (name.to_owned(), width))
                .collect(),
        }
    }

    fn numbers(&self, row: &Row) -> Vec<String> {
        match &self.axis {
            Some(axis) => axis.numbers(row),
            None => numbers(self.report, row),
        }
    }

    /// `      growth      blocks       live   line`
    fn heading(&self, out: &mut dyn Write) -> io::Result<()> {
        for (width, (name, _)) in self.widths.iter().zip(self.columns()) {
            write!(out, "{name:>width$}")?;
        }
        writeln!(out, "   {}", self.report.by.as_str())
    }

    fn row(&self, row: &Row, out: &mut dyn Write) -> io::Result<()> {
        let numbers = self.numbers(row);
        for (at, (width, text)) in self.widths.iter().zip(numbers).enumerate() {
            let color = match at {
                0 if self.axis.is_some() => "",
                0 if row.shrank() => GREEN,
                0 => RED,
                _ => "",
            };
            write!(out, "{}", self.painted(&format!("{text:>width$}"), color))?;
        }
        writeln!(out, "   {}", self.text(row))?;
        self.source(row, out)?;
        self.freed(row, out)?;
        if shows_stacks(self.report, self.view) {
            self.stack(row, out)?;
        }
        Ok(())
    }

    /// `src/conn.c:88  conn_new   (via xmalloc)`, and on the right what is missing.
    fn text(&self, row: &Row) -> String {
        let place = escape(&self.place(row));
        let function = row.function.as_deref().filter(|_| self.names_function());
        let mut rest = function.map_or_else(String::new, |name| format!("  {}", escape(name)));
        if let Some(via) = &row.via {
            rest.push_str(&format!("   (via {})", escape(via)));
        }
        let reason = self.reason(row);
        let Some(width) = self.view.width else {
            let gap = if reason.is_empty() { 0 } else { GAP };
            return format!("{}{rest}{:gap$}{reason}", self.painted(&place, BOLD), "");
        };
        // At least the place stays whole: it is what the reader came for.
        let room = width.saturating_sub(self.indent);
        let reason = cut(&reason, room / 2);
        let taken = if reason.is_empty() {
            0
        } else {
            reason.chars().count() + GAP
        };
        let used = place.chars().count() + taken;
        let rest = cut(&rest, room.saturating_sub(used));
        let gap = room.saturating_sub(used + rest.chars().count()) + GAP;
        let gap = if reason.is_empty() { 0 } else { gap };
        format!("{}{rest}{:gap$}{reason}", self.painted(&place, BOLD), "")
    }

    /// What the row is of: a file and a line, or as much of it as is known.
    fn place(&self, row: &Row) -> String {
        let address = row.blamed_frame().map_or(0, |frame| frame.address);
        let file = row.file.as_deref().map(|file| self.files.of(file));
        match (self.report.by, file, row.line) {
            (By::Module, ..) => row
                .module
                .clone()
                .unwrap_or_else(|| "[no module]".to_string()),
            (By::Thread, ..) => row.thread.clone().unwrap_or_else(|| NO_THREAD.to_string()),
            (By::Function, file, _) => match (&row.function, file) {
                (Some(function), Some(file)) => format!("{function}  {file}"),
                (Some(function), None) => format!("{function}  {}", module_only(row)),
                (None, _) => address_in(row.module.as_deref(), address),
            },
            (_, Some(file), Some(line)) => format!("{file}:{line}"),
            (By::File, Some(file), None) => file.to_string(),
            (_, Some(file), None) if row.language == Language::Python => file.to_string(),
            (By::File, None, _) => module_only(row),
            _ => address_in(row.module.as_deref(), address),
        }
    }

    /// Why there is no line, where the reader would look for one.
    fn reason(&self, row: &Row) -> String {
        let reason = row.blamed_frame().and_then(|frame| frame.reason.as_ref());
        match (self.report.by, reason) {
            (By::Module | By::Thread, _) | (_, None) => String::new(),
            (_, Some(reason)) => escape(&reason.to_string()),
        }
    }

    fn source(&self, row: &Row, out: &mut dyn Write) -> io::Result<()> {
        let (Some(file), Some(line)) = (&row.file, row.line) else {
            return Ok(());
        };
        let found = self.view.sources.line(file, line);
        let text = found.map(|text| source_line(&text)).unwrap_or_default();
        if text.is_empty() {
            return Ok(());
        }
        self.below(&text, DIM, self.view.width.or(Some(SOURCE_WIDTH)), out)
    }

    fn freed(&self, row: &Row, out: &mut dyn Write) -> io::Result<()> {
        let Some(freed) = &row.freed else {
            return Ok(());
        };
        let place = |one: &Freeing| {
            let place = self.place(&one.by);
            let function = one.by.function.as_deref().filter(|_| self.names_function());
            escape(&function.map_or_else(|| place.clone(), |name| format!("{place}  {name}")))
        };
        let lines = freed::lines(freed, self.report, place);
        let mut lines = lines.iter();
        lines.try_for_each(|line| self.below(line, "", self.view.width, out))
    }

    /// True where a row's function is not its place already, or none.
    fn names_function(&self) -> bool {
        matches!(self.report.by, By::Line | By::Stack)
    }

    /// `src/conn.c:88  conn_new`, a line a frame, innermost first.
    fn stack(&self, row: &Row, out: &mut dyn Write) -> io::Result<()> {
        for (at, frame) in row.stack.iter().enumerate() {
            let blamed = if at == row.blamed { "> " } else { "  " };
            let frame = format!("{blamed}{}", self.frame(frame));
            self.below(&frame, "", self.view.width, out)?;
        }
        Ok(())
    }

    fn frame(&self, frame: &SymbolFrame) -> String {
        if let Some(reason) = frame.reason.as_ref().filter(|reason| reason.is_mark()) {
            return format!("({reason})");
        }
        let place = match (frame.file.as_deref(), frame.line) {
            (Some(file), Some(line)) => format!("{}:{line}", self.files.of(file)),
            (Some(file), None) if frame.language == Language::Python => {
                self.files.of(file).to_string()
            }
            _ => address_in(frame.module.as_deref(), frame.address),
        };
        let function = frame.function.as_deref().unwrap_or("");
        let inlined = if frame.inlined { "  (inlined)" } else { "" };
        escape(format!("{place}  {function}{inlined}").trim_end())
    }

    /// A line under a row, four columns further in, cut to a width.
    fn below(
        &self,
        text: &str,
        color: &str,
        width: Option<usize>,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        let indent = self.indent + 4;
        let text = match width {
            Some(width) => cut(text, width.saturating_sub(indent)),
            None => text.to_string(),
        };
        if text.is_empty() {
            return Ok(());
        }
        writeln!(out, "{:indent$}{}", "", self.painted(&text, color))
    }

    fn painted(&self, text: &str, color: &str) -> String {
        if self.view.color && !color.is_empty() {
            format!("\x1b[{color}m{text}\x1b[0m")
        } else {
            text.to_string()
        }
    }
}

fn shows_stacks(report: &Report, view: &View<'_>) -> bool {
    match view.stacks {
        Stacks::All => true,
        // Two stacks that end in the same line would be two rows that look the same.
        Stacks::Usual => report.by == By::Stack,
        Stacks::None => false,
    }
}

/// The columns of numbers, and how wide they are at least. Where numbers are estimates, what each may be off stands beside it.
fn columns(report: &Report) -> impl Iterator<Item = (&'static str, usize)> + use<> {
    let busy = match report.sort {
        Sort::Total => Some(("total", 13)),
        Sort::Allocations => Some(("allocations", 13)),
        Sort::Survivors => Some(("survivors", 13)),
        Sort::Temporary => Some(("temporary", 13)),
        Sort::Growth | Sort::Blocks | Sort::Live => None,
    };
    let error = report.errors.map(|_| ("±", 10));
    let counted = [("growth", 12), ("blocks", 12), ("live", 11)].into_iter();
    counted
        .chain(busy)
        .flat_map(move |column| [Some(column), error])
        .flatten()
}

fn numbers(report: &Report, row: &Row) -> Vec<String> {
    let errors = row.errors.unwrap_or_default();
    let busy = match report.sort {
        Sort::Total => Some((size(row.total.bytes), size(errors.total.bytes))),
        Sort::Allocations => Some((grouped(row.total.blocks), count(errors.total.blocks))),
        Sort::Survivors => Some((survivors(row), size(0))),
        Sort::Temporary => Some((temporary(row), count(0))),
        Sort::Growth | Sort::Blocks | Sort::Live => None,
    };
    let counted = [
        (signed_size(row.growth.bytes), size(errors.growth.bytes)),
        (grouped(row.growth.blocks), count(errors.growth.blocks)),
        (size(row.live.bytes), size(errors.live.bytes)),
    ];
    let error = |text: String| report.errors.map(|_| format!("±{text}"));
    let all = counted.into_iter().chain(busy);
    all.flat_map(|(number, off)| [Some(number), error(off)])
        .flatten()
        .collect()
}

/// A number that is no difference.
fn count(number: i64) -> String {
    grouped(number).trim_start_matches('+').to_owned()
}

/// `[libfoo.so.3+0x8f1c2]`, or `[0x7f…]` where the address lies in no module.
pub(super) fn address_in(module: Option<&str>, address: u64) -> String {
    match module {
        Some(module) => format!("[{}+{address:#x}]", base_name(module)),
        None => format!("[{address:#x}]"),
    }
}

fn module_only(row: &Row) -> String {
    match &row.module {
        Some(module) => format!("[{}]", base_name(module)),
        None => format!("[{}]", Reason::UnknownModule),
    }
}

fn base_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;
    use crate::render::SourceLines;
    use crate::report::Amount;

    /// The lines of the contract's example.
    struct Example;

    impl SourceLines for Example {
        fn line(&self, file: &str, line: u32) -> Option<String> {
            let text = match (file.rsplit('/').next()?, line) {
                ("web_response.py", 56) => "        self._headers = CIMultiDict()",
                ("conn.c", 88) => "\tc->buf = xmalloc(4096);\r",
                _ => return None,
            };
            Some(text.to_string())
        }
    }

    fn example() -> View<'static> {
        View {
            sources: &Example,
            ..View::default()
        }
    }

    fn rendered(report: &Report, view: &View<'_>) -> String {
        let mut out = Vec::new();
        Table.render(report, view, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    /// Check the contract's example, byte by byte.
    #[test]
    fn bytes_of_the_contract() {
        let view = View {
            top: Some(3),
            width: Some(123),
            ..example()
        };
        assert_eq!(
            rendered(&fixture::report(), &view),
            include_str!("expected/table.txt")
        );
    }

    /// Check that lines are cut to the width, and that no line ends in a blank.
    #[test]
    fn lines_fit_the_width() {
        for width in [80, 60, 40, 20] {
            let view = View {
                width: Some(width),
                stacks: Stacks::All,
                all: true,
                ..example()
            };
            let text = rendered(&fixture::report(), &view);
            for line in text.lines() {
                assert!(!line.ends_with(' '), "{line:?}");
            }
            let rows = text.lines().filter(|line| line.contains(" c->buf"));
            assert!(rows.into_iter().all(|line| line.chars().count() <= width));
        }
    }

    /// Check that without a terminal a source line is cut at 160 columns, and what programs look for is not: places and names.
    #[test]
    fn only_sources_are_cut_in_files() {
        struct Minified;
        impl SourceLines for Minified {
            fn line(&self, _: &str, _: u32) -> Option<String> {
                Some("x".repeat(1 << 20))
            }
        }
        let mut report = fixture::report();
        let long = "f".repeat(300);
        report.rows[0].function = Some(long.clone());
        let stack = &mut report.rows[0].stack;
        stack.edit(|frames| frames[1].function = Some(long.clone()));
        let view = View {
            stacks: Stacks::All,
            sources: &Minified,
            ..View::default()
        };
        let text = rendered(&report, &view);
        let columns = |line: &str| line.chars().count();
        let sources: Vec<&str> = text.lines().filter(|line| line.contains("xxx")).collect();
        assert!(sources.len() > 2 && sources.iter().all(|line| columns(line) == 160));
        assert_eq!(text.matches(&long).count(), 2);
    }

    /// Check that a zero has no sign, in rows as in the closing line's `0 B`, and stands under the numbers that have one.
    #[test]
    fn zeros_have_no_sign() {
        let mut report = fixture::report();
        report.rows[1].growth = fixture::amount(64 << 10, 0);
        let text = rendered(&report, &example());
        let row = "   +64.0 KiB           0   64.0 KiB   src/conn.c:88";
        assert!(text.contains(row), "{text}");
    }

    /// Check that with --all the rows that shrank are shown, and no longer counted as hidden.
    #[test]
    fn all_shows_what_shrank() {
        let view = View {
            all: true,
            top: Some(0),
            ..example()
        };
        let text = rendered(&fixture::report(), &view);
        assert!(text.contains("src/gone.c:5  gone"), "{text}");
        assert!(text.ends_with("   not attributed: 0 B\n"), "{text}");
    }

    /// Check that a stack stands under its row, with the charged frame marked.
    #[test]
    fn stacks_stand_under_rows() {
        let view = View {
            stacks: Stacks::All,
            ..example()
        };
        let text = rendered(&fixture::report(), &view);
        assert!(text.contains("    > src/conn.c:88  conn_new\n"), "{text}");
        assert!(text.contains("      src/util.c:12  xmalloc\n"), "{text}");
    }

    /// Check that hostile names, paths and source lines cannot drive a terminal.
    #[test]
    fn nothing_hostile_reaches_the_terminal() {
        struct Hostile;
        impl SourceLines for Hostile {
            fn line(&self, _: &str, _: u32) -> Option<String> {
                Some("x = \"\u{1b}]0;owned\u{7}\";".to_string())
            }
        }
        let mut report = fixture::report();
        report.target.name = "se\u{1b}[2Jrver".to_string();
        report.to.moment.name = "no\nw".to_string();
        for row in &mut report.rows {
            row.file = Some("/a/\u{9b}31m.c".to_string());
            row.function = Some("f\u{202e}g\r".to_string());
            row.via = Some("v\u{8}".to_string());
            row.stack.edit(|frames| {
                for frame in frames {
                    frame.module = Some("/lib/\u{1b}c.so".to_string());
                    frame.file = None;
                }
            });
        }
        for by in [By::Line, By::Function, By::File, By::Module, By::Stack] {
            report.by = by;
            let view = View {
                stacks: Stacks::All,
                sources: &Hostile,
                ..View::default()
            };
            let text = rendered(&report, &view);
            let lines = text.split('\n').map(str::to_string);
            assert!(
                !lines
                    .flat_map(|l| l.chars().collect::<Vec<_>>())
                    .any(char::is_control)
            );
        }
    }

    /// Check that colours are there when they are asked for, and do not count as columns.
    #[test]
    fn colours_only_when_asked() {
        let view = View {
            color: true,
            ..example()
        };
        let text = rendered(&fixture::report(), &view);
        assert!(
            text.contains("\x1b[1msrc/conn.c:88\x1b[0m  conn_new"),
            "{text}"
        );
        let plain: String = text
            .replace("\x1b[1m", "")
            .replace("\x1b[2m", "")
            .replace("\x1b[31m", "")
            .replace("\x1b[0m", "");
        assert_eq!(plain, rendered(&fixture::report(), &example()));
    }

    /// Check that sorting by what was allocated shows it, also for rows that did not grow.
    #[test]
    fn allocations_have_a_column() {
        let mut report = fixture::report();
        report.sort = Sort::Allocations;
        report.rows[2].growth = Amount::default();
        report.rows[2].total = fixture::amount(1 << 20, 1_000_000);
        let text = rendered(&report, &example());
        assert!(text.contains("       live  allocations   line\n"), "{text}");
        assert!(text.contains("   +1,000,000   [libfoo"), "{text}");
    }
}
