//! `libheapshim.so`: runs inside the target, from before main until after exit, in every thread, signal handler and forked child.
//!
//! Rules of the house: a hook does not allocate, lock, wait, panic, format or print; it keeps errno; it reads only memory that
//! is known to be there (`bounds`) and makes only system calls that `sys` lists. There is no `std` here, so that nothing
//! can do so behind our back. What cannot be accounted for is counted, and shown by the command.
//!
//! The path of one malloc:
//! ```text
//! interpose ─ entry ─▶ hooks ─▶ own ─▶ real                           the next allocator gives the block
//!  (exported) (registers)        │ guard, thread; what is not usual goes through `record` instead
//!                                ├─▶ stack ─▶ rules ─▶ modules ─▶ loader   whose stack is it?   walk → trie → site
//!                                ├─▶ shadow                                block → (site, size)
//!                                ├─▶ ledger counters                       site += bytes, blocks
//!                                └─▶ rings                                 the event, while a reader wants events
//! ```
#![cfg_attr(feature = "freestanding", no_std)]
#![cfg_attr(
    test,
    allow(
        dead_code,
        reason = "under test nothing is exported, so that most of it is not reached"
    )
)]

mod bounds;
mod cohorts;
mod descriptors;
mod elf;
mod entry;
mod filters;
mod forks;
mod highest;
mod hooks;
mod inside;
mod interpose;
mod jumps;
mod kept_file;
mod label;
mod ledger_file;
mod light;
mod loader;
mod locking;
mod memory;
mod modules;
mod objects;
mod operators;
mod options;
mod own;
mod passing;
mod python;
mod radix;
mod real;
mod record;
mod return_address;
mod rings;
mod rules;
mod sampled_pages;
mod sampling;
mod shadow;
mod stack;
mod start;
mod sys;
mod temporaries;
mod thread;
mod thread_word;
mod tracer;

// The precompiled core refers to it although nothing unwinds here. Hidden: exported, it would replace that of a target's libstd.so.
#[cfg(feature = "freestanding")]
core::arch::global_asm!(
    ".globl rust_eh_personality",
    ".hidden rust_eh_personality",
    "rust_eh_personality:",
    "ud2"
);

/// Nothing here is meant to panic; should it happen all the same, the target must not go on with a damaged account.
#[cfg(feature = "freestanding")]
#[panic_handler]
fn on_panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // SAFETY: abort takes no arguments and does not return.
    unsafe { libc::abort() }
}
