//! What is looked at, and how: everything that the screen is drawn from.
//!
//! Invariant: `selected` is a line of `lines`, or 0 where there is none. A line that was chosen
//! stays selected by its name while the list moves under it; until one is, the first is selected, whichever it is.

use super::history::{History, Points};
use super::lines::{self, Line, Order};
use crate::render::{SourceLines, escape};
use crate::report::{By, Report};
use crate::symbolize::SymbolFrame;

/// The target, read once.
#[derive(Debug)]
pub struct Reading {
    /// Growth since the mark, in rows by [`State::by`].
    pub report: Report,
    /// Since the reading before; 0 at the first.
    pub seconds: f64,
}

/// Another traced process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Other {
    /// Its pid.
    pub pid: u32,
    /// What it is called.
    pub name: String,
    /// Bytes alive in it.
    pub live: i64,
    /// How deep below the oldest traced process of its tree.
    pub depth: usize,
}

/// What lies over the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Overlay {
    None,
    /// The words to filter by are typed.
    Typing,
    Help,
    /// The list of processes, at this one.
    Processes(usize),
}

/// All of it.
#[derive(Debug)]
pub struct State {
    /// With colours; without, what they say is said by bold, dim and reversed letters too.
    pub color: bool,
    /// What rows are to be.
    pub by: By,
    /// True while nothing is read.
    pub paused: bool,
    /// What the user is to know; gone at the next key.
    pub message: Option<String>,
    /// Set when the target has ended: nothing new comes.
    pub ended: bool,
    /// The other processes, when they were last looked for.
    pub others: Vec<Other>,
    pub(super) reading: Option<Reading>,
    pub(super) lines: Vec<Line>,
    pub(super) history: History,
    pub(super) heap: Points,
    pub(super) rss: Points,
    pub(super) order: Order,
    pub(super) filter: String,
    pub(super) selected: usize,
    /// A line was chosen: the selection is that line's, not the first place's.
    chosen: bool,
    pub(super) expanded: bool,
    /// The heaviest stack of the line that is expanded, as text.
    pub(super) stack: Vec<String>,
    pub(super) scroll: usize,
    pub(super) overlay: Overlay,
    followed: Option<By>,
}

impl State {
    /// Nothing read yet.
    #[must_use]
    pub fn new(color: bool) -> State {
        State {
            color,
            by: By::Line,
            paused: false,
            message: None,
            ended: false,
            others: Vec::new(),
            reading: None,
            lines: Vec::new(),
            history: History::default(),
            heap: Points::default(),
            rss: Points::default(),
            order: Order::Growth,
            filter: String::new(),
            selected: 0,
            chosen: false,
            expanded: false,
            stack: Vec::new(),
            scroll: 0,
            overlay: Overlay::None,
            followed: None,
        }
    }

    /// Takes a reading.
    pub fn read(&mut self, reading: Reading, sources: &dyn SourceLines) {
        let report = &reading.report;
        if self.followed != Some(report.by) {
            self.history = History::default();
            self.followed = Some(report.by);
        }
        let names: Vec<(String, i64)> = report
            .rows
            .iter()
            .map(|row| (lines::name(row, report.by), row.live.bytes))
            .collect();
        self.history
            .add(names.iter().map(|(name, live)| (name.as_str(), *live)));
        self.heap.add(report.to.live.bytes);
        let rss = i64::try_from(report.to.moment.rss_bytes);
        self.rss.add(rss.unwrap_or(i64::MAX));
        self.reading = Some(reading);
        if self.order == Order::Survivors && !self.has_survivors() {
            self.order = Order::Growth;
        }
        self.list();
        self.unfold(sources);
    }

    /// Another process is looked at: nothing of the last one's is kept.
    pub fn forget(&mut self) {
        let (color, by) = (self.color, self.by);
        *self = State {
            by,
            ..State::new(color)
        };
    }

    /// Shows the processes, the one that is looked at selected.
    pub fn show_others(&mut self, others: Vec<Other>) {
        let pid = self.pid();
        let at = others.iter().position(|other| Some(other.pid) == pid);
        self.others = others;
        self.overlay = Overlay::Processes(at.unwrap_or(0));
    }

    /// Looks up the stack of the selected line, where it is to be seen.
    pub fn unfold(&mut self, sources: &dyn SourceLines) {
        let row = self.lines.get(self.selected).map(|line| line.row);
        let report = self.reading.as_ref().map(|reading| &reading.report);
        let row = row.and_then(|row| report?.rows.get(row));
        self.stack = match row.filter(|_| self.expanded) {
            Some(row) => row
                .stack
                .iter()
                .enumerate()
                .flat_map(|(at, one)| frame(one, at == row.blamed, sources))
                .collect(),
            None => Vec::new(),
        };
    }

    pub(super) fn pid(&self) -> Option<u32> {
        self.reading
            .as_ref()
            .map(|reading| reading.report.target.pid)
    }

    /// True where the mark that growth is counted from tells what has survived since.
    pub(super) fn has_survivors(&self) -> bool {
        let report = self.reading.as_ref().map(|reading| &reading.report);
        report.is_some_and(|report| report.survivors.is_some())
    }

    pub(super) fn reorder(&mut self) {
        self.order = self.order.next(self.has_survivors());
        self.list();
    }

    pub(super) fn filter_by(&mut self, words: String) {
        self.filter = words;
        self.list();
    }

    pub(super) fn select(&mut self, at: usize) {
        self.selected = at.min(self.lines.len().saturating_sub(1));
        self.chosen = self.selected > 0;
        self.scroll = 0;
    }

    /// Makes the list anew.
    fn list(&mut self) {
        let chosen = self.lines.get(self.selected);
        let chosen = chosen.filter(|_| self.chosen || self.expanded);
        let name = chosen.map(|line| line.name.clone());
        let Some(reading) = &self.reading else { return };
        let (report, seconds) = (&reading.report, reading.seconds);
        self.lines = lines::lines(report, &self.history, seconds, self.order, &self.filter);
        let same = self
            .lines
            .iter()
            .position(|line| Some(&line.name) == name.as_ref());
        let kept = same.unwrap_or(self.selected);
        self.selected = kept.min(self.lines.len().saturating_sub(1));
    }
}

/// A frame, and its source under it.
fn frame(frame: &SymbolFrame, charged: bool, sources: &dyn SourceLines) -> Vec<String> {
    let arrow = if charged { ">" } else { " " };
    let label = crate::export::stacks::label(frame);
    let mut text = vec![format!("{arrow} {label}")];
    let line = frame.file.as_deref().zip(frame.line);
    let source = line.and_then(|(file, line)| sources.line(file, line));
    text.extend(source.map(|line| format!("      {}", escape(line.trim()))));
    text
}
