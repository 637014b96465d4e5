//! A thread's state: which entry and counters of the ledger are its own, and the scratch memory that its walks need.
//!
//! A state is leased by a robust mutex in private memory, so that it is free again exactly when the kernel has seen the thread's last
//! instruction: pthread-key destructors are not a thread's last event (20 frees came after one). States and counters
//! add up, so they are handed on as they are. The first sixteen states own a slot of counters; later threads share one, and try for
//! an own one from time to time.
//!
//! ```text
//! thread word: 0 ──attach──▶ ATTACHING ──▶ a state's address                        (a handler that jumps out of it: back to 0)
//!              ▲                 └───────▶ RETRY_AFTER ─ counts down at each event ─▶ 0      (no state was free)
//! A thread without a state uses the shared entry and slot.
//! ```

use crate::memory::Table;
use crate::sampling::Countdown;
use crate::stack::Scratch;
use crate::sys::SignalsBlocked;
use crate::temporaries::Last;
use crate::tracer::Tracer;
use crate::{start, sys, thread_word};
use core::cell::UnsafeCell;
use core::mem::offset_of;
use core::num::NonZeroUsize;
use heapshim_ledger::counters::Slot;
use heapshim_ledger::layout::{EXCLUSIVE_SLOTS, SHARED_SLOT, Thread};
use heapshim_ledger::sync::{AtomicU64, Word, add_owned};
use heapshim_ledger::temporaries::TemporarySlot;
use once_cell::race::OnceNonZeroUsize;

/// A thread word while its state is being found: this bit, and where on its stack the signals lie that are blocked meanwhile. A negative number.
const ATTACHING: usize = 1 << (usize::BITS - 1);
/// Events that a thread which found no state waits before it looks again: more states than there are, fewer than any address.
pub(crate) const RETRY_AFTER: usize = 4095;
/// Where a state has its countdown.
pub(crate) const COUNTDOWN: usize = offset_of!(State, countdown);
/// Walks after which a thread without a slot of its own looks for one.
const PROMOTE_EVERY: u64 = 4096;

/// States by index, mapped when first needed.
static STATES: Table<AtomicU64> = Table::new(4096);

/// One thread's state.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct State {
    lease: UnsafeCell<libc::pthread_mutex_t>,
    own: Own,
    /// The guard: stack pointer at the entry of the hook that this thread is in, 0 = in none. In private memory, so that a forked child
    /// knows whether the fork interrupted a hook; the ledger's entry has a copy for readers.
    guard: AtomicU64,
    /// What its thread has just allocated.
    pub(crate) last: Last,
    /// How far its thread is from its next sample.
    pub(crate) countdown: Countdown,
    /// The scratch memory: used by the lease holder alone, and only in a hook that is not nested.
    pub(crate) scratch: UnsafeCell<Scratch>,
}

/// What a state's index gives it; never changes.
#[derive(Clone, Copy, Debug)]
struct Own {
    index: u32,
    entry: &'static Thread,
    slot: Slot<'static>,
    temporaries: TemporarySlot<'static>,
}

impl State {
    /// The guard.
    #[inline(always)]
    pub(crate) fn guard(&self) -> u64 {
        self.guard.peek()
    }

    /// Stacks that its threads have walked.
    #[inline(always)]
    pub(crate) fn walks(&self) -> u64 {
        self.own.entry.walks.peek()
    }

    /// Its entry in the ledger.
    #[inline(always)]
    pub(crate) fn entry(&self) -> &'static Thread {
        self.own.entry
    }

    /// Its counters.
    #[inline(always)]
    pub(crate) fn slot(&self) -> &Slot<'static> {
        &self.own.slot
    }

    /// Where its blocks are counted that did not outlive the next operation.
    #[inline(always)]
    pub(crate) fn temporaries(&self) -> &TemporarySlot<'static> {
        &self.own.temporaries
    }

    /// Its place among the states, and its entry's in the ledger.
    #[inline(always)]
    pub(crate) fn index(&self) -> u32 {
        self.own.index
    }

    /// True where its counters are not its own alone.
    #[inline(always)]
    pub(crate) fn shares_slot(&self) -> bool {
        self.own.index >= EXCLUSIVE_SLOTS
    }

    /// Takes or ends the guard; tells readers where the ledger is this process's own.
    #[inline(always)]
    pub(crate) fn set_guard(&self, sp: u64, armed: bool) {
        self.guard.put(sp);
        if armed {
            self.own.entry.in_hook.put(sp);
        }
    }
}

// SAFETY: `lease` is a mutex; `scratch` is used by the lease holder alone.
unsafe impl Sync for State {}

/// A thread's half of the ledger, and its scratch memory where it has any.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attached {
    /// None for threads that found no state: they share the last entry and slot.
    pub(crate) state: Option<&'static State>,
    /// Its entry.
    pub(crate) entry: &'static Thread,
    /// Its counters.
    pub(crate) slot: Slot<'static>,
}

impl Attached {
    /// Adds to a word of this thread's entry.
    #[inline(always)]
    pub(crate) fn count(&self, word: &AtomicU64) {
        match self.state {
            Some(_) => add_owned(word, 1),
            None => {
                word.add_shared(1);
            }
        }
    }

    /// Begins an event of a thread without a state: the shared entry counts how many threads are in a hook.
    pub(crate) fn enter_shared(&self) {
        if self.state.is_none() {
            self.entry.in_hook.add_shared(1);
        }
    }

    /// Ends what `enter_shared` began.
    pub(crate) fn leave_shared(&self) {
        if self.state.is_none() {
            self.entry.in_hook.add_shared(u64::MAX);
        }
    }
}

/// This thread's state, where it has leased one.
#[inline(always)]
pub(crate) fn leased() -> Option<&'static State> {
    let word = thread_word::get();
    if word.cast_signed() <= RETRY_AFTER.cast_signed() {
        return None;
    }
    // SAFETY: a word above RETRY_AFTER is the address of this thread's leased state, which is never unmapped.
    Some(unsafe { &*core::ptr::with_exposed_provenance(word) })
}

/// This thread's half of the ledger.
#[inline(always)]
pub(crate) fn current(tracer: &'static Tracer) -> Option<Attached> {
    let leased = leased().or_else(|| attach(tracer, thread_word::get()));
    let Some(state) = leased else {
        return shared(tracer);
    };
    Some(Attached {
        state: Some(state),
        entry: state.own.entry,
        slot: state.own.slot,
    })
}

fn shared(tracer: &'static Tracer) -> Option<Attached> {
    let entry = tracer.writer.threads.shared()?;
    Some(Attached {
        state: None,
        entry,
        slot: tracer.writer.slot(SHARED_SLOT),
    })
}

/// Leases a state for this thread. None inside itself (a signal handler), and where there was none left a short while ago.
#[cold]
#[inline(never)]
fn attach(tracer: &'static Tracer, word: usize) -> Option<&'static State> {
    if word != 0 {
        if word & ATTACHING == 0 {
            thread_word::set(word - 1);
        }
        return None;
    }
    let blocked = sys::block_signals(); // so that few handlers can jump out of this
    thread_word::set(ATTACHING | (&raw const blocked).expose_provenance());
    let leased = lease(tracer, tracer.writer.threads.capacity().saturating_sub(1));
    thread_word::set(leased.unwrap_or(RETRY_AFTER));
    drop(blocked);
    self::leased()
}

/// The thread jumps to where its stack pointer is `sp`: out of `attach`, where a stack overflow, say, has interrupted that. Else the thread would have
/// no state for ever. The signals that are blocked there stay so after a jump that restores none. A state that it had leased already is free again
/// at the thread's end.
pub(crate) fn leave_attaching(sp: u64, restores_signals: bool) {
    let word = thread_word::get();
    let place = word & !ATTACHING;
    let is_further_out = (place as u64) < sp && sp <= start::stack_top();
    if word & ATTACHING == 0 || !is_further_out {
        return;
    }
    thread_word::set(0);
    if !restores_signals {
        // SAFETY: the word holds its address until it is dropped, and what a handler interrupted is still there.
        unsafe { &*core::ptr::with_exposed_provenance::<SignalsBlocked>(place) }.unblock();
    }
}

/// The calling thread gets another name. False where it has no state, or is in a hook that is using it.
pub(crate) fn forget_label() -> bool {
    let Some(state) = leased().filter(|state| state.guard() == 0) else {
        return false;
    };
    // SAFETY: leased by this thread, which is in no hook: a signal handler's event that comes now ends before this goes on.
    unsafe { &mut *state.scratch.get() }.forget_label();
    true
}

/// Gives a thread without a slot of its own one that has become free: called after an event, outside its guard.
#[inline(always)]
pub(crate) fn promote_sometimes(tracer: &'static Tracer, state: &'static State) {
    if state.shares_slot() && state.own.entry.walks.peek() % PROMOTE_EVERY == 1 {
        promote(tracer, state);
    }
}

/// The old state stays leased until the thread ends: this may be a signal handler's event, and what it interrupted may go on with it.
#[cold]
#[inline(never)]
fn promote(tracer: &'static Tracer, old: &'static State) {
    let blocked = sys::block_signals();
    thread_word::set(ATTACHING | (&raw const blocked).expose_provenance());
    let better = lease(tracer, EXCLUSIVE_SLOTS);
    thread_word::set(better.unwrap_or((&raw const *old) as usize));
    drop(blocked);
}

/// The first free state with an index below `limit`.
fn lease(tracer: &'static Tracer, limit: u32) -> Option<usize> {
    let places = STATES.entries()?.iter().take(limit as usize);
    let (index, state) = (0u32..)
        .zip(places)
        .find_map(|(index, place)| Some((index, try_place(tracer, place, index)?)))?;
    state.set_guard(0, true);
    state.own.entry.tid.put(sys::thread_id());
    tracer.writer.threads.note_used(index);
    // SAFETY: leased just now, so that the scratch is ours.
    unsafe { &mut *state.scratch.get() }.new_thread();
    Some((&raw const *state).expose_provenance())
}

fn try_place(tracer: &'static Tracer, place: &AtomicU64, index: u32) -> Option<&'static State> {
    let mut address = place.observe();
    if address == 0 {
        address = new_state(tracer, place, index)?;
    }
    // SAFETY: only addresses of states are stored there, and they are never unmapped.
    let state: &'static State =
        unsafe { &*core::ptr::with_exposed_provenance(usize::try_from(address).ok()?) };
    try_lock(state).then_some(state)
}

fn new_state(tracer: &'static Tracer, place: &AtomicU64, index: u32) -> Option<u64> {
    let entry = tracer.writer.threads.entry(index)?;
    let memory = sys::map_private(size_of::<State>()).ok()?;
    let state = memory.cast::<State>();
    let own = state
        .as_ptr()
        .wrapping_byte_add(offset_of!(State, own))
        .cast::<Own>();
    // SAFETY: fresh private memory, in which zeros are valid for the other fields.
    unsafe {
        own.write(Own {
            index,
            entry,
            slot: tracer.writer.slot(index),
            temporaries: tracer.writer.temporaries.slot(index),
        })
    };
    // SAFETY: as above; nobody else sees it yet.
    make_lease(unsafe { state.as_ref() });
    let ours = state.expose_provenance().get() as u64;
    match place.claim(0, ours) {
        Ok(_) => Some(ours),
        Err(theirs) => {
            // SAFETY: another thread's state was kept; nobody has seen ours.
            unsafe { sys::unmap(memory, size_of::<State>()) };
            Some(theirs)
        }
    }
}

/// In a forked child, once its ledger is in place: the other threads are gone, and so are their leases. The calling thread keeps its
/// state, which the new ledger has yet to learn of.
pub(crate) fn after_fork(tracer: &'static Tracer) {
    let own = thread_word::get() as u64;
    for place in STATES.entries().unwrap_or(&[]) {
        let address = place.observe();
        let Some(pointer) = usize::try_from(address)
            .ok()
            .filter(|&address| address != 0)
        else {
            continue;
        };
        // SAFETY: as in `try_place`.
        let state: &'static State = unsafe { &*core::ptr::with_exposed_provenance(pointer) };
        make_lease(state);
        state.last.clear();
        if address == own && try_lock(state) {
            state.own.entry.tid.put(sys::thread_id());
            state.set_guard(state.guard(), true);
            tracer.writer.threads.note_used(state.own.index);
        }
    }
}

/// pthread's functions: looked up, since glibc gave them new versions (2.34) that older systems lack.
#[derive(Debug)]
struct Pthread {
    attribute: OnceNonZeroUsize,
    robust: OnceNonZeroUsize,
    init: OnceNonZeroUsize,
    try_lock: OnceNonZeroUsize,
    consistent: OnceNonZeroUsize,
}

static PTHREAD: Pthread = Pthread {
    attribute: OnceNonZeroUsize::new(),
    robust: OnceNonZeroUsize::new(),
    init: OnceNonZeroUsize::new(),
    try_lock: OnceNonZeroUsize::new(),
    consistent: OnceNonZeroUsize::new(),
};

/// Finds pthread's functions. Where there are none (glibc before 2.34 without libpthread) the process has one thread.
pub(crate) fn prepare() {
    let find = |cell: &OnceNonZeroUsize, name| {
        let found =
            crate::objects::find_symbol(name, 0).and_then(|found| NonZeroUsize::new(found.address));
        found.map(|address| cell.set(address));
    };
    find(&PTHREAD.attribute, c"pthread_mutexattr_init");
    find(&PTHREAD.robust, c"pthread_mutexattr_setrobust");
    find(&PTHREAD.init, c"pthread_mutex_init");
    find(&PTHREAD.try_lock, c"pthread_mutex_trylock");
    find(&PTHREAD.consistent, c"pthread_mutex_consistent");
}

type OnMutex = unsafe extern "C" fn(*mut libc::pthread_mutex_t) -> i32;

fn on_mutex(cell: &OnceNonZeroUsize, state: &State) -> Option<i32> {
    // SAFETY: the two functions that are called through here have this type.
    let function: OnMutex = unsafe { core::mem::transmute(cell.get()?.get()) };
    // SAFETY: the mutex lies in memory that is never unmapped.
    Some(unsafe { function(state.lease.get()) })
}

fn make_lease(state: &State) {
    let (Some(attribute), Some(robust), Some(init)) = (
        PTHREAD.attribute.get(),
        PTHREAD.robust.get(),
        PTHREAD.init.get(),
    ) else {
        return;
    };
    let mut attributes = core::mem::MaybeUninit::<libc::pthread_mutexattr_t>::zeroed();
    // SAFETY: POSIX gives pthread_mutexattr_init this type.
    let attribute: unsafe extern "C" fn(*mut libc::pthread_mutexattr_t) -> i32 =
        unsafe { core::mem::transmute(attribute.get()) };
    // SAFETY: POSIX gives pthread_mutexattr_setrobust this type.
    let robust: unsafe extern "C" fn(*mut libc::pthread_mutexattr_t, i32) -> i32 =
        unsafe { core::mem::transmute(robust.get()) };
    // SAFETY: POSIX gives pthread_mutex_init this type.
    let init: unsafe extern "C" fn(
        *mut libc::pthread_mutex_t,
        *const libc::pthread_mutexattr_t,
    ) -> i32 = unsafe { core::mem::transmute(init.get()) };
    // SAFETY: initialises the attributes.
    unsafe { attribute(attributes.as_mut_ptr()) };
    // SAFETY: on initialised attributes.
    unsafe { robust(attributes.as_mut_ptr(), libc::PTHREAD_MUTEX_ROBUST) };
    // SAFETY: nobody holds this mutex: it is new, or its holder did not survive a fork.
    unsafe { init(state.lease.get(), attributes.as_ptr()) };
}

/// True where the state was free, or its holder has died.
fn try_lock(state: &State) -> bool {
    match on_mutex(&PTHREAD.try_lock, state) {
        Some(0) => true,
        Some(libc::EOWNERDEAD) => on_mutex(&PTHREAD.consistent, state) == Some(0),
        Some(_) => false,
        // No pthreads: one thread, and the first state is its own.
        None => state.own.index == 0,
    }
}
