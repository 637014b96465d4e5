//! Who freed a row's blocks, and who of them stopped: what a recording with the stacks of frees says of growth.
//!
//! A cache grows where it is filled, and leaks where it is no longer emptied; only the first of these lines is in an account. Here is the other, for each row that grew.
//!
//! **When a line has stopped.** Its frees come in *moments*: those between which the row allocated nothing are one, however many blocks went. It has stopped where it had five
//! moments or more (`FEWEST`), where less than one line in a thousand would have had all of them so early by chance (`BY_CHANCE`: each moment falling anywhere in the row's
//! life with equal chance, measured both in its allocations and in time), and where it has been away longer than ever between two moments, in both as well. So neither a sweep every
//! ten seconds, nor a burst of allocations, nor a line that frees in batches is taken for one that stopped.

use crate::report::Row;
use std::collections::HashMap;

/// Fewer moments say nothing of how often a line frees.
const FEWEST: u64 = 5;
/// How many of so many lines that have not stopped may be taken for one that has.
const BY_CHANCE: f64 = 0.001;
/// Pairs of a row and a line that frees its blocks which are told apart: 100 MB of them.
const MOST_PAIRS: usize = 1 << 20;

/// Which row each site belongs to, as a freed block's owner or as who freed it.
#[derive(Clone, Debug, Default)]
pub struct Groups {
    /// By site; None where its stack names no row.
    pub of_site: Vec<Option<usize>>,
    /// What each group is.
    pub rows: Vec<Row>,
}

impl Groups {
    /// Of a site.
    #[must_use]
    pub fn of(&self, site: u32) -> Option<usize> {
        self.of_site.get(site as usize).copied().flatten()
    }

    fn grew(&self, site: u32) -> Option<usize> {
        self.of(site)
            .filter(|&group| self.rows.get(group).is_some_and(Row::grew))
    }
}

/// One line that freed blocks of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Freeing {
    /// The line, or whatever rows are.
    pub by: Row,
    /// Blocks that it freed, from the recording's beginning to the second instant.
    pub blocks: u64,
    /// Bytes of these.
    pub bytes: u64,
    /// How many of the blocks went after the first instant.
    pub blocks_between: u64,
    /// When it freed the last, in nanoseconds from the recording's beginning.
    pub last_ns: u64,
    /// Blocks that the row allocated since.
    pub allocated_since: u64,
    /// True where it freed them and no longer does.
    pub stopped: bool,
}

/// Who freed a row's blocks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Freed {
    /// Those that stopped first, then by blocks.
    pub by: Vec<Freeing>,
    /// Blocks that nobody knows who freed.
    pub unknown_blocks: u64,
    /// Blocks whose lines found no room here.
    pub left_out_blocks: u64,
}

/// What is counted while a recording is read, in order.
#[derive(Debug)]
pub struct Frees<'g> {
    groups: &'g Groups,
    owners: Vec<Owner>,
    pairs: HashMap<(usize, usize), Pair>,
    most_pairs: usize,
}

/// A row's allocations.
#[derive(Clone, Debug, Default)]
struct Owner {
    /// When its first event was.
    first_ns: Option<u64>,
    allocated: u64,
    unknown: u64,
    left_out: u64,
}

/// A row's blocks and who freed them.
#[derive(Clone, Copy, Debug, Default)]
struct Pair {
    blocks: u64,
    bytes: u64,
    between: u64,
    moments: u64,
    /// The last one's time, and how many blocks the row had allocated by then.
    last: Instant,
    /// The longest way from one moment to the next.
    longest: Instant,
}

/// A place in a row's life, or a way between two.
#[derive(Clone, Copy, Debug, Default)]
struct Instant {
    ns: u64,
    allocated: u64,
}

impl<'g> Frees<'g> {
    /// Nothing yet.
    #[must_use]
    pub fn new(groups: &'g Groups) -> Frees<'g> {
        Frees {
            groups,
            owners: vec![Owner::default(); groups.rows.len()],
            pairs: HashMap::new(),
            most_pairs: MOST_PAIRS,
        }
    }

    /// A block was allocated at a site.
    pub fn allocated(&mut self, site: u32, ns: u64) {
        let owner = self.groups.grew(site);
        if let Some(owner) = owner.and_then(|owner| self.owners.get_mut(owner)) {
            owner.first_ns.get_or_insert(ns);
            owner.allocated += 1;
        }
    }

    /// One of a site's blocks was freed by another site (0: nobody knows), `between` the two instants or before.
    pub fn freed(&mut self, (site, by): (u32, u32), ns: u64, bytes: u64, between: bool) {
        let Some(at) = self.groups.grew(site) else {
            return;
        };
        let Some(owner) = self.owners.get_mut(at) else {
            return;
        };
        owner.first_ns.get_or_insert(ns);
        let Some(by) = self.groups.of(by) else {
            owner.unknown += 1;
            return;
        };
        let is_full = self.pairs.len() >= self.most_pairs;
        if is_full && !self.pairs.contains_key(&(at, by)) {
            owner.left_out += 1;
            return;
        }
        let now = Instant {
            ns,
            allocated: owner.allocated,
        };
        let pair = self.pairs.entry((at, by)).or_default();
        pair.add(now);
        pair.bytes = pair.bytes.saturating_add(bytes);
        pair.between += u64::from(between);
    }

    /// What was found, by row; the recording was read up to this time.
    #[must_use]
    pub fn finish(self, to_ns: u64) -> Vec<Freed> {
        let Frees {
            groups,
            owners,
            pairs,
            ..
        } = self;
        let of = |owner: &Owner| Freed {
            by: Vec::new(),
            unknown_blocks: owner.unknown,
            left_out_blocks: owner.left_out,
        };
        let mut all: Vec<Freed> = owners.iter().map(of).collect();
        for ((at, by), pair) in pairs {
            let found = all.get_mut(at).zip(owners.get(at)).zip(groups.rows.get(by));
            if let Some(((freed, owner), by)) = found {
                freed.by.push(pair.told(owner, by, to_ns));
            }
        }
        all.iter_mut().for_each(|freed| freed.by.sort_by(order));
        all
    }
}

/// Those that stopped, then those that freed most; what is equal in that, by the last one's time and by name.
fn order(one: &Freeing, other: &Freeing) -> std::cmp::Ordering {
    let key = |of: &Freeing| (of.stopped, of.blocks, of.last_ns);
    let name = |of: &Freeing| {
        let row = &of.by;
        (
            row.file.clone(),
            row.line,
            row.function.clone(),
            row.module.clone(),
            row.thread.clone(),
        )
    };
    let by_name = || name(one).cmp(&name(other));
    key(other).cmp(&key(one)).then_with(by_name)
}

impl Pair {
    fn add(&mut self, now: Instant) {
        let since = now.since(self.last);
        if self.blocks == 0 || since.allocated > 0 {
            if self.moments > 0 {
                self.longest = self.longest.or_longer(since);
            }
            self.moments += 1;
        }
        self.blocks += 1;
        self.last = now;
    }

    fn told(&self, owner: &Owner, by: &Row, to_ns: u64) -> Freeing {
        let end = Instant {
            ns: to_ns,
            allocated: owner.allocated,
        };
        Freeing {
            by: by.clone(),
            blocks: self.blocks,
            bytes: self.bytes,
            blocks_between: self.between,
            last_ns: self.last.ns,
            allocated_since: end.since(self.last).allocated,
            stopped: self.has_stopped(owner, end),
        }
    }

    fn has_stopped(&self, owner: &Owner, end: Instant) -> bool {
        let begin = Instant {
            ns: owner.first_ns.unwrap_or(0),
            allocated: 0,
        };
        let (away, life) = (end.since(self.last), end.since(begin));
        let is_longest = away.allocated > self.longest.allocated && away.ns > self.longest.ns;
        let chance = |away: u64, life: u64| chance(self.moments, life.saturating_sub(away), life);
        let likely = chance(away.allocated, life.allocated).max(chance(away.ns, life.ns));
        self.moments >= FEWEST && is_longest && likely < BY_CHANCE
    }
}

/// How likely it is that so many moments, each anywhere in a life, all fall into its first part.
fn chance(moments: u64, part: u64, life: u64) -> f64 {
    let share = as_f64(part.saturating_add(1)) / as_f64(life.saturating_add(1));
    share.powf(as_f64(moments))
}

#[allow(
    clippy::cast_precision_loss,
    reason = "a share of numbers far below 2^53, or of times of which nobody counts the nanoseconds"
)]
fn as_f64(number: u64) -> f64 {
    number as f64
}

impl Instant {
    fn since(self, earlier: Instant) -> Instant {
        Instant {
            ns: self.ns.saturating_sub(earlier.ns),
            allocated: self.allocated.saturating_sub(earlier.allocated),
        }
    }

    fn or_longer(self, other: Instant) -> Instant {
        Instant {
            ns: self.ns.max(other.ns),
            allocated: self.allocated.max(other.allocated),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{self, Random};

    /// One row that grew, whose blocks are of site 0, and two lines that free them, sites 1 and 2.
    fn groups() -> Groups {
        let grew = fixture::report().rows[0].clone();
        assert!(grew.grew());
        let line = |line| Row {
            line: Some(line),
            ..grew.clone()
        };
        Groups {
            of_site: vec![Some(0), Some(1), Some(2), None],
            rows: vec![line(1), line(88), line(120)],
        }
    }

    /// What is told of a row that allocates once a millisecond, until a time in milliseconds; `frees` says how many blocks which site frees then.
    fn told(until: u64, mut frees: impl FnMut(u64) -> Vec<(u32, u64)>) -> Freed {
        let groups = groups();
        let mut counted = Frees::new(&groups);
        for ms in 0..until {
            counted.allocated(0, ms * 1_000_000);
            for (by, blocks) in frees(ms) {
                (0..blocks).for_each(|_| counted.freed((0, by), ms * 1_000_000, 24, ms >= 1000));
            }
        }
        counted.finish(until * 1_000_000).swap_remove(0)
    }

    fn lines(freed: &Freed) -> Vec<(Option<u32>, u64, bool)> {
        let of = |one: &Freeing| (one.by.line, one.blocks, one.stopped);
        freed.by.iter().map(of).collect()
    }

    /// Check that of two lines that freed alike the one that stopped is told, with what it freed, when last, and what was allocated since.
    #[test]
    fn one_of_two() {
        let freed = told(6000, |ms| match ms {
            ..2000 => vec![(1, u64::from(ms % 3 == 0)), (2, u64::from(ms % 3 == 1))],
            _ => vec![(2, u64::from(ms % 3 == 1))],
        });
        assert_eq!(
            lines(&freed),
            [(Some(88), 667, true), (Some(120), 2000, false)]
        );
        let evict = &freed.by[0];
        assert_eq!(
            (evict.last_ns, evict.allocated_since),
            (1_998_000_000, 4001)
        );
        assert_eq!((evict.bytes, evict.blocks_between), (667 * 24, 333));
        assert_eq!((freed.unknown_blocks, freed.left_out_blocks), (0, 0));
    }

    /// Check that a line which frees a batch each second has not stopped between two, and has after several; and that one batch, however large, says nothing.
    #[test]
    fn batches() {
        let each = |ms: u64, last: u64| match ms % 1000 == 999 && ms < last {
            true => vec![(1, 500)],
            false => Vec::new(),
        };
        assert_eq!(
            lines(&told(10_900, |ms| each(ms, 10_000))),
            [(Some(88), 5000, false)]
        );
        assert_eq!(
            lines(&told(25_000, |ms| each(ms, 10_000))),
            [(Some(88), 5000, true)]
        );
        assert_eq!(
            lines(&told(99_000, |ms| each(ms, 1000))),
            [(Some(88), 500, false)]
        );
    }

    /// Check that a burst of allocations between two sweeps is not taken for their end, nor a pause of the whole program.
    #[test]
    fn bursts() {
        let groups = groups();
        for (burst, pause) in [(1_000_000, 0), (0, 1_000_000_000_000)] {
            let mut counted = Frees::new(&groups);
            for ms in 0..10_000u64 {
                counted.allocated(0, ms * 1_000_000);
                if ms % 1000 == 500 {
                    counted.freed((0, 1), ms * 1_000_000, 24, true);
                }
            }
            (0..burst).for_each(|_| counted.allocated(0, 9_999_000_000));
            let freed = counted.finish(10_000_000_000 + pause).swap_remove(0);
            assert_eq!(lines(&freed), [(Some(88), 10, false)], "{burst} {pause}");
        }
    }

    /// Check that of ten thousand lines that free at random all along no more than chance allows are told to have stopped.
    #[test]
    fn by_chance() {
        let mut random = Random(11);
        let mut wrong = 0;
        for _ in 0..2000 {
            let freed = told(300, |_| {
                vec![(1, u64::from(random.next().is_multiple_of(10)))]
            });
            wrong += freed.by.iter().filter(|one| one.stopped).count();
        }
        assert!(wrong <= 4, "{wrong} of 2,000");
    }

    /// Check that what nobody knows, and what finds no room, is counted as that.
    #[test]
    fn unknown_and_left_out() {
        let groups = groups();
        let mut counted = Frees {
            most_pairs: 1,
            ..Frees::new(&groups)
        };
        for by in [0, 3, 9, 1, 2, 2, 1] {
            counted.freed((0, if by == 0 { 3 } else { by }), 5, 24, true);
        }
        counted.freed((1, 1), 5, 24, true);
        let freed = counted.finish(9).swap_remove(0);
        assert_eq!(lines(&freed), [(Some(88), 2, false)]);
        assert_eq!((freed.unknown_blocks, freed.left_out_blocks), (3, 2));
    }
}
