//! What both ends of a chunk's events foresee by: the threads' sites, the sites' sizes, the blocks that were freed last. Used by `columns` alone.
//!
//! Invariant: the same events leave the same model, whichever end they come to it from.

use super::super::{Dense, Happening, Map};

/// Freed blocks of a class that are remembered: allocators give back what was freed last, in lists of a few.
const REMEMBERED: usize = 64;

/// What both ends know of the events before.
#[derive(Debug, Default)]
pub(super) struct Model {
    pub(super) thread: u16,
    /// The thread's, among `threads`, of which each chunk uses the first again.
    pub(super) place: usize,
    pub(super) places: Map<usize>,
    pub(super) threads: Vec<Thread>,
    pub(super) sizes: Dense<u64>,
    /// By site, which one freed its block last: nearly all have one that does.
    pub(super) freed_by: Dense<u32>,
    pub(super) classes: Dense<Class>,
    pub(super) freed: u64,
}

#[derive(Debug, Default)]
pub(super) struct Thread {
    pub(super) site: u32,
    pub(super) next: Map<u32>,
}

/// Blocks of one size, rounded as allocators do.
#[derive(Debug, Default)]
pub(super) struct Class {
    pub(super) last: u64,
    pub(super) freed: Vec<u64>,
}

impl Model {
    pub(super) fn new() -> Model {
        let mut model = Model::default();
        model.turn_to(0);
        model
    }

    /// Knows nothing again, and keeps the room of all that it knew: made anew for each chunk, its tables were a fifth of what reading one took.
    pub(super) fn forget(&mut self) {
        self.places.clear();
        self.threads.iter_mut().for_each(Thread::forget);
        self.sizes.forget(|size| *size = 0);
        self.freed_by.forget(|site| *site = 0);
        self.classes.forget(Class::forget);
        self.freed = 0;
        self.turn_to(0);
    }

    /// The events to come are this thread's.
    pub(super) fn turn_to(&mut self, thread: u16) {
        let (next, threads) = (self.places.len(), &mut self.threads);
        self.thread = thread;
        self.place = *self.places.entry(thread.into()).or_insert(next);
        if self.place >= threads.len() {
            threads.push(Thread::default());
        }
    }

    /// The site that came after this thread's last one before: what is written there is foreseen the next time. (One look-up serves both: they are most of the
    /// time that an event takes.)
    pub(super) fn next_site(&mut self) -> &mut u32 {
        let thread = &mut self.threads[self.place];
        let last = thread.site;
        thread.next.entry(last.into()).or_insert(last)
    }

    /// The size that this site had last, likewise.
    pub(super) fn size(&mut self, site: u32) -> &mut u64 {
        self.sizes.at(site.into())
    }

    pub(super) fn class(&mut self, size: u64) -> &mut Class {
        self.classes.at(size.saturating_add(23) >> 4)
    }

    pub(super) fn allocate(&mut self, happening: &Happening) {
        self.threads[self.place].site = happening.site;
    }

    pub(super) fn free(&mut self, happening: &Happening) {
        self.freed = happening.address;
        self.class(happening.size).free(happening.address);
    }
}

impl Thread {
    pub(super) fn forget(&mut self) {
        self.site = 0;
        self.next.clear();
    }
}

impl Class {
    pub(super) fn forget(&mut self) {
        self.last = 0;
        self.freed.clear();
    }

    /// Where its next block is foreseen.
    pub(super) fn foreseen(&self) -> Option<u64> {
        self.freed.last().copied()
    }

    pub(super) fn allocate(&mut self, address: u64) {
        self.last = address;
        if self.foreseen() == Some(address) {
            self.freed.pop();
        } else if let Some(at) = self.freed.iter().rposition(|&freed| freed == address) {
            self.freed.remove(at);
        }
    }

    pub(super) fn free(&mut self, address: u64) {
        if self.freed.len() >= REMEMBERED {
            self.freed.drain(..REMEMBERED / 2);
        }
        self.freed.push(address);
    }
}
