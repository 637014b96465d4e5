//! Every traced process as it is now, and what its lines grew by since it was first seen here.

use crate::diff::Options;
use crate::mark::Mark;
use crate::model::Counters;
use crate::place::Place;
use crate::process::{self, Origin};
use crate::report::{Amount, Report, Row};
use crate::session::{self, Session};
use crate::snapshot;
use crate::subject::{Places, Readers, Subject};
use heapshim_ledger::threads::Losses;
use std::collections::HashMap;

/// A line and what it grew by.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Grown {
    pub(super) place: Place,
    pub(super) function: Option<String>,
    pub(super) growth: Amount,
}

/// A process.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Account {
    pub(super) pid: u32,
    pub(super) name: String,
    pub(super) counters: Counters,
    pub(super) rss_bytes: u64,
    pub(super) losses: Losses,
    /// Since it was first seen.
    pub(super) growth: Amount,
    /// Of it, what is no listed line's: small lines, lines that shrank, and what is not attributed.
    pub(super) rest: Amount,
    pub(super) lines: Vec<Grown>,
}

/// All processes, with what each began with.
#[derive(Debug)]
pub struct Accounts {
    options: Options,
    places: Places,
    /// Lines of a process that are listed: each is a series for whoever scrapes.
    most: usize,
    /// The only process that is read; None: all that may be.
    only: Option<u32>,
    first: HashMap<(u32, u64), Seen>,
}

/// What is kept of a process that was seen before.
#[derive(Debug)]
struct Seen {
    first: Mark,
    /// Names that were looked up for one scrape are not looked up for the next.
    readers: Readers,
}

impl Accounts {
    /// Nobody seen yet.
    #[must_use]
    pub fn new(options: Options, places: Places, most: usize, only: Option<u32>) -> Accounts {
        Accounts {
            options,
            places,
            most,
            only,
            first: HashMap::new(),
        }
    }

    /// Every process that may be read. One that ends meanwhile is left out; one that has ended is forgotten.
    pub(super) fn read(&mut self) -> Vec<Account> {
        let sessions = match self.only {
            Some(pid) => Session::attach(pid).into_iter().collect(),
            None => session::all(),
        };
        let accounts: Vec<(u64, Account)> = sessions
            .iter()
            .filter_map(|session| self.one(session))
            .collect();
        let seen = |key: &(u32, u64)| {
            accounts
                .iter()
                .any(|(identity, account)| (account.pid, *identity) == *key)
        };
        self.first.retain(|key, _| seen(key));
        accounts.into_iter().map(|(_, account)| account).collect()
    }

    fn one(&mut self, session: &Session) -> Option<(u64, Account)> {
        let reader = session.reader().ok()?;
        let (process, memory) = (session.process().ok()?, process::memory(session.pid()));
        let identity = process.identity;
        let mut snapshot = snapshot::take(&reader, process, "now", memory).ok()?;
        session.made_code().ok()?.name(&mut snapshot);
        let mark = Mark {
            snapshot,
            memory,
            bundle: None,
        };
        let process = &mark.snapshot.process;
        let key = (process.pid, identity);
        let (growth, lines) = match self.first.get_mut(&key) {
            Some(seen) => {
                seen.readers.rest();
                grown(seen, &mark, &self.options, self.most)
            }
            None => (Amount::default(), Vec::new()),
        };
        let listed: Amount = lines.iter().map(|line| line.growth).sum();
        let account = Account {
            pid: process.pid,
            name: process.name.clone(),
            counters: snapshot::totals(&reader),
            rss_bytes: mark.snapshot.moment.rss_bytes,
            losses: reader.threads.losses(),
            growth,
            rest: [growth, -listed].into_iter().sum(),
            lines,
        };
        self.first.entry(key).or_insert_with(|| Seen {
            readers: Readers::new(self.places.clone(), &Origin::of(key.0)),
            first: mark,
        });
        Some((identity, account))
    }
}

/// What a process grew by, and the lines that did most of it.
fn grown(seen: &mut Seen, now: &Mark, options: &Options, most: usize) -> (Amount, Vec<Grown>) {
    let origin = Origin::of(now.snapshot.process.pid);
    let subject = Subject::new(Some(&seen.first), now, origin);
    let report = subject.report_with(&mut seen.readers, options);
    (report.growth, lines(&report, most))
}

/// The lines that grew most.
fn lines(report: &Report, most: usize) -> Vec<Grown> {
    let grew = report.rows.iter().filter(|row| row.grew()).take(most);
    grew.map(|row: &Row| Grown {
        place: Place::of(row),
        function: row.function.clone(),
        growth: row.growth,
    })
    .collect()
}
