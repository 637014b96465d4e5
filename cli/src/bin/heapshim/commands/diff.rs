//! `heapshim diff`: what grew between two marks.

use super::output::say;
use super::report;
use crate::args::Diff as Args;
use heapshim_cli::catalog::{Catalog, Word};
use heapshim_cli::error::{Error, Kind};
use heapshim_cli::kept;
use heapshim_cli::mark::Mark;
use heapshim_cli::process::Origin;
use heapshim_cli::store;
use heapshim_cli::subject::Subject;
use std::io::{self, BufRead};
use std::thread;

/// Finds or takes the two marks and prints the report.
pub(crate) fn run(args: &Args) -> Result<(), Error> {
    report::check(&args.report)?;
    let (from, to) = match (&args.from, &args.to) {
        // A ledger is an account from its start: alone, it is what there is to see.
        (Some(ledger @ Word::File(path)), None) if kept::is_ledger(path) => {
            (Some(&Word::Start), Some(ledger))
        }
        (from, to) => (from.as_ref(), to.as_ref()),
    };
    if let (Some(from @ (Word::Start | Word::File(_))), Some(Word::File(to))) = (from, to) {
        let first = match from {
            Word::File(path) => Some(store::read_file(path)?),
            _ => None,
        };
        let last = store::read_file(to)?;
        let subject = Subject::new(first.as_ref(), &last, Origin::of_file(to));
        return report::print(&subject, &args.report);
    }
    let catalog = Catalog::of(args.target.target.as_deref())?;
    let (first, last) = marks(&catalog, args)?;
    let subject = Subject::new(first.as_ref(), &last, catalog.origin());
    report::print(&subject, &args.report)
}

fn marks(catalog: &Catalog, args: &Args) -> Result<(Option<Mark>, Mark), Error> {
    if args.wait || args.period.is_some() {
        let from = catalog.take("first")?;
        wait(args)?;
        return Ok((Some(from), catalog.take("now")?));
    }
    let from = match &args.from {
        Some(word) => catalog.get(word)?,
        None => catalog.last_or_start()?,
    };
    let to = catalog.get(args.to.as_ref().unwrap_or(&Word::Now))?;
    let to = to.ok_or_else(|| {
        let problem = "nothing comes before it: it cannot be the second mark";
        Error::new(Kind::Usage, "start", problem).next("write it first: heapshim diff start now")
    })?;
    Ok((from, to))
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
