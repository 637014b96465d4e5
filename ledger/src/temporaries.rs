//! Blocks that their thread freed by its very next operation: by slot and site, beside the account. Both halves.
//!
//! An operation is what a recording has an event of: a block or an object that is allocated, or that goes. Writer: as in [`crate::counters`], after the free was
//! charged there, in the same slot; so a slot has temporaries only of sites of which it freed something, and a reader asks it for no others: the page of a cell that nobody
//! wrote would become resident by being read. Monotonic; what came and went between two moments is the difference of two sums.

use crate::counters::{Counters, Written};
use crate::layout::{SHARED_SLOT, Temporary};
use crate::sites::SiteId;
use crate::sync::{AtomicU64, Word, add_owned};

/// The cells of all slots: `slot * sites + site`.
#[derive(Clone, Copy, Debug)]
pub struct Temporaries<'a> {
    cells: &'a [Temporary],
    sites: u32,
}

/// The cells of one slot.
#[derive(Clone, Copy, Debug)]
pub struct TemporarySlot<'a> {
    cells: &'a [Temporary],
    shared: bool,
}

/// How many of one site's blocks were temporary, in all slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Brief {
    /// Their bytes.
    pub bytes: u64,
    /// Their number.
    pub blocks: u64,
}

impl<'a> Temporaries<'a> {
    pub(crate) fn new(cells: &'a [Temporary], sites: u32) -> Temporaries<'a> {
        Temporaries { cells, sites }
    }

    fn row(&self, slot: u32) -> &'a [Temporary] {
        let start = (slot as usize).saturating_mul(self.sites as usize);
        let end = start.saturating_add(self.sites as usize);
        self.cells.get(start..end).unwrap_or(&[])
    }

    /// The writer's half: one slot.
    #[must_use]
    pub fn slot(&self, slot: u32) -> TemporarySlot<'a> {
        TemporarySlot {
            cells: self.row(slot.min(SHARED_SLOT)),
            shared: slot >= SHARED_SLOT,
        }
    }

    /// The reader's half: one site's sum over the slots that may have been written, as far as these have freed anything of it.
    pub(crate) fn total(&self, counters: &Counters<'_>, site: SiteId, written: Written) -> Brief {
        let at = site.0 as usize;
        let freed = |slot: u32| {
            let cell = counters.row(slot).get(at);
            cell.is_some_and(|cell| cell.freed_blocks.observe() != 0)
        };
        let cells = written
            .slots()
            .filter(|&slot| freed(slot))
            .filter_map(|slot| self.row(slot).get(at));
        cells.fold(Brief::default(), |sum, cell| Brief {
            bytes: sum.bytes.wrapping_add(cell.bytes.observe()),
            blocks: sum.blocks.wrapping_add(cell.blocks.observe()),
        })
    }
}

impl TemporarySlot<'_> {
    /// A block of this site was temporary.
    #[inline(always)]
    pub fn add(&self, site: SiteId, bytes: u64) {
        if let Some(cell) = self.cells.get(site.0 as usize) {
            self.add_to(&cell.bytes, bytes);
            self.add_to(&cell.blocks, 1);
        }
    }

    #[inline(always)]
    fn add_to(&self, word: &AtomicU64, value: u64) {
        match self.shared {
            true => {
                word.add_shared(value);
            }
            false => add_owned(word, value),
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::layout::{Cell, SLOTS};

    /// Check that a sum is of its own site in the slots that are counted and in the shared one, and that a slot which freed nothing of the site is not asked.
    #[test]
    fn sums() {
        let cells: Vec<Temporary> = (0..SLOTS * 2).map(|_| Temporary::default()).collect();
        let account: Vec<Cell> = (0..SLOTS * 2).map(|_| Cell::default()).collect();
        let (temporaries, counters) = (Temporaries::new(&cells, 2), Counters::new(&account, 2));
        for (slot, bytes) in [(0, 8), (1, 16), (SHARED_SLOT, 32), (u32::MAX, 64), (5, 128)] {
            temporaries.slot(slot).add(SiteId(1), bytes);
            if slot != 1 {
                assert!(counters.slot(slot).freed(SiteId(1), bytes));
            }
        }
        let sum = |site, exclusive, shared| {
            let written = Written { exclusive, shared };
            temporaries.total(&counters, SiteId(site), written)
        };
        let total = |site, exclusive| sum(site, exclusive, true);
        let (bytes, blocks) = (8 + 32 + 64, 3);
        assert_eq!(total(1, 2), Brief { bytes, blocks });
        assert_eq!(total(1, u32::MAX).blocks, 4);
        assert_eq!(
            sum(1, 2, false),
            Brief {
                bytes: 8,
                blocks: 1
            }
        );
        assert_eq!(total(0, SLOTS), Brief::default());
        temporaries.slot(0).add(SiteId(2), 1);
        assert_eq!(total(2, SLOTS), Brief::default(), "no site of slot 1");
        assert_eq!(total(0, SLOTS), Brief::default());
    }
}

#[cfg(all(test, loom))]
mod models {
    use super::*;
    use crate::layout::{Cell, SLOTS};
    use loom::sync::Arc;
    use loom::thread;

    /// Check that two threads that share a slot lose nothing, and that a reader meanwhile sees no more than there is.
    #[test]
    fn shared_slot() {
        loom::model(|| {
            let cells: Arc<Vec<Temporary>> =
                Arc::new((0..SLOTS).map(|_| Temporary::default()).collect());
            let account: Vec<Cell> = (0..SLOTS).map(|_| Cell::default()).collect();
            let counters = Counters::new(&account, 1);
            assert!(counters.slot(SHARED_SLOT).freed(SiteId(0), 24));
            let threads = [8, 16].map(|bytes| {
                let cells = cells.clone();
                thread::spawn(move || {
                    Temporaries::new(&cells, 1)
                        .slot(SHARED_SLOT)
                        .add(SiteId(0), bytes);
                })
            });
            let written = Written {
                exclusive: 0,
                shared: true,
            };
            let total = || Temporaries::new(&cells, 1).total(&counters, SiteId(0), written);
            assert!(total().blocks <= 2);
            for thread in threads {
                thread.join().expect("no panic");
            }
            let (bytes, blocks) = (24, 2);
            assert_eq!(total(), Brief { bytes, blocks });
        });
    }
}
