//! The control page of a traced process: the only memory of a target's that the command writes. Here, to ask for another mode, or to begin a
//! cohort; `trace` asks for events.
//!
//! It is found among the process's descriptors by the inode that its ledger names, so that no other file is written, whatever a target has open. Whoever may
//! open it may as well attach a debugger: the kernel asks for the same rights.

use crate::error::{Error, Kind};
use crate::process;
use crate::session::Session;
use crate::snapshot;
use heapshim_ledger::Region;
use heapshim_ledger::control;
use heapshim_ledger::layout::{Control, MAGIC, PAGE};
use heapshim_ledger::sampling::{INTERVALS, Mode};
use heapshim_ledger::sync::Word;
use rustix::fs::{Mode as Permissions, OFlags, SealFlags};
use rustix::mm::{MapFlags, ProtFlags};
use std::fs;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::ptr::{self, NonNull};

/// What the link of its descriptor says.
const LINK: &[u8] = b"/memfd:heapshim-control (deleted)";

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

/// The same file, opened anew. One that its process has handed over is open once, for it and for us: a lock on that would be the process's as well, and stay as long as it lives.
/// None where the system does not open it: it asks for its owner's rights, who may be another user than ours, and a root that was left without CAP_DAC_OVERRIDE has them not.
pub(crate) fn reopened(file: &OwnedFd) -> Option<OwnedFd> {
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::NONBLOCK;
    rustix::fs::open(path, flags, Permissions::empty()).ok()
}

/// A control file, mapped to be written: all of it, or its first page.
#[derive(Debug)]
pub(crate) struct Mapped {
    base: NonNull<u8>,
    bytes: u64,
}

// SAFETY: the mapping is reached through atomics alone.
unsafe impl Send for Mapped {}

impl Mapped {
    /// Maps so many bytes of the file of the account with this identity. That they are there, and stay, is seen first.
    ///
    /// # Errors
    /// `Damaged` where it is no control file, or another account's.
    pub(crate) fn of(
        file: &OwnedFd,
        bytes: u64,
        identity: u64,
        object: &str,
    ) -> Result<Mapped, Error> {
        let wrong = |problem: &str| Error::new(Kind::Damaged, object, problem);
        let failed = |errno| Error::io(object, "its control page was not mapped", errno);
        let seals = rustix::fs::fcntl_get_seals(file).map_err(failed)?;
        let size = rustix::fs::fstat(file).map_err(failed)?.st_size;
        let is_there = u64::try_from(size).is_ok_and(|size| size >= bytes) && bytes >= PAGE;
        if !seals.contains(SealFlags::SHRINK | SealFlags::GROW) || !is_there {
            return Err(wrong("its control page is not one that heapshim made"));
        }
        let len = usize::try_from(bytes).unwrap_or(0);
        let (protection, flags) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED);
        // SAFETY: no address is asked for, so that no other mapping is touched; the memory is used as atomics alone.
        let mapped =
            unsafe { rustix::mm::mmap(ptr::null_mut(), len, protection, flags, file.as_fd(), 0) };
        let base = NonNull::new(mapped.map_err(failed)?.cast());
        let base = base.ok_or_else(|| wrong("its control page was mapped at 0"))?;
        let mapped = Mapped { base, bytes };
        let control = mapped.control();
        if (control.magic.peek(), control.identity.peek()) != (MAGIC, identity) {
            return Err(wrong("its control page belongs to another account"));
        }
        Ok(mapped)
    }

    /// How much of the file it is.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(crate) fn region(&self) -> Region<'_> {
        // SAFETY: mapped, readable and writable until `self` is dropped; page-aligned; sealed against shrinking, as `of` saw; and
        // `base` is private to this type, which uses it through `Region` alone.
        unsafe { Region::new(self.base.as_ptr(), self.bytes) }
    }

    pub(crate) fn control(&self) -> &Control {
        control::page(&self.region()).expect("a page was mapped")
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        let len = usize::try_from(self.bytes).unwrap_or(0);
        // SAFETY: exactly what `of` mapped; every borrow of it is gone.
        let _unmapped = unsafe { rustix::mm::munmap(self.base.as_ptr().cast(), len) };
    }
}

/// The control page of a running process. It is all that a mode needs: a recording may go on meanwhile.
#[derive(Debug)]
pub struct ControlPage(Mapped);

impl ControlPage {
    /// Opens a process's.
    ///
    /// # Errors
    /// `Missing` where it has none (any more), `Denied` where it may not be opened, `Damaged` where it is not its account's.
    pub fn open(session: &Session) -> Result<ControlPage, Error> {
        let header = session.reader()?.header;
        let (inode, identity) = (header.control_inode.peek(), header.identity.peek());
        let file = find(session.pid(), inode)?.ok_or_else(|| closed(session))?;
        Mapped::of(&file, PAGE, identity, &session.object()).map(ControlPage)
    }

    /// Has what is allocated from now on told from what is there. None where that was done as often as it can be.
    #[must_use]
    pub fn begin_cohort(&self) -> Option<u32> {
        self.0.control().begin_cohort()
    }

    /// Asks for a mode: the process takes it at its next event.
    pub fn ask(&self, mode: Mode) {
        self.0.control().ask_mode(mode);
    }
}

/// A control file as a target's library makes it, of this process, but for its name: for tests of what is done with one. Beside them others ask what this process has that
/// is ours, which is told by names.
#[cfg(test)]
pub(crate) fn made(capacity: u32, identity: u64) -> OwnedFd {
    use heapshim_ledger::rings;
    let flags = rustix::fs::MemfdFlags::CLOEXEC | rustix::fs::MemfdFlags::ALLOW_SEALING;
    let file = rustix::fs::memfd_create("test", flags).expect("memfd");
    rustix::fs::ftruncate(&file, rings::file_bytes(capacity).max(PAGE)).expect("sized");
    rustix::fs::fcntl_add_seals(&file, SealFlags::SHRINK | SealFlags::GROW).expect("sealed");
    let words = [MAGIC, identity].map(u64::to_ne_bytes).concat();
    assert_eq!(rustix::io::pwrite(&file, &words, 0).expect("written"), 16);
    let at = std::mem::offset_of!(Control, ring_capacity) as u64;
    assert_eq!(
        rustix::io::pwrite(&file, &capacity.to_ne_bytes(), at).expect("written"),
        4
    );
    file
}

fn closed(session: &Session) -> Error {
    let problem = "it has closed its control page: nobody can ask it for another mode";
    let next = "start it anew with `heapshim run --sample SIZE`";
    Error::new(Kind::Missing, session.object(), problem).next(next)
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
