//! The growth in the forms of other tools: one file a form, each of them a [`Render`] like the reports of our own.
//!
//! Called by `heapshim export`. Forms of stacks (pprof, folded, flamegraph, speedscope, massif, dot) are made of a report by stack, so
//! that they have every stack and not the heaviest of a line; what no stack is known of is a stack of its own, `[not attributed]`. So the
//! numbers of each form add up to the account's, to the byte. Text of the target's is escaped for the form that it goes into.
//!
//! Not here: viewers of our own. docs/EXPORT.md says which viewer answers which question.

mod csv;
mod dot;
mod flamegraph;
mod folded;
mod markdown;
mod massif;
mod pprof;
mod speedscope;
pub(crate) mod stacks;
mod tree;
pub(crate) mod xml;

pub use csv::Csv;
pub use dot::Dot;
pub use flamegraph::Flamegraph;
pub use folded::Folded;
pub use markdown::Markdown;
pub use massif::Massif;
pub use pprof::Pprof;
pub use speedscope::Speedscope;
pub use stacks::below_zero;

#[cfg(doc)]
use crate::render::Render;
