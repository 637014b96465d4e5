//! The highest moment: how much was live at most, and whose it was then. Both halves.
//!
//! Writer: an allocation adds its bytes to one word of its thread's own, a free to another ([`Thread::risen`], [`Thread::fallen`]), by one instruction
//! whose sign says when either has had its part of a step; then the thread looks at how far it has moved in all, and passes that on to the sum of all
//! if it is as much as that. (One word for both needs a comparison on each side: 16 instructions a pair, where this takes 4.)
//! While the sum rises the account itself is the highest moment, and nothing is copied. A thread whose sum falls copies the account, before it charges the
//! block that goes, where the highest sum was above that of the last copy by a two-hundredth, or by a step where that is more.
//! So copies come at geometric distances, at most: about 1,900 while a heap that rises and falls grows to 16 GiB. (A copy at each hundredth of the rise cost a Python
//! program that parses 4 MB of JSON 39 % more instructions.) There are two entries, so that the last whole copy
//! stands while the next is made; a thread that finds another at it goes on. One that is killed in the middle leaves
//! the last copy. Reader: of the entries that are whole, read as inside marks are, that which has most, or the account, where that is higher.
//!
//! Nobody waits, so others may free while the copy is made, much where its thread waits for a processor: the copy is then short of the height by as much as
//! the sum has fallen meanwhile. It counts as one of a lower height, so that the next rise is copied again, and one that is lower than the copy before it takes the next one's place, not that one's.
//!
//! What is not in the sum yet is less than a step a thread. So the higher of the two is lower than the true peak by less than a step or a two-hundredth, and a step for
//! each thread, of what it had not passed on at the peak and at the copy both; and than that by as much again as a copy may have been short of. In all: a hundredth, and two steps
//! (64 KiB) a thread; of a process of one thread the greater of these. Heaps that never held a step have no copy.

use crate::counters::{Counters, Total};
use crate::layout::{Mark, PEAKS, PeakHead, Thread};
use crate::marks::{MarkInfo, Marks};
use crate::sites::SiteId;
use crate::sync::{AtomicU64, Ordering, Word};

/// What a thread keeps to itself is less: a page of objects of 4 KiB each eight times, so that threads seldom meet at one word.
pub const STEP: i64 = 32 << 10;
/// A thread looks each time that it has allocated or freed so much, and passes on no less: what it keeps and has not looked at is less than a step.
const PART_OF_STEP: i64 = STEP / 2;
/// A heap is copied again when it was larger by this part.
const PART: i64 = 200;

/// A height from which the heap falls.
#[derive(Clone, Copy, Debug)]
pub struct Height {
    height: i64,
    /// What the sum was when the fall had been passed on.
    left: i64,
}

impl Height {
    /// One from which nothing has fallen yet.
    #[must_use]
    pub const fn at(height: i64) -> Height {
        Height {
            height,
            left: height,
        }
    }
}

/// The highest moment.
#[derive(Clone, Copy, Debug)]
pub struct Peak<'a> {
    head: &'a PeakHead,
    copies: Marks<'a>,
}

impl<'a> Peak<'a> {
    pub(crate) fn new(head: &'a PeakHead, entries: &'a [Mark], cells: Counters<'a>) -> Peak<'a> {
        Peak {
            head,
            copies: Marks::ring(&head.copies, entries, cells, PEAKS),
        }
    }

    /// Passes on what a thread holds, if it is enough, and says from which height the heap falls where the account is to be copied now. To be called when `risen` or `fallen` is not below
    /// zero: after a block that came was charged, before one that goes is. What a signal handler, or another thread at the same entry, adds or passes on meanwhile is neither lost nor doubled: as much goes as comes.
    pub fn pass_on(&self, thread: &Thread) -> Option<Height> {
        let risen = begin_again(&thread.risen);
        let fallen = begin_again(&thread.fallen);
        let came = risen.wrapping_sub(fallen);
        let held = thread.pending.add_shared(came).wrapping_add(came);
        if held.cast_signed().unsigned_abs() < PART_OF_STEP.cast_unsigned() {
            return None;
        }
        thread.pending.add_shared(held.wrapping_neg());
        let live = self
            .head
            .live
            .add_shared(held)
            .wrapping_add(held)
            .cast_signed();
        // Forked children free what they never allocated: below zero is no peak.
        let reached = live.max(0).cast_unsigned();
        self.head.highest.fetch_max(reached, Ordering::Relaxed);
        let copied = self.head.copied.peek().cast_signed();
        let fallen_by = held.cast_signed().wrapping_neg();
        let height = live.saturating_add(fallen_by);
        let is_due = fallen_by > 0 && height >= copied.saturating_add(step_at(copied));
        is_due.then_some(Height { height, left: live })
    }

    /// Copies the account at a height from which it falls, unless another thread does. The caller promises that no signal handler runs meanwhile: one that left by longjmp would
    /// leave it busy for good.
    pub fn copy(&self, height: Height, info: &MarkInfo, totals: impl Fn(SiteId) -> Total) {
        if self.head.busy.claim(0, 1).is_ok() {
            self.copies.write(info, totals);
            let live = self.head.live.peek().cast_signed();
            self.note_copied(height.height, height.left.saturating_sub(live));
            self.head.busy.publish(0);
        }
    }

    /// Notes the height that the copy just made is of: less than the one it was made for by what the sum has fallen since that was decided.
    fn note_copied(&self, height: i64, fallen_by: i64) {
        let best = self.head.copied.peek().cast_signed();
        let is_short = fallen_by > step_at(height);
        let copied = height - if is_short { fallen_by } else { 0 };
        if copied < best {
            // The next is written where this one is, and the best stays.
            self.copies.pass_over();
        } else {
            self.head.copied.put(copied.cast_unsigned());
        }
    }

    /// The most bytes that were live, as far as threads have passed them on.
    #[must_use]
    pub fn highest(&self) -> u64 {
        self.head.highest.peek()
    }

    /// The best copy: its head, and each site's sum to `each`, which is called anew for each copy that is tried, with what `begin` gives for it.
    /// None where there is none.
    pub fn read<T>(
        &self,
        begin: impl Fn() -> T,
        mut each: impl FnMut(&mut T, SiteId, Total),
    ) -> Option<(MarkInfo, T)> {
        let copies = self.copies.written().filter_map(|number| {
            let (mut read, mut live) = (begin(), 0i64);
            let info = self.copies.read(number, |site, total| {
                live = live.wrapping_add(total.live_bytes());
                each(&mut read, site, total);
            })?;
            Some((live, info, read))
        });
        // Of two alike the later: numbers come round after 2^31 copies.
        let best = copies.max_by_key(|(live, info, _)| (*live, info.number));
        best.map(|(_, info, read)| (info, read))
    }
}

/// How much more than a height the next has to be: a step, or a two-hundredth where that is more.
const fn step_at(height: i64) -> i64 {
    let part = height / PART;
    if part > STEP { part } else { STEP }
}

/// How far what is kept of a height may fall short of it where so many threads run, as long as no copy was short.
#[must_use]
pub fn promised(height: i64, threads: u32) -> i64 {
    let of_threads = STEP.saturating_mul(2).saturating_mul(i64::from(threads));
    of_threads.saturating_add(height / (PART / 2))
}

/// Takes off a thread's word what it is above its beginning.
fn begin_again(word: &AtomicU64) -> u64 {
    let above = word.peek().wrapping_add(PART_OF_STEP.cast_unsigned());
    word.add_shared(above.wrapping_neg());
    above
}

#[cfg(test)]
fn info(sites_len: u32) -> MarkInfo {
    MarkInfo {
        number: 0,
        sites_len,
        unix_ns: 0,
        rss_bytes: 0,
        in_flight: 0,
        name: [0; crate::layout::MARK_NAME],
    }
}

#[cfg(all(test, loom))]
mod models {
    use super::*;
    use crate::layout::Cell;
    use crate::testing::bounded;
    use loom::sync::Arc;
    use loom::thread;

    #[derive(Default)]
    struct Memory {
        head: PeakHead,
        entries: [Mark; PEAKS as usize],
        cells: [Cell; PEAKS as usize],
    }

    impl Memory {
        fn peak(&self) -> Peak<'_> {
            Peak::new(&self.head, &self.entries, Counters::new(&self.cells, 1))
        }

        fn copy(&self, bytes: u64) {
            let total = Total {
                allocated_bytes: bytes,
                allocated_blocks: bytes,
                freed_bytes: bytes,
                freed_blocks: bytes,
            };
            let info = MarkInfo {
                unix_ns: bytes,
                ..info(1)
            };
            let height = Height {
                left: 0,
                ..Height::at(bytes.cast_signed())
            };
            self.peak().copy(height, &info, |_| total);
        }

        fn read(&self) -> Option<u64> {
            let (info, total) = self
                .peak()
                .read(Total::default, |place, _, total| *place = total)?;
            let words = [
                total.allocated_bytes,
                total.allocated_blocks,
                total.freed_bytes,
                total.freed_blocks,
            ];
            assert_eq!(words, [info.unix_ns; 4], "torn");
            Some(info.unix_ns)
        }
    }

    /// Check that there is a whole copy at each moment after the first, also while another is made.
    #[test]
    fn one_is_whole() {
        bounded(2, || {
            let memory = Arc::new(Memory::default());
            memory.copy(1);
            let writer = memory.clone();
            let writer = thread::spawn(move || writer.copy(2));
            assert!(matches!(memory.read(), Some(1 | 2)));
            writer.join().expect("no panic");
            assert_eq!(memory.read(), Some(2));
        });
    }

    /// Check that of two threads that copy at once each makes its copy or leaves it to the other, and that nobody finds a mixture.
    #[test]
    fn two_copy() {
        bounded(2, || {
            let memory = Arc::new(Memory::default());
            let other = memory.clone();
            let other = thread::spawn(move || other.copy(1));
            memory.copy(2);
            // None where the other is still at it.
            let _ = memory.read();
            other.join().expect("no panic");
            assert!(memory.read().is_some());
            assert_eq!(memory.head.busy.peek(), 0);
        });
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::layout::Cell;
    use crate::sync::add_owned_reaches;

    #[derive(Default)]
    struct Memory {
        head: PeakHead,
        entries: [Mark; PEAKS as usize],
        cells: [Cell; PEAKS as usize],
        thread: Thread,
        account: core::cell::Cell<i64>,
    }

    impl Memory {
        fn peak(&self) -> Peak<'_> {
            Peak::new(&self.head, &self.entries, Counters::new(&self.cells, 1))
        }

        /// Moves the account by so many bytes, up before it is said and down after; whether it was copied.
        fn go(&self, bytes: i64) -> bool {
            let (word, before) = match bytes {
                ..0 => (&self.thread.fallen, 0),
                _ => (&self.thread.risen, bytes),
            };
            self.account.set(self.account.get() + before);
            let reaches = add_owned_reaches(word, bytes.unsigned_abs());
            let passed = reaches.then(|| self.peak().pass_on(&self.thread));
            let height = passed.flatten();
            if let Some(height) = height {
                self.copy(height, || ());
            }
            self.account.set(self.account.get() + bytes - before);
            height.is_some()
        }

        /// Copies the account; `meanwhile` is what happens before it is looked at.
        fn copy(&self, height: Height, meanwhile: impl Fn()) {
            self.peak().copy(height, &info(1), |_| {
                meanwhile();
                Total {
                    allocated_bytes: self.account.get().cast_unsigned(),
                    ..Total::default()
                }
            });
        }

        /// Another thread allocates or frees so many bytes, and passes that on.
        fn other(&self, bytes: i64) {
            let other = Thread::default();
            self.account.set(self.account.get() + bytes);
            other.pending.put(bytes.cast_unsigned());
            other.risen.put(0);
            let _ = self.peak().pass_on(&other);
        }

        fn read(&self) -> Option<u64> {
            let read = self
                .peak()
                .read(|| 0, |bytes, _, total| *bytes = total.allocated_bytes);
            read.map(|(_, bytes)| bytes)
        }
    }

    /// Check that a thread keeps less than a step either way, that what it keeps and what it has passed on are all that was live, and that what comes
    /// and goes in between concerns nobody.
    #[test]
    fn passed_on() {
        let memory = Memory::default();
        let live = || memory.head.live.peek().cast_signed();
        let kept = || {
            let of = |word: &AtomicU64| word.peek().cast_signed();
            let thread = &memory.thread;
            of(&thread.pending) + of(&thread.risen) - of(&thread.fallen)
        };
        assert!(!memory.go(1) && !memory.go(PART_OF_STEP - 1) && !memory.go(-PART_OF_STEP));
        assert_eq!((live(), kept()), (0, 0));
        for _ in 0..100 {
            memory.go(PART_OF_STEP - 1);
            memory.go(1 - PART_OF_STEP);
        }
        assert_eq!((live(), kept()), (0, 0));
        memory.go(-PART_OF_STEP + 1);
        assert_eq!((live(), kept()), (0, 1 - PART_OF_STEP));
        memory.go(-PART_OF_STEP);
        assert_eq!((live(), kept()), (1 - STEP, 0));
        assert!(!memory.go(2 * STEP));
        assert_eq!(
            (memory.peak().highest(), kept()),
            (STEP.cast_unsigned() + 1, 0)
        );
        assert!(memory.go(-STEP) && memory.read() == Some(STEP.cast_unsigned() + 1));
        assert_eq!(
            (memory.peak().highest(), live()),
            (STEP.cast_unsigned() + 1, 1)
        );
    }

    /// Check that a heap which only rises is never copied, however far.
    #[test]
    fn rising() {
        let memory = Memory::default();
        assert!((0..100_000).all(|_| !memory.go(PART_OF_STEP) && !memory.go(-1)));
        assert_eq!(memory.read(), None);
        assert!((0..2).any(|_| memory.go(-PART_OF_STEP)));
        assert!(memory.read().is_some());
    }

    /// Check that copies come at most at each step while a heap is small, at each two-hundredth when it is large, and not for what rises again to where it
    /// was; and that the higher of the copy and the account is never lower than the peak by more than is promised.
    #[test]
    fn geometric() {
        let memory = Memory::default();
        let (mut live, mut highest, mut copies) = (0i64, 0i64, 0);
        let mut random = crate::testing::Random(1);
        for _ in 0..200_000 {
            let bytes = i64::try_from(random.below(100_000)).expect("small") - 40_000;
            live += bytes;
            highest = highest.max(live);
            copies += i32::from(memory.go(bytes));
            let copied = i64::try_from(memory.read().unwrap_or(0)).expect("small");
            assert!(copied <= highest);
            assert!(
                highest - copied.max(live) <= (2 * STEP).max(highest / (PART / 2)),
                "{highest} {copied} {live}"
            );
        }
        // To 2 GB at most two hundred steps to 6.5 MB, and then ln(306) / ln(1.005).
        assert!((600..1400).contains(&copies), "{copies} to {highest}");
    }

    /// Check that a copy from which others have taken much while it was made does not stand for its height: a better one before it stays, however often
    /// that happens, and the next time that the heap falls from so high it is copied.
    #[test]
    fn short() {
        let memory = Memory::default();
        let rise_and_fall = |high: i64, before: i64, taken: i64| {
            memory.other(high);
            let live = 1_000_000 + high;
            let height = Height::at(live);
            memory.other(-before);
            memory.copy(height, || memory.other(-taken));
            memory.other(before + taken - high);
        };
        assert!(!memory.go(1_000_000));
        rise_and_fall(3_000_000, 0, 0);
        assert_eq!(memory.read(), Some(4_000_000));
        for high in [5_000_000, 6_000_000, 7_000_000] {
            rise_and_fall(high, 0, high - 100_000);
            assert_eq!(memory.read(), Some(4_000_000), "{high}");
            rise_and_fall(high, high - 100_000, 0);
            assert_eq!(memory.read(), Some(4_000_000), "{high}");
        }
        rise_and_fall(5_000_000, 200_000, 300_000);
        assert_eq!(memory.read(), Some(5_500_000), "short, but the best");
        memory.other(4_700_000);
        assert!(memory.go(-100_000), "higher than what the copy has");
        assert_eq!(memory.read(), Some(5_700_000));
        assert_eq!(memory.peak().highest(), 8_000_000);
    }

    /// Check that a copy that was never finished leaves the one before it.
    #[test]
    fn left_in_the_middle() {
        let memory = Memory::default();
        assert_eq!(memory.read(), None);
        let tooth = |bytes: i64| !memory.go(bytes) && memory.go(-bytes);
        assert!(tooth(100_000) && tooth(200_000));
        assert_eq!(memory.read(), Some(200_000));
        memory.entries[0].sequence.put(7);
        assert_eq!(memory.read(), Some(200_000), "the second is not concerned");
        memory.head.copies.put(3);
        assert_eq!(memory.read(), Some(200_000));
        memory.head.busy.put(1);
        assert!(tooth(1_000_000));
        assert_eq!(memory.read(), Some(200_000), "left to the other");
    }
}
