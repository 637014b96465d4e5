//! The shadow: from a live block's address to its site and size. Private memory, so a forked child inherits a consistent copy.
//!
//! A two-level radix table by address; one 8-byte entry per granule, the least distance between two blocks of the allocator behind us,
//! so that no two live blocks share an entry. An entry belongs to whoever owns the block, as the block's bytes do: no lock, no hash,
//! no order between threads. Every allocation writes its entry and every free clears it: a stale one would charge the wrong
//! site later.
//!
//! ```text
//! entry: size (32) | cohort of birth (8, reserved) | site (24)        0 = no live block
//! size 2^32 − 1: the size stands in the next granule's entry (a block of 4 GiB has many granules of its own)
//! address: root index (22 bits) | leaf index | granule offset
//! ```

use crate::memory::Table;
use crate::sys;
use heapshim_ledger::sites::SiteId;
use heapshim_ledger::sync::{AtomicU32, AtomicU64, Word};

/// Addresses that one leaf covers, as a power of two. 32 MiB: 8 MiB of entries for glibc, mapped per leaf.
const LEAF_SHIFT: u32 = 25;
/// Addresses that a process has on x86-64 with four-level page tables.
const ADDRESS_BITS: u32 = 47;
const ROOT_LEN: usize = 1 << (ADDRESS_BITS - LEAF_SHIFT);
const ESCAPE: u64 = u32::MAX as u64;
const SITE_MASK: u64 = 0x00ff_ffff;

/// Leaves by address: 0 = not mapped.
static ROOT: Table<AtomicU64> = Table::new(ROOT_LEN);
/// log2 of the granule.
static GRANULE_SHIFT: AtomicU32 = AtomicU32::new(5);

/// What the shadow knows of a live block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Live {
    /// Who allocated it.
    pub(crate) site: SiteId,
    /// Bytes asked for.
    pub(crate) size: u64,
}

/// Sets the granule, once, before the first entry.
pub(crate) fn set_granule(shift: u32) {
    GRANULE_SHIFT.put(shift);
}

/// Makes the root resident in address space; false where there is none.
pub(crate) fn prepare() -> bool {
    ROOT.entries().is_some()
}

/// What noting a block came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Put {
    /// Nothing was known to live there.
    New,
    /// This was: its end was not seen, or the allocator called itself through our hooks for the same block.
    Replaced(Live),
    /// The address is out of range, or there is no memory for the entry.
    NoRoom,
}

/// Notes a new live block.
#[inline(always)]
pub(crate) fn put(address: usize, live: Live) -> Put {
    let Some(entry) = entry(address, true) else {
        return Put::NoRoom;
    };
    let before = match entry.peek() {
        0 => None,
        _ => take(address),
    };
    let site = u64::from(live.site.0) & SITE_MASK;
    if live.size < ESCAPE {
        entry.put(live.size << 32 | site | PRESENT);
    } else if !put_large(address, entry, live) {
        return Put::NoRoom;
    }
    before.map_or(Put::New, Put::Replaced)
}

/// Set in every entry, so that a block of no bytes at site 0 would not look like none: a bit of the reserved cohort.
const PRESENT: u64 = 1 << 31;

#[cold]
#[inline(never)]
fn put_large(address: usize, first: &AtomicU64, live: Live) -> bool {
    let granule = 1 << GRANULE_SHIFT.peek();
    let Some(second) = address
        .checked_add(granule)
        .and_then(|next| entry(next, true))
    else {
        return false;
    };
    second.put(live.size);
    first.put(ESCAPE << 32 | u64::from(live.site.0) & SITE_MASK | PRESENT);
    true
}

/// Takes a block out. None where no live block begins there.
#[inline(always)]
pub(crate) fn take(address: usize) -> Option<Live> {
    let entry = entry(address, false)?;
    let word = entry.peek();
    if word == 0 {
        return None;
    }
    entry.put(0);
    let site = SiteId(u32::try_from(word & SITE_MASK).unwrap_or(0));
    let size = if word >> 32 == ESCAPE {
        take_large(address)
    } else {
        word >> 32
    };
    Some(Live { site, size })
}

#[cold]
#[inline(never)]
fn take_large(address: usize) -> u64 {
    let second = entry(address.wrapping_add(1 << GRANULE_SHIFT.peek()), false);
    second.map_or(0, |second| {
        let size = second.peek();
        second.put(0);
        size
    })
}

#[inline(always)]
fn entry(address: usize, make: bool) -> Option<&'static AtomicU64> {
    let shift = GRANULE_SHIFT.peek();
    let place = ROOT.entries()?.get(address >> LEAF_SHIFT)?;
    let mut leaf = place.observe();
    if leaf == 0 {
        if !make {
            return None;
        }
        leaf = map_leaf(place, shift)?;
    }
    let offset = (address & ((1 << LEAF_SHIFT) - 1)) >> shift;
    let first = core::ptr::with_exposed_provenance::<AtomicU64>(usize::try_from(leaf).ok()?);
    // SAFETY: a leaf has 2^(LEAF_SHIFT − shift) entries, `offset` is below that, and leaves are never unmapped.
    Some(unsafe { &*first.wrapping_add(offset) })
}

#[cold]
#[inline(never)]
fn map_leaf(place: &AtomicU64, shift: u32) -> Option<u64> {
    let bytes = 8 << (LEAF_SHIFT - shift);
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Check that entries come back once, that neighbours a granule apart do not touch, and that sizes past 4 GiB survive.
    #[test]
    fn put_and_take() {
        let live = |site, size| Live {
            site: SiteId(site),
            size,
        };
        for (address, block) in [
            (0x7f00_0000_0010, live(7, 0)),
            (0x7f00_0000_0030, live(9, 37)),
            (0x5000_0000, live(0x3ffff, 5 << 30)),
        ] {
            assert_eq!(put(address, live(3, 5)), Put::New);
            assert_eq!(put(address, block), Put::Replaced(live(3, 5)));
            assert_eq!(put(address + 128, live(1, 1)), Put::New);
            assert_eq!(take(address), Some(block));
            assert_eq!(take(address), None);
            assert_eq!(take(address + 128), Some(live(1, 1)));
        }
        assert_eq!(put(1 << 47, live(1, 1)), Put::NoRoom, "out of range");
        assert_eq!(take(0x1234_0000_0000), None, "no leaf there");
    }
}
