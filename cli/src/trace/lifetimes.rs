//! How long blocks lived, and how large they were: each line's blocks by powers of two. And which of those that came after one instant are there at another.
//!
//! A size stands in its event. A lifetime is the time between two events of one address, so the blocks that are alive must be remembered: in bounded
//! memory, since a recording may have more of them than there is. When there is no room, half of the addresses are forgotten, by a bit of their hash; the
//! recording is then read again for that half, which counts what ends after the moment at which it was forgotten. Each end is counted exactly once.

use super::file::Chunk;
use super::questions::Account;
use super::read::Trace;
use super::{Happening, Map};
use crate::distribution::{Bucket, BySite, bucket_of};
use crate::error::Error;
use crate::mark::Mark;
use crate::report::{Surviving, Survivors};

/// Live blocks that are remembered at once: 285 MB of them, 430 while the table grows.
const MOST_BLOCKS: usize = 7 << 21;
/// Bits of an address's hash by which they are told apart: 2^20 readings are more than anybody waits for.
const MOST_BITS: u32 = 20;

/// Lifetimes by site, of blocks that were allocated and freed within the trace; the mark has these blocks' account, so that what is alive in it are those that
/// it had and nobody freed.
///
/// # Errors
/// `Damaged` where the file is.
pub fn lifetimes(trace: &mut Trace) -> Result<(Mark, BySite), Error> {
    let mut found = Found::new(trace);
    Passes::of(MOST_BLOCKS).run(trace, Window::ALL, &mut found)?;
    found.finish(trace)
}

/// What was allocated after one instant of a trace (in nanoseconds) and is still alive at another, by site.
///
/// # Errors
/// `Damaged` where the file is.
pub fn survivors(trace: &mut Trace, from_ns: u64, to_ns: u64) -> Result<Survivors, Error> {
    let mut found = Found::new(trace);
    let window = Window {
        after_ns: Some(from_ns),
        to_ns,
    };
    Passes::of(MOST_BLOCKS).run(trace, window, &mut found)?;
    let mut survivors = found.account.live();
    if !trace.has_all() {
        // A block whose end was lost would be one of them.
        survivors
            .values_mut()
            .for_each(|one| *one = Surviving::Unknown);
    }
    Ok(survivors)
}

/// Sizes by site, of all blocks that were allocated within the trace.
///
/// # Errors
/// `Damaged` where the file is.
pub fn sizes(trace: &mut Trace) -> Result<(Mark, BySite), Error> {
    let mut found = Found::new(trace);
    each(trace, Window::ALL, |events, _| {
        for happening in events.iter().filter(|one| !one.operation.frees()) {
            found.account.add(happening);
            found.spread(happening, happening.size);
        }
    })?;
    found.finish(trace)
}

/// Events after an instant (None: from the first on), up to and with those of another.
#[derive(Clone, Copy, Debug)]
struct Window {
    after_ns: Option<u64>,
    to_ns: u64,
}

impl Window {
    const ALL: Window = Window {
        after_ns: None,
        to_ns: u64::MAX,
    };

    fn is_after(self, ns: u64) -> bool {
        self.after_ns.is_none_or(|after| ns > after)
    }
}

/// Every event of a window, some thousand at once, and how many came before these.
fn each(
    trace: &mut Trace,
    window: Window,
    mut visit: impl FnMut(&[Happening], u64),
) -> Result<(), Error> {
    let has_any =
        |chunk: &&Chunk| window.is_after(chunk.head.to_ns) && chunk.head.from_ns <= window.to_ns;
    let chunks: Vec<Chunk> = trace.events().filter(has_any).copied().collect();
    let mut number = 0;
    trace.visit_many(&chunks, |events| {
        // Times never go back within a chunk.
        let first = events.partition_point(|one| !window.is_after(one.ns));
        let end = events.partition_point(|one| one.ns <= window.to_ns);
        let within = events.get(first..end).unwrap_or(&[]);
        visit(within, number);
        number += within.len() as u64;
        end == events.len()
    })
}

/// What was counted.
#[derive(Debug)]
struct Found {
    account: Account,
    /// By site and bucket.
    cells: Map<Bucket>,
    unknown: Map<u64>,
}

/// Bits of a bucket's number.
const BUCKET_BITS: u32 = 7;

impl Found {
    fn new(trace: &Trace) -> Found {
        Found {
            account: Account::empty(trace),
            cells: Map::default(),
            unknown: Map::default(),
        }
    }

    fn spread(&mut self, happening: &Happening, value: u64) {
        let cell = u64::from(happening.site) << BUCKET_BITS | u64::from(bucket_of(value));
        let one = Bucket::one(value, happening.size);
        let held = self.cells.entry(cell);
        held.and_modify(|held| held.merge(&one)).or_insert(one);
    }

    fn older(&mut self, site: u32) {
        *self.unknown.entry(site.into()).or_default() += 1;
    }

    fn finish(self, trace: &mut Trace) -> Result<(Mark, BySite), Error> {
        let mut all = BySite::new();
        for (cell, bucket) in &self.cells {
            let site = u32::try_from(cell >> BUCKET_BITS).unwrap_or(0);
            let number = u8::try_from(cell & ((1 << BUCKET_BITS) - 1)).unwrap_or(0);
            all.entry(site).or_default().add(number, bucket);
        }
        for (site, count) in &self.unknown {
            let site = u32::try_from(*site).unwrap_or(0);
            all.entry(site).or_default().unknown = *count;
        }
        Ok((self.account.mark_at_end(trace)?, all))
    }
}

/// The addresses of one reading: those whose hash ends in these bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Part {
    bits: u32,
    value: u64,
    /// Events before this one were counted for them already.
    counted: u64,
}

impl Part {
    fn holds(&self, key: u64) -> bool {
        hash(key) & ((1 << self.bits) - 1) == self.value
    }

    /// The half that goes on, and the half that is read again from the beginning.
    fn split(self, at: u64) -> (Part, Part) {
        let bits = self.bits + 1;
        let other = Part {
            bits,
            value: self.value | 1 << self.bits,
            counted: at,
        };
        (Part { bits, ..self }, other)
    }
}

/// Other bits than those that a table of these keys puts them in its places by.
fn hash(key: u64) -> u64 {
    key.wrapping_mul(0xd6e8_feb8_6659_fd93) >> 40
}

/// The readings that are left to do.
#[derive(Debug)]
struct Passes {
    most: usize,
    left: Vec<Part>,
    done: u32,
}

impl Passes {
    fn of(most: usize) -> Passes {
        let all = Part {
            bits: 0,
            value: 0,
            counted: 0,
        };
        Passes {
            most,
            left: vec![all],
            done: 0,
        }
    }

    fn run(&mut self, trace: &mut Trace, window: Window, found: &mut Found) -> Result<(), Error> {
        while let Some(part) = self.left.pop() {
            let is_first = self.done == 0;
            let mut pass = Pass::new(part);
            each(trace, window, |events, first| {
                pass.fetch(events);
                for (number, happening) in (first..).zip(events) {
                    if is_first && !happening.operation.frees() {
                        found.account.add(happening);
                    }
                    pass.take(happening, number, found);
                    if pass.born.len() > self.most && pass.part.bits < MOST_BITS {
                        self.left.push(pass.halve(number + 1));
                    }
                }
            })?;
            self.done += 1;
        }
        Ok(())
    }
}

/// One reading.
#[derive(Debug)]
struct Pass {
    part: Part,
    /// When each live block was allocated, in nanoseconds.
    born: Map<u64>,
    /// The same of blocks whose address was given again before their end was told: a block that realloc has moved goes last.
    before: Map<u64>,
}

impl Pass {
    fn new(part: Part) -> Pass {
        Pass {
            part,
            born: Map::default(),
            before: Map::default(),
        }
    }

    /// Looks all of them up, to no end but that they are near when they are taken: a million blocks lie in no cache, and while one is waited for, look-ups that do
    /// not depend on it go on. First those that are there and then those that are not, since what the processor guesses wrong ends that.
    fn fetch(&self, events: &[Happening]) {
        for frees in [true, false] {
            let these = events.iter().filter(|one| one.operation.frees() == frees);
            let found = these
                .filter(|one| self.born.contains_key(&one.key()))
                .count();
            std::hint::black_box(found);
        }
    }

    fn take(&mut self, happening: &Happening, number: u64, found: &mut Found) {
        let key = happening.key();
        if !self.part.holds(key) {
            return;
        }
        if !happening.operation.frees() {
            if let Some(born) = self.born.insert(key, happening.ns) {
                self.before.insert(key, born);
            }
            return;
        }
        let born = self.before.remove(&key).or_else(|| self.born.remove(&key));
        if number < self.part.counted {
            return;
        }
        match born {
            Some(born) => {
                found.account.free(happening);
                found.spread(happening, happening.ns.saturating_sub(born) / 1000);
            }
            None => found.older(happening.site),
        }
    }

    /// Forgets half of the addresses; what is to be read again.
    fn halve(&mut self, at: u64) -> Part {
        let (kept, other) = self.part.split(at.max(self.part.counted));
        self.part = kept;
        for blocks in [&mut self.born, &mut self.before] {
            blocks.retain(|&key, _| kept.holds(key));
            blocks.shrink_to_fit();
        }
        other
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Random;
    use heapshim_ledger::rings::Operation;

    fn happening(operation: Operation, ns: u64, address: u64) -> Happening {
        Happening {
            freed_by: 0,
            ns,
            operation,
            thread: 0,
            site: u32::try_from(address % 5).unwrap(),
            address,
            size: 24,
        }
    }

    /// Events that allocate and free a thousand addresses at random, and what each end's lifetime is.
    fn events(count: u64) -> Vec<Happening> {
        let mut random = Random(3);
        let mut live = std::collections::BTreeSet::new();
        let step = |ns: u64| {
            let address = 0x5000_0000 + random.next() % 1000 * 16;
            let operation = match live.remove(&address) {
                true => Operation::Freed,
                false if random.next().is_multiple_of(50) => Operation::Freed,
                false => {
                    live.insert(address);
                    Operation::Allocated
                }
            };
            happening(operation, ns * 7000, address)
        };
        (0..count).map(step).collect()
    }

    /// Cells, blocks of unknown age by site, and how many readings it took.
    type Counted = (Vec<(u64, Bucket)>, Vec<(u64, u64)>, u32);

    /// What readings of at most so many blocks at once find.
    fn found(all: &[Happening], most: usize) -> Counted {
        let mut found = Found {
            account: Account::nothing(),
            cells: Map::default(),
            unknown: Map::default(),
        };
        let mut passes = Passes::of(most);
        while let Some(part) = passes.left.pop() {
            let mut pass = Pass::new(part);
            for (number, happening) in (0..).zip(all) {
                pass.take(happening, number, &mut found);
                if pass.born.len() > most {
                    passes.left.push(pass.halve(number + 1));
                }
            }
            passes.done += 1;
        }
        let mut cells: Vec<_> = found.cells.into_iter().collect();
        let mut unknown: Vec<_> = found.unknown.into_iter().collect();
        cells.sort_unstable_by_key(|cell| cell.0);
        unknown.sort_unstable();
        (cells, unknown, passes.done)
    }

    /// Check that a table too small for the live blocks takes more readings and finds the same, whatever it forgets when.
    #[test]
    fn bounded() {
        let all = events(20_000);
        let (cells, unknown, readings) = found(&all, usize::MAX);
        assert_eq!(readings, 1);
        assert!(cells.len() > 20 && unknown.len() == 5);
        for most in [400, 100, 20] {
            let (less, none, readings) = found(&all, most);
            assert_eq!((&less, &none), (&cells, &unknown), "{most}");
            assert!(readings > 1, "{most}");
        }
    }

    /// Check that a block whose end is told after its address was given again has its own lifetime, and so has the next.
    #[test]
    fn told_late() {
        use Operation::{Allocated, Freed};
        let all = [
            happening(Allocated, 0, 0x50),
            happening(Allocated, 64_000, 0x50),
            happening(Freed, 64_000, 0x50),
            happening(Freed, 66_000, 0x50),
        ];
        let (cells, unknown, _) = found(&all, 10);
        let lifetimes: Vec<u64> = cells.iter().map(|(_, bucket)| bucket.most).collect();
        assert_eq!((lifetimes, unknown), (vec![2, 64], vec![]));
    }
}
