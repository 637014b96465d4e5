//! What the sampled blocks of each site stand for, beside what was counted. Both halves.
//!
//! One cell a site for all threads, added to atomically: a sampled event comes once in some hundred thousand bytes. What a block adds when it is recorded is what
//! it takes off when it is freed, to the bit, so that a site whose blocks are all gone is at zero. Numbers have places behind the point, since a
//! block stands for 1.58 of its kind; they are rounded once, in what a site comes to, and by the reader alone.

use crate::layout::Estimate;
use crate::sampling::{BLOCKS_POINT, BYTES_POINT, Weight};
use crate::sites::SiteId;
use crate::sync::{AtomicU64, Word};

/// The cells of all sites.
#[derive(Clone, Copy, Debug)]
pub struct Estimates<'a> {
    cells: &'a [Estimate],
}

/// How far a site's estimates may be off: variances, as they grew with what was allocated and freed. They go round past 2^64.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Spread {
    /// Of the bytes ever allocated.
    pub allocated_bytes: u64,
    /// Of the blocks ever allocated, with [`crate::sampling::BLOCKS_SPREAD_POINT`].
    pub allocated_blocks: u64,
    /// The part of blocks that were freed, in bytes.
    pub freed_bytes: u64,
    /// The part of blocks that were freed, in blocks.
    pub freed_blocks: u64,
}

impl<'a> Estimates<'a> {
    pub(crate) fn new(cells: &'a [Estimate]) -> Estimates<'a> {
        Estimates { cells }
    }

    /// Charges a sampled block to a site.
    pub fn add(&self, site: SiteId, weight: &Weight) {
        if let Some(cell) = self.cells.get(site.0 as usize) {
            cell.allocated_bytes_spread.add_shared(weight.bytes_spread);
            cell.allocated_blocks_spread
                .add_shared(weight.blocks_spread);
            cell.allocated_bytes.add_shared(weight.bytes);
            cell.allocated_blocks.add_shared(weight.blocks);
        }
    }

    /// Takes a sampled block off its site's account.
    pub fn take_off(&self, site: SiteId, weight: &Weight) {
        if let Some(cell) = self.cells.get(site.0 as usize) {
            cell.freed_bytes_spread.add_shared(weight.bytes_spread);
            cell.freed_blocks_spread.add_shared(weight.blocks_spread);
            cell.freed_bytes.add_shared(weight.bytes);
            cell.freed_blocks.add_shared(weight.blocks);
        }
    }

    /// Whole bytes and blocks ever freed. To be asked before `allocated`, as `counters` says.
    #[must_use]
    pub fn freed(&self, site: SiteId) -> (u64, u64) {
        self.whole(site, |cell| (&cell.freed_bytes, &cell.freed_blocks))
    }

    /// Whole bytes and blocks ever allocated.
    #[must_use]
    pub fn allocated(&self, site: SiteId) -> (u64, u64) {
        self.whole(site, |cell| (&cell.allocated_bytes, &cell.allocated_blocks))
    }

    fn whole(
        &self,
        site: SiteId,
        words: impl Fn(&Estimate) -> (&AtomicU64, &AtomicU64),
    ) -> (u64, u64) {
        self.cells.get(site.0 as usize).map_or((0, 0), |cell| {
            let (bytes, blocks) = words(cell);
            (
                nearest(bytes.observe(), BYTES_POINT),
                nearest(blocks.observe(), BLOCKS_POINT),
            )
        })
    }

    /// How far a site's estimates may be off.
    #[must_use]
    pub fn spread(&self, site: SiteId) -> Spread {
        let read = |cell: &Estimate| Spread {
            freed_bytes: cell.freed_bytes_spread.observe(),
            freed_blocks: cell.freed_blocks_spread.observe(),
            allocated_bytes: cell.allocated_bytes_spread.observe(),
            allocated_blocks: cell.allocated_blocks_spread.observe(),
        };
        self.cells
            .get(site.0 as usize)
            .map_or_else(Spread::default, read)
    }
}

/// Rounded; what grows is never less afterwards.
fn nearest(value: u64, point: u32) -> u64 {
    value.saturating_add(1 << (point - 1)) >> point
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::sampling::weight;

    /// Check that sums are of whole blocks, to the nearest, that they come back to zero, and that a site there is not is left alone.
    #[test]
    fn there_and_back() {
        let cells: [Estimate; 3] = Default::default();
        let estimates = Estimates::new(&cells);
        let blocks: Vec<Weight> = [16, 16, 4096, 0, 3_000_000, 9 << 40]
            .map(|size| weight(size, 4096))
            .to_vec();
        blocks.iter().for_each(|one| estimates.add(SiteId(1), one));
        estimates.add(SiteId(3), &blocks[0]);
        let (bytes, count) = estimates.allocated(SiteId(1));
        // 2 × 256.50 + 1.58 + 1024.50 + 1 + 1
        assert_eq!(count, 1541);
        assert_eq!(bytes, 2 * 4104 + 6480 + 3_000_000 + (9 << 40));
        assert_eq!(estimates.freed(SiteId(1)), (0, 0));
        blocks
            .iter()
            .for_each(|one| estimates.take_off(SiteId(1), one));
        assert_eq!(estimates.freed(SiteId(1)), (bytes, count));
        let spread = estimates.spread(SiteId(1));
        assert!(spread.allocated_bytes > 2 * 4000 * 4000 && spread.allocated_blocks > 0);
        assert_eq!(spread.allocated_bytes, spread.freed_bytes);
        assert_eq!(spread.allocated_blocks, spread.freed_blocks);
        assert_eq!(estimates.allocated(SiteId(2)), (0, 0));
        assert_eq!(estimates.spread(SiteId(7)), Spread::default());
    }
}
