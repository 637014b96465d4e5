//! The C interface (heapshim.h): marks that the target takes of itself.

use crate::sys;
use crate::{start, tracer};
use core::ffi::{CStr, c_char, c_int};
use heapshim_ledger::layout::MARK_NAME;
use heapshim_ledger::marks::MarkInfo;

/// Takes a mark with this name, at most 63 bytes of it. 0 = taken; -1 = this process is not traced, or nine threads mark at once.
///
/// # Safety
/// The caller promises that `name` is a C string.
#[cfg_attr(not(test), unsafe(no_mangle))]
pub(crate) unsafe extern "C" fn heapshim_mark(name: *const c_char) -> c_int {
    if name.is_null() {
        return -1;
    }
    // SAFETY: the caller's promise.
    let name = unsafe { CStr::from_ptr(name) };
    if take(name.to_bytes()) { 0 } else { -1 }
}

/// 1 where this process is traced, else 0.
#[cfg_attr(not(test), unsafe(no_mangle))]
pub(crate) extern "C" fn heapshim_active() -> c_int {
    c_int::from(start::is_armed())
}

fn take(name: &[u8]) -> bool {
    let Some(tracer) = tracer::get().filter(|_| start::is_armed()) else {
        return false;
    };
    let mut padded = [0u8; MARK_NAME];
    padded
        .iter_mut()
        .zip(name.iter().take(MARK_NAME - 1))
        .for_each(|(to, from)| *to = *from);
    let info = MarkInfo {
        number: 0,
        sites_len: tracer.writer.sites.len(),
        unix_ns: sys::clock_ns(libc::CLOCK_REALTIME),
        rss_bytes: start::resident_bytes(),
        in_flight: 0,
        name: padded,
    };
    let total = tracer.writer.totals();
    tracer.writer.marks.write(&info, total)
}
