//! fork(2), looked at: a child that a signal handler makes inside a hook gets its own account before the handler goes on.
//!
//! A hook asks `is_armed` before each write, which tells it that it has become a child. Between that question and the write lie two
//! instructions; a handler that forks just there makes the child write where its parent counts (2 to 4 of 1,500 such forks did). So where
//! a hook was interrupted the child's ledger is put in its place here, at the same address. Any other child is left alone: most
//! execute another program and never need an account. A child that is made by a raw system call is not seen here.

use crate::real::Next;
use crate::{start, sys, thread};
use core::ffi::c_int;
use heapshim_ledger::sync::{AtomicU64, Word};

static FORK: Next = Next::new(c"fork");
/// As fork, without the handlers of pthread_atfork (glibc 2.34).
static BARE_FORK: Next = Next::new(c"_Fork");

/// Children that were asked for, by these two.
static ASKED: AtomicU64 = AtomicU64::new(0);

/// How many children there were up to this one, in a child.
pub(crate) fn before() -> u64 {
    ASKED.peek()
}

/// Looks both up: at start-up, since a look-up takes the loader's lock.
pub(crate) fn prepare() {
    [&FORK, &BARE_FORK].into_iter().for_each(Next::prepare);
}

/// fork(2).
#[cfg_attr(not(test), unsafe(no_mangle))]
pub(crate) extern "C" fn fork() -> c_int {
    fork_by(&FORK)
}

/// _Fork(3).
#[cfg_attr(not(test), unsafe(no_mangle))]
#[allow(non_snake_case, reason = "glibc named it so")]
pub(crate) extern "C" fn _Fork() -> c_int {
    fork_by(&BARE_FORK)
}

fn fork_by(next: &Next) -> c_int {
    let Some(address) = next.get() else {
        sys::set_errno(libc::ENOSYS);
        return -1;
    };
    // SAFETY: libc's fork and _Fork have this type.
    let next: extern "C" fn() -> c_int = unsafe { core::mem::transmute(address) };
    ASKED.add_shared(1);
    let pid = next();
    if pid == 0 && thread::leased().is_some_and(|state| state.guard() != 0) {
        let _begun = start::is_armed();
    }
    pid
}
