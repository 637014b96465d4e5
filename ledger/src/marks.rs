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
    /// Entries that there are to be, whatever the memory says.
    ring: u32,
}

impl<'a> Marks<'a> {
    pub(crate) fn new(len: &'a AtomicU32, marks: &'a [Mark], cells: Counters<'a>) -> Marks<'a> {
        Marks::ring(len, marks, cells, INSIDE_MARKS)
    }

    /// Marks of which another number is kept.
    pub(crate) fn ring(
        len: &'a AtomicU32,
        marks: &'a [Mark],
        cells: Counters<'a>,
        ring: u32,
    ) -> Marks<'a> {
        Marks {
            len,
            marks,
            cells,
            ring,
        }
    }

    /// Marks begun since the start.
    #[must_use]
    pub fn begun(&self) -> u32 {
        self.len.observe()
    }

    /// Numbers of the marks that may still be there, oldest first: at most as many as are kept, whatever the memory says.
    #[must_use]
    pub fn kept(&self) -> Range<u32> {
        let begun = self.begun();
        begun.saturating_sub(self.ring)..begun
    }

    /// Numbers of the marks that are whole, in no order.
    pub fn written(&self) -> impl Iterator<Item = u32> {
        let entries = self.marks.iter().take(self.ring as usize);
        let sequences = entries.map(|mark| mark.sequence.observe());
        sequences
            .filter(|sequence| sequence & 1 == 0)
            .filter_map(|sequence| (sequence / 2).checked_sub(1))
    }

    /// Has the next mark written where the last one was.
    pub(crate) fn pass_over(&self) {
        self.len.add_shared(self.ring - 1);
    }

    /// Writes a mark; `totals` gives each site's sum. False where the entry is being written by another thread, or has been
    /// given to a newer mark already.
    pub fn write(&self, info: &MarkInfo, totals: impl Fn(SiteId) -> Total) -> bool {
        let number = self.len.add_shared(1);
        let entry = number % self.ring;
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
        let entry = number % self.ring;
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

#[cfg(test)]
fn sample(number: u32, sites_len: u32) -> MarkInfo {
    let fill = u64::from(number) + 1;
    MarkInfo {
        number,
        sites_len,
        unix_ns: fill,
        rss_bytes: fill,
        in_flight: fill,
        name: [u8::try_from(fill).unwrap_or(0); MARK_NAME],
    }
}

#[cfg(test)]
fn sample_total(number: u32, site: SiteId) -> Total {
    let fill = (u64::from(number) + 1) * 10 + u64::from(site.0);
    Total {
        allocated_bytes: fill,
        allocated_blocks: fill,
        freed_bytes: fill,
        freed_blocks: fill,
    }
}

#[cfg(all(test, loom))]
mod models {
    use super::*;
    use crate::testing::bounded;
    use loom::sync::Arc;
    use loom::thread;

    /// One entry (`INSIDE_MARKS` is 1 under loom) with one site.
    struct Ring {
        len: AtomicU32,
        marks: [Mark; 1],
        cells: [Cell; 1],
    }

    impl Ring {
        fn new() -> Arc<Ring> {
            Arc::new(Ring {
                len: AtomicU32::new(0),
                marks: Default::default(),
                cells: Default::default(),
            })
        }

        fn marks(&self) -> Marks<'_> {
            Marks::new(&self.len, &self.marks, Counters::new(&self.cells, 1))
        }

        /// Writes a mark filled with `number`, which need not be the number that it gets.
        fn write(&self, number: u32) -> bool {
            self.marks()
                .write(&sample(number, 1), |site| sample_total(number, site))
        }

        /// Reads mark `number`; panics where it is a mixture. Returns which `write` filled it.
        fn read(&self, number: u32) -> Option<u32> {
            let mut total = Total::default();
            let info = self.marks().read(number, |_, sum| total = sum)?;
            let filled = u32::try_from(info.unix_ns - 1).expect("small");
            let whole = MarkInfo {
                number,
                ..sample(filled, 1)
            };
            assert_eq!(info, whole, "torn");
            assert_eq!(total, sample_total(filled, SiteId(0)), "torn");
            Some(filled)
        }
    }

    /// Check that a reader never takes a mixture of two marks for a mark, while the second replaces the first.
    #[test]
    fn reader_meets_writer() {
        bounded(2, || {
            let ring = Ring::new();
            assert!(ring.write(0));
            let writer = ring.clone();
            let writer = thread::spawn(move || assert!(writer.write(1)));
            assert!(matches!(ring.read(0), None | Some(0)));
            assert!(matches!(ring.read(1), None | Some(1)));
            writer.join().expect("no panic");
            assert_eq!((ring.read(0), ring.read(1)), (None, Some(1)));
        });
    }

    /// Check that of two threads that write one entry at once one gives up or both write one after the other, the newer number last,
    /// and that what stands there afterwards is one of the two, whole.
    #[test]
    fn two_writers() {
        bounded(4, || {
            let ring = Ring::new();
            let other = ring.clone();
            let other = thread::spawn(move || other.write(7));
            let wrote = ring.write(8);
            let other_wrote = other.join().expect("no panic");
            assert!(wrote || other_wrote);
            let (first, second) = (ring.read(0), ring.read(1));
            assert!(first.is_some() != second.is_some(), "one entry, one mark");
            assert!(
                !(wrote && other_wrote) || second.is_some(),
                "the newer stays"
            );
            let filled = first.or(second).expect("one is there");
            assert!(if filled == 7 { other_wrote } else { wrote });
        });
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    const SITES: u32 = 2;

    struct Ring {
        len: AtomicU32,
        marks: [Mark; INSIDE_MARKS as usize],
        cells: Vec<Cell>,
    }

    impl Ring {
        fn new() -> Ring {
            Ring {
                len: AtomicU32::new(0),
                marks: Default::default(),
                cells: (0..INSIDE_MARKS * SITES).map(|_| Cell::default()).collect(),
            }
        }

        fn marks(&self) -> Marks<'_> {
            Marks::new(&self.len, &self.marks, Counters::new(&self.cells, SITES))
        }
    }

    fn write(marks: &Marks<'_>, number: u32) -> bool {
        marks.write(&sample(number, SITES), |site| sample_total(number, site))
    }

    fn read(marks: &Marks<'_>, number: u32) -> Option<(MarkInfo, Vec<Total>)> {
        let mut totals = Vec::new();
        let info = marks.read(number, |_, total| totals.push(total))?;
        Some((info, totals))
    }

    /// Check that the last eight marks are there, whole, and that older ones and those to come are not.
    #[test]
    fn ring_of_eight() {
        let ring = Ring::new();
        let marks = ring.marks();
        assert_eq!((marks.kept(), read(&marks, 0)), (0..0, None));
        assert!((0..11).all(|number| write(&marks, number)));
        assert_eq!((marks.begun(), marks.kept()), (11, 3..11));
        for number in marks.kept() {
            let totals = [0, 1].map(|site| sample_total(number, SiteId(site)));
            let expected = (sample(number, SITES), totals.to_vec());
            assert_eq!(read(&marks, number), Some(expected));
        }
        for gone in [0, 2, 11, u32::MAX, 1 << 31] {
            assert_eq!(read(&marks, gone), None);
        }
    }

    /// Check that an entry that another thread is writing is left to it, that its old mark is not read meanwhile, and that the
    /// other entries are not concerned.
    #[test]
    fn entry_taken() {
        let ring = Ring::new();
        let marks = ring.marks();
        assert!((0..8).all(|number| write(&marks, number)));
        ring.marks[0].sequence.put(3);
        assert!(!write(&marks, 8), "gives up");
        assert_eq!((read(&marks, 0), read(&marks, 8)), (None, None));
        assert!(write(&marks, 9) && read(&marks, 9).is_some());
    }

    /// Check that a thread that comes late does not replace a newer mark by its older one.
    #[test]
    fn late_writer() {
        let ring = Ring::new();
        let marks = ring.marks();
        ring.len.put(8);
        assert!(write(&marks, 8));
        ring.len.put(0);
        assert!(!write(&marks, 0));
        assert!(read(&marks, 8).is_some());
    }

    /// Check that a mark of more sites than there is room for is cut.
    #[test]
    fn too_many_sites() {
        let ring = Ring::new();
        let marks = ring.marks();
        assert!(marks.write(&sample(0, u32::MAX), |site| sample_total(0, site)));
        let (info, totals) = read(&marks, 0).expect("written");
        assert_eq!((info.sites_len, totals.len()), (SITES, 2));
    }
}
