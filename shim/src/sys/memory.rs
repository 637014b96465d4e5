//! Maps: private tables, the shared ledger, and whether a page is there.

use super::mappings::{self, Span};
use super::raw::{Descriptor, Errno, raw, signed, widen};
use crate::{filters, locking};
use core::ptr::NonNull;

/// Maps `bytes` of zeroed private memory that is not resident until it is touched, and never in huge pages.
pub(crate) fn map_private(bytes: usize) -> Result<NonNull<u8>, Errno> {
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    let memory = map_new(bytes, protection, flags, Descriptor(-1))?;
    advise(memory, bytes, libc::MADV_NOHUGEPAGE);
    Ok(memory)
}

/// Maps a memfd, shared; `writable` or to be read only.
pub(crate) fn map_shared(
    file: Descriptor,
    bytes: usize,
    writable: bool,
) -> Result<NonNull<u8>, Errno> {
    let protection = if writable {
        libc::PROT_READ | libc::PROT_WRITE
    } else {
        libc::PROT_READ
    };
    let memory = map_new(
        bytes,
        protection,
        libc::MAP_SHARED | libc::MAP_NORESERVE,
        file,
    )?;
    advise(memory, bytes, libc::MADV_DONTDUMP);
    advise(memory, bytes, libc::MADV_NOHUGEPAGE);
    Ok(memory)
}

/// Maps `bytes` wherever there is room, and notes that they are ours. Where the target has asked that whatever is mapped be locked, and so be
/// resident at once, nothing can be there to be touched until it is unlocked again.
fn map_new(
    bytes: usize,
    protection: i32,
    flags: i32,
    file: Descriptor,
) -> Result<NonNull<u8>, Errno> {
    let unlocks = locking::is_future_locked() && !filters::is_filtered();
    let first = if unlocks { libc::PROT_NONE } else { protection };
    let memory = map(0, bytes, first, flags, file)?;
    mappings::note(memory, bytes);
    if unlocks && let Err(error) = open_unlocked(memory, bytes, protection) {
        // SAFETY: mapped just now; nobody knows of it.
        unsafe { unmap(memory, bytes) };
        return Err(error);
    }
    Ok(memory)
}

fn open_unlocked(memory: NonNull<u8>, bytes: usize, protection: i32) -> Result<(), Errno> {
    let start = memory.as_ptr() as usize;
    let end = start + bytes;
    unlock(Span { start, end });
    let arguments = [start, bytes, widen(protection), 0, 0, 0];
    // SAFETY: a mapping of ours that nobody uses yet.
    unsafe { raw(libc::SYS_mprotect, arguments) }.map(drop)
}

/// mlockall(2).
pub(crate) fn lock_all(flags: i32) -> Result<(), Errno> {
    // SAFETY: the target asked for it; no contents are changed.
    unsafe { raw(libc::SYS_mlockall, [widen(flags), 0, 0, 0, 0, 0]) }.map(drop)
}

/// Locks what is mapped there: at once, or when it is touched. What can't be is left.
pub(crate) fn lock(span: Span, on_fault: bool) {
    const MLOCK_ONFAULT: usize = 1;
    let bytes = span.end - span.start;
    let (number, flags) = if on_fault {
        (libc::SYS_mlock2, MLOCK_ONFAULT)
    } else {
        (libc::SYS_mlock, 0)
    };
    // SAFETY: the target asked for it; no contents are changed.
    let _ = unsafe { raw(number, [span.start, bytes, flags, 0, 0, 0]) };
}

/// Unlocks what is mapped there.
pub(crate) fn unlock(span: Span) {
    let arguments = [span.start, span.end - span.start, 0, 0, 0, 0];
    // SAFETY: no contents are changed.
    let _ = unsafe { raw(libc::SYS_munlock, arguments) };
}

/// Maps a memfd over what is mapped at `at` now.
///
/// # Safety
/// The caller promises that `bytes` at `at` are a mapping of ours, whose references stay valid with the file's contents.
pub(crate) unsafe fn map_over(
    at: NonNull<u8>,
    file: Descriptor,
    bytes: usize,
) -> Result<(), Errno> {
    let flags = libc::MAP_SHARED | libc::MAP_NORESERVE | libc::MAP_FIXED;
    let memory = map(
        at.as_ptr() as usize,
        bytes,
        libc::PROT_READ | libc::PROT_WRITE,
        flags,
        file,
    )?;
    advise(memory, bytes, libc::MADV_DONTDUMP);
    advise(memory, bytes, libc::MADV_NOHUGEPAGE);
    Ok(())
}

fn map(
    at: usize,
    bytes: usize,
    protection: i32,
    flags: i32,
    file: Descriptor,
) -> Result<NonNull<u8>, Errno> {
    let arguments = [
        at,
        bytes,
        widen(protection),
        widen(flags),
        signed(file.0),
        0,
    ];
    // SAFETY: mmap replaces nothing unless MAP_FIXED is given, which `map_over`'s caller answers for.
    let address = unsafe { raw(libc::SYS_mmap, arguments) }?;
    NonNull::new(core::ptr::with_exposed_provenance_mut(address)).ok_or(Errno(libc::ENOMEM))
}

/// Unmaps what `map_private` or `map_shared` gave.
///
/// # Safety
/// The caller promises that nothing refers to it any more.
pub(crate) unsafe fn unmap(memory: NonNull<u8>, bytes: usize) {
    mappings::forget(memory);
    // SAFETY: the caller's promise.
    let _ = unsafe {
        raw(
            libc::SYS_munmap,
            [memory.as_ptr() as usize, bytes, 0, 0, 0, 0],
        )
    };
}

/// Advises the kernel; advice that it does not know is no loss.
fn advise(memory: NonNull<u8>, bytes: usize, advice: i32) {
    let _ = advise_at(memory.as_ptr() as usize, bytes, advice);
}

/// Makes a page of ours read as zero in every forked child (Linux 4.14).
pub(crate) fn wipe_on_fork(page: usize, bytes: usize) -> Result<(), Errno> {
    advise_at(page, bytes, libc::MADV_WIPEONFORK)
}

fn advise_at(address: usize, bytes: usize, advice: i32) -> Result<(), Errno> {
    if filters::is_filtered() {
        return Err(Errno(libc::EPERM));
    }
    // SAFETY: the advice values used here (NOHUGEPAGE, DONTDUMP, WIPEONFORK) change no contents in this process.
    unsafe { raw(libc::SYS_madvise, [address, bytes, widen(advice), 0, 0, 0]) }.map(drop)
}

/// True where the eight bytes at `address` can be read now: the kernel copies them in as a signal set and then refuses the operation
/// `usize::MAX` (rt_sigprocmask(2): EFAULT before EINVAL), so nothing changes and nothing faults.
pub(crate) fn readable(address: u64) -> bool {
    let Ok(address) = usize::try_from(address) else {
        return false;
    };
    let how = usize::MAX;
    // SAFETY: with an operation that does not exist the call changes nothing.
    let result = unsafe { raw(libc::SYS_rt_sigprocmask, [how, address, 0, 8, 0, 0]) };
    result == Err(Errno(libc::EINVAL))
}

/// Copies what this process has at an address: false where not all of it is there, None where the kernel does not do that for us.
pub(crate) fn copy(from: usize, words: &mut [u64]) -> Option<bool> {
    let len = size_of_val(words);
    let (to, from) = ([words.as_mut_ptr().expose_provenance(), len], [from, len]);
    let [to, from] = [&to, &from].map(|vector| (&raw const *vector) as usize);
    let pid = super::process::pid() as usize;
    // SAFETY: reads two struct iovec, and writes into `words` alone.
    match unsafe { raw(libc::SYS_process_vm_readv, [pid, to, 1, from, 1, 0]) } {
        Ok(copied) => Some(copied == len),
        Err(Errno(libc::EFAULT)) => Some(false),
        Err(_) => None,
    }
}
