//! How many samples the pages of the heap have: what a mode that is not exact asks first of a block that goes.
//!
//! Of a thousand blocks hardly one is a sample, but to ask the shadow is to touch a line of it for each, and a page of it for each 16 KiB of heap. This is a byte for
//! 4 KiB: what a heap of 100 MB has of it stays in the cache. Pages 4 GiB apart share a byte, so that its place is a part of the address, which trampolines find in two
//! instructions (`entry`); of a heap larger than that some blocks are looked for in the shadow in vain. It tells of samples alone, so that it is asked only while nothing
//! else can be in the shadow (`sampling::knows_pages`). A block counts where it begins, from before its entry is written until it is taken out. 255 is never left again.

use crate::memory::Table;
use core::sync::atomic::{AtomicU8, Ordering};

/// log2 of a page.
pub(crate) const PAGE_SHIFT: u32 = 12;
/// The bits of an address that say where its byte lies: these, above the page's. `entry` takes them from a register of 32 bits.
const ADDRESS_BITS: u32 = 32;
const FULL: u8 = u8::MAX;

/// By page; 1 MiB, of which is resident what is asked for.
pub(crate) static COUNTS: Table<AtomicU8> = Table::new(1 << (ADDRESS_BITS - PAGE_SHIFT));

/// Makes room. False where there is none: then nothing is a sample, and trampolines may not ask.
pub(crate) fn prepare() -> bool {
    COUNTS.entries().is_some()
}

/// The byte of an address, where there is room for all.
#[inline(always)]
fn count(counts: Option<&'static [AtomicU8]>, address: usize) -> Option<&'static AtomicU8> {
    let counts = counts?;
    counts.get(address >> PAGE_SHIFT & (counts.len() - 1))
}

/// A sample begins at this address. False where there is no memory for that.
pub(crate) fn add(address: usize) -> bool {
    let count = count(COUNTS.entries(), address);
    count.is_some_and(|count| {
        change(count, |count| count.checked_add(1));
        true
    })
}

/// It has gone.
pub(crate) fn remove(address: usize) {
    if let Some(count) = count(COUNTS.mapped(), address) {
        change(count, |count| count.checked_sub(1).filter(|_| count < FULL));
    }
}

fn change(count: &AtomicU8, to: impl FnMut(u8) -> Option<u8>) {
    // What cannot be counted stays as it is.
    let _ = count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, to);
}

/// True where a sample may begin in the page of this address.
#[inline(always)]
pub(crate) fn has_any(address: usize) -> bool {
    let count = count(COUNTS.mapped(), address);
    count.is_some_and(|count| count.load(Ordering::Relaxed) != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Check that a page has samples from its first to its last, that its neighbours have none of it but one 4 GiB away has, and that one which is full stays so.
    #[test]
    fn counted() {
        let page = 0x7d00_0000_1000;
        assert!(!has_any(page));
        assert!(add(page) && add(page + 4080));
        assert!(has_any(page + 8) && !has_any(page - 1) && !has_any(page + 4096));
        assert!(has_any(page + (1 << 32)) && !has_any(page + (1 << 31)));
        remove(page + 4080);
        assert!(has_any(page));
        remove(page);
        assert!(!has_any(page));
        assert!((0..300).all(|_| add(page)));
        (0..300).for_each(|_| remove(page));
        assert!(has_any(page));
    }
}
