//! A target's control file, read and written where it lies (docs/LEDGER.md, "The control file"): by whoever plays a reader, or wants to know what one has left.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::thread;

/// What the link of its descriptor says.
const LINK: &str = "/memfd:heapshim-control (deleted)";
/// Where its words are.
const RINGS: u64 = 20;
const LEASE: u64 = 40;
const CAPACITY: u64 = 52;
const OWNER: u64 = 64;
const CURSORS: u64 = 1024;
const HEADS: u64 = 4096;
/// Between two rings' cursors, or heads.
const STEP: u64 = 64;
const COUNT: u64 = 17;
/// The kernel's bit of a robust futex whose owner has ended.
const DIED: u32 = 1 << 30;
/// Ticks of a year and more.
const LONG: u64 = 1 << 58;

/// The control file of one process.
#[derive(Debug)]
pub struct ControlPage {
    file: File,
}

impl ControlPage {
    /// Opens it.
    ///
    /// # Panics
    /// Where the process is not traced.
    #[must_use]
    pub fn of(pid: u32) -> ControlPage {
        let entries = fs::read_dir(format!("/proc/{pid}/fd")).expect("descriptors");
        let mut paths = entries.map(|entry| entry.expect("an entry").path());
        let path =
            paths.find(|path| fs::read_link(path).is_ok_and(|link| link.as_os_str() == LINK));
        let path = path.expect("a control file");
        let file = File::options().read(true).write(true).open(path);
        ControlPage {
            file: file.expect("opened"),
        }
    }

    /// True while events are asked for.
    #[must_use]
    pub fn is_asked(&self) -> bool {
        self.half(RINGS) != 0
    }

    /// True where the kernel has said that the reader is dead.
    #[must_use]
    pub fn has_died(&self) -> bool {
        self.half(OWNER) & DIED != 0
    }

    /// Waits until a ring is full: whoever has the next event of its waits, or drops it.
    pub fn until_full(&self) {
        let capacity = u64::from(self.half(CAPACITY));
        let is_full =
            |ring| self.word(HEADS + ring * STEP) == self.word(CURSORS + ring * STEP) + capacity;
        while !(0..COUNT).any(is_full) {
            thread::yield_now();
        }
    }

    /// Waits until events are asked for.
    pub fn until_asked(&self) {
        while !self.is_asked() {
            thread::yield_now();
        }
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
        let written = self.file.write_at(&ticks.to_ne_bytes(), LEASE);
        assert_eq!(written.expect("written"), 8);
    }

    fn word(&self, at: u64) -> u64 {
        let mut bytes = [0; 8];
        self.file.read_exact_at(&mut bytes, at).expect("a word");
        u64::from_ne_bytes(bytes)
    }

    fn half(&self, at: u64) -> u32 {
        let mut bytes = [0; 4];
        self.file
            .read_exact_at(&mut bytes, at)
            .expect("half a word");
        u32::from_ne_bytes(bytes)
    }
}
