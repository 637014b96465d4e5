//! What the process is: limits, ids, clocks, random bytes. After the target has put a seccomp filter on itself, ids and clocks are zero.

use super::raw::{Errno, raw, widen};
use crate::filters;

/// The kernel's TASK_COMM_LEN: 15 bytes and a NUL.
pub(crate) const NAME_BYTES: usize = 16;

/// A resource limit's soft value; u64::MAX where it is unlimited or not known.
pub(crate) fn limit(resource: libc::__rlimit_resource_t) -> u64 {
    limits(resource).0
}

/// A resource limit, soft and hard; u64::MAX where it is unlimited or not known.
pub(crate) fn limits(resource: libc::__rlimit_resource_t) -> (u64, u64) {
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
    (limit.rlim_cur, limit.rlim_max)
}

/// Sets a resource limit, soft and hard.
pub(crate) fn set_limits(
    resource: libc::__rlimit_resource_t,
    (soft, hard): (u64, u64),
) -> Result<(), Errno> {
    let limit = libc::rlimit64 {
        rlim_cur: soft,
        rlim_max: hard,
    };
    // SAFETY: prlimit64 on ourselves reads one rlimit64, and is given nowhere to write the old one.
    let set = unsafe {
        raw(
            libc::SYS_prlimit64,
            [0, resource as usize, (&raw const limit) as usize, 0, 0, 0],
        )
    };
    set.map(drop)
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

/// The calling thread's name, padded with NUL: PR_GET_NAME; empty where it is not to be had.
pub(crate) fn thread_name() -> [u8; NAME_BYTES] {
    let mut name = [0; NAME_BYTES];
    if !filters::is_filtered() {
        let arguments = [
            widen(libc::PR_GET_NAME),
            (&raw mut name) as usize,
            0,
            0,
            0,
            0,
        ];
        // SAFETY: PR_GET_NAME writes 16 bytes.
        let _ = unsafe { raw(libc::SYS_prctl, arguments) };
    }
    name
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

/// The processor's clock, read after everything before it is done; 0 where the target has forbidden itself to ask.
///
/// Another thread that gets this thread's block has a later time: a free asks before the allocator has the block back, whose stores
/// wait for that; a malloc asks after it has the block.
pub(crate) fn ticks() -> u64 {
    if filters::forbids_clock() {
        return 0;
    }
    // SAFETY: waits for older loads, no more.
    unsafe { core::arch::x86_64::_mm_lfence() };
    // SAFETY: reads a counter; where that is forbidden, `filters` has seen it forbidden.
    unsafe { core::arch::x86_64::_rdtsc() }
}

/// Gives the processor to whoever waits for it: sched_yield(2). False where a filter may forbid that.
pub(crate) fn yield_now() -> bool {
    if filters::is_filtered() {
        return false;
    }
    // SAFETY: takes no arguments and cannot fail.
    unsafe { raw(libc::SYS_sched_yield, [0; 6]) }.is_ok()
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
