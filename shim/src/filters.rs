//! Notes that the target has put a seccomp filter on itself: from then on only the calls are made that an allocator needs anyway.
//!
//! A filter may kill for a call that the program itself never makes. So after one was installed the shim makes mmap, munmap and rt_sigprocmask
//! calls alone: tables grow without advice to the kernel, new modules and threads are noted without times and numbers, and a
//! forked child, which would need a memfd, is not traced. Filters that another process or the container's runtime has installed were
//! there at start-up, where a call that they forbid shows at once (they answer EPERM).

use crate::real::Next;
use crate::{label, tracer};
use core::arch::naked_asm;
use core::ffi::{c_int, c_long};
use heapshim_ledger::sync::{AtomicU32, Word};

static FILTERED: AtomicU32 = AtomicU32::new(0);
static PRCTL: Next = Next::new(c"prctl");
static SYSCALL: Next = Next::new(c"syscall");

/// True once the target has asked for a filter.
#[inline]
pub(crate) fn is_filtered() -> bool {
    FILTERED.peek() != 0
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

extern "C" fn before_prctl(option: c_int) -> usize {
    match option {
        libc::PR_SET_SECCOMP => note(),
        libc::PR_SET_NAME => label::note_own_rename(),
        _ => (),
    }
    PRCTL.get().unwrap_or(0)
}

extern "C" fn before_syscall(number: c_long, operation: c_long) -> usize {
    let sets = [libc::SECCOMP_SET_MODE_STRICT, libc::SECCOMP_SET_MODE_FILTER].map(c_long::from);
    if number == libc::SYS_seccomp && sets.contains(&operation) {
        note();
    }
    SYSCALL.get().unwrap_or(0)
}

/// The body of a function whose arguments we only look at: calls `$look`, which says where to go on, with all arguments kept.
macro_rules! look_and_go_on {
    ($look:path) => {
        naked_asm!(
            ".cfi_startproc",
            "push rdi",
            ".cfi_adjust_cfa_offset 8",
            "push rsi",
            ".cfi_adjust_cfa_offset 8",
            "push rdx",
            ".cfi_adjust_cfa_offset 8",
            "push rcx",
            ".cfi_adjust_cfa_offset 8",
            "push r8",
            ".cfi_adjust_cfa_offset 8",
            "push r9",
            ".cfi_adjust_cfa_offset 8",
            "push rax",
            ".cfi_adjust_cfa_offset 8",
            "call {look}",
            "mov r11, rax",
            "pop rax",
            ".cfi_adjust_cfa_offset -8",
            "pop r9",
            ".cfi_adjust_cfa_offset -8",
            "pop r8",
            ".cfi_adjust_cfa_offset -8",
            "pop rcx",
            ".cfi_adjust_cfa_offset -8",
            "pop rdx",
            ".cfi_adjust_cfa_offset -8",
            "pop rsi",
            ".cfi_adjust_cfa_offset -8",
            "pop rdi",
            ".cfi_adjust_cfa_offset -8",
            "jmp r11",
            ".cfi_endproc",
            look = sym $look,
        )
    };
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
