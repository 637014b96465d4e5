//! Blocks that their thread freed by its very next operation, by the account itself: without a recording, which has the same (`trace::temporary`).
//!
//! The ledger counts them by site from its start (`heapshim_ledger::temporaries`); between two moments it is the difference. Nothing is known, and nothing guessed, of accounts
//! that had samples (nobody saw which operation was next), of moments of which no copy was made (marks of the program's own, the peak, marks of older versions), and
//! of two processes.

use crate::model::Snapshot;
use crate::report::{Amount, Temporaries};
use heapshim_ledger::Reader;
use heapshim_ledger::sites::SiteId;

/// What a ledger says: nothing of sites that had none.
pub(crate) fn of(reader: &Reader<'_>) -> Temporaries {
    let amount = |site| {
        let brief = reader.temporary(SiteId(site));
        Amount {
            bytes: brief.bytes.cast_signed(),
            blocks: brief.blocks.cast_signed(),
        }
    };
    let sites = (0..reader.sites.len()).map(|site| (site, amount(site)));
    sites
        .filter(|(_, amount)| *amount != Amount::default())
        .collect()
}

/// What was temporary between two moments of one process, by site; from its start where the first is None.
#[must_use]
pub fn between(from: Option<&Snapshot>, to: &Snapshot) -> Option<Temporaries> {
    let last = to.temporaries.as_ref();
    let last = last.filter(|_| !to.sampling.had_samples())?;
    let Some(from) = from else {
        return Some(last.clone());
    };
    let is_same = from.process.identity == to.process.identity;
    let first = from.temporaries.as_ref().filter(|_| is_same)?;
    let mut between = last.clone();
    for (site, before) in first {
        let now = between.entry(*site).or_default();
        now.bytes = now.bytes.wrapping_sub(before.bytes);
        now.blocks = now.blocks.wrapping_sub(before.blocks);
    }
    between.retain(|_, amount| *amount != Amount::default());
    Some(between)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{amount, snapshot};

    fn counted(of: &[(u32, Amount)]) -> Snapshot {
        let mut snapshot = snapshot(1);
        snapshot.temporaries = Some(of.iter().copied().collect());
        snapshot
    }

    /// Check that between two moments it is what came since, site by site, and from the start all.
    #[test]
    fn differences() {
        let first = counted(&[(2, amount(10, 1)), (3, amount(8, 1))]);
        let last = counted(&[(2, amount(30, 3)), (3, amount(8, 1)), (4, amount(5, 5))]);
        let all = last.temporaries.clone();
        assert_eq!(between(None, &last), all);
        let since = [(2, amount(20, 2)), (4, amount(5, 5))].into();
        assert_eq!(between(Some(&first), &last), Some(since));
    }

    /// Check that nothing is said of two processes, of a moment of which nothing is kept, and where there were samples.
    #[test]
    fn unknown() {
        let (first, last) = (counted(&[]), counted(&[(2, amount(1, 1))]));
        assert!(between(Some(&first), &last).is_some());
        assert_eq!(between(Some(&snapshot(1)), &last), None);
        assert_eq!(between(None, &snapshot(1)), None);
        let mut other = first.clone();
        other.process.identity += 1;
        assert_eq!(between(Some(&other), &last), None);
        let mut sampled = last;
        sampled.sampling.largest = 1024;
        assert_eq!(between(Some(&first), &sampled), None);
    }
}
