//! The guard of the usual event: each event of this process is recorded, the thread has a state, and is in no hook. Few instructions begin and end it.
//!
//! `hooks` asks [`enter`] first, and `record` where it gives nothing; what the event then does is `record`'s. The loader's events, nested ones, and
//! those of threads without a state go through `record` from the beginning.

use crate::entry::Entry;
use crate::python::shadow as objects;
use crate::real::Block;
use crate::record::{self, Event, Guard, Walks};
use crate::sampling::Pick;
use crate::shadow::{self, Live};
use crate::temporaries::{self, Key};
use crate::thread::{self, State};
use crate::tracer;
use crate::{cohorts, highest, loader, rings, sampling, start};
use heapshim_ledger::counters::Slot;
use heapshim_ledger::layout::Thread;
use heapshim_ledger::rings::Operation;
use heapshim_ledger::sites::SiteId;
use heapshim_ledger::sync::{AtomicU64, add_owned, add_owned_reaches};

/// The calling thread's state.
#[derive(Debug)]
pub(crate) struct Usual(&'static State);

impl Usual {
    /// The guard is held already.
    pub(crate) fn of(state: &'static State) -> Usual {
        Usual(state)
    }
}

/// Begins an event, if it is a usual one.
#[inline(always)]
pub(crate) fn enter(entry: &Entry) -> Option<Event<'_, Usual>> {
    match is_exact() {
        true => enter_exact(entry),
        false => None,
    }
}

/// As `enter`, for a caller that knows that each event is recorded.
#[inline(always)]
pub(crate) fn enter_exact(entry: &Entry) -> Option<Event<'_, Usual>> {
    let state = idle(entry)?;
    record::hold(state, entry);
    Some(Event::new(Usual(state), entry))
}

/// True where each event of this process is recorded.
#[inline(always)]
pub(crate) fn is_exact() -> bool {
    tracer::word() == sampling::EXACT
}

/// The calling thread's state, where it is in no hook. None for the loader's events.
#[inline(always)]
fn idle(entry: &Entry) -> Option<&'static State> {
    if loader::is_loader(entry.return_address) {
        return None;
    }
    thread::leased().filter(|state| state.guard() == 0)
}

/// As `enter`, in a hook that is not the loader's, where the thread has walked no stack since the hook began.
#[inline(always)]
pub(crate) fn enter_again(entry: &Entry, before: Walks) -> Option<Event<'_, Usual>> {
    let state = before.are_all().filter(|_| is_exact())?;
    record::hold(state, entry);
    Some(Event::new(Usual(state), entry))
}

/// Where each event is recorded, all that free does before the block is given back, if that is a usual event, of a block that the shadow has in one entry, as it is (no sample), and that nobody
/// watches: then `next`. Else nothing has happened, and 0. What is not usual in between is a call at its very end that gives `next` back itself, so that no register
/// is kept for it: those that would be, were an eighth of all instructions here.
#[inline(always)]
pub(crate) fn release(entry: &Entry, block: Block, next: usize) -> usize {
    let Some(state) = idle(entry) else {
        return 0;
    };
    if block.is_null() {
        return next; // nobody's
    }
    let Some(small) = shadow::Small::at(block.addr()) else {
        return 0;
    };
    record::hold(state, entry);
    let live = small.take();
    if !tracer::armed() || rings::are_asked() {
        return charge_otherwise(state, entry, block, live, next);
    }
    charge_and_leave(state, Key::of(Operation::Freed, block), live, next)
}

/// The same for an object of Python's. One that their shadow does not know is nobody's, or malloc's.
#[inline(always)]
pub(crate) fn release_object(entry: &Entry, object: Block, next: usize) -> usize {
    let Some(state) = idle(entry) else {
        return 0;
    };
    let small = match objects::Small::at(object.addr()) {
        Ok(small) => small,
        Err(true) => return 0,
        Err(false) => return next,
    };
    record::hold(state, entry);
    let live = small.take();
    if !tracer::armed() || rings::are_asked() {
        return charge_object_otherwise(state, entry, object, live, next);
    }
    charge_and_leave(state, Key::of(Operation::ObjectFreed, object), live, next)
}

#[inline(always)]
fn charge_and_leave(state: &State, key: Key, live: Live, next: usize) -> usize {
    if add_owned_reaches(&state.entry().fallen, live.size) {
        return charge_passed_on(state, key, live, next);
    }
    if !state.slot().freed(live.site, live.size) {
        return charge_young(state, key, live, next);
    }
    temporaries::gone(state, key, live);
    state.set_guard(0, true);
    next
}

/// It was born in a cohort.
#[cold]
#[inline(never)]
fn charge_young(state: &State, key: Key, live: Live, next: usize) -> usize {
    let live = cohorts::gone(state.slot(), live);
    temporaries::gone(state, key, live);
    state.set_guard(0, start::is_armed());
    next
}

/// The account may be copied first, as it is while the block is still there.
#[cold]
#[inline(never)]
fn charge_passed_on(state: &State, key: Key, live: Live, next: usize) -> usize {
    highest::pass_on(state.entry());
    if !state.slot().freed(live.site, live.size) {
        return charge_young(state, key, live, next);
    }
    temporaries::gone(state, key, live);
    state.set_guard(0, start::is_armed());
    next
}

/// A reader wants the event, or somebody another mode, or a signal handler has forked since the block was taken out, and this is the child.
#[cold]
#[inline(never)]
fn charge_otherwise(
    state: &'static State,
    entry: &Entry,
    block: Block,
    live: Live,
    next: usize,
) -> usize {
    Event::new(Usual(state), entry).charge_freed(block, Some(live));
    next
}

/// The same for an object of Python's.
#[cold]
#[inline(never)]
fn charge_object_otherwise(
    state: &'static State,
    entry: &Entry,
    object: Block,
    live: Live,
    next: usize,
) -> usize {
    Event::new(Usual(state), entry).charge_object(object, Some(live));
    next
}

impl Guard for Usual {
    #[inline(always)]
    fn thread(&self) -> &'static Thread {
        self.0.entry()
    }

    #[inline(always)]
    fn slot(&self) -> &Slot<'static> {
        self.0.slot()
    }

    #[inline(always)]
    fn state(&self) -> Option<&'static State> {
        Some(self.0)
    }

    #[inline(always)]
    fn held(&self) -> Option<&'static State> {
        Some(self.0)
    }

    #[inline(always)]
    fn index(&self) -> u32 {
        self.0.index()
    }

    #[inline(always)]
    fn pick(&self, _: usize) -> Pick {
        Pick::All
    }

    #[inline(always)]
    fn count(&self, word: &AtomicU64) {
        add_owned(word, 1);
    }

    #[inline(always)]
    fn reaches(&self, word: &AtomicU64, value: u64) -> bool {
        add_owned_reaches(word, value)
    }

    #[inline(always)]
    fn site(&self, entry: &Entry) -> Option<SiteId> {
        Some(record::walk(self.0, tracer::get()?, entry))
    }

    #[inline(always)]
    fn leave(&self) {
        let armed = start::is_armed();
        self.0.set_guard(0, armed);
        if armed && self.0.shares_slot() {
            promote(self.0);
        }
    }
}

#[cold]
#[inline(never)]
fn promote(state: &'static State) {
    if let Some(tracer) = tracer::get() {
        thread::promote_sometimes(tracer, state);
    }
}
