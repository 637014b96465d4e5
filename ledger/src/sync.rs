//! The only import of atomics in the workspace's shared-memory code, and helpers that name each memory order by its purpose.
//!
//! Under `cfg(loom)` the atomics are loom's, so that the models in `frames`, `sites`, `index` and `marks` run the same code.
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
