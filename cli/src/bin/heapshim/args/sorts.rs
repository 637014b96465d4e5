//! `--sort`: what rows are sorted by, and which of it each command offers.
//!
//! Every report parses every word: one that has no meaning for it is refused where it is known why, with what to ask instead (`commands::report`). `--help` and completions offer
//! the others alone.

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Arg, ValueEnum};

/// `--sort`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Sort {
    /// Bytes alive at the second moment, less those at the first
    Growth,
    /// The same in blocks
    Blocks,
    /// Bytes alive at the second moment
    Live,
    /// Bytes allocated between the two, freed since or not
    Total,
    /// How often was allocated between the two
    Allocations,
    /// What was allocated since the first mark and is alive at the second: where `heapshim mark --survivors` took the first, or of a recording
    Survivors,
    /// Blocks that their thread freed by its next operation: where two `heapshim mark`s or the start and now are compared, in exact mode, or of a recording
    Temporary,
}

/// Of what began with the command: no mark stands between.
pub(super) fn of_start(sort: Arg) -> Arg {
    without(sort, &[Sort::Survivors])
}

/// Of a question that has an answer of its own, and no two moments.
pub(super) fn of_one(sort: Arg) -> Arg {
    without(sort, &[Sort::Survivors, Sort::Temporary])
}

/// The same where what is asked about mostly did not stay.
pub(super) fn of_lost(sort: Arg) -> Arg {
    of_one(sort).help("What rows are sorted by, greatest first [default: allocations]")
}

/// Parses these as well, and does not offer them.
fn without(sort: Arg, these: &[Sort]) -> Arg {
    let value = |one: &Sort| Some(one.to_possible_value()?.hide(these.contains(one)));
    let words = PossibleValuesParser::new(Sort::value_variants().iter().filter_map(value));
    sort.value_parser(words.try_map(|word| Sort::from_str(&word, false)))
}
