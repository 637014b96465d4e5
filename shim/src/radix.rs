//! A two-level radix table by address: what `shadow` and `python::shadow` keep their entries in.
//!
//! One entry per granule, the least distance between two blocks of the allocator that the table is about, so that no two live blocks share
//! an entry. An entry belongs to whoever owns the block, as the block's bytes do: no lock, no hash, no order between threads. Private
//! memory, so a forked child inherits a consistent copy; leaves are mapped when first written, and never unmapped.
//!
//! ```text
//! address: root index (22 bits) | leaf index | granule offset
//! ```

use crate::memory::{Table, Zeroed};
use crate::sys;
use core::marker::PhantomData;
use heapshim_ledger::sync::{AtomicU32, AtomicU64, Word};

/// Addresses that one leaf covers, as a power of two. 32 MiB: 8 MiB of entries for glibc, mapped per leaf.
const LEAF_SHIFT: u32 = 25;
/// Addresses that a process has on x86-64 with four-level page tables.
const ADDRESS_BITS: u32 = 47;
const ROOT_LEN: usize = 1 << (ADDRESS_BITS - LEAF_SHIFT);

/// Entries by address.
#[derive(Debug)]
pub(crate) struct Radix<T> {
    /// Leaves by address: 0 = not mapped.
    root: Table<AtomicU64>,
    /// log2 of the granule.
    granule_shift: AtomicU32,
    entry: PhantomData<T>,
}

impl<T: Zeroed + 'static> Radix<T> {
    pub(crate) const fn new(granule_shift: u32) -> Radix<T> {
        Radix {
            root: Table::new(ROOT_LEN),
            granule_shift: AtomicU32::new(granule_shift),
            entry: PhantomData,
        }
    }

    /// Sets the granule, once, before the first entry.
    pub(crate) fn set_granule(&self, shift: u32) {
        self.granule_shift.put(shift);
    }

    /// log2 of the granule.
    pub(crate) fn granule_shift(&self) -> u32 {
        self.granule_shift.peek()
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
        let distance = granules << self.granule_shift.peek();
        self.find_or_map(address.checked_add(distance)?)
    }

    #[inline(always)]
    fn entry(&self, leaf: u64, address: usize) -> Option<&'static T> {
        let offset = (address & ((1 << LEAF_SHIFT) - 1)) >> self.granule_shift.peek();
        let first = core::ptr::with_exposed_provenance::<T>(usize::try_from(leaf).ok()?);
        // SAFETY: a leaf has 2^(LEAF_SHIFT − shift) entries, `offset` is below that, and leaves are never unmapped.
        Some(unsafe { &*first.wrapping_add(offset) })
    }

    #[cold]
    #[inline(never)]
    fn map_leaf(&self, place: &AtomicU64) -> Option<u64> {
        let bytes = size_of::<T>() << (LEAF_SHIFT - self.granule_shift.peek());
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
