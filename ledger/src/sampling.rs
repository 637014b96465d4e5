//! The arithmetic of sampling: how far it is to the next sampled byte, and what a sampled block stands for. Used by the shim; the reader takes the modes from here.
//!
//! Each byte that is asked for is sampled with the same small chance, independently of all others, so that samples are `mean` bytes apart on average, and a
//! block is recorded if one of its bytes is. A block of `s` bytes is recorded with p = 1 − e^(−s/mean); it stands for s/p bytes and 1/p blocks, which makes the sums
//! right on average, of bytes and of blocks alike (Horvitz and Thompson, "A generalization of sampling without replacement from a finite universe", JASA 1952).
//!
//! A block of less than a [`MOST_BLOCKS`]th of the mean is taken by so many bytes. By its own, one of 16 bytes would stand for 32,768 blocks at 512 KiB: a line that
//! makes blocks of many sizes has hardly any samples of those that are most of them, and nothing that it has says how many it has not. So none stands for more than [`MOST_BLOCKS`],
//! which bounds what a line hides, for one sample more in so many small blocks.
//!
//! A weight depends on size and mean alone: a free computes what the malloc has computed. Integers only: a target may have the processor trap what is
//! not exact, or round the other way at the free, and then live would not come back to zero.

/// The largest mean. Sums of squares of more than some thousand blocks that stand for 64 MiB each would not fit their words.
pub const LARGEST_MEAN: u32 = 64 << 20;
/// Intervals that one account can tell apart: the shadow of Python's objects has three bits for them.
pub const INTERVALS: usize = 7;
/// Blocks that one stands for at most, whatever its size and the mean.
pub const MOST_BLOCKS: u32 = 1024;
/// Bits behind the point of [`Weight::bytes`]: a block of 16 bytes sampled at 64 stands for 72.33.
pub const BYTES_POINT: u32 = 8;
/// Bits behind the point of [`Weight::blocks`]: a block of one mean stands for 1.58.
pub const BLOCKS_POINT: u32 = 16;
/// Bits behind the point of [`Weight::blocks_spread`].
pub const BLOCKS_SPREAD_POINT: u32 = 8;

/// Bits behind the point of the chances below.
const POINT: u32 = 62;
const ONE: u64 = 1 << POINT;
/// Bits behind the point of 1/p.
const INVERSE_POINT: u32 = 44;
/// Blocks of so many means are always recorded: e^−44 is less than 2^−62.
const SURE: u64 = 44;
/// ln 2.
const LN_2: u64 = 3_196_577_161_300_663_914;

/// What is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Every event.
    Exact,
    /// A sample, with so many bytes between two on average.
    Sample(u32),
    /// Nothing new; what was recorded is still taken off when it is freed.
    Off,
}

impl Mode {
    const OFF: u32 = u32::MAX;
    /// Asks for `Exact`, whose word is 0.
    const EXACT_ASKED: u32 = u32::MAX - 1;

    /// The word for it in the ledger and on the control page.
    #[must_use]
    pub fn word(self) -> u32 {
        match self {
            Mode::Exact => 0,
            Mode::Sample(mean) => mean,
            Mode::Off => Mode::OFF,
        }
    }

    /// What a word asks for; None where that is nothing that there is.
    #[must_use]
    pub fn from_word(word: u32) -> Option<Mode> {
        match word {
            0 => Some(Mode::Exact),
            1..=LARGEST_MEAN => Some(Mode::Sample(word)),
            Mode::OFF => Some(Mode::Off),
            _ => None,
        }
    }

    /// The word that asks for it on the control page: never 0, where nothing is asked for.
    #[must_use]
    pub fn request(self) -> u32 {
        match self {
            Mode::Exact => Mode::EXACT_ASKED,
            other => other.word(),
        }
    }

    /// What such a word asks for; None where that is nothing that there is.
    #[must_use]
    pub fn from_request(word: u32) -> Option<Mode> {
        match word {
            0 => None,
            Mode::EXACT_ASKED => Some(Mode::Exact),
            other => Mode::from_word(other),
        }
    }
}

/// What a recorded block stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weight {
    /// Bytes.
    pub bytes: u64,
    /// Blocks.
    pub blocks: u64,
    /// Its part of the variance of an estimate of bytes, whole: (s/p)² (1 − p).
    pub bytes_spread: u64,
    /// Its part of the variance of an estimate of blocks: (1 − p) / p².
    pub blocks_spread: u64,
}

/// The bytes by which a block is sampled at least: one that has none is no less there.
#[must_use]
pub fn least(mean: u32) -> u64 {
    u64::from(mean.div_ceil(MOST_BLOCKS)).max(1)
}

/// More bytes than any block has, few enough to be taken from what is left to a sample. What asks for more gets nothing.
const MOST: u64 = 1 << 62;

/// The bytes by which a block is sampled, at most 2^62; `least` is the mean's.
#[inline(always)]
#[must_use]
pub fn length(size: u64, least: u64) -> u64 {
    size.max(least).min(MOST)
}

/// The weight of a recorded block.
#[must_use]
pub fn weight(size: u64, mean: u32) -> Weight {
    let mean = mean.max(1);
    let length = length(size, least(mean));
    if length >= SURE * u64::from(mean) {
        return Weight {
            bytes: size << BYTES_POINT,
            blocks: 1 << BLOCKS_POINT,
            bytes_spread: 0,
            blocks_spread: 0,
        };
    }
    let p = chance(length, mean);
    let inverse = rounded(1 << (POINT + INVERSE_POINT), p.into());
    let bytes = shifted(u128::from(size) * inverse, INVERSE_POINT - BYTES_POINT);
    let blocks = shifted(inverse, INVERSE_POINT - BLOCKS_POINT);
    // 1 − p, with 40 bits behind the point.
    let missed = u128::from((ONE - p) >> (POINT - 40));
    let beyond = blocks - (1 << BLOCKS_POINT);
    Weight {
        bytes: word(bytes),
        blocks: word(blocks),
        bytes_spread: word(shifted(bytes * bytes * missed, 2 * BYTES_POINT + 40)),
        blocks_spread: word((blocks * beyond) >> (2 * BLOCKS_POINT - BLOCKS_SPREAD_POINT)),
    }
}

/// 1 − e^−x with x = length / mean, from above nothing to 1.
fn chance(length: u64, mean: u32) -> u64 {
    let x = (u128::from(length) << POINT) / u128::from(mean);
    // 1 − e^−2y = q (2 − q): from a part of x that is less than one half.
    let halvings = (u128::BITS - x.leading_zeros()).saturating_sub(POINT - 1);
    let y = low(x >> halvings);
    let mut q = times(y, series(y));
    for _ in 0..halvings {
        q = low((u128::from(q) * u128::from(2 * ONE - q)) >> POINT);
    }
    q.clamp(1, ONE)
}

/// (1 − e^−y) / y = 1 − y/2 + y²/6 − y³/24 …, for y below one half. Divisions would be most of what a sample costs.
fn series(y: u64) -> u64 {
    let terms = TERMS.iter().rev();
    terms.fold(0, |sum, term| term - times(y, sum))
}

/// 1, 1/2, 1/6, 1/24 …: as far as such y reach.
const TERMS: [u64; 17] = {
    let mut terms = [ONE; 17];
    let mut at = 1;
    while at < terms.len() {
        terms[at] = terms[at - 1] / (at as u64 + 1);
        at += 1;
    }
    terms
};

fn times(one: u64, other: u64) -> u64 {
    low((u128::from(one) * u128::from(other)) >> POINT)
}

fn shifted(value: u128, by: u32) -> u128 {
    (value + (1 << (by - 1))) >> by
}

fn rounded(value: u128, divisor: u128) -> u128 {
    (value + divisor / 2) / divisor.max(1)
}

fn word(value: u128) -> u64 {
    u64::try_from(value).unwrap_or(u64::MAX)
}

/// What is known to fit.
#[expect(clippy::cast_possible_truncation, reason = "the caller's values fit")]
fn low(value: u128) -> u64 {
    debug_assert!(value <= u128::from(u64::MAX));
    value as u64
}

/// Bytes up to and with the next one that is sampled, at least 1: −mean · ln u, rounded up, which makes each byte as likely as any other.
#[must_use]
pub fn distance(random: u64, mean: u32) -> u64 {
    let u = random.max(1);
    let zeros = u.leading_zeros();
    // u = 2^(64 − zeros) · m with ½ ≤ m < 1.
    let m = (u << zeros) >> (u64::BITS - POINT);
    let nats = u128::from(zeros) * u128::from(LN_2) + u128::from(minus_logarithm(m));
    let far = nats * u128::from(mean.max(1));
    word(far.div_ceil(1 << POINT)).max(1)
}

/// −ln m for ½ ≤ m ≤ 1: 2 (t + t³/3 + t⁵/5 …) with t = (1 − m) / (1 + m), which is a third at most.
fn minus_logarithm(m: u64) -> u64 {
    let t = low((u128::from(ONE - m) << POINT) / u128::from(ONE + m));
    let square = times(t, t);
    let sum = ODD_TERMS.iter().rev();
    let sum = sum.fold(0, |sum, term| term + times(square, sum));
    2 * times(t, sum)
}

/// 1, 1/3, 1/5 …: 3^−38 is less than 2^−60.
const ODD_TERMS: [u64; 18] = {
    let mut terms = [ONE; 18];
    let mut at = 1;
    while at < terms.len() {
        terms[at] = ONE / (2 * at as u64 + 1);
        at += 1;
    }
    terms
};

/// The next number of a generator of 64 bits of state (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014).
#[must_use]
pub fn next_random(state: u64) -> (u64, u64) {
    let state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    (state, mixed(state))
}

/// A word of which every bit depends on every bit of another.
#[must_use]
pub fn mixed(word: u64) -> u64 {
    let z = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn f(value: u64, point: u32) -> f64 {
        value as f64 / f64::from(1u32 << point)
    }

    fn near(is: f64, right: f64, within: f64) -> bool {
        (is - right).abs() <= within
    }

    /// Check every weight against the formula in floating point, from a byte to blocks that are always recorded, at intervals from one byte to the largest.
    #[test]
    fn weights() {
        let means = [1, 2, 7, 64, 1000, 1 << 12, 524_288, 1_000_003, LARGEST_MEAN];
        let sizes = (0..46).flat_map(|shift| [1u64 << shift, (1 << shift) + 1, 3 << shift]);
        for (mean, size) in means
            .into_iter()
            .flat_map(|mean| sizes.clone().map(move |s| (mean, s)))
        {
            let x = size.max(u64::from(mean).div_ceil(1024)) as f64 / f64::from(mean);
            let p = -(-x).exp_m1();
            let is = weight(size, mean);
            let bytes = size as f64 / p;
            assert!(
                near(f(is.bytes, BYTES_POINT), bytes, 0.002 + bytes * 1e-12),
                "{size} at {mean}: {is:?}"
            );
            assert!(
                near(f(is.blocks, BLOCKS_POINT), 1.0 / p, 1e-5 + 1e-12 / p),
                "{size} at {mean}: {is:?}"
            );
            let (spread, blocks) = (bytes * bytes * (1.0 - p), (1.0 - p) / (p * p));
            assert!(
                near(
                    is.bytes_spread as f64,
                    spread,
                    1.0 + spread * 1e-3 + bytes * bytes * 2e-12
                ),
                "{size} at {mean}: {is:?} {spread}"
            );
            assert!(
                near(
                    f(is.blocks_spread, BLOCKS_SPREAD_POINT),
                    blocks,
                    0.01 + blocks * 1e-4
                ),
                "{size} at {mean}: {is:?}"
            );
        }
        let none = weight(0, 4096);
        assert_eq!((none.bytes, none.bytes_spread), (0, 0));
        assert_eq!(none.blocks, weight(4, 4096).blocks);
        assert_eq!(
            none.blocks,
            (1024 << BLOCKS_POINT) + (1 << BLOCKS_POINT) / 2 + 5
        );
    }

    /// Check that the distance is that of a byte in `mean`: its mean, and the share of those that reach each size, within four standard deviations.
    #[test]
    fn distances() {
        for mean in [1u32, 10, 4096, 524_288] {
            let (mut state, mut sum, runs) = (7, 0f64, 200_000u32);
            let reach = [1u64, 2, 8, 1000, 4096, 1 << 20];
            let mut reached = [0u32; 6];
            for _ in 0..runs {
                let (next, random) = next_random(state);
                state = next;
                let far = distance(random, mean);
                sum += far as f64;
                reached
                    .iter_mut()
                    .zip(reach)
                    .for_each(|(count, size)| *count += u32::from(far <= size));
            }
            for (count, size) in reached.into_iter().zip(reach) {
                let p = -(-(size as f64) / f64::from(mean)).exp_m1();
                let bound = 4.0 * (p * (1.0 - p) / f64::from(runs)).sqrt() + 1e-9;
                let share = f64::from(count) / f64::from(runs);
                assert!(near(share, p, bound), "{size} at {mean}: {share} for {p}");
            }
            let (p, n) = (-(-1.0 / f64::from(mean)).exp_m1(), f64::from(runs));
            let bound = 4.0 * (1.0 - p).sqrt() / p / n.sqrt() + 1e-9;
            assert!(near(sum / n, 1.0 / p, bound), "at {mean}");
        }
        assert_eq!(distance(u64::MAX, 524_288), 1, "at once");
        assert_eq!(distance(0, 1), 45, "as far as there is: ln 2^64");
    }

    /// Check that a mode is its word, and the word that asks for it, and that no other word is a mode.
    #[test]
    fn modes() {
        for mode in [
            Mode::Exact,
            Mode::Sample(1),
            Mode::Sample(LARGEST_MEAN),
            Mode::Off,
        ] {
            assert_eq!(Mode::from_word(mode.word()), Some(mode));
            assert_ne!(mode.request(), 0);
            assert_eq!(Mode::from_request(mode.request()), Some(mode));
        }
        assert_eq!(Mode::from_request(0), None);
        assert_eq!(Mode::from_request(LARGEST_MEAN + 1), None);
        assert_eq!(Mode::from_word(LARGEST_MEAN + 1), None);
        assert_eq!(Mode::from_word(u32::MAX - 1), None);
    }
}
