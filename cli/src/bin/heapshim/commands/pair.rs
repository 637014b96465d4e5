//! The two marks that the words A and B mean, in `diff`, `report` and `export` alike.

use super::recorded::Between;
use crate::args::{Compared, Instants};
use heapshim_cli::births;
use heapshim_cli::catalog::{Catalog, Word};
use heapshim_cli::error::{Error, Kind};
use heapshim_cli::kept;
use heapshim_cli::mark::Mark;
use heapshim_cli::process::Origin;
use heapshim_cli::report::{Survivors, Temporaries};
use heapshim_cli::subject::Subject;
use heapshim_cli::temporaries;

/// Two marks, and where the files of their process are.
#[derive(Debug)]
pub(crate) struct Pair {
    /// None: the start.
    pub(crate) first: Option<Mark>,
    pub(crate) last: Mark,
    pub(crate) origin: Origin,
}

impl Pair {
    /// Of a recording, between two instants; else by the words A and B.
    pub(crate) fn asked(compared: &Compared, instants: &Instants) -> Result<Pair, Error> {
        match Between::of(compared, instants)? {
            Some(mut between) => between.pair(),
            None => Pair::of(compared),
        }
    }

    /// From A (where it is not said: the newest mark, else the start) to B (now). Two files need no process.
    pub(crate) fn of(compared: &Compared) -> Result<Pair, Error> {
        let whole;
        let (from, to) = match (compared.from.as_ref(), compared.to.as_ref()) {
            // A ledger is an account from its start: alone, it is what there is to see. So is what came after a mark in it.
            (Some(ledger @ Word::File(path)), None) if kept::is_ledger(path) => {
                (Some(&Word::Start), Some(ledger))
            }
            (Some(Word::NamedIn(path, _)), None) => {
                whole = Word::File(path.clone());
                (compared.from.as_ref(), Some(&whole))
            }
            both => both,
        };
        // Beside a file, the peak is that file's.
        let beside = match (from, to) {
            (Some(Word::Peak), Some(Word::File(path))) => Some(Word::PeakOf(path.clone())),
            _ => None,
        };
        let from = beside.as_ref().or(from);
        // Before a process is looked for: of a file that is no mark, that is what is wrong.
        let read = |word: Option<&Word>| word.and_then(Word::without_process).transpose();
        match (read(from)?, read(to)?, to) {
            (
                Some(first),
                Some(Some(last)),
                Some(Word::File(file) | Word::PeakOf(file) | Word::NamedIn(file, _)),
            ) => {
                let origin = Origin::of_file(file);
                Ok(Pair {
                    first,
                    last,
                    origin,
                })
            }
            (first, last, _) => {
                let catalog = Catalog::of(compared.target.target.as_deref())?;
                let first = match (first, from) {
                    (Some(read), _) => read,
                    (None, Some(word)) => catalog.get(word)?,
                    (None, None) => catalog.last_or_start()?,
                };
                let last = match last {
                    Some(read) => read,
                    None => catalog.get(to.unwrap_or(&Word::Now))?,
                };
                Pair::of_process(first, last, &catalog)
            }
        }
    }

    fn of_process(
        first: Option<Mark>,
        last: Option<Mark>,
        catalog: &Catalog,
    ) -> Result<Pair, Error> {
        let last = last.ok_or_else(|| {
            let problem = "nothing comes before it: it cannot be the second mark";
            Error::new(Kind::Usage, "start", problem).next(format!(
                "write it first: {} start now",
                catalog.command("diff")
            ))
        })?;
        let origin = catalog.origin();
        Ok(Pair {
            first,
            last,
            origin,
        })
    }

    /// What of the growth was allocated since the first, where that was pinned.
    pub(crate) fn survivors(&self) -> Option<Survivors> {
        births::survivors(&self.first.as_ref()?.snapshot, &self.last.snapshot)
    }

    /// What was freed by its thread's next operation between the two, where that is known.
    pub(crate) fn temporaries(&self) -> Option<Temporaries> {
        let first = self.first.as_ref().map(|mark| &mark.snapshot);
        temporaries::between(first, &self.last.snapshot)
    }

    /// The growth between them, to be reported.
    pub(crate) fn subject(&self) -> Subject<'_> {
        Subject::new(self.first.as_ref(), &self.last, self.origin.clone())
    }
}
