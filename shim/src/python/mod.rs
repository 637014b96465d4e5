//! CPython in the target: the frames that a thread runs, and its objects, which malloc never sees.
//!
//! `interpreter` is found when an object is learnt, and compared with the `layout` of its version. For each event `stack::mixed` has `frames` bring
//! the thread's frames up to date (`chain` says how they are linked), and `codes` say what each is in the ledger. Its allocators are wrapped by `allocators`; `objects` are the events (`passing` those of which
//! nothing is recorded), and `shadow` knows each live one.

pub(crate) mod allocators;
pub(crate) mod chain;
pub(crate) mod codes;
mod compare;
pub(crate) mod frames;
pub(crate) mod interpreter;
pub(crate) mod layout;
mod line_table;
mod objects;
mod passing;
pub(crate) mod peek;
pub(crate) mod shadow;
mod text;
pub(crate) mod watched;

pub(crate) use watched::code_freed;
