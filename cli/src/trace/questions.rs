//! What a trace answers: the account at any instant, and at the highest. Each answer is a mark like any other.
//!
//! Sums of whole chunks come first, single events only within the chunk that the instant lies in: a question to ten gigabytes reads the
//! heads, the sums, and one chunk.

use super::Happening;
use super::file::Chunk;
use super::read::Trace;
use super::sums::charge;
use crate::births::Births;
use crate::error::Error;
use crate::mark::Mark;
use crate::model::Counters;
use crate::peak::Peak;
use crate::process::Memory;
use crate::report::{Amount, Surviving, Survivors};
use heapshim_ledger::header::LARGEST;
use heapshim_ledger::layout::OVERFLOW_SITE;
use heapshim_ledger::rings::Operation;

/// How much larger than today's largest a ledger may be.
const ROOM: u32 = 4;

/// An instant of a trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Nanoseconds from its beginning.
    pub ns: u64,
    /// What it is called.
    pub name: String,
}

/// Nothing, at the recording's beginning: what answers begin with that are of the recording alone, whatever was alive before it.
///
/// # Errors
/// `Damaged` where the file is.
pub fn nothing(trace: &mut Trace) -> Result<Mark, Error> {
    let begin = Moment {
        ns: 0,
        name: "begin".to_owned(),
    };
    Account::empty(trace).mark(trace, &begin)
}

/// The account at an instant: every event up to and with it.
///
/// # Errors
/// `Damaged` where the file is.
pub fn state(trace: &mut Trace, moment: &Moment) -> Result<Mark, Error> {
    let mut account = Account::of(trace)?;
    let chunks: Vec<Chunk> = trace.events().copied().collect();
    let mut live = account.live_bytes();
    let mut highest = live;
    for chunk in chunks {
        if chunk.head.to_ns <= moment.ns {
            account.add_chunk(trace, &chunk)?;
            highest = highest.max(live.wrapping_add(chunk.head.crest));
            live = live.wrapping_add(chunk.head.growth);
        } else if chunk.head.from_ns <= moment.ns {
            trace.visit(&[chunk], |happening| {
                let before = happening.ns <= moment.ns;
                if before {
                    account.add(happening);
                    live = live.wrapping_add(happening.growth());
                    highest = highest.max(live);
                }
                before
            })?;
        }
    }
    let mut mark = account.mark(trace, moment)?;
    mark.snapshot.peak = Some(Peak {
        moment: mark.snapshot.moment.clone(),
        highest_bytes: highest,
        counters: Vec::new(),
    });
    Ok(mark)
}

/// The most bytes that were alive at once: by heads alone, and the account at the beginning.
///
/// # Errors
/// `Damaged` where the file is.
pub fn highest_bytes(trace: &mut Trace) -> Result<i64, Error> {
    let begin = Account::of(trace)?.live_bytes();
    let heads = trace.events().map(|chunk| chunk.head);
    let (_, highest) = heads.fold((begin, begin), |(live, highest), head| {
        let crest = live.wrapping_add(head.crest);
        (live.wrapping_add(head.growth), highest.max(crest))
    });
    Ok(highest)
}

/// The account when the most bytes were alive, the first time.
///
/// # Errors
/// `Damaged` where the file is.
pub fn peak(trace: &mut Trace) -> Result<Mark, Error> {
    let mut account = Account::of(trace)?;
    let chunks: Vec<Chunk> = trace.events().copied().collect();
    let mut live = 0i64;
    let mut most = (0, None);
    for (number, chunk) in chunks.iter().enumerate() {
        let crest = live.wrapping_add(chunk.head.crest);
        if crest > most.0 {
            most = (crest, Some(number));
        }
        live = live.wrapping_add(chunk.head.growth);
    }
    let mut moment = Moment {
        ns: 0,
        name: "peak".to_owned(),
    };
    let Some(highest) = most.1 else {
        return account.mark(trace, &moment);
    };
    let mut live = 0i64;
    for chunk in chunks.iter().take(highest) {
        account.add_chunk(trace, chunk)?;
        live = live.wrapping_add(chunk.head.growth);
    }
    if let Some(chunk) = chunks.get(highest..=highest) {
        trace.visit(chunk, |happening| {
            account.add(happening);
            live = live.wrapping_add(happening.growth());
            moment.ns = happening.ns;
            live < most.0
        })?;
    }
    account.mark(trace, &moment)
}

impl Happening {
    /// What it adds to the live bytes.
    pub(crate) fn growth(&self) -> i64 {
        let size = self.size.cast_signed();
        match self.operation.frees() {
            true => size.wrapping_neg(),
            false => size,
        }
    }
}

/// An account by site, being added to.
#[derive(Debug)]
pub(super) struct Account {
    counters: Vec<Counters>,
    exact: bool,
}

impl Account {
    pub(super) fn of(trace: &mut Trace) -> Result<Account, Error> {
        let (counters, exact) = trace.base()?;
        Ok(Account { counters, exact })
    }

    /// True where it is known to the byte.
    pub(super) fn is_exact(&self) -> bool {
        self.exact
    }

    /// Of what happened within the trace alone.
    pub(super) fn empty(trace: &Trace) -> Account {
        Account {
            counters: Vec::new(),
            exact: trace.has_all(),
        }
    }

    /// What is alive, by site.
    pub(super) fn live(&self) -> Survivors {
        let live = |counters: &Counters| {
            Surviving::Known(Amount {
                bytes: counters.live_bytes(),
                blocks: counters.live_blocks(),
            })
        };
        let each = (0..).zip(self.counters.iter().map(live));
        each.filter(|(_, live)| *live != Surviving::default())
            .collect()
    }

    #[cfg(test)]
    pub(super) fn nothing() -> Account {
        Account {
            counters: Vec::new(),
            exact: true,
        }
    }

    fn live_bytes(&self) -> i64 {
        let each = self.counters.iter().map(Counters::live_bytes);
        each.fold(0, i64::wrapping_add)
    }

    fn at(&mut self, site: u32) -> &mut Counters {
        // A trace names no site that no ledger has.
        let index = match site < LARGEST.sites * ROOM {
            true => site as usize,
            false => OVERFLOW_SITE as usize,
        };
        if self.counters.len() <= index {
            self.counters.resize(index + 1, Counters::default());
        }
        &mut self.counters[index]
    }

    pub(super) fn add(&mut self, happening: &Happening) {
        charge(self.at(happening.site), happening);
    }

    pub(super) fn free(&mut self, happening: &Happening) {
        let operation = Operation::Freed;
        self.add(&Happening {
            operation,
            ..*happening
        });
    }

    pub(super) fn unfree(&mut self, happening: &Happening) {
        let counters = self.at(happening.site);
        counters.freed_bytes = counters.freed_bytes.wrapping_sub(happening.size);
        counters.freed_blocks = counters.freed_blocks.wrapping_sub(1);
    }

    pub(super) fn add_chunk(&mut self, trace: &mut Trace, chunk: &Chunk) -> Result<(), Error> {
        for (site, sum) in trace.sums(chunk)? {
            self.at(site).add(&sum);
        }
        Ok(())
    }

    /// As a mark called `end`: of the whole trace.
    pub(super) fn mark_at_end(self, trace: &mut Trace) -> Result<Mark, Error> {
        let end = Moment {
            ns: trace.length_ns(),
            name: "end".to_owned(),
        };
        self.mark(trace, &end)
    }

    pub(super) fn mark(self, trace: &mut Trace, moment: &Moment) -> Result<Mark, Error> {
        let mut mark = trace.frame()?;
        let sites = &mut mark.snapshot.sites;
        for (number, site) in sites.iter_mut().enumerate() {
            // The frame is the end's: of a site that this account has nothing of, its counters are none of ours.
            site.counters = self.counters.get(number).copied().unwrap_or_default();
        }
        let known = sites.len();
        // What no table names is in no row, and is not lost: the overflow site has it.
        for counters in self.counters.get(known..).unwrap_or(&[]) {
            if let Some(overflow) = sites.get_mut(1) {
                overflow.counters.add(counters);
            }
        }
        let now = &mut mark.snapshot.moment;
        now.name.clone_from(&moment.name);
        now.unix_ns = trace.begin_unix_ns().saturating_add(moment.ns);
        (now.rss_bytes, now.resident) = (0, None);
        (now.exact, now.in_flight, now.lost_events) = (self.exact, 0, trace.lost());
        mark.memory = Memory::default();
        // What the target kept is of another moment.
        mark.snapshot.peak = None;
        mark.snapshot.births = Births::default();
        mark.snapshot.temporaries = None;
        Ok(mark)
    }
}
