//! Blocks by when they were born: what of a site's growth was allocated after a mark and is still there. Both halves.
//!
//! A mark that is *pinned* begins a cohort, one more than the last (`Control::cohort`); a block carries in the shadow the one that it was born in. Each cohort has an
//! account of its own, beside the sites' usual one: what was allocated in it, and what of that was freed. So the survivors of a pinned mark are what is live of its
//! cohort and those behind it, at any later moment, whatever the mark's own counters say: no account of two moments is subtracted. Cohort 0 are the blocks from before the
//! first pinned mark: nothing is counted of them, so that nothing is paid for where no mark is pinned. Its row instead notes (in `allocated_blocks`) the sites that
//! have had a block whose birth the shadow has no room for: of these nothing is known.
//!
//! One row for all threads, added to atomically. Numbers never wrap: where all are used up, marks are no longer pinned.

use crate::counters::Counters;
use crate::layout::{COHORTS, Cell};
use crate::sites::SiteId;
use crate::sync::{AtomicU64, Word};

/// The accounts of all cohorts.
#[derive(Clone, Copy, Debug)]
pub struct Cohorts<'a> {
    youngest: &'a AtomicU64,
    cells: Counters<'a>,
}

/// What is live of the blocks of one site that were born in one cohort.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Born {
    /// Bytes.
    pub bytes: i64,
    /// Blocks.
    pub blocks: i64,
}

impl<'a> Cohorts<'a> {
    pub(crate) fn new(youngest: &'a AtomicU64, cells: Counters<'a>) -> Cohorts<'a> {
        Cohorts { youngest, cells }
    }

    /// A block was born in a cohort.
    pub fn born(&self, cohort: u32, site: SiteId, bytes: u64) {
        self.note(cohort);
        if let Some(cell) = self.cell(cohort, site) {
            cell.allocated_bytes.add_shared(bytes);
            cell.allocated_blocks.add_shared(1);
        }
    }

    /// One that was born in it has gone.
    pub fn gone(&self, cohort: u32, site: SiteId, bytes: u64) {
        if let Some(cell) = self.cell(cohort, site) {
            cell.freed_bytes.add_shared(bytes);
            cell.freed_blocks.add_shared(1);
        }
    }

    /// A block was born in a cohort of which its entry will not tell.
    pub fn lost(&self, cohort: u32, site: SiteId) {
        self.note(cohort);
        if let Some(cell) = self.cell(0, site) {
            cell.allocated_blocks.put(1);
        }
    }

    /// Rows that nobody wrote need not be looked at.
    fn note(&self, cohort: u32) {
        let mut held = self.youngest.peek();
        while held < u64::from(cohort) {
            match self.youngest.claim(held, cohort.into()) {
                Ok(_) => break,
                Err(now) => held = now,
            }
        }
    }

    fn cell(&self, cohort: u32, site: SiteId) -> Option<&'a Cell> {
        self.cells.row(cohort).get(site.0 as usize)
    }

    /// The youngest cohort that has had a block.
    #[must_use]
    pub fn youngest(&self) -> u32 {
        let youngest = u32::try_from(self.youngest.observe()).unwrap_or(u32::MAX);
        youngest.min(COHORTS - 1)
    }

    /// What is live of a site's blocks that were born in this cohort. What was freed is read first, as in `counters`.
    #[must_use]
    pub fn live(&self, cohort: u32, site: SiteId) -> Option<Born> {
        let cell = self.cell(cohort, site)?;
        let gone = (cell.freed_bytes.observe(), cell.freed_blocks.observe());
        let born = (
            cell.allocated_bytes.observe(),
            cell.allocated_blocks.observe(),
        );
        Some(Born {
            bytes: born.0.wrapping_sub(gone.0).cast_signed(),
            blocks: born.1.wrapping_sub(gone.1).cast_signed(),
        })
    }

    /// False for a site that has had a block whose birth nobody knows.
    #[must_use]
    pub fn is_known(&self, site: SiteId) -> bool {
        self.cell(0, site)
            .is_none_or(|cell| cell.allocated_blocks.observe() == 0)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    /// Check that each cohort has its own account, that the youngest only rises, and that what is out of range changes nothing.
    #[test]
    fn accounts() {
        let cells: Vec<Cell> = (0..COHORTS * 3).map(|_| Cell::default()).collect();
        let youngest = AtomicU64::new(0);
        let cohorts = Cohorts::new(&youngest, Counters::new(&cells, 3));
        cohorts.born(2, SiteId(1), 40);
        cohorts.born(2, SiteId(1), 2);
        cohorts.born(1, SiteId(1), 7);
        cohorts.gone(2, SiteId(1), 40);
        cohorts.gone(1, SiteId(2), 9);
        cohorts.born(COHORTS, SiteId(1), 1);
        cohorts.born(3, SiteId(3), 1);
        let live = |cohort, site| {
            cohorts
                .live(cohort, SiteId(site))
                .map(|born| (born.bytes, born.blocks))
        };
        assert_eq!(live(2, 1), Some((2, 1)));
        assert_eq!(live(1, 1), Some((7, 1)));
        assert_eq!(live(1, 2), Some((-9, -1)), "a forked child's");
        assert_eq!((live(COHORTS, 1), live(1, 3)), (None, None));
        assert_eq!(cohorts.youngest(), COHORTS - 1, "whatever stands there");
        cohorts.lost(1, SiteId(2));
        assert!(cohorts.is_known(SiteId(1)) && !cohorts.is_known(SiteId(2)));
    }
}

#[cfg(all(test, loom))]
mod models {
    use super::*;
    use crate::testing::bounded;
    use loom::sync::Arc;
    use loom::thread;

    /// Check that of a block which one thread allocates and another frees no reader sees less than nothing, and that nothing of either is lost.
    #[test]
    fn born_and_gone() {
        bounded(3, || {
            let cells: Arc<Vec<Cell>> = Arc::new((0..COHORTS).map(|_| Cell::default()).collect());
            let (youngest, handed) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
            let taker = {
                let (cells, youngest, handed) = (cells.clone(), youngest.clone(), handed.clone());
                thread::spawn(move || {
                    if handed.observe() == 1 {
                        Cohorts::new(&youngest, Counters::new(&cells, 1)).gone(1, SiteId(0), 24);
                    }
                })
            };
            let giver = {
                let (cells, youngest, handed) = (cells.clone(), youngest.clone(), handed.clone());
                thread::spawn(move || {
                    Cohorts::new(&youngest, Counters::new(&cells, 1)).born(1, SiteId(0), 24);
                    handed.publish(1);
                })
            };
            let cohorts = Cohorts::new(&youngest, Counters::new(&cells, 1));
            let seen = cohorts.live(1, SiteId(0)).expect("a site");
            assert!(seen.bytes >= 0 && seen.blocks >= 0, "{seen:?}");
            giver.join().expect("no panic");
            taker.join().expect("no panic");
            let left = cohorts.live(1, SiteId(0)).expect("a site");
            assert_eq!(left.bytes, left.blocks * 24);
        });
    }
}
