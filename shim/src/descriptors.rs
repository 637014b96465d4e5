//! The close family, so that a target that closes all descriptors does not lose its account.
//!
//! Daemons close every number from 3 up; a ledger closed so could only be found by root. A call that names our number behaves as if it
//! were not open; one that wants to put something else there gets the number, and we move. Everything else goes to libc.

use crate::ledger_file::{is_ours, move_away, numbers};
use crate::real::Next;
use crate::sys::{self, Errno};
use crate::tracer;
use core::ffi::{c_int, c_uint};

static CLOSE: Next = Next::new(c"close");
static DUP2: Next = Next::new(c"dup2");
static DUP3: Next = Next::new(c"dup3");

/// Looks the three up: at start-up, since a look-up takes the loader's lock.
pub(crate) fn prepare() {
    [&CLOSE, &DUP2, &DUP3].into_iter().for_each(Next::prepare);
}

fn fail(error: c_int) -> c_int {
    sys::set_errno(error);
    -1
}

/// close(2): EBADF for a descriptor of ours.
#[cfg_attr(not(test), unsafe(no_mangle))]
pub(crate) extern "C" fn close(number: c_int) -> c_int {
    if is_ours(number) {
        return fail(libc::EBADF);
    }
    let Some(address) = CLOSE.get() else {
        return fail(libc::ENOSYS);
    };
    // SAFETY: libc's close has this type.
    let next: extern "C" fn(c_int) -> c_int = unsafe { core::mem::transmute(address) };
    next(number)
}

/// dup2(2): ours moves away if the target wants its number.
#[cfg_attr(not(test), unsafe(no_mangle))]
pub(crate) extern "C" fn dup2(from: c_int, to: c_int) -> c_int {
    if let Err(error) = make_way(from, to) {
        return fail(error.0);
    }
    let Some(address) = DUP2.get() else {
        return fail(libc::ENOSYS);
    };
    // SAFETY: libc's dup2 has this type.
    let next: extern "C" fn(c_int, c_int) -> c_int = unsafe { core::mem::transmute(address) };
    next(from, to)
}

/// dup3(2): as dup2.
#[cfg_attr(not(test), unsafe(no_mangle))]
pub(crate) extern "C" fn dup3(from: c_int, to: c_int, flags: c_int) -> c_int {
    if let Err(error) = make_way(from, to) {
        return fail(error.0);
    }
    let Some(address) = DUP3.get() else {
        return fail(libc::ENOSYS);
    };
    // SAFETY: libc's dup3 has this type.
    let next: extern "C" fn(c_int, c_int, c_int) -> c_int =
        unsafe { core::mem::transmute(address) };
    next(from, to, flags)
}

fn make_way(from: c_int, to: c_int) -> Result<(), Errno> {
    if is_ours(from) {
        return Err(Errno(libc::EBADF));
    }
    // A vfork child has descriptors of its own, but its parent's memory: what it loses by exec anyway is not worth moving.
    if is_ours(to) && tracer::is_own_process() {
        move_away(to);
    }
    Ok(())
}

/// close_range(2): leaves ours out.
#[cfg_attr(not(test), unsafe(no_mangle))]
pub(crate) extern "C" fn close_range(first: c_uint, last: c_uint, flags: c_int) -> c_int {
    match close_around(first, last, flags) {
        Ok(()) => 0,
        Err(Errno(error)) => fail(error),
    }
}

fn close_around(first: u32, last: u32, flags: c_int) -> Result<(), Errno> {
    let mut from = first;
    for ours in numbers().filter(|ours| (first..=last).contains(ours)) {
        if from < ours {
            sys::close_range(from, ours - 1, flags)?;
        }
        from = ours + 1;
    }
    // An empty rest is an error of ours, not of the target's; its own empty range is still passed on.
    if from <= last || from == first {
        sys::close_range(from, last, flags)
    } else {
        Ok(())
    }
}

/// closefrom(3): leaves ours out.
#[cfg_attr(not(test), unsafe(no_mangle))]
pub(crate) extern "C" fn closefrom(first: c_int) {
    let first = u32::try_from(first).unwrap_or(0);
    if close_around(first, u32::MAX, 0).is_err() {
        let limit = sys::limit(libc::RLIMIT_NOFILE).min(1 << 20);
        (first..u32::try_from(limit).unwrap_or(1 << 20)).for_each(|number| {
            close(number.cast_signed());
        });
    }
}
