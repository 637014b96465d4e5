//! What is x86-64 about the walk: its registers, its rules, and what its DWARF expressions look like.
//!
//! Another architecture is a folder with the same file names; the rest of the crate uses nothing of here but what is
//! re-exported. It deliberately covers only what compilers, glibc and binutils write.

mod dwarf;
mod registers;
mod rule;

pub(crate) use dwarf::{
    RETURN_ADDRESS, STACK_POINTER, cfa_expression, place_expression, rule_of_row, saved_index,
};
pub(crate) use registers::ALL;
pub use registers::{Registers, SAVED};
pub use rule::Rule;
