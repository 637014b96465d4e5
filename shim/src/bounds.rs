//! Which addresses are this thread's stack: the only memory that a walk loads from.
//!
//! Known: from the lowest address that was seen to be mapped without a gap up to the stack's top (`start::stack_top`).
//! pthread_getattr_np would say both, but allocates and deadlocks Rust programs.
//! Unknown (a coroutine's stack, a signal stack): the kernel is asked about each page of each walk, since such a stack may be
//! unmapped and another may come in its place; the answer is kept for that walk alone.

use crate::{return_address, start, sys, thread};
use heapshim_ledger::sync::add_owned;
use heapshim_unwind::{Memory, Run, Word};

const PAGE: u64 = 4096;
/// Pages that are asked about to find out whether a stack pointer lies on the thread's own stack: 16 MiB deeper than before at
/// a time; a thread that jumps further is walked as on an unknown stack.
const EXTEND: u64 = 4096;
/// Pages that are asked about to find out whether a hook that is left lies on the thread's own stack: 1 GiB, deeper than stacks get.
const DEEPEST: u64 = 1 << 18;
/// How far below what is known a stack pointer is taken to be on the same stack without a proof: what a call or two use. It must not
/// reach from one stack into another that lies right below it, without a guard page between.
const NEAR: u64 = 2 * PAGE;

/// How far a frame pointer may lie from the stack pointer on a stack of which neither end is known: more than the locals of any compiled function
/// that was seen (V8 keeps a register of its interpreter in 8 bytes), less than what lies between two stacks of threads.
const FRAME: u64 = 64 << 10;

/// Counts a step that only a frame pointer led to. In a walk the thread has a state; a forked child's first event may find its parent's account.
#[cold]
fn count() {
    if let Some(state) = thread::leased().filter(|_| start::is_armed()) {
        add_owned(&state.entry().frame_pointers, 1);
    }
}

/// What is known of a thread's own stack; zeros are 'nothing'.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Bounds {
    low: u64,
    high: u64,
    /// Pages [low, high) that are not known to be the thread's own stack: saves asking again at every event of a coroutine.
    other: (u64, u64),
    /// True where `other` was mapped up to the known part: it may be the same stack, and is when a walk comes out of it.
    adjoins: bool,
}

impl Bounds {
    /// The calling thread's: the top is known, how far down it reaches is found as it is used.
    pub(crate) fn of_this_thread() -> Bounds {
        let top = start::stack_top();
        Bounds {
            low: top,
            high: top,
            other: (0, 0),
            adjoins: false,
        }
    }

    /// Where the thread's own stack begins.
    pub(crate) fn top(&self) -> u64 {
        self.high
    }

    /// True where an address is known to lie on the thread's own stack.
    pub(crate) fn holds(&self, sp: u64) -> bool {
        self.low <= sp && sp < self.high
    }

    /// True where both addresses, of which the second lies further out, are on the thread's own stack, also where no walk has come that deep: then
    /// every page from there up must be mapped.
    #[cold]
    pub(crate) fn is_one_stack(&self, inner: u64, outer: u64) -> bool {
        let (first, end) = (inner & !(PAGE - 1), self.low & !(PAGE - 1));
        let is_known = first >= end;
        outer < self.high
            && (is_known || end - first <= DEEPEST * PAGE && first_gap(first, end).is_none())
    }

    /// Finds out whether `sp` lies on the thread's own stack: every page from there up to what is known must be mapped. Asked from the
    /// bottom, so that the gap below a stack is never touched from above, which would make the kernel grow it. That is all that is asked of
    /// a thread's first event, and of one that is near; another's walk must come out in what is known (`prove`): a coroutine's stack
    /// may lie right below, be unmapped, and another be mapped in a part of it.
    #[cold]
    #[inline(never)]
    fn extend(&mut self, sp: u64) -> bool {
        let (first, last) = (sp & !(PAGE - 1), self.low & !(PAGE - 1));
        if sp >= self.low || self.is_other(sp) || last - first > EXTEND * PAGE {
            return false;
        }
        let creeps = self.adjoins && sp < self.other.0 && self.other.0 - first <= NEAR;
        let end = if creeps { self.other.0 } else { last };
        if let Some(gap) = first_gap(first, end) {
            (self.other, self.adjoins) = ((first, gap), false);
            return false;
        }
        if self.low == self.high || (!creeps && last - first <= NEAR) {
            self.low = first;
            return true;
        }
        (self.other, self.adjoins) = ((first, last), true);
        false
    }

    fn is_other(&self, sp: u64) -> bool {
        self.other.0 <= sp && sp < self.other.1
    }

    /// The page that becomes known when a walk from `sp` comes out in what is known; 0 where that proves nothing.
    #[cold]
    fn proposal(&self, sp: u64) -> u64 {
        if self.adjoins && self.is_other(sp) {
            sp & !(PAGE - 1)
        } else {
            0
        }
    }

    /// A walk has come from this page to what is known: both are one stack.
    fn prove(&mut self, page: u64) {
        self.low = page;
        self.other.1 = page;
        self.adjoins = self.other.0 < page;
    }
}

/// The first page of a range that is not mapped.
fn first_gap(first: u64, end: u64) -> Option<u64> {
    let mut page = first;
    while page < end {
        if !sys::readable(page) {
            return Some(page);
        }
        page += PAGE;
    }
    None
}

/// The stack's memory during one walk.
#[derive(Debug)]
pub(crate) struct StackMemory<'b> {
    own: &'b mut Bounds,
    /// Where the memory begins that may be loaded from, a multiple of 8.
    low: u64,
    /// How many words it has.
    words: u64,
    /// `Bounds::proposal`.
    proposal: u64,
}

impl<'b> StackMemory<'b> {
    /// For a walk that begins above `sp`.
    #[inline(always)]
    pub(crate) fn new(own: &'b mut Bounds, sp: u64) -> StackMemory<'b> {
        let (high, proposal) = if own.holds(sp) || own.extend(sp) {
            (own.high, 0)
        } else {
            // The return address below sp was just used: its page is there.
            let page = sp.wrapping_sub(8) & !(PAGE - 1);
            (page.wrapping_add(PAGE), own.proposal(sp))
        };
        let low = sp.wrapping_add(7) & !7;
        StackMemory {
            own,
            low,
            words: high.saturating_sub(low) / 8,
            proposal,
        }
    }

    fn set(&mut self, low: u64, high: u64) {
        (self.low, self.words) = (low, high.saturating_sub(low) / 8);
    }

    /// One comparison: an address below `low` or that is no multiple of 8 becomes a huge number.
    #[inline(always)]
    fn holds(&self, address: u64) -> bool {
        address.wrapping_sub(self.low).rotate_right(3) < self.words
    }

    /// Whether a frame pointer lies on the stack that the walk is on. Asked of aligned ones that are not below it.
    fn is_same_stack(&self, sp: u64, bp: u64) -> bool {
        if self.own.holds(sp) {
            bp.saturating_add(16) <= self.own.high
        } else {
            bp - sp <= FRAME
        }
    }

    /// Beyond what is known: the thread's own stack (below a signal stack), or one more page if the kernel says that it is there.
    #[cold]
    #[inline(never)]
    fn reach(&mut self, address: u64) -> bool {
        if !address.is_multiple_of(8) {
            return false;
        }
        if self.own.holds(address) && address.wrapping_add(8) <= self.own.high {
            if self.proposal != 0 {
                self.own.prove(self.proposal);
                self.proposal = 0;
            }
            self.set(self.own.low.wrapping_add(7) & !7, self.own.high);
            return true;
        }
        let page = address & !(PAGE - 1);
        if !sys::readable(page) {
            return false;
        }
        let is_next = page == self.low.wrapping_add(self.words.wrapping_mul(8));
        self.set(
            if is_next { self.low } else { page },
            page.wrapping_add(PAGE),
        );
        true
    }
}

/// The thread's own stack from a stack pointer up, as far as it is known; it never asks the kernel.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OwnStack {
    /// A multiple of 8.
    low: u64,
    words: u64,
}

impl OwnStack {
    /// For a walk that begins above `sp`; None where that is not known to lie there.
    #[inline(always)]
    pub(crate) fn new(own: &Bounds, sp: u64) -> Option<OwnStack> {
        (sp & 7 == 0 && own.holds(sp)).then_some(OwnStack {
            low: sp,
            words: own.high.wrapping_sub(sp) / 8,
        })
    }

    /// As `StackMemory::holds`.
    #[inline(always)]
    fn holds(self, address: u64) -> bool {
        address.wrapping_sub(self.low).rotate_right(3) < self.words
    }
}

impl Memory for OwnStack {
    #[inline(always)]
    fn read(&mut self, address: u64) -> Option<u64> {
        // SAFETY: on the thread's own stack, at or above its callers' frames: the caller of `load` need not know more.
        self.holds(address).then(|| unsafe { load(address) })
    }

    /// What is not known to be there is another.
    #[inline(always)]
    fn first_difference(&mut self, run: Run<'_>) -> Option<usize> {
        let (outermost, innermost) = (run.words().first()?, run.words().last()?);
        if !self.holds(outermost.address()) || !self.holds(innermost.address()) {
            return run.words().len().checked_sub(1);
        }
        // SAFETY: the addresses of a run lie between its first and its last.
        unsafe { difference_in(run) }
    }
}

/// The word at an address. Volatile, since frames above belong to code that the compiler does not see.
///
/// # Safety
/// The caller promises that the address is a multiple of 8 and may be read.
#[inline(always)]
unsafe fn load(address: u64) -> u64 {
    let address = usize::try_from(address).unwrap_or(0); // never 0: both have 64 bits
    let place = core::ptr::with_exposed_provenance::<u64>(address);
    // SAFETY: the caller's promise.
    unsafe { place.read_volatile() }
}

/// Where memory differs from a run, from its innermost word outwards.
///
/// # Safety
/// The caller promises that each of its addresses may be read.
#[inline(always)]
unsafe fn difference_in(run: Run<'_>) -> Option<usize> {
    let (rest, fours) = run.words().as_rchunks::<FOUR>();
    for (nth, four) in fours.iter().enumerate().rev() {
        // SAFETY: the caller's promise.
        if let Some(at) = four.iter().rposition(|word| unsafe { differs(word) }) {
            return Some(rest.len() + FOUR * nth + at);
        }
    }
    // SAFETY: the caller's promise.
    rest.iter().rposition(|word| unsafe { differs(word) })
}

impl Memory for StackMemory<'_> {
    #[inline(always)]
    fn read(&mut self, address: u64) -> Option<u64> {
        match self.read_near(address) {
            None if self.reach(address) => self.read_near(address),
            found => found,
        }
    }

    #[inline(always)]
    fn read_near(&mut self, address: u64) -> Option<u64> {
        if !self.holds(address) {
            return None;
        }
        let word = core::ptr::with_exposed_provenance::<u64>(usize::try_from(address).ok()?);
        // SAFETY: aligned, and inside memory that is mapped: the thread's own stack at or above its callers' frames, or a page that
        // the kernel has just read. Volatile, since frames above belong to code that the compiler does not see.
        Some(unsafe { word.read_volatile() })
    }

    #[cold]
    #[inline(never)]
    fn caller_above(&mut self, sp: u64, bp: u64) -> Option<u64> {
        if bp < sp || bp & 7 != 0 || !self.is_same_stack(sp, bp) {
            return None;
        }
        let address = self.read(bp.wrapping_add(8))?;
        let is_one = !self.own.holds(address) && return_address::is_one(address);
        is_one.then(|| {
            count();
            address
        })
    }

    #[inline(always)]
    fn first_difference(&mut self, run: Run<'_>) -> Option<usize> {
        let (outermost, innermost) = (run.words().first()?, run.words().last()?);
        if !self.holds(outermost.address()) || !self.holds(innermost.address()) {
            return self.first_difference_slowly(run);
        }
        // SAFETY: the addresses of a run lie between its first and its last.
        unsafe { difference_in(run) }
    }
}

/// Words that are compared between two turns of the loop.
const FOUR: usize = 4;

/// True where memory has another value in a word's place.
///
/// # Safety
/// The caller promises that the word's address may be read.
#[inline(always)]
unsafe fn differs(word: &Word) -> bool {
    // SAFETY: the caller's promise, and addresses of a run are aligned.
    let found = unsafe { load(word.address()) };
    found != word.value()
}

impl StackMemory<'_> {
    /// Asks for each word by itself.
    #[cold]
    #[inline(never)]
    fn first_difference_slowly(&mut self, run: Run<'_>) -> Option<usize> {
        let mut words = run.words().iter();
        words.rposition(|word| self.read(word.address()) != Some(word.value()))
    }
}
