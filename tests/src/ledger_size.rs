//! How large a target's ledger is, read where it lies, and whether it has grown: once all of a program's stacks have been met it must not.

use crate::descriptors::descriptors_of;
use heapshim_ledger::layout::{Header, Lens};
use std::fs::File;
use std::mem::offset_of;
use std::os::unix::fs::{FileExt, MetadataExt};

/// Pages of the ledger that are first written later: a slot's counters, or entries of threads, if more threads than ever meet in hooks or at their end.
const LATER: u64 = 20 * 4096;

/// What a ledger holds at a moment.
#[derive(Clone, Copy, Debug)]
pub struct LedgerSize {
    /// Resident, as stat(2) has it.
    pub bytes: u64,
    /// Nodes of the trie.
    pub frames: u32,
    /// Stacks that have allocated.
    pub sites: u32,
}

impl LedgerSize {
    /// Of a running process.
    ///
    /// # Panics
    /// Where it is not traced, or its ledger may not be read.
    #[must_use]
    pub fn of(pid: u32) -> LedgerSize {
        let paths = descriptors_of(pid, "heapshim-ledger");
        let file = File::open(paths.first().expect("a ledger")).expect("opened");
        let number = |at: usize| {
            let mut bytes = [0; 4];
            let at = offset_of!(Header, lens) + at;
            let read = file.read_exact_at(&mut bytes, at as u64);
            read.expect("its header");
            u32::from_ne_bytes(bytes)
        };
        LedgerSize {
            bytes: file.metadata().expect("its size").blocks() * 512,
            frames: number(offset_of!(Lens, frames)),
            sites: number(offset_of!(Lens, sites)),
        }
    }

    /// Whether it has become this since all stacks were met, and so has grown.
    #[must_use]
    pub fn has_grown_to(&self, later: &LedgerSize) -> bool {
        (self.frames, self.sites) != (later.frames, later.sites) || later.bytes > self.bytes + LATER
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Check that one more site or frame is seen, and pages beyond those that are first written later.
    #[test]
    fn what_has_grown() {
        let warm = LedgerSize {
            bytes: 4096,
            frames: 10,
            sites: 5,
        };
        let bytes = warm.bytes + LATER;
        let same = LedgerSize { bytes, ..warm };
        assert!(!warm.has_grown_to(&warm) && !warm.has_grown_to(&same));
        let bytes = bytes + 4096;
        let larger = [
            LedgerSize { bytes, ..warm },
            LedgerSize { frames: 11, ..warm },
            LedgerSize { sites: 6, ..warm },
        ];
        assert!(larger.iter().all(|larger| warm.has_grown_to(larger)));
    }
}
