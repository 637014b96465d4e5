//! Notes that the target has put a seccomp filter on itself: from then on only the calls are made that an allocator needs anyway.
//!
//! A filter may kill for a call that the program itself never makes. So after one was installed the shim makes mmap, munmap and rt_sigprocmask
//! calls alone: tables grow without advice to the kernel, new modules and threads are noted without times and numbers, and a
//! forked child, which would need a memfd, is not traced. Filters that were there before the program
//! (a service manager's, a container runtime's) `start` rehearses under (`sys::rehearsal`).

use crate::passing::look_and_go_on;
use crate::real::Next;
use crate::{label, tracer};
use core::ffi::{c_int, c_long};
use heapshim_ledger::sync::{AtomicU32, Word};

/// prctl(2)'s strict mode, which looks at no further argument.
const STRICT_MODE: c_long = libc::SECCOMP_MODE_STRICT as c_long;
/// seccomp(2)'s operations.
const SET_STRICT: c_long = libc::SECCOMP_SET_MODE_STRICT as c_long;
const SET_FILTER: c_long = libc::SECCOMP_SET_MODE_FILTER as c_long;
/// prctl(2): whoever reads the processor's clock is killed.
const CLOCK_KILLS: c_long = libc::PR_TSC_SIGSEGV as c_long;

static FILTERED: AtomicU32 = AtomicU32::new(0);
/// 1 once reading the processor's clock would kill: PR_SET_TSC, and seccomp's strict mode, which sets it.
static CLOCKLESS: AtomicU32 = AtomicU32::new(0);
static PRCTL: Next = Next::new(c"prctl");
static SYSCALL: Next = Next::new(c"syscall");

/// True once the target has asked for a filter.
#[inline]
pub(crate) fn is_filtered() -> bool {
    FILTERED.peek() != 0
}

/// True once the target may not read the processor's clock.
#[inline]
pub(crate) fn forbids_clock() -> bool {
    CLOCKLESS.peek() != 0
}

/// Looks the two up: at start-up, since a look-up takes the loader's lock.
pub(crate) fn prepare() {
    [&PRCTL, &SYSCALL].into_iter().for_each(Next::prepare);
}

/// A vfork child's filter is not its parent's, though their memory is one: there this process is armed under another's pid.
fn note() {
    if !tracer::armed() || tracer::is_own_process() {
        FILTERED.put(1);
    }
}

/// In one thread forbidden is forbidden: the others then give their events no times, either.
fn note_clock(forbidden: bool) {
    if forbidden {
        CLOCKLESS.put(1);
    }
}

/// Libraries ask what the kernel knows by calls that must fail, with no filter: libseccomp does when it is first used. `man`, which filters its
/// children and not itself, had none of them traced.
extern "C" fn before_prctl(option: c_int, mode: c_long, filter: usize) -> usize {
    match option {
        libc::PR_SET_SECCOMP if mode == STRICT_MODE || filter != 0 => {
            note();
            note_clock(mode == STRICT_MODE);
        }
        libc::PR_SET_TSC => note_clock(mode == CLOCK_KILLS),
        libc::PR_SET_NAME => label::note_own_rename(),
        _ => (),
    }
    PRCTL.get().unwrap_or(0)
}

/// As above; strict mode takes neither flags nor a filter here.
extern "C" fn before_syscall(
    number: c_long,
    operation: c_long,
    flags: usize,
    filter: usize,
) -> usize {
    let installs = match operation {
        SET_STRICT => flags == 0 && filter == 0,
        SET_FILTER => filter != 0,
        _ => false,
    };
    if number == libc::SYS_seccomp && installs {
        note();
        note_clock(operation == SET_STRICT);
    }
    SYSCALL.get().unwrap_or(0)
}

/// prctl(2): noted where it installs a filter or names the thread, and passed on.
#[cfg_attr(not(test), unsafe(no_mangle))]
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn prctl() {
    look_and_go_on!(before_prctl)
}

/// syscall(2): noted where it is seccomp(2), which has no function of its own in libc, and passed on.
#[cfg_attr(not(test), unsafe(no_mangle))]
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn syscall() {
    look_and_go_on!(before_syscall)
}
