//! Fuzz targets: each reader of bytes that a hostile process or file may have written, with what it promises of any bytes.
//!
//! Our part: a function a target, which takes bytes apart into an input, calls the reader as the command or the shim does, and asserts what that
//! promises beyond 'no panic'; and seeds, whole inputs from which mutations begin. `cargo xtask fuzz` runs them under libFuzzer, which
//! looks for new paths by coverage; what it kept lies in `corpus/NAME/`, and `tests/corpus.rs` runs all of that, and some thousand
//! mutations, wherever the tests run. A find is a file there from then on.
//!
//! Not for: readers that maintained libraries bring (ELF, DWARF, compression); `cli/src/symbolize/contain.rs` holds what they do.

mod ledger;
mod line_table;
mod mark;
mod mutate;
mod notes;
mod perf_map;
mod python;
mod rules;
mod scratch;
mod smaps;
mod suppressions;
mod trace;

pub use mutate::Mutator;

/// One reader.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name: that of its directory in `corpus/`.
    pub name: &'static str,
    /// Reads these bytes. Panics where a promise is broken.
    pub run: fn(&[u8]),
    /// Whole inputs.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// All of them.
pub const TARGETS: [Target; 10] = [
    ledger::TARGET,
    ledger::KEPT,
    line_table::TARGET,
    mark::TARGET,
    notes::TARGET,
    perf_map::TARGET,
    rules::TARGET,
    smaps::TARGET,
    suppressions::TARGET,
    trace::TARGET,
];

/// The target of this name.
#[must_use]
pub fn target(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}
