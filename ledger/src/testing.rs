//! What the tests and the loom models share: memory that stands in for the mapped memfd, rungs for the index, a random source.
//!
//! Not built outside tests. Deterministic: a failure shows the same numbers again.

use crate::frames::{Frame, FrameId};
use crate::header::Geometry;
use crate::index::Rungs;
use crate::layout::FrameKind;
use crate::sync::AtomicU64;

/// A ledger that is full soon.
pub(crate) const SMALL: Geometry = Geometry {
    modules: 3,
    string_words: 8,
    frames: 7,
    sites: 5,
    threads: 3,
    codes: 4,
};

/// A native frame of module 0.
pub(crate) fn native(parent: FrameId, value: u64) -> Frame {
    Frame {
        parent,
        kind: FrameKind::Native,
        module: 0,
        value,
    }
}

#[cfg(loom)]
pub(crate) use models::{Ladder, bounded};

#[cfg(loom)]
mod models {
    use super::{AtomicU64, Rungs};
    use crate::sync::{AtomicU32, Word};

    /// Two rungs of 8 and 16 slots; a rung is there once somebody has asked for it.
    pub(crate) struct Ladder {
        slots: [Vec<AtomicU64>; 2],
        mapped: [AtomicU32; 2],
    }

    impl Ladder {
        /// A ladder whose lowest rung has `free` empty slots; the others hold tags that no test key has.
        pub(crate) fn with_free(free: usize) -> Ladder {
            let slot = |at| if at + free < 8 { u64::MAX } else { 0 };
            Ladder {
                slots: [
                    (0..8).map(|at| AtomicU64::new(slot(at))).collect(),
                    (0..16).map(|_| AtomicU64::new(0)).collect(),
                ],
                mapped: [AtomicU32::new(0), AtomicU32::new(0)],
            }
        }
    }

    impl Rungs for Ladder {
        fn rung(&self, rung: usize, _slots: usize) -> Option<&[AtomicU64]> {
            self.mapped.get(rung)?.publish(1);
            self.slots.get(rung).map(Vec::as_slice)
        }
        fn mapped(&self, rung: usize) -> Option<&[AtomicU64]> {
            let there = self.mapped.get(rung)?.observe() == 1;
            self.slots.get(rung).filter(|_| there).map(Vec::as_slice)
        }
    }

    /// Runs a model with at most `preemptions` forced switches between threads: two or three find nearly all errors that more
    /// would (Musuvathi and Qadeer, "Iterative context bounding", PLDI 2007), and keep a model within seconds.
    pub(crate) fn bounded(preemptions: usize, model: impl Fn() + Sync + Send + 'static) {
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(preemptions);
        builder.check(model);
    }
}

#[cfg(not(loom))]
pub(crate) use native_memory::{Ladder, Memory, Random, pages};

#[cfg(not(loom))]
mod native_memory {
    use super::{AtomicU64, Rungs};
    use crate::extent::Region;
    use crate::header::Geometry;
    use crate::index::RUNGS;
    use std::sync::OnceLock;

    const WORDS: usize = 512;

    #[repr(C, align(4096))]
    struct Page([AtomicU64; WORDS]);

    /// Zeroed pages.
    pub(crate) struct Memory(Vec<Page>);

    impl Memory {
        /// Room for a ledger of this geometry.
        pub(crate) fn of(geometry: &Geometry) -> Memory {
            pages(geometry.total_bytes())
        }

        /// All of it.
        pub(crate) fn region(&self) -> Region<'_> {
            self.first(self.words())
        }

        /// Its first `words` words.
        pub(crate) fn first(&self, words: usize) -> Region<'_> {
            assert!(words <= self.words());
            // SAFETY: the pages live as long as the borrow, are aligned to 4096, do not shrink and consist of atomics; `words`
            // was just checked.
            unsafe { Region::new(self.0.as_ptr().cast(), words as u64 * 8) }
        }

        /// Eight-byte words.
        pub(crate) fn words(&self) -> usize {
            self.0.len() * WORDS
        }

        /// One of them.
        pub(crate) fn word(&self, at: usize) -> &AtomicU64 {
            &self.0[at / WORDS].0[at % WORDS]
        }
    }

    /// Room for so many bytes, in whole pages.
    pub(crate) fn pages(bytes: u64) -> Memory {
        let pages = usize::try_from(bytes).expect("fits").div_ceil(WORDS * 8);
        let page = |_| Page(core::array::from_fn(|_| AtomicU64::new(0)));
        Memory((0..pages).map(page).collect())
    }

    /// Rungs in vectors, made when they are asked for.
    #[derive(Default)]
    pub(crate) struct Ladder([OnceLock<Vec<AtomicU64>>; RUNGS]);

    impl Rungs for Ladder {
        fn rung(&self, rung: usize, slots: usize) -> Option<&[AtomicU64]> {
            let make = || (0..slots).map(|_| AtomicU64::new(0)).collect();
            self.0
                .get(rung)
                .map(|cell| cell.get_or_init(make).as_slice())
        }
        fn mapped(&self, rung: usize) -> Option<&[AtomicU64]> {
            self.0.get(rung)?.get().map(Vec::as_slice)
        }
    }

    /// SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014).
    pub(crate) struct Random(pub(crate) u64);

    impl Random {
        /// The next word.
        pub(crate) fn next(&mut self) -> u64 {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            crate::index::mix(self.0)
        }

        /// A number below `limit`.
        pub(crate) fn below(&mut self, limit: usize) -> usize {
            usize::try_from(self.next() % limit.max(1) as u64).unwrap_or(0)
        }
    }
}
