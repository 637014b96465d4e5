//! The shadow: from a live block's address to its site and size. Private memory, so a forked child inherits a consistent copy.
//!
//! One 8-byte entry per granule of the allocator behind us (`radix`). Every allocation writes its entry and every free clears it: a stale
//! one would charge the wrong site later. Objects that Python's own allocator hands out have a shadow of their own (`python::shadow`).
//!
//! ```text
//! entry: size (32) | present (1) | watched (1) | reserved (2) | cohort of birth (4) | reserved (3) | class (3) | site (18)        0 = no live block
//! class: of a sampled block, the interval that it was sampled at (`sampling`); 0 = it is counted as it is
//! cohort: which pinned mark the block came after (`cohorts`); 0 = none
//! size 2^32 − 1: the size stands in the next granule's entry (a block of 4 GiB has many granules of its own)
//! ```

use crate::python;
use crate::radix::Radix;
use crate::sampled_pages;
use core::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
use heapshim_ledger::header::LARGEST;
use heapshim_ledger::layout::COHORTS;
use heapshim_ledger::sites::SiteId;
use heapshim_ledger::sync::{AtomicU64, Word};

const ESCAPE: u64 = u32::MAX as u64;
/// A site, a class and a cohort are one number above this table: the site's, where the other two are 0.
const SITE_MASK: u64 =
    ((1 << (SITE_BITS + CLASS_BITS)) - 1) | ((COHORTS as u64 - 1) << COHORT_SHIFT);
/// Bits of a site.
pub(crate) const SITE_BITS: u32 = 18;
/// Bits of a class, above those of the site.
pub(crate) const CLASS_BITS: u32 = 3;
/// Where the cohort begins.
pub(crate) const COHORT_SHIFT: u32 = 24;
const _: () = assert!(LARGEST.sites <= 1 << SITE_BITS);
const _: () = assert!(COHORTS.is_power_of_two() && COHORTS <= 1 << (30 - COHORT_SHIFT));
/// A block that is no sample has none of these.
const CLASS_MASK: u64 = ((1 << CLASS_BITS) - 1) << SITE_BITS;
/// Set in every entry, so that a block of no bytes at site 0 would not look like none.
const PRESENT: u64 = 1 << 31;
/// Somebody wants to know when the block goes.
const WATCHED: u64 = 1 << 30;

static BLOCKS: Radix<AtomicU64> = Radix::new(5);

/// What the shadow knows of a live block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Live {
    /// Who allocated it; of a sampled block in a table, `sampling::tagged`; of one with a cohort, `cohorts::tagged`.
    pub(crate) site: SiteId,
    /// Bytes asked for.
    pub(crate) size: u64,
}

/// Sets the granule, once, before the first entry. Of one of 8 bytes, odd ones lie apart.
pub(crate) fn set_granule(shift: u32) {
    match shift {
        3 => BLOCKS.set_apart(),
        _ => BLOCKS.set_granule(shift),
    }
}

/// Makes the root resident in address space; false where there is none.
pub(crate) fn prepare() -> bool {
    BLOCKS.prepare()
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

/// Where a new live block is noted: asked for before it is known who allocated it, so that the entry is fetched while the stack is walked. To wait for it
/// afterwards took as long as half of the rest of the hook, in a program whose heap is larger than its cache.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    address: usize,
    entry: Option<&'static AtomicU64>,
}

impl Place {
    /// Of a block at this address.
    #[inline(always)]
    pub(crate) fn of(address: usize) -> Place {
        let entry = BLOCKS.find_or_map(address);
        if let Some(entry) = entry {
            // SAFETY: a hint about a reference, which is valid; it reads nothing that the program could see.
            unsafe { _mm_prefetch::<_MM_HINT_T0>((&raw const *entry).cast()) };
        }
        Place { address, entry }
    }

    /// Notes the block.
    #[inline(always)]
    pub(crate) fn put(self, live: Live) -> Put {
        let Some(entry) = self.entry else {
            return Put::NoRoom;
        };
        let before = match entry.peek() {
            0 => None,
            _ => take(self.address),
        };
        let site = u64::from(live.site.0) & SITE_MASK;
        if live.size < ESCAPE {
            entry.put(live.size << 32 | site | PRESENT);
        } else if !put_large(self.address, entry, live) {
            return Put::NoRoom;
        }
        before.map_or(Put::New, Put::Replaced)
    }
}

/// Notes a new live block, or one that is back.
#[inline(always)]
pub(crate) fn put(address: usize, live: Live) -> Put {
    let is_sample = is_sample(u64::from(live.site.0));
    if is_sample && !sampled_pages::add(address) {
        return Put::NoRoom;
    }
    let put = Place::of(address).put(live);
    if is_sample && put == Put::NoRoom {
        sampled_pages::remove(address);
    }
    put
}

/// True of an entry, or a number in the place of a site, that has a class.
fn is_sample(word: u64) -> bool {
    word & CLASS_MASK != 0
}

#[cold]
#[inline(never)]
fn put_large(address: usize, first: &AtomicU64, live: Live) -> bool {
    let Some(second) = BLOCKS.find_or_map_after(address, 1) else {
        return false;
    };
    second.put(live.size);
    first.put(ESCAPE << 32 | u64::from(live.site.0) & SITE_MASK | PRESENT);
    true
}

/// A live block that is one entry, counted as it is, and that nobody watches; of any cohort.
#[derive(Debug)]
pub(crate) struct Small {
    entry: &'static AtomicU64,
    word: u64,
}

impl Small {
    /// The block at an address, if it is one.
    #[inline(always)]
    pub(crate) fn at(address: usize) -> Option<Small> {
        let entry = BLOCKS.find(address)?;
        let word = entry.peek();
        let is_small = word & (WATCHED | CLASS_MASK) == 0 && word != 0 && word >> 32 != ESCAPE;
        is_small.then_some(Small { entry, word })
    }

    /// Takes it out, as `take` does.
    #[inline(always)]
    pub(crate) fn take(self) -> Live {
        self.entry.put(0);
        Live {
            site: SiteId(u32::try_from(self.word & SITE_MASK).unwrap_or(0)),
            size: self.word >> 32,
        }
    }
}

/// Takes a block out. None where no live block begins there.
#[inline(always)]
pub(crate) fn take(address: usize) -> Option<Live> {
    let entry = BLOCKS.find(address)?;
    let word = entry.peek();
    if word == 0 {
        return None;
    }
    entry.put(0);
    if word & WATCHED != 0 {
        python::code_freed(address);
    }
    if is_sample(word) {
        sampled_pages::remove(address);
    }
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
    let second = BLOCKS.find_or_map_after(address, 1);
    second.map_or(0, |second| {
        let size = second.peek();
        second.put(0);
        size
    })
}

/// True where a live block begins at this address.
#[inline(always)]
pub(crate) fn holds(address: usize) -> bool {
    BLOCKS.find(address).is_some_and(|entry| entry.peek() != 0)
}

/// As `holds`, where nothing but samples may be noted anywhere.
#[inline(always)]
pub(crate) fn holds_sample(address: usize) -> bool {
    sampled_pages::has_any(address) && holds(address)
}

/// Has `take` tell when the live block at this address goes. False where none begins there. The caller keeps the block alive meanwhile.
pub(crate) fn watch(address: usize) -> bool {
    let Some(entry) = BLOCKS.find(address) else {
        return false;
    };
    let word = entry.peek();
    if word != 0 {
        entry.put(word | WATCHED);
    }
    word != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn live(site: u32, size: u64) -> Live {
        Live {
            site: SiteId(site),
            size,
        }
    }

    /// Check that entries come back once, that neighbours a granule apart do not touch, and that sizes past 4 GiB survive.
    #[test]
    fn put_and_take() {
        for (address, block) in [
            (0x7f00_0000_0010, live(7, 0)),
            (0x7f00_0000_0030, live(9, 37)),
            (0x5000_0000, live(0x3ffff, 5 << 30)),
        ] {
            assert_eq!(put(address, live(3, 5)), Put::New);
            assert_eq!(put(address, block), Put::Replaced(live(3, 5)));
            assert_eq!(put(address + 128, live(1, 1)), Put::New);
            assert!(holds(address));
            assert_eq!(take(address), Some(block));
            assert_eq!(take(address), None);
            assert_eq!(take(address + 128), Some(live(1, 1)));
        }
        assert_eq!(put(1 << 47, live(1, 1)), Put::NoRoom, "out of range");
        assert_eq!(take(0x1234_0000_0000), None, "no leaf there");
    }

    /// Check that the short way gives back what stands in one entry, and leaves alone what does not, what is watched, what is a sample, and what is not there.
    #[test]
    fn small_ones() {
        let address = 0x7e00_0000_0010;
        let small = || Small::at(address).map(Small::take);
        assert_eq!(small(), None);
        for block in [live(7, 0), live(0x3ffff, u64::from(u32::MAX) - 1)] {
            put(address, block);
            assert_eq!((small(), small()), (Some(block), None));
            put(address, block);
            assert!(watch(address));
            assert_eq!(small(), None, "watched");
            assert_eq!(BLOCKS.find(address).map(|entry| entry.put(0)), Some(()));
        }
        for block in [
            live(7, 1 << 32),
            live(7, u64::from(u32::MAX)),
            live(7 | 1 << SITE_BITS, 24),
            live(7 | 7 << SITE_BITS, 24),
        ] {
            put(address, block);
            assert_eq!((small(), take(address)), (None, Some(block)));
        }
        for cohort in [1, COHORTS - 1] {
            let young = live(7 | cohort << COHORT_SHIFT, 24);
            put(address, young);
            assert_eq!((small(), small()), (Some(young), None));
        }
    }
}
