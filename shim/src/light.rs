//! Events in a mode that is not exact: nearly all of them record nothing, and cost few instructions.
//!
//! Five ways, the first that can. A process that never recorded anything has nothing to look for: trampolines jump to the allocator behind us (`entry`). Where that
//! calls nobody and there were samples only, they do so after they have counted a block down to the next sample, or found that its page has none. Where every block was recorded once, one that is to be
//! passed over still needs no guard, and no registers of its caller: [`allocate`], [`reallocate`] and [`free`] only look whether the shadow
//! knows something of its address, and count it down (`sampling`). Other allocators may call themselves through our hooks, so that what they call must find the guard: [`Light`]. What is to be recorded, what is unusual, and
//! what the loader does is `record`'s, from the beginning: nothing has happened then.

use crate::entry::Entry;
use crate::real::{self, Block};
use crate::record::{self, Event};
use crate::thread::{self, State};
use crate::{loader, own, python, rings, sampling, shadow, start, tracer};

/// Stands for a block where nothing has happened yet: none lies at this address.
pub(crate) const NOT_YET: usize = 1;

/// Allocates, where nothing is to be recorded of it; else `NOT_YET`.
#[inline(always)]
pub(crate) fn allocate(entry: &Entry, size: usize, real: impl FnOnce() -> Block) -> Block {
    if !passes(entry, size) {
        return core::ptr::without_provenance_mut(NOT_YET);
    }
    let block = real();
    look_at(entry, block);
    block
}

/// The same for a block that gets another size, if it was not recorded either.
#[inline(always)]
pub(crate) fn reallocate(
    entry: &Entry,
    block: Block,
    size: usize,
    real: impl FnOnce() -> Block,
) -> Option<Block> {
    if is_to_follow(entry) {
        sampling::follow();
        return None;
    }
    if holds(block) || !passes(entry, size) {
        return None;
    }
    let moved = real();
    look_at(entry, moved);
    Some(moved)
}

/// The next free, where nothing is to be recorded of a block's end and it calls nobody; else 0.
#[inline(always)]
pub(crate) fn free(return_address: u64, block: Block) -> usize {
    match is_nothing(return_address, || holds(block)) {
        true => real::leaf_free(),
        false => 0,
    }
}

/// Whether an allocation of so many bytes is passed over, in few instructions; then it is counted down. A handler that interrupts an event which is recorded is none of these.
#[inline(always)]
fn passes(entry: &Entry, size: usize) -> bool {
    let word = tracer::word();
    let is_usual = word > sampling::EXACT
        && !loader::is_loader(entry.return_address)
        && real::is_leaf()
        && !rings::is_mode_asked();
    is_usual && (sampling::is_off(word) || is_counted_down(word, size))
}

#[inline(always)]
fn is_counted_down(word: u64, size: usize) -> bool {
    let state = thread::leased().filter(|state| state.guard() == 0);
    state.is_some_and(|state| state.countdown.passes(word, size))
}

/// A block was passed over: what the shadow has at its address was not seen to go, and Python may want to know of it.
#[inline(always)]
fn look_at(entry: &Entry, block: Block) {
    if python::allocators::are_there() || holds(block) {
        look_closely(entry, block);
    }
}

#[cold]
#[inline(never)]
fn look_closely(entry: &Entry, block: Block) {
    python::allocators::check(entry.return_address);
    sampling::note_last(block);
    if holds(block)
        && let Some(hook) = record::enter(entry)
    {
        hook.passed(block);
    }
}

/// True where the shadow knows of a block at this address.
#[inline(always)]
pub(crate) fn holds(block: Block) -> bool {
    match sampling::knows_pages(tracer::word()) {
        true => shadow::holds_sample(block.addr()),
        false => shadow::holds(block.addr()),
    }
}

/// True in a mode that is not exact, while another is asked for. Not of the loader's events.
#[inline(always)]
fn is_to_follow(entry: &Entry) -> bool {
    tracer::word() > sampling::EXACT
        && rings::is_mode_asked()
        && !loader::is_loader(entry.return_address)
}

/// An event in a mode that is not exact, which is otherwise a usual one.
#[derive(Debug)]
pub(crate) struct Light<'e> {
    state: &'static State,
    word: u64,
    entry: &'e Entry,
}

/// Begins such an event: the thread is in a hook, of which nobody outside is told yet.
#[inline(always)]
pub(crate) fn enter(entry: &Entry) -> Option<Light<'_>> {
    let word = tracer::word();
    if word <= sampling::EXACT || loader::is_loader(entry.return_address) {
        return None;
    }
    if rings::is_mode_asked() {
        sampling::follow();
        return None;
    }
    let state = thread::leased().filter(|state| state.guard() == 0)?;
    record::hold_quietly(state, entry);
    Some(Light { state, word, entry })
}

impl Light<'_> {
    #[inline(always)]
    fn picks(&self, size: usize) -> bool {
        !sampling::is_off(self.word)
            && self
                .state
                .countdown
                .picks(self.word, self.state.index(), size)
    }

    /// Allocates, and records one block of some hundred thousand bytes.
    #[inline(always)]
    pub(crate) fn allocate(self, size: usize, real: impl FnOnce() -> Block) -> Block {
        let picked = self.picks(size);
        let block = real();
        python::allocators::check(self.entry.return_address);
        self.state.countdown.note(block);
        if picked && !block.is_null() {
            let class = sampling::class_of(self.word);
            self.usual().sampled(record::ALLOCATED, block, size, class);
        } else if holds(block) {
            self.usual().passed(block);
        } else {
            self.leave();
        }
        block
    }

    /// The same for an object that Python's allocator has given.
    #[inline(always)]
    pub(crate) fn note_object(self, object: Block, size: usize) {
        if self.picks(size) {
            let class = sampling::class_of(self.word);
            self.usual().sampled(record::OBJECTS, object, size, class);
        } else if python::shadow::holds(object.addr()) {
            self.usual().passed_object(object);
        } else {
            self.leave();
        }
    }

    /// Has something to record: from here on it is an event like any other.
    #[inline(always)]
    fn usual(&self) -> Event<'_, own::Usual> {
        self.state
            .set_guard(self.entry.caller_sp(), start::is_armed());
        Event::new(own::Usual::of(self.state), self.entry)
    }

    /// Where a signal handler has forked meanwhile, the child's readers were told of this hook.
    #[inline(always)]
    fn leave(self) {
        let told = tracer::word() != self.word && start::is_armed();
        self.state.set_guard(0, told);
    }
}

/// True for the end of a block that was never recorded, in a mode in which that is usual: there is nothing to do. The loader's events are looked at.
#[inline(always)]
pub(crate) fn is_nothing(return_address: u64, is_recorded: impl FnOnce() -> bool) -> bool {
    tracer::word() > sampling::EXACT && !loader::is_loader(return_address) && !is_recorded()
}
