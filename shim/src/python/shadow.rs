//! The shadow of Python's objects: from an object's address to its site and size, for the objects that lie in the interpreter's own arenas.
//!
//! One 4-byte entry per 16 bytes of address (8 up to CPython 3.7), a quarter of the arenas at most: objects are small and many, and an
//! 8-byte entry would cost half as much as they do. Nothing is mapped in a process that runs no Python.
//!
//! ```text
//! entry: size + 1 (9) | cohort (1) | watched (1) | class (3) | site (18)        0 = no live object
//! size + 1 = 511: the size stands in the next two entries (an object of 510 bytes has many granules of its own)
//! cohort: which one it was born in stands in the other table, a byte per granule, of which nothing is mapped until there is one
//! ```

use crate::cohorts::{self, Cohort};
use crate::radix::Radix;
use crate::shadow::{CLASS_BITS, Live, Put, SITE_BITS};
use core::sync::atomic::{AtomicU8, Ordering};
use heapshim_ledger::header::LARGEST;
use heapshim_ledger::sites::SiteId;
use heapshim_ledger::sync::{AtomicU32, Word};

/// With the class, as in `shadow`.
const SITE_MASK: u32 = (1 << (SITE_BITS + CLASS_BITS)) - 1;
/// An object that is no sample has none of these.
const CLASS_MASK: u32 = ((1 << CLASS_BITS) - 1) << SITE_BITS;
const WATCHED: u32 = 1 << 21;
/// It was born in a cohort.
const HAS_COHORT: u32 = 1 << 22;
const SIZE_SHIFT: u32 = 23;
/// Sizes from here on stand in the next two entries: few of the 512 bytes that pymalloc serves.
const ESCAPE: u32 = 510;
const _: () = assert!(LARGEST.sites <= 1 << SITE_BITS && SITE_MASK < WATCHED);

static OBJECTS: Radix<AtomicU32> = Radix::new(4);
static COHORTS: Radix<AtomicU8> = Radix::new(4);

/// Makes room for objects that are 2^`shift` bytes apart. False where there is none, or where another interpreter's are further apart.
pub(crate) fn prepare(shift: u32) -> bool {
    if !OBJECTS.is_prepared() {
        OBJECTS.set_granule(shift);
        COHORTS.set_granule(shift);
    }
    OBJECTS.granule_shift() <= shift && OBJECTS.prepare()
}

/// Notes a new live object.
#[inline(always)]
pub(crate) fn put(address: usize, live: Live) -> Put {
    let Some(entry) = OBJECTS.find_or_map(address) else {
        return Put::NoRoom;
    };
    let before = match entry.peek() {
        0 => None,
        _ => take(address),
    };
    match u32::try_from(live.size) {
        Ok(size) if size < ESCAPE => entry.put(word(size, live.site)),
        _ if put_large(address, entry, live) => (),
        _ => return Put::NoRoom,
    }
    before.map_or(Put::New, Put::Replaced)
}

#[inline(always)]
fn word(size: u32, site: SiteId) -> u32 {
    (size + 1) << SIZE_SHIFT | site.0 & SITE_MASK
}

#[cold]
#[inline(never)]
fn put_large(address: usize, first: &AtomicU32, live: Live) -> bool {
    let halves = live.size.to_ne_bytes();
    let halves = halves.as_chunks::<4>().0;
    for (granules, half) in (1..).zip(halves) {
        let Some(entry) = OBJECTS.find_or_map_after(address, granules) else {
            return false;
        };
        entry.put(u32::from_ne_bytes(*half));
    }
    first.put(word(ESCAPE, live.site));
    true
}

/// Notes in which cohort the live object at an address was born. False where there is no room for it.
pub(crate) fn set_cohort(address: usize, cohort: Cohort) -> bool {
    let noted = OBJECTS.find(address).zip(COHORTS.find_or_map(address));
    let number = u8::try_from(cohort.number());
    let Some(((entry, place), number)) = noted.zip(number.ok()) else {
        return false;
    };
    place.store(number, Ordering::Relaxed); // the object's, as its entry is
    entry.put(entry.peek() | HAS_COHORT);
    true
}

/// In which cohort an object was born whose entry says that it has one.
#[cold]
#[inline(never)]
fn cohort_of(address: usize) -> Cohort {
    let place = COHORTS.find(address);
    let number = place.map_or(0, |place| place.load(Ordering::Relaxed));
    Cohort::of_word(number.into())
}

/// A live object that is one entry, counted as it is, of no cohort, and that nobody watches.
#[derive(Debug)]
pub(crate) struct Small {
    entry: &'static AtomicU32,
    word: u32,
}

impl Small {
    /// The object at an address, if it is one; else whether another one is there.
    #[inline(always)]
    pub(crate) fn at(address: usize) -> Result<Small, bool> {
        let entry = OBJECTS.find(address).ok_or(false)?;
        let word = entry.peek();
        let is_small = word & (WATCHED | HAS_COHORT | CLASS_MASK) == 0
            && word != 0
            && word >> SIZE_SHIFT <= ESCAPE;
        match is_small {
            true => Ok(Small { entry, word }),
            false => Err(word != 0),
        }
    }

    /// Takes it out, as `take` does.
    #[inline(always)]
    pub(crate) fn take(self) -> Live {
        self.entry.put(0);
        Live {
            site: SiteId(self.word & SITE_MASK),
            size: u64::from(self.word >> SIZE_SHIFT).wrapping_sub(1),
        }
    }
}

/// Takes an object out. None where no live object begins there.
#[inline(always)]
pub(crate) fn take(address: usize) -> Option<Live> {
    let entry = OBJECTS.find(address)?;
    let word = entry.peek();
    let size = (word >> SIZE_SHIFT).checked_sub(1)?;
    entry.put(0);
    if word & WATCHED != 0 {
        super::code_freed(address);
    }
    let size = match size {
        ESCAPE => take_large(address),
        size => u64::from(size),
    };
    let site = SiteId(word & SITE_MASK);
    let live = Live { site, size };
    Some(match word & HAS_COHORT {
        0 => live,
        _ => cohorts::tagged(live, cohort_of(address)),
    })
}

#[cold]
#[inline(never)]
fn take_large(address: usize) -> u64 {
    let mut size = [0u8; 8];
    for (granules, half) in (1..).zip(size.as_chunks_mut::<4>().0) {
        if let Some(entry) = OBJECTS.find_or_map_after(address, granules) {
            *half = entry.peek().to_ne_bytes();
            entry.put(0);
        }
    }
    u64::from_ne_bytes(size)
}

/// True where a live object begins at this address.
#[inline(always)]
pub(crate) fn holds(address: usize) -> bool {
    OBJECTS.find(address).is_some_and(|entry| entry.peek() != 0)
}

/// Has `take` tell when the live object at this address goes. False where none begins there. The caller keeps the object alive meanwhile.
pub(crate) fn watch(address: usize) -> bool {
    let Some(entry) = OBJECTS.find(address) else {
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
    use crate::python::watched::{alone, code_generation};

    fn live(site: u32, size: u64) -> Live {
        Live {
            site: SiteId(site),
            size,
        }
    }

    /// Check that the short way gives back what stands in one entry, and leaves alone what does not, what is watched, what is a sample, and what is not there.
    #[test]
    fn small_ones() {
        let _alone = alone();
        let address = 0x7e80_0000_0010;
        let small = || Small::at(address).map(Small::take);
        assert!(Small::at(0x1237_0000_0000).is_err_and(|is_there| !is_there));
        for block in [live(7, 0), live(LARGEST.sites - 1, 509)] {
            put(address, block);
            assert_eq!((small(), small()), (Ok(block), Err(false)));
            put(address, block);
            assert!(watch(address));
            assert_eq!(small(), Err(true), "watched");
            assert_eq!(take(address), Some(block));
        }
        for block in [
            live(7, 510),
            live(7, 1 << 40),
            live(7 | 1 << SITE_BITS, 24),
            live(7 | 7 << SITE_BITS, 24),
        ] {
            put(address, block);
            assert_eq!((small(), take(address)), (Err(true), Some(block)));
        }
    }

    /// Check that an object of any size has its cohort until it goes, and is not taken the short way; that the next one there has none; and that it may be watched as well.
    #[test]
    fn cohorts_of_objects() {
        let _alone = alone();
        for (address, size) in
            (0x7d80_0000_0010..)
                .step_by(0x1000)
                .zip([0, 24, 509, 510, 512, 1 << 33])
        {
            for number in [1, heapshim_ledger::layout::COHORTS - 1] {
                let (block, cohort) = (live(7, size), Cohort::of_word(number));
                put(address, block);
                assert!(set_cohort(address, cohort) && watch(address));
                assert!(Small::at(address).is_err_and(|is_there| is_there));
                assert_eq!(
                    put(address, block),
                    Put::Replaced(cohorts::tagged(block, cohort))
                );
                assert_eq!((take(address), take(address)), (Some(block), None));
                put(address, block);
                assert!(set_cohort(address, cohort));
                assert_eq!(take(address), Some(cohorts::tagged(block, cohort)));
            }
        }
        assert!(
            !set_cohort(0x1238_0000_0000, Cohort::of_word(1)),
            "no leaf there"
        );
    }

    /// Check that entries come back once, with every size, that neighbours do not touch, and that an object's end is told once if watched.
    #[test]
    fn put_take_watch() {
        let _alone = alone();
        let sizes = [0, 1, 508, 509, 510, 511, 512, 1023, 4096, 5 << 32];
        for (address, size) in (0x7e00_0000_0010..).step_by(0x1000).zip(sizes) {
            let block = live(LARGEST.sites - 1, size);
            assert_eq!(put(address, live(3, 5)), Put::New);
            assert_eq!(put(address, block), Put::Replaced(live(3, 5)));
            assert_eq!(put(address + 48, live(0, 0)), Put::New);
            assert!(watch(address));
            let before = code_generation();
            assert_eq!((take(address), take(address)), (Some(block), None));
            assert_eq!(code_generation(), before + 1);
            assert_eq!(take(address + 48), Some(live(0, 0)));
            assert_eq!(code_generation(), before + 1);
            assert!(!watch(address));
        }
        assert_eq!(put(1 << 47, live(1, 1)), Put::NoRoom, "out of range");
        assert_eq!(take(0x1236_0000_0000), None, "no leaf there");
    }
}
