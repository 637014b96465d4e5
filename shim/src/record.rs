//! One event: guard, site, shadow, counters. The path of every malloc and free that is not a usual one (`own`).
//!
//! [`enter`] gives a [`Hook`] while this process is traced; dropping it ends the guard. An event inside another's hook (a signal handler,
//! an allocator that calls itself) is *nested*: its shadow entry and counters are right, its stack is its innermost frame, and
//! it is counted. The guard is the stack pointer of the hook that holds it, so that a hook which a longjmp has left is noticed.

use crate::entry::Entry;
use crate::real::{self, Block};
use crate::shadow::{self, Live, Put};
use crate::stack::{self, Captured};
use crate::thread::{self, Attached, State};
use crate::tracer::{self, Tracer};
use crate::{loader, python, start};
use heapshim_ledger::layout::OVERFLOW_SITE;
use heapshim_ledger::sites::SiteId;
use heapshim_ledger::sync::Word;

/// The guard of one event.
#[derive(Debug)]
pub(crate) struct Hook<'e> {
    tracer: &'static Tracer,
    thread: Attached,
    entry: &'e Entry,
    nested: bool,
}

/// Begins an event. None where this process is not traced (yet, or at all).
#[inline(always)]
pub(crate) fn enter(entry: &Entry) -> Option<Hook<'_>> {
    if !start::is_armed() {
        return None;
    }
    loader::note_caller(entry.return_address);
    let tracer = tracer::get()?;
    let thread = thread::current(tracer)?;
    let nested = thread
        .state
        .is_none_or(|state| state.guard() != 0 && !was_left(state, entry));
    if nested {
        if real::is_inside(entry.return_address) {
            return None;
        }
        thread.count(&thread.entry.nested);
        thread.enter_shared();
    } else if let Some(state) = thread.state {
        entry.witness.put(WITNESS ^ entry.caller_sp());
        state.set_guard(entry.caller_sp(), true);
    }
    Some(Hook {
        tracer,
        thread,
        entry,
        nested,
    })
}

/// How many stacks this thread has walked, and in which state: every block that malloc notes adds one, unless it is a nested event's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Walks {
    state: *const State,
    walks: u64,
}

/// The calling thread's. None where nothing tells whether malloc has noted a block.
#[inline(always)]
pub(crate) fn walks() -> Option<Walks> {
    let state = thread::leased().filter(|state| state.guard() == 0)?;
    Some(Walks {
        state,
        walks: state.walks(),
    })
}

/// What a hook leaves in its entry, mixed with its stack pointer.
pub(crate) const WITNESS: u64 = 0x5bd1_e995_9e37_79b9;

/// True where the hook that holds the guard is no longer on the stack: a signal handler has left it by longjmp. Then its witness is
/// overwritten sooner or later, or a caller's stack ends where its entry lay. (That this event is further out does not tell: a handler's
/// stack may be an array in a caller's frame.)
#[cold]
#[inline(never)]
fn was_left(state: &State, entry: &Entry) -> bool {
    let guard = state.guard();
    let in_its_place = guard.wrapping_sub(entry.caller_sp()) < size_of::<Entry>() as u64;
    let scratch = state.scratch.get();
    // SAFETY: this thread's own; bounds are plain numbers, and a hook that this event interrupted in changing them is still there.
    let bounds = unsafe { &*scratch }.bounds();
    let left = bounds.holds(guard) && (in_its_place || witness_below(guard) != WITNESS ^ guard);
    if left {
        // SAFETY: this thread's own, and the hook that used it is gone.
        unsafe { &mut *scratch }.abandon();
    }
    left
}

fn witness_below(guard: u64) -> u64 {
    let address = usize::try_from(guard)
        .unwrap_or(0)
        .wrapping_sub(size_of::<Entry>());
    // SAFETY: a hook of this thread has stored the word there, on the thread's own stack, whose pages stay mapped while it lives.
    unsafe { core::ptr::with_exposed_provenance::<u64>(address).read_volatile() }
}

impl Hook<'_> {
    /// Charges a block that the allocator has just given to the stack that asked for it.
    #[inline]
    pub(crate) fn allocated(&self, block: Block, size: usize) {
        if !block.is_null() {
            python::allocators::check(self.entry.return_address);
            self.note(block, size, shadow::put);
        }
    }

    /// The same for an object that Python's allocator has given.
    #[inline]
    pub(crate) fn object_allocated(&self, object: Block, size: usize) {
        self.note(object, size, python::shadow::put);
    }

    #[inline(always)]
    fn note(&self, block: Block, size: usize, put: impl FnOnce(usize, Live) -> Put) {
        let site = self.site();
        let live = Live {
            site,
            size: size as u64,
        };
        let put = put(block.addr(), live);
        if !start::is_armed() {
            return;
        }
        match put {
            Put::New => (),
            Put::Replaced(before) => self.thread.slot.freed(before.site, before.size),
            Put::NoRoom => return self.thread.count(&self.thread.entry.untracked),
        }
        self.thread.slot.allocated(site, live.size);
        if site == SiteId(OVERFLOW_SITE) {
            self.thread.count(&self.thread.entry.overflow);
        }
    }

    /// Takes a block off its site's account, before the allocator has it back.
    #[inline]
    pub(crate) fn freed(&self, block: Block) {
        self.charge_freed(block, self.take(block));
    }

    /// Takes a block's entry out of the shadow without charging anybody yet.
    #[inline]
    pub(crate) fn take(&self, block: Block) -> Option<Live> {
        shadow::take(block.addr())
    }

    /// Puts back what `take` took: the block is still what it was.
    pub(crate) fn put_back(&self, block: Block, taken: Option<Live>) {
        if let Some(live) = taken {
            shadow::put(block.addr(), live);
        }
    }

    /// Charges a free to the site that the block came from.
    #[inline]
    pub(crate) fn charge_freed(&self, block: Block, taken: Option<Live>) {
        if !start::is_armed() {
            return;
        }
        match taken {
            Some(live) => self.thread.slot.freed(live.site, live.size),
            None if block.is_null() => (),
            None => self.thread.count(&self.thread.entry.foreign_frees),
        }
    }

    /// As `take`, for an object of Python's.
    #[inline]
    pub(crate) fn take_object(&self, object: Block) -> Option<Live> {
        python::shadow::take(object.addr())
    }

    /// As `put_back`, for an object of Python's.
    pub(crate) fn put_back_object(&self, object: Block, live: Live) {
        python::shadow::put(object.addr(), live);
    }

    /// Charges the end of an object to the site that it came from. One that is not known was made before tracing began, or is malloc's.
    #[inline]
    pub(crate) fn charge_object(&self, taken: Option<Live>) {
        if let Some(live) = taken.filter(|_| start::is_armed()) {
            self.thread.slot.freed(live.site, live.size);
        }
    }

    #[inline(always)]
    fn site(&self) -> SiteId {
        let Some(state) = self.thread.state.filter(|_| !self.nested) else {
            return stack::innermost(self.tracer, self.entry);
        };
        // SAFETY: the state is leased by this thread, and the guard keeps nested events away from the scratch.
        let scratch = unsafe { &mut *state.scratch.get() };
        let captured = scratch.capture(self.tracer, self.entry);
        if start::is_armed() {
            self.count_walk(&captured);
        }
        captured.site
    }

    #[inline(always)]
    fn count_walk(&self, captured: &Captured) {
        let entry = self.thread.entry;
        self.thread.count(&entry.walks);
        self.thread.count(if captured.remembered {
            &entry.memo_hits
        } else {
            &entry.memo_misses
        });
        if captured.truncated {
            self.thread.count(&entry.truncated);
        }
    }
}

impl Drop for Hook<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        let armed = start::is_armed();
        match self.thread.state.filter(|_| !self.nested) {
            Some(state) => state.set_guard(0, armed),
            None if armed => self.thread.leave_shared(),
            None => (),
        }
        if let Some(state) = self.thread.state.filter(|_| armed && !self.nested) {
            thread::promote_sometimes(self.tracer, state);
        }
    }
}
