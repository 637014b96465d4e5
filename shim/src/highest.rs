//! The copy of the account that is made where less is live again than ever before: `record` says when a thread has enough to pass on, `ledger::peak` decides.
//!
//! It is made in the event with which the heap falls, by its thread, with signals blocked: the account is then as this event finds it. How many copies
//! a program can cause is bounded by how its heap grows, and a copy by the sites and slots there are.

use crate::sys;
use crate::tracer::{self, Tracer};
use heapshim_ledger::layout::{MARK_NAME, Thread};
use heapshim_ledger::marks::MarkInfo;
use heapshim_ledger::peak::Height;

/// What readers call this moment.
const NAME: &[u8] = b"peak";

/// Passes on what a thread has allocated and freed.
#[cold]
#[inline(never)]
pub(crate) fn pass_on(thread: &Thread) {
    if let Some(tracer) = tracer::get()
        && let Some(height) = tracer.writer.peak.pass_on(thread)
    {
        copy(tracer, height);
    }
}

/// Other threads' events that began or ended meanwhile may be seen half.
fn copy(tracer: &Tracer, height: Height) {
    let blocked = sys::block_signals();
    let total = tracer.writer.totals();
    let mut name = [0; MARK_NAME];
    name.iter_mut().zip(NAME).for_each(|(to, from)| *to = *from);
    let info = MarkInfo {
        number: 0,
        sites_len: tracer.writer.sites.len(),
        unix_ns: sys::clock_ns(libc::CLOCK_REALTIME),
        rss_bytes: 0,
        in_flight: tracer.writer.threads.losses().in_hook.saturating_sub(1),
        name,
    };
    tracer.writer.peak.copy(height, &info, total);
    drop(blocked);
}
