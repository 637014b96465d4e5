//! From the frames of a snapshot to source lines: the stage between `snapshot` and `blame`.
//!
//! [`Symbolizer`] is all that other stages call. Below it, one concept a file: `frame` (what comes out, and why something
//! did not), `cache` (which module, which address, asked once), `meaning` (the same frames have one number), `kept` (the answers of earlier runs), `records` (answers as bytes),
//! `module` (all that there is of one), `elf` (a file's sections), `inflate`, `dwarf` (lines and inlined functions), `split` (their parts
//! in other files), `wrapper` (which functions merely pass on what an allocator gave), `symbols` (names where there is no more),
//! `separate` (debug files that lie elsewhere), `lines` (whether a module has any, for `doctor`), `live` and `image` (what a running
//! target still has), `python` (what an interpreter has said itself), `jit` (what others say of the code that they make),
//! `demangle` and `outline`, `open`, `progress`.
//!
//! The files are named by the target, which may be hostile: nothing here trusts a size, an offset or a path, an address that
//! cannot be resolved is a frame with a [`Reason`], never an error, and a panic in a reader of such a file is one too
//! (`contain`). Files are read, not mapped: a
//! mapped file that somebody truncates kills the reader.
//!
//! Not here: downloads of debug information.

mod cache;
#[cfg(test)]
mod compiled;
mod contain;
mod demangle;
mod dwarf;
mod elf;
mod frame;
mod image;
mod inflate;
mod jit;
mod kept;
mod lines;
mod live;
mod meaning;
mod module;
mod open;
mod outline;
mod progress;
mod python;
pub mod records;
mod rights;
mod separate;
mod split;
mod symbols;
mod wrapper;

pub use cache::{Options, Symbolizer};
pub use frame::{Language, Reason, Stack, SymbolFrame};
pub use jit::MapFile;
pub use kept::kept_directory;
pub use lines::{Lines, lines_of};
pub use meaning::MeaningId;
pub use open::{open_as, resolve_in};
pub use progress::Progress;
pub use python::absolute;
