//! `heapshim diff`: what grew between two marks.

use super::output::say;
use super::pair::Pair;
use super::recorded::Between;
use super::{question, report};
use crate::args::Diff as Args;
use heapshim_cli::catalog::Catalog;
use heapshim_cli::error::{Error, Kind};
use std::io::{self, BufRead};
use std::thread;

/// Finds or takes the two marks and prints the report.
pub(crate) fn run(args: &Args) -> Result<(), Error> {
    let recorded = Between::of(args.from.as_ref(), args.to.as_ref(), &args.instants)?;
    if let Some(between) = recorded {
        return question::diff(between, &args.report);
    }
    report::check(&args.report)?;
    let target = args.target.target.as_deref();
    let pair = match args.wait || args.period.is_some() {
        true => taken(&Catalog::of(target)?, args)?,
        false => Pair::of(target, args.from.as_ref(), args.to.as_ref())?,
    };
    report::print(&pair.subject(), &args.report)
}

fn taken(catalog: &Catalog, args: &Args) -> Result<Pair, Error> {
    let first = Some(catalog.take("first")?);
    wait(args)?;
    Ok(Pair {
        first,
        last: catalog.take("now")?,
        origin: catalog.origin(),
    })
}

fn wait(args: &Args) -> Result<(), Error> {
    if let Some(period) = args.period {
        thread::sleep(period);
        return Ok(());
    }
    say("marked; press Enter for the second mark");
    if entered()? {
        return Ok(());
    }
    let problem = "it has ended: nobody can press Enter";
    let next = "run it in a terminal, or use --for TIME";
    Err(Error::new(Kind::Missing, "stdin", problem).next(next))
}

/// Waits for a line on stdin; false where it has ended.
pub(super) fn entered() -> Result<bool, Error> {
    let read = io::stdin().lock().read_line(&mut String::new());
    let bytes = read.map_err(|error| Error::io("stdin", "not read", error))?;
    Ok(bytes > 0)
}
