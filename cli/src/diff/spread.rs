//! How far the estimates of a sampled account may be off.
//!
//! A sampled block that stands for y adds y² (1 − p) to the variance of each sum that it is part of (Horvitz and Thompson; blocks are sampled
//! independently of each other). The ledger keeps these sums for what was allocated and for what was freed. What is live has their difference, exactly. A growth
//! between two marks has those blocks that are live at one of them alone: their part is not more than that of what is live at either, and not more than that of
//! all that came and went meanwhile, and the lesser of the two is taken.
//!
//! Of a line with few samples the variance is as little known as the sum, and of one with none nothing is. So the error is not 1.96 standard
//! deviations but what an interval by scores comes to at its far end (Wilson, JASA 1927; Byrne and Kabaila, "Comparison of Poisson confidence intervals", 2005): with
//! z = 1.96 and a unit u that one unseen sample would have stood for, z²/2 · u + z · √(variance + z²/4 · u²). One is three samples off at none,
//! and 1.96 deviations where there are many.
//!
//! That unit is the most that any block stands for, of bytes the mean and of blocks `MOST_BLOCKS`, not what the line's samples stood for: of a line that makes a
//! hundred large blocks and a thousand small ones, those that were seen are large.

use super::{From, same_process};
use crate::model::{Counters, Sampling, Snapshot};
use crate::report::{Amount, Errors};
use heapshim_ledger::estimates::Spread;
use heapshim_ledger::sampling::{BLOCKS_SPREAD_POINT, MOST_BLOCKS, Mode};

/// Standard deviations that 95 of 100 draws of a normal distribution lie within.
const Z: f64 = 1.959_964;

/// Variances of bytes and of blocks.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Variance {
    bytes: f64,
    blocks: f64,
}

/// Variances of what a row says.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Variances {
    growth: Variance,
    live: Variance,
    total: Variance,
    /// Something lived at the first mark that was there in a sample: what else was, and goes, is not seen to.
    held: bool,
}

impl std::ops::AddAssign for Variances {
    fn add_assign(&mut self, other: Variances) {
        let pairs = [
            (&mut self.growth, other.growth),
            (&mut self.live, other.live),
            (&mut self.total, other.total),
        ];
        for (sum, one) in pairs {
            sum.bytes += one.bytes;
            sum.blocks += one.blocks;
        }
        self.held |= other.held;
    }
}

impl Variance {
    fn plus(self, other: Variance) -> Variance {
        Variance {
            bytes: self.bytes + other.bytes,
            blocks: self.blocks + other.blocks,
        }
    }

    fn least(self, other: Variance) -> Variance {
        Variance {
            bytes: self.bytes.min(other.bytes),
            blocks: self.blocks.min(other.blocks),
        }
    }
}

/// One site at one moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Side<'a> {
    sampling: Option<&'a Sampling>,
    site: u32,
    pub(super) counters: Counters,
}

impl<'a> Side<'a> {
    pub(super) fn of(snapshot: &'a Snapshot, site: usize) -> Side<'a> {
        Side {
            sampling: Some(&snapshot.sampling).filter(|sampling| sampling.largest > 0),
            site: u32::try_from(site).unwrap_or(u32::MAX),
            counters: snapshot.sites[site].counters,
        }
    }

    /// Before there was anything.
    pub(super) const NOTHING: Side<'static> = Side {
        sampling: None,
        site: 0,
        counters: Counters {
            allocated_bytes: 0,
            allocated_blocks: 0,
            freed_bytes: 0,
            freed_blocks: 0,
        },
    };

    /// What the ledger has kept. None where this moment has nothing of it.
    fn spread(&self) -> Option<Spread> {
        match self.sampling {
            None => Some(Spread::default()),
            Some(sampling) => {
                let spreads = sampling.spreads.as_ref()?;
                Some(spreads.get(&self.site).copied().unwrap_or_default())
            }
        }
    }

    fn live(&self) -> Variance {
        match self.spread() {
            Some(spread) => came_less_went(
                (spread.allocated_bytes, spread.allocated_blocks),
                (spread.freed_bytes, spread.freed_blocks),
            ),
            None => self.most(amount(
                self.counters.live_bytes(),
                self.counters.live_blocks(),
            )),
        }
    }

    /// Of a sampled block (1 − p) / p is less than a unit of bytes to each of its own, and than one of blocks: no more than this is the variance of such a sum.
    fn most(&self, sum: Amount) -> Variance {
        let mean = self.sampling.map_or(0, |one| one.largest);
        Variance {
            bytes: f64::from(mean) * float(sum.bytes).abs(),
            blocks: unit_of_blocks(mean) * float(sum.blocks).abs(),
        }
    }
}

/// The most blocks that one stands for, but for a half.
fn unit_of_blocks(mean: u32) -> f64 {
    f64::from(mean.min(MOST_BLOCKS))
}

/// The variances of a site's change.
pub(super) fn between(before: &Side<'_>, after: &Side<'_>, total: Amount) -> Variances {
    if before.sampling.is_none() && after.sampling.is_none() {
        return Variances::default();
    }
    let (old, live) = (before.live(), after.live());
    let either = old.plus(live);
    let (growth, total) = match (before.spread(), after.spread()) {
        (Some(then), Some(now)) if !goes_round(after, total) => {
            let came = came_less_went(
                (now.allocated_bytes, now.allocated_blocks),
                (then.allocated_bytes, then.allocated_blocks),
            );
            let went = came_less_went(
                (now.freed_bytes, now.freed_blocks),
                (then.freed_bytes, then.freed_blocks),
            );
            (either.least(came.plus(went)), came)
        }
        _ => (either, after.most(total)),
    };
    Variances {
        growth,
        live,
        total,
        held: old != Variance::default(),
    }
}

/// The sums go round past 2^64: so much may have come and gone between two marks that their difference says nothing.
fn goes_round(after: &Side<'_>, total: Amount) -> bool {
    let most = after.most(total);
    most.bytes
        .max(most.blocks * f64::from(1 << BLOCKS_SPREAD_POINT))
        >= 2f64.powi(63)
}

fn came_less_went(came: (u64, u64), went: (u64, u64)) -> Variance {
    // Read while it changes, a difference may be a little below nothing.
    let less = |one: u64, other: u64| float(one.wrapping_sub(other).cast_signed()).max(0.0);
    Variance {
        bytes: less(came.0, went.0),
        blocks: less(came.1, went.1) / f64::from(1 << BLOCKS_SPREAD_POINT),
    }
}

/// What one sample stood for at most between two marks, and ever; None where each event was recorded.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Units {
    between: u32,
    ever: u32,
}

impl Units {
    pub(super) fn of(from: From<'_>, to: &Snapshot) -> Option<Units> {
        let (now, then) = (&to.sampling, before(from));
        let largest = then.map_or(0, |then| then.largest).max(now.largest);
        let same = match from {
            From::Start => now.changes == 0,
            From::Mark(from) => same_process(from, to) && from.sampling.changes == now.changes,
        };
        let between = match now.mode {
            Mode::Sample(mean) if same => mean,
            _ if same => 0,
            _ => largest,
        };
        (largest > 0).then_some(Units {
            between,
            ever: largest,
        })
    }

    /// The largest mean between samples.
    pub(super) fn largest(&self) -> u64 {
        self.ever.into()
    }

    /// The errors of sums with these variances.
    pub(super) fn errors(&self, variances: &Variances) -> Errors {
        let growth = match variances.held {
            true => self.ever,
            false => self.between,
        };
        Errors {
            growth: error(variances.growth, growth),
            live: error(variances.live, self.ever),
            total: error(variances.total, self.between),
        }
    }
}

fn before(from: From<'_>) -> Option<&Sampling> {
    match from {
        From::Start => None,
        From::Mark(from) => Some(&from.sampling),
    }
}

fn error(variance: Variance, mean: u32) -> Amount {
    amount(
        half_width(variance.bytes, mean.into()),
        half_width(variance.blocks, unit_of_blocks(mean)),
    )
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "a number for the eye, far below 2^63"
)]
fn half_width(variance: f64, unit: f64) -> i64 {
    let half = Z * Z / 2.0 * unit;
    (half + Z * (variance + half * unit / 2.0).sqrt()).ceil() as i64
}

#[expect(clippy::cast_precision_loss, reason = "an error to 53 bits")]
fn float(value: i64) -> f64 {
    value as f64
}

fn amount(bytes: i64, blocks: i64) -> Amount {
    Amount { bytes, blocks }
}

#[cfg(test)]
mod tests {
    use super::*;
    use heapshim_ledger::sampling::{
        BLOCKS_POINT, BYTES_POINT, distance, least, length, next_random, weight,
    };
    use std::collections::BTreeMap;

    const MEAN: u32 = 65_536;

    /// One site's account while a sample is taken of it, with 8 and 16 places behind the point.
    struct Account {
        random: u64,
        left: u64,
        spread: Spread,
        allocated: [u64; 2],
        freed: [u64; 2],
    }

    impl Account {
        fn new(seed: u64) -> Account {
            let (random, first) = next_random(seed.wrapping_mul(0x1234_5678_9abc_def1));
            Account {
                random,
                left: distance(first, MEAN),
                spread: Spread::default(),
                allocated: [0; 2],
                freed: [0; 2],
            }
        }

        /// Makes blocks; gives those that were recorded.
        fn make(&mut self, sizes: &[u64]) -> Vec<u64> {
            let mut recorded = sizes.to_vec();
            recorded.retain(|&size| self.picks(size));
            for &size in &recorded {
                let one = weight(size, MEAN);
                self.spread.allocated_bytes += one.bytes_spread;
                self.spread.allocated_blocks += one.blocks_spread;
                self.allocated[0] += one.bytes;
                self.allocated[1] += one.blocks;
            }
            recorded
        }

        fn drop(&mut self, recorded: &[u64]) {
            for &size in recorded {
                let one = weight(size, MEAN);
                self.spread.freed_bytes += one.bytes_spread;
                self.spread.freed_blocks += one.blocks_spread;
                self.freed[0] += one.bytes;
                self.freed[1] += one.blocks;
            }
        }

        fn picks(&mut self, size: u64) -> bool {
            let length = length(size, least(MEAN));
            if self.left > length {
                self.left -= length;
                return false;
            }
            let (random, next) = next_random(self.random);
            (self.random, self.left) = (random, distance(next, MEAN));
            true
        }

        fn snapshot(&self, kept: bool) -> Snapshot {
            let mut snapshot = crate::fixture::snapshot(1);
            snapshot.sampling = Sampling {
                mode: Mode::Sample(MEAN),
                largest: MEAN,
                spreads: kept.then(|| BTreeMap::from([(2, self.spread)])),
                ..Sampling::default()
            };
            snapshot.sites[2].counters = Counters {
                allocated_bytes: self.allocated[0] >> BYTES_POINT,
                allocated_blocks: self.allocated[1] >> BLOCKS_POINT,
                freed_bytes: self.freed[0] >> BYTES_POINT,
                freed_blocks: self.freed[1] >> BLOCKS_POINT,
            };
            snapshot
        }
    }

    /// The growth of site 2, and its error.
    fn growth(from: From<'_>, to: &Snapshot) -> (Amount, Amount) {
        let before = match from {
            From::Start => Side::NOTHING,
            From::Mark(from) => Side::of(from, 2),
        };
        let (then, now) = (before.counters, to.sites[2].counters);
        let live = amount(now.live_bytes(), now.live_blocks());
        let grown = amount(
            live.bytes - then.live_bytes(),
            live.blocks - then.live_blocks(),
        );
        let total = amount(
            (now.allocated_bytes - then.allocated_bytes).cast_signed(),
            (now.allocated_blocks - then.allocated_blocks).cast_signed(),
        );
        let variances = between(&before, &Side::of(to, 2), total);
        let units = Units::of(from, to).expect("sampled");
        (grown, units.errors(&variances).growth)
    }

    /// In how many of 1,000 runs the bytes, and the blocks, were within the error, and the mean errors.
    fn covered(run: impl Fn(u64) -> (Amount, Amount, Amount)) -> ([u32; 2], [i64; 2]) {
        let (mut within, mut errors) = ([0; 2], [0; 2]);
        for seed in 0..1000 {
            let (found, error, right) = run(seed);
            within[0] += u32::from((found.bytes - right.bytes).abs() <= error.bytes);
            within[1] += u32::from((found.blocks - right.blocks).abs() <= error.blocks);
            errors[0] += error.bytes;
            errors[1] += error.blocks;
        }
        (within, errors.map(|sum| sum / 1000))
    }

    fn sum(sizes: &[u64]) -> Amount {
        let bytes: u64 = sizes.iter().sum();
        amount(bytes.cast_signed(), i64::try_from(sizes.len()).unwrap())
    }

    /// Check of lines with few and many samples, of one size and of sizes from none to a MiB, that 95 of 100 runs are within the error, and that the error is no more than it must be.
    #[test]
    fn from_the_start() {
        let mixed: Vec<u64> = (0..4000u64).map(|n| n * n % 3001).collect();
        let far_apart: Vec<u64> = (0..2100).map(|n| 1 << (n % 21)).collect();
        let small_beside_large = [vec![16; 600], vec![100_000; 30]].concat();
        let cases: [(Vec<u64>, [i64; 2]); 8] = [
            (vec![100; 1000], [400_000, 4_500]),
            (vec![100; 6000], [800_000, 8_000]),
            (vec![160; 20_000], [1_200_000, 8_000]),
            (mixed, [1_900_000, 4_500]),
            (far_apart, [2_400_000, 5_000]),
            (small_beside_large, [900_000, 4_500]),
            (vec![200_000; 20], [900_000, 4_000]),
            (vec![10_000_000], [260_000, 4_000]),
        ];
        for (sizes, most) in cases {
            let (within, errors) = covered(|seed| {
                let mut account = Account::new(seed);
                account.make(&sizes);
                let (found, error) = growth(From::Start, &account.snapshot(true));
                (found, error, sum(&sizes))
            });
            let told = format!("{} × {}: {within:?} ± {errors:?}", sizes.len(), sizes[0]);
            assert!(within[0] >= 950 && within[1] >= 950, "{told}");
            assert!(errors[0] <= most[0] && errors[1] <= most[1], "{told}");
        }
    }

    /// Check the same of a growth beside what stays, and beside what comes and goes: neither is taken for more uncertain than it is.
    #[test]
    fn between_two_marks() {
        let run = |kept: bool| {
            covered(move |seed| {
                let mut account = Account::new(seed);
                let old = account.make(&[5000; 400]);
                account.make(&[5000; 6000]);
                let from = account.snapshot(kept);
                let passing = account.make(&[300; 2000]);
                account.drop(&passing);
                account.make(&[700; 3000]);
                account.drop(&old);
                let right = amount(2_100_000 - 2_000_000, 3000 - 400);
                let (found, error) = growth(From::Mark(&from), &account.snapshot(kept));
                (found, error, right)
            })
        };
        let (within, [error, _]) = run(true);
        assert!(within[0] >= 950 && within[1] >= 950, "{within:?}");
        assert!(error < 1_600_000, "{error}");
        let (within, [coarse, _]) = run(false);
        assert!(within[0] >= 950 && within[1] >= 950, "{within:?}");
        assert!(coarse > 2 * error, "{coarse}: of all that lives");
    }

    /// Check that nothing has errors where everything was recorded.
    #[test]
    fn exact() {
        let snapshot = crate::fixture::snapshot(1);
        assert_eq!(Units::of(From::Start, &snapshot), None);
        let side = Side::of(&snapshot, 2);
        let none = between(&Side::NOTHING, &side, Amount::default());
        assert_eq!(none, Variances::default());
    }
}
