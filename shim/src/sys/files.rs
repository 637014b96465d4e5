//! Files: memfds and their seals, descriptor numbers, /proc, the log.

use super::raw::{Descriptor, Errno, raw, signed, widen};
use core::ffi::CStr;

/// Makes an anonymous file that may be sealed; close-on-exec.
pub(crate) fn memfd(name: &CStr) -> Result<Descriptor, Errno> {
    const MFD_NOEXEC_SEAL: u32 = 8; // Linux 6.3; older kernels say EINVAL
    let flags = libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING;
    let make = |flags: u32| {
        // SAFETY: the name is a C string; the call makes a descriptor and nothing else.
        unsafe {
            raw(
                libc::SYS_memfd_create,
                [name.as_ptr() as usize, flags as usize, 0, 0, 0, 0],
            )
        }
    };
    make(flags | MFD_NOEXEC_SEAL)
        .or_else(|_| make(flags))
        .map(Descriptor::from)
}

/// Sets a file's length.
pub(crate) fn truncate(file: Descriptor, bytes: u64) -> Result<(), Errno> {
    // SAFETY: only called on memfds of ours that nobody has mapped yet.
    unsafe {
        raw(
            libc::SYS_ftruncate,
            [
                file.number(),
                usize::try_from(bytes).unwrap_or(usize::MAX),
                0,
                0,
                0,
                0,
            ],
        )
    }
    .map(drop)
}

/// Makes a file of its owner's alone where none of that name is.
pub(crate) fn create(path: &CStr) -> Option<Descriptor> {
    let flags = libc::O_RDWR | libc::O_CREAT | libc::O_EXCL | libc::O_NOFOLLOW | libc::O_NOCTTY;
    open(path, flags)
}

/// Removes a file that `create` has made.
pub(crate) fn remove(path: &CStr) {
    let arguments = [signed(libc::AT_FDCWD), path.as_ptr() as usize, 0, 0, 0, 0];
    // SAFETY: the path is a C string; the file is ours, and nobody was told of it yet.
    let _ = unsafe { raw(libc::SYS_unlinkat, arguments) };
}

/// Takes room on the disk for a file's first bytes, so that no write to them through a mapping can find it full (SIGBUS).
pub(crate) fn allocate(file: Descriptor, bytes: u64) -> Result<(), Errno> {
    let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
    // SAFETY: only called on files of ours that nobody has mapped yet.
    unsafe { raw(libc::SYS_fallocate, [file.number(), 0, 0, bytes, 0, 0]) }.map(drop)
}

/// Bytes that the file's disk has left for this user.
pub(crate) fn free_bytes(file: Descriptor) -> u64 {
    let mut disk = core::mem::MaybeUninit::<libc::statfs>::zeroed();
    let arguments = [file.number(), disk.as_mut_ptr() as usize, 0, 0, 0, 0];
    // SAFETY: fstatfs writes one struct statfs at the given place.
    if unsafe { raw(libc::SYS_fstatfs, arguments) }.is_err() {
        return 0;
    }
    // SAFETY: zeroed memory is a valid statfs, and so is what the call has written.
    let disk = unsafe { disk.assume_init() };
    let block = u64::try_from(disk.f_bsize).unwrap_or(0);
    disk.f_bavail.saturating_mul(block)
}

/// Makes a file its owner's alone.
pub(crate) fn owner_only(file: Descriptor) -> Result<(), Errno> {
    // SAFETY: changes the mode of a memfd of ours.
    unsafe { raw(libc::SYS_fchmod, [file.number(), 0o600, 0, 0, 0, 0]) }.map(drop)
}

/// Seals a memfd: no shrinking, no growing, no further seals; and, where the kernel can (Linux 5.1), no new writable mapping.
pub(crate) fn seal(file: Descriptor, against_writers: bool) -> Result<(), Errno> {
    const FUTURE_WRITE: i32 = 0x10;
    let size = libc::F_SEAL_SHRINK | libc::F_SEAL_GROW;
    if against_writers {
        let _ = control(file, libc::F_ADD_SEALS, FUTURE_WRITE);
    }
    control(file, libc::F_ADD_SEALS, size | libc::F_SEAL_SEAL).map(drop)
}

/// Moves a descriptor to the first free number from `from` on; close-on-exec.
pub(crate) fn move_up(file: Descriptor, from: i32) -> Result<Descriptor, Errno> {
    let moved = control(file, libc::F_DUPFD_CLOEXEC, from).map(Descriptor::from)?;
    close(file);
    Ok(moved)
}

fn control(file: Descriptor, command: i32, argument: i32) -> Result<usize, Errno> {
    // SAFETY: the commands used here (F_ADD_SEALS, F_DUPFD_CLOEXEC) take an integer.
    unsafe {
        raw(
            libc::SYS_fcntl,
            [file.number(), widen(command), widen(argument), 0, 0, 0],
        )
    }
}

/// Closes a descriptor.
pub(crate) fn close(file: Descriptor) {
    // SAFETY: called on descriptors of ours alone.
    let _ = unsafe { raw(libc::SYS_close, [file.number(), 0, 0, 0, 0, 0]) };
}

/// Closes the target's descriptors from `first` to `last`, as close_range(2) does.
pub(crate) fn close_range(first: u32, last: u32, flags: i32) -> Result<(), Errno> {
    // SAFETY: the target asked for it; our own numbers were cut out by `descriptors`.
    unsafe {
        raw(
            libc::SYS_close_range,
            [first as usize, last as usize, widen(flags), 0, 0, 0],
        )
    }
    .map(drop)
}

/// What names a file: device and inode. None where the descriptor is not open.
pub(crate) fn file_identity(file: Descriptor) -> Option<(u64, u64)> {
    status(file).map(|status| (status.st_dev, status.st_ino))
}

fn status(file: Descriptor) -> Option<libc::stat> {
    let mut status = core::mem::MaybeUninit::<libc::stat>::zeroed();
    let arguments = [file.number(), status.as_mut_ptr() as usize, 0, 0, 0, 0];
    // SAFETY: fstat writes one struct stat at the given place.
    unsafe { raw(libc::SYS_fstat, arguments) }.ok()?;
    // SAFETY: zeroed memory is a valid stat, and so is what the call has written.
    Some(unsafe { status.assume_init() })
}

/// Opens a file, close-on-exec; one that is made is its owner's alone.
fn open(path: &CStr, flags: i32) -> Option<Descriptor> {
    let (at, flags) = (signed(libc::AT_FDCWD), widen(flags | libc::O_CLOEXEC));
    let arguments = [at, path.as_ptr() as usize, flags, 0o600, 0, 0];
    // SAFETY: the path is a C string.
    unsafe { raw(libc::SYS_openat, arguments) }
        .ok()
        .map(Descriptor::from)
}

/// Reads from the start of a file into `buffer`; the bytes read.
pub(crate) fn read_file<'b>(path: &CStr, buffer: &'b mut [u8]) -> Option<&'b [u8]> {
    let filled = with_file(path, |file| {
        let mut filled = 0;
        while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty())
            && let Some(bytes) = read_some(file, rest)
        {
            filled += bytes.len();
        }
        filled
    })?;
    buffer.get(..filled)
}

/// Opens a file for reading, and closes it when `read` is done.
pub(super) fn with_file<T>(path: &CStr, read: impl FnOnce(Descriptor) -> T) -> Option<T> {
    let file = open(path, libc::O_RDONLY)?;
    let result = read(file);
    close(file);
    Some(result)
}

/// The next bytes of a file; None at its end.
pub(super) fn read_some(file: Descriptor, buffer: &mut [u8]) -> Option<&[u8]> {
    let (place, room) = (buffer.as_mut_ptr() as usize, buffer.len());
    let arguments = [file.number(), place, room, 0, 0, 0];
    // SAFETY: writes at most as many bytes into `buffer` as it has room for.
    let count = unsafe { raw(libc::SYS_read, arguments) }.ok()?;
    buffer.get(..count).filter(|bytes| !bytes.is_empty())
}

/// The target of a symbolic link.
pub(crate) fn read_link<'b>(path: &CStr, buffer: &'b mut [u8]) -> Option<&'b [u8]> {
    let arguments = [
        signed(libc::AT_FDCWD),
        path.as_ptr() as usize,
        buffer.as_mut_ptr() as usize,
        buffer.len(),
        0,
        0,
    ];
    // SAFETY: writes at most `buffer.len()` bytes into `buffer`.
    let count = unsafe { raw(libc::SYS_readlinkat, arguments) }.ok()?;
    buffer.get(..count)
}

/// Appends to a regular file, made so that only the user of the target can read it. Never waits, also for a pipe's reader, and goes to no file that
/// another user has put a link to in a shared directory.
pub(crate) fn append_file(path: &CStr, text: &[u8]) {
    let to_write = libc::O_WRONLY | libc::O_APPEND | libc::O_CREAT | libc::O_NOFOLLOW;
    let flags = to_write | libc::O_NOCTTY | libc::O_NONBLOCK;
    let Some(file) = open(path, flags) else {
        return;
    };
    if status(file).is_some_and(|status| status.st_mode & libc::S_IFMT == libc::S_IFREG) {
        let arguments = [file.number(), text.as_ptr() as usize, text.len(), 0, 0, 0];
        // SAFETY: reads `text.len()` bytes of `text`.
        let _ = unsafe { raw(libc::SYS_write, arguments) };
    }
    close(file);
}
