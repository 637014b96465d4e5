//! Inside marks: marks that the target takes of itself with `heapshim_mark`, kept in the ledger (the last eight). Both halves.
//!
//! Writer: the thread that takes number n owns entry n % 8 as soon as it has turned the sequence odd; a thread that finds it odd, or
//! finds a newer mark there (nine marks at once), gives up rather than wait. A thread that dies in between leaves its entry odd: that
//! entry holds no further mark, the other seven do. Reader: copies between two reads of the same even sequence (a sequence lock, Boehm,
//! "Can seqlocks get along with programming language memory models?", MSPC 2012).

use crate::counters::{Counters, Total};
use crate::layout::{Cell, INSIDE_MARKS, MARK_NAME, Mark};
use crate::sites::SiteId;
use crate::sync::{AtomicU32, AtomicU64, Ordering, Word};
use core::ops::Range;

/// An inside mark's head, by value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MarkInfo {
    /// Its number since the start, from 0.
    pub number: u32,
    /// Sites that it has counters for.
    pub sites_len: u32,
    /// CLOCK_REALTIME.
    pub unix_ns: u64,
    /// Resident bytes.
    pub rss_bytes: u64,
    /// Events perhaps seen half.
    pub in_flight: u64,
    /// Name, padded with NUL.
    pub name: [u8; MARK_NAME],
}

/// The table of inside marks and their counters.
#[derive(Clone, Copy, Debug)]
pub struct Marks<'a> {
    len: &'a AtomicU32,
    marks: &'a [Mark],
    cells: Counters<'a>,
}

impl<'a> Marks<'a> {
    pub(crate) fn new(len: &'a AtomicU32, marks: &'a [Mark], cells: Counters<'a>) -> Marks<'a> {
        Marks { len, marks, cells }
    }

    /// Marks begun since the start.
    #[must_use]
    pub fn begun(&self) -> u32 {
        self.len.observe()
    }

    /// Numbers of the marks that may still be there, oldest first: at most [`INSIDE_MARKS`], whatever the memory says.
    #[must_use]
    pub fn kept(&self) -> Range<u32> {
        let begun = self.begun();
        begun.saturating_sub(INSIDE_MARKS)..begun
    }

    /// Writes a mark; `totals` gives each site's sum. False where the entry is being written by another thread, or has been
    /// given to a newer mark already.
    pub fn write(&self, info: &MarkInfo, totals: impl Fn(SiteId) -> Total) -> bool {
        let number = self.len.add_shared(1);
        let entry = number % INSIDE_MARKS;
        let Some(mark) = self.marks.get(entry as usize) else {
            return false;
        };
        let (before, after) = (mark.sequence.observe(), sequence_of(number));
        let older = after.wrapping_sub(before) < 1 << 31;
        if before & 1 == 1 || !older || mark.sequence.claim(before, before | 1).is_err() {
            return false;
        }
        crate::sync::fence_between_sequence_and_data();
        mark.sites_len.put(info.sites_len);
        mark.unix_ns.put(info.unix_ns);
        mark.rss_bytes.put(info.rss_bytes);
        mark.in_flight.put(info.in_flight);
        for (word, bytes) in mark.name.iter().zip(info.name.as_chunks::<8>().0) {
            word.put(u64::from_le_bytes(*bytes));
        }
        for (site, cell) in (0..info.sites_len).zip(self.cells.row(entry)) {
            put(cell, totals(SiteId(site)));
        }
        mark.sequence.publish(after);
        true
    }

    /// Reads mark `number`'s head and hands each site's sum to `each`; None where it is no longer (or not yet) there. What
    /// `each` was given counts only when the result is Some.
    pub fn read(&self, number: u32, mut each: impl FnMut(SiteId, Total)) -> Option<MarkInfo> {
        let entry = number % INSIDE_MARKS;
        let mark = self.marks.get(entry as usize)?;
        let expected = sequence_of(number);
        if expected == 0 || mark.sequence.observe() != expected {
            return None;
        }
        let mut name = [0u8; MARK_NAME];
        for (bytes, word) in name.as_chunks_mut::<8>().0.iter_mut().zip(&mark.name) {
            *bytes = word.peek().to_le_bytes();
        }
        let read = |word: &AtomicU64| word.peek();
        let row = self.cells.row(entry);
        let sites_len = mark
            .sites_len
            .peek()
            .min(u32::try_from(row.len()).unwrap_or(0));
        let info = MarkInfo {
            number,
            sites_len,
            unix_ns: read(&mark.unix_ns),
            rss_bytes: read(&mark.rss_bytes),
            in_flight: read(&mark.in_flight),
            name,
        };
        for (site, cell) in (0..sites_len).zip(row) {
            each(SiteId(site), get(cell));
        }
        crate::sync::fence_between_data_and_sequence();
        (mark.sequence.load(Ordering::Relaxed) == expected).then_some(info)
    }
}

/// The sequence word after mark `number` was written. It comes round after 2^31 marks; 0 then reads as 'never written'.
fn sequence_of(number: u32) -> u32 {
    number.wrapping_add(1).wrapping_mul(2)
}

fn put(cell: &Cell, total: Total) {
    cell.allocated_bytes.put(total.allocated_bytes);
    cell.allocated_blocks.put(total.allocated_blocks);
    cell.freed_bytes.put(total.freed_bytes);
    cell.freed_blocks.put(total.freed_blocks);
}

fn get(cell: &Cell) -> Total {
    Total {
        allocated_bytes: cell.allocated_bytes.peek(),
        allocated_blocks: cell.allocated_blocks.peek(),
        freed_bytes: cell.freed_bytes.peek(),
        freed_blocks: cell.freed_blocks.peek(),
    }
}
