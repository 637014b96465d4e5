//! Changes gathered into rows: the part of a diff that knows what users look at.
//!
//! Called by `diff`. Each change is blamed on a frame; what that frame is to the user's `--by` is the row's key. The stack of a
//! row is symbolized whole only at the end, and only the heaviest one: `blame` needs a few frames of most stacks.

use super::change::Change;
use super::{Filter, Options};
use crate::blame::{self, Blamed};
use crate::report::{Amount, By, Row, Sort, Unattributed};
use crate::symbolize::{SymbolFrame, Symbolizer, nodes};
use std::cmp::Reverse;
use std::collections::HashMap;

/// What rows are told apart by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    Line(String, u32),
    /// No line is known: an address of a module, or one in no module.
    Address(Option<String>, u64),
    Function(String, String),
    File(String),
    Module(Option<String>),
    Stack(Vec<SymbolFrame>),
}

/// A row while it is gathered.
#[derive(Debug)]
struct Gathered<'a> {
    growth: Amount,
    live: Amount,
    total: Amount,
    /// The heaviest change so far among those that grew, and among those that did not.
    heaviest: [Option<(Change<'a>, Blamed)>; 2],
}

/// The rows while they are gathered.
#[derive(Debug)]
pub(super) struct Rows<'a> {
    options: &'a Options,
    filter: Filter,
    by_key: HashMap<Key, usize>,
    gathered: Vec<Gathered<'a>>,
    unattributed: Unattributed,
}

impl<'a> Rows<'a> {
    pub(super) fn new(options: &'a Options) -> Rows<'a> {
        Rows {
            options,
            filter: Filter::new(options),
            by_key: HashMap::new(),
            gathered: Vec::new(),
            unattributed: Unattributed::default(),
        }
    }

    /// Charges a change to its row, or to nobody.
    pub(super) fn add(&mut self, change: Change<'a>, symbolizer: &mut Symbolizer) {
        let frames =
            nodes(change.snapshot, change.frame).map(|node| symbolizer.node(change.snapshot, node));
        let Some(blamed) = blame::blame(&self.options.table, self.options.mode, frames) else {
            self.unattributed.growth += change.growth;
            return;
        };
        if !self.filter.passes(&blamed) {
            self.unattributed.growth += change.growth;
            self.unattributed.excluded += change.growth;
            return;
        }
        let key = match self.options.by {
            By::Stack => Key::Stack(symbolizer.stack(change.snapshot, change.frame)),
            by => key(by, &blamed.frame),
        };
        let next = self.gathered.len();
        let at = *self.by_key.entry(key).or_insert(next);
        if at == next {
            self.gathered.push(Gathered::new());
        }
        self.gathered[at].add(change, blamed);
    }

    /// The rows, sorted, and what is in none.
    pub(super) fn finish(self, symbolizer: &mut Symbolizer) -> (Vec<Row>, Unattributed) {
        let by = self.options.by;
        let rows = self.gathered.into_iter();
        let mut rows: Vec<Row> = rows.filter_map(|row| row.finish(by, symbolizer)).collect();
        sort(&mut rows, self.options.sort);
        (rows, self.unattributed)
    }
}

impl<'a> Gathered<'a> {
    fn new() -> Gathered<'a> {
        Gathered {
            growth: Amount::default(),
            live: Amount::default(),
            total: Amount::default(),
            heaviest: [None, None],
        }
    }

    fn add(&mut self, change: Change<'a>, blamed: Blamed) {
        self.growth += change.growth;
        self.live += change.live;
        self.total += change.total;
        let slot = &mut self.heaviest[usize::from(change.growth.bytes < 0)];
        let is_heavier = slot
            .as_ref()
            .is_none_or(|(held, _)| weight(&change) > weight(held));
        if is_heavier {
            *slot = Some((change, blamed));
        }
    }

    /// The stack shown is one that went the way that the row went: a row that grew is not explained by what it freed.
    fn finish(self, by: By, symbolizer: &mut Symbolizer) -> Option<Row> {
        let [grew, shrank] = self.heaviest;
        let (change, blamed) = if self.growth.bytes < 0 {
            shrank.or(grew)
        } else {
            grew.or(shrank)
        }?;
        let stack = symbolizer.stack(change.snapshot, change.frame);
        let at = stack.iter().position(|frame| *frame == blamed.frame);
        let frame = blamed.frame;
        let (by_file, by_function) = (by != By::Module, !matches!(by, By::Module | By::File));
        let by_line = by_function && by != By::Function;
        Some(Row {
            file: frame.file.filter(|_| by_file),
            line: frame.line.filter(|_| by_line),
            function: frame.function.filter(|_| by_function),
            module: frame.module,
            language: frame.language,
            via: blamed.via.filter(|_| by_function),
            growth: self.growth,
            live: self.live,
            total: self.total,
            stack,
            blamed: at.unwrap_or(0),
        })
    }
}

fn weight(change: &Change<'_>) -> (u64, i64, u64) {
    let blocks = change.growth.blocks.unsigned_abs();
    (
        change.growth.bytes.unsigned_abs(),
        change.total.bytes,
        blocks,
    )
}

fn key(by: By, frame: &SymbolFrame) -> Key {
    let address = || Key::Address(frame.module.clone(), frame.address);
    match (by, &frame.file, frame.line, &frame.function) {
        (By::Module, ..) => match &frame.module {
            Some(module) => Key::Module(Some(module.clone())),
            None => Key::Module(None),
        },
        (By::File, Some(file), ..) => Key::File(file.clone()),
        (By::File, None, ..) => Key::Module(frame.module.clone()),
        (By::Function, file, _, Some(function)) => {
            let place = file.as_ref().or(frame.module.as_ref());
            Key::Function(place.cloned().unwrap_or_default(), function.clone())
        }
        (By::Line, Some(file), Some(line), _) => Key::Line(file.clone(), line),
        _ => address(),
    }
}

/// Greatest first; what is equal in that, by the other numbers, and then by name: the same diff always prints the same.
fn sort(rows: &mut [Row], by: Sort) {
    let first = |row: &Row| match by {
        Sort::Growth => row.growth.bytes,
        Sort::Blocks => row.growth.blocks,
        Sort::Live => row.live.bytes,
        Sort::Total => row.total.bytes,
        Sort::Allocations => row.total.blocks,
    };
    let numbers = |row: &Row| {
        let growth = row.growth;
        Reverse((
            first(row),
            growth.bytes,
            growth.blocks,
            row.live.bytes,
            row.total.bytes,
        ))
    };
    let name = |row: &Row| {
        (
            row.file.clone(),
            row.line,
            row.function.clone(),
            row.module.clone(),
        )
    };
    rows.sort_by(|one, other| {
        numbers(one)
            .cmp(&numbers(other))
            .then_with(|| name(one).cmp(&name(other)))
            .then_with(|| one.stack.cmp(&other.stack))
    });
}
