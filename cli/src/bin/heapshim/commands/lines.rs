//! Whose line is charged: the words that `diff`, `run`, `export`, `check` and `watch` have for it, as the stages want them.

use crate::args::{Blame, Bundle, By, Lines as Args};
use heapshim_cli::blame::{Mode, Table};
use heapshim_cli::diff;
use heapshim_cli::report;
use heapshim_cli::subject::Places;

/// Rows of lines, unless the caller wants others; `default`: whose, where the user does not say.
pub(crate) fn options(args: &Args, default: Mode) -> diff::Options {
    diff::Options {
        mode: args.blame.map_or(default, mode),
        table: table(args),
        include: args.include.clone(),
        exclude: args.exclude.clone(),
        ..diff::Options::default()
    }
}

/// Where files are; `as_named`: scripts keep the names that the interpreter has for them.
pub(crate) fn places(args: &Args, as_named: bool) -> Places {
    Places {
        debug_dirs: args.debug_dir.clone(),
        source_dirs: args.source_dir.clone(),
        as_named,
        quiet: false,
    }
}

/// Where files are that are taken along; None where nothing is.
pub(crate) fn bundle(args: &Bundle) -> Option<Places> {
    args.bundle.then(|| Places {
        debug_dirs: args.debug_dir.clone(),
        source_dirs: args.source_dir.clone(),
        ..Places::default()
    })
}

/// What a row is.
pub(crate) fn by(by: By) -> report::By {
    match by {
        By::Line => report::By::Line,
        By::Function => report::By::Function,
        By::File => report::By::File,
        By::Module => report::By::Module,
        By::Stack => report::By::Stack,
        By::Thread => report::By::Thread,
    }
}

fn mode(blame: Blame) -> Mode {
    match blame {
        Blame::App => Mode::App,
        Blame::Innermost => Mode::Innermost,
        Blame::Native => Mode::Native,
        Blame::Python => Mode::Python,
    }
}

fn table(args: &Args) -> Table {
    let skipped = |table: Table, pattern: &String| table.skip(pattern);
    let owned = |table: Table, pattern: &String| table.own(pattern);
    let table = args.skip.iter().fold(Table::default(), skipped);
    args.own.iter().fold(table, owned)
}
