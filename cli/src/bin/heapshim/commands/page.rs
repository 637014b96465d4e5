//! `heapshim report`: the growth between two marks as a page for a browser.

use super::pair::Pair;
use super::recorded::Between;
use super::{lines, output};
use crate::args::Page as Args;
use heapshim_cli::blame::Mode;
use heapshim_cli::diff;
use heapshim_cli::error::{Error, Kind};
use heapshim_cli::render::{Render, View};
use heapshim_cli::report::By;
use heapshim_cli::report_page::Page;
use std::env;
use std::io::{self, IsTerminal};

/// Finds or takes the two marks and writes the page.
pub(crate) fn run(args: &Args) -> Result<(), Error> {
    if args.output.is_none() && io::stdout().is_terminal() {
        let error = Error::new(Kind::Usage, "report", "a page is no text for a terminal");
        return Err(error.next("write it to a file: -o report.html"));
    }
    let (from, to) = (args.from.as_ref(), args.to.as_ref());
    let (pair, page) = match Between::of(from, to, &args.instants)? {
        Some(between) => recorded(between)?,
        None => {
            let target = args.target.target.as_deref();
            (Pair::of(target, from, to)?, Page::default())
        }
    };
    // Stacks one by one: the page adds them up by line itself.
    let options = diff::Options {
        by: By::Stack,
        ..lines::options(&args.lines, Mode::App)
    };
    let places = lines::places(&args.lines, false);
    let (report, sources) = pair.subject().report(places, &options);
    let current_dir = env::current_dir().ok();
    let view = View {
        current_dir: current_dir.as_deref(),
        sources: &sources,
        ..View::default()
    };
    let mut bytes = Vec::new();
    let written = page.render(&report, &view, &mut bytes);
    written.map_err(|error| Error::io("report", "not written", error))?;
    output::write_bytes(&bytes, args.output.as_deref())
}

/// Of a recording it has all that was alive, too.
fn recorded(mut between: Between) -> Result<(Pair, Page), Error> {
    let pair = between.pair()?;
    let timeline = Some(between.timeline()?);
    Ok((pair, Page { timeline }))
}
