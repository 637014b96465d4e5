//! The reader's half, composed: validates a ledger once and hands out copies. Used by the command, and by the shim for inside marks.
//!
//! A hostile writer is assumed: every offset is checked, every loop is bounded by a length that was checked, nothing panics.

use crate::counters::Total;
use crate::error::Error;
use crate::extent::Region;
use crate::header::check;
use crate::layout::Header;
use crate::sites::SiteId;
use crate::writer::Tables;

/// Times that a snapshot is read again before it is called inexact. Five: on a busy target none succeeds, so it stays small.
const PASSES: u32 = 5;

/// A ledger to be read.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    tables: Tables<'a>,
}

/// How exact a copy of the counters is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exactness {
    /// Sites that were copied: ids below this.
    pub sites_len: u32,
    /// Events that the copy may have seen half, an upper bound; 0 = the copy is one instant.
    pub in_flight: u64,
}

impl<'a> core::ops::Deref for Reader<'a> {
    type Target = Tables<'a>;
    fn deref(&self) -> &Tables<'a> {
        &self.tables
    }
}

impl<'a> Reader<'a> {
    /// Checks header and section table.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn new(region: &Region<'a>) -> Result<Reader<'a>, Error> {
        let header: &'a Header = check(region)?;
        Ok(Reader {
            tables: Tables::open(region, header)?,
        })
    }

    /// The reader's view of a ledger that this process writes itself.
    #[must_use]
    pub fn of_writer(writer: &crate::Writer<'a>) -> Reader<'a> {
        Reader { tables: **writer }
    }

    /// Copies every site's account: `put(site, total)` is called once or more for each site, and returns what it held before, so
    /// that two equal passes in a row are recognised. The last call for a site counts.
    ///
    /// Two passes that read the same from monotonic counters prove that nothing changed from the end of the first to the
    /// start of the second: the copy is that instant. Otherwise `in_flight` bounds what happened meanwhile.
    pub fn copy_totals(&self, mut put: impl FnMut(SiteId, Total) -> Total) -> Exactness {
        let mut sites_len = self.tables.sites.len();
        let mut changed = 0;
        for pass in 0..PASSES {
            let busy = self.tables.threads.losses().in_hook;
            sites_len = self.tables.sites.len();
            changed = (0..sites_len).fold(0, |sum, id| {
                let now = self.total(SiteId(id));
                let before = put(SiteId(id), now);
                changes(&before, &now).saturating_add(sum)
            });
            let busy = busy.max(self.tables.threads.losses().in_hook);
            changed = busy.saturating_add(changed);
            if pass > 0 && changed == 0 {
                break;
            }
        }
        Exactness {
            sites_len,
            in_flight: changed,
        }
    }
}

/// Events between two readings of one site, an upper bound; 0 only where they are equal.
fn changes(before: &Total, now: &Total) -> u64 {
    let allocated = now.allocated_blocks.wrapping_sub(before.allocated_blocks);
    let freed = now.freed_blocks.wrapping_sub(before.freed_blocks);
    allocated
        .saturating_add(freed)
        .saturating_add(u64::from(now != before))
}
