//! The hooks: what a trampoline calls. Each keeps the order that its operation needs.
//!
//! malloc: guard → real → record. free: guard → record → real, else another thread gets the address before its old entry is gone. Where the real one calls nobody
//! (`real::calls_nobody`), the guard ends before it, so that nothing would be nested in it but signal handlers, whose stacks then are whole.
//! realloc: guard → take the old entry out → real → charge old and new, or put the old entry back where it failed: the real
//! realloc may hand the old address to another thread before it returns, so the entry must be out by then, and a block that was not
//! moved after all must keep its account.
//! errno is the allocator's: nothing in the record path calls into libc.

use crate::entry::Entry;
use crate::real::{self, Block};
use crate::record::{Event, Guard};
use crate::sys::set_errno;
use crate::{light, own, record};
use core::ffi::c_int;

/// malloc, where each event is recorded.
pub(crate) extern "C" fn on_malloc(size: usize, entry: &Entry) -> Block {
    allocate_exactly(entry, size, || real::malloc(size))
}

/// malloc in another mode, where there is nothing to record; else `light::NOT_YET`.
pub(crate) extern "C" fn on_light_malloc(size: usize, entry: &Entry) -> Block {
    light::allocate(entry, size, || real::malloc(size))
}

/// malloc in another mode.
pub(crate) extern "C" fn on_other_malloc(size: usize, entry: &Entry) -> Block {
    allocate_otherwise(entry, size, || real::malloc(size))
}

/// calloc, where each event is recorded.
pub(crate) extern "C" fn on_calloc(count: usize, size: usize, entry: &Entry) -> Block {
    allocate_exactly(entry, count.wrapping_mul(size), || {
        real::calloc(count, size)
    })
}

/// calloc in another mode, where there is nothing to record; else `light::NOT_YET`.
pub(crate) extern "C" fn on_light_calloc(count: usize, size: usize, entry: &Entry) -> Block {
    light::allocate(entry, count.wrapping_mul(size), || {
        real::calloc(count, size)
    })
}

/// calloc in another mode.
pub(crate) extern "C" fn on_other_calloc(count: usize, size: usize, entry: &Entry) -> Block {
    allocate_otherwise(entry, count.wrapping_mul(size), || {
        real::calloc(count, size)
    })
}

pub(crate) extern "C" fn on_aligned_alloc(align: usize, size: usize, entry: &Entry) -> Block {
    allocate(entry, size, || real::aligned_alloc(align, size))
}

pub(crate) extern "C" fn on_memalign(align: usize, size: usize, entry: &Entry) -> Block {
    allocate(entry, size, || real::memalign(align, size))
}

pub(crate) extern "C" fn on_valloc(size: usize, entry: &Entry) -> Block {
    allocate(entry, size, || real::valloc(size))
}

pub(crate) extern "C" fn on_pvalloc(size: usize, entry: &Entry) -> Block {
    allocate(entry, size, || real::pvalloc(size))
}

pub(crate) extern "C" fn on_mallocx(size: usize, flags: c_int, entry: &Entry) -> Block {
    allocate(entry, size, || real::mallocx(size, flags))
}

pub(crate) extern "C" fn on_posix_memalign(
    out: *mut Block,
    align: usize,
    size: usize,
    entry: &Entry,
) -> c_int {
    let hook = record::enter(entry);
    let status = real::posix_memalign(out, align, size);
    if let Some(hook) = hook.as_ref().filter(|_| status == 0) {
        // SAFETY: posix_memalign has just stored the block there.
        hook.allocated(unsafe { out.read() }, size);
    }
    status
}

pub(crate) extern "C" fn on_realloc(block: Block, size: usize, entry: &Entry) -> Block {
    reallocate(entry, block, size, || real::realloc(block, size))
}

/// glibc's reallocarray calls realloc through us, which would be a second event: so the product is formed here.
pub(crate) extern "C" fn on_reallocarray(
    block: Block,
    count: usize,
    size: usize,
    entry: &Entry,
) -> Block {
    match count.checked_mul(size) {
        Some(bytes) => reallocate(entry, block, bytes, || real::realloc(block, bytes)),
        None => {
            set_errno(libc::ENOMEM);
            core::ptr::null_mut()
        }
    }
}

pub(crate) extern "C" fn on_rallocx(
    block: Block,
    size: usize,
    flags: c_int,
    entry: &Entry,
) -> Block {
    reallocate(entry, block, size, || real::rallocx(block, size, flags))
}

/// Grows or shrinks in place; returns the size that the block has then, which is what it is charged with where that is less than
/// what was asked for.
pub(crate) extern "C" fn on_xallocx(
    block: Block,
    size: usize,
    extra: usize,
    flags: c_int,
    entry: &Entry,
) -> usize {
    let hook = record::enter(entry);
    let now = real::xallocx(block, size, extra, flags);
    if let Some(hook) = hook.as_ref().filter(|_| now >= size) {
        hook.freed(block);
        hook.allocated(block, size);
    }
    now
}

/// free in a mode that is not exact, where there is nothing to record.
pub(crate) extern "C" fn on_light_free(block: Block, return_address: u64) -> usize {
    light::free(return_address, block)
}

/// free where each event is recorded, if it is a usual one and the next free may run outside of our guard: its address. Else nothing has happened, and 0.
pub(crate) extern "C" fn on_usual_free(block: Block, entry: &Entry) -> usize {
    match real::leaf_free() {
        0 => 0,
        next => own::release(entry, block, next),
    }
}

pub(crate) extern "C" fn on_free(block: Block, entry: &Entry) {
    release(entry, block, || real::free(block));
}

pub(crate) extern "C" fn on_free_sized(block: Block, size: usize, entry: &Entry) {
    release(entry, block, || real::free_sized(block, size));
}

pub(crate) extern "C" fn on_free_aligned_sized(
    block: Block,
    align: usize,
    size: usize,
    entry: &Entry,
) {
    release(entry, block, || {
        real::free_aligned_sized(block, align, size)
    });
}

pub(crate) extern "C" fn on_sdallocx(block: Block, size: usize, flags: c_int, entry: &Entry) {
    release(entry, block, || real::sdallocx(block, size, flags));
}

pub(crate) extern "C" fn on_dallocx(block: Block, flags: c_int, entry: &Entry) {
    release(entry, block, || real::dallocx(block, flags));
}

#[inline(always)]
fn allocate(entry: &Entry, size: usize, real: impl FnOnce() -> Block) -> Block {
    match own::is_exact() {
        true => allocate_exactly(entry, size, real),
        false => allocate_otherwise(entry, size, real),
    }
}

#[inline(always)]
fn allocate_exactly(entry: &Entry, size: usize, real: impl FnOnce() -> Block) -> Block {
    let Some(hook) = own::enter_exact(entry) else {
        return allocate_otherwise(entry, size, real);
    };
    let block = real();
    hook.allocated(block, size);
    block
}

#[cold]
#[inline(never)]
fn allocate_otherwise(entry: &Entry, size: usize, real: impl FnOnce() -> Block) -> Block {
    if let Some(light) = light::enter(entry) {
        return light.allocate(size, real);
    }
    let hook = record::enter(entry);
    let block = real();
    if let Some(hook) = &hook {
        hook.allocated(block, size);
    }
    block
}

#[inline(always)]
fn release(entry: &Entry, block: Block, real: impl FnOnce()) {
    let Some(hook) = own::enter(entry) else {
        return release_otherwise(entry, block, real);
    };
    hook.freed(block);
    real();
}

#[cold]
#[inline(never)]
fn release_otherwise(entry: &Entry, block: Block, real: impl FnOnce()) {
    if light::is_nothing(entry.return_address, || light::holds(block)) {
        return real();
    }
    let hook = record::enter(entry);
    if let Some(hook) = &hook {
        hook.freed(block);
    }
    real();
}

#[inline(always)]
fn reallocate(entry: &Entry, block: Block, size: usize, real: impl Fn() -> Block) -> Block {
    match own::enter(entry) {
        Some(hook) => reallocated(&hook, block, size, real),
        None => reallocate_otherwise(entry, block, size, real),
    }
}

#[cold]
#[inline(never)]
fn reallocate_otherwise(
    entry: &Entry,
    block: Block,
    size: usize,
    real: impl Fn() -> Block,
) -> Block {
    if let Some(moved) = light::reallocate(entry, block, size, &real) {
        return moved;
    }
    match record::enter(entry) {
        Some(hook) => reallocated(&hook, block, size, real),
        None => real(),
    }
}

#[inline(always)]
fn reallocated<G: Guard>(
    hook: &Event<'_, G>,
    block: Block,
    size: usize,
    real: impl Fn() -> Block,
) -> Block {
    let taken = hook.take(block);
    let moved = real();
    match (moved.is_null(), size) {
        (true, 1..) => hook.put_back(block, taken),
        // glibc: realloc(block, 0) frees the block and returns NULL.
        (true, 0) => hook.charge_freed(block, taken),
        (false, _) => {
            hook.charge_freed(block, taken);
            hook.allocated(moved, size);
        }
    }
    moved
}
