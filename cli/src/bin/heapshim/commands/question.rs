//! Questions to a recording: `diff FILE --from T --to T`, and `peak`, `temporary`, `lifetimes`, `sizes`. Each is a report like any other.

use super::output::say;
use super::pair::Pair;
use super::report;
use crate::args::{Diff, Format, Question as Args, Report, Sort, Temporary};
use crate::values::duration;
use heapshim_cli::catalog::Word;
use heapshim_cli::distribution::{BySite, Measure};
use heapshim_cli::error::{Error, Kind};
use heapshim_cli::mark::Mark;
use heapshim_cli::process::Origin;
use heapshim_cli::trace::{self, EXTENSION, Moment, Trace};
use std::path::{Path, PathBuf};

/// The recording that `diff` is asked about, if it is one.
pub(crate) fn recording(args: &Diff) -> Option<&PathBuf> {
    match &args.from {
        Some(Word::File(path)) if path.extension().is_some_and(|end| end == EXTENSION) => {
            Some(path)
        }
        _ => None,
    }
}

/// The growth between two instants.
pub(crate) fn diff(path: &Path, args: &Diff) -> Result<(), Error> {
    if args.to.is_some() {
        let problem = "a recording has its own instants";
        let next = "say which by --from TIME and --to TIME";
        return Err(Error::new(Kind::Usage, path.display(), problem).next(next));
    }
    report::check_forms(&args.report)?;
    let mut trace = open(path)?;
    let first = match &args.since {
        Some(word) => moment(&mut trace, path, word)?,
        None => named(0, "begin"),
    };
    let last = match &args.until {
        Some(word) => moment(&mut trace, path, word)?,
        None => named(u64::MAX, "end"),
    };
    let pair = Pair {
        first: Some(trace::state(&mut trace, &first)?),
        last: at_end(trace::state(&mut trace, &last)?, &trace, &last),
        origin: Origin::of_file(path),
    };
    // Takes every event between the two: only where it is wanted.
    let wanted = args.report.sort == Some(Sort::Survivors);
    let survivors = match wanted {
        true => Some(trace::survivors(&mut trace, first.ns, last.ns)?),
        false => None,
    };
    report::print(&pair.subject().surviving(survivors.as_ref()), &args.report)
}

/// What was alive at the highest moment.
pub(crate) fn peak(args: &Args) -> Result<(), Error> {
    ask(args, trace::peak)
}

/// What was freed by its thread's next operation, or one of the next.
pub(crate) fn temporary(args: &Temporary) -> Result<(), Error> {
    ask(&args.question, |trace| trace::temporary(trace, args.within))
}

/// How long blocks lived.
pub(crate) fn lifetimes(args: &Args) -> Result<(), Error> {
    spread(args, Measure::Lifetime, trace::lifetimes)
}

/// How large blocks were.
pub(crate) fn sizes(args: &Args) -> Result<(), Error> {
    spread(args, Measure::Size, trace::sizes)
}

fn spread(
    args: &Args,
    measure: Measure,
    answer: impl FnOnce(&mut Trace) -> Result<(Mark, BySite), Error>,
) -> Result<(), Error> {
    report::check(&args.report)?;
    if args.report.format == Format::Tracemalloc {
        let problem = "it has no place for how blocks were spread";
        let error = Error::new(Kind::Usage, "--format tracemalloc", problem);
        return Err(error.next("choose --format table or json"));
    }
    // Most of what is asked about here did not stay.
    let report = Report {
        sort: args.report.sort.or(Some(Sort::Allocations)),
        ..args.report.clone()
    };
    let (last, by_site) = answer(&mut open(&args.trace)?)?;
    let pair = Pair {
        first: None,
        last,
        origin: Origin::of_file(&args.trace),
    };
    report::print(&pair.subject().spreading(measure, &by_site), &report)
}

fn ask(args: &Args, answer: impl FnOnce(&mut Trace) -> Result<Mark, Error>) -> Result<(), Error> {
    report::check(&args.report)?;
    let mut trace = open(&args.trace)?;
    let pair = Pair {
        first: None,
        last: answer(&mut trace)?,
        origin: Origin::of_file(&args.trace),
    };
    report::print(&pair.subject(), &args.report)
}

/// The recording; what it lacks is said.
pub(super) fn open(path: &Path) -> Result<Trace, Error> {
    let trace = Trace::open(path)?;
    if trace.lost() > 0 {
        let lost = trace.lost();
        say(&format!(
            "heapshim: {}: {lost} events were lost while it was recorded: numbers are off by as many",
            path.display()
        ));
    }
    if trace.is_cut() {
        say(&format!(
            "heapshim: {}: the recording was cut off: it goes as far as its last whole second",
            path.display()
        ));
    }
    Ok(trace)
}

/// A time from the beginning, or a mark that the program took.
fn moment(trace: &mut Trace, path: &Path, word: &str) -> Result<Moment, Error> {
    let notes = trace.notes()?;
    if let Some((ns, name)) = notes.iter().rfind(|(_, name)| name == word) {
        return Ok(named(*ns, name));
    }
    let time = duration(word).map_err(|why| {
        let names: Vec<&str> = notes.iter().map(|(_, name)| &**name).collect();
        let next = match names.is_empty() {
            true => why,
            false => format!("{why}; marks in it: {}", names.join(", ")),
        };
        Error::new(
            Kind::Missing,
            path.display(),
            format!("{word}: no such moment"),
        )
        .next(next)
    })?;
    let ns = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    Ok(named(ns, word))
}

fn named(ns: u64, name: &str) -> Moment {
    Moment {
        ns,
        name: name.to_owned(),
    }
}

/// The end has a time of its own.
fn at_end(mut mark: Mark, trace: &Trace, moment: &Moment) -> Mark {
    if moment.ns > trace.length_ns() {
        mark.snapshot.moment.unix_ns = trace.begin_unix_ns().saturating_add(trace.length_ns());
    }
    mark
}
