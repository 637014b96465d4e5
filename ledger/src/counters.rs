//! The account: per slot and site, what was allocated and freed. Monotonic; live = allocated − freed, summed over the slots.
//!
//! Writer: slot s < EXCLUSIVE_SLOTS belongs to the thread that leases it and is written with plain adds; the shared slot with
//! locked ones. Reader: [`Counters::total`] reads all `freed` before all `allocated`. A block is freed after it was allocated,
//! and the program's own hand-over orders the two across threads, so a sum read in this order is never below zero. For the same
//! reason the number of slots is asked again in between: the block may have been allocated in a slot that is new since.
//! (Summing live counters slot by slot printed −97,329 blocks for a queue that never held more than 1,024.)

use crate::layout::{Cell, SHARED_SLOT, SLOTS};
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

/// The cells of all slots, or of all inside marks: `row * sites + site`.
#[derive(Clone, Copy, Debug)]
pub struct Counters<'a> {
    cells: &'a [Cell],
    sites: u32,
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
        let mut total = Total::default();
        for cell in self.cells_of(site, slots()) {
            total.freed_bytes = total.freed_bytes.wrapping_add(cell.freed_bytes.observe());
            total.freed_blocks = total.freed_blocks.wrapping_add(cell.freed_blocks.observe());
        }
        for cell in self.cells_of(site, slots()) {
            total.allocated_bytes = total
                .allocated_bytes
                .wrapping_add(cell.allocated_bytes.observe());
            total.allocated_blocks = total
                .allocated_blocks
                .wrapping_add(cell.allocated_blocks.observe());
        }
        total
    }

    fn cells_of(&self, site: SiteId, slots: u32) -> impl Iterator<Item = &'a Cell> + use<'a> {
        let (cells, stride) = (self.cells, self.sites as usize);
        let rows = (0..slots.min(SHARED_SLOT)).chain(core::iter::once(SLOTS - 1));
        rows.filter_map(move |row| {
            cells.get(
                (row as usize)
                    .checked_mul(stride)?
                    .checked_add(site.0 as usize)?,
            )
        })
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

    /// Takes a block off its site's account.
    #[inline(always)]
    pub fn freed(&self, site: SiteId, bytes: u64) {
        if let Some(cell) = self.cells.get(site.0 as usize) {
            self.add(&cell.freed_bytes, bytes);
            self.add(&cell.freed_blocks, 1);
        }
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
