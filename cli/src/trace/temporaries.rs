//! Blocks that did not live long by their thread's own count: freed by the thread that allocated them, within so many of its events.
//!
//! Memory: so many events of each thread, at most.

use super::questions::Account;
use super::read::Trace;
use super::{Happening, Map};
use crate::error::Error;
use crate::mark::Mark;
use crate::report::{Amount, Temporaries};
use std::collections::VecDeque;

/// Such blocks, by site: allocated is all that was allocated, and what was not temporary counts as freed. So what is alive in this mark were
/// temporaries. `within` 1: freed by their thread's next operation.
///
/// # Errors
/// `Damaged` where the file is.
pub fn temporary(trace: &mut Trace, within: u64) -> Result<Mark, Error> {
    let mut account = Account::empty(trace);
    let mut recent = Recent::of(within);
    let chunks: Vec<_> = trace.events().copied().collect();
    trace.visit(&chunks, |happening| {
        if recent.is_end_of_temporary(happening) {
            account.unfree(happening);
        }
        if !happening.operation.frees() {
            account.add(happening);
            account.free(happening);
        }
        true
    })?;
    account.mark_at_end(trace)
}

/// What was freed by its thread's next operation after one instant of a trace (in nanoseconds), up to and with another, by site.
///
/// # Errors
/// `Damaged` where the file is.
pub fn temporaries(trace: &mut Trace, from_ns: u64, to_ns: u64) -> Result<Temporaries, Error> {
    let mut recent = Recent::of(1);
    let mut found = Temporaries::new();
    // Also what was before: a thread's last operation may lie as far back as it likes.
    let begun = trace.events().filter(|chunk| chunk.head.from_ns <= to_ns);
    let chunks: Vec<_> = begun.copied().collect();
    trace.visit(&chunks, |happening| {
        let is_end = happening.ns <= to_ns && recent.is_end_of_temporary(happening);
        if is_end && happening.ns > from_ns {
            *found.entry(happening.site).or_default() += Amount {
                bytes: happening.size.cast_signed(),
                blocks: 1,
            };
        }
        happening.ns <= to_ns
    })?;
    Ok(found)
}

/// The blocks that may still become temporaries.
#[derive(Debug)]
struct Recent {
    within: u64,
    blocks: Map<Block>,
    threads: Map<Thread>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Block {
    thread: u16,
    /// The thread's event that allocated it.
    number: u64,
}

#[derive(Debug, Default)]
struct Thread {
    events: u64,
    /// Its allocations within reach, oldest first: event and block.
    reach: VecDeque<(u64, u64)>,
}

impl Recent {
    fn of(within: u64) -> Recent {
        Recent {
            within,
            blocks: Map::default(),
            threads: Map::default(),
        }
    }

    /// Takes the next event; true where it frees a block soon enough.
    fn is_end_of_temporary(&mut self, happening: &Happening) -> bool {
        let key = happening.key();
        let gone = self.blocks.remove(&key);
        // Threads without a state of their own look like one.
        if happening.thread == u16::MAX {
            return false;
        }
        let thread = self.threads.entry(happening.thread.into()).or_default();
        thread.events += 1;
        let number = thread.events;
        if happening.operation.frees() {
            return gone.is_some_and(|block| {
                block.thread == happening.thread && number - block.number <= self.within
            });
        }
        thread.reach.push_back((number, key));
        let block = Block {
            thread: happening.thread,
            number,
        };
        self.blocks.insert(key, block);
        self.forget(happening.thread);
        false
    }

    /// What the thread can no longer free soon enough: its next event is one further.
    fn forget(&mut self, of: u16) {
        let Some(thread) = self.threads.get_mut(&of.into()) else {
            return;
        };
        let out_of_reach = |number: u64| thread.events - number >= self.within;
        while let Some(&(number, key)) = thread.reach.front().filter(|one| out_of_reach(one.0)) {
            thread.reach.pop_front();
            let block = Block { thread: of, number };
            if self.blocks.get(&key) == Some(&block) {
                self.blocks.remove(&key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use heapshim_ledger::rings::Operation;

    fn event(thread: u16, operation: Operation, address: u64) -> Happening {
        Happening {
            freed_by: 0,
            ns: 0,
            operation,
            thread,
            site: 2,
            address,
            size: 8,
        }
    }

    /// How many of these blocks are temporary.
    fn count(within: u64, events: &[Happening]) -> usize {
        let mut recent = Recent::of(within);
        let told = events
            .iter()
            .filter(|event| recent.is_end_of_temporary(event));
        told.count()
    }

    /// Check that each event of the thread counts, that no other thread's does, and that another thread's free makes none.
    #[test]
    fn by_the_threads_own_count() {
        use Operation::{Allocated, Freed};
        let events = [
            event(0, Allocated, 16),
            event(1, Allocated, 32),
            event(1, Allocated, 48),
            event(0, Freed, 16), // by its next
            event(1, Freed, 32), // by its next but one
            event(0, Freed, 48), // by another
        ];
        assert_eq!([1, 2, 3].map(|within| count(within, &events)), [1, 2, 2]);
    }

    /// Check that a block at an address that was another's is none of the other's, and that malloc's and Python's are not confused.
    #[test]
    fn addresses_come_back() {
        use Operation::{Allocated, Freed, ObjectAllocated, ObjectFreed};
        let events = [
            event(0, Allocated, 16),
            event(1, Freed, 16),
            event(1, Allocated, 16),
            event(0, Freed, 16),
            event(0, ObjectAllocated, 16),
            event(0, Freed, 16),
            event(0, ObjectFreed, 16),
        ];
        assert_eq!([1, 2, 9].map(|within| count(within, &events)), [0, 1, 1]);
    }

    /// Check that threads without a number have none, and that no more is remembered than asked for.
    #[test]
    fn bounded() {
        use Operation::{Allocated, Freed};
        let events = [event(u16::MAX, Allocated, 16), event(u16::MAX, Freed, 16)];
        assert_eq!(count(5, &events), 0);
        let mut recent = Recent::of(3);
        for number in 0..1000 {
            recent.is_end_of_temporary(&event(0, Allocated, number * 16));
        }
        assert_eq!(
            (recent.blocks.len(), recent.threads[&0].reach.len()),
            (3, 3)
        );
    }
}
