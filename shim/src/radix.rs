//! A two-level radix table by address: what `shadow` and `python::shadow` keep their entries in.
//!
//! One entry per granule, the least distance between two blocks of the allocator that the table is about, so that no two live blocks share
//! an entry. An entry belongs to whoever owns the block, as the block's bytes do: no lock, no hash, no order between threads. Private
//! memory, so a forked child inherits a consistent copy; leaves are mapped when first written, and never unmapped.
//!
//! ```text
//! address: root index (22 bits) | leaf index | granule offset
//! ```
//!
//! Allocators other than glibc's hand out blocks that are 8 bytes apart, but hardly any that begin at an odd multiple of 8: only those of at most 8 bytes do. Where
//! that is so the entries of *odd* granules lie in the other half of the leaf, so that those of all other blocks are 16 bytes of heap apart: half the memory, and
//! twice as many blocks to a cache line.

use crate::memory::{Table, Zeroed};
use crate::sys;
use core::marker::PhantomData;
use heapshim_ledger::sync::{AtomicU32, AtomicU64, Word};

/// Addresses that one leaf covers, as a power of two. 32 MiB: 8 MiB of entries for glibc, mapped per leaf.
const LEAF_SHIFT: u32 = 25;
/// Addresses that a process has on x86-64 with four-level page tables.
const ADDRESS_BITS: u32 = 47;
const ROOT_LEN: usize = 1 << (ADDRESS_BITS - LEAF_SHIFT);
/// log2 of the granule whose odd ones lie apart.
const APART_SHIFT: u32 = 3;
/// From the bit of an address that says that its granule is odd to the number of the leaf's other half.
const TO_OTHER_HALF: u32 = LEAF_SHIFT - APART_SHIFT - 1 - APART_SHIFT;

/// Entries by address.
#[derive(Debug)]
pub(crate) struct Radix<T> {
    /// Leaves by address: 0 = not mapped.
    root: Table<AtomicU64>,
    /// log2 of the distance of two neighbours in the table: of the granule, or of two where odd ones lie apart.
    near_shift: AtomicU32,
    /// The bit of an address that says that its granule is odd; 0 = they do not lie apart.
    odd: AtomicU32,
    entry: PhantomData<T>,
}

impl<T: Zeroed + 'static> Radix<T> {
    pub(crate) const fn new(granule_shift: u32) -> Radix<T> {
        Radix {
            root: Table::new(ROOT_LEN),
            near_shift: AtomicU32::new(granule_shift),
            odd: AtomicU32::new(0),
            entry: PhantomData,
        }
    }

    /// Sets the granule, once, before the first entry.
    pub(crate) fn set_granule(&self, shift: u32) {
        self.near_shift.put(shift);
    }

    /// As `set_granule`, of 8 bytes, whose odd ones lie apart.
    pub(crate) fn set_apart(&self) {
        self.near_shift.put(APART_SHIFT + 1);
        self.odd.put(1 << APART_SHIFT);
    }

    /// log2 of the granule.
    pub(crate) fn granule_shift(&self) -> u32 {
        self.near_shift.peek() - u32::from(self.odd.peek() != 0)
    }

    /// True where `prepare` has been called.
    pub(crate) fn is_prepared(&self) -> bool {
        self.root.is_mapped()
    }

    /// Makes the root resident in address space; false where there is none.
    pub(crate) fn prepare(&self) -> bool {
        self.root.entries().is_some()
    }

    /// The entry of an address; None where nothing was ever noted near it.
    #[inline(always)]
    pub(crate) fn find(&self, address: usize) -> Option<&'static T> {
        let place = self.root.mapped()?.get(address >> LEAF_SHIFT)?;
        match place.observe() {
            0 => None,
            leaf => self.entry(leaf, address),
        }
    }

    /// The entry of an address, whose leaf is mapped if need be. None for an address out of range, and where there is no memory.
    #[inline(always)]
    pub(crate) fn find_or_map(&self, address: usize) -> Option<&'static T> {
        let place = self.root.entries()?.get(address >> LEAF_SHIFT)?;
        let leaf = match place.observe() {
            0 => self.map_leaf(place)?,
            leaf => leaf,
        };
        self.entry(leaf, address)
    }

    /// The entry `granules` after that of an address: a large block has many granules of its own.
    pub(crate) fn find_or_map_after(&self, address: usize, granules: usize) -> Option<&'static T> {
        let distance = granules << self.granule_shift();
        self.find_or_map(address.checked_add(distance)?)
    }

    #[inline(always)]
    fn entry(&self, leaf: u64, address: usize) -> Option<&'static T> {
        let near = (address & ((1 << LEAF_SHIFT) - 1)) >> self.near_shift.peek();
        let half = (address & self.odd.peek() as usize) << TO_OTHER_HALF;
        let offset = near + half;
        let first = core::ptr::with_exposed_provenance::<T>(usize::try_from(leaf).ok()?);
        // SAFETY: a leaf has 2^(LEAF_SHIFT − shift) entries, `offset` is below that (below its half, where there are two), and leaves are never unmapped.
        Some(unsafe { &*first.wrapping_add(offset) })
    }

    #[cold]
    #[inline(never)]
    fn map_leaf(&self, place: &AtomicU64) -> Option<u64> {
        let bytes = size_of::<T>() << (LEAF_SHIFT - self.granule_shift());
        let memory = sys::map_private(bytes).ok()?;
        let ours = memory.expose_provenance().get() as u64;
        match place.claim(0, ours) {
            Ok(_) => Some(ours),
            Err(theirs) => {
                // SAFETY: another thread's leaf was kept; nobody has seen ours.
                unsafe { sys::unmap(memory, bytes) };
                Some(theirs)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Check that entries of odd granules lie in the leaf's other half, those of even ones side by side, and that no two granules share one.
    #[test]
    fn apart() {
        static TABLE: Radix<AtomicU64> = Radix::new(5);
        TABLE.set_apart();
        assert_eq!(TABLE.granule_shift(), 3);
        let leaf = 5usize << LEAF_SHIFT;
        let place = |granule: usize| {
            let entry = TABLE.find_or_map(leaf + 8 * granule).expect("mapped");
            (&raw const *entry).addr()
        };
        let granules = 1usize << (LEAF_SHIFT - 3);
        let first = place(0);
        assert_eq!(place(2), first + 8);
        assert_eq!(place(granules - 2), first + 8 * (granules / 2 - 1));
        assert_eq!(place(1), first + 8 * (granules / 2));
        assert_eq!(place(granules - 1), first + 8 * (granules - 1));
        let after = TABLE.find_or_map_after(leaf, 1).expect("mapped");
        assert_eq!((&raw const *after).addr(), place(1));
    }
}
