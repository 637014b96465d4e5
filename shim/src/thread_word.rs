//! The one word of thread-local memory: where this thread's state is.
//!
//! Initial-exec TLS written out by hand: `thread_local!` in a cdylib calls `__tls_get_addr`, which allocates on a thread's first use.
//! Eight bytes always fit into the static block that the loader keeps for objects loaded at start.

use core::arch::{asm, global_asm};

global_asm!(
    ".pushsection .tbss.heapshim_thread_word,\"awT\",@nobits",
    ".p2align 3",
    ".globl heapshim_thread_word",
    ".hidden heapshim_thread_word",
    ".type heapshim_thread_word,@object",
    ".size heapshim_thread_word, 8",
    "heapshim_thread_word:",
    ".zero 8",
    ".popsection",
);

/// This thread's word; 0 at the thread's start.
#[inline(always)]
pub(crate) fn get() -> usize {
    let value: usize;
    // SAFETY: reads eight bytes at the offset from fs that the loader resolved for our TLS symbol.
    unsafe {
        asm!("mov {value}, qword ptr [rip + heapshim_thread_word@GOTTPOFF]", "mov {value}, qword ptr fs:[{value}]",
            value = out(reg) value, options(nostack, readonly, preserves_flags));
    }
    value
}

/// Sets this thread's word.
#[inline(always)]
pub(crate) fn set(value: usize) {
    // SAFETY: as `get`, writing.
    unsafe {
        asm!("mov {offset}, qword ptr [rip + heapshim_thread_word@GOTTPOFF]", "mov qword ptr fs:[{offset}], {value}",
            offset = out(reg) _, value = in(reg) value, options(nostack, preserves_flags));
    }
}

/// The thread control block's address: fs:0 holds it (ELF TLS ABI for x86-64). glibc puts it at the top of a thread's stack.
#[inline(always)]
pub(crate) fn control_block() -> usize {
    let value: usize;
    // SAFETY: the ABI makes the first word at fs the block's own address.
    unsafe {
        asm!("mov {value}, qword ptr fs:[0]", value = out(reg) value, options(nostack, readonly, pure, preserves_flags));
    }
    value
}
