//! What the recorder notices besides events: in the ledger, which says of each object when it was met and when another was in its place, and in the events,
//! of which the first of a label says when its thread was there.
//!
//! Nothing is asked of the target for it. What the ledger does not say is not told: an object that is loaded and never on a stack, one
//! of the same file that is loaded again. Memory: a word for each of the ledger's modules, the sites that are new in a chunk.

use super::children::{Child, Looked};
use super::clock::Clock;
use super::instants::{Instant, What};
use super::{Happening, Map};
use crate::model::Snapshot;
use crate::snapshot;
use heapshim_ledger::Reader;
use heapshim_ledger::modules::ModuleId;
use heapshim_ledger::sync::Word;
use std::collections::BTreeSet;

/// The label of the first thread: it is there from the beginning.
const FIRST: &str = "main";
/// Labels that are told: more than a target has that does not forge them.
const MOST_LABELS: usize = 64;

/// What was noticed already.
#[derive(Debug, Default)]
pub(super) struct Witness {
    /// Of each module when it was last found gone; None: not published.
    modules: Vec<Option<u64>>,
    labels: BTreeSet<String>,
    /// Sites whose label is known.
    labelled: u64,
    /// When others had their first event.
    first: Map<u64>,
    children: Looked,
    /// Numbers of those marks of the target's own that its ledger still keeps.
    marks: BTreeSet<u32>,
}

impl Witness {
    /// Of a recording that begins in the middle: what is there is not news.
    pub(super) fn begin_with(&mut self, start: &Snapshot) {
        self.labels.extend(start.threads.iter().cloned());
        self.labelled = start.sites.len() as u64;
    }

    /// Looks at an event.
    #[inline]
    pub(super) fn sees(&mut self, happening: &Happening) {
        let site = u64::from(happening.site);
        if site >= self.labelled {
            self.first.entry(site).or_insert(happening.ns);
        }
    }

    /// Objects that came or went since the last look.
    pub(super) fn modules(&mut self, reader: &Reader<'_>, clock: &Clock) -> Vec<Instant> {
        let mut told = Vec::new();
        self.modules.resize(reader.modules.len() as usize, None);
        for (id, before) in (0..).map(ModuleId).zip(&mut self.modules) {
            let Some(info) = reader.modules.get(id) else {
                continue;
            };
            let mut tell = |what, boot_ns| {
                // What was before the recording is not in it.
                told.extend(clock.since_begin(boot_ns).map(|ns| Instant {
                    ns,
                    what,
                    pid: None,
                    text: snapshot::text(reader, info.path),
                }));
            };
            if before.is_none() {
                tell(What::Load, info.from_ns);
            }
            if info.until_ns != before.unwrap_or(0) {
                tell(What::Unload, info.until_ns);
            }
            *before = Some(info.until_ns);
        }
        told
    }

    /// Labels of threads that are new, by what the sites mean now. Of one that no event was seen of, this moment counts.
    pub(super) fn labels(&mut self, snapshot: &Snapshot, now_ns: u64) -> Vec<Instant> {
        let mut first: Vec<(u64, u64)> = self.first.drain().map(|(site, ns)| (ns, site)).collect();
        first.sort_unstable();
        let seen = first.iter().filter_map(|&(ns, site)| {
            let site = snapshot.sites.get(usize::try_from(site).ok()?)?;
            Some((ns, snapshot.thread(site.frame)?))
        });
        let rest = snapshot.threads.iter().map(|label| (now_ns, &**label));
        self.labelled = snapshot.sites.len() as u64;
        let mut told = Vec::new();
        for (ns, label) in seen.chain(rest) {
            let has_room = self.labels.len() < MOST_LABELS;
            if label != FIRST && has_room && self.labels.insert(label.to_owned()) {
                told.push(Instant {
                    ns,
                    what: What::Thread,
                    pid: None,
                    text: label.to_owned(),
                });
            }
        }
        told
    }

    /// Marks that the target took since the last look, of those since the recording's beginning: when, in nanoseconds from there, and their names. One that was
    /// being written comes the next time, perhaps behind a later one; none comes twice.
    pub(super) fn marks(&mut self, reader: &Reader<'_>, begin_unix_ns: u64) -> Vec<(u64, String)> {
        // Before the marks are read: one that is dropped here is not read there.
        self.marks = self.marks.split_off(&reader.marks.kept().start);
        let mut told = Vec::new();
        for (number, moment) in snapshot::inside_marks(reader) {
            let since = moment.unix_ns.checked_sub(begin_unix_ns);
            if self.marks.insert(number) {
                told.extend(since.map(|ns| (ns, moment.name)));
            }
        }
        told
    }

    /// Children of a process that have begun since the last look.
    pub(super) fn children(&mut self, pid: u32) -> Vec<Child> {
        self.children.new_children(pid)
    }
}

/// What a process's beginning means to the one that is recorded; None where it is no child of its.
pub(super) fn birth(child: &Child, of: &Reader<'_>, pid: u32, clock: &Clock) -> Option<Instant> {
    let what = match child.forked_from {
        0 if child.parent == pid => What::Child,
        0 => return None,
        account if account == of.header.identity.peek() => What::Fork,
        _ => return None,
    };
    Some(Instant {
        ns: clock.since_begin(child.began_boot_ns)?,
        what,
        pid: Some(child.pid),
        text: child.name.clone(),
    })
}
