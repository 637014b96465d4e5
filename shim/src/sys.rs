//! Every system call that the shim makes, each a safe wrapper with a typed result; no other file has a `syscall` instruction.
//!
//! They are made raw: libc's wrappers set errno, are cancellation points, and may be interposed by the target. The list, and when each
//! is made, stands in docs/ARCHITECTURE.md: after start-up no call of a kind that was not made before, since programs install
//! seccomp filters that kill.

use crate::filters;
use core::arch::asm;
use core::ffi::CStr;
use core::ptr::NonNull;

/// A system call's error number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Errno(pub(crate) i32);

unsafe extern "C" {
    fn __errno_location() -> *mut i32;
}

/// Sets the target's errno, where a function that we export fails by itself.
pub(crate) fn set_errno(error: i32) {
    // SAFETY: takes no arguments.
    let errno = unsafe { __errno_location() };
    // SAFETY: libc's errno of this thread.
    unsafe { errno.write(error) };
}

/// Makes a system call.
///
/// # Safety
/// The caller promises that the arguments are what the call with this number takes, and that its effects are wanted.
#[inline(always)]
unsafe fn raw(number: libc::c_long, arguments: [usize; 6]) -> Result<usize, Errno> {
    let result: i64;
    let [a, b, c, d, e, f] = arguments;
    // SAFETY: the kernel's calling convention on x86-64: number in rax, arguments in rdi, rsi, rdx, r10, r8, r9; rcx and r11 are
    // clobbered; the effects are the caller's promise.
    unsafe {
        asm!("syscall", inlateout("rax") number => result, in("rdi") a, in("rsi") b, in("rdx") c, in("r10") d, in("r8") e,
            in("r9") f, lateout("rcx") _, lateout("r11") _, options(nostack));
    }
    match result {
        -4095..0 => Err(Errno(i32::try_from(-result).unwrap_or(libc::EINVAL))),
        value => Ok(usize::try_from(value).unwrap_or(usize::MAX)),
    }
}

/// A descriptor of ours, by number: not closed when dropped, since it lives as long as the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Descriptor(pub(crate) i32);

impl Descriptor {
    fn number(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }

    fn from(result: usize) -> Descriptor {
        Descriptor(i32::try_from(result).unwrap_or(-1))
    }
}

/// Maps `bytes` of zeroed private memory that is not resident until it is touched, and never in huge pages.
pub(crate) fn map_private(bytes: usize) -> Result<NonNull<u8>, Errno> {
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    let memory = map(
        0,
        bytes,
        protection,
        libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
        Descriptor(-1),
    )?;
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
    let memory = map(
        0,
        bytes,
        protection,
        libc::MAP_SHARED | libc::MAP_NORESERVE,
        file,
    )?;
    advise(memory, bytes, libc::MADV_DONTDUMP);
    advise(memory, bytes, libc::MADV_NOHUGEPAGE);
    Ok(memory)
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

/// A resource limit's soft value; u64::MAX where it is unlimited or not known.
pub(crate) fn limit(resource: libc::__rlimit_resource_t) -> u64 {
    let mut limit = libc::rlimit64 {
        rlim_cur: u64::MAX,
        rlim_max: u64::MAX,
    };
    // SAFETY: prlimit64 on ourselves with no new value writes one rlimit64.
    let _ = unsafe {
        raw(
            libc::SYS_prlimit64,
            [0, resource as usize, 0, (&raw mut limit) as usize, 0, 0],
        )
    };
    limit.rlim_cur
}

/// getpid(2).
pub(crate) fn pid() -> u32 {
    identity_call(libc::SYS_getpid)
}

/// getppid(2).
pub(crate) fn parent_pid() -> u32 {
    identity_call(libc::SYS_getppid)
}

/// gettid(2).
pub(crate) fn thread_id() -> u32 {
    identity_call(libc::SYS_gettid)
}

/// geteuid(2).
pub(crate) fn effective_user() -> u32 {
    identity_call(libc::SYS_geteuid)
}

fn identity_call(number: libc::c_long) -> u32 {
    if filters::is_filtered() {
        return 0;
    }
    // SAFETY: takes no arguments and cannot fail.
    let result = unsafe { raw(number, [0; 6]) };
    result
        .ok()
        .and_then(|value| u32::try_from(value).ok())
        .unwrap_or(0)
}

/// A clock in nanoseconds; 0 where it does not exist.
pub(crate) fn clock_ns(clock: libc::clockid_t) -> u64 {
    if filters::is_filtered() {
        return 0;
    }
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: clock_gettime writes one timespec.
    let _ = unsafe {
        raw(
            libc::SYS_clock_gettime,
            [widen(clock), (&raw mut time) as usize, 0, 0, 0, 0],
        )
    };
    time.tv_sec
        .cast_unsigned()
        .wrapping_mul(1_000_000_000)
        .wrapping_add(time.tv_nsec.cast_unsigned())
}

/// Eight random bytes; the clock's where there are none.
pub(crate) fn random() -> u64 {
    let mut word = 0u64;
    // SAFETY: getrandom writes at most eight bytes.
    let got = unsafe {
        raw(
            libc::SYS_getrandom,
            [
                (&raw mut word) as usize,
                8,
                libc::GRND_NONBLOCK as usize,
                0,
                0,
                0,
            ],
        )
    };
    if got == Ok(8) {
        word
    } else {
        clock_ns(libc::CLOCK_REALTIME) ^ u64::from(pid()) << 32
    }
}

/// Reads from the start of a file into `buffer`; the bytes read.
pub(crate) fn read_file<'b>(path: &CStr, buffer: &'b mut [u8]) -> Option<&'b [u8]> {
    let flags = libc::O_RDONLY | libc::O_CLOEXEC;
    // SAFETY: the path is a C string.
    let opened = unsafe {
        raw(
            libc::SYS_openat,
            [
                signed(libc::AT_FDCWD),
                path.as_ptr() as usize,
                widen(flags),
                0,
                0,
                0,
            ],
        )
    };
    let file = Descriptor::from(opened.ok()?);
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        // SAFETY: writes at most `rest.len()` bytes into `rest`.
        match unsafe {
            raw(
                libc::SYS_read,
                [
                    file.number(),
                    rest.as_mut_ptr() as usize,
                    rest.len(),
                    0,
                    0,
                    0,
                ],
            )
        } {
            Ok(0) | Err(_) => break,
            Ok(count) => filled += count,
        }
    }
    close(file);
    buffer.get(..filled)
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

/// Appends to a regular file, made so that only the user of the target can read it. Never waits, also for a pipe's reader.
pub(crate) fn append_file(path: &CStr, text: &[u8]) {
    let flags = libc::O_WRONLY
        | libc::O_APPEND
        | libc::O_CREAT
        | libc::O_CLOEXEC
        | libc::O_NOCTTY
        | libc::O_NONBLOCK;
    // SAFETY: the path is a C string.
    let opened = unsafe {
        raw(
            libc::SYS_openat,
            [
                signed(libc::AT_FDCWD),
                path.as_ptr() as usize,
                widen(flags),
                0o600,
                0,
                0,
            ],
        )
    };
    let Ok(file) = opened.map(Descriptor::from) else {
        return;
    };
    if status(file).is_some_and(|status| status.st_mode & libc::S_IFMT == libc::S_IFREG) {
        let arguments = [file.number(), text.as_ptr() as usize, text.len(), 0, 0, 0];
        // SAFETY: reads `text.len()` bytes of `text`.
        let _ = unsafe { raw(libc::SYS_write, arguments) };
    }
    close(file);
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

/// All signals blocked, until it is dropped.
#[derive(Debug)]
pub(crate) struct SignalsBlocked(u64);

/// Blocks every signal of this thread but those that an instruction raises: blocked, they kill where the target would have handled them
/// (SIGSYS of a seccomp filter).
pub(crate) fn block_signals() -> SignalsBlocked {
    let raised = [
        libc::SIGSYS,
        libc::SIGSEGV,
        libc::SIGBUS,
        libc::SIGILL,
        libc::SIGFPE,
        libc::SIGTRAP,
    ];
    let all = raised
        .into_iter()
        .fold(u64::MAX, |set, signal| set & !(1 << (signal - 1)));
    let mut old = 0u64;
    let arguments = [
        widen(libc::SIG_SETMASK),
        (&raw const all) as usize,
        (&raw mut old) as usize,
        8,
        0,
        0,
    ];
    // SAFETY: reads one and writes one eight-byte signal set.
    let _ = unsafe { raw(libc::SYS_rt_sigprocmask, arguments) };
    SignalsBlocked(old)
}

impl Drop for SignalsBlocked {
    fn drop(&mut self) {
        // SAFETY: reads one eight-byte signal set: the one that was in force before.
        let _ = unsafe {
            raw(
                libc::SYS_rt_sigprocmask,
                [
                    widen(libc::SIG_SETMASK),
                    (&raw const self.0) as usize,
                    0,
                    8,
                    0,
                    0,
                ],
            )
        };
    }
}

/// Longest wait for a `run` whose queue is full: hundreds of children may be made at once.
const PATIENCE_MICROSECONDS: i64 = 200_000;

/// Sends `message` and two descriptors to the abstract Unix socket `name`, if its owner is this user or root. Waits `PATIENCE` at most.
pub(crate) fn hand_over(name: &[u8], message: &[u8], files: [Descriptor; 2]) -> Result<(), Errno> {
    let kind = libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC;
    // SAFETY: makes a socket.
    let socket = Descriptor::from(unsafe {
        raw(
            libc::SYS_socket,
            [widen(libc::AF_UNIX), widen(kind), 0, 0, 0, 0],
        )
    }?);
    let sent = be_patient(socket)
        .and_then(|()| connect_abstract(socket, name))
        .and_then(|()| peer_is_trusted(socket))
        .and_then(|()| send_files(socket, message, files));
    close(socket);
    sent
}

fn be_patient(socket: Descriptor) -> Result<(), Errno> {
    let time = libc::timeval {
        tv_sec: 0,
        tv_usec: PATIENCE_MICROSECONDS,
    };
    let (level, option) = (widen(libc::SOL_SOCKET), widen(libc::SO_SNDTIMEO));
    let arguments = [
        socket.number(),
        level,
        option,
        (&raw const time) as usize,
        size_of::<libc::timeval>(),
        0,
    ];
    // SAFETY: reads one timeval.
    unsafe { raw(libc::SYS_setsockopt, arguments) }.map(drop)
}

fn connect_abstract(socket: Descriptor, name: &[u8]) -> Result<(), Errno> {
    #[repr(C)]
    struct Address {
        family: libc::sa_family_t,
        path: [u8; 108],
    }
    let mut address = Address {
        family: 1,
        path: [0; 108],
    };
    let place = address
        .path
        .get_mut(1..=name.len())
        .ok_or(Errno(libc::ENAMETOOLONG))?;
    place.copy_from_slice(name);
    // SAFETY: reads family, the leading NUL and the name.
    unsafe {
        raw(
            libc::SYS_connect,
            [
                socket.number(),
                (&raw const address) as usize,
                name.len() + 3,
                0,
                0,
                0,
            ],
        )
    }
    .map(drop)
}

fn peer_is_trusted(socket: Descriptor) -> Result<(), Errno> {
    let mut peer = libc::ucred {
        pid: 0,
        uid: u32::MAX,
        gid: u32::MAX,
    };
    let mut length = 12u32;
    let arguments = [
        socket.number(),
        widen(libc::SOL_SOCKET),
        widen(libc::SO_PEERCRED),
        (&raw mut peer) as usize,
        (&raw mut length) as usize,
        0,
    ];
    // SAFETY: writes one struct ucred (12 bytes).
    unsafe { raw(libc::SYS_getsockopt, arguments) }?;
    if peer.uid == 0 || peer.uid == effective_user() {
        Ok(())
    } else {
        Err(Errno(libc::EPERM))
    }
}

fn send_files(socket: Descriptor, message: &[u8], files: [Descriptor; 2]) -> Result<(), Errno> {
    #[repr(C)]
    struct Ancillary {
        length: usize,
        level: i32,
        kind: i32,
        files: [i32; 2],
    }
    let ancillary = Ancillary {
        length: 24,
        level: libc::SOL_SOCKET,
        kind: libc::SCM_RIGHTS,
        files: files.map(|file| file.0),
    };
    let part = libc::iovec {
        iov_base: message.as_ptr().cast_mut().cast(),
        iov_len: message.len(),
    };
    // SAFETY: a msghdr of zeros is valid: no name, no parts.
    let mut header: libc::msghdr = unsafe { core::mem::zeroed() };
    header.msg_iov = (&raw const part).cast_mut();
    header.msg_iovlen = 1;
    header.msg_control = (&raw const ancillary).cast_mut().cast();
    header.msg_controllen = size_of::<Ancillary>();
    let flags = libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT;
    // SAFETY: the header describes one readable part and one control message, both alive.
    unsafe {
        raw(
            libc::SYS_sendmsg,
            [
                socket.number(),
                (&raw const header) as usize,
                widen(flags),
                0,
                0,
                0,
            ],
        )
    }
    .map(drop)
}

/// The same bits, as the kernel takes flags.
fn widen(flags: i32) -> usize {
    flags.cast_unsigned() as usize
}

/// Sign-extended, as the kernel takes descriptors that may be −1 or AT_FDCWD.
fn signed(number: i32) -> usize {
    (number as isize).cast_unsigned()
}
