//! A process's control file, mapped to be written: asking for events, and taking them.
//!
//! Its page is the only memory of the target's that we write. One reader at a time: the file's lock is held, which the kernel gives back however
//! we end; and a lease, which the target looks at where it would wait for us. When we go, the request is ended and the rings' memory given back.

use super::clock::Look;
use super::heartbeat::Heartbeat;
use crate::control;
use crate::error::{Error, Kind};
use heapshim_ledger::Region;
use heapshim_ledger::layout::{Control, MAGIC, RINGS, RingFlag};
use heapshim_ledger::rings::{self, LARGEST, Rings};
use heapshim_ledger::sync::Word;
use rustix::fs::{FallocateFlags, FlockOperation, SealFlags};
use rustix::io::Errno;
use rustix::mm::{MapFlags, ProtFlags};
use std::os::fd::{AsFd, OwnedFd};
use std::ptr::NonNull;

/// The file, mapped and locked.
#[derive(Debug)]
pub(super) struct ControlFile {
    base: NonNull<u8>,
    bytes: u64,
    file: OwnedFd,
    first: Look,
    generation: u32,
    heartbeat: Option<Heartbeat>,
    object: String,
}

// SAFETY: the mapping is reached through atomics alone.
unsafe impl Send for ControlFile {}

/// The control file of a running process whose ledger says that it has this inode.
///
/// # Errors
/// `Missing` where its descriptor is gone, `Denied` where it may not be opened.
pub(super) fn find(pid: u32, inode: u64) -> Result<OwnedFd, Error> {
    let closed = || {
        let problem = "it has closed its control page: nobody can ask it for events";
        Error::new(Kind::Missing, format!("pid {pid}"), problem)
            .next("start it with `heapshim run --record FILE`")
    };
    control::find(pid, inode)?.ok_or_else(closed)
}

impl ControlFile {
    /// Maps the file and locks it.
    ///
    /// # Errors
    /// `Missing` where it has no rings, or somebody else reads them; `Damaged` where it is none.
    pub(super) fn open(file: OwnedFd, identity: u64, object: &str) -> Result<ControlFile, Error> {
        let wrong = |problem: &str| Error::new(Kind::Damaged, object, problem);
        let failed = |errno: Errno| Error::io(object, "its control page was not mapped", errno);
        let size = rustix::fs::fstat(&file).map_err(failed)?.st_size;
        let bytes = u64::try_from(size).unwrap_or(0);
        let seals = rustix::fs::fcntl_get_seals(&file).map_err(failed)?;
        if !seals.contains(SealFlags::SHRINK | SealFlags::GROW) {
            return Err(wrong(
                "its control page is not one that heapshim made: not sealed",
            ));
        }
        if bytes < rings::file_bytes(0) || bytes > rings::file_bytes(LARGEST) {
            return Err(wrong("its control page has a size that none has"));
        }
        lock(&file, object)?;
        let len = usize::try_from(bytes).unwrap_or(0);
        let (protection, flags) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED);
        // SAFETY: no address is asked for, so that no other mapping is touched; the memory is used as atomics alone.
        let mapped = unsafe {
            rustix::mm::mmap(
                std::ptr::null_mut(),
                len,
                protection,
                flags,
                file.as_fd(),
                0,
            )
        };
        let base = NonNull::new(mapped.map_err(failed)?.cast());
        let opened = ControlFile {
            base: base.ok_or_else(|| wrong("its control page was mapped at 0"))?,
            bytes,
            file,
            first: settled(),
            generation: 0,
            heartbeat: None,
            object: object.to_owned(),
        };
        let control = opened.control();
        if (control.magic.peek(), control.identity.peek()) != (MAGIC, identity) {
            return Err(wrong("its control page belongs to another account"));
        }
        opened.check_rings(object)?;
        Ok(opened)
    }

    fn check_rings(&self, object: &str) -> Result<(), Error> {
        let problem = "it has no rings for events";
        let why = "its library is older, or its limits on memory or file size leave no room";
        match self.rings() {
            Some(_) => Ok(()),
            None => Err(Error::new(Kind::Missing, object, problem).next(why)),
        }
    }

    fn region(&self) -> Region<'_> {
        // SAFETY: mapped, readable and writable until `self` is dropped; page-aligned; sealed against shrinking, as `open` saw; and
        // `base` is private to this file, which uses it through `Region` alone.
        unsafe { Region::new(self.base.as_ptr(), self.bytes) }
    }

    /// `open` saw that there is a page.
    fn control(&self) -> &Control {
        rings::control(&self.region()).expect("a page was mapped")
    }

    fn rings(&self) -> Option<Rings<'_>> {
        let capacity = self.control().ring_capacity.peek();
        let fits = rings::file_bytes(capacity.min(LARGEST)) == self.bytes;
        Rings::open(&self.region(), capacity).ok().filter(|_| fits)
    }

    /// When the target began, by its own word, where it has events from there on.
    pub(super) fn since_start(&self, start_boot_ns: u64) -> Option<Look> {
        let ticks = self.control().start_ticks.peek();
        (ticks != 0 && self.control().wants_events()).then_some(Look {
            ticks,
            ns: start_boot_ns,
        })
    }

    /// Asks for events; from where the rings stand now, unless they are on since the target's start, for us.
    ///
    /// # Errors
    /// What the system said of the page.
    pub(super) fn ask(&mut self, lossless: bool, from_start: bool) -> Result<Vec<u64>, Error> {
        self.heartbeat = Some(Heartbeat::begin(&self.file, self.first, &self.object)?);
        let control = self.control();
        let before = control.generation();
        let next: Vec<u64> = (0..RINGS)
            .map(|ring| self.start_of(ring, from_start))
            .collect();
        if let Some(rings) = self.rings() {
            (0..)
                .zip(&next)
                .for_each(|(ring, &number)| rings.advance(ring, number));
        }
        control.ring_flags.put(if lossless {
            RingFlag::Lossless as u32
        } else {
            0
        });
        self.generation = control.ask(before);
        Ok(next)
    }

    fn start_of(&self, ring: usize, from_start: bool) -> u64 {
        match (self.rings(), from_start) {
            (Some(rings), false) => rings.position(ring),
            _ => 0,
        }
    }

    /// Asks again where the target has given us up: we did not run for too long.
    pub(super) fn is_asked(&mut self) -> bool {
        let now = self.control().generation();
        if now == self.generation {
            return true;
        }
        self.generation = self.control().ask(self.generation);
        false
    }

    /// Calls with the rings; None where the target has taken them away.
    pub(super) fn with<T>(&self, call: impl FnOnce(&Rings<'_>) -> T) -> Option<T> {
        self.rings().map(|rings| call(&rings))
    }

    /// Wants no more events: those that are there may still be read.
    pub(super) fn end(&mut self) {
        let generation = std::mem::take(&mut self.generation);
        self.control().end(generation);
        self.heartbeat = None;
    }
}

/// A look at both clocks, from which the next is far enough away to tell how fast the processor's runs.
fn settled() -> Look {
    let first = Look::now();
    std::thread::sleep(std::time::Duration::from_millis(1));
    first
}

/// One reader at a time.
fn lock(file: &OwnedFd, object: &str) -> Result<(), Error> {
    match rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(()),
        Err(Errno::WOULDBLOCK) => {
            let problem = "somebody is recording it already";
            Err(Error::new(Kind::Missing, object, problem).next("one recording at a time"))
        }
        Err(errno) => Err(Error::io(object, "its control page was not locked", errno)),
    }
}

impl Drop for ControlFile {
    fn drop(&mut self) {
        self.end();
        let (from, len) = (
            rings::first_event(),
            self.bytes.saturating_sub(rings::first_event()),
        );
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        // What the kernel does not take back stays resident in the target: no more than the rings' size.
        let _given_back = rustix::fs::fallocate(&self.file, flags, from, len);
        let len = usize::try_from(self.bytes).unwrap_or(0);
        // SAFETY: exactly what `open` mapped; every borrow of it is gone.
        let _unmapped = unsafe { rustix::mm::munmap(self.base.as_ptr().cast(), len) };
    }
}
