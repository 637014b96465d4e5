//! Traces: every event of a process while somebody records, in a file, and the questions that it answers.
//!
//! `record` and `run --record` write one (`recorder`, over `control`, `drain` and `file`); `diff`, `peak`, `temporary`, `lifetimes`, `sizes` and `timeline` read it
//! (`read`, `questions`, `temporaries`, `lifetimes`, `timeline`, `freed`). docs/TRACE.md is the format's description.
//!
//! Invariants: what was written is never changed, so that a file is readable up to its last whole chunk, however it ended; no question needs more
//! memory than the sites, one chunk, and a bounded number of blocks that are told apart by address.

mod ahead;
mod background;
mod children;
mod clock;
mod columns;
mod control;
mod drain;
mod file;
mod freed;
mod heartbeat;
mod instants;
mod leavings;
mod lifetimes;
mod pledge;
mod questions;
mod read;
mod recorder;
mod repeat;
mod sums;
mod tables;
mod temporaries;
mod timeline;
mod varint;
mod witness;

pub use background::Background;
pub use children::Child;
pub use freed::{check as check_frees, freed};
pub use instants::{Instant, Instants, What};
pub use leavings::clear;
pub(crate) use leavings::clear_handed;
pub use lifetimes::{lifetimes, sizes, survivors};
pub use questions::{Moment, highest_bytes, nothing, peak, state};
pub use read::Trace;
pub use recorder::{Ended, Options, Recorder, Summary};
pub use repeat::repeat;
pub use temporaries::{temporaries, temporary};
pub use timeline::{Step, timeline};

use crate::mark::bytes::Short;
use heapshim_ledger::rings::Operation;
use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasherDefault, Hasher};

/// What a trace's name ends in.
pub const EXTENSION: &str = "heaptrace";

/// One event, as a trace has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Happening {
    /// Nanoseconds since the trace began.
    pub ns: u64,
    /// What.
    pub operation: Operation,
    /// The thread's index in the ledger; 65,535 for all those without one.
    pub thread: u16,
    /// Whose account it is.
    pub site: u32,
    /// The site of the stack that freed it; 0 where that is not known, or nobody asked.
    pub freed_by: u32,
    /// Where.
    pub address: u64,
    /// Bytes asked for.
    pub size: u64,
}

/// What a key has beside an address: no address of a user's reaches so far.
const OBJECT: u64 = 1 << 63;

impl Happening {
    /// What tells live blocks apart: the address, and whether it is malloc's or Python's.
    pub(crate) fn key(&self) -> u64 {
        let is_object = matches!(
            self.operation,
            Operation::ObjectAllocated | Operation::ObjectFreed
        );
        self.address | if is_object { OBJECT } else { 0 }
    }
}

/// Why bytes are no part of a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Damage {
    Short,
    Value(&'static str),
}

impl From<Short> for Damage {
    fn from(Short: Short) -> Damage {
        Damage::Short
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Damage::Short => f.write_str("damaged: its length is wrong"),
            Damage::Value(what) => write!(f, "damaged: {what}"),
        }
    }
}

/// By a number. Addresses and sites need no hash that resists an enemy: a trace that is made to be slow to read is slow to read.
type Map<T> = HashMap<u64, T, BuildHasherDefault<Mix>>;

/// One multiplication (Knuth's golden ratio), the high bits folded down.
#[derive(Debug, Default)]
struct Mix(u64);

impl Hasher for Mix {
    fn finish(&self) -> u64 {
        self.0 ^ self.0 >> 32
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&byte| self.write_u64(byte.into()));
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = (self.0 ^ value).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

/// By a number that is small, as a rule: then it is a place in a list.
#[derive(Debug)]
struct Dense<T> {
    near: Vec<T>,
    far: Map<T>,
}

/// Numbers that have a place: sites of all but the largest programs, and classes of blocks up to 1 MiB. What a hostile file costs stays small.
const NEAR: u64 = 1 << 16;

impl<T> Default for Dense<T> {
    fn default() -> Dense<T> {
        Dense {
            near: Vec::new(),
            far: Map::default(),
        }
    }
}

impl<T: Default> Dense<T> {
    #[inline]
    fn at(&mut self, number: u64) -> &mut T {
        match usize::try_from(number) {
            Ok(place) if number < NEAR => {
                if place >= self.near.len() {
                    self.near.resize_with(place + 1, T::default);
                }
                &mut self.near[place]
            }
            _ => self.far.entry(number).or_default(),
        }
    }

    /// As though nothing had been asked for, with the room that there is: each place is put back by `clear`.
    fn forget(&mut self, clear: impl FnMut(&mut T)) {
        self.near.iter_mut().for_each(clear);
        self.far.clear();
    }

    /// All that were ever asked for, those between them among them, from the least number on.
    fn into_sorted(self) -> impl Iterator<Item = (u64, T)> {
        let mut far: Vec<(u64, T)> = self.far.into_iter().collect();
        far.sort_unstable_by_key(|(number, _)| *number);
        (0..).zip(self.near).chain(far)
    }
}
