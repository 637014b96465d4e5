//! Questions to a recording: `diff FILE --from T --to T`, and `peak`, `temporary`, `lifetimes`, `sizes`. Each is a report like any other.

use super::pair::Pair;
use super::recorded::{Between, open};
use super::report;
use crate::args::{Format, Question as Args, Report, Sort, Temporary};
use heapshim_cli::distribution::{BySite, Measure};
use heapshim_cli::error::{Error, Kind};
use heapshim_cli::mark::Mark;
use heapshim_cli::process::Origin;
use heapshim_cli::trace::{self, Trace};

/// The growth between two instants; `freed_by`: and who freed the blocks of what grew.
pub(crate) fn diff(mut between: Between, args: &Report, freed_by: bool) -> Result<(), Error> {
    report::check_forms(args)?;
    check_frees(&between, args, freed_by)?;
    let pair = between.pair()?;
    // Takes every event between the two: only where it is wanted.
    let survivors = match args.sort == Some(Sort::Survivors) {
        true => Some(between.survivors()?),
        false => None,
    };
    let temporaries = match args.sort == Some(Sort::Temporary) {
        true => Some(between.temporaries()?),
        false => None,
    };
    let groups = freed_by.then(|| report::groups(&pair.subject(), args));
    let freed = groups.as_ref().map(|groups| between.freed(groups));
    let freed = freed.transpose()?;
    let subject = pair.subject().surviving(survivors.as_ref());
    let subject = subject.temporary(temporaries.as_ref());
    let subject = match groups.as_ref().zip(freed.as_deref()) {
        Some((groups, freed)) => subject.freeing(groups, freed),
        None => subject,
    };
    report::print(&subject, args)
}

fn check_frees(between: &Between, args: &Report, freed_by: bool) -> Result<(), Error> {
    if !freed_by {
        return Ok(());
    }
    if args.format == Format::Tracemalloc {
        let problem = "tracemalloc's form has no place for it";
        let error = Error::new(Kind::Usage, "--freed-by", problem);
        return Err(error.next("choose --format table or json"));
    }
    between.check_frees()
}

/// What was alive at the highest moment.
pub(crate) fn peak(args: &Args) -> Result<(), Error> {
    report::check(&args.report)?;
    let mut trace = open(&args.trace)?;
    let last = trace::peak(&mut trace)?;
    let pair = Pair {
        first: None,
        last,
        origin: Origin::of_file(&args.trace),
    };
    report::print(&pair.subject(), &args.report)
}

/// What was freed by its thread's next operation, or one of the next.
pub(crate) fn temporary(args: &Temporary) -> Result<(), Error> {
    report::check(&args.question.report)?;
    let mut trace = open(&args.question.trace)?;
    let highest = trace::highest_bytes(&mut trace)?;
    let last = trace::temporary(&mut trace, args.within)?;
    let pair = Pair {
        first: Some(trace::nothing(&mut trace)?),
        last,
        origin: Origin::of_file(&args.question.trace),
    };
    let subject = pair.subject().reaching(highest).within(args.within);
    report::print(&subject, &args.question.report)
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
    let mut trace = open(&args.trace)?;
    let highest = trace::highest_bytes(&mut trace)?;
    let (last, by_site) = answer(&mut trace)?;
    let pair = Pair {
        first: Some(trace::nothing(&mut trace)?),
        last,
        origin: Origin::of_file(&args.trace),
    };
    let subject = pair.subject().reaching(highest);
    report::print(&subject.spreading(measure, &by_site), &report)
}
