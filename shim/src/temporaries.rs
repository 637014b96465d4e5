//! Blocks that their thread frees by its very next operation: counted beside the account, without a recording (`heapshim_ledger::temporaries`).
//!
//! A thread's state keeps which block its last operation has allocated. An allocation stores it, one instruction; the end of a block compares and clears it, three.
//! Operations are those that a recording has: what is told to a reader there is noted here, in the same order, so that `heapshim temporary` says the same of the same run, to the block.
//! (Only an event in the middle of another's hook, a signal handler's, may come between the two.) A realloc that succeeds is the end of one block and another's
//! beginning; a state that goes from a thread that has ended to a new one keeps its block, as both are one thread to a recording. A forked child has allocated nothing yet.
//! Threads without a state have no temporaries. Where not each event is recorded nobody can tell which was next: `snapshot` then says nothing.

use crate::real::Block;
use crate::shadow::Live;
use crate::thread::State;
use heapshim_ledger::rings::Operation;
use heapshim_ledger::sync::{AtomicU64, Word};

/// Python's objects and malloc's blocks are told apart by it: none begins at an odd address.
const OBJECT: u64 = 1;

/// A block, as the thread's state remembers it; never 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key(u64);

/// What a thread's last operation has allocated; 0 = nothing.
#[derive(Debug)]
pub(crate) struct Last(AtomicU64);

impl Key {
    /// The block that an operation is of.
    #[inline(always)]
    pub(crate) fn of(operation: Operation, block: Block) -> Key {
        let address = block.addr() as u64;
        Key(match operation {
            Operation::Allocated | Operation::Freed => address,
            Operation::ObjectAllocated | Operation::ObjectFreed => address | OBJECT,
        })
    }
}

impl Last {
    /// This one was allocated now.
    #[inline(always)]
    pub(crate) fn note(&self, key: Key) {
        self.0.put(key.0);
    }

    /// The last operation allocated nothing.
    #[inline(always)]
    pub(crate) fn clear(&self) {
        self.0.put(0);
    }

    /// Whether it was this one, which goes now.
    #[inline(always)]
    fn ends(&self, key: Key) -> bool {
        let is_it = self.0.peek() == key.0;
        self.clear();
        is_it
    }
}

/// A block of the thread's has gone, and was charged to its site.
#[inline(always)]
pub(crate) fn gone(state: &State, key: Key, live: Live) {
    if state.last.ends(key) {
        state.temporaries().add(live.site, live.size);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(address: usize) -> Block {
        core::ptr::without_provenance_mut(address)
    }

    /// Check that a block is the last one until anything else is allocated or goes, once, and that an object is no block of malloc's.
    #[test]
    fn last() {
        let key = |operation| Key::of(operation, block(64));
        let (allocated, freed) = (key(Operation::Allocated), key(Operation::Freed));
        let last = Last(AtomicU64::new(0));
        assert!(!last.ends(freed));
        last.note(allocated);
        assert!(last.ends(freed) && !last.ends(freed));
        last.note(allocated);
        assert!(!last.ends(Key::of(Operation::Freed, block(128))));
        assert!(!last.ends(freed), "something else went in between");
        last.note(key(Operation::ObjectAllocated));
        assert!(!last.ends(freed));
        last.note(key(Operation::ObjectAllocated));
        assert!(last.ends(key(Operation::ObjectFreed)));
        last.note(allocated);
        last.clear();
        assert!(!last.ends(freed));
    }
}
