//! A rehearsal of the calls that tracing makes and the loader has not made before us, under a seccomp filter that was there before the program began.
//!
//! Called by `start` alone, first of all. What a container's runtime forbids answers EPERM; what systemd's `SystemCallFilter=` forbids ends the process,
//! unless the unit says otherwise, and no call tells the one from the other. So a child of its own makes them all, each with arguments with which it does
//! nothing: filters look at numbers, and at flags and commands, which are the real ones.

use super::raw::{raw, signed, widen};
use super::read_file;
use core::ffi::c_long;

/// Of /proc/PID/status, whose line `Seccomp` lies beyond the first thousand bytes and those of a long list of groups.
const STATUS_BYTES: usize = 2048;
const FILTERED: &[u8] = b"\nSeccomp:\t2\n";

/// What tracing is to do, besides what it always does.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted {
    /// The account is handed to the `run` that waits for it.
    pub(crate) by_run: bool,
    /// The account is kept in a directory.
    pub(crate) kept: bool,
}

/// True where a filter ends a process that makes the calls which tracing takes.
#[inline(never)]
pub(crate) fn is_deadly(wanted: Wanted) -> bool {
    is_filtered() && !survived(wanted)
}

/// True where a filter was there before us. The loader has read files before, so reading one is safe.
fn is_filtered() -> bool {
    let mut buffer = [0u8; STATUS_BYTES];
    let status = read_file(c"/proc/self/status", &mut buffer).unwrap_or(&[]);
    status.windows(FILTERED.len()).any(|line| line == FILTERED)
}

/// False where a child that makes the calls is ended for it. It sends no signal when it ends, and a plain wait(2) of the target's does not see it.
fn survived(wanted: Wanted) -> bool {
    // SAFETY: without flags this is a copy of the process with one thread, which shares no memory with us; `perform` does not return in it.
    match unsafe { raw(libc::SYS_clone, [0; 6]) } {
        Ok(0) => perform(wanted),
        Ok(child) => ended_well(child),
        // It cannot be told: as where there is no filter.
        Err(_) => true,
    }
}

fn ended_well(child: usize) -> bool {
    let mut status = 0i32;
    let place = (&raw mut status) as usize;
    // SAFETY: writes one int. Our signals are blocked: nothing interrupts it.
    let waited = unsafe {
        raw(
            libc::SYS_wait4,
            [child, place, widen(libc::__WALL), 0, 0, 0],
        )
    };
    waited == Ok(child) && status == 0
}

/// In the child, which leaves no core file.
fn perform(wanted: Wanted) -> ! {
    let none = libc::rlimit64 {
        rlim_cur: 0,
        rlim_max: 0,
    };
    let core = widen(libc::RLIMIT_CORE.cast_signed());
    call(
        libc::SYS_prlimit64,
        [0, core, (&raw const none) as usize, 0],
    );
    call(libc::SYS_prctl, [widen(libc::PR_SET_DUMPABLE), 0, 0, 0]);
    make(&ALWAYS);
    if wanted.by_run {
        make(&HANDING_OVER);
    }
    if wanted.kept {
        make(&KEEPING);
    }
    loop {
        call(libc::SYS_exit_group, [0; 4]);
    }
}

/// A call's number, and its first two arguments where they say what is to be done: all that a filter can look at.
type Call = (c_long, [i32; 2]);

/// No descriptor. As a place it is none either: each call fails, or changes nothing.
const NONE: i32 = -1;

/// What docs/ARCHITECTURE.md lists for start-up, threads and tables; less mmap, openat, read and close, which the loader has made.
const ALWAYS: [Call; 22] = [
    (libc::SYS_memfd_create, [NONE, 3]),
    (libc::SYS_ftruncate, [NONE, 0]),
    (libc::SYS_fchmod, [NONE, 0o600]),
    (libc::SYS_fstat, [NONE, 0]),
    (libc::SYS_fcntl, [NONE, libc::F_ADD_SEALS]),
    (libc::SYS_fcntl, [NONE, libc::F_DUPFD_CLOEXEC]),
    (libc::SYS_readlinkat, [NONE, 0]),
    (libc::SYS_munmap, [0, 0]),
    (libc::SYS_mprotect, [0, 0]),
    (libc::SYS_madvise, [0, 0]),
    (libc::SYS_prlimit64, [0, libc::RLIMIT_AS.cast_signed()]),
    (libc::SYS_prctl, [libc::PR_GET_NAME, NONE]),
    (libc::SYS_rt_sigprocmask, [libc::SIG_BLOCK, 0]),
    (libc::SYS_getrandom, [0, 0]),
    (libc::SYS_clock_gettime, [libc::CLOCK_REALTIME, NONE]),
    (libc::SYS_clock_gettime, [libc::CLOCK_BOOTTIME, NONE]),
    (libc::SYS_getpid, [0, 0]),
    (libc::SYS_getppid, [0, 0]),
    (libc::SYS_gettid, [0, 0]),
    (libc::SYS_geteuid, [0, 0]),
    (libc::SYS_sched_yield, [0, 0]),
    (libc::SYS_process_vm_readv, [NONE, 0]),
];
const HANDING_OVER: [Call; 5] = [
    (libc::SYS_socket, [libc::AF_UNIX, NONE]),
    (libc::SYS_setsockopt, [NONE, libc::SOL_SOCKET]),
    (libc::SYS_connect, [NONE, 0]),
    (libc::SYS_getsockopt, [NONE, libc::SOL_SOCKET]),
    (libc::SYS_sendmsg, [NONE, 0]),
];
const KEEPING: [Call; 3] = [
    (libc::SYS_fstatfs, [NONE, 0]),
    (libc::SYS_fallocate, [NONE, 0]),
    (libc::SYS_unlinkat, [NONE, 0]),
];

fn make(calls: &[Call]) {
    for &(number, [first, second]) in calls {
        call(number, [signed(first), signed(second), 0, 0]);
    }
}

fn call(number: c_long, [a, b, c, d]: [usize; 4]) {
    // SAFETY: without a descriptor, a length or a place, nothing is read, written or changed; the first two of `perform` change the child alone.
    let _ = unsafe { raw(number, [a, b, c, d, 0, 0]) };
}
