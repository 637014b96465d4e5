//! `heapshim report`: the growth between two marks as a page for a browser.

use super::pair::Pair;
use super::recorded::Between;
use super::{lines, output};
use crate::args::Page as Args;
use heapshim_cli::blame::Mode;
use heapshim_cli::diff;
use heapshim_cli::error::{Error, Kind};
use heapshim_cli::frees::{Freed, Groups};
use heapshim_cli::render::{Render, View};
use heapshim_cli::report::By;
use heapshim_cli::report_page::Page;
use heapshim_cli::subject::Subject;
use std::env;
use std::io::{self, IsTerminal};
use std::rc::Rc;

/// Finds or takes the two marks and writes the page.
pub(crate) fn run(args: &Args) -> Result<(), Error> {
    if args.output.is_none() && io::stdout().is_terminal() {
        let error = Error::new(Kind::Usage, "report", "a page is no text for a terminal");
        return Err(error.next("write it to a file: -o report.html"));
    }
    let asked = match Between::of(&args.compared, &args.instants)? {
        Some(between) => Asked::recorded(between, args)?,
        None => Asked::of(Pair::of(&args.compared)?),
    };
    // Stacks one by one: the page adds them up by line itself.
    let options = diff::Options {
        by: By::Stack,
        ..lines::options(&args.lines, Mode::App)
    };
    let places = lines::places(&args.lines, false);
    let (report, sources) = asked.subject().report(places, &options);
    let current_dir = env::current_dir().ok();
    let view = View {
        current_dir: current_dir.as_deref(),
        sources: &sources,
        ..View::default()
    };
    let mut bytes = Vec::new();
    let written = asked.page.render(&report, &view, &mut bytes);
    written.map_err(|error| Error::io("report", "not written", error))?;
    output::write_bytes(&bytes, args.output.as_deref())
}

/// What the page is of.
struct Asked {
    pair: Pair,
    page: Page,
    /// Who freed the blocks of each line, of a recording that knows.
    freed: Option<(Groups, Vec<Rc<Freed>>)>,
}

impl Asked {
    fn of(pair: Pair) -> Asked {
        Asked {
            pair,
            page: Page::default(),
            freed: None,
        }
    }

    /// Of a recording the page has all that was alive, too, and what happened.
    fn recorded(mut between: Between, args: &Args) -> Result<Asked, Error> {
        let pair = between.pair()?;
        let timeline = Some(between.timeline()?);
        let freed = match between.has_frees() {
            true => {
                // By line, as the page adds them up.
                let options = lines::options(&args.lines, Mode::App);
                let groups = pair
                    .subject()
                    .groups(lines::places(&args.lines, false), &options);
                let freed = between.freed(&groups)?;
                Some((groups, freed))
            }
            false => None,
        };
        Ok(Asked {
            pair,
            page: Page { timeline },
            freed,
        })
    }

    fn subject(&self) -> Subject<'_> {
        let subject = self.pair.subject();
        match &self.freed {
            Some((groups, freed)) => subject.freeing(groups, freed),
            None => subject,
        }
    }
}
