//! How many samples the pages of the heap have: what a mode that is not exact asks first of a block that goes.
//!
//! Of a thousand blocks hardly one is a sample, but to ask the shadow is to touch a line of it for each, and a page of it for each 16 KiB of heap. This is a byte for
//! 4 KiB: what a heap of 100 MB has of it stays in the cache. Pages 4 GiB apart share a byte, so that its place is a part of the address, which trampolines find in two
//! instructions (`entry`); of a heap larger than that some blocks are looked for in the shadow in vain. It tells of samples alone, so that it is asked only while nothing
//! else can be in the shadow (`sampling::knows_pages`). A block counts where it begins, from before its entry is written until it is taken out. 255 is never left again.

use core::sync::atomic::{AtomicU8, Ordering};

/// log2 of a page.
pub(crate) const PAGE_SHIFT: u32 = 12;
/// The bits of an address that say where its byte lies: these, above the page's. `entry` takes them from a register of 32 bits.
const ADDRESS_BITS: u32 = 32;
const FULL: u8 = u8::MAX;

/// By page. Resident where a heap has samples, or is asked about.
pub(crate) static COUNTS: [AtomicU8; 1 << (ADDRESS_BITS - PAGE_SHIFT)] =
    [const { AtomicU8::new(0) }; 1 << (ADDRESS_BITS - PAGE_SHIFT)];

/// The byte of an address.
#[inline(always)]
fn count(address: usize) -> &'static AtomicU8 {
    #[expect(clippy::indexing_slicing, reason = "below its length by the mask")]
    &COUNTS[address >> PAGE_SHIFT & (COUNTS.len() - 1)]
}

/// A sample begins at this address.
pub(crate) fn add(address: usize) {
    change(address, |count| count.checked_add(1));
}

/// It has gone.
pub(crate) fn remove(address: usize) {
    change(address, |count| {
        count.checked_sub(1).filter(|_| count < FULL)
    });
}

fn change(address: usize, to: impl FnMut(u8) -> Option<u8>) {
    // What cannot be counted stays as it is.
    let _ = count(address).fetch_update(Ordering::Relaxed, Ordering::Relaxed, to);
}

/// True where a sample may begin in the page of this address.
#[inline(always)]
pub(crate) fn has_any(address: usize) -> bool {
    count(address).load(Ordering::Relaxed) != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Check that a page has samples from its first to its last, that its neighbours have none of it but one 4 GiB away has, and that one which is full stays so.
    #[test]
    fn counted() {
        let page = 0x7d00_0000_1000;
        assert!(!has_any(page));
        add(page);
        add(page + 4080);
        assert!(has_any(page + 8) && !has_any(page - 1) && !has_any(page + 4096));
        assert!(has_any(page + (1 << 32)) && !has_any(page + (1 << 31)));
        remove(page + 4080);
        assert!(has_any(page));
        remove(page);
        assert!(!has_any(page));
        (0..300).for_each(|_| add(page));
        (0..300).for_each(|_| remove(page));
        assert!(has_any(page));
    }
}
