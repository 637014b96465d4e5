//! A traced process at a glance: what `heapshim ls` shows of each.
//!
//! Read off the counters alone: no stack is copied and no file of the target's is opened. The rate is that between two readings,
//! so that it says what the process does now, not what it did on average since its start.

use crate::complaint::{self, Note};
use crate::error::Error;
use crate::model::{Counters, Process};
use crate::process::now_unix_ns;
use crate::session::Session;
use crate::snapshot;
use crate::trace;
use heapshim_ledger::sampling::Mode;
use heapshim_ledger::threads::Losses;
use std::thread;
use std::time::{Duration, Instant};

/// How far apart the two readings are: long enough for a rate, short enough not to be noticed.
const INTERVAL: Duration = Duration::from_millis(200);

/// One line of `heapshim ls`.
#[derive(Clone, Debug, PartialEq)]
pub struct Overview {
    /// Who.
    pub process: Process,
    /// Nanoseconds since the account began.
    pub age_ns: u64,
    /// The account.
    pub counters: Counters,
    /// Allocations per second just now.
    pub allocations_per_second: f64,
    /// What is recorded.
    pub mode: Mode,
    /// What it could not account for, and how its walks went.
    pub losses: Losses,
    /// The most bytes that were live at once.
    pub peak_bytes: i64,
    /// Stacks that have allocated.
    pub sites: u32,
    /// Nodes of the trie.
    pub frames: u32,
    /// What to know before the numbers are believed.
    pub notes: Vec<Note>,
}

/// Reads every one of these processes twice; those that end meanwhile, or whose ledger is damaged, are left out.
#[must_use]
pub fn read(sessions: &[Session]) -> Vec<Overview> {
    sessions.iter().for_each(trace::clear);
    let first: Vec<Option<u64>> = sessions.iter().map(allocated).collect();
    let begun = Instant::now();
    if !sessions.is_empty() {
        thread::sleep(INTERVAL);
    }
    let each = sessions.iter().zip(first);
    each.filter_map(|(session, before)| one(session, before?, begun).ok())
        .collect()
}

fn allocated(session: &Session) -> Option<u64> {
    let reader = session.reader().ok()?;
    Some(snapshot::totals(&reader).allocated_blocks)
}

fn one(session: &Session, before: u64, begun: Instant) -> Result<Overview, Error> {
    let reader = session.reader()?;
    let counters = snapshot::totals(&reader);
    let process = session.process()?;
    Ok(Overview {
        age_ns: now_unix_ns().saturating_sub(process.start_unix_ns),
        allocations_per_second: rate(before, counters.allocated_blocks, begun.elapsed()),
        mode: snapshot::sampling(&reader, None).mode,
        losses: reader.threads.losses(),
        peak_bytes: i64::try_from(reader.peak.highest())
            .unwrap_or(i64::MAX)
            .max(counters.live_bytes()),
        sites: reader.sites.len(),
        frames: reader.frames.len(),
        notes: complaint::notes(session.complaints()?),
        process,
        counters,
    })
}

#[expect(clippy::cast_precision_loss, reason = "a rate for the eye")]
fn rate(before: u64, now: u64, elapsed: Duration) -> f64 {
    let seconds = elapsed.as_secs_f64();
    let rate = now.saturating_sub(before) as f64 / seconds;
    if seconds > 0.0 { rate } else { 0.0 }
}

impl Overview {
    /// What this process's account lacks, in words; empty where it lacks nothing.
    #[must_use]
    pub fn lacks(&self) -> String {
        let Losses {
            nested,
            truncated,
            overflow,
            foreign_frees,
            untracked,
            ..
        } = self.losses;
        let counts = [
            (overflow, "in the overflow site"),
            (untracked, "not tracked"),
            (truncated, "stacks cut short"),
            (nested, "nested"),
            (foreign_frees, "frees of blocks never seen"),
        ];
        let some = counts.iter().filter(|(count, _)| *count > 0);
        let counts = some.map(|(count, what)| format!("{count} {what}"));
        let notes = self.notes.iter().map(|note| note.what.to_owned());
        notes.chain(counts).collect::<Vec<_>>().join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Check that a rate is per second, and none of a clock that stood still or a counter that a hostile target turned back.
    #[test]
    fn rates() {
        assert!((rate(10, 110, Duration::from_millis(500)) - 200.0).abs() < 1e-9);
        assert!(rate(0, 5, Duration::ZERO).abs() < 1e-9);
        assert!(rate(9, 5, Duration::from_secs(1)).abs() < 1e-9);
    }
}
