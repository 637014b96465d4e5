//! The live view: what `heapshim top` shows, without the terminal that it shows it on.
//!
//! `State` is what is looked at and how, `key` what a key makes of it, `view` draws it into a buffer of cells; each reading of the target is
//! an ordinary [`Report`], so that the screen and `diff` cannot say different things. The command (bin) owns the terminal, the clock and the
//! marks; it does what a key `Ask`s for. Nothing here reads a file, a clock or a terminal: tests give reports and keys, and compare text.

mod history;
mod key;
mod lines;
mod overlay;
mod state;
mod view;

pub use key::Ask;
pub use state::{Other, Reading, State};
pub use view::draw;

#[cfg(doc)]
use crate::report::Report;
