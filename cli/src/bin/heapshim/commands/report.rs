//! The report that `diff`, `run` and `demo` print: words of the command line turned into diff, symbolizer and renderer.

use super::{lines, output};
use crate::args::{By, Color, Format, Report as Args, Sort};
use heapshim_cli::blame::Mode;
use heapshim_cli::diff;
use heapshim_cli::directory;
use heapshim_cli::error::{Error, Kind};
use heapshim_cli::frees::Groups;
use heapshim_cli::mark::Mark;
use heapshim_cli::process::Origin;
use heapshim_cli::render::{self, Json, Render, Stacks, Stream, Table, Tracemalloc, View};
use heapshim_cli::report;
use heapshim_cli::subject::Subject;
use heapshim_cli::temporaries;
use std::env;
use std::io::{self, Write};

/// Prints the growth to stdout, or to `-o FILE`.
pub(crate) fn print(subject: &Subject<'_>, args: &Args) -> Result<(), Error> {
    let stream = Stream::of(&io::stdout(), color(args));
    output::write(&text(subject, args, stream)?, args.output.as_deref())
}

/// The rows of all sites, as `print` would have them.
pub(crate) fn groups(subject: &Subject<'_>, args: &Args) -> Groups {
    subject.groups(lines::places(&args.lines, false), &options(args))
}

/// Prints the growth from the start to a command's end to stderr, or to `-o FILE`; `merged`: of how many processes it is the sum;
/// `peak_rss`: what they had resident at most.
pub(crate) fn finish(
    to: &Mark,
    merged: Option<usize>,
    peak_rss: Option<u64>,
    args: &Args,
) -> Result<(), Error> {
    let subject = Subject::new(None, to, Origin::default()).peaking(peak_rss);
    let temporaries = temporaries::between(None, &to.snapshot);
    let subject = subject.temporary(temporaries.as_ref());
    let subject = match merged {
        Some(processes) => subject.merging(processes),
        None => subject,
    };
    let text = text(&subject, args, Stream::of(&io::stderr(), color(args)))?;
    match &args.output {
        Some(path) => directory::write_file(path, &text),
        None => {
            let written = io::stderr().lock().write_all(&text);
            written.map_err(|error| Error::io("stderr", "not written", error))
        }
    }
}

fn text(subject: &Subject<'_>, args: &Args, stream: Stream) -> Result<Vec<u8>, Error> {
    if args.sort == Some(Sort::Temporary) && !subject.knows_temporaries() {
        return Err(not_counted());
    }
    let stream = match args.output {
        Some(_) => Stream::file(color(args)),
        None => stream,
    };
    let as_named = args.format == Format::Tracemalloc;
    let places = lines::places(&args.lines, as_named);
    let (report, sources) = subject.report(places, &options(args));
    let current_dir = env::current_dir().ok();
    let view = View {
        top: args.top,
        all: args.all,
        stacks: stacks(args),
        color: stream.color,
        width: stream.width,
        current_dir: current_dir.as_deref(),
        sources: &sources,
    };
    let mut bytes = Vec::new();
    let rendered = match args.format {
        Format::Table => Table.render(&report, &view, &mut bytes),
        Format::Json => Json.render(&report, &view, &mut bytes),
        Format::Tracemalloc => Tracemalloc.render(&report, &view, &mut bytes),
    };
    rendered.map_err(|error| Error::io("report", "not written", error))?;
    Ok(bytes)
}

/// Refuses what has no meaning together, before anything is run or taken.
pub(crate) fn check(args: &Args) -> Result<(), Error> {
    if args.sort == Some(Sort::Survivors) {
        let problem = "this report has no first mark that survivors could be counted from";
        let error = Error::new(Kind::Usage, "--sort survivors", problem);
        return Err(error
            .next("ask between two marks (heapshim mark --survivors A, heapshim diff A B), or a recording: heapshim diff FILE --sort survivors"));
    }
    check_forms(args)
}

/// Nobody knows what was temporary.
pub(crate) fn not_counted() -> Error {
    let problem = "it is not known here which blocks were freed by their thread's next operation";
    let next = "compare the start, marks that `heapshim mark` took, or now, of one process that was always in exact mode; or ask a recording: heapshim temporary FILE";
    Error::new(Kind::Usage, "--sort temporary", problem).next(next)
}

/// The same of a recording's growth, of which more is known.
pub(crate) fn check_forms(args: &Args) -> Result<(), Error> {
    let by_lines = matches!(args.by, By::Line | By::File);
    if args.cumulative && args.by == By::Stack {
        let error = Error::new(
            Kind::Usage,
            "--cumulative",
            "a whole stack calls nothing else",
        );
        return Err(error.next("choose --by line, function, file or module"));
    }
    if args.format == Format::Tracemalloc && !by_lines && args.by != By::Stack {
        let error = Error::new(
            Kind::Usage,
            "--format tracemalloc",
            "it has lines, files and stacks",
        );
        return Err(error.next("choose --by line, file or stack"));
    }
    Ok(())
}

fn stacks(args: &Args) -> Stacks {
    match (args.stacks, args.no_stacks) {
        (_, true) => Stacks::None,
        (true, _) => Stacks::All,
        _ => Stacks::Usual,
    }
}

fn color(args: &Args) -> render::Color {
    match args.color {
        Color::Auto => render::Color::Auto,
        Color::Always => render::Color::Always,
        Color::Never => render::Color::Never,
    }
}

fn options(args: &Args) -> diff::Options {
    let default = match args.format {
        Format::Tracemalloc => Mode::Python,
        Format::Table | Format::Json => Mode::App,
    };
    diff::Options {
        by: lines::by(args.by),
        sort: match args.sort.unwrap_or(Sort::Growth) {
            Sort::Growth => report::Sort::Growth,
            Sort::Blocks => report::Sort::Blocks,
            Sort::Live => report::Sort::Live,
            Sort::Total => report::Sort::Total,
            Sort::Allocations => report::Sort::Allocations,
            Sort::Survivors => report::Sort::Survivors,
            Sort::Temporary => report::Sort::Temporary,
        },
        cumulative: args.cumulative,
        ..lines::options(&args.lines, default)
    }
}
