//! A target's control file, read and written where it lies (docs/LEDGER.md, "The control file"): by whoever plays a reader, or wants to know what one has left.

use crate::descriptors::descriptors_of;
use crate::until::until;
use heapshim_ledger::control::OWNER_DIED;
use heapshim_ledger::layout::{Control, Cursor, RINGS, RingHead};
use std::fs::File;
use std::mem::offset_of;
use std::os::unix::fs::{FileExt, MetadataExt};

/// Until when its reader answers for its request.
const LEASE: usize = offset_of!(Control, lease);
/// Ticks of a year and more.
const LONG: u64 = 1 << 58;

/// The control file of one process.
#[derive(Debug)]
pub struct ControlPage {
    pid: u32,
    file: File,
}

impl ControlPage {
    /// Opens it.
    ///
    /// # Panics
    /// Where the process is not traced.
    #[must_use]
    pub fn of(pid: u32) -> ControlPage {
        let paths = descriptors_of(pid, "heapshim-control");
        let path = paths.first().expect("a control file");
        let file = File::options().read(true).write(true).open(path);
        ControlPage {
            pid,
            file: file.expect("opened"),
        }
    }

    /// True while events are asked for.
    #[must_use]
    pub fn is_asked(&self) -> bool {
        self.half(offset_of!(Control, rings)) != 0
    }

    /// True where the kernel has said that the reader is dead.
    #[must_use]
    pub fn has_died(&self) -> bool {
        self.half(offset_of!(Control, owner)) & OWNER_DIED != 0
    }

    /// Waits until a ring is full: whoever has the next event of its waits, or drops it.
    pub fn until_full(&self) {
        let capacity = u64::from(self.half(offset_of!(Control, ring_capacity)));
        let is_full = |ring| self.word(head(ring)) == self.word(cursor(ring)) + capacity;
        until(self.pid, "a full ring", || (0..RINGS).any(is_full));
    }

    /// Waits until events are asked for, by this process.
    pub fn until_asked(&self, reader: u32) {
        until(reader, "events are asked for", || self.is_asked());
    }

    /// The lease of a reader that is stopped runs for a year.
    pub fn prolong(&self) {
        self.set_lease(self.word(LEASE).wrapping_add(LONG));
    }

    /// The lease of a reader that is stopped has run out long ago.
    pub fn expire(&self) {
        self.set_lease(self.word(LEASE).wrapping_sub(LONG));
    }

    /// Bytes of it that are in memory.
    ///
    /// # Panics
    /// Where it is not there any more.
    #[must_use]
    pub fn resident(&self) -> u64 {
        self.file.metadata().expect("a file").blocks() * 512
    }

    fn set_lease(&self, ticks: u64) {
        let written = self.file.write_at(&ticks.to_ne_bytes(), LEASE as u64);
        assert_eq!(written.expect("written"), 8);
    }

    fn word(&self, at: usize) -> u64 {
        u64::from_ne_bytes(self.bytes(at))
    }

    fn half(&self, at: usize) -> u32 {
        u32::from_ne_bytes(self.bytes(at))
    }

    fn bytes<const LEN: usize>(&self, at: usize) -> [u8; LEN] {
        let mut bytes = [0; LEN];
        self.file
            .read_exact_at(&mut bytes, at as u64)
            .expect("a word");
        bytes
    }
}

/// Where a ring's next event is written: the heads are the control file's second page.
fn head(ring: usize) -> usize {
    size_of::<Control>() + ring * size_of::<RingHead>() + offset_of!(RingHead, position)
}

/// Where its reader says how far it has come.
fn cursor(ring: usize) -> usize {
    offset_of!(Control, cursors) + ring * size_of::<Cursor>() + offset_of!(Cursor, next)
}
