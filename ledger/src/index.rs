//! A lock-free hash index from a key's hash to the id of an entry in an append-only table; private memory of the writer.
//!
//! A ladder of tables, each larger than the one before; a key lives in the first empty slot of its group of eight (one cache
//! line) on the lowest rung that has one. Slots are filled and never cleared, so every thread probes the same sequence and two
//! threads that insert one key meet at the same slot: one wins, the other takes the winner's id. Nothing is ever moved, so there
//! is no rehash and no waiting; what is resident grows with what is stored.
//!
//! ```text
//! slot: tag (high 32 bits of the hash) << 32 | id     0 = empty
//! rung r: 2^RUNG_BITS[r] slots, mapped when the rungs below are full for some key
//! ```

use crate::sync::{AtomicU64, Word};

/// Slots of each rung, as powers of two. The lowest has 32 KiB, of which a small program touches some pages. The next is small, too: what the lowest has no
/// room for lies one by one on its pages, which were 256 KiB for a Python program's last 250 rules. Then each is eight times as large or more. A look-up misses the
/// cache once a rung, so rungs should be few: with doubling rungs a compiler's 200,000 frames lay on the eighth, and the look-ups took a seventh of its time. The
/// highest has eight slots for each node of the largest ledger.
const RUNG_BITS: [u32; RUNGS] = [12, 13, 16, 19, 24];
/// Rungs.
pub const RUNGS: usize = 5;
const GROUP: usize = 8;

/// Slots of a rung.
#[inline(always)]
#[must_use]
pub fn slots(rung: usize) -> usize {
    RUNG_BITS.get(rung).map_or(0, |bits| 1 << bits)
}

/// The rungs' memory: the writer maps it (zeroed, never unmapped).
pub trait Rungs {
    /// The slots of rung `rung`, `slots` of them; maps them if need be. None when there is no memory.
    fn rung(&self, rung: usize, slots: usize) -> Option<&[AtomicU64]>;
    /// The slots of a rung that is mapped already.
    fn mapped(&self, rung: usize) -> Option<&[AtomicU64]>;
}

/// Spreads the bits of a word (the finalizer of MurmurHash3 by Austin Appleby).
#[inline]
#[must_use]
pub fn mix(mut x: u64) -> u64 {
    x ^= x >> 33;
    x = x.wrapping_mul(0xff51_afd7_ed55_8ccd);
    x ^= x >> 33;
    x = x.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    x ^ (x >> 33)
}

#[inline]
fn group(slots: &[AtomicU64], hash: u64) -> &[AtomicU64] {
    let groups = slots.len() / GROUP;
    let at = usize::try_from(hash & 0xffff_ffff).unwrap_or(0) & groups.saturating_sub(1);
    slots.get(at * GROUP..at * GROUP + GROUP).unwrap_or(&[])
}

/// Looks a key up: `matches` compares it with the entry of an id whose tag is equal.
#[inline]
pub fn find(rungs: &impl Rungs, hash: u64, matches: impl Fn(u32) -> bool) -> Option<u32> {
    for rung in 0..RUNGS {
        for slot in group(rungs.mapped(rung)?, hash) {
            let word = slot.observe();
            if word == 0 {
                return None;
            }
            let id = low(word);
            if word >> 32 == hash >> 32 && matches(id) {
                return Some(id);
            }
        }
    }
    None
}

/// Looks a key up and inserts it where it is missing. `make` writes a new entry and returns its id (not 0); it runs at most once, and
/// its entry is lost where another thread was first. None when `make` fails, memory or rungs run out.
pub fn find_or_insert(
    rungs: &impl Rungs,
    hash: u64,
    matches: impl Fn(u32) -> bool,
    make: impl FnOnce() -> Option<u32>,
) -> Option<u32> {
    if let Some(id) = find(rungs, hash, &matches) {
        return Some(id);
    }
    let new = make()?;
    let tagged = hash & 0xffff_ffff_0000_0000 | u64::from(new);
    for rung in 0..RUNGS {
        for slot in group(rungs.rung(rung, slots(rung))?, hash) {
            let mut word = slot.observe();
            if word == 0 {
                match slot.claim(0, tagged) {
                    Ok(_) => return Some(new),
                    Err(winner) => word = winner,
                }
            }
            let id = low(word);
            if word >> 32 == hash >> 32 && matches(id) {
                return Some(id);
            }
        }
    }
    None
}

#[inline]
fn low(word: u64) -> u32 {
    u32::try_from(word & 0xffff_ffff).unwrap_or(0)
}

#[cfg(all(test, loom))]
mod models {
    use super::*;
    use crate::sync::{AtomicU32, take_index};
    use crate::testing::{Ladder, bounded};
    use loom::sync::Arc;
    use loom::thread;

    /// Entries that hold their key; id 0 is none.
    struct Keys {
        ladder: Ladder,
        len: AtomicU32,
        keys: [AtomicU64; 4],
    }

    impl Keys {
        fn insert(&self, key: u64) -> Option<u32> {
            let same = |id: u32| {
                self.keys
                    .get(id as usize)
                    .is_some_and(|at| at.peek() == key)
            };
            find_or_insert(&self.ladder, mix(key), same, || {
                let id = take_index(&self.len, 1, 4)?;
                self.keys.get(id as usize)?.put(key);
                Some(id)
            })
        }

        fn find(&self, key: u64) -> Option<u32> {
            find(&self.ladder, mix(key), |id| {
                self.keys
                    .get(id as usize)
                    .is_some_and(|at| at.peek() == key)
            })
        }
    }

    fn race(free: usize, one: u64, other: u64) {
        let keys = Arc::new(Keys {
            ladder: Ladder::with_free(free),
            len: AtomicU32::new(1),
            keys: Default::default(),
        });
        let writers = [one, other].map(|key| {
            let keys = keys.clone();
            thread::spawn(move || keys.insert(key).expect("there is room"))
        });
        if let Some(id) = keys.find(one) {
            assert_eq!(
                keys.keys[id as usize].peek(),
                one,
                "a key that is found is whole"
            );
        }
        let ids = writers.map(|writer| writer.join().expect("no panic"));
        assert_eq!(ids[0] == ids[1], one == other);
        assert_eq!([keys.find(one), keys.find(other)], ids.map(Some));
    }

    /// Check that two threads that insert one key into the last free slot of a group meet at one id.
    #[test]
    fn same_key_last_slot() {
        bounded(2, || race(1, 5, 5));
    }

    /// Check that of two threads that race for a group's last slot one goes to the next rung, and both keys are found.
    #[test]
    fn different_keys_last_slot() {
        bounded(2, || race(1, 5, 6));
    }

    /// Check that two threads that find a group full meet at one id on the next rung, whoever maps it.
    #[test]
    fn same_key_second_rung() {
        bounded(2, || race(0, 5, 5));
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::sync::{AtomicU32, take_index};
    use crate::testing::{Ladder, Random};
    use std::collections::HashSet;

    const KEYS: u32 = 200_000;
    const THREADS: u32 = 4;

    struct Entries {
        ladder: Ladder,
        len: AtomicU32,
        keys: Vec<AtomicU64>,
    }

    impl Entries {
        fn new() -> Entries {
            let room = 1 + KEYS * THREADS;
            Entries {
                ladder: Ladder::default(),
                len: AtomicU32::new(1),
                keys: (0..room).map(|_| AtomicU64::new(0)).collect(),
            }
        }

        fn insert(&self, key: u64) -> Option<u32> {
            find_or_insert(
                &self.ladder,
                mix(key),
                |id| self.holds(id, key),
                || {
                    let id = take_index(&self.len, 1, 1 + KEYS * THREADS)?;
                    self.keys[id as usize].put(key);
                    Some(id)
                },
            )
        }

        fn holds(&self, id: u32, key: u64) -> bool {
            self.keys[id as usize].peek() == key
        }

        /// The ids of all keys, inserted from a start of one's own.
        fn insert_all(&self, keys: &[u64], start: usize) -> Vec<u32> {
            let mut ids = vec![0; keys.len()];
            for at in (start..keys.len()).chain(0..start) {
                ids[at] = self.insert(keys[at]).expect("there is room");
            }
            ids
        }
    }

    /// Check that four threads that insert the same 200,000 keys agree on every id, that no key is lost, and that no two share one.
    #[test]
    fn four_threads() {
        let mut random = Random(1);
        let keys: Vec<u64> = (0..KEYS).map(|_| random.next()).collect();
        let entries = Entries::new();
        let found: Vec<Vec<u32>> = std::thread::scope(|scope| {
            let start = |thread: u32| (thread * KEYS / THREADS / 2) as usize;
            let threads: Vec<_> = (0..THREADS)
                .map(|thread| {
                    let (entries, keys) = (&entries, &keys);
                    scope.spawn(move || entries.insert_all(keys, start(thread)))
                })
                .collect();
            threads
                .into_iter()
                .map(|thread| thread.join().expect("no panic"))
                .collect()
        });
        assert!(found.iter().all(|ids| *ids == found[0]));
        assert_eq!(found[0].iter().collect::<HashSet<_>>().len(), keys.len());
        for (key, id) in keys.iter().zip(&found[0]) {
            assert_eq!(
                find(&entries.ladder, mix(*key), |id| entries.holds(id, *key)),
                Some(*id)
            );
        }
    }

    /// Check that keys of one hash are told apart, and that a ladder whose groups for it are all full refuses the next.
    #[test]
    fn one_hash_until_full() {
        let ladder = Ladder::default();
        let all = u32::try_from(RUNGS * GROUP).expect("small");
        for id in 1..=all {
            assert_eq!(
                find_or_insert(&ladder, 7 << 32, |_| false, || Some(id)),
                Some(id)
            );
        }
        assert_eq!(
            find_or_insert(&ladder, 7 << 32, |_| false, || Some(all + 1)),
            None
        );
        for id in 1..=all {
            assert_eq!(find(&ladder, 7 << 32, |other| other == id), Some(id));
        }
    }

    /// Check that nothing is inserted where the entry cannot be made.
    #[test]
    fn make_fails() {
        let ladder = Ladder::default();
        assert_eq!(find_or_insert(&ladder, 9, |_| true, || None), None);
        assert_eq!(find(&ladder, 9, |_| true), None);
    }
}
