//! Reports as text: one trait, one file a format.
//!
//! Called by the commands with a [`Report`] and a [`View`]; writes to whatever it is given and knows nothing of terminals.
//! Everything that came from the target (names, paths, source lines) is escaped on its way out: a function may be named so
//! that it would drive a terminal.

mod json;
mod paths;
mod sources;
mod stream;
mod table;
mod text;
mod tracemalloc;

pub use json::Json;
pub(crate) use paths::Labels;
pub use sources::{NoSources, SourceLines, Sources};
pub use stream::{Color, Stream};
pub use table::Table;
pub(crate) use table::heading;
pub(crate) use text::source_line;
pub use text::{after, blocks, duration, escape, grouped, lost, signed_size, size};
pub use tracemalloc::Tracemalloc;

use crate::report::Report;
use std::io;
use std::path::PathBuf;

/// How much of a report is shown, and for what kind of reader.
#[derive(Clone, Copy)]
pub struct View<'a> {
    /// Rows at most, 0: all. None: the format's own choice, which is 10 in the table and all in JSON.
    pub top: Option<usize>,
    /// Also rows that shrank (JSON always has them).
    pub all: bool,
    /// Which rows have their heaviest stack.
    pub stacks: Stacks,
    /// With terminal colours.
    pub color: bool,
    /// Columns of the terminal; None: no terminal, only source lines are cut then.
    pub width: Option<usize>,
    /// Paths below it are shown relative to it.
    pub current_dir: Option<&'a std::path::Path>,
    /// Where source lines come from.
    pub sources: &'a dyn SourceLines,
}

impl std::fmt::Debug for View<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let dir: Option<PathBuf> = self.current_dir.map(PathBuf::from);
        f.debug_struct("View")
            .field("top", &self.top)
            .field("all", &self.all)
            .field("stacks", &self.stacks)
            .field("color", &self.color)
            .field("width", &self.width)
            .field("current_dir", &dir)
            .finish_non_exhaustive()
    }
}

impl Default for View<'_> {
    fn default() -> Self {
        View {
            top: None,
            all: false,
            stacks: Stacks::Usual,
            color: false,
            width: None,
            current_dir: None,
            sources: &NoSources,
        }
    }
}

/// Which rows are shown with their heaviest stack.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stacks {
    /// The format's own choice: all in JSON; in the table those of a report by stack.
    #[default]
    Usual,
    /// All.
    All,
    /// None: of a report of ten thousand rows, the stacks are nine tenths.
    None,
}

/// A format.
pub trait Render {
    /// Writes the report.
    ///
    /// # Errors
    /// What `out` says.
    fn render(&self, report: &Report, view: &View<'_>, out: &mut dyn io::Write) -> io::Result<()>;
}
