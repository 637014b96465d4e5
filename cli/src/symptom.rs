//! An allocator that nothing names, told by what it does: much anonymous memory beside the heap, and hardly an event.
//!
//! Asked wherever a report is made, and by `doctor` of a process that runs. Stripped programs may carry an allocator that prints nothing of
//! its own (rpmalloc), and runtimes have heaps that no symbol of an executable tells of (a JVM's lies in a library). What maps its data
//! itself looks the same, and the note says so: either way the account explains little of the memory. Not asked of a process that has
//! ended, of whose memory nothing is known by kind.

use crate::complaint::Note;
use crate::model::{Counters, Snapshot};
use crate::rss::Rss;

/// What anonymous memory is worth a sentence: less than that nobody looks for.
const LEAST: i64 = 16 << 20;

/// The memory is at least so many times what is live in the heap.
const TIMES: i64 = 4;

/// A program that has its memory from malloc calls it at least once for so many bytes, unless its blocks are large; those are live, or
/// were unmapped when they were freed.
const BYTES_AN_EVENT: i64 = 4096;

/// Stacks without an event that a process may have by chance: one for each thread that is between making one and counting.
const STACKS_BY_CHANCE: usize = 16;

/// What is said.
pub(crate) const NOTE: Note = Note {
    what: "it hardly calls malloc, yet has much anonymous memory: an allocator of its own, a runtime's heap or maps, which are not seen",
    next: "ask the runtime's own profiler, or link the program without that allocator",
};

/// The note, where it applies to this account.
#[must_use]
pub fn note(snapshot: &Snapshot) -> Option<Note> {
    let rss = Rss::of(snapshot).filter(|_| !is_forked(snapshot))?;
    let is_much = rss.anonymous >= LEAST && rss.anonymous / TIMES >= rss.heap;
    let events = snapshot.sites.iter().map(|site| site.counters);
    let events = events.fold(
        0u64,
        |sum,
         Counters {
             allocated_blocks, ..
         }| { sum.saturating_add(allocated_blocks) },
    );
    let needed = rss.anonymous / BYTES_AN_EVENT;
    (is_much && events < needed.unsigned_abs()).then_some(NOTE)
}

/// A forked child begins with its parent's stacks, none of which has an event, and with its parent's memory, which is in no account of
/// its own.
fn is_forked(snapshot: &Snapshot) -> bool {
    let stacks = snapshot.sites.iter().filter(|site| site.frame != 0);
    let unused = stacks.filter(|site| site.counters == Counters::default());
    unused.count() > STACKS_BY_CHANCE
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::snapshot;
    use crate::model::Site;
    use crate::resident::Resident;

    /// A process with so much anonymous memory, and so many events of so many bytes, all live.
    fn process(anonymous: u64, events: u64, bytes: u64) -> Snapshot {
        let mut snapshot = snapshot(1);
        snapshot.moment.resident = Some(Resident {
            allocator: 1 << 20,
            stacks: 0,
            code: 0,
            anonymous,
            files: 0,
            shared: 0,
            heapshim: 0,
        });
        snapshot.sites[2].counters = Counters {
            allocated_bytes: events * bytes,
            allocated_blocks: events,
            freed_bytes: 0,
            freed_blocks: 0,
        };
        snapshot
    }

    /// Check memory that malloc has hardly been asked for, and what is nothing of the kind: too little of it, memory that is the heap's, a
    /// program that calls malloc often, one whose marks do not say.
    #[test]
    fn symptom() {
        let says = |anonymous, events, bytes| note(&process(anonymous, events, bytes)).is_some();
        assert!(says(64 << 20, 1000, 100));
        assert!(says(16 << 20, 4095, 100));
        assert!(!says((16 << 20) - 1, 10, 100));
        assert!(!says(16 << 20, 4096, 100));
        assert!(!says(64 << 20, 16, 4 << 20));
        assert!(!says(64 << 20, 4, 4 << 20));
        assert!(says(64 << 20, 1, 4 << 20));
        let mut unknown = process(64 << 20, 10, 100);
        unknown.moment.resident = None;
        assert_eq!(note(&unknown), None);
    }

    /// Check that a forked child is not charged with what it inherited.
    #[test]
    fn forked_child() {
        let mut child = process(64 << 20, 10, 100);
        let inherited = Site {
            frame: 2,
            counters: Counters::default(),
        };
        child.sites.extend([inherited; STACKS_BY_CHANCE - 4]);
        assert!(note(&child).is_some());
        child.sites.extend([inherited; 5]);
        assert_eq!(note(&child), None);
    }
}
