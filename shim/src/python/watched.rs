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

/// Raised when a watched object goes.
static GENERATION: AtomicU32 = AtomicU32::new(1);

/// Watches the object at an address; false where no shadow knows its block (it was made before tracing began, or is part of the program's
/// own data). The caller keeps the object alive meanwhile.
pub(crate) fn watch(object: usize) -> bool {
    let blocks = OFFSETS.map(|offset| object.wrapping_sub(offset));
    objects::watch(object) || blocks.into_iter().any(shadow::watch)
}

/// A watched block goes: the object that begins at one of [`OFFSETS`] in it is about to be freed, or to be moved by a realloc.
#[cold]
#[inline(never)]
pub(crate) fn code_freed(_block: usize) {
    GENERATION.add_shared(1);
}

/// Raised whenever a watched object went: whoever remembers anything by a code object's address forgets it then.
#[inline(always)]
pub(crate) fn code_generation() -> u32 {
    GENERATION.observe()
}
