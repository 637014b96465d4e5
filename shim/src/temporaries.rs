//! Blocks that their thread frees by its very next operation: counted beside the account, without a recording (`heapshim_ledger::temporaries`).
//!
//! A thread's state keeps which block its last operation has allocated, and at which site: another thread may free that block meanwhile, and give the address back as one of its own.
//! (Where both allocate at one site that goes unnoticed.) An allocation stores it, three instructions; the end of a block compares and clears it, five.
//! Operations are those that a recording has: what is told to a reader there is noted here, in the same order, so that `heapshim temporary` says the same of the same run, to the block.
//! (Only an event in the middle of another's hook, a signal handler's, may come between the two.) A realloc that succeeds is the end of one block and another's
//! beginning; a state that goes from a thread that has ended to a new one keeps its block, as both are one thread to a recording. A forked child has allocated nothing yet.
//! Threads without a state have no temporaries. Where not each event is recorded nobody can tell which was next: `snapshot` then says nothing.

use crate::real::Block;
use crate::shadow::{Live, SITE_BITS};
use crate::thread::State;
use heapshim_ledger::rings::Operation;
use heapshim_ledger::sites::SiteId;
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

impl Key {
    /// The block with its site, above all but the highest bit of an address.
    #[inline(always)]
    fn at(self, site: SiteId) -> u64 {
        self.0 ^ u64::from(site.0) << (u64::BITS - SITE_BITS)
    }
}

impl Last {
    /// This one was allocated now, at this site.
    #[inline(always)]
    pub(crate) fn note(&self, key: Key, site: SiteId) {
        self.0.put(key.at(site));
    }

    /// The last operation allocated nothing.
    #[inline(always)]
    pub(crate) fn clear(&self) {
        self.0.put(0);
    }

    /// Whether it was this one, which goes now.
    #[inline(always)]
    fn ends(&self, key: Key, site: SiteId) -> bool {
        let is_it = self.0.peek() == key.at(site);
        self.clear();
        is_it
    }
}

/// A block of the thread's has gone, and was charged to its site.
#[inline(always)]
pub(crate) fn gone(state: &State, key: Key, live: Live) {
    if state.last.ends(key, live.site) {
        state.temporaries().add(live.site, live.size);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(address: usize) -> Block {
        core::ptr::without_provenance_mut(address)
    }

    /// Check that a block is the last one until anything else is allocated or goes, once; that an object is no block of malloc's, nor one of another site
    /// that has come to the same address.
    #[test]
    fn last() {
        const SITE: SiteId = SiteId((1 << SITE_BITS) - 1);
        let key = |operation| Key::of(operation, block(64));
        let (allocated, freed) = (key(Operation::Allocated), key(Operation::Freed));
        let last = Last(AtomicU64::new(0));
        let ends = |key| last.ends(key, SITE);
        assert!(!ends(freed));
        last.note(allocated, SITE);
        assert!(ends(freed) && !ends(freed));
        last.note(allocated, SITE);
        assert!(!ends(Key::of(Operation::Freed, block(128))));
        assert!(!ends(freed), "something else went in between");
        last.note(key(Operation::ObjectAllocated), SITE);
        assert!(!ends(freed));
        last.note(key(Operation::ObjectAllocated), SITE);
        assert!(ends(key(Operation::ObjectFreed)));
        last.note(allocated, SITE);
        assert!(!last.ends(freed, SiteId(7)), "another's at its address");
        last.note(allocated, SITE);
        last.clear();
        assert!(!ends(freed));
    }
}
