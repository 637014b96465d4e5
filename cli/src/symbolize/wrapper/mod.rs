//! Which functions are mere wrappers of an allocator, whatever they are called.
//!
//! Called by `module` for each frame that has a function of C or C++ in DWARF. A frame is a wrapper's when two things hold:
//!
//! - `signature`, from DWARF: the function takes a size and returns `void *`, or is the `allocate` of a C++ allocator.
//! - `walk`, from the machine code: from its beginning to the call and from there to its return, it does nothing but pass on
//!   what the call gave. What follows where the call gave nothing (an error message, `abort`) does not matter.
//!
//! Below `walk`: `step` (what one instruction does), `state` (what is known of registers and stack), `calls` (functions of the C
//! library that do no harm, or do not return), `code` (the bytes at an address). Whether what was called is itself an allocator or
//! a wrapper is said by the frame inside: that is `blame`'s to see.
//!
//! A wrong "yes" charges somebody else's line, a wrong "no" charges the wrapper's: whatever is not understood is a "no". The code
//! may be hostile: every walk has a budget. Only x86-64; elsewhere nothing is a wrapper but by its name.

mod calls;
mod code;
mod signature;
mod state;
mod step;
mod walk;

pub(super) use code::Code;
pub(super) use signature::{Signature, Units, signature};

/// True where the function with this signature does nothing but pass on what its call that returns to `address` gave it.
pub(super) fn passes_on(code: &Code, signature: &Signature, address: u64) -> bool {
    cfg!(target_arch = "x86_64")
        && if signature.is_inlined {
            walk::part(code, &signature.ranges, address)
        } else {
            walk::whole(code, signature, address)
        }
}
