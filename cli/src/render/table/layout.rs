//! How a row is laid out: its numbers under their columns, its place and what is missing of it, and the lines below it.
//!
//! Called by `table` with the rows that are printed: what they need decides how wide a column is, and how much of a path is shown.

use super::columns::{columns, numbers};
use super::distribution::Axis;
use super::freed;
use crate::frees::Freeing;
use crate::render::paths::Labels;
use crate::render::text::{cut, escape, source_line};
use crate::render::{Stacks, View};
use crate::report::{By, Report, Row};
use crate::symbolize::{Language, Reason, SymbolFrame};
use std::io::{self, Write};

/// Columns of a source line's end where there is no terminal: a minified file is one line of a megabyte.
const SOURCE_WIDTH: usize = 160;

/// Columns between a row's text and its reason, at least.
const GAP: usize = 3;

/// What no thread's label is known of: marks from before there were labels.
pub(in crate::render) const NO_THREAD: &str = "[no thread known]";

const GREEN: &str = "32";
const RED: &str = "31";
const BOLD: &str = "1";
const DIM: &str = "2";

/// How the rows of one table are laid out.
pub(super) struct Layout<'a> {
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
    pub(super) fn new(report: &'a Report, shown: &[&'a Row], view: &'a View<'a>) -> Layout<'a> {
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

    /// Where the text of a row begins.
    pub(super) fn indent(&self) -> usize {
        self.indent
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
    pub(super) fn heading(&self, out: &mut dyn Write) -> io::Result<()> {
        for (width, (name, _)) in self.widths.iter().zip(self.columns()) {
            write!(out, "{name:>width$}")?;
        }
        writeln!(out, "   {}", self.report.by.as_str())
    }

    pub(super) fn row(&self, row: &Row, out: &mut dyn Write) -> io::Result<()> {
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

/// `[libfoo.so.3+0x8f1c2]`, or `[0x7f…]` where the address lies in no module.
pub(in crate::render) fn address_in(module: Option<&str>, address: u64) -> String {
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
