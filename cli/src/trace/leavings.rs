//! What a reader that died has left in a process: its request, and the rings' pages, 34 MiB at most, which nobody else gives back while the process lives.
//!
//! Whoever looks at the process next clears them away. A reader that lives holds the file's lock; one that is on its way (`run --record`) has a lease: neither is touched.

use super::clock;
use crate::control::{self, Mapped};
use crate::session::Session;
use heapshim_ledger::layout::{Control, PAGE};
use heapshim_ledger::rings;
use heapshim_ledger::sync::Word;
use rustix::fs::{FallocateFlags, FlockOperation};
use std::os::fd::OwnedFd;

/// What stat(2) counts in.
const SECTOR: u64 = 512;

/// Clears away what a reader that died has left in a process. Nothing is said where that may not be done: it is a service to the process, not to whoever asks.
pub fn clear(session: &Session) {
    let Ok(reader) = session.reader() else {
        return;
    };
    let (inode, identity) = (
        reader.header.control_inode.peek(),
        reader.header.identity.peek(),
    );
    if let Ok(Some(file)) = control::find(session.pid(), inode) {
        let _cleared = clear_file(&file, identity);
    }
}

/// The same by the control file that the process has handed over, for whoever looks again and again: where nothing was left, that is one system call.
pub(crate) fn clear_handed(session: &Session, file: &OwnedFd) {
    let Some(identity) = events_in(file)
        .and_then(|_| session.reader().ok())
        .map(|reader| reader.header.identity.peek())
    else {
        return;
    };
    if let Some(own) = control::reopened(file) {
        let _cleared = clear_file(&own, identity);
    }
}

/// The file's size, where pages of events are in memory.
fn events_in(file: &OwnedFd) -> Option<u64> {
    let stat = rustix::fs::fstat(file).ok()?;
    let resident = u64::try_from(stat.st_blocks).ok()? * SECTOR;
    let size = u64::try_from(stat.st_size).ok()?;
    (resident > rings::first_event()).then_some(size)
}

/// None where there is nothing to clear, or it is somebody's.
fn clear_file(file: &OwnedFd, identity: u64) -> Option<()> {
    let size = events_in(file)?;
    let page = Mapped::of(file, PAGE, identity, "control page").ok()?;
    over(page.control())?;
    // Given back with the descriptor.
    rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive).ok()?;
    // Another may have come, and gone, in between.
    let generation = over(page.control())?;
    page.control().end(generation);
    give_back(file, size);
    Some(())
}

/// The request, where nobody stands behind it any more; 0 = there is none.
fn over(control: &Control) -> Option<u32> {
    let generation = control.generation();
    (generation == 0 || control.is_over(clock::ticks())).then_some(generation)
}

/// Has the kernel take the events' pages back. What it does not take stays resident in the target: no more than the rings' size.
pub(super) fn give_back(file: &OwnedFd, bytes: u64) {
    let from = rings::first_event();
    let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    let _given_back = rustix::fs::fallocate(file, flags, from, bytes.saturating_sub(from));
}

#[cfg(test)]
mod tests {
    use super::*;
    use heapshim_ledger::control::OWNER_DIED;

    const CAPACITY: u32 = 256;

    /// A file with resident rings, and its page.
    fn left() -> (OwnedFd, Mapped) {
        let file = control::made(CAPACITY, 7);
        let bytes = rings::file_bytes(CAPACITY);
        // A head, and an event.
        for at in [PAGE, bytes - 1] {
            let written = rustix::io::pwrite(&file, &[1], at);
            assert_eq!(written.expect("written"), 1);
        }
        let page = Mapped::of(&file, PAGE, 7, "test").expect("mapped");
        (file, page)
    }

    /// Check that what a dead reader left is cleared, once; and nothing of one that lives, is on its way, or holds the lock, nor of another account.
    #[test]
    fn whose() {
        let (file, page) = left();
        let control = page.control();
        assert_eq!(control.ask(0), 1);
        control.lease.put(clock::ticks().wrapping_add(1 << 60));
        assert!(clear_file(&file, 7).is_none(), "on its way");
        control.owner.put(4242);
        assert!(clear_file(&file, 7).is_none(), "alive");
        control.owner.put(OWNER_DIED);
        let reader = control::reopened(&file).expect("opened");
        rustix::fs::flock(&reader, FlockOperation::LockExclusive).expect("locked");
        assert!(clear_file(&file, 7).is_none(), "another reader");
        drop(reader);
        assert!(clear_file(&file, 8).is_none(), "another account");
        assert!(clear_file(&file, 7).is_some());
        assert!(!control.wants_events());
        assert!(clear_file(&file, 7).is_none(), "nothing left");
    }

    /// Check that pages of a request that the target itself has ended are cleared too, and of one whose lease is over.
    #[test]
    fn expired() {
        let (file, page) = left();
        assert!(clear_file(&file, 7).is_some());
        let (file, page_of_second) = left();
        page_of_second.control().ask(0);
        page_of_second.control().lease.put(clock::ticks() - 1);
        assert!(clear_file(&file, 7).is_some());
        drop(page);
    }
}
