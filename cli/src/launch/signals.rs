//! Signals while a command runs: blocked and read from a descriptor, so that none of them ends us before our report.
//!
//! Called by `child`. What the terminal sends goes to its whole process group, the command included: it is ours to ignore. What a
//! process sent to us alone was meant for the command: it is passed on. Invariant: every thread has these signals blocked, which
//! holds since they are blocked before any thread is made; the child gets the mask back that we were given.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

/// What is blocked, and passed on.
const SIGNALS: [i32; 6] = [
    libc::SIGINT,
    libc::SIGQUIT,
    libc::SIGTERM,
    libc::SIGHUP,
    libc::SIGUSR1,
    libc::SIGUSR2,
];

/// A signal mask.
#[derive(Clone, Copy)]
pub struct Mask(libc::sigset_t);

impl std::fmt::Debug for Mask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Mask")
    }
}

/// The mask that this process was given.
static BEFORE: OnceLock<Mask> = OnceLock::new();

/// The signals of this process, to be read.
#[derive(Debug)]
pub(super) struct Signals {
    fd: OwnedFd,
    before: Mask,
}

impl Signals {
    /// Blocks the signals, to be read from now on.
    pub(super) fn block() -> io::Result<Signals> {
        let ours = set();
        let mut before = set();
        // SAFETY: both sets are initialised and live through the call.
        let failed =
            unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const ours, &raw mut before) };
        if failed != 0 {
            return Err(io::Error::from_raw_os_error(failed));
        }
        let flags = libc::SFD_CLOEXEC | libc::SFD_NONBLOCK;
        // SAFETY: the set is initialised; -1 asks for a new descriptor.
        let fd = unsafe { libc::signalfd(-1, &raw const ours, flags) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: just made, and owned by nobody else.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        // A second command must not inherit what was blocked for the first.
        Ok(Signals {
            fd,
            before: *BEFORE.get_or_init(|| Mask(before)),
        })
    }

    /// The mask that was in force before.
    pub(super) fn before(&self) -> Mask {
        self.before
    }

    /// The next signal that is to be passed on.
    pub(super) fn next(&self) -> Option<i32> {
        loop {
            let mut info = MaybeUninit::<libc::signalfd_siginfo>::zeroed();
            let len = size_of::<libc::signalfd_siginfo>();
            // SAFETY: `info` has room for `len` bytes.
            let read = unsafe { libc::read(self.fd.as_raw_fd(), info.as_mut_ptr().cast(), len) };
            if usize::try_from(read) != Ok(len) {
                return None;
            }
            // SAFETY: all integers, zeroed and then written by the kernel.
            let info = unsafe { info.assume_init() };
            // SI_KERNEL (0x80): from the terminal, to the whole process group.
            if info.ssi_code != 0x80 {
                return info.ssi_signo.try_into().ok();
            }
        }
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

fn set() -> libc::sigset_t {
    let mut set = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: sigemptyset initialises what it is given room for.
    unsafe { libc::sigemptyset(set.as_mut_ptr()) };
    // SAFETY: initialised by the line above.
    let mut set = unsafe { set.assume_init() };
    for signal in SIGNALS {
        // SAFETY: the set is initialised and the numbers are signals.
        unsafe { libc::sigaddset(&raw mut set, signal) };
    }
    set
}

static SIGPIPE_IGNORED: AtomicBool = AtomicBool::new(false);

/// Notes whether SIGPIPE was ignored when this process was started. Rust's runtime ignores it before `main`, and std sets it to
/// its default in children: a command that was to inherit 'ignored' would not.
pub extern "C" fn inherited_sigpipe() {
    SIGPIPE_IGNORED.store(is_ignored(libc::SIGPIPE), Ordering::Relaxed);
}

/// True where this process ignores a signal: it was told so when it was started (nohup), or has said so itself.
#[must_use]
pub fn is_ignored(signal: i32) -> bool {
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: null asks only for the present action, for which there is room.
    let failed = unsafe { libc::sigaction(signal, std::ptr::null(), action.as_mut_ptr()) };
    // SAFETY: zeroed, a valid value, and perhaps written by the kernel.
    let action = unsafe { action.assume_init() };
    failed == 0 && action.sa_sigaction == libc::SIG_IGN
}

/// In the child, between fork and exec: the signal state that we were given.
#[expect(
    clippy::unnecessary_wraps,
    reason = "the signature that pre_exec asks for"
)]
pub(super) fn restore(mask: Option<Mask>) -> io::Result<()> {
    if let Some(Mask(before)) = mask {
        // SAFETY: the set was filled in by the kernel; null asks for no old mask.
        unsafe {
            libc::pthread_sigmask(libc::SIG_SETMASK, &raw const before, std::ptr::null_mut())
        };
    }
    if SIGPIPE_IGNORED.load(Ordering::Relaxed) {
        // SAFETY: no handler is installed, and the child has one thread.
        unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
    }
    Ok(())
}
