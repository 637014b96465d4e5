//! longjmp(3) and its kin, looked at: a signal handler that jumps out of a hook ends the hook's guard there and then.
//!
//! The guard is the stack pointer of the hook that holds it. Without this, a hook that was left is noticed only when something has overwritten its
//! place on the stack (`record`), and until then every event of the thread counts as nested. Where the jump leads to is in its buffer, mangled as
//! glibc does it (sysdeps/unix/sysv/linux/x86_64/pointer_guard.h). What the hook had not done yet stays undone: a block that it was just
//! giving back is off the account.
//!
//! Not here: jumps to another stack, exceptions, and code that sets the stack pointer itself: those are found as before.

use crate::passing::look_and_go_on;
use crate::real::Next;
use crate::{record, thread};
use core::arch::asm;
use core::ffi::c_void;

static LONGJMP: Next = Next::new(c"longjmp");
static UNDERSCORE: Next = Next::new(c"_longjmp");
static SIGLONGJMP: Next = Next::new(c"siglongjmp");
/// What the three are with _FORTIFY_SOURCE.
static CHECKED: Next = Next::new(c"__longjmp_chk");

/// The word of a jmp_buf that holds the stack pointer (setjmp/jmpbuf-offsets.h, JB_RSP).
const STACK_POINTER: usize = 6;
/// Its word whose lower half says whether signals were saved in it, behind the eight registers.
const SIGNALS_SAVED: usize = 8;
/// How far a mangled pointer is rotated: 2 × 8 + 1.
const ROTATED: u32 = 17;

/// Looks them up: at start-up, since a look-up takes the loader's lock.
pub(crate) fn prepare() {
    [&LONGJMP, &UNDERSCORE, &SIGLONGJMP, &CHECKED]
        .into_iter()
        .for_each(Next::prepare);
}

/// Ends the guard of a hook that a jump to this buffer leaves.
fn look(buffer: *const c_void) {
    if buffer.is_null() {
        return;
    }
    match thread::leased() {
        Some(state) if state.guard() != 0 => record::leave_below(state, stack_pointer(buffer)),
        Some(_) => (),
        None => thread::leave_attaching(stack_pointer(buffer), saves_signals(buffer)),
    }
}

/// Where the stack pointer will be.
fn stack_pointer(buffer: *const c_void) -> u64 {
    let place = buffer.cast::<u64>().wrapping_add(STACK_POINTER);
    // SAFETY: the target gives libc a jmp_buf, which has eight words.
    unsafe { place.read() }.rotate_right(ROTATED) ^ pointer_guard()
}

/// Whether the jump restores which signals are blocked.
fn saves_signals(buffer: *const c_void) -> bool {
    let place = buffer.cast::<u64>().wrapping_add(SIGNALS_SAVED);
    // SAFETY: the target gives libc a jmp_buf, in which an int is behind the registers.
    unsafe { place.cast::<i32>().read() != 0 }
}

/// What glibc mangles with: the word at fs:0x30.
fn pointer_guard() -> u64 {
    let value: u64;
    // SAFETY: the thread control block of glibc on x86-64 (tcbhead_t, pointer_guard).
    unsafe {
        asm!("mov {value}, qword ptr fs:[0x30]", value = out(reg) value, options(nostack, readonly, preserves_flags));
    }
    value
}

extern "C" fn before_longjmp(buffer: *const c_void) -> usize {
    look(buffer);
    LONGJMP.get().unwrap_or(0)
}

extern "C" fn before_underscore(buffer: *const c_void) -> usize {
    look(buffer);
    UNDERSCORE.get().unwrap_or(0)
}

extern "C" fn before_siglongjmp(buffer: *const c_void) -> usize {
    look(buffer);
    SIGLONGJMP.get().unwrap_or(0)
}

extern "C" fn before_checked(buffer: *const c_void) -> usize {
    look(buffer);
    CHECKED.get().unwrap_or(0)
}

/// longjmp(3).
#[cfg_attr(not(test), unsafe(no_mangle))]
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn longjmp() {
    look_and_go_on!(before_longjmp)
}

/// _longjmp(3).
#[cfg_attr(not(test), unsafe(no_mangle))]
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn _longjmp() {
    look_and_go_on!(before_underscore)
}

/// siglongjmp(3).
#[cfg_attr(not(test), unsafe(no_mangle))]
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn siglongjmp() {
    look_and_go_on!(before_siglongjmp)
}

/// The checked form of all three.
#[cfg_attr(not(test), unsafe(no_mangle))]
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn __longjmp_chk() {
    look_and_go_on!(before_checked)
}
