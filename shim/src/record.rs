//! One event: guard, site, shadow, counters. What every malloc and free does, whichever guard it holds.
//!
//! [`enter`] gives an [`Event`] while this process is traced; dropping it ends the guard. An event inside another's hook (a signal handler,
//! an allocator that calls itself) is *nested*: its shadow entry and counters are right, its stack is its innermost frame, and
//! it is counted. The guard is the stack pointer of the hook that holds it, so that a hook which a longjmp has left is noticed.
//!
//! Usual events begin with [`own::enter`](crate::own::enter), in few instructions; all others, and those that it gives nothing for, here. The steps are the same.

use crate::cohorts::{self, Cohort};
use crate::entry::Entry;
use crate::real::{self, Block};
use crate::sampling::{self, Pick};
use crate::shadow::{self, Live, Put};
use crate::stack;
use crate::temporaries::{self, Key};
use crate::thread::{self, Attached, State};
use crate::tracer::{self, Tracer};
use crate::{highest, loader, python, rings, start};
use heapshim_ledger::counters::Slot;
use heapshim_ledger::layout::{OVERFLOW_SITE, Thread};
use heapshim_ledger::rings::Operation;
use heapshim_ledger::sampling::BYTES_POINT;
use heapshim_ledger::sites::SiteId;
use heapshim_ledger::sync::{AtomicU64, Word, add_owned, add_owned_reaches, add_shared_reaches};

/// What becomes of blocks, and of Python's objects.
pub(crate) const ALLOCATED: (Operation, Operation) = (Operation::Allocated, Operation::Freed);
pub(crate) const OBJECTS: (Operation, Operation) =
    (Operation::ObjectAllocated, Operation::ObjectFreed);

/// How a block went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gone {
    /// The hook's caller gives it back.
    Released,
    /// Nobody has seen it: another stands in its place.
    Unseen,
}

/// Who is counted, and in which way.
pub(crate) trait Guard {
    /// The thread's entry in the ledger.
    fn thread(&self) -> &'static Thread;
    /// The thread's counters.
    fn slot(&self) -> &Slot<'static>;
    /// Its place among the threads' states; u32::MAX where it has none.
    fn index(&self) -> u32;
    /// The thread's state, if it has one.
    fn state(&self) -> Option<&'static State>;
    /// The thread's state, if this event holds its guard.
    fn held(&self) -> Option<&'static State>;
    /// What is to be done with a new block.
    fn pick(&self, size: usize) -> Pick;
    /// Adds one to a word of the thread's entry.
    fn count(&self, word: &AtomicU64);
    /// Adds to a word of the thread's entry; whether it is then not below zero.
    fn reaches(&self, word: &AtomicU64, value: u64) -> bool;
    /// The site of the stack that called the hook.
    fn site(&self, entry: &Entry) -> Option<SiteId>;
    /// Ends the guard.
    fn leave(&self);
}

/// An event, from its guard's beginning to its end.
#[derive(Debug)]
pub(crate) struct Event<'e, G: Guard> {
    guard: G,
    entry: &'e Entry,
}

/// The guard of any event: nested, the loader's, of a thread without a state.
#[derive(Debug)]
pub(crate) struct Any {
    tracer: &'static Tracer,
    thread: Attached,
    nested: bool,
}

/// Begins an event. None where this process is not traced (yet, or at all).
#[inline(always)]
pub(crate) fn enter(entry: &Entry) -> Option<Event<'_, Any>> {
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
        hold(state, entry);
    }
    let guard = Any {
        tracer,
        thread,
        nested,
    };
    Some(Event::new(guard, entry))
}

/// As `hold`, without telling anybody outside: nothing is written for them as long.
#[inline(always)]
pub(crate) fn hold_quietly(state: &State, entry: &Entry) {
    entry.witness.put(WITNESS ^ entry.caller_sp());
    state.set_guard(entry.caller_sp(), false);
}

/// Takes the thread's guard.
#[inline(always)]
pub(crate) fn hold(state: &State, entry: &Entry) {
    entry.witness.put(WITNESS ^ entry.caller_sp());
    state.set_guard(entry.caller_sp(), true);
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

impl Walks {
    /// The thread's state, if it is in no hook and has walked no stack since.
    #[inline(always)]
    pub(crate) fn are_all(self) -> Option<&'static State> {
        let state = thread::leased().filter(|state| core::ptr::eq(*state, self.state))?;
        (state.guard() == 0 && state.walks() == self.walks).then_some(state)
    }
}

/// What a hook leaves in its entry, mixed with its stack pointer.
const WITNESS: u64 = 0x5bd1_e995_9e37_79b9;

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

/// The thread jumps to where its stack pointer is `sp`: a hook that holds the guard further in on the same stack is left.
#[cold]
#[inline(never)]
pub(crate) fn leave_below(state: &State, sp: u64) {
    let (guard, scratch) = (state.guard(), state.scratch.get());
    // SAFETY: as in `was_left`.
    let bounds = unsafe { &*scratch }.bounds();
    if sp > guard && bounds.is_one_stack(guard, sp) {
        // SAFETY: this thread's own, and the hook that used it will not go on.
        unsafe { &mut *scratch }.abandon();
        state.set_guard(0, start::is_armed());
    }
}

fn witness_below(guard: u64) -> u64 {
    let address = usize::try_from(guard)
        .unwrap_or(0)
        .wrapping_sub(size_of::<Entry>());
    // SAFETY: a hook of this thread has stored the word there, on the thread's own stack, whose pages stay mapped while it lives.
    unsafe { core::ptr::with_exposed_provenance::<u64>(address).read_volatile() }
}

impl<'e, G: Guard> Event<'e, G> {
    /// The guard is held.
    #[inline(always)]
    pub(crate) fn new(guard: G, entry: &'e Entry) -> Event<'e, G> {
        Event { guard, entry }
    }

    /// Charges a block that the allocator has just given to the stack that asked for it.
    #[inline(always)]
    pub(crate) fn allocated(&self, block: Block, size: usize) {
        if !block.is_null() {
            self.block_allocated(block, size);
        }
    }

    #[inline(always)]
    fn block_allocated(&self, block: Block, size: usize) {
        python::allocators::check(self.entry.return_address);
        let pick = self.guard.pick(size);
        if pick == Pick::All {
            let place = shadow::Place::of(block.addr());
            if let Some(live) = self.live(size) {
                let cohort = rings::cohort();
                let put = place.put(cohorts::tagged(live, cohort));
                self.charge_new(ALLOCATED, block, (live, cohort), put);
            }
            return;
        }
        sampling::note_last(block);
        match pick {
            Pick::One(class) => self.sampled(ALLOCATED, block, size, class),
            _ => self.passed(block),
        }
    }

    /// The same for an object that Python's allocator has given.
    #[inline(always)]
    pub(crate) fn object_allocated(&self, object: Block, size: usize) {
        match self.guard.pick(size) {
            Pick::All => {
                if let Some(live) = self.live(size) {
                    let put = python::shadow::put(object.addr(), live);
                    self.charge_new(OBJECTS, object, (live, rings::cohort()), put);
                }
            }
            Pick::One(class) => self.sampled(OBJECTS, object, size, class),
            Pick::Pass => self.passed_object(object),
        }
    }

    /// What is to be noted of a new block.
    #[inline(always)]
    fn live(&self, size: usize) -> Option<Live> {
        let site = self.guard.site(self.entry)?;
        let size = size as u64;
        Some(Live { site, size })
    }

    /// Charges a block that has been noted.
    #[inline(always)]
    fn charge_new(
        &self,
        (allocated, freed): (Operation, Operation),
        block: Block,
        (live, cohort): (Live, Cohort),
        put: Put,
    ) {
        if !start::is_armed() {
            return;
        }
        match put {
            Put::New => (),
            Put::Replaced(before) => self.charge(Gone::Unseen, freed, block, before),
            Put::NoRoom => return self.guard.count(&self.guard.thread().untracked),
        }
        self.guard.slot().allocated(live.site, live.size);
        self.moved(&self.guard.thread().risen, live.size);
        if let Some(state) = self.guard.state() {
            state.last.note(Key::of(allocated, block), live.site);
        }
        self.tell(allocated, block, live);
        if !cohort.is_none() {
            cohorts::born(allocated, block.addr(), live, cohort);
        }
        if live.site == SiteId(OVERFLOW_SITE) {
            self.guard.count(&self.guard.thread().overflow);
        }
    }

    /// Charges a block, or an object, that is a sample to its site's estimate.
    #[cold]
    #[inline(never)]
    pub(crate) fn sampled(
        &self,
        kind: (Operation, Operation),
        block: Block,
        size: usize,
        class: u32,
    ) {
        if let Some(live) = self.live(size) {
            let tagged = tagged(live, class);
            let put = match kind == OBJECTS {
                true => python::shadow::put(block.addr(), tagged),
                false => shadow::put(block.addr(), tagged),
            };
            self.charge_sample(kind, block, (live, class), put);
        }
    }

    fn charge_sample(
        &self,
        (allocated, freed): (Operation, Operation),
        block: Block,
        (live, class): (Live, u32),
        put: Put,
    ) {
        let Some(tracer) = tracer::get().filter(|_| start::is_armed()) else {
            return;
        };
        match put {
            Put::New => (),
            Put::Replaced(before) => self.charge(Gone::Unseen, freed, block, before),
            Put::NoRoom => return self.guard.count(&self.guard.thread().untracked),
        }
        let weight = sampling::weight_of(class, live.size);
        tracer.writer.estimates.add(live.site, &weight);
        self.moved(&self.guard.thread().risen, weight.bytes >> BYTES_POINT);
        self.tell(allocated, block, live);
        if live.site == SiteId(OVERFLOW_SITE) {
            self.guard.count(&self.guard.thread().overflow);
        }
    }

    /// A new block is not recorded: what still stands there was not seen to go.
    #[cold]
    #[inline(never)]
    pub(crate) fn passed(&self, block: Block) {
        let stale = self.take(block).filter(|_| start::is_armed());
        if let Some(before) = stale {
            self.charge(Gone::Unseen, Operation::Freed, block, before);
        }
    }

    /// The same for an object of Python's.
    #[cold]
    #[inline(never)]
    pub(crate) fn passed_object(&self, object: Block) {
        let stale = self.take_object(object).filter(|_| start::is_armed());
        if let Some(before) = stale {
            self.charge(Gone::Unseen, Operation::ObjectFreed, object, before);
        }
    }

    /// Takes a block off its site's account, before the allocator has it back.
    #[inline(always)]
    pub(crate) fn freed(&self, block: Block) {
        self.charge_freed(block, self.take(block));
    }

    /// Takes a block's entry out of the shadow without charging anybody yet.
    #[inline(always)]
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
    #[inline(always)]
    pub(crate) fn charge_freed(&self, block: Block, taken: Option<Live>) {
        if !start::is_armed() {
            return;
        }
        match taken {
            Some(live) => self.charge(Gone::Released, Operation::Freed, block, live),
            None if block.is_null() => (),
            None => self.unknown_freed(),
        }
    }

    /// As `take`, for an object of Python's.
    #[inline(always)]
    pub(crate) fn take_object(&self, object: Block) -> Option<Live> {
        python::shadow::take(object.addr())
    }

    /// As `put_back`, for an object of Python's.
    pub(crate) fn put_back_object(&self, object: Block, live: Live) {
        let (live, cohort) = cohorts::untagged(live);
        python::shadow::put(object.addr(), live);
        if !cohort.is_none() {
            // Its place is there still.
            let _noted = python::shadow::set_cohort(object.addr(), cohort);
        }
    }

    /// Charges the end of an object to the site that it came from. One that is not known was made before tracing began, or is malloc's.
    #[inline(always)]
    pub(crate) fn charge_object(&self, object: Block, taken: Option<Live>) {
        if let Some(live) = taken.filter(|_| start::is_armed()) {
            self.charge(Gone::Released, Operation::ObjectFreed, object, live);
        }
    }

    /// A block that was never seen; unless blocks are passed over.
    #[cold]
    fn unknown_freed(&self) {
        if sampling::was_always_exact() {
            self.guard.count(&self.guard.thread().foreign_frees);
        }
    }

    #[inline(always)]
    fn charge(&self, how: Gone, operation: Operation, block: Block, live: Live) {
        // Passed on first, since the account may be copied then: as it is while the block is still there.
        let before = || self.moved(&self.guard.thread().fallen, live.size);
        if !self.guard.slot().freed_after(live.site, live.size, before) {
            return self.charge_otherwise(how, operation, block, live);
        }
        self.count_temporary(operation, block, live);
        self.tell_gone(how, operation, block, live);
    }

    /// It was charged: and counted as temporary, where it is what the thread has just allocated.
    #[inline(always)]
    fn count_temporary(&self, operation: Operation, block: Block, live: Live) {
        if let Some(state) = self.guard.state() {
            temporaries::gone(state, Key::of(operation, block), live);
        }
    }

    /// A block that is a sample, or that has a cohort.
    #[cold]
    #[inline(never)]
    fn charge_otherwise(&self, how: Gone, operation: Operation, block: Block, live: Live) {
        let live = match sampling::untagged(live) {
            (_, 0) => {
                self.moved(&self.guard.thread().fallen, live.size);
                cohorts::gone(self.guard.slot(), live)
            }
            (site, class) => self.sample_gone(Live { site, ..live }, class),
        };
        self.count_temporary(operation, block, live);
        self.tell_gone(how, operation, block, live);
    }

    /// Takes a sampled block off its site's estimate.
    fn sample_gone(&self, live: Live, class: u32) -> Live {
        let site = live.site;
        let weight = sampling::weight_of(class, live.size);
        self.moved(&self.guard.thread().fallen, weight.bytes >> BYTES_POINT);
        if let Some(tracer) = tracer::get() {
            tracer.writer.estimates.take_off(site, &weight);
        }
        live
    }

    /// Adds to what the thread has allocated or freed, for the highest moment.
    #[inline(always)]
    fn moved(&self, word: &AtomicU64, bytes: u64) {
        if self.guard.reaches(word, bytes) {
            highest::pass_on(self.guard.thread());
        }
    }

    /// Tells a reader of it, if one wants events; switches to another mode, if one is asked for.
    #[inline(always)]
    fn tell(&self, operation: Operation, block: Block, live: Live) {
        if rings::are_asked() {
            rings::tell(
                operation,
                self.guard.index(),
                block.addr(),
                live,
                rings::NOBODY,
            );
        }
    }

    /// Tells a reader of a block that went.
    #[inline(always)]
    fn tell_gone(&self, how: Gone, operation: Operation, block: Block, live: Live) {
        match how {
            Gone::Released if rings::are_asked() => {
                let guard = &self.guard;
                rings::tell_released(operation, guard.index(), block.addr(), live, guard.held());
            }
            Gone::Released => (),
            Gone::Unseen => self.tell(operation, block, live),
        }
    }
}

impl<G: Guard> Drop for Event<'_, G> {
    #[inline(always)]
    fn drop(&mut self) {
        self.guard.leave();
    }
}

fn tagged(live: Live, class: u32) -> Live {
    Live {
        site: sampling::tagged(live.site, class),
        ..live
    }
}

/// The site of the stack that called the hook, by a walk that is counted. The caller's thread holds the state and its guard.
#[inline(never)]
pub(crate) fn walk(state: &State, tracer: &Tracer, entry: &Entry) -> SiteId {
    // SAFETY: the state is leased by this thread, and the guard keeps nested events away from the scratch.
    let scratch = unsafe { &mut *state.scratch.get() };
    let captured = scratch.capture(tracer, entry);
    if start::is_armed() {
        let thread = state.entry();
        add_owned(&thread.walks, 1);
        match captured.remembered {
            true => add_owned(&thread.memo_hits, 1),
            false => add_owned(&thread.memo_misses, 1),
        }
        if captured.truncated {
            add_owned(&thread.truncated, 1);
        }
    }
    captured.site
}

impl Guard for Any {
    fn state(&self) -> Option<&'static State> {
        self.thread.state
    }

    fn held(&self) -> Option<&'static State> {
        self.thread.state.filter(|_| !self.nested)
    }

    fn pick(&self, size: usize) -> Pick {
        sampling::pick(self.thread.state, size)
    }

    fn thread(&self) -> &'static Thread {
        self.thread.entry
    }

    fn slot(&self) -> &Slot<'static> {
        &self.thread.slot
    }

    fn index(&self) -> u32 {
        self.thread.state.map_or(u32::MAX, State::index)
    }

    fn count(&self, word: &AtomicU64) {
        self.thread.count(word);
    }

    fn reaches(&self, word: &AtomicU64, value: u64) -> bool {
        match self.thread.state {
            Some(_) => add_owned_reaches(word, value),
            None => add_shared_reaches(word, value),
        }
    }

    fn site(&self, entry: &Entry) -> Option<SiteId> {
        Some(match self.held() {
            Some(state) => walk(state, self.tracer, entry),
            None => stack::innermost(self.tracer, entry),
        })
    }

    fn leave(&self) {
        let armed = start::is_armed();
        match self.held() {
            Some(state) => {
                state.set_guard(0, armed);
                if armed {
                    thread::promote_sometimes(self.tracer, state);
                }
            }
            None if armed => self.thread.leave_shared(),
            None => (),
        }
    }
}
