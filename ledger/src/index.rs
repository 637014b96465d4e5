//! A lock-free hash index from a key's hash to the id of an entry in an append-only table; private memory of the writer.
//!
//! A ladder of tables, each twice as large as the one before; a key lives in the first empty slot of its group of eight (one cache
//! line) on the lowest rung that has one. Slots are filled and never cleared, so every thread probes the same sequence and two
//! threads that insert one key meet at the same slot: one wins, the other takes the winner's id. Nothing is ever moved, so there
//! is no rehash and no waiting; what is resident grows with what is stored.
//!
//! ```text
//! slot: tag (high 32 bits of the hash) << 32 | id     0 = empty
//! rung r: 2^(FIRST_RUNG + r) slots, mapped when the rungs below are full for some key
//! ```

use crate::sync::{AtomicU64, Word};

/// Slots of the lowest rung, as a power of two. 1024 slots = 8 KiB: enough for a small program.
const FIRST_RUNG: u32 = 10;
/// Rungs: the highest has 2^23 slots, so that the 2^21 nodes of the largest ledger fit several times over.
pub const RUNGS: usize = 14;
const GROUP: usize = 8;

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
        for slot in group(rungs.rung(rung, 1 << (FIRST_RUNG as usize + rung))?, hash) {
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
