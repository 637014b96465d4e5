//! Every symbol of an allocator that the shim exports, written out: this is the file to grep for a name.
//!
//! A target's call lands here because the loader searches a preloaded object before all others. Each function is a trampoline
//! (`entry`) into its hook (`hooks`), or, for C++'s operators, a jump that `operators` decides. Nothing else is exported but the
//! descriptor functions (`descriptors`) and the C interface (`inside`). Under test the names stay Rust's, or the
//! test's own malloc would be replaced.

#![allow(non_snake_case, reason = "the names are the Itanium C++ ABI's")]
#![allow(missing_debug_implementations, reason = "functions only")]
#![allow(
    clippy::missing_safety_doc,
    reason = "C's contracts, by the manual page named at each"
)]

use crate::entry::{enter, enter_allocate, enter_free, enter_reallocate, enter_release};
use crate::hooks;
use crate::operators::{Operator, Shape, forward};
use crate::real::Block;
use core::ffi::c_int;

/// malloc(3).
#[cfg_attr(not(test), unsafe(no_mangle))]
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn malloc(size: usize) -> Block {
    enter_allocate!(
        hooks::on_malloc,
        hooks::on_light_malloc,
        hooks::on_other_malloc,
        malloc,
        "mov rcx, rdi",
        "rsi"
    )
}

/// malloc(3).
#[cfg_attr(not(test), unsafe(no_mangle))]
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn calloc(count: usize, size: usize) -> Block {
    enter_allocate!(
        hooks::on_calloc,
        hooks::on_light_calloc,
        hooks::on_other_calloc,
        calloc,
        "mov rcx, rdi
        imul rcx, rsi",
        "rdx"
    )
}

/// malloc(3).
#[cfg_attr(not(test), unsafe(no_mangle))]
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn realloc(block: Block, size: usize) -> Block {
    enter_reallocate!(hooks::on_realloc, realloc, "rdx")
}

/// malloc(3).
#[cfg_attr(not(test), unsafe(no_mangle))]
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn reallocarray(block: Block, count: usize, size: usize) -> Block {
    enter!(hooks::on_reallocarray, "rcx")
}

/// malloc(3).
#[cfg_attr(not(test), unsafe(no_mangle))]
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn free(block: Block) {
    enter_free!(
        hooks::on_usual_free,
        hooks::on_light_free,
        hooks::on_free,
        free
    )
}

/// posix_memalign(3).
#[cfg_attr(not(test), unsafe(no_mangle))]
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn posix_memalign(
    out: *mut Block,
    align: usize,
    size: usize,
) -> c_int {
    enter!(hooks::on_posix_memalign, "rcx")
}

/// posix_memalign(3).
#[cfg_attr(not(test), unsafe(no_mangle))]
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn aligned_alloc(align: usize, size: usize) -> Block {
    enter!(hooks::on_aligned_alloc, "rdx")
}

/// posix_memalign(3).
#[cfg_attr(not(test), unsafe(no_mangle))]
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn memalign(align: usize, size: usize) -> Block {
    enter!(hooks::on_memalign, "rdx")
}

/// posix_memalign(3).
#[cfg_attr(not(test), unsafe(no_mangle))]
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn valloc(size: usize) -> Block {
    enter!(hooks::on_valloc, "rsi")
}

/// posix_memalign(3).
#[cfg_attr(not(test), unsafe(no_mangle))]
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn pvalloc(size: usize) -> Block {
    enter!(hooks::on_pvalloc, "rsi")
}

/// C23 7.24.3.4.
#[cfg_attr(not(test), unsafe(no_mangle))]
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn free_sized(block: Block, size: usize) {
    enter_release!(hooks::on_free_sized, "rdx")
}

/// C23 7.24.3.5.
#[cfg_attr(not(test), unsafe(no_mangle))]
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn free_aligned_sized(block: Block, align: usize, size: usize) {
    enter_release!(hooks::on_free_aligned_sized, "rcx")
}

/// cfree(3), gone from glibc in 2.26; old programs still call it.
#[cfg_attr(not(test), unsafe(no_mangle))]
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn cfree(block: Block) {
    enter_free!(
        hooks::on_usual_free,
        hooks::on_light_free,
        hooks::on_free,
        free
    )
}

/// jemalloc(3).
#[cfg_attr(not(test), unsafe(no_mangle))]
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn mallocx(size: usize, flags: c_int) -> Block {
    enter!(hooks::on_mallocx, "rdx")
}

/// jemalloc(3).
#[cfg_attr(not(test), unsafe(no_mangle))]
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn rallocx(block: Block, size: usize, flags: c_int) -> Block {
    enter!(hooks::on_rallocx, "rcx")
}

/// jemalloc(3).
#[cfg_attr(not(test), unsafe(no_mangle))]
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn xallocx(
    block: Block,
    size: usize,
    extra: usize,
    flags: c_int,
) -> usize {
    enter!(hooks::on_xallocx, "r8")
}

/// jemalloc(3).
#[cfg_attr(not(test), unsafe(no_mangle))]
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn sdallocx(block: Block, size: usize, flags: c_int) {
    enter_release!(hooks::on_sdallocx, "rcx")
}

/// jemalloc(3).
#[cfg_attr(not(test), unsafe(no_mangle))]
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn dallocx(block: Block, flags: c_int) {
    enter_release!(hooks::on_dallocx, "rdx")
}

/// malloc_usable_size(3): passed on.
#[cfg_attr(not(test), unsafe(no_mangle))]
pub(crate) unsafe extern "C" fn malloc_usable_size(block: Block) -> usize {
    crate::real::usable_size(block)
}

static NEW: Operator = Operator::new(c"_Znwm", Shape::New(c"_ZnwmRKSt9nothrow_t"));
/// operator new(size).
#[cfg_attr(not(test), unsafe(no_mangle))]
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn _Znwm() {
    forward!(NEW)
}

static NEW_ARRAY: Operator = Operator::new(c"_Znam", Shape::New(c"_ZnamRKSt9nothrow_t"));
/// operator new[](size).
#[cfg_attr(not(test), unsafe(no_mangle))]
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn _Znam() {
    forward!(NEW_ARRAY)
}

static NEW_NOTHROW: Operator = Operator::new(c"_ZnwmRKSt9nothrow_t", Shape::NewNothrow);
/// operator new(size, nothrow).
#[cfg_attr(not(test), unsafe(no_mangle))]
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn _ZnwmRKSt9nothrow_t() {
    forward!(NEW_NOTHROW)
}

static NEW_ARRAY_NOTHROW: Operator = Operator::new(c"_ZnamRKSt9nothrow_t", Shape::NewNothrow);
/// operator new[](size, nothrow).
#[cfg_attr(not(test), unsafe(no_mangle))]
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn _ZnamRKSt9nothrow_t() {
    forward!(NEW_ARRAY_NOTHROW)
}

static NEW_ALIGNED: Operator = Operator::new(
    c"_ZnwmSt11align_val_t",
    Shape::NewAligned(c"_ZnwmSt11align_val_tRKSt9nothrow_t"),
);
/// operator new(size, align).
#[cfg_attr(not(test), unsafe(no_mangle))]
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn _ZnwmSt11align_val_t() {
    forward!(NEW_ALIGNED)
}

static NEW_ARRAY_ALIGNED: Operator = Operator::new(
    c"_ZnamSt11align_val_t",
    Shape::NewAligned(c"_ZnamSt11align_val_tRKSt9nothrow_t"),
);
/// operator new[](size, align).
#[cfg_attr(not(test), unsafe(no_mangle))]
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn _ZnamSt11align_val_t() {
    forward!(NEW_ARRAY_ALIGNED)
}

static NEW_ALIGNED_NOTHROW: Operator = Operator::new(
    c"_ZnwmSt11align_val_tRKSt9nothrow_t",
    Shape::NewAlignedNothrow,
);
/// operator new(size, align, nothrow).
#[cfg_attr(not(test), unsafe(no_mangle))]
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn _ZnwmSt11align_val_tRKSt9nothrow_t() {
    forward!(NEW_ALIGNED_NOTHROW)
}

static NEW_ARRAY_ALIGNED_NOTHROW: Operator = Operator::new(
    c"_ZnamSt11align_val_tRKSt9nothrow_t",
    Shape::NewAlignedNothrow,
);
/// operator new[](size, align, nothrow).
#[cfg_attr(not(test), unsafe(no_mangle))]
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn _ZnamSt11align_val_tRKSt9nothrow_t() {
    forward!(NEW_ARRAY_ALIGNED_NOTHROW)
}

static DELETE: Operator = Operator::new(c"_ZdlPv", Shape::Delete);
/// operator delete(block).
#[cfg_attr(not(test), unsafe(no_mangle))]
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn _ZdlPv() {
    forward!(DELETE)
}

static DELETE_SIZED: Operator = Operator::new(c"_ZdlPvm", Shape::Delete);
/// operator delete(block, size).
#[cfg_attr(not(test), unsafe(no_mangle))]
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn _ZdlPvm() {
    forward!(DELETE_SIZED)
}

static DELETE_ALIGNED: Operator = Operator::new(c"_ZdlPvSt11align_val_t", Shape::Delete);
/// operator delete(block, align).
#[cfg_attr(not(test), unsafe(no_mangle))]
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn _ZdlPvSt11align_val_t() {
    forward!(DELETE_ALIGNED)
}

static DELETE_SIZED_ALIGNED: Operator = Operator::new(c"_ZdlPvmSt11align_val_t", Shape::Delete);
/// operator delete(block, size, align).
#[cfg_attr(not(test), unsafe(no_mangle))]
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn _ZdlPvmSt11align_val_t() {
    forward!(DELETE_SIZED_ALIGNED)
}

static DELETE_NOTHROW: Operator = Operator::new(c"_ZdlPvRKSt9nothrow_t", Shape::Delete);
/// operator delete(block, nothrow).
#[cfg_attr(not(test), unsafe(no_mangle))]
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn _ZdlPvRKSt9nothrow_t() {
    forward!(DELETE_NOTHROW)
}

static DELETE_ALIGNED_NOTHROW: Operator =
    Operator::new(c"_ZdlPvSt11align_val_tRKSt9nothrow_t", Shape::Delete);
/// operator delete(block, align, nothrow).
#[cfg_attr(not(test), unsafe(no_mangle))]
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn _ZdlPvSt11align_val_tRKSt9nothrow_t() {
    forward!(DELETE_ALIGNED_NOTHROW)
}

static DELETE_ARRAY: Operator = Operator::new(c"_ZdaPv", Shape::Delete);
/// operator delete[](block).
#[cfg_attr(not(test), unsafe(no_mangle))]
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn _ZdaPv() {
    forward!(DELETE_ARRAY)
}

static DELETE_ARRAY_SIZED: Operator = Operator::new(c"_ZdaPvm", Shape::Delete);
/// operator delete[](block, size).
#[cfg_attr(not(test), unsafe(no_mangle))]
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn _ZdaPvm() {
    forward!(DELETE_ARRAY_SIZED)
}

static DELETE_ARRAY_ALIGNED: Operator = Operator::new(c"_ZdaPvSt11align_val_t", Shape::Delete);
/// operator delete[](block, align).
#[cfg_attr(not(test), unsafe(no_mangle))]
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn _ZdaPvSt11align_val_t() {
    forward!(DELETE_ARRAY_ALIGNED)
}

static DELETE_ARRAY_SIZED_ALIGNED: Operator =
    Operator::new(c"_ZdaPvmSt11align_val_t", Shape::Delete);
/// operator delete[](block, size, align).
#[cfg_attr(not(test), unsafe(no_mangle))]
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn _ZdaPvmSt11align_val_t() {
    forward!(DELETE_ARRAY_SIZED_ALIGNED)
}

static DELETE_ARRAY_NOTHROW: Operator = Operator::new(c"_ZdaPvRKSt9nothrow_t", Shape::Delete);
/// operator delete[](block, nothrow).
#[cfg_attr(not(test), unsafe(no_mangle))]
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn _ZdaPvRKSt9nothrow_t() {
    forward!(DELETE_ARRAY_NOTHROW)
}

static DELETE_ARRAY_ALIGNED_NOTHROW: Operator =
    Operator::new(c"_ZdaPvSt11align_val_tRKSt9nothrow_t", Shape::Delete);
/// operator delete[](block, align, nothrow).
#[cfg_attr(not(test), unsafe(no_mangle))]
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn _ZdaPvSt11align_val_tRKSt9nothrow_t() {
    forward!(DELETE_ARRAY_ALIGNED_NOTHROW)
}

/// All operators, for start-up.
pub(crate) static OPERATORS: [&Operator; 20] = [
    &NEW,
    &NEW_ARRAY,
    &NEW_NOTHROW,
    &NEW_ARRAY_NOTHROW,
    &NEW_ALIGNED,
    &NEW_ARRAY_ALIGNED,
    &NEW_ALIGNED_NOTHROW,
    &NEW_ARRAY_ALIGNED_NOTHROW,
    &DELETE,
    &DELETE_SIZED,
    &DELETE_ALIGNED,
    &DELETE_SIZED_ALIGNED,
    &DELETE_NOTHROW,
    &DELETE_ALIGNED_NOTHROW,
    &DELETE_ARRAY,
    &DELETE_ARRAY_SIZED,
    &DELETE_ARRAY_ALIGNED,
    &DELETE_ARRAY_SIZED_ALIGNED,
    &DELETE_ARRAY_NOTHROW,
    &DELETE_ARRAY_ALIGNED_NOTHROW,
];
