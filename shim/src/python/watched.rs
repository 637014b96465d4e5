//! Blocks whose end somebody wants to know of: code objects, which are known by their address as long as they live.
//!
//! `watch` marks the block's entry in whichever shadow has it; that shadow's `take` calls `code_freed` when the block goes, before the
//! allocator has it back, so that no other object can have its address before everybody was told.

use super::shadow as objects;
use crate::shadow;
use heapshim_ledger::sync::{AtomicU32, Word};

/// Where an object may begin in its block: CPython's debug allocator puts 16 bytes in front (its size and markers; Objects/obmalloc.c, `2*SST`),
/// and a second one does so again, where pymalloc has nothing for an object's size and goes to the RAW domain.
pub(crate) const OFFSETS: [usize; 3] = [0, 16, 32];

/// Raised whenever a watched object went.
static GENERATION: AtomicU32 = AtomicU32::new(1);
/// The same by the object's address: those that share a place are looked up anew together. 16 KiB, so that a program that makes and drops
/// code all the time has what lives looked up again once in 4,096 ends.
static ENDS: [AtomicU32; 4096] = [const { AtomicU32::new(0) }; 4096];

/// Watches the object at an address; false where no shadow knows its block (it was made before tracing began, or is part of the program's
/// own data). The caller keeps the object alive meanwhile.
pub(crate) fn watch(object: usize) -> bool {
    let blocks = OFFSETS.map(|offset| object.wrapping_sub(offset));
    objects::watch(object) || blocks.into_iter().any(shadow::watch)
}

/// A watched block goes: the object that begins at one of [`OFFSETS`] in it is about to be freed, or to be moved by a realloc.
#[cold]
#[inline(never)]
pub(crate) fn code_freed(block: usize) {
    for offset in OFFSETS {
        end_of(block.wrapping_add(offset) as u64).add_shared(1);
    }
    GENERATION.add_shared(1);
}

/// All code objects went: another interpreter has come in the place of theirs.
#[cold]
pub(crate) fn all_freed() {
    for end in &ENDS {
        end.add_shared(1);
    }
    GENERATION.add_shared(1);
}

/// Raised whenever a watched object went: whoever remembers anything by a code object's address compares `generation_of` then.
#[inline(always)]
pub(crate) fn code_generation() -> u32 {
    GENERATION.observe()
}

/// Raised when the watched object at an address went (or another one, in some thousand cases). Never 0, before 2^32 ends.
#[inline(always)]
pub(crate) fn generation_of(object: u64) -> u32 {
    end_of(object).observe().wrapping_add(1)
}

#[inline(always)]
fn end_of(object: u64) -> &'static AtomicU32 {
    let spread = object.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - ENDS.len().trailing_zeros());
    let [first, ..] = &ENDS;
    ENDS.get(usize::try_from(spread).unwrap_or(0))
        .unwrap_or(first)
}

/// Held by a test that watches anything: ends are counted for the whole process, and tests run side by side.
#[cfg(test)]
#[expect(clippy::disallowed_types, reason = "tests may block, hooks may not")]
pub(crate) fn alone() -> std::sync::MutexGuard<'static, ()> {
    static ONE_TEST: std::sync::Mutex<()> = std::sync::Mutex::new(());
    ONE_TEST
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}
