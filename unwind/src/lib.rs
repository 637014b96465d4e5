//! The stack walk: from the registers of a function's caller to the addresses of all its callers.
//!
//! **Our part**: to turn the bytes of a module's `.eh_frame_hdr` and `.eh_frame` into a [`Rule`] for one address
//! ([`Section::rule`]); to apply a rule ([`Rule::step`]); to walk ([`walk`]); and to remember a thread's last walk, so that
//! the next one looks at the frames that are new and only compares the rest with memory ([`Memo`]).
//!
//! **Your part**: to know which modules there are and where, to keep the rules (a [`Rule`] is two words, [`Rule::to_words`]),
//! to say what memory may be read ([`Memory`]), and to forget memo and rules when a module goes ([`Memo::clear`]).
//!
//! ```
//! use heapshim_unwind::{Frame, Registers, Rule, RuleError, Rules, Section, walk};
//!
//! /// The rules of one module; with several, the one that holds the pc is asked.
//! struct Module<'a>(Section<'a>);
//! impl Rules for Module<'_> {
//!     fn rule(&mut self, pc: u64, _exact: bool) -> Result<Rule, RuleError> {
//!         self.0.rule(pc)
//!     }
//! }
//!
//! /// Return addresses from a function's caller outwards; `read` gives the word at an address of the stack, or None where nothing is known to be there.
//! fn callers(mut module: Module<'_>, registers: Registers, mut read: impl FnMut(u64) -> Option<u64>) -> Vec<u64> {
//!     let mut frames = [Frame::default(); 64];
//!     let walked = walk(registers, &mut module, &mut read, &mut frames);
//!     frames[..walked.len].iter().map(|frame| frame.address).collect()
//! }
//! ```
//!
//! **Sources**: DWARF 5, 6.4 (rows, rules, expressions); the System V ABI for AMD64, 3.6.2 (numbers of registers); the Linux Standard Base 5.0,
//! Core, 10.6 (`.eh_frame`, `.eh_frame_hdr`). gimli reads the tables. Addresses are the process's own, sizes are bytes.
//!
//! **Not for**: exceptions (no landing pads are run), other processes' stacks without care (a rule trusts the values that it
//! reads), symbols, or code without unwind tables.
//!
//! Everything here may run in a signal handler, inside malloc: no allocation, no lock, no system call, no panic, no unsafe
//! code, bounded loops. `Section::rule`, the deepest user of stack, stays below 2 KiB, a walk below 896 bytes (tests paint
//! the stack to know). A walk of 29 frames takes about 500 ns by rules and 75 ns from the memo, with rules in a small table;
//! one that is too deep for 128 places, 2 to 3 µs by rules and 0.25 to 0.6 µs from the memo, also while the depth changes.
#![cfg_attr(not(test), no_std)]
#![cfg_attr(not(test), forbid(unsafe_code))]

#[cfg(test)]
mod calls;
mod chain;
mod compile;
mod entry;
mod fresh;
mod memo;
mod outwards;
mod plain;
mod recent;
mod row;
mod section;
#[cfg(test)]
mod stale;
mod steps;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod trees;
mod usual;
mod walk;
mod words;
#[cfg(test)]
mod worlds;

#[cfg(target_arch = "x86_64")]
#[path = "x86_64/mod.rs"]
mod arch;
#[cfg(not(target_arch = "x86_64"))]
compile_error!(
    "heapshim-unwind knows x86_64 only: another architecture is a folder with the same files"
);

pub use arch::{Registers, Rule, SAVED};
pub use entry::Entry;
pub use memo::{Lean, Memo};
pub use outwards::caller_registers;
pub use section::{RuleError, Section};
pub use walk::{End, Frame, Memory, Rules, Step, WalkError, Walked, walk};
pub use words::{Run, Word};
