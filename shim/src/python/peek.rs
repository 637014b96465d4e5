//! Reading the interpreter's memory.
//!
//! [`Trusted`] is for a thread's own live structures: what the thread's state refers to while the thread itself stands in this hook, called by
//! the interpreter or by code that it called. [`Checked`] is for a hook in a signal handler, which may have interrupted the interpreter in
//! the middle of linking a frame, so that a pointer may be anything: the kernel is asked about each page.

use crate::sys;

const PAGE: u64 = 4096;

/// Words of the interpreter's memory.
pub(crate) trait Peek {
    /// The aligned word at an address; None where it can't be read.
    fn word(&mut self, address: u64) -> Option<u64>;

    /// Several words of one structure, at multiples of eight from its beginning.
    #[inline(always)]
    fn words<const N: usize>(&mut self, structure: u64, offsets: [u64; N]) -> Option<[u64; N]> {
        let mut words = [0; N];
        for (word, offset) in words.iter_mut().zip(offsets) {
            *word = self.word(structure.wrapping_add(offset))?;
        }
        Some(words)
    }

    /// The four bytes at an address that is a multiple of four.
    #[inline(always)]
    fn half(&mut self, address: u64) -> Option<u32> {
        let shift = (address & 4) * 8;
        let word = self.word(address & !7)?;
        u32::try_from(word >> shift & 0xffff_ffff).ok()
    }
}

/// The thread's own live structures.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Trusted;

impl Peek for Trusted {
    #[inline(always)]
    fn word(&mut self, address: u64) -> Option<u64> {
        if address < PAGE || address & 7 != 0 {
            return None;
        }
        // SAFETY: aligned, and part of a structure that the interpreter keeps alive as long as this thread is in what it runs now: see
        // `chain` and `codes` for which. Volatile, since the interpreter's code changes them.
        Some(unsafe { at(address).read_volatile() })
    }

    /// The structure's address is looked at once, not each word's.
    #[inline(always)]
    fn words<const N: usize>(&mut self, structure: u64, offsets: [u64; N]) -> Option<[u64; N]> {
        if structure < PAGE || structure & 7 != 0 {
            return None;
        }
        // SAFETY: as in `word`; the offsets are multiples of eight, inside the structure.
        Some(offsets.map(|offset| unsafe { at(structure.wrapping_add(offset)).read_volatile() }))
    }
}

impl Trusted {
    /// A word of a structure of which words were read before, and which is still there.
    #[inline(always)]
    pub(crate) fn known(self, structure: u64, offset: u64) -> u64 {
        // SAFETY: as in `words`, which has looked at the structure's address.
        unsafe { at(structure.wrapping_add(offset)).read_volatile() }
    }
}

/// Anything: each page is asked about.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Checked {
    /// The page that was asked about last.
    page: u64,
}

impl Peek for Checked {
    fn word(&mut self, address: u64) -> Option<u64> {
        let page = address & !(PAGE - 1);
        if address & 7 != 0 || (page != self.page && !sys::readable(address)) {
            return None;
        }
        self.page = page;
        // SAFETY: aligned, in a page that the kernel has just read for us.
        Some(unsafe { at(address).read_volatile() })
    }
}

#[inline(always)]
fn at(address: u64) -> *const u64 {
    core::ptr::with_exposed_provenance(usize::try_from(address).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Check that both read what is there, halves of words too, and that what is not mapped, or not aligned, is none for a checked reader.
    #[test]
    fn words() {
        let words = [1 << 32 | 2, 3u64];
        let address = words.as_ptr().expose_provenance() as u64;
        let mut checked = Checked::default();
        assert_eq!(Trusted.word(address), Some(1 << 32 | 2));
        assert_eq!(checked.word(address + 8), Some(3));
        assert_eq!(
            (Trusted.half(address), Trusted.half(address + 4)),
            (Some(2), Some(1))
        );
        assert_eq!(
            [Trusted.word(0), checked.word(0), checked.word(8)],
            [None; 3]
        );
        assert_eq!(
            [checked.word(address + 1), checked.word(1 << 62)],
            [None; 2]
        );
    }
}
