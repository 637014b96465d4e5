//! All tables of one ledger, composed, and what is read across them.

use crate::codes::Codes;
use crate::cohorts::Cohorts;
use crate::counters::{Counters, Total, Written};
use crate::error::Error;
use crate::estimates::Estimates;
use crate::extent::Region;
use crate::frames::Frames;
use crate::header::section;
use crate::layout::{
    COHORTS, Cell, Header, INSIDE_MARKS, PEAKS, SHARED_SLOT, SLOTS, SectionKind, Temporary,
};
use crate::marks::Marks;
use crate::modules::{Modules, Strings};
use crate::peak::Peak;
use crate::sites::{SiteId, Sites};
use crate::sync::Word;
use crate::temporaries::{Brief, Temporaries};
use crate::threads::Threads;

/// All tables of one ledger: `Writer` holds them for writing, `Reader` for reading.
#[derive(Clone, Copy, Debug)]
pub struct Tables<'a> {
    /// The first page.
    pub header: &'a Header,
    /// The trie.
    pub frames: Frames<'a>,
    /// Stacks that have allocated.
    pub sites: Sites<'a>,
    /// The account.
    pub counters: Counters<'a>,
    /// Loaded objects.
    pub modules: Modules<'a>,
    /// Their names.
    pub strings: Strings<'a>,
    /// Python code objects.
    pub codes: Codes<'a>,
    /// Per-thread state.
    pub threads: Threads<'a>,
    /// Inside marks.
    pub marks: Marks<'a>,
    /// Blocks by cohort of birth.
    pub cohorts: Cohorts<'a>,
    /// Blocks that did not outlive their thread's next operation.
    pub temporaries: Temporaries<'a>,
    /// The highest moment.
    pub peak: Peak<'a>,
    /// What sampled blocks stand for.
    pub estimates: Estimates<'a>,
}

impl<'a> Tables<'a> {
    pub(crate) fn open(region: &Region<'a>, header: &'a Header) -> Result<Tables<'a>, Error> {
        let sites = Sites::new(
            &header.lens.sites,
            section(region, header, SectionKind::Sites)?,
        );
        let cells = |kind, rows| counters(section(region, header, kind)?, &sites, kind, rows);
        Ok(Tables {
            header,
            frames: Frames::new(
                &header.lens.frames,
                section(region, header, SectionKind::Frames)?,
            ),
            sites,
            counters: cells(SectionKind::Counters, SLOTS)?,
            modules: Modules::new(
                &header.lens.modules,
                section(region, header, SectionKind::Modules)?,
            ),
            strings: Strings::new(
                &header.lens.strings,
                section(region, header, SectionKind::Strings)?,
            ),
            codes: Codes::new(
                &header.lens.codes,
                section(region, header, SectionKind::Python)?,
            ),
            threads: Threads::new(
                &header.lens.threads,
                section(region, header, SectionKind::Threads)?,
            ),
            marks: Marks::new(
                &header.lens.marks,
                section(region, header, SectionKind::Marks)?,
                cells(SectionKind::MarkCounters, INSIDE_MARKS)?,
            ),
            cohorts: Cohorts::new(&header.cohort, cells(SectionKind::Cohorts, COHORTS)?),
            temporaries: temporaries(section(region, header, SectionKind::Temporaries)?, &sites)?,
            peak: Peak::new(
                &header.peak,
                section(region, header, SectionKind::Peak)?,
                cells(SectionKind::PeakCounters, PEAKS)?,
            ),
            estimates: Estimates::new(section(region, header, SectionKind::Estimates)?),
        })
    }

    /// How many of one site's blocks their thread freed by its next operation.
    #[must_use]
    pub fn temporary(&self, site: SiteId) -> Brief {
        self.temporaries.total(&self.counters, site, self.written())
    }

    /// One site's account now: what was counted, and what sampled blocks stand for.
    #[must_use]
    pub fn total(&self, site: SiteId) -> Total {
        self.totals()(site)
    }

    /// As [`Tables::total`], of many sites.
    #[inline(always)]
    pub fn totals(&self) -> impl Fn(SiteId) -> Total + '_ {
        let counters = self.counters;
        let largest = &self.header.sampling.largest;
        move |site| match largest.peek() {
            0 => counters.total_of(site, || self.written()),
            _ => self.total_estimated(site),
        }
    }

    /// The slots that may have been written. No other is even looked at: its pages would become resident, in the target's memory.
    #[inline(always)]
    fn written(&self) -> Written {
        Written {
            exclusive: self.threads.used().min(SHARED_SLOT),
            shared: self.header.lens.shared.observe() != 0,
        }
    }

    /// As [`Tables::total`], of as many sites from `first` on as there is room for.
    pub(crate) fn totals_from(&self, first: SiteId, totals: &mut [Total]) {
        if self.header.sampling.largest.peek() == 0 {
            let written = || self.written();
            return self.counters.totals_from(first, totals, written);
        }
        for (id, total) in (first.0..).zip(totals) {
            *total = self.total(SiteId(id));
        }
    }

    #[inline(never)]
    fn total_estimated(&self, site: SiteId) -> Total {
        let (gone, gone_blocks) = self.estimates.freed(site);
        let counted = self.counters.total_of(site, || self.written());
        let (made, made_blocks) = self.estimates.allocated(site);
        Total {
            allocated_bytes: counted.allocated_bytes.wrapping_add(made),
            allocated_blocks: counted.allocated_blocks.wrapping_add(made_blocks),
            freed_bytes: counted.freed_bytes.wrapping_add(gone),
            freed_blocks: counted.freed_blocks.wrapping_add(gone_blocks),
        }
    }
}

/// The cells of `rows` rows, if there is one for every site: no loop over sites then exceeds the memory.
fn counters<'a>(
    cells: &'a [Cell],
    sites: &Sites<'_>,
    kind: SectionKind,
    rows: u32,
) -> Result<Counters<'a>, Error> {
    check_rows(cells.len(), sites, kind, rows)?;
    Ok(Counters::new(cells, sites.capacity()))
}

/// The same of temporaries.
fn temporaries<'a>(cells: &'a [Temporary], sites: &Sites<'_>) -> Result<Temporaries<'a>, Error> {
    check_rows(cells.len(), sites, SectionKind::Temporaries, SLOTS)?;
    Ok(Temporaries::new(cells, sites.capacity()))
}

fn check_rows(len: usize, sites: &Sites<'_>, kind: SectionKind, rows: u32) -> Result<(), Error> {
    let (len, need) = (len as u64, u64::from(rows) * u64::from(sites.capacity()));
    match len < need {
        true => Err(Error::Index {
            kind: kind as u32,
            index: need - 1,
            len,
        }),
        false => Ok(()),
    }
}
