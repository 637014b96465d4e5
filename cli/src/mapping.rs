//! A ledger mapped into this process, read-only.
//!
//! Made from a descriptor that `session` found in /proc or that a traced process sent to `run`; read through
//! `heapshim_ledger::Reader`, which checks all that is inside. Checked here: that it is a memfd of the right owner that can neither
//! shrink (a read of ours past its end would be SIGBUS) nor grow, and of a size that a ledger may have; or a file that our own user keeps
//! by HEAPSHIM_DIR, which nobody but that user could shorten.

use crate::error::{Error, Kind};
use heapshim_ledger::{Reader, Region};
use rustix::fs::{FileType, SealFlags};
use rustix::mm::{MapFlags, ProtFlags};
use std::fmt;
use std::os::fd::{AsFd, BorrowedFd};
use std::ptr::{self, NonNull};

/// No ledger is larger: four times the largest geometry, so that a hostile size costs neither time nor memory.
pub(crate) const MAX_BYTES: u64 = 1 << 30;

/// A mapped ledger.
#[derive(Debug)]
pub struct Mapping {
    base: NonNull<u8>,
    bytes: u64,
    inode: u64,
    owner: Option<u32>,
}

// SAFETY: the mapping is read-only memory that is reached through `Region` alone, which is Send and Sync itself.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps what the descriptor refers to; `object` names it in errors.
    ///
    /// # Errors
    /// `Damaged` where it is no sealed memfd, `Denied` where another user made it.
    pub fn new(fd: impl AsFd, object: impl fmt::Display) -> Result<Mapping, Error> {
        let (bytes, inode, owner) = check(fd.as_fd(), &object)?;
        let len = usize::try_from(bytes)
            .map_err(|_| Error::new(Kind::Damaged, &object, "its account is too large"))?;
        // SAFETY: no address is asked for, so that no other mapping is touched; the memory is only read, and only as atomics.
        let mapped = unsafe {
            rustix::mm::mmap(
                ptr::null_mut(),
                len,
                ProtFlags::READ,
                MapFlags::SHARED,
                fd,
                0,
            )
        };
        let mapped =
            mapped.map_err(|errno| Error::io(&object, "its account was not mapped", errno))?;
        let base = NonNull::new(mapped.cast())
            .ok_or_else(|| Error::new(Kind::Failed, &object, "its account was mapped at 0"))?;
        Ok(Mapping {
            base,
            bytes,
            inode,
            owner: Some(owner),
        })
    }

    /// Zeroed memory of our own, to copy a ledger into (`kept`).
    pub(crate) fn blank(bytes: u64, object: impl fmt::Display) -> Result<Mapping, Error> {
        let len = usize::try_from(bytes).unwrap_or(usize::MAX);
        let (protection, flags) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE);
        // SAFETY: no address is asked for, so that no other mapping is touched.
        let mapped = unsafe { rustix::mm::mmap_anonymous(ptr::null_mut(), len, protection, flags) };
        let mapped = mapped.map_err(|errno| Error::io(&object, "no memory for it", errno))?;
        let base = NonNull::new(mapped.cast())
            .ok_or_else(|| Error::new(Kind::Failed, &object, "its account was mapped at 0"))?;
        Ok(Mapping {
            base,
            bytes,
            inode: 0,
            owner: None,
        })
    }

    /// Copies bytes to this place of a `blank` mapping; true where they were not there already. What lies past its end is left out.
    pub(crate) fn fill(&mut self, at: u64, bytes: &[u8]) -> bool {
        let room = usize::try_from(self.bytes.saturating_sub(at)).unwrap_or(0);
        let bytes = bytes.get(..room.min(bytes.len())).unwrap_or(&[]);
        let offset = usize::try_from(at).unwrap_or(0);
        // SAFETY: `bytes` fit behind `at` into the mapping's length, which lies in one allocation.
        let place = unsafe { self.base.as_ptr().add(offset) };
        // SAFETY: readable and writable memory of a `blank` mapping; `&mut self` says that no reader borrows it.
        let place = unsafe { std::slice::from_raw_parts_mut(place, bytes.len()) };
        let changes = *place != *bytes;
        if changes {
            place.copy_from_slice(bytes);
        }
        changes
    }

    /// The reader of this ledger, whose header and section table it has checked.
    ///
    /// # Errors
    /// `Damaged`, with what is wrong.
    pub fn reader(&self, object: impl fmt::Display) -> Result<Reader<'_>, Error> {
        // SAFETY: (1) `base` is mapped and readable for `bytes` until `self` is dropped, which the lifetime prevents; (2) mmap returns page
        // addresses; (3) `check` saw the seal against shrinking; (4) `base` is private to this file, which hands it to nobody else.
        let region = unsafe { Region::new(self.base.as_ptr(), self.bytes) };
        Reader::new(&region).map_err(|error| unreadable(object, error))
    }

    /// The memfd's inode number: two descriptors of one ledger are recognised by it.
    #[must_use]
    pub fn inode(&self) -> u64 {
        self.inode
    }

    /// The user that the target was when it made the ledger; None for a copy.
    #[must_use]
    pub fn owner(&self) -> Option<u32> {
        self.owner
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        let len = usize::try_from(self.bytes).unwrap_or(0);
        // SAFETY: exactly what `new` mapped; every reader borrows `self` and is gone.
        let _unmapped = unsafe { rustix::mm::munmap(self.base.as_ptr().cast(), len) };
    }
}

fn check(fd: BorrowedFd<'_>, object: &dyn fmt::Display) -> Result<(u64, u64, u32), Error> {
    let wrong = |problem| Error::new(Kind::Damaged, object, problem);
    let stat = rustix::fs::fstat(fd)
        .map_err(|errno| Error::io(object, "its account was not read", errno))?;
    let us = rustix::process::geteuid();
    // A memfd has no name.
    if stat.st_nlink > 0 {
        check_kept(fd, &stat, object)?;
    } else if !is_sealed(fd) {
        return Err(wrong(
            "its account is not one that heapshim made: not sealed",
        ));
    }
    if stat.st_uid != us.as_raw() && !us.is_root() {
        return Err(Error::new(
            Kind::Denied,
            object,
            "its account was made by another user",
        ));
    }
    let bytes = u64::try_from(stat.st_size).unwrap_or(0);
    if bytes == 0 || bytes > MAX_BYTES {
        return Err(wrong("its account has no size that one can have"));
    }
    Ok((bytes, stat.st_ino, stat.st_uid))
}

fn is_sealed(fd: BorrowedFd<'_>) -> bool {
    let seals = rustix::fs::fcntl_get_seals(fd);
    seals.is_ok_and(|seals| seals.contains(SealFlags::SHRINK | SealFlags::GROW))
}

/// A file can be shortened under us by its owner: that must be our own user, root or not. And it must be a ledger.
fn check_kept(
    fd: BorrowedFd<'_>,
    stat: &rustix::fs::Stat,
    object: &dyn fmt::Display,
) -> Result<(), Error> {
    let wrong = |problem| Error::new(Kind::Damaged, object, problem);
    let mut magic = [0; 8];
    let read = rustix::io::pread(fd, &mut magic, 0);
    if !FileType::from_raw_mode(stat.st_mode).is_file() || read != Ok(8) {
        return Err(wrong("its account is not one that heapshim made: no file"));
    }
    if u64::from_ne_bytes(magic) != heapshim_ledger::layout::MAGIC {
        return Err(wrong("its account is not one that heapshim made"));
    }
    if stat.st_uid != rustix::process::geteuid().as_raw() || stat.st_mode & 0o022 != 0 {
        let problem = "its account is in a file that another user could change meanwhile";
        let next = "read it as it is: heapshim diff FILE.heapledger";
        return Err(Error::new(Kind::Denied, object, problem).next(next));
    }
    Ok(())
}

fn unreadable(object: impl fmt::Display, error: heapshim_ledger::Error) -> Error {
    let (next, problem) = match error {
        heapshim_ledger::Error::Version { .. } => (
            "look at it with that heapshim, or start it again with this one",
            "started by another version of heapshim",
        ),
        heapshim_ledger::Error::NotReady { .. } => ("try again", "it is just starting"),
        _ => (
            "start it again with `heapshim run`",
            "its account is damaged",
        ),
    };
    Error::new(Kind::Damaged, object, problem)
        .because(error)
        .next(next)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::MemfdFlags;
    use std::os::fd::OwnedFd;

    fn memfd(bytes: u64, seals: SealFlags) -> OwnedFd {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let fd = rustix::fs::memfd_create("test", flags).expect("memfd");
        rustix::fs::ftruncate(&fd, bytes).expect("sized");
        rustix::fs::fcntl_add_seals(&fd, seals).expect("sealed");
        fd
    }

    /// Check that what could shrink under the reader, is empty, or is no ledger gives an error.
    #[test]
    fn refused() {
        let sealed = SealFlags::SHRINK | SealFlags::GROW;
        for (bytes, seals) in [
            (4096, SealFlags::SHRINK),
            (4096, SealFlags::GROW),
            (0, sealed),
        ] {
            assert!(Mapping::new(memfd(bytes, seals), "test").is_err());
        }
        let empty = Mapping::new(memfd(8192, sealed), "pid 7").expect("mapped");
        let error = empty.reader("pid 7").expect_err("no magic");
        assert!(
            error
                .to_string()
                .starts_with("pid 7: its account is damaged"),
            "{error}"
        );
        let file = std::fs::File::open("/proc/self/exe").expect("opened");
        assert!(Mapping::new(file, "test").is_err());
    }
}
