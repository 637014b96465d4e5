//! How the blocks of a line were spread: by how long they lived, or by how large they were. Powers of two, each with exact counts.
//!
//! Made by `trace` from a recording, by site; added up by `diff` into rows; written by `render`. A bucket keeps its least and greatest value as
//! well, so that what is asked of the whole (half of them, 95 of 100, all) is a value that was there: the greatest of the bucket that it falls in.
//!
//! ```text
//! bucket 0: the value 0        bucket b > 0: 2^(b−1) ≤ value < 2^b
//! ```

use std::collections::BTreeMap;

/// What the values are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// Microseconds from a block's allocation to its free.
    Lifetime,
    /// Bytes asked for.
    Size,
}

/// The blocks of one bucket; at least one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// How many.
    pub blocks: u64,
    /// What they came to.
    pub bytes: u64,
    /// The least value.
    pub least: u64,
    /// The greatest value.
    pub most: u64,
}

/// Blocks by a value of theirs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Distribution {
    buckets: Vec<(u8, Bucket)>,
    /// Blocks whose value is not known: they were freed, and older than the recording.
    pub unknown: u64,
}

/// By site.
pub type BySite = BTreeMap<u32, Distribution>;

/// The bucket of a value.
#[must_use]
pub fn bucket_of(value: u64) -> u8 {
    // At most 64.
    u8::try_from(u64::BITS - value.leading_zeros()).unwrap_or(u8::MAX)
}

/// The least value that a bucket may have, and the greatest.
#[must_use]
pub fn bounds(bucket: u8) -> (u64, u64) {
    match bucket {
        0 => (0, 0),
        64.. => (1 << 63, u64::MAX),
        _ => (1 << (bucket - 1), (1 << bucket) - 1),
    }
}

impl Bucket {
    /// One block.
    #[must_use]
    pub fn one(value: u64, bytes: u64) -> Bucket {
        Bucket {
            blocks: 1,
            bytes,
            least: value,
            most: value,
        }
    }

    /// Both together.
    pub fn merge(&mut self, other: &Bucket) {
        self.blocks = self.blocks.saturating_add(other.blocks);
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.least = self.least.min(other.least);
        self.most = self.most.max(other.most);
    }
}

impl Distribution {
    /// The buckets that have blocks, least values first.
    pub fn buckets(&self) -> impl DoubleEndedIterator<Item = (u8, &Bucket)> {
        self.buckets
            .iter()
            .map(|(number, bucket)| (*number, bucket))
    }

    /// Adds blocks of one bucket.
    pub fn add(&mut self, number: u8, more: &Bucket) {
        match self.buckets.binary_search_by_key(&number, |one| one.0) {
            Ok(at) => self.buckets[at].1.merge(more),
            Err(at) => self.buckets.insert(at, (number, *more)),
        }
    }

    /// Adds all blocks of another.
    pub fn merge(&mut self, other: &Distribution) {
        other
            .buckets()
            .for_each(|(number, bucket)| self.add(number, bucket));
        self.unknown = self.unknown.saturating_add(other.unknown);
    }

    /// How many blocks' values are known.
    #[must_use]
    pub fn blocks(&self) -> u64 {
        let blocks = self.buckets().map(|(_, bucket)| bucket.blocks);
        blocks.fold(0, u64::saturating_add)
    }

    /// So many of a hundred are no greater than this; None where there are none.
    #[must_use]
    pub fn at_most(&self, percent: u64) -> Option<u64> {
        let all = u128::from(self.blocks()) * u128::from(percent);
        let mut seen = 0u128;
        let reaches = |(_, bucket): &(u8, &Bucket)| {
            seen += u128::from(bucket.blocks) * 100;
            seen >= all
        };
        self.buckets().find(reaches).map(|(_, bucket)| bucket.most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[u64]) -> Distribution {
        let mut all = Distribution::default();
        for &value in values {
            all.add(bucket_of(value), &Bucket::one(value, 10));
        }
        all
    }

    /// Check that each value lies in the bucket whose bounds hold it, the ends of each bucket and of all numbers among them.
    #[test]
    fn every_value_has_its_bucket() {
        let ends = (0..64).flat_map(|bit| [(1u64 << bit) - 1, 1 << bit]);
        for value in ends.chain([u64::MAX]) {
            let (least, most) = bounds(bucket_of(value));
            assert!((least..=most).contains(&value), "{value}");
        }
    }

    /// Check that half, 95 of 100 and all are values that were there, and that nothing has none.
    #[test]
    fn quantiles() {
        let all = of(&[0, 3, 3, 3, 100, 100, 100, 100, 100, 5000]);
        assert_eq!(
            [50, 95, 100].map(|p| all.at_most(p)),
            [Some(100), Some(5000), Some(5000)]
        );
        assert_eq!(all.at_most(40), Some(3));
        assert_eq!(of(&[7]).at_most(50), Some(7));
        assert_eq!(of(&[]).at_most(50), None);
    }

    /// Check that two added up are the one of all their values, in whatever order these came.
    #[test]
    fn merges() {
        let mut one = of(&[9, 1, 8]);
        let other = Distribution {
            unknown: 2,
            ..of(&[1, 700])
        };
        one.merge(&other);
        assert_eq!(
            one,
            Distribution {
                unknown: 2,
                ..of(&[700, 8, 1, 1, 9])
            }
        );
        assert_eq!((one.blocks(), one.buckets().count()), (5, 3));
    }
}
