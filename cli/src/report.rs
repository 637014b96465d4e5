//! What a diff found: the value between `diff` and `render`.
//!
//! Invariants, exact in integers, whatever the options (the first not where `cumulative`, which charges a block several times):
//!   Σ rows.growth + unattributed.growth = growth (bytes and blocks alike);
//!   growth = to.live − from.live;
//!   unattributed.growth includes unattributed.excluded: what the user's filters left out is in no row either.

use crate::blame::Mode;
use crate::complaint::Note;
use crate::distribution::{Distribution, Measure};
use crate::frees::Freed;
use crate::model::{Moment, Process};
use crate::rss::Rss;
use crate::symbolize::{Language, Stack, SymbolFrame};
use heapshim_ledger::sampling;
use std::collections::BTreeMap;
use std::rc::Rc;

/// What a row stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum By {
    /// A source line; an address where there is none.
    #[default]
    Line,
    /// A function.
    Function,
    /// A source file; a module where there is none.
    File,
    /// A loaded object.
    Module,
    /// A whole stack.
    Stack,
    /// The threads of one label.
    Thread,
}

impl By {
    /// The word for it in options and reports.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            By::Line => "line",
            By::Function => "function",
            By::File => "file",
            By::Module => "module",
            By::Stack => "stack",
            By::Thread => "thread",
        }
    }
}

/// What rows are sorted by, greatest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Sort {
    /// Bytes grown.
    #[default]
    Growth,
    /// Blocks grown.
    Blocks,
    /// Bytes alive at the end.
    Live,
    /// Bytes allocated between the two marks, freed since or not.
    Total,
    /// Blocks allocated between the two marks, freed since or not.
    Allocations,
    /// Bytes allocated after the first mark and alive at the second.
    Survivors,
    /// Blocks that their thread freed by its next operation, between the two marks.
    Temporary,
}

/// By site, what was allocated after the first mark and is alive at the second; nothing, of a site that is not in it.
pub type Survivors = BTreeMap<u32, Surviving>;

/// By site, what was freed by its thread's next operation; nothing, of a site that is not in it.
pub type Temporaries = BTreeMap<u32, Amount>;

/// What of one site, or of several, has survived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Surviving {
    /// This.
    Known(Amount),
    /// Of a part of it nobody knows.
    Unknown,
}

impl Surviving {
    /// What is known; None where it is not.
    #[must_use]
    pub fn known(self) -> Option<Amount> {
        match self {
            Surviving::Known(amount) => Some(amount),
            Surviving::Unknown => None,
        }
    }
}

impl Default for Surviving {
    /// Nothing.
    fn default() -> Surviving {
        Surviving::Known(Amount::default())
    }
}

impl std::ops::AddAssign for Surviving {
    fn add_assign(&mut self, more: Surviving) {
        *self = match (*self, more) {
            (Surviving::Known(one), Surviving::Known(other)) => {
                Surviving::Known([one, other].into_iter().sum())
            }
            _ => Surviving::Unknown,
        };
    }
}

/// Bytes and blocks; signed, since they are differences.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Amount {
    /// Bytes that the program asked for.
    pub bytes: i64,
    /// Blocks.
    pub blocks: i64,
}

impl std::ops::AddAssign for Amount {
    fn add_assign(&mut self, other: Amount) {
        self.bytes = self.bytes.wrapping_add(other.bytes);
        self.blocks = self.blocks.wrapping_add(other.blocks);
    }
}

impl std::ops::Neg for Amount {
    type Output = Amount;

    fn neg(self) -> Amount {
        Amount {
            bytes: self.bytes.wrapping_neg(),
            blocks: self.blocks.wrapping_neg(),
        }
    }
}

impl std::iter::Sum for Amount {
    fn sum<I: Iterator<Item = Amount>>(amounts: I) -> Amount {
        let mut sum = Amount::default();
        for amount in amounts {
            sum += amount;
        }
        sum
    }
}

/// One of the two ends: the moment, and what was alive then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    /// When, and how the process stood.
    pub moment: Moment,
    /// Alive then.
    pub live: Amount,
    /// What explains its resident memory, where the mark says it.
    pub rss: Option<Rss>,
}

/// What is in no row, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Unattributed {
    /// All of it.
    pub growth: Amount,
    /// Of which: left out by `--include` and `--exclude`.
    pub excluded: Amount,
    /// Allocated between the two marks, freed since or not, and in no row.
    pub total: Amount,
    /// Allocated after the first mark, alive at the second, and in no row; None where nobody looked.
    pub survivors: Option<Surviving>,
    /// Freed by its thread's next operation, and in no row; None where that is not known.
    pub temporary: Option<Amount>,
    /// Stacks walked between the two marks that ended early.
    pub truncated_stacks: i64,
    /// Events inside a hook between the two marks.
    pub nested_events: i64,
    /// Events between the two marks charged to the overflow site.
    pub overflow_events: i64,
    /// Frees between the two marks of blocks that were never seen.
    pub foreign_frees: i64,
    /// Blocks allocated between the two marks that the shadow had no room for: they are not in `growth` either.
    pub untracked_blocks: i64,
}

/// By how much numbers may be off, either way, in 95 of 100 runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Errors {
    /// Of what grew.
    pub growth: Amount,
    /// Of what is alive.
    pub live: Amount,
    /// Of what was allocated.
    pub total: Amount,
}

/// What was recorded between the two marks, where that was not each event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Partly {
    /// What is recorded at the second mark.
    pub mode: sampling::Mode,
    /// True where that was another at some time between the two.
    pub switched: bool,
    /// True where nothing was recorded at any time before the second mark.
    pub was_off: bool,
}

/// One row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Source file, absolute.
    pub file: Option<String>,
    /// Line; None also where the rows are of something greater than lines.
    pub line: Option<u32>,
    /// Function; None also where the rows are of something greater than functions.
    pub function: Option<String>,
    /// Module of the heaviest stack's blamed frame; None also where the rows are of threads.
    pub module: Option<String>,
    /// What it was written in.
    pub language: Language,
    /// What the blamed frame called to get its memory, in the heaviest stack.
    pub via: Option<String>,
    /// Label of the thread that the heaviest stack is of.
    pub thread: Option<String>,
    /// Grown between the two marks.
    pub growth: Amount,
    /// Alive at the second mark.
    pub live: Amount,
    /// Allocated between the two marks, freed since or not.
    pub total: Amount,
    /// How far these three may be off; None where they are exact.
    pub errors: Option<Errors>,
    /// Allocated after the first mark and alive at the second; None where nobody looked.
    pub survivors: Option<Surviving>,
    /// Freed by its thread's next operation, between the two marks; None where that is not known.
    pub temporary: Option<Amount>,
    /// How its blocks were spread, where the report is of that.
    pub distribution: Option<Distribution>,
    /// Who freed the blocks of its group (`frees::Groups`), where somebody asked: of stacks, those of the line that they are charged to may be one.
    pub freed: Option<Rc<Freed>>,
    /// The heaviest stack, innermost frame first.
    pub stack: Stack,
    /// The place in `stack` of the frame that is charged.
    pub blamed: usize,
}

impl Row {
    /// The frame that is charged; None only for a row made without a stack.
    #[must_use]
    pub fn blamed_frame(&self) -> Option<&SymbolFrame> {
        self.stack.get(self.blamed)
    }

    /// True where it ended with less than it began with.
    #[must_use]
    pub fn shrank(&self) -> bool {
        (self.growth.bytes, self.growth.blocks) < (0, 0)
    }

    /// True where it ended with more than it began with.
    #[must_use]
    pub fn grew(&self) -> bool {
        (self.growth.bytes, self.growth.blocks) > (0, 0)
    }
}

impl Report {
    /// Events that are missing, where it is of a recording: in all of it, so that each answer may be off by as many.
    #[must_use]
    pub fn lost_events(&self) -> u64 {
        let [from, to] = [&self.from, &self.to].map(|end| end.moment.lost_events);
        from.max(to)
    }

    /// What the resident memory grew by, by kind; None where a mark does not say.
    #[must_use]
    pub fn rss_growth(&self) -> Option<Rss> {
        Some(self.to.rss? - self.from.rss?)
    }
}

/// The growth between two moments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Whose: the process of the second mark.
    pub target: Process,
    /// True where the two marks are of two processes, or of two programs that one process ran.
    pub two_processes: bool,
    /// How many processes' accounts were merged into it; None: it is of one.
    pub merged: Option<usize>,
    /// What it had resident at most, or a process that it waited for: known of a command that `run` has seen end.
    pub peak_rss: Option<u64>,
    /// The most bytes that were live at once until the second mark; of several processes, the sum of what each had at most.
    pub peak_bytes: i64,
    /// The first mark.
    pub from: End,
    /// The second mark.
    pub to: End,
    /// Grown in all.
    pub growth: Amount,
    /// Mean bytes between samples, the largest where there were several; None: what was recorded was counted.
    pub sample_bytes: Option<u64>,
    /// What was recorded; None: each event.
    pub partly: Option<Partly>,
    /// How far what grew, what lives and what was allocated in all may be off; None where they are exact.
    pub errors: Option<Errors>,
    /// What survived in all; None where nobody looked.
    pub survivors: Option<Surviving>,
    /// What was temporary in all; None where that is not known.
    pub temporary: Option<Amount>,
    /// Where growth is what was temporary in a recording: within how many operations of its thread.
    pub temporary_within: Option<u64>,
    /// What the rows' distributions are of, and that of all; None where they have none.
    pub distribution: Option<(Measure, Distribution)>,
    /// What to know before the numbers are believed, gravest first.
    pub notes: Vec<Note>,
    /// What is in no row.
    pub unattributed: Unattributed,
    /// What the rows stand for.
    pub by: By,
    /// Which frame of a stack is charged.
    pub mode: Mode,
    /// True where every frame of a stack is: then rows do not add up to the growth.
    pub cumulative: bool,
    /// True where `--include` or `--exclude` left out what they did not want.
    pub filtered: bool,
    /// What they are sorted by.
    pub sort: Sort,
    /// All of them, also those that shrank.
    pub rows: Vec<Row>,
}
