//! The highest moment of a process: how much was live at most, and whose it was. What the MARK `peak` means.
//!
//! The target keeps it (`heapshim_ledger::peak`), `snapshot` copies it, a mark carries it. What the target has not copied since is at most a hundredth
//! and 64 KiB a thread; a moment at which more is live than in its copy is itself the highest that is known.

use crate::births::Births;
use crate::mark::PackedPeak;
use crate::mark::lists::Entries;
use crate::model::{Counters, Moment, Sampling, Site, Snapshot};
use heapshim_ledger::Reader;
use heapshim_ledger::marks::MarkInfo;
use heapshim_ledger::peak::promised;

/// What the highest moment is called.
pub const NAME: &str = "peak";

/// What a target has kept of its highest moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peak {
    /// When it was copied.
    pub moment: Moment,
    /// The most that was live at once, of which the copy may be a little short.
    pub highest_bytes: i64,
    /// The account then, by site id; sites that came later are not there.
    pub counters: Vec<Counters>,
}

impl Peak {
    /// The copy that a ledger holds; None where it never grew enough for one. Not exact where it is lower than the highest moment by more than is
    /// promised: other threads freed while it was made.
    #[must_use]
    pub(crate) fn of(reader: &Reader<'_>) -> Option<Peak> {
        let room = || Vec::with_capacity(reader.sites.len() as usize);
        let (info, counters) = reader.peak.read(room, |counters, _, total| {
            counters.push(Counters::from(total));
        })?;
        let (moment, highest_bytes) = said(reader, &info, live_bytes(counters.iter()));
        Some(Peak {
            moment,
            highest_bytes,
            counters,
        })
    }

    /// The same, its counters written as they are read.
    pub(crate) fn packed(reader: &Reader<'_>) -> Option<PackedPeak> {
        let room = || {
            let mut counters = Entries::default();
            counters.expect_sites(reader.sites.len() as usize);
            (counters, 0)
        };
        let (info, (counters, live)) = reader.peak.read(room, |(counters, live), _, total| {
            let one = Counters::from(total);
            *live = one.live_bytes().wrapping_add(*live);
            counters.counters(&one);
        })?;
        let (moment, highest_bytes) = said(reader, &info, live);
        Some(PackedPeak {
            moment,
            highest_bytes,
            counters,
        })
    }

    fn live_bytes(&self) -> i64 {
        live_bytes(self.counters.iter())
    }
}

/// What is said of a copy in which so much is live: its moment, and the most that was.
fn said(reader: &Reader<'_>, info: &MarkInfo, live: i64) -> (Moment, i64) {
    let highest_bytes = i64::try_from(reader.peak.highest()).unwrap_or(i64::MAX);
    let promised = promised(highest_bytes, reader.threads.used());
    let whole = highest_bytes.saturating_sub(live) <= promised;
    let moment = crate::snapshot::moment(info);
    let moment = Moment {
        name: NAME.to_owned(),
        exact: moment.exact && whole,
        ..moment
    };
    (moment, highest_bytes)
}

fn live_bytes<'c>(counters: impl Iterator<Item = &'c Counters>) -> i64 {
    counters.fold(0, |sum, one| sum.wrapping_add(one.live_bytes()))
}

impl Snapshot {
    fn live_bytes(&self) -> i64 {
        live_bytes(self.sites.iter().map(|site| &site.counters))
    }

    /// The most that was live at once until now.
    #[must_use]
    pub fn highest_bytes(&self) -> i64 {
        let kept = self.peak.as_ref().map_or(0, |peak| peak.highest_bytes);
        kept.max(self.live_bytes())
    }

    /// The account as it was at the highest moment until now: the copy's, unless more is live now.
    #[must_use]
    pub fn at_peak(mut self) -> Snapshot {
        match self.peak.take() {
            Some(peak) if peak.live_bytes() > self.live_bytes() => self.back_to(peak),
            peak => {
                self.moment.name = NAME.to_owned();
                self.peak = peak;
                self
            }
        }
    }

    fn back_to(self, peak: Peak) -> Snapshot {
        let then = peak.counters.iter().copied();
        let then = then.chain(std::iter::repeat(Counters::default()));
        let sites = self.sites.iter().zip(then);
        let sites = sites.map(|(site, counters)| Site { counters, ..*site });
        Snapshot {
            sites: sites.collect(),
            moment: peak.moment.clone(),
            peak: Some(peak),
            births: Births::default(),
            temporaries: None,
            // The copy has sums alone.
            sampling: Sampling {
                spreads: None,
                ..self.sampling
            },
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    fn counters(allocated: u64, freed: u64) -> Counters {
        Counters {
            allocated_bytes: allocated,
            allocated_blocks: 1,
            freed_bytes: freed,
            freed_blocks: u64::from(freed > 0),
        }
    }

    /// A process with 10 bytes live in one site, and so many at its highest moment in another.
    fn peaked(then: u64) -> Snapshot {
        let mut snapshot = fixture::snapshot(1);
        snapshot.sites[2].counters = counters(10, 0);
        snapshot.sites[3].counters = counters(500, 500);
        snapshot.peak = Some(Peak {
            moment: Moment {
                name: NAME.to_owned(),
                unix_ns: 5,
                ..snapshot.moment.clone()
            },
            highest_bytes: then.cast_signed() + 3,
            counters: [0, 0, 0, then].map(|bytes| counters(bytes, 0)).to_vec(),
        });
        snapshot
    }

    /// Check that the account goes back to what it was at the highest moment, to nothing where a site came later.
    #[test]
    fn earlier() {
        let snapshot = peaked(500);
        assert_eq!(snapshot.highest_bytes(), 503);
        let peak = snapshot.at_peak();
        assert_eq!((&*peak.moment.name, peak.moment.unix_ns), ("peak", 5));
        assert_eq!((peak.live_bytes(), peak.highest_bytes()), (500, 503));
        assert_eq!(peak.sites[3].counters, counters(500, 0));
        assert_eq!(peak.sites[5].counters, Counters::default());
        assert_eq!(peak.sites.len(), fixture::snapshot(1).sites.len());
    }

    /// Check that a moment at which more is live than in the copy is the highest, and that it is so where there is no copy.
    #[test]
    fn now() {
        for mut snapshot in [peaked(9), peaked(9)] {
            assert_eq!(snapshot.highest_bytes(), 12);
            snapshot.peak = snapshot.peak.filter(|_| snapshot.process.pid == 0);
            let expected = snapshot.sites.clone();
            let peak = snapshot.at_peak();
            assert_eq!((peak.sites, &*peak.moment.name), (expected, "peak"));
        }
    }
}
