//! What a chunk's events come to, by site: with it a question that is not about single events need not look at them.
//!
//! ```text
//! sites u, then for each: distance from the site before, allocated bytes, allocated blocks, freed bytes, freed blocks   (all numbers of `varint`)
//! ```

use super::varint::{Numbers, put};
use super::{Damage, Dense, Happening};
use crate::model::Counters;

/// By site, what was allocated and freed: of a chunk that is being filled.
#[derive(Debug, Default)]
pub(super) struct Sums(Dense<Counters>);

impl Sums {
    /// Adds an event.
    #[inline]
    pub(super) fn add(&mut self, happening: &Happening) {
        charge(self.0.at(happening.site.into()), happening);
    }

    /// The bytes of what was added; nothing is then.
    pub(super) fn finish(&mut self) -> Vec<u8> {
        let all = std::mem::take(&mut self.0).into_sorted();
        let sums: Vec<_> = all
            .filter(|(_, counters)| *counters != Counters::default())
            .collect();
        let (mut out, mut last) = (Vec::new(), 0);
        put(&mut out, sums.len() as u64);
        for (site, counters) in sums {
            put(&mut out, site - last);
            last = site;
            put(&mut out, counters.allocated_bytes);
            put(&mut out, counters.allocated_blocks);
            put(&mut out, counters.freed_bytes);
            put(&mut out, counters.freed_blocks);
        }
        out
    }
}

/// What bytes of `Sums` say: sites, from the least on, and their accounts.
pub(super) fn decode(bytes: &[u8]) -> Result<Vec<(u32, Counters)>, Damage> {
    let mut numbers = Numbers::new(bytes);
    let (count, mut site, mut sums) = (numbers.next()?, 0u32, Vec::new());
    for _ in 0..count {
        let next = site.checked_add(numbers.next_u32()?);
        site = next.ok_or(Damage::Value("a site is too large"))?;
        let counters = Counters {
            allocated_bytes: numbers.next()?,
            allocated_blocks: numbers.next()?,
            freed_bytes: numbers.next()?,
            freed_blocks: numbers.next()?,
        };
        sums.push((site, counters));
    }
    Ok(sums)
}

/// Adds an event to its site's account.
pub(super) fn charge(counters: &mut Counters, happening: &Happening) {
    let (bytes, blocks) = match happening.operation.frees() {
        true => (&mut counters.freed_bytes, &mut counters.freed_blocks),
        false => (
            &mut counters.allocated_bytes,
            &mut counters.allocated_blocks,
        ),
    };
    *bytes = bytes.wrapping_add(happening.size);
    *blocks = blocks.wrapping_add(1);
}

/// One account before something was added to it.
pub(super) fn subtract(from: &mut Counters, less: &Counters) {
    from.allocated_bytes = from.allocated_bytes.wrapping_sub(less.allocated_bytes);
    from.allocated_blocks = from.allocated_blocks.wrapping_sub(less.allocated_blocks);
    from.freed_bytes = from.freed_bytes.wrapping_sub(less.freed_bytes);
    from.freed_blocks = from.freed_blocks.wrapping_sub(less.freed_blocks);
}

#[cfg(test)]
mod tests {
    use super::*;
    use heapshim_ledger::rings::Operation;

    /// Check that sums come back, that adding and taking away undo each other, and that cut bytes are refused.
    #[test]
    fn round_trip() {
        let mut sums = Sums::default();
        for (site, size) in [(7, 24), (7, 1 << 40), (1, 0), (u32::MAX, 5)] {
            for operation in [Operation::Allocated, Operation::ObjectFreed] {
                sums.add(&Happening {
                    freed_by: 0,
                    ns: 0,
                    operation,
                    thread: 0,
                    site,
                    address: 1,
                    size,
                });
            }
        }
        let bytes = sums.finish();
        let all = decode(&bytes).expect("whole");
        let sites: Vec<u32> = all.iter().map(|(site, _)| *site).collect();
        assert_eq!(sites, [1, 7, u32::MAX]);
        let mut account = all[1].1;
        assert_eq!(
            (account.allocated_bytes, account.freed_blocks),
            ((1 << 40) + 24, 2)
        );
        account.add(&all[0].1);
        subtract(&mut account, &all[0].1);
        assert_eq!(account, all[1].1);
        assert!((0..bytes.len()).all(|end| decode(&bytes[..end]).is_err()));
        assert_eq!(decode(&sums.finish()), Ok(Vec::new()), "nothing is left");
    }
}
