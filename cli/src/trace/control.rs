//! A process's control file, mapped to be written: asking for events, and taking them.
//!
//! Its page is the only memory of the target's that we write. One reader at a time: the file's lock is held, which the kernel gives back however
//! we end; a lease, which the target looks at where it would wait for us; and the kernel's word that we have ended (`pledge`). When we go, the request is ended and the
//! rings' memory given back; where we are killed, by whoever looks next (`leavings`).

use super::clock::Look;
use super::heartbeat::{self, Heartbeat};
use super::leavings;
use crate::control::{self, Mapped};
use crate::error::{Error, Kind};
use heapshim_ledger::layout::{Control, PAGE, RINGS};
use heapshim_ledger::rings::{self, LARGEST, Rings};
use heapshim_ledger::sync::Word;
use rustix::fs::FlockOperation;
use rustix::io::Errno;
use std::os::fd::OwnedFd;
use std::thread;
use std::time::Duration;

/// The file, mapped and locked.
#[derive(Debug)]
pub(super) struct ControlFile {
    mapped: Mapped,
    file: OwnedFd,
    first: Look,
    generation: u32,
    identity: u64,
    heartbeat: Option<Heartbeat>,
    object: String,
}

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
        let failed = |errno: Errno| Error::io(object, "its control page was not mapped", errno);
        let size = rustix::fs::fstat(&file).map_err(failed)?.st_size;
        let bytes = u64::try_from(size).unwrap_or(0);
        if bytes < rings::file_bytes(0) || bytes > rings::file_bytes(LARGEST) {
            let problem = "its control page has a size that none has";
            return Err(Error::new(Kind::Damaged, object, problem));
        }
        lock(&file, object)?;
        let opened = ControlFile {
            mapped: Mapped::of(&file, bytes, identity, object)?,
            file,
            first: settled(),
            generation: 0,
            identity,
            heartbeat: None,
            object: object.to_owned(),
        };
        opened.check_rings(object)?;
        Ok(opened)
    }

    /// The same of one that the process has handed over.
    ///
    /// # Errors
    /// As `open`.
    pub(super) fn handed(
        file: &OwnedFd,
        identity: u64,
        object: &str,
    ) -> Result<ControlFile, Error> {
        let failed = |errno| Error::io(object, "its control page was not opened", errno);
        let own = control::reopened(file).map_err(failed)?;
        ControlFile::open(own, identity, object)
    }

    fn check_rings(&self, object: &str) -> Result<(), Error> {
        let problem = "it has no rings for events";
        let why = "its library is older, or its limits on memory or file size leave no room";
        match self.rings() {
            Some(_) => Ok(()),
            None => Err(Error::new(Kind::Missing, object, problem).next(why)),
        }
    }

    fn control(&self) -> &Control {
        self.mapped.control()
    }

    fn rings(&self) -> Option<Rings<'_>> {
        let capacity = self.control().ring_capacity.peek();
        let fits = rings::file_bytes(capacity.min(LARGEST)) == self.mapped.bytes();
        Rings::open(&self.mapped.region(), capacity)
            .ok()
            .filter(|_| fits)
    }

    /// When the target began, by its own word, where it has events from there on.
    pub(super) fn since_start(&self, start_boot_ns: u64) -> Option<Look> {
        let ticks = self.control().start_ticks.peek();
        (ticks != 0 && self.control().wants_events()).then_some(Look {
            ticks,
            ns: start_boot_ns,
        })
    }

    /// Asks for events, of these flags; from where the rings stand now, unless they are on since the target's start, for us.
    ///
    /// # Errors
    /// What the system said of the page.
    pub(super) fn ask(&mut self, flags: u32, from_start: bool) -> Result<Vec<u64>, Error> {
        self.heartbeat = Some(Heartbeat::begin(
            Mapped::of(&self.file, PAGE, self.identity, &self.object)?,
            self.first,
        ));
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
        control.ring_flags.put(flags);
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
        // Who asks under a lease that is over is given up at once.
        heartbeat::renew(&self.mapped, self.first);
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
    thread::sleep(Duration::from_millis(1));
    first
}

/// Looks at a lock that is taken: whoever clears away what a reader has left holds it for a moment.
const LOOKS: u32 = 50;
/// Between two.
const PAUSE: Duration = Duration::from_millis(1);

/// One reader at a time.
fn lock(file: &OwnedFd, object: &str) -> Result<(), Error> {
    let mut locked = Err(Errno::WOULDBLOCK);
    for look in 0..LOOKS {
        if look > 0 {
            thread::sleep(PAUSE);
        }
        locked = rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive);
        if locked != Err(Errno::WOULDBLOCK) {
            break;
        }
    }
    match locked {
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
        leavings::give_back(&self.file, self.mapped.bytes());
    }
}
