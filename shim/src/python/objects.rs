//! Events of Python's objects: what the interpreter calls instead of its allocator, once `allocators` has put our table there.
//!
//! The interpreter's allocator is called exactly as without us, outside the guard: where it calls malloc (an object of more than 512 bytes),
//! the malloc hook records that block as what it is, with the whole stack. An object is noted here only where malloc has not seen its
//! block, so that each is counted once: at the size that was asked for. The order is that of `hooks`: malloc = real → record, free =
//! record → real, realloc = take out → real → charge.
//!
//! An object that was made before we came is freed without a word: nobody knows whose it was.

use super::allocators::Domain;
use super::passing::{self, Passing};
use super::watched::OFFSETS;
use crate::entry::{Entry, enter, enter_object_free};
use crate::real::Block;
use crate::record::{self, Event, Guard, Walks};
use crate::sampling;
use crate::shadow::{self, Live};
use crate::{light, own};

/// Where free stands in a table.
const FREE: usize = 4;

/// The addresses of our malloc, calloc, realloc and free.
#[inline(always)]
pub(crate) fn functions() -> [usize; 4] {
    [
        object_malloc as *const () as usize,
        object_calloc as *const () as usize,
        object_realloc as *const () as usize,
        object_free as *const () as usize,
    ]
}

#[unsafe(naked)]
unsafe extern "C" fn object_malloc(domain: &Domain, size: usize) -> Block {
    enter!(on_malloc, "rdx")
}

#[unsafe(naked)]
unsafe extern "C" fn object_calloc(domain: &Domain, count: usize, size: usize) -> Block {
    enter!(on_calloc, "rcx")
}

#[unsafe(naked)]
unsafe extern "C" fn object_realloc(domain: &Domain, block: Block, size: usize) -> Block {
    enter!(on_realloc, "rcx")
}

#[unsafe(naked)]
unsafe extern "C" fn object_free(domain: &Domain, block: Block) {
    enter_object_free!(on_usual_free, on_free)
}

extern "C" fn on_malloc(domain: &Domain, size: usize, entry: &Entry) -> Block {
    if !own::is_exact() {
        return make(entry, size, || domain.malloc(size));
    }
    let before = record::walks();
    note(entry, domain.malloc(size), size, before)
}

extern "C" fn on_calloc(domain: &Domain, count: usize, size: usize, entry: &Entry) -> Block {
    let whole = count.wrapping_mul(size);
    if !own::is_exact() {
        return make(entry, whole, || domain.calloc(count, size));
    }
    let before = record::walks();
    note(entry, domain.calloc(count, size), whole, before)
}

extern "C" fn on_realloc(domain: &Domain, block: Block, size: usize, entry: &Entry) -> Block {
    if passing::ends_unseen(entry, block) {
        return make(entry, size, || domain.realloc(block, size));
    }
    let taken = take(entry, block);
    let before = record::walks();
    let moved = domain.realloc(block, size);
    if moved.is_null() {
        put_back(entry, block, taken);
        return moved;
    }
    charge(entry, block, taken);
    note(entry, moved, size, before)
}

/// Makes an object where not every event is recorded.
#[inline(always)]
fn make(entry: &Entry, size: usize, make: impl FnOnce() -> Block) -> Block {
    let passing = Passing::begin(entry);
    let block = make();
    if !passing.is_some_and(|passing| passing.passes(block, size)) {
        note_otherwise(entry, block, size);
    }
    block
}

/// What is done before an object is given back, if that is a usual event: the function that takes it back. Else nothing has happened, and 0.
extern "C" fn on_usual_free(domain: &Domain, block: Block, entry: &Entry) -> usize {
    let next = domain.original(FREE);
    if own::is_exact() {
        return own::release_object(entry, block, next);
    }
    match passing::ends_unseen(entry, block) {
        true => next,
        false => 0,
    }
}

extern "C" fn on_free(domain: &Domain, block: Block, entry: &Entry) {
    if !block.is_null() {
        match own::enter(entry) {
            Some(hook) => ended(&hook, block),
            None => ended_otherwise(entry, block),
        }
    }
    domain.free(block);
}

#[inline(always)]
fn ended<G: Guard>(hook: &Event<'_, G>, block: Block) {
    hook.charge_object(block, hook.take_object(block));
}

/// An event that is no usual one.
#[cold]
#[inline(never)]
fn ended_otherwise(entry: &Entry, block: Block) {
    if passing::ends_unseen(entry, block) {
        return;
    }
    if let Some(hook) = record::enter(entry) {
        ended(&hook, block);
    }
}

/// Notes an object unless malloc has seen its block: that is so if this thread has walked a stack since `before`. Returns it.
#[inline(never)]
fn note(entry: &Entry, block: Block, size: usize, before: Option<Walks>) -> Block {
    let before = before.filter(|_| !block.is_null());
    match before.and_then(|before| own::enter_again(entry, before)) {
        Some(hook) => hook.object_allocated(block, size),
        None => note_otherwise(entry, block, size),
    }
    block
}

/// An event that is no usual one.
#[cold]
#[inline(never)]
fn note_otherwise(entry: &Entry, block: Block, size: usize) {
    // What malloc has passed over stands in no shadow, and was counted down already.
    if block.is_null() || is_mallocs(block) {
        return;
    }
    if let Some(light) = light::enter(entry) {
        return light.note_object(block, size);
    }
    if let Some(hook) = record::enter(entry) {
        hook.object_allocated(block, size);
    }
}

/// True where the object is a block of malloc's, or begins in one behind the debug allocator's headers.
#[cold]
#[inline(never)]
fn is_mallocs(block: Block) -> bool {
    let mut blocks = OFFSETS
        .map(|offset| block.addr().wrapping_sub(offset))
        .into_iter();
    blocks.any(|block| shadow::holds(block) || sampling::is_on() && sampling::was_last(block))
}

#[inline(always)]
fn take(entry: &Entry, block: Block) -> Option<Live> {
    match own::enter(entry) {
        Some(hook) => hook.take_object(block),
        None => take_otherwise(entry, block),
    }
}

#[cold]
#[inline(never)]
fn take_otherwise(entry: &Entry, block: Block) -> Option<Live> {
    if passing::ends_unseen(entry, block) {
        return None;
    }
    record::enter(entry)?.take_object(block)
}

fn charge(entry: &Entry, block: Block, taken: Option<Live>) {
    if taken.is_some()
        && let Some(hook) = record::enter(entry)
    {
        hook.charge_object(block, taken);
    }
}

#[cold]
#[inline(never)]
fn put_back(entry: &Entry, block: Block, taken: Option<Live>) {
    if let Some((hook, live)) = record::enter(entry).zip(taken) {
        hook.put_back_object(block, live);
    }
}

/// The allocator that was there before.
impl Domain {
    #[inline(always)]
    fn malloc(&self, size: usize) -> Block {
        // SAFETY: the table's second word is a function of this type (`PyMemAllocatorEx`).
        let function: unsafe extern "C" fn(usize, usize) -> Block =
            unsafe { core::mem::transmute(self.original(1)) };
        // SAFETY: with its own context and the caller's arguments.
        unsafe { function(self.original(0), size) }
    }

    #[inline(always)]
    fn calloc(&self, count: usize, size: usize) -> Block {
        // SAFETY: the table's third word is a function of this type.
        let function: unsafe extern "C" fn(usize, usize, usize) -> Block =
            unsafe { core::mem::transmute(self.original(2)) };
        // SAFETY: with its own context and the caller's arguments.
        unsafe { function(self.original(0), count, size) }
    }

    #[inline(always)]
    fn realloc(&self, block: Block, size: usize) -> Block {
        // SAFETY: the table's fourth word is a function of this type.
        let function: unsafe extern "C" fn(usize, Block, usize) -> Block =
            unsafe { core::mem::transmute(self.original(3)) };
        // SAFETY: with its own context and the caller's arguments.
        unsafe { function(self.original(0), block, size) }
    }

    #[inline(always)]
    fn free(&self, block: Block) {
        // SAFETY: the table's fifth word is a function of this type.
        let function: unsafe extern "C" fn(usize, Block) =
            unsafe { core::mem::transmute(self.original(FREE)) };
        // SAFETY: with its own context and the caller's argument.
        unsafe { function(self.original(0), block) }
    }
}
