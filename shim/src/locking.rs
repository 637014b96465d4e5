//! mlockall(2): the target's memory is locked as ever; the shim's tables are neither made resident nor counted against its limit.
//!
//! The kernel locks whole address spaces: it would make 300 MiB of tables resident that a program touches a fiftieth of, and refuse one whose limit
//! they exceed, which without them it does not. So what is mapped now is marked to be locked when it is touched, ours is unlocked, and
//! the rest is locked mapping by mapping, which is what the kernel does. Tables that are mapped later are made before they
//! can be touched (`sys::map_private`). A raw system call is not seen here: then the tables are locked, too.

use crate::real::Next;
use crate::sys::{self, Errno, Span};
use crate::{filters, tracer};
use core::ffi::c_int;
use heapshim_ledger::sync::{AtomicU32, Word};

static MLOCKALL: Next = Next::new(c"mlockall");
/// 1 once the target has asked that what is mapped from now on be locked.
static FUTURE: AtomicU32 = AtomicU32::new(0);

/// Looks it up: at start-up, since a look-up takes the loader's lock.
pub(crate) fn prepare() {
    MLOCKALL.prepare();
}

/// True where the kernel locks what is mapped.
#[inline]
pub(crate) fn is_future_locked() -> bool {
    FUTURE.peek() != 0
}

/// In a forked child: locks are not inherited.
pub(crate) fn after_fork() {
    FUTURE.put(0);
}

/// mlockall(2).
#[cfg_attr(not(test), unsafe(no_mangle))]
pub(crate) extern "C" fn mlockall(flags: c_int) -> c_int {
    let known = libc::MCL_CURRENT | libc::MCL_FUTURE | libc::MCL_ONFAULT;
    if tracer::armed() && tracer::is_own_process() && !filters::is_filtered() && flags & !known == 0
    {
        return match lock_all(flags) {
            Ok(()) => 0,
            Err(Errno(error)) => {
                sys::set_errno(error);
                -1
            }
        };
    }
    let Some(address) = MLOCKALL.get() else {
        sys::set_errno(libc::ENOSYS);
        return -1;
    };
    // SAFETY: libc's mlockall has this type.
    let next: extern "C" fn(c_int) -> c_int = unsafe { core::mem::transmute(address) };
    next(flags)
}

fn lock_all(flags: c_int) -> Result<(), Errno> {
    if flags & libc::MCL_FUTURE != 0 {
        FUTURE.put(1);
    }
    if flags & libc::MCL_CURRENT == 0 {
        return sys::lock_all(flags);
    }
    let future = flags & !libc::MCL_CURRENT;
    match sys::lock_all(flags | libc::MCL_ONFAULT) {
        Ok(()) => sys::own_mappings().for_each(sys::unlock),
        Err(Errno(libc::ENOMEM)) if fits_without_ours() => (),
        Err(Errno(libc::EINVAL)) => return sys::lock_all(flags), // Linux before 4.4 knows no MCL_ONFAULT
        refused => return refused,
    }
    if flags & libc::MCL_FUTURE != 0 {
        sys::lock_all(future)?;
    }
    // As the kernel does it: what cannot be locked, or not be there, is passed over.
    let on_fault = flags & libc::MCL_ONFAULT != 0;
    if sys::each_other_mapping(|span| sys::lock(span, on_fault)) {
        Ok(())
    } else {
        sys::lock_all(flags) // no /proc: all or nothing
    }
}

/// True where the kernel would not refuse the process if the shim were not there: mlock(2), "Limits and permissions".
fn fits_without_ours() -> bool {
    let mut bytes = 0u64;
    sys::each_other_mapping(|Span { start, end }| bytes += (end - start) as u64)
        && bytes <= sys::limit(libc::RLIMIT_MEMLOCK)
}
