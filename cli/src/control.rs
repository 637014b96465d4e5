//! The control page of a traced process: the only memory of a target's that the command writes. Here, to ask for another mode; `trace` asks for events.
//!
//! It is found among the process's descriptors by the inode that its ledger names, so that no other file is written, whatever a target has open. Whoever may
//! open it may as well attach a debugger: the kernel asks for the same rights.

use crate::error::{Error, Kind};
use crate::process;
use crate::session::Session;
use crate::snapshot;
use heapshim_ledger::Region;
use heapshim_ledger::layout::{Control, MAGIC, PAGE};
use heapshim_ledger::rings;
use heapshim_ledger::sampling::{INTERVALS, Mode};
use heapshim_ledger::sync::Word;
use rustix::fs::{Mode as Permissions, OFlags, SealFlags};
use rustix::mm::{MapFlags, ProtFlags};
use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::ptr::{self, NonNull};

/// What the link of its descriptor says.
const LINK: &[u8] = b"/memfd:heapshim-control (deleted)";
/// Its first page is all that a mode needs: a recording may go on meanwhile.
const BYTES: usize = size_of::<Control>();

/// The control file of a running process whose ledger says that it has this inode; None where it has closed it.
///
/// # Errors
/// `Denied` where it may not be opened.
pub(crate) fn find(pid: u32, inode: u64) -> Result<Option<OwnedFd>, Error> {
    let object = format!("pid {pid}");
    let entries = fs::read_dir(process::path(pid, "fd"))
        .map_err(|error| Error::io(&object, "descriptors not read", error))?;
    for entry in entries.flatten() {
        let path = entry.path();
        let link = fs::read_link(&path).ok();
        if link.is_none_or(|link| link.as_os_str().as_bytes() != LINK) {
            continue;
        }
        let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let file = rustix::fs::open(&path, flags, Permissions::empty());
        let file =
            file.map_err(|errno| Error::io(&object, "its control page was not opened", errno))?;
        if rustix::fs::fstat(&file).is_ok_and(|stat| stat.st_ino == inode) {
            return Ok(Some(file));
        }
    }
    Ok(None)
}

/// The control page of a running process, mapped.
#[derive(Debug)]
pub struct ControlPage {
    base: NonNull<u8>,
}

impl ControlPage {
    /// Opens a process's.
    ///
    /// # Errors
    /// `Missing` where it has none (any more), `Denied` where it may not be opened, `Damaged` where it is not its account's.
    pub fn open(session: &Session) -> Result<ControlPage, Error> {
        let header = session.reader()?.header;
        let (inode, identity) = (header.control_inode.peek(), header.identity.peek());
        let file = find(session.pid(), inode)?.ok_or_else(|| closed(session))?;
        let page = ControlPage::map(&file, session)?;
        let control = page.control();
        if (control.magic.peek(), control.identity.peek()) != (MAGIC, identity) {
            return Err(damaged(
                session,
                "its control page belongs to another account",
            ));
        }
        Ok(page)
    }

    fn map(file: &OwnedFd, session: &Session) -> Result<ControlPage, Error> {
        let failed = |errno| Error::io(session.object(), "its control page was not mapped", errno);
        let seals = rustix::fs::fcntl_get_seals(file).map_err(failed)?;
        let size = rustix::fs::fstat(file).map_err(failed)?.st_size;
        if !seals.contains(SealFlags::SHRINK)
            || usize::try_from(size).is_ok_and(|size| size < BYTES)
        {
            return Err(damaged(
                session,
                "its control page is not one that heapshim made",
            ));
        }
        let (protection, flags) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED);
        // SAFETY: no address is asked for, so that no other mapping is touched; the memory is used as atomics alone.
        let mapped =
            unsafe { rustix::mm::mmap(ptr::null_mut(), BYTES, protection, flags, file.as_fd(), 0) };
        let base = NonNull::new(mapped.map_err(failed)?.cast());
        base.map(|base| ControlPage { base })
            .ok_or_else(|| damaged(session, "its control page was mapped at 0"))
    }

    fn control(&self) -> &Control {
        // SAFETY: mapped, readable and writable until `self` is dropped; page-aligned; sealed against shrinking, as `map` saw.
        let region = unsafe { Region::new(self.base.as_ptr(), PAGE) };
        rings::control(&region).expect("a page was mapped")
    }

    /// Has what is allocated from now on told from what is there. None where that was done as often as it can be.
    #[must_use]
    pub fn begin_cohort(&self) -> Option<u32> {
        self.control().begin_cohort()
    }

    /// Asks for a mode: the process takes it at its next event.
    pub fn ask(&self, mode: Mode) {
        self.control().ask_mode(mode);
    }
}

impl Drop for ControlPage {
    fn drop(&mut self) {
        // SAFETY: exactly what `map` mapped; every borrow of it is gone.
        let _unmapped = unsafe { rustix::mm::munmap(self.base.as_ptr().cast(), BYTES) };
    }
}

fn closed(session: &Session) -> Error {
    let problem = "it has closed its control page: nobody can ask it for another mode";
    let next = "start it anew with `heapshim run --sample SIZE`";
    Error::new(Kind::Missing, session.object(), problem).next(next)
}

fn damaged(session: &Session, problem: &str) -> Error {
    Error::new(Kind::Damaged, session.object(), problem)
}

/// What a process records now.
///
/// # Errors
/// `Damaged`.
pub fn mode(session: &Session) -> Result<Mode, Error> {
    Ok(snapshot::sampling(&session.reader()?, None).mode)
}

/// Refuses a mean that a process's account cannot tell from those that it has had.
///
/// # Errors
/// `Failed`, with those that it may have.
pub fn check(session: &Session, mode: Mode) -> Result<(), Error> {
    let Mode::Sample(mean) = mode else {
        return Ok(());
    };
    let had = session
        .reader()?
        .header
        .sampling
        .intervals
        .each_ref()
        .map(Word::peek);
    if had.iter().any(|&one| one == 0 || one == mean) {
        return Ok(());
    }
    let had: Vec<String> = had.into_iter().map(crate::mode::size).collect();
    let problem = format!("it has sampled at {INTERVALS} different sizes, and keeps no more apart");
    let next = format!("take one of {}", had.join(", "));
    Err(Error::new(Kind::Failed, session.object(), problem).next(next))
}
