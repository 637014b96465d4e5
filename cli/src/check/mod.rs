//! The gate: whether a command grew more than it may, and by which lines.
//!
//! Called by `heapshim check` with a report for each run, by stack where there are suppressions. `suppressions` leaves out what the user knows of, `sample` adds a
//! report up by line, `verdict` judges, and `text`, `junit` and `github` print. All but reading a file is pure.
//! docs/CHECK.md is the contract: what is judged, and what is not.

mod github;
mod junit;
mod sample;
mod suppressions;
mod text;
mod verdict;

pub use github::github;
pub use junit::junit;
pub use sample::Sample;
pub use suppressions::Suppressions;
pub use text::{sentence, text};
pub use verdict::{Finding, Limits, Repeat, Verdict, judge};
