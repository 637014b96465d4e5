//! The account: per slot and site, what was allocated and freed. Monotonic; live = allocated − freed, summed over the slots.
//!
//! Writer: slot s < EXCLUSIVE_SLOTS belongs to the thread that leases it and is written with plain adds; the shared slot with
//! locked ones. Reader: [`Counters::total`] reads all `freed` before all `allocated`. A block is freed after it was allocated,
//! and the program's own hand-over orders the two across threads, so a sum read in this order is never below zero. For the same
//! reason the number of slots is asked again in between: the block may have been allocated in a slot that is new since.
//! (Summing live counters slot by slot printed −97,329 blocks for a queue that never held more than 1,024.)

use crate::layout::{Cell, SHARED_SLOT};
use crate::sites::SiteId;
use crate::sync::{Word, add_owned};

/// A site's account at one moment, summed over the slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Total {
    /// Bytes ever allocated.
    pub allocated_bytes: u64,
    /// Blocks ever allocated.
    pub allocated_blocks: u64,
    /// Bytes ever freed.
    pub freed_bytes: u64,
    /// Blocks ever freed.
    pub freed_blocks: u64,
}

impl Total {
    /// Allocated, and not freed: below zero where a forked child freed what it never allocated.
    #[must_use]
    pub const fn live_bytes(self) -> i64 {
        self.allocated_bytes
            .wrapping_sub(self.freed_bytes)
            .cast_signed()
    }
}

/// The cells of all slots, or of all inside marks: `row * sites + site`.
#[derive(Clone, Copy, Debug)]
pub struct Counters<'a> {
    cells: &'a [Cell],
    sites: u32,
}

/// Slots that may have been written.
#[derive(Clone, Copy, Debug)]
pub struct Written {
    /// So many of the exclusive ones, the first.
    pub exclusive: u32,
    /// The shared one, too.
    pub shared: bool,
}

impl Written {
    /// Their numbers.
    pub(crate) fn slots(self) -> impl Iterator<Item = u32> {
        let shared = self.shared.then_some(SHARED_SLOT);
        (0..self.exclusive.min(SHARED_SLOT)).chain(shared)
    }
}

/// The cells of one slot.
#[derive(Clone, Copy, Debug)]
pub struct Slot<'a> {
    cells: &'a [Cell],
    shared: bool,
}

impl<'a> Counters<'a> {
    pub(crate) fn new(cells: &'a [Cell], sites: u32) -> Counters<'a> {
        Counters { cells, sites }
    }

    /// The cells of one row.
    #[must_use]
    pub fn row(&self, row: u32) -> &'a [Cell] {
        let start = (row as usize).saturating_mul(self.sites as usize);
        let end = start.saturating_add(self.sites as usize);
        self.cells.get(start..end).unwrap_or(&[])
    }

    /// The writer's half: one slot.
    #[must_use]
    pub fn slot(&self, slot: u32) -> Slot<'a> {
        Slot {
            cells: self.row(slot.min(SHARED_SLOT)),
            shared: slot >= SHARED_SLOT,
        }
    }

    /// The reader's half: one site's sum over the first `slots()` exclusive slots and the shared one. `slots` is asked twice: a
    /// slot that it does not count must not have been written when it was asked.
    #[must_use]
    pub fn total(&self, site: SiteId, slots: impl Fn() -> u32) -> Total {
        self.total_of(site, || Written {
            exclusive: slots(),
            shared: true,
        })
    }

    /// As [`Counters::total`], for one who also knows whether the shared slot may have been written.
    #[inline(always)]
    #[must_use]
    pub fn total_of(&self, site: SiteId, written: impl Fn() -> Written) -> Total {
        let freed = |cell: &Cell| [cell.freed_bytes.observe(), cell.freed_blocks.observe()];
        let [freed_bytes, freed_blocks] = self.sum(site, written(), freed);
        let [allocated_bytes, allocated_blocks] = self.sum(site, written(), |cell| {
            [
                cell.allocated_bytes.observe(),
                cell.allocated_blocks.observe(),
            ]
        });
        Total {
            allocated_bytes,
            allocated_blocks,
            freed_bytes,
            freed_blocks,
        }
    }

    /// As [`Counters::total`], of as many sites from `first` on as `totals` has room for. All that they freed is read before all that they allocated, slot by slot: for one who
    /// reads every site that is three times faster than site by site, and as right.
    pub fn totals_from(&self, first: SiteId, totals: &mut [Total], written: impl Fn() -> Written) {
        totals.fill(Total::default());
        for cells in self.rows_from(first, totals.len(), written()) {
            for (total, cell) in totals.iter_mut().zip(cells) {
                let (bytes, blocks) = (cell.freed_bytes.observe(), cell.freed_blocks.observe());
                total.freed_bytes = total.freed_bytes.wrapping_add(bytes);
                total.freed_blocks = total.freed_blocks.wrapping_add(blocks);
            }
        }
        for cells in self.rows_from(first, totals.len(), written()) {
            for (total, cell) in totals.iter_mut().zip(cells) {
                let (bytes, blocks) = (
                    cell.allocated_bytes.observe(),
                    cell.allocated_blocks.observe(),
                );
                total.allocated_bytes = total.allocated_bytes.wrapping_add(bytes);
                total.allocated_blocks = total.allocated_blocks.wrapping_add(blocks);
            }
        }
    }

    /// The cells of these sites, of each slot that may have been written.
    fn rows_from(
        &self,
        first: SiteId,
        sites: usize,
        written: Written,
    ) -> impl Iterator<Item = &'a [Cell]> + use<'a> {
        let counters = *self;
        written.slots().map(move |slot| {
            let row = counters.row(slot).get(first.0 as usize..).unwrap_or(&[]);
            row.get(..sites).unwrap_or(row)
        })
    }

    /// Two words of a site's cells. Of one slot, which is all that a process with one thread has, they are as they stand: the copy of the highest moment
    /// asks for every site's.
    #[inline(always)]
    fn sum(&self, site: SiteId, written: Written, words: impl Fn(&Cell) -> [u64; 2]) -> [u64; 2] {
        match (written.exclusive, written.shared) {
            (1, false) => self.cells.get(site.0 as usize).map_or([0; 2], words),
            _ => self.sum_of_many(site, written, words),
        }
    }

    #[inline(never)]
    fn sum_of_many(
        &self,
        site: SiteId,
        written: Written,
        words: impl Fn(&Cell) -> [u64; 2],
    ) -> [u64; 2] {
        let stride = self.sites as usize;
        let mut sum = [0u64; 2];
        let mut add = |at: usize| {
            let found = self.cells.get(at).map_or([0; 2], &words);
            let pairs = sum.iter_mut().zip(found);
            pairs.for_each(|(sum, found)| *sum = sum.wrapping_add(found));
        };
        let mut at = site.0 as usize;
        // A site that is none would be one of the next slot.
        if at < stride {
            for _ in 0..written.exclusive.min(SHARED_SLOT) {
                add(at);
                at = at.saturating_add(stride);
            }
            if written.shared {
                let row = stride.saturating_mul(SHARED_SLOT as usize);
                add(row.saturating_add(site.0 as usize));
            }
        }
        sum
    }
}

impl Slot<'_> {
    /// Charges a new block to a site.
    #[inline(always)]
    pub fn allocated(&self, site: SiteId, bytes: u64) {
        if let Some(cell) = self.cells.get(site.0 as usize) {
            self.add(&cell.allocated_bytes, bytes);
            self.add(&cell.allocated_blocks, 1);
        }
    }

    /// Takes a block off its site's account. False where there is no such site: a number past them all stands for a sampled block.
    #[inline(always)]
    #[must_use]
    pub fn freed(&self, site: SiteId, bytes: u64) -> bool {
        self.freed_after(site, bytes, || ())
    }

    /// As [`Slot::freed`], after something that must find the block still there.
    #[inline(always)]
    #[must_use]
    pub fn freed_after(&self, site: SiteId, bytes: u64, before: impl FnOnce()) -> bool {
        let Some(cell) = self.cells.get(site.0 as usize) else {
            return false;
        };
        before();
        self.add(&cell.freed_bytes, bytes);
        self.add(&cell.freed_blocks, 1);
        true
    }

    #[inline(always)]
    fn add(&self, word: &crate::sync::AtomicU64, value: u64) {
        if self.shared {
            word.add_shared(value);
        } else {
            add_owned(word, value);
        }
    }
}

#[cfg(all(test, loom))]
mod models {
    use super::*;
    use crate::layout::SLOTS;
    use crate::layout::Thread;
    use crate::sync::AtomicU32;
    use crate::testing::bounded;
    use crate::threads::Threads;
    use loom::sync::Arc;
    use loom::thread;

    const SITE: SiteId = SiteId(0);

    /// One site in all slots, the threads' high-water mark, and the program's own word by which it hands a block over.
    struct Account {
        cells: Vec<Cell>,
        len: AtomicU32,
        threads: [Thread; 4],
        handed: AtomicU32,
    }

    impl Account {
        fn new() -> Arc<Account> {
            Arc::new(Account {
                cells: (0..SLOTS).map(|_| Cell::default()).collect(),
                len: AtomicU32::new(1),
                threads: Default::default(),
                handed: AtomicU32::new(0),
            })
        }

        fn counters(&self) -> Counters<'_> {
            Counters::new(&self.cells, 1)
        }

        fn threads(&self) -> Threads<'_> {
            Threads::new(&self.len, &self.threads)
        }

        fn total(&self) -> Total {
            self.counters().total(SITE, || self.threads().used())
        }
    }

    /// One thread allocates in slot `from` and hands the block over, another frees it in slot `to`; a third reads.
    fn hand_over(from: u32, to: u32) {
        let account = Account::new();
        let (giver, taker) = (account.clone(), account.clone());
        let gives = thread::spawn(move || {
            giver.threads().note_used(from);
            giver.counters().slot(from).allocated(SITE, 24);
            giver.handed.publish(1);
        });
        let takes = thread::spawn(move || {
            if taker.handed.observe() == 1 {
                assert!(taker.counters().slot(to).freed(SITE, 24));
            }
        });
        let total = account.total();
        assert!(total.freed_blocks <= total.allocated_blocks, "{total:?}");
        assert!(total.freed_bytes <= total.allocated_bytes, "{total:?}");
        gives.join().expect("no panic");
        takes.join().expect("no panic");
        assert_eq!(account.total().allocated_bytes, 24);
    }

    /// Check that a total is never below zero while a block goes from one thread to another. The giver's slot is new: a reader
    /// that asks for the number of slots only once misses what was allocated in it.
    #[test]
    fn hand_over_from_a_new_slot() {
        bounded(3, || hand_over(1, 0));
    }

    /// Check the same where the giver is one of those that share a slot.
    #[test]
    fn hand_over_from_the_shared_slot() {
        bounded(3, || hand_over(SHARED_SLOT, 0));
    }

    /// Check that nothing is lost where a slot goes from one thread to the next by a lock, and that a reader meanwhile sees it grow and nothing else:
    /// its one writer adds without a lock prefix.
    #[test]
    fn slot_handed_on() {
        bounded(3, || {
            let (account, lease) = (Account::new(), Arc::new(loom::sync::Mutex::new(())));
            let owners = [24, 8].map(|size| {
                let (account, lease) = (account.clone(), lease.clone());
                thread::spawn(move || {
                    let _leased = lease.lock().expect("no panic");
                    account.counters().slot(0).allocated(SITE, size);
                })
            });
            let (first, second) = (account.total(), account.total());
            assert!(first.allocated_blocks <= second.allocated_blocks);
            assert!(first.allocated_bytes <= second.allocated_bytes);
            owners.map(|owner| owner.join().expect("no panic"));
            let total = account.total();
            assert_eq!((total.allocated_bytes, total.allocated_blocks), (32, 2));
        });
    }

    /// Check that two threads that add to the shared slot lose nothing.
    #[test]
    fn shared_slot() {
        loom::model(|| {
            let account = Account::new();
            let threads = [8, 16].map(|bytes| {
                let account = account.clone();
                thread::spawn(move || {
                    account.counters().slot(SHARED_SLOT).allocated(SITE, bytes);
                })
            });
            for thread in threads {
                thread.join().expect("no panic");
            }
            let total = account.total();
            assert_eq!((total.allocated_bytes, total.allocated_blocks), (24, 2));
        });
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::layout::SLOTS;

    fn cells(sites: u32) -> Vec<Cell> {
        (0..sites * SLOTS).map(|_| Cell::default()).collect()
    }

    /// Check that a total sums the slots that were asked for and the shared one, of its own site alone.
    #[test]
    fn sums() {
        let cells = cells(3);
        let counters = Counters::new(&cells, 3);
        counters.slot(0).allocated(SiteId(2), 100);
        counters.slot(1).allocated(SiteId(2), 10);
        assert!(counters.slot(1).freed(SiteId(2), 100));
        counters.slot(SHARED_SLOT).allocated(SiteId(2), 1);
        counters.slot(9).allocated(SiteId(2), 1000);
        counters.slot(0).allocated(SiteId(1), 5);
        let total = Total {
            allocated_bytes: 111,
            allocated_blocks: 3,
            freed_bytes: 100,
            freed_blocks: 1,
        };
        assert_eq!(counters.total(SiteId(2), || 2), total);
        let all = counters.total(SiteId(2), || u32::MAX);
        assert_eq!((all.allocated_bytes, all.allocated_blocks), (1111, 4));
    }

    /// Check that what is read of many sites at once is what is read of each, with as many slots as are counted, and that sites that are none have nothing.
    #[test]
    fn many_sites() {
        let cells = cells(5);
        let counters = Counters::new(&cells, 5);
        for (slot, site) in (0..SLOTS).zip((0..5).cycle()) {
            counters
                .slot(slot)
                .allocated(SiteId(site), 100 + u64::from(slot));
            assert!(counters.slot(slot / 2).freed(SiteId(site), slot.into()));
        }
        for (slots, first) in [(1, 0), (3, 2), (SLOTS, 0), (u32::MAX, 4), (2, 5)] {
            let mut totals = [Total {
                freed_bytes: 9,
                ..Total::default()
            }; 5];
            let written = || Written {
                exclusive: slots,
                shared: slots != 3,
            };
            counters.totals_from(SiteId(first), &mut totals, written);
            for (site, total) in (first..).zip(totals) {
                let expected = counters.total_of(SiteId(site), written);
                assert_eq!(
                    total,
                    if site < 5 { expected } else { Total::default() },
                    "{slots} {site}"
                );
            }
        }
    }

    /// Check that the shared slot counts where it may have been written, as it is when the allocations are read.
    #[test]
    fn shared_or_not() {
        let cells: [Cell; 2 * SLOTS as usize] = std::array::from_fn(|_| Cell::default());
        let counters = Counters::new(&cells, 2);
        counters.slot(0).allocated(SiteId(1), 5);
        counters.slot(SHARED_SLOT).allocated(SiteId(1), 8);
        let bytes = |shared: [bool; 2]| {
            let mut asked = shared.into_iter();
            let asked = core::cell::RefCell::new(&mut asked);
            let written = || Written {
                exclusive: 1,
                shared: asked.borrow_mut().next().expect("asked twice"),
            };
            counters.total_of(SiteId(1), written).allocated_bytes
        };
        assert_eq!(bytes([false, false]), 5);
        assert_eq!(bytes([false, true]), 13);
    }

    /// Check that slots beyond the table are the shared one, and that sites beyond it are nobody's.
    #[test]
    fn outside() {
        let cells = cells(2);
        let counters = Counters::new(&cells, 2);
        counters.slot(u32::MAX).allocated(SiteId(1), 7);
        counters.slot(0).allocated(SiteId(2), 9);
        assert!(!counters.slot(0).freed(SiteId(u32::MAX), 9));
        assert_eq!(counters.total(SiteId(1), || 0).allocated_bytes, 7);
        let sum = |site| counters.total(SiteId(site), || SLOTS).allocated_bytes;
        assert_eq!(
            sum(0) + sum(1),
            7,
            "site 2 of slot 0 is not site 0 of slot 1"
        );
        assert!(counters.row(SLOTS).is_empty() && counters.row(u32::MAX).is_empty());
    }

    /// Check that threads with a slot each and threads that share one lose no event.
    #[test]
    fn threads() {
        let cells = cells(1);
        let counters = Counters::new(&cells, 1);
        std::thread::scope(|scope| {
            for thread in 0..4u32 {
                let slot = counters.slot(if thread < 2 { thread } else { SHARED_SLOT });
                scope.spawn(move || (0..10_000).for_each(|_| slot.allocated(SiteId(0), 3)));
            }
        });
        let total = counters.total(SiteId(0), || 2);
        assert_eq!(
            (total.allocated_bytes, total.allocated_blocks),
            (120_000, 40_000)
        );
    }
}
