//! The report that `diff`, `run` and `demo` print: words of the command line turned into diff, symbolizer and renderer.

use super::output;
use crate::args::{Blame, By, Color, Format, Report as Args, Sort};
use heapshim_cli::blame::{self, Mode};
use heapshim_cli::diff::{self, From};
use heapshim_cli::directory;
use heapshim_cli::error::Error;
use heapshim_cli::mark::Mark;
use heapshim_cli::process::Origin;
use heapshim_cli::render::{Json, Render, Sources, Table, View};
use heapshim_cli::report;
use heapshim_cli::symbolize::{self, Symbolizer};
use rustix::termios::tcgetwinsize;
use std::env;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;

/// Prints the growth between two marks to stdout, or to `-o FILE`.
pub(crate) fn print(
    from: Option<&Mark>,
    to: &Mark,
    origin: &Origin,
    args: &Args,
) -> Result<(), Error> {
    let text = text(from, to, origin, args, &Output::of(&io::stdout(), args))?;
    output::write(&text, args.output.as_deref())
}

/// Prints the growth from the start to a command's end to stderr, or to `-o FILE`.
pub(crate) fn finish(to: &Mark, args: &Args) -> Result<(), Error> {
    let text = text(
        None,
        to,
        &Origin::default(),
        args,
        &Output::of(&io::stderr(), args),
    )?;
    match &args.output {
        Some(path) => directory::write_file(path, &text),
        None => {
            let written = io::stderr().lock().write_all(&text);
            written.map_err(|error| Error::io("stderr", "not written", error))
        }
    }
}

/// What the report is printed to.
struct Output {
    color: bool,
    width: Option<usize>,
}

impl Output {
    fn of(stream: &(impl AsFd + IsTerminal), args: &Args) -> Output {
        let terminal = args.output.is_none() && stream.is_terminal();
        let plain = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let color = match args.color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => terminal && !plain,
        };
        let columns = || Some(usize::from(tcgetwinsize(stream).ok()?.ws_col));
        let width = terminal
            .then(columns)
            .flatten()
            .filter(|&columns| columns > 0);
        Output { color, width }
    }
}

fn text(
    from: Option<&Mark>,
    to: &Mark,
    origin: &Origin,
    args: &Args,
    output: &Output,
) -> Result<Vec<u8>, Error> {
    let symbols = symbolize::Options {
        debug_dirs: args.debug_dir.clone(),
        source_dirs: args.source_dir.clone(),
        root: origin.root.clone(),
    };
    let sources = Sources::new(&symbols, origin.user);
    let from = from.map_or(From::Start, |mark| From::Mark(&mark.snapshot));
    let report = diff::diff(
        from,
        &to.snapshot,
        &mut Symbolizer::new(symbols),
        &options(args),
    );
    let current_dir = env::current_dir().ok();
    let view = View {
        top: args.top,
        all: args.all,
        stacks: args.stacks,
        color: output.color,
        width: output.width,
        current_dir: current_dir.as_deref(),
        sources: &sources,
    };
    let mut bytes = Vec::new();
    let rendered = match args.format {
        Format::Table => Table.render(&report, &view, &mut bytes),
        Format::Json => Json.render(&report, &view, &mut bytes),
    };
    rendered.map_err(|error| Error::io("report", "not written", error))?;
    Ok(bytes)
}

fn options(args: &Args) -> diff::Options {
    let skipped = |table: blame::Table, pattern: &String| table.skip(pattern);
    diff::Options {
        by: match args.by {
            By::Line => report::By::Line,
            By::Function => report::By::Function,
            By::File => report::By::File,
            By::Module => report::By::Module,
            By::Stack => report::By::Stack,
        },
        sort: match args.sort {
            Sort::Growth => report::Sort::Growth,
            Sort::Blocks => report::Sort::Blocks,
            Sort::Live => report::Sort::Live,
            Sort::Total => report::Sort::Total,
            Sort::Allocations => report::Sort::Allocations,
        },
        mode: match args.blame {
            Blame::App => Mode::App,
            Blame::Innermost => Mode::Innermost,
            Blame::Native => Mode::Native,
        },
        table: args.skip.iter().fold(blame::Table::default(), skipped),
        include: args.include.clone(),
        exclude: args.exclude.clone(),
    }
}
