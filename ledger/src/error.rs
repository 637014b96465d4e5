//! What can be wrong with a ledger, with the operands that show it. Made by `extent` and `reader`, shown by the command.

use core::fmt;

/// A ledger that cannot be used as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// The memory ends before what was asked for.
    Short {
        /// Bytes that are there.
        have: u64,
        /// Bytes that were needed.
        need: u64,
    },
    /// The first eight bytes are not the ledger's.
    Magic {
        /// What stood there.
        found: u64,
    },
    /// Written by another version of the shim.
    Version {
        /// What stood there.
        found: u32,
        /// What this code reads.
        expected: u32,
    },
    /// The shim has not finished making it.
    NotReady {
        /// The state word.
        state: u32,
    },
    /// A section lies outside the memory, or overlaps its end, or is misaligned.
    Section {
        /// The section's kind.
        kind: u32,
        /// Its offset in bytes.
        offset: u64,
        /// Its length in bytes.
        bytes: u64,
        /// Bytes that are there.
        total: u64,
    },
    /// A section that every ledger has is not there.
    Missing {
        /// The section's kind.
        kind: u32,
    },
    /// An id or text points outside its section.
    Index {
        /// Which section.
        kind: u32,
        /// The id or offset.
        index: u64,
        /// Entries or bytes that are there.
        len: u64,
    },
    /// A word holds a value that it cannot have.
    Value {
        /// Which section.
        kind: u32,
        /// Which entry.
        index: u64,
        /// What stood there.
        found: u64,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Error::Short { have, need } => {
                write!(f, "ledger too short: {have} bytes, {need} needed")
            }
            Error::Magic { found } => write!(f, "not a ledger: it begins with {found:#018x}"),
            Error::Version { found, expected } => {
                write!(
                    f,
                    "ledger of version {found}, this heapshim reads version {expected}"
                )
            }
            Error::NotReady { state } => write!(f, "ledger not ready yet (state {state})"),
            Error::Section {
                kind,
                offset,
                bytes,
                total,
            } => {
                write!(
                    f,
                    "damaged ledger: section {kind} is {bytes} bytes at {offset} of {total}"
                )
            }
            Error::Missing { kind } => write!(f, "damaged ledger: section {kind} is missing"),
            Error::Index { kind, index, len } => {
                write!(
                    f,
                    "damaged ledger: section {kind} has no entry {index} (it has {len})"
                )
            }
            Error::Value { kind, index, found } => {
                write!(
                    f,
                    "damaged ledger: section {kind}, entry {index} holds {found:#x}"
                )
            }
        }
    }
}

impl core::error::Error for Error {}
