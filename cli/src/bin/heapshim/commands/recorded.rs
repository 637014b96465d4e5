//! A recording and two of its instants: what `diff`, `report` and `export` are asked about where A is one.

use super::output::say;
use super::pair::Pair;
use crate::args::{Compared, Instants};
use crate::values::duration;
use heapshim_cli::catalog::Word;
use heapshim_cli::error::{Error, Kind};
use heapshim_cli::frees::{Freed, Groups};
use heapshim_cli::mark::Mark;
use heapshim_cli::process::Origin;
use heapshim_cli::render;
use heapshim_cli::report::{Survivors, Temporaries};
use heapshim_cli::report_page::Timeline;
use heapshim_cli::trace::{self, EXTENSION, Moment, Trace};
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// A recording, and which part of it.
#[derive(Debug)]
pub(crate) struct Between {
    path: PathBuf,
    trace: Trace,
    first: Moment,
    last: Moment,
}

impl Between {
    /// Where A is a recording; words that only a recording understands are refused elsewhere.
    pub(crate) fn of(compared: &Compared, instants: &Instants) -> Result<Option<Between>, Error> {
        let Some(path) = recording(compared.from.as_ref()) else {
            return instants.refused().map(|()| None);
        };
        if compared.to.is_some() {
            let problem = "a recording has its own instants";
            let next = "say which by --from TIME and --to TIME";
            return Err(Error::new(Kind::Usage, path.display(), problem).next(next));
        }
        let mut trace = open(path)?;
        let first = match &instants.since {
            Some(word) => moment(&mut trace, path, word)?,
            None => named(0, "begin"),
        };
        let last = match &instants.until {
            Some(word) => moment(&mut trace, path, word)?,
            None => named(u64::MAX, "end"),
        };
        let path = path.to_owned();
        Ok(Some(Between {
            path,
            trace,
            first,
            last,
        }))
    }

    /// The account at each.
    pub(crate) fn pair(&mut self) -> Result<Pair, Error> {
        let trace = &mut self.trace;
        Ok(Pair {
            first: Some(at_end(
                trace::state(trace, &self.first)?,
                trace,
                &self.first,
            )),
            last: at_end(trace::state(trace, &self.last)?, trace, &self.last),
            origin: Origin::of_file(&self.path),
        })
    }

    /// What was allocated after the first and is alive at the second.
    pub(crate) fn survivors(&mut self) -> Result<Survivors, Error> {
        trace::survivors(&mut self.trace, self.first.ns, self.last.ns)
    }

    /// What was freed by its thread's next operation between the two.
    pub(crate) fn temporaries(&mut self) -> Result<Temporaries, Error> {
        trace::temporaries(&mut self.trace, self.first.ns, self.last.ns)
    }

    /// Refuses where it does not have the stacks of frees.
    pub(crate) fn check_frees(&self) -> Result<(), Error> {
        trace::check_frees(&self.trace)
    }

    /// True where it has the stacks of frees.
    pub(crate) fn has_frees(&self) -> bool {
        self.trace.has_free_stacks()
    }

    /// Who freed the blocks of each group.
    pub(crate) fn freed(&mut self, groups: &Groups) -> Result<Vec<Rc<Freed>>, Error> {
        trace::freed(&mut self.trace, groups, self.first.ns, self.last.ns)
    }

    /// What was alive all along.
    pub(crate) fn timeline(&mut self) -> Result<Timeline, Error> {
        Timeline::of(&mut self.trace, &self.first, &self.last)
    }
}

impl Instants {
    fn refused(&self) -> Result<(), Error> {
        if self.since.is_none() && self.until.is_none() {
            return Ok(());
        }
        let error = Error::new(Kind::Usage, "--from, --to", "only a recording has instants");
        Err(error.next("name one: FILE.heaptrace --from TIME --to TIME"))
    }
}

fn recording(from: Option<&Word>) -> Option<&PathBuf> {
    match from {
        Some(Word::File(path)) if path.extension().is_some_and(|end| end == EXTENSION) => {
            Some(path)
        }
        _ => None,
    }
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
            "heapshim: {}: the recording was cut off: it goes as far as its last whole second, and has no symbols (--bundle writes them at its end)",
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
    if ns > trace.length_ns() {
        let end = render::duration(0, trace.length_ns());
        say(&format!(
            "heapshim: {}: {word} is past its end, which is at {end}",
            path.display()
        ));
    }
    Ok(named(ns, word))
}

fn named(ns: u64, name: &str) -> Moment {
    Moment {
        ns,
        name: name.to_owned(),
    }
}

/// What is past the end has the end's time.
fn at_end(mut mark: Mark, trace: &Trace, moment: &Moment) -> Mark {
    if moment.ns > trace.length_ns() {
        mark.snapshot.moment.unix_ns = trace.begin_unix_ns().saturating_add(trace.length_ns());
    }
    mark
}
