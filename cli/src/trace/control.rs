//! A process's control file, mapped to be written: asking for events, and taking them.
//!
//! Its page is the only memory of the target's that we write. One reader at a time: the file's lock is held, which the kernel gives back however
//! we end, or where it cannot be, the request of one that lives is left alone. A lease, which the target looks at where it would wait for us; and the
//! kernel's word that we have ended (`pledge`). When we go, the request is ended and the rings' memory given back; where we are killed, by whoever looks
//! next (`leavings`).

use super::clock::{self, Look};
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
        lock(&file, object)?;
        ControlFile::unread(file, identity, object)
    }

    /// The same of one that the process has handed over. Where it cannot be opened anew there is no lock: whoever comes then finds the request of a reader that lives.
    ///
    /// # Errors
    /// As `open`.
    pub(super) fn handed(
        file: &OwnedFd,
        identity: u64,
        object: &str,
    ) -> Result<ControlFile, Error> {
        if let Some(own) = control::reopened(file) {
            return ControlFile::open(own, identity, object);
        }
        let failed = |error| Error::io(object, "its control page was not kept", error);
        ControlFile::unread(file.try_clone().map_err(failed)?, identity, object)
    }

    /// Maps the file, of which nobody else takes events.
    fn unread(file: OwnedFd, identity: u64, object: &str) -> Result<ControlFile, Error> {
        let failed = |errno: Errno| Error::io(object, "its control page was not mapped", errno);
        let size = rustix::fs::fstat(&file).map_err(failed)?.st_size;
        let bytes = u64::try_from(size).unwrap_or(0);
        if bytes < rings::file_bytes(0) || bytes > rings::file_bytes(LARGEST) {
            let problem = "its control page has a size that none has";
            return Err(Error::new(Kind::Damaged, object, problem));
        }
        let mapped = Mapped::of(&file, bytes, identity, object)?;
        if has_reader(mapped.control()) {
            return Err(is_recorded(object));
        }
        let opened = ControlFile {
            mapped,
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
        Err(Errno::WOULDBLOCK) => Err(is_recorded(object)),
        Err(errno) => Err(Error::io(object, "its control page was not locked", errno)),
    }
}

/// True where a reader that lives stands behind the request, and not only the process, which keeps its events for the `run` that has started it.
fn has_reader(control: &Control) -> bool {
    control.wants_events() && !control.is_over(clock::ticks()) && control.owner.peek() != 0
}

fn is_recorded(object: &str) -> Error {
    let problem = "somebody is recording it already";
    Error::new(Kind::Missing, object, problem).next("one recording at a time")
}

impl Drop for ControlFile {
    fn drop(&mut self) {
        self.end();
        leavings::give_back(&self.file, self.mapped.bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::made;

    const CAPACITY: u32 = 256;

    /// What is resident of it.
    fn resident(file: &OwnedFd) -> i64 {
        rustix::fs::fstat(file).expect("a file").st_blocks
    }

    /// Check that a reader that could not lock the file is left alone by whoever could, with its events, and followed when it has gone; and that a process which keeps its events
    /// for its `run` has no reader yet.
    #[test]
    fn without_a_lock() {
        let file = made(CAPACITY, 7);
        let own = || control::reopened(&file).expect("opened");
        let page = Mapped::of(&file, PAGE, 7, "test").expect("mapped");
        page.control()
            .lease
            .put(clock::ticks().wrapping_add(1 << 60));
        page.control().ask(0);
        let same = file.try_clone().expect("a descriptor");
        let mut unlocked = ControlFile::unread(same, 7, "test").expect("no reader");
        unlocked.ask(0, false).expect("asked");
        rustix::io::pwrite(&file, &[1], rings::first_event()).expect("an event");
        let before = resident(&file);
        let refused = ControlFile::open(own(), 7, "test").expect_err("a reader lives");
        assert_eq!(refused.kind(), Kind::Missing);
        assert_eq!(
            (resident(&file), page.control().wants_events()),
            (before, true)
        );
        drop(unlocked);
        assert!(resident(&file) < before && !page.control().wants_events());
        ControlFile::open(own(), 7, "test").expect("it has gone");
    }
}
