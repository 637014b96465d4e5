//! The usual event: this process is traced, the thread has a state, and is in no hook. What `record` does for every event, in few instructions.
//!
//! `hooks` asks [`enter`] first, and `record` where it gives nothing. Nothing is decided here: the guard, the order of the steps, and what is counted are
//! `record`'s, and one who changes one changes both. Only what most events need is here; the loader's events, nested ones, and those of
//! threads that share a slot of events go through `record`.

use crate::entry::Entry;
use crate::real::Block;
use crate::record::WITNESS;
use crate::shadow::{self, Live, Put};
use crate::stack::Captured;
use crate::thread::{self, State};
use crate::tracer::{self, Tracer};
use crate::{loader, python, start};
use heapshim_ledger::layout::OVERFLOW_SITE;
use heapshim_ledger::sites::SiteId;
use heapshim_ledger::sync::{Word, add_owned};

/// The guard of one event.
#[derive(Debug)]
pub(crate) struct OwnHook<'e> {
    state: &'static State,
    entry: &'e Entry,
}

/// Begins an event, if it is a usual one.
#[inline(always)]
pub(crate) fn enter(entry: &Entry) -> Option<OwnHook<'_>> {
    if !tracer::armed() || loader::is_loader(entry.return_address) {
        return None;
    }
    let state = thread::leased()?;
    if state.guard() != 0 {
        return None;
    }
    entry.witness.put(WITNESS ^ entry.caller_sp());
    state.set_guard(entry.caller_sp(), true);
    Some(OwnHook { state, entry })
}

impl OwnHook<'_> {
    /// Charges a block that the allocator has just given to the stack that asked for it.
    #[inline(always)]
    pub(crate) fn allocated(&self, block: Block, size: usize) {
        if let (false, Some(tracer)) = (block.is_null(), tracer::get()) {
            note(self.state, tracer, self.entry, block.addr(), size as u64);
        }
    }

    /// Takes a block off its site's account, before the allocator has it back.
    #[inline(always)]
    pub(crate) fn freed(&self, block: Block) {
        let taken = shadow::take(block.addr());
        if !start::is_armed() {
            return;
        }
        match taken {
            Some(live) => self.state.slot().freed(live.site, live.size),
            None if block.is_null() => (),
            None => add_owned(&self.state.entry().foreign_frees, 1),
        }
    }
}

impl Drop for OwnHook<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        let armed = start::is_armed();
        self.state.set_guard(0, armed);
        if armed && self.state.shares_slot() {
            promote(self.state);
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

#[inline(never)]
fn note(state: &'static State, tracer: &Tracer, entry: &Entry, address: usize, size: u64) {
    python::allocators::check(entry.return_address);
    // SAFETY: the state is leased by this thread, and the guard keeps nested events away from the scratch.
    let scratch = unsafe { &mut *state.scratch.get() };
    let captured = scratch.capture(tracer, entry);
    if start::is_armed() {
        count_walk(state, &captured);
    }
    let site = captured.site;
    let put = shadow::put(address, Live { site, size });
    if !start::is_armed() {
        return;
    }
    match put {
        Put::New => (),
        Put::Replaced(before) => state.slot().freed(before.site, before.size),
        Put::NoRoom => return add_owned(&state.entry().untracked, 1),
    }
    state.slot().allocated(site, size);
    if site == SiteId(OVERFLOW_SITE) {
        add_owned(&state.entry().overflow, 1);
    }
}

#[inline(always)]
fn count_walk(state: &State, captured: &Captured) {
    let entry = state.entry();
    add_owned(&entry.walks, 1);
    if captured.remembered {
        add_owned(&entry.memo_hits, 1);
    } else {
        add_owned(&entry.memo_misses, 1);
    }
    if captured.truncated {
        add_owned(&entry.truncated, 1);
    }
}
