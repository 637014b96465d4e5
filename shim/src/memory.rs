//! Private memory of the shim's tables: mapped once, zeroed, resident only where touched, never given back.
//!
//! Private, so that a forked child inherits a consistent copy. No lock: threads that race to map the same table keep the first one.

use crate::sys;
use core::ptr::NonNull;
use heapshim_ledger::index::{RUNGS, Rungs};
use heapshim_ledger::sync::{AtomicU64, Word};
use once_cell::race::OnceNonZeroUsize;

/// A type that memory of zeros is a valid value of, and that may be shared between threads.
///
/// # Safety
/// The implementor promises both.
pub(crate) unsafe trait Zeroed: Sync {}
// SAFETY: zero is an integer.
unsafe impl Zeroed for AtomicU64 {}
// SAFETY: zero is an integer.
unsafe impl Zeroed for heapshim_ledger::sync::AtomicU32 {}

// SAFETY: zero is an integer.
unsafe impl Zeroed for core::sync::atomic::AtomicU8 {}

/// A table of `len` entries that is mapped at its first use.
#[derive(Debug)]
pub(crate) struct Table<T> {
    base: OnceNonZeroUsize,
    len: usize,
    entry: core::marker::PhantomData<T>,
}

impl<T> Table<T> {
    /// Where it has the address of its first entry; 0 there: not mapped.
    pub(crate) const BASE: usize = core::mem::offset_of!(Table<T>, base);
}

impl<T: Zeroed> Table<T> {
    pub(crate) const fn new(len: usize) -> Table<T> {
        Table {
            base: OnceNonZeroUsize::new(),
            len,
            entry: core::marker::PhantomData,
        }
    }

    /// All entries; maps them if need be. None when there is no memory.
    #[inline(always)]
    pub(crate) fn entries(&self) -> Option<&'static [T]> {
        let base = match self.base.get() {
            Some(base) => base.get(),
            None => self.map()?,
        };
        Some(self.entries_at(base))
    }

    /// All entries, where they are mapped.
    #[inline(always)]
    pub(crate) fn mapped(&self) -> Option<&'static [T]> {
        let base = self.base.get()?;
        Some(self.entries_at(base.get()))
    }

    #[inline(always)]
    fn entries_at(&self, base: usize) -> &'static [T] {
        // SAFETY: `base`, which is from `self.base`, is `len` entries of zeroed private memory that is never unmapped, and `T: Zeroed`.
        unsafe { core::slice::from_raw_parts(core::ptr::with_exposed_provenance(base), self.len) }
    }

    /// True where the table has been used.
    pub(crate) fn is_mapped(&self) -> bool {
        self.base.get().is_some()
    }

    #[cold]
    #[inline(never)]
    fn map(&self) -> Option<usize> {
        let bytes = self.len * size_of::<T>();
        let memory = sys::map_private(bytes).ok()?;
        let ours = memory.expose_provenance();
        let kept = self.base.get_or_init(|| ours);
        if kept != ours {
            // SAFETY: another thread's mapping was kept; nobody has seen ours.
            unsafe { sys::unmap(memory, bytes) };
        }
        Some(kept.get())
    }

    /// The entry at `index`.
    #[inline(always)]
    pub(crate) fn get(&self, index: u32) -> Option<&'static T> {
        self.entries()?.get(index as usize)
    }
}

/// The rungs of an index, each mapped when the one below is full for some key.
#[derive(Debug)]
pub(crate) struct PrivateRungs {
    rungs: [AtomicU64; RUNGS],
}

impl PrivateRungs {
    pub(crate) const fn new() -> PrivateRungs {
        PrivateRungs {
            rungs: [const { AtomicU64::new(0) }; RUNGS],
        }
    }

    #[cold]
    #[inline(never)]
    fn map(&self, rung: usize, slots: usize) -> Option<&[AtomicU64]> {
        let word = self.rungs.get(rung)?;
        let memory: NonNull<u8> = sys::map_private(slots * 8).ok()?;
        if word
            .claim(0, memory.expose_provenance().get() as u64)
            .is_err()
        {
            // SAFETY: another thread's mapping was kept; nobody has seen ours.
            unsafe { sys::unmap(memory, slots * 8) };
        }
        self.mapped(rung)
    }
}

impl Rungs for PrivateRungs {
    fn rung(&self, rung: usize, slots: usize) -> Option<&[AtomicU64]> {
        self.mapped(rung).or_else(|| self.map(rung, slots))
    }

    #[inline(always)]
    fn mapped(&self, rung: usize) -> Option<&[AtomicU64]> {
        let base = usize::try_from(self.rungs.get(rung)?.observe()).ok()?;
        let first = core::ptr::with_exposed_provenance::<AtomicU64>(base);
        // SAFETY: `map` stored the address of `slots(rung)` zeroed words that are never unmapped; null where it has not.
        (!first.is_null()).then(|| unsafe {
            core::slice::from_raw_parts(first, heapshim_ledger::index::slots(rung))
        })
    }
}
