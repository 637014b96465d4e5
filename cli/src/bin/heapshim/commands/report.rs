//! The report that `diff`, `run` and `demo` print: words of the command line turned into diff, symbolizer and renderer.

use super::output;
use crate::args::{Blame, By, Color, Format, Report as Args, Sort};
use heapshim_cli::blame::{self, Mode};
use heapshim_cli::diff::{self, From};
use heapshim_cli::directory;
use heapshim_cli::error::Error;
use heapshim_cli::mark::Mark;
use heapshim_cli::process::Origin;
use heapshim_cli::render::{Json, Render, SourceLines, Sources, Table, View};
use heapshim_cli::report;
use heapshim_cli::symbolize::{self, Symbolizer};
use rustix::termios::tcgetwinsize;
use std::env;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;

/// What a report is about.
pub(crate) struct Subject<'a> {
    from: Option<&'a Mark>,
    to: &'a Mark,
    origin: Origin,
    embedded: Option<Embedded>,
}

/// A source file that this executable carries: the end of its path, and its text.
type Embedded = (&'static str, &'static str);

impl<'a> Subject<'a> {
    /// From one mark (None: the start) to another.
    pub(crate) fn new(from: Option<&'a Mark>, to: &'a Mark, origin: Origin) -> Subject<'a> {
        Subject {
            from,
            to,
            origin,
            embedded: None,
        }
    }

    /// The same, with a source file that need not be looked for.
    pub(crate) fn embedding(self, file: Embedded) -> Subject<'a> {
        Subject {
            embedded: Some(file),
            ..self
        }
    }
}

/// Prints the growth to stdout, or to `-o FILE`.
pub(crate) fn print(subject: &Subject<'_>, args: &Args) -> Result<(), Error> {
    let text = text(subject, args, &Output::of(&io::stdout(), args))?;
    output::write(&text, args.output.as_deref())
}

/// Prints the growth from the start to a command's end to stderr, or to `-o FILE`.
pub(crate) fn finish(to: &Mark, args: &Args) -> Result<(), Error> {
    let subject = Subject::new(None, to, Origin::default());
    let text = text(&subject, args, &Output::of(&io::stderr(), args))?;
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

/// Source lines from files, and from the file that we carry.
struct Lines {
    files: Sources,
    embedded: Option<Embedded>,
}

impl SourceLines for Lines {
    fn line(&self, file: &str, line: u32) -> Option<String> {
        match self.embedded {
            Some((end, text)) if file.ends_with(end) => {
                let index = usize::try_from(line).ok()?.checked_sub(1)?;
                text.lines().nth(index).map(str::to_owned)
            }
            _ => self.files.line(file, line),
        }
    }
}

fn text(subject: &Subject<'_>, args: &Args, output: &Output) -> Result<Vec<u8>, Error> {
    let symbols = symbolize::Options {
        debug_dirs: args.debug_dir.clone(),
        source_dirs: args.source_dir.clone(),
        root: subject.origin.root.clone(),
    };
    let sources = Lines {
        files: Sources::new(&symbols, subject.origin.user),
        embedded: subject.embedded,
    };
    let from = subject
        .from
        .map_or(From::Start, |mark| From::Mark(&mark.snapshot));
    let mut symbolizer = Symbolizer::new(symbols);
    let report = diff::diff(from, &subject.to.snapshot, &mut symbolizer, &options(args));
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
