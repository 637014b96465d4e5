//! Thread entries: who is inside a hook, and what each thread could not account for. Both halves.
//!
//! Writer: entry t belongs to the thread that leases it (a robust mutex in the shim's private memory); the last entry is for all
//! threads beyond the table and is added to atomically. Entries add up, so an entry is handed on as it is.

use crate::layout::Thread;
use crate::sync::{AtomicU32, AtomicU64, Word};

/// What the account lacks, summed over the threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Losses {
    /// Events inside a hook: innermost frame only.
    pub nested: u64,
    /// Walks that ended early.
    pub truncated: u64,
    /// Events charged to the overflow site.
    pub overflow: u64,
    /// Frees of blocks that were never seen.
    pub foreign_frees: u64,
    /// Stacks walked.
    pub walks: u64,
    /// Walks that ended at a remembered frame.
    pub memo_hits: u64,
    /// Walks by rules to the outermost frame.
    pub memo_misses: u64,
    /// Blocks that the shadow had no room for.
    pub untracked: u64,
    /// Frames that only a frame pointer led out of.
    pub frame_pointers: u64,
    /// Threads that are inside a hook now.
    pub in_hook: u64,
}

/// The table of threads.
#[derive(Clone, Copy, Debug)]
pub struct Threads<'a> {
    len: &'a AtomicU32,
    threads: &'a [Thread],
}

impl<'a> Threads<'a> {
    pub(crate) fn new(len: &'a AtomicU32, threads: &'a [Thread]) -> Threads<'a> {
        Threads { len, threads }
    }

    /// Entries that there are.
    #[must_use]
    pub fn capacity(&self) -> u32 {
        u32::try_from(self.threads.len()).unwrap_or(u32::MAX)
    }

    /// Entries ever leased, the shared one aside.
    #[must_use]
    pub fn used(&self) -> u32 {
        self.len.observe().min(self.capacity().saturating_sub(1))
    }

    /// One entry; None where there is no room for so many.
    #[must_use]
    pub fn entry(&self, index: u32) -> Option<&'a Thread> {
        self.threads.get(index as usize)
    }

    /// The entry for all threads that found no other.
    #[must_use]
    pub fn shared(&self) -> Option<&'a Thread> {
        self.threads.last()
    }

    /// Notes that entry `index` has been leased: raises the high-water mark before the thread's first event.
    pub fn note_used(&self, index: u32) {
        let want = index.saturating_add(1);
        let mut now = self.len.observe();
        while now < want {
            match self.len.claim(now, want) {
                Ok(_) => return,
                Err(other) => now = other,
            }
        }
    }

    /// The sum over the entries that were ever leased, and the shared one. Others are not looked at: their pages would become resident.
    #[must_use]
    pub fn losses(&self) -> Losses {
        let leased = self.threads.iter().take(self.used() as usize);
        let mut sum = Losses::default();
        for thread in leased {
            add(&mut sum, thread);
            sum.in_hook += u64::from(thread.in_hook.observe() != 0);
        }
        if let Some(shared) = self.shared() {
            add(&mut sum, shared);
            sum.in_hook = sum.in_hook.saturating_add(shared.in_hook.observe());
        }
        sum
    }
}

fn add(sum: &mut Losses, thread: &Thread) {
    let read = |word: &AtomicU64| word.observe();
    sum.nested = sum.nested.wrapping_add(read(&thread.nested));
    sum.truncated = sum.truncated.wrapping_add(read(&thread.truncated));
    sum.overflow = sum.overflow.wrapping_add(read(&thread.overflow));
    sum.foreign_frees = sum.foreign_frees.wrapping_add(read(&thread.foreign_frees));
    sum.walks = sum.walks.wrapping_add(read(&thread.walks));
    sum.memo_hits = sum.memo_hits.wrapping_add(read(&thread.memo_hits));
    sum.memo_misses = sum.memo_misses.wrapping_add(read(&thread.memo_misses));
    sum.untracked = sum.untracked.wrapping_add(read(&thread.untracked));
    sum.frame_pointers = sum
        .frame_pointers
        .wrapping_add(read(&thread.frame_pointers));
}

#[cfg(all(test, loom))]
mod models {
    use super::*;
    use crate::testing::bounded;
    use loom::sync::Arc;
    use loom::thread;

    /// Check that of threads that lease entries at once none lowers the mark that another has raised, and that a reader which hears of a
    /// thread's first event from the program looks at its entry.
    #[test]
    fn high_water_mark() {
        bounded(3, || {
            let table: Arc<(AtomicU32, [Thread; 4], AtomicU32)> = Arc::default();
            let threads = [0, 2].map(|index| {
                let table = table.clone();
                thread::spawn(move || {
                    let threads = Threads::new(&table.0, &table.1);
                    threads.note_used(index);
                    threads.entry(index).expect("there").walks.put(1);
                    table.2.publish(index + 1);
                })
            });
            let told = table.2.observe();
            let reader = Threads::new(&table.0, &table.1);
            assert!(
                reader.used() >= told,
                "told {told}, looks at {}",
                reader.used()
            );
            assert!(told == 0 || reader.losses().walks > 0);
            threads.map(|thread| thread.join().expect("no panic"));
            assert_eq!((reader.used(), reader.losses().walks), (3, 2));
        });
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    /// Check that losses are summed over the leased entries and the shared one, once each, and that hooks are counted by
    /// entry, in the shared one by its number.
    #[test]
    fn losses() {
        let (len, entries): (_, [Thread; 4]) = (AtomicU32::new(0), Default::default());
        let threads = Threads::new(&len, &entries);
        for (thread, walks) in entries.iter().zip([1, 10, 100, 1000]) {
            thread.walks.put(walks);
            thread.in_hook.put(3);
        }
        let sums = |losses: Losses| (losses.walks, losses.in_hook);
        assert_eq!(sums(threads.losses()), (1000, 3));
        threads.note_used(1);
        threads.note_used(0);
        assert_eq!((threads.used(), sums(threads.losses())), (2, (1011, 5)));
        threads.note_used(u32::MAX);
        assert_eq!((threads.used(), sums(threads.losses())), (3, (1111, 6)));
    }
}
