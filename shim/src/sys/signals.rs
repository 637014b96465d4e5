//! Blocking signals while state is made that a handler must not see half.

use super::raw::{raw, widen};

/// All signals blocked, until it is dropped.
#[derive(Debug)]
pub(crate) struct SignalsBlocked(u64);

/// Blocks every signal of this thread but those that an instruction raises: blocked, they kill where the target would have handled them
/// (SIGSYS of a seccomp filter).
pub(crate) fn block_signals() -> SignalsBlocked {
    let all = all();
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

/// Those that are blocked.
fn all() -> u64 {
    let raised = [
        libc::SIGSYS,
        libc::SIGSEGV,
        libc::SIGBUS,
        libc::SIGILL,
        libc::SIGFPE,
        libc::SIGTRAP,
    ];
    raised
        .into_iter()
        .fold(u64::MAX, |set, signal| set & !(1 << (signal - 1)))
}

impl SignalsBlocked {
    /// Takes back what was blocked here, and leaves what others have blocked since.
    pub(crate) fn unblock(&self) {
        let ours = all() & !self.0;
        let how = widen(libc::SIG_UNBLOCK);
        // SAFETY: reads one eight-byte signal set.
        let _ = unsafe {
            raw(
                libc::SYS_rt_sigprocmask,
                [how, (&raw const ours) as usize, 0, 8, 0, 0],
            )
        };
    }
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
