//! When blocks were born, as far as pinned marks tell: which of a site's blocks came after a mark and are still there (survivors), without a recording.
//!
//! A mark is pinned by the command that takes it (`control`): the process then begins a *cohort* (`heapshim_ledger::cohorts`), and every snapshot after it has what is live of
//! each. What is not known is said to be unknown, never guessed: of marks that were not pinned, of accounts that had samples, and of sites of which the target had no
//! room for a block's cohort.

use crate::model::Snapshot;
use crate::report::{Amount, Surviving, Survivors};
use heapshim_ledger::Reader;
use heapshim_ledger::sites::SiteId;
use std::collections::BTreeMap;

/// What a snapshot knows of its blocks' births.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Births {
    /// The cohort that begins with it; None: it was not pinned.
    pub pinned: Option<u32>,
    /// What is live, by site; None: nobody looked.
    pub sites: Option<BTreeMap<u32, Born>>,
}

/// The blocks of one site.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Born {
    /// True where some were born nobody knows when.
    pub unknown: bool,
    /// What is live of each cohort, where that is anything.
    pub live: Vec<(u32, Amount)>,
}

impl Births {
    /// What a ledger says; of a site that has had no block since the first pinned mark, nothing.
    pub(crate) fn of(reader: &Reader<'_>) -> Births {
        let cohorts = 1..=reader.cohorts.youngest();
        let mut sites = BTreeMap::new();
        if !cohorts.is_empty() {
            let ids = (0..reader.sites.len()).map(|site| (site, born(reader, SiteId(site))));
            sites.extend(ids.filter(|(_, born)| *born != Born::default()));
        }
        Births {
            pinned: None,
            sites: Some(sites),
        }
    }
}

fn born(reader: &Reader<'_>, site: SiteId) -> Born {
    let amount = |cohort| {
        let live = reader.cohorts.live(cohort, site)?;
        let amount = Amount {
            bytes: live.bytes,
            blocks: live.blocks,
        };
        (amount != Amount::default()).then_some((cohort, amount))
    };
    Born {
        unknown: !reader.cohorts.is_known(site),
        live: (1..=reader.cohorts.youngest()).filter_map(amount).collect(),
    }
}

/// What was allocated after the one snapshot and is still there in the other, by site; None where nothing is known of it.
#[must_use]
pub fn survivors(from: &Snapshot, to: &Snapshot) -> Option<Survivors> {
    let pinned = from.births.pinned?;
    // Of two that are pinned the cohorts tell which was first; a clock may have been set meanwhile.
    let is_after = match to.births.pinned {
        Some(cohort) => cohort >= pinned,
        None => from.moment.unix_ns <= to.moment.unix_ns,
    };
    let is_later = from.process.identity == to.process.identity && is_after;
    let sites = to.births.sites.as_ref();
    let each = |(site, born): (&u32, &Born)| (*site, surviving(born, pinned));
    let sites = sites.filter(|_| is_later && !to.sampling.had_samples())?;
    Some(sites.iter().map(each).collect())
}

fn surviving(born: &Born, pinned: u32) -> Surviving {
    if born.unknown {
        return Surviving::Unknown;
    }
    let since = born.live.iter().filter(|(cohort, _)| *cohort >= pinned);
    Surviving::Known(since.map(|(_, amount)| *amount).sum())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{amount, snapshot};

    fn pinned(cohort: Option<u32>, unix_ns: u64) -> Snapshot {
        let mut snapshot = snapshot(1);
        snapshot.moment.unix_ns = unix_ns;
        snapshot.births.pinned = cohort;
        snapshot
    }

    fn later() -> Snapshot {
        let mut later = pinned(None, 9);
        let known = Born {
            unknown: false,
            live: vec![(1, amount(10, 1)), (2, amount(20, 2)), (3, amount(40, 4))],
        };
        let unknown = Born {
            unknown: true,
            ..known.clone()
        };
        later.births.sites = Some([(2, known), (4, unknown)].into());
        later
    }

    /// Check that a mark's survivors are those of its cohort and of those behind it, and that a site of which something is not known is unknown.
    #[test]
    fn of_a_mark_and_later() {
        for (cohort, bytes, blocks) in [(1, 70, 7), (2, 60, 6), (3, 40, 4), (4, 0, 0)] {
            let found = survivors(&pinned(Some(cohort), 3), &later()).expect("pinned");
            let known = Surviving::Known(amount(bytes, blocks));
            assert_eq!(found, [(2, known), (4, Surviving::Unknown)].into());
        }
    }

    /// Check that nothing is said where a mark was not pinned, is of another process, is the later one, or where there were samples.
    #[test]
    fn unknown() {
        let from = pinned(Some(1), 3);
        assert_eq!(survivors(&pinned(None, 3), &later()), None);
        assert_eq!(survivors(&from, &snapshot(2)), None);
        assert_eq!(survivors(&pinned(Some(1), 10), &later()), None);
        assert_eq!(survivors(&from, &pinned(Some(2), 9)), None, "nobody looked");
        let mut set_back = later();
        (set_back.moment.unix_ns, set_back.births.pinned) = (1, Some(2));
        assert!(survivors(&from, &set_back).is_some(), "the clock was set");
        assert_eq!(survivors(&pinned(Some(3), 0), &set_back), None);
        let mut sampled = later();
        sampled.sampling.largest = 1024;
        assert_eq!(survivors(&from, &sampled), None);
    }
}
