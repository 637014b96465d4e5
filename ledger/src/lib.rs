//! The shared-memory contract between `libheapshim.so` (the writer, inside the target) and `heapshim` (the reader, outside).
//!
//! *Your part*: bring the memory (a mapped memfd, or a test's vector) and keep it alive; the writer brings pages for its
//! private index. *Our part*: every byte's meaning, who may write it, which store publishes it, and bounds on everything that
//! is read. *Not for*: the shadow (which pointer belongs to which site), walking stacks, system calls: see `shim`.
//!
//! Who writes what:
//!
//! | section        | writers                                   | published by                       |
//! |----------------|-------------------------------------------|------------------------------------|
//! | header         | the shim, once                            | `Header::state` = READY (Release)  |
//! | strings        | any thread, append-only                   | the entry that names the text      |
//! | modules        | any thread, append-only                   | `Module::state` (Release)          |
//! | codes          | any thread, append-only                   | `Code::state` (Release)            |
//! | frames         | any thread, append-only                   | the index slot or site that names it |
//! | sites          | any thread, append-only                   | `Site::frame` non-zero (Release)   |
//! | counters       | slot s: the thread that leases it; the last slot: everybody, atomically | each add |
//! | estimates      | everybody, atomically                     | each add                           |
//! | temporaries    | as counters                               | each add                           |
//! | cohorts        | everybody, atomically                     | each add                           |
//! | threads        | entry t: the thread that leases it; the last entry: everybody, atomically | each store |
//! | marks, peak    | the thread that claimed it                | `Mark::sequence` even (Release)    |
//! | rings          | any thread, the reader their cursors      | `RingEvent::stamp` (Release)       |
//!
//! Invariants (the writer keeps them, the reader checks what it uses):
//!   `frames[0]` is the root and `frames[i].parent < i`;
//!   for each site: freed ≤ allocated, summed over the slots, except in a forked child, which frees what its parent allocated;
//!   ids are never reused: what an id meant once it means until the ledger is gone.
//!
//! Bytes and blocks are those that the program asked for; times are nanoseconds of the clock that stands beside them. docs/LEDGER.md draws the bytes.
//!
//! To read one, map it (a memfd of the target's, or its file) and ask:
//! ```
//! use heapshim_ledger::{Error, Reader, Region, counters::Total};
//!
//! /// What is alive now, in bytes, and how many events the sum may have seen half: 0 = it is one instant.
//! fn live(region: &Region<'_>) -> Result<(i64, u64), Error> {
//!     let reader = Reader::new(region)?;
//!     let mut totals = vec![Total::default(); reader.sites.capacity() as usize];
//!     let copied = reader.copy_totals(|site, total| std::mem::replace(&mut totals[site.0 as usize], total));
//!     let sites = totals.into_iter().take(copied.sites_len as usize);
//!     Ok((sites.map(Total::live_bytes).sum(), copied.in_flight))
//! }
//! ```
//! A site's stack is [`Tables::frames`](tables::Tables::frames) from [`Sites::frame`](sites::Sites::frame) outwards, by each node's parent, to the root.
//!
//! Speed: one event is two plain adds on a cache line that no other thread writes (about 1 ns).
#![cfg_attr(not(any(test, loom)), no_std)]

pub mod children;
pub mod codes;
pub mod cohorts;
pub mod control;
pub mod counters;
pub mod error;
pub mod estimates;
mod extent;
pub mod frames;
pub mod header;
pub mod index;
pub mod layout;
pub mod marks;
pub mod modules;
pub mod peak;
pub mod reader;
mod reasons;
pub mod rings;
pub mod sampling;
pub mod sites;
pub mod sync;
pub mod tables;
pub mod temporaries;
#[cfg(test)]
mod testing;
pub mod threads;
pub mod writer;

pub use error::Error;
pub use extent::Region;
pub use reader::Reader;
pub use writer::Writer;
