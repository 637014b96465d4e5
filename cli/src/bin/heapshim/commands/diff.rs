//! `heapshim diff`: what grew between two marks.

use super::output::say;
use super::pair::Pair;
use super::recorded::Between;
use super::{question, report};
use crate::args::{Diff as Args, Sort};
use heapshim_cli::catalog::{Catalog, Word, command};
use heapshim_cli::error::{Error, Kind};
use std::io::{self, BufRead};
use std::thread;

/// Finds or takes the two marks and prints the report.
pub(crate) fn run(args: &Args) -> Result<(), Error> {
    if let Some(between) = Between::of(&args.compared, &args.instants)? {
        return question::diff(between, &args.report, args.freed_by);
    }
    if args.freed_by {
        return Err(unrecorded());
    }
    match args.compared.from {
        Some(Word::Start) => report::check(&args.report)?,
        _ => report::check_forms(&args.report)?,
    }
    let target = args.compared.target.target.as_deref();
    let pair = match args.wait || args.period.is_some() {
        true => taken(&Catalog::of(target)?, args)?,
        false => Pair::of(&args.compared)?,
    };
    let survivors = pair.survivors();
    if survivors.is_none() && args.report.sort == Some(Sort::Survivors) {
        return Err(unpinned(&pair, target));
    }
    let temporaries = pair.temporaries();
    let subject = pair.subject().surviving(survivors.as_ref());
    report::print(&subject.temporary(temporaries.as_ref()), &args.report)
}

fn unrecorded() -> Error {
    let problem = "only a recording knows who freed";
    let next = "heapshim record --free-stacks -o FILE.heaptrace, then heapshim diff FILE.heaptrace --freed-by";
    Error::new(Kind::Usage, "--freed-by", problem).next(next)
}

fn unpinned(pair: &Pair, target: Option<&str>) -> Error {
    let mark = command("mark", target);
    let (problem, next) = match &pair.first {
        None => (
            "all that has been there since the start has survived",
            format!("the growth from `start` says it; else begin with a mark: {mark} --survivors"),
        ),
        Some(_) => (
            "between these two marks it is not known what was allocated when",
            format!(
                "begin with a mark that was taken for it, in exact mode: {mark} --survivors; or ask a recording"
            ),
        ),
    };
    Error::new(Kind::Usage, "--sort survivors", problem).next(next)
}

fn taken(catalog: &Catalog, args: &Args) -> Result<Pair, Error> {
    let first = match args.report.sort {
        Some(Sort::Survivors) => catalog.pin("first")?,
        _ => catalog.take("first")?,
    };
    wait(args)?;
    Ok(Pair {
        first: Some(first),
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
fn entered() -> Result<bool, Error> {
    let read = io::stdin().lock().read_line(&mut String::new());
    let bytes = read.map_err(|error| Error::io("stdin", "not read", error))?;
    Ok(bytes > 0)
}
