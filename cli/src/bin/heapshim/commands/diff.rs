//! `heapshim diff`: what grew between two marks.

use super::output::say;
use super::pair::Pair;
use super::report;
use crate::args::Diff as Args;
use heapshim_cli::catalog::Catalog;
use heapshim_cli::error::{Error, Kind};
use std::io::{self, BufRead};
use std::thread;

/// Finds or takes the two marks and prints the report.
pub(crate) fn run(args: &Args) -> Result<(), Error> {
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
    let read = io::stdin().lock().read_line(&mut String::new());
    match read {
        Ok(0) => {
            let problem = "it has ended: nobody can press Enter";
            let next = "run it in a terminal, or use --for TIME";
            Err(Error::new(Kind::Missing, "stdin", problem).next(next))
        }
        Ok(_) => Ok(()),
        Err(error) => Err(Error::io("stdin", "not read", error)),
    }
}
