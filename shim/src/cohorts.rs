//! In which cohort a block was born: survivors are counted from that (`heapshim_ledger::cohorts`).
//!
//! A command that pins a mark raises one word of the control page; from its next event on each thread's blocks are born in that cohort. While the word is 0, which
//! it is until a mark is pinned, an allocation looks at it and a free does nothing at all: a block's cohort stands above its site's number in the shadow, so that no counter is
//! found for what has one, and the event comes here. The entries of Python's objects have no room for that: theirs stands in a table of its own, which is there from the first
//! object on that has one (`python::shadow`). Blocks that are samples are not told apart.

use crate::python;
use crate::record::OBJECTS;
use crate::shadow::{COHORT_SHIFT, Live, SITE_BITS};
use crate::tracer;
use heapshim_ledger::counters::Slot;
use heapshim_ledger::layout::COHORTS;
use heapshim_ledger::rings::Operation;
use heapshim_ledger::sites::SiteId;

/// A cohort, as it stands in the shadow's entry; 0 = none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cohort(u32);

impl Cohort {
    /// As the control page says it: a word that anybody may have written.
    #[inline(always)]
    pub(crate) fn of_word(word: u32) -> Cohort {
        Cohort((word & (COHORTS - 1)) << COHORT_SHIFT)
    }

    #[inline(always)]
    pub(crate) fn is_none(self) -> bool {
        self.0 == 0
    }

    /// Which it is, from 1 on.
    pub(crate) fn number(self) -> u32 {
        self.0 >> COHORT_SHIFT
    }
}

/// What stands in the shadow for a block that was born in a cohort.
#[inline(always)]
pub(crate) fn tagged(live: Live, cohort: Cohort) -> Live {
    Live {
        site: SiteId(live.site.0 | cohort.0),
        ..live
    }
}

/// Takes it apart.
pub(crate) fn untagged(live: Live) -> (Live, Cohort) {
    let number = live.site.0;
    let site = SiteId(number & ((1 << SITE_BITS) - 1));
    let cohort = Cohort::of_word(number >> COHORT_SHIFT);
    (Live { site, ..live }, cohort)
}

/// A block at an address was charged to its site: to its cohort as well.
#[cold]
#[inline(never)]
pub(crate) fn born(operation: Operation, address: usize, live: Live, cohort: Cohort) {
    let Some(tracer) = tracer::get() else {
        return;
    };
    let cohorts = &tracer.writer.cohorts;
    let is_noted = operation != OBJECTS.0 || python::shadow::set_cohort(address, cohort);
    match is_noted {
        true => cohorts.born(cohort.number(), live.site, live.size),
        false => cohorts.lost(cohort.number(), live.site),
    }
}

/// Takes a block that was born in a cohort off its site's account, and off the cohort's. Gives what it was.
#[cold]
#[inline(never)]
pub(crate) fn gone(slot: &Slot<'_>, live: Live) -> Live {
    let (live, cohort) = untagged(live);
    let charged = slot.freed(live.site, live.size);
    if let Some(tracer) = tracer::get().filter(|_| charged) {
        let cohorts = &tracer.writer.cohorts;
        cohorts.gone(cohort.number(), live.site, live.size);
    }
    live
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Check that a site and a cohort are told apart again, whatever the control page says.
    #[test]
    fn tags() {
        let live = Live {
            site: SiteId((1 << SITE_BITS) - 1),
            size: 24,
        };
        for word in [0, 1, COHORTS - 1, COHORTS, u32::MAX] {
            let cohort = Cohort::of_word(word);
            assert_eq!(untagged(tagged(live, cohort)), (live, cohort));
            assert!(cohort.number() < COHORTS);
            assert_eq!(cohort.is_none(), word % COHORTS == 0);
        }
    }
}
