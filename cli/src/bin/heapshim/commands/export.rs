//! `heapshim export`: the growth between two marks in the form of another tool.

use super::output::say;
use super::pair::Pair;
use super::{lines, output};
use crate::args::{Export as Args, ExportFormat as Format};
use heapshim_cli::blame::Mode;
use heapshim_cli::diff;
use heapshim_cli::error::{Error, Kind};
use heapshim_cli::export::{
    Csv, Dot, Flamegraph, Folded, Markdown, Massif, Pprof, Speedscope, below_zero,
};
use heapshim_cli::render::{Render, View, size};
use heapshim_cli::report::{By, Report};
use std::env;
use std::io::{self, IsTerminal};

/// Finds or takes the two marks and writes the growth.
pub(crate) fn run(args: &Args) -> Result<(), Error> {
    check(args)?;
    let pair = Pair::asked(&args.compared, &args.instants)?;
    let options = diff::Options {
        by: if has_rows(args.format) {
            args.by.map_or(By::Line, lines::by)
        } else {
            By::Stack
        },
        ..lines::options(&args.lines, Mode::App)
    };
    let places = lines::places(&args.lines, false);
    let (report, sources) = pair.subject().report(places, &options);
    let current_dir = env::current_dir().ok();
    let view = View {
        top: args.top,
        current_dir: current_dir.as_deref(),
        sources: &sources,
        ..View::default()
    };
    let mut bytes = Vec::new();
    let written = form(args.format).render(&report, &view, &mut bytes);
    written.map_err(|error| Error::io("export", "not written", error))?;
    say_what_is_missing(args.format, &report);
    output::write_bytes(&bytes, args.output.as_deref())
}

fn form(format: Format) -> &'static dyn Render {
    match format {
        Format::Pprof => &Pprof,
        Format::Folded => &Folded,
        Format::Flamegraph => &Flamegraph,
        Format::Speedscope => &Speedscope,
        Format::Massif => &Massif,
        Format::Dot => &Dot,
        Format::Csv => &Csv,
        Format::Markdown => &Markdown,
    }
}

/// True for forms of rows; the others are of stacks.
fn has_rows(format: Format) -> bool {
    matches!(format, Format::Csv | Format::Markdown)
}

/// Refuses what has no meaning together, before any mark is taken.
fn check(args: &Args) -> Result<(), Error> {
    let refuse = |object: &str, problem: &str, next: &str| {
        Err(Error::new(Kind::Usage, object, problem).next(next))
    };
    if args.by.is_some() && !has_rows(args.format) {
        return refuse(
            "--by",
            "this form has whole stacks",
            "leave it out, or choose --format csv or markdown",
        );
    }
    if args.top.is_some() && !matches!(args.format, Format::Markdown | Format::Dot) {
        return refuse(
            "--top",
            "this form has everything",
            "leave it out, or choose --format markdown or dot",
        );
    }
    let to_terminal = args.output.is_none() && io::stdout().is_terminal();
    if args.format == Format::Pprof && to_terminal {
        return refuse(
            "--format pprof",
            "it is no text for a terminal",
            "write it to a file: -o growth.pb.gz",
        );
    }
    Ok(())
}

/// Forms that have no negative numbers cannot show blocks that were freed here and allocated elsewhere.
fn say_what_is_missing(format: Format, report: &Report) {
    let has_no_negatives = matches!(
        format,
        Format::Folded | Format::Flamegraph | Format::Massif | Format::Speedscope
    );
    let below = below_zero(report);
    if has_no_negatives && below < 0 {
        let below = size(below);
        say(&format!(
            "{below} of blocks that another process allocated are not in it: this form has no negative numbers"
        ));
    }
}
