//! The only import of atomics in the workspace's shared-memory code, and helpers that name each memory order by its purpose.
//!
//! Under `cfg(loom)` the atomics are loom's, so that the models at the foot of `sites` (with frames and indices),
//! `index`, `children`, `modules`, `marks`, `counters`, `header` and here run the same code.
//! `SeqCst` is not used: no protocol here needs a total order over two words that two threads write crosswise.

#[cfg(not(loom))]
pub use core::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};
#[cfg(loom)]
pub use loom::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};

/// The operations that both widths have, under names that say what they are for.
pub trait Word {
    /// The integer.
    type Value: Copy;
    /// Reads a word whose neighbours do not matter (Relaxed).
    fn peek(&self) -> Self::Value;
    /// Writes a word that something else publishes, or that stands alone (Relaxed).
    fn put(&self, value: Self::Value);
    /// Reads a word that publishes others (Acquire): pairs with `publish`.
    fn observe(&self) -> Self::Value;
    /// Writes a word that publishes all that was written before (Release): pairs with `observe`.
    fn publish(&self, value: Self::Value);
    /// Adds where other threads add too (one locked instruction).
    fn add_shared(&self, value: Self::Value) -> Self::Value;
    /// Replaces `old` by `new` if it still stands there: Release on success, Acquire on failure, so that the loser sees
    /// what the winner published.
    fn claim(&self, old: Self::Value, new: Self::Value) -> Result<Self::Value, Self::Value>;
}

/// Nothing, except under loom: there every order of the threads' switch points is tried.
///
/// Loom 0.7 remembers only the last access to a word. A thread that reads a word and then exchanges it hides another thread's
/// earlier read from it, and the order exchange-before-read is never tried: models passed with their `publish` taken out.
/// Nobody reads the word that is stored to here, so it orders nothing that the models are to prove ordered.
#[inline(always)]
fn switch_point() {
    #[cfg(loom)]
    {
        loom::lazy_static! {
            static ref POINT: AtomicU32 = AtomicU32::new(0);
        }
        POINT.store(0, Ordering::Relaxed);
    }
}

macro_rules! word {
    ($atomic:ty, $value:ty) => {
        impl Word for $atomic {
            type Value = $value;
            #[inline(always)]
            fn peek(&self) -> $value {
                self.load(Ordering::Relaxed)
            }
            #[inline(always)]
            fn put(&self, value: $value) {
                self.store(value, Ordering::Relaxed);
            }
            #[inline(always)]
            fn observe(&self) -> $value {
                switch_point();
                self.load(Ordering::Acquire)
            }
            #[inline(always)]
            fn publish(&self, value: $value) {
                self.store(value, Ordering::Release);
            }
            #[inline(always)]
            fn add_shared(&self, value: $value) -> $value {
                self.fetch_add(value, Ordering::AcqRel)
            }
            #[inline(always)]
            fn claim(&self, old: $value, new: $value) -> Result<$value, $value> {
                switch_point();
                self.compare_exchange(old, new, Ordering::AcqRel, Ordering::Acquire)
            }
        }
    };
}
word!(AtomicU32, u32);
word!(AtomicU64, u64);

/// Adds to a word that only this thread writes: one plain `add` to memory, so that a signal handler of the same thread that
/// adds to the same word in between is not lost, and no bus lock is taken.
///
/// A reader that sees the new value also sees what this thread wrote before: on x86-64 stores are not reordered with older
/// stores (Intel SDM vol. 3, 9.2.3.2).
#[inline(always)]
pub fn add_owned(word: &AtomicU64, value: u64) {
    #[cfg(all(target_arch = "x86_64", not(loom), not(miri)))]
    // SAFETY: the reference makes the word valid and aligned; `add` to memory is the whole effect besides the flags.
    unsafe {
        core::arch::asm!("add qword ptr [{word}], {value}", word = in(reg) word.as_ptr(), value = in(reg) value, options(nostack));
    }
    #[cfg(not(all(target_arch = "x86_64", not(loom), not(miri))))]
    word.fetch_add(value, Ordering::Release);
}

/// As [`add_owned`], and says whether the word, in two's complement, is then not below zero: the `add` and a branch on its sign.
#[inline(always)]
pub fn add_owned_reaches(word: &AtomicU64, value: u64) -> bool {
    #[cfg(all(target_arch = "x86_64", not(loom), not(miri)))]
    // SAFETY: as in `add_owned`; the label only leaves this function.
    unsafe {
        core::arch::asm!("add qword ptr [{word}], {value}", "jns {reached}", word = in(reg) word.as_ptr(), value = in(reg) value,
            reached = label { return true }, options(nostack));
        false
    }
    #[cfg(not(all(target_arch = "x86_64", not(loom), not(miri))))]
    reaches(word.fetch_add(value, Ordering::Release), value)
}

/// As [`add_owned_reaches`], for a word that other threads add to, too.
#[inline(always)]
pub fn add_shared_reaches(word: &AtomicU64, value: u64) -> bool {
    reaches(word.add_shared(value), value)
}

fn reaches(before: u64, value: u64) -> bool {
    before.wrapping_add(value).cast_signed() >= 0
}

/// Takes the next index of an append-only table of `capacity` entries; None when it is full. Lock-free: a failed exchange
/// means that another thread took one.
pub fn take_index(len: &AtomicU32, count: u32, capacity: u32) -> Option<u32> {
    let mut at = len.peek();
    loop {
        let next = at.checked_add(count).filter(|&next| next <= capacity)?;
        match len.claim(at, next) {
            Ok(_) => return Some(at),
            Err(now) => at = now,
        }
    }
}

/// After a sequence word was turned odd, before the data is written (Release fence: the odd value is visible no later than
/// any of the data).
pub fn fence_between_sequence_and_data() {
    fence(Ordering::Release);
}

/// After the data was copied, before the sequence word is read again (Acquire fence: the copy is no later than that read).
pub fn fence_between_data_and_sequence() {
    fence(Ordering::Acquire);
}

#[cfg(all(test, loom))]
mod models {
    use super::*;
    use loom::sync::Arc;
    use loom::thread;

    /// Check that three threads that want the last two entries of a table get them, one each, and that one is refused.
    #[test]
    fn take_index_at_capacity() {
        crate::testing::bounded(3, || {
            let len = Arc::new(AtomicU32::new(5));
            let threads = [(); 2].map(|()| {
                let len = len.clone();
                thread::spawn(move || take_index(&len, 1, 7))
            });
            let mine = take_index(&len, 1, 7);
            let mut taken = vec![mine];
            taken.extend(threads.map(|thread| thread.join().expect("no panic")));
            taken.sort();
            assert_eq!(taken, [None, Some(5), Some(6)]);
            assert_eq!(len.peek(), 7);
        });
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    /// Check that a table gives out its entries in order, none beyond its capacity, and nothing where the length is absurd.
    #[test]
    fn take_index_bounds() {
        let len = AtomicU32::new(0);
        assert_eq!(take_index(&len, 3, 4), Some(0));
        assert_eq!(take_index(&len, 2, 4), None);
        assert_eq!(take_index(&len, 0, 4), Some(3));
        assert_eq!(take_index(&len, 1, 4), Some(3));
        assert_eq!((take_index(&len, 1, 4), len.peek()), (None, 4));
        len.put(u32::MAX);
        assert_eq!(take_index(&len, 1, u32::MAX), None);
        assert_eq!(take_index(&len, 1, 4), None);
    }

    /// Check that the plain add adds, also past the end.
    #[test]
    fn add_owned_wraps() {
        let word = AtomicU64::new(u64::MAX);
        add_owned(&word, 3);
        assert_eq!(word.peek(), 2);
    }
}
