//! Memory that a peer may write, and the only bounds check on it.
//!
//! A [`Region`] is the raw mapping. An offset found in it is an allegation until [`Region::table`] has turned it into a slice
//! of structures made of atomics; nobody else computes an address inside the ledger.

use crate::error::Error;
use crate::layout::Shared;
use core::marker::PhantomData;
use core::mem::{align_of, size_of};

/// A mapped ledger: base address and length, for as long as `'a` lasts.
#[derive(Clone, Copy, Debug)]
pub struct Region<'a> {
    base: *const u8,
    bytes: u64,
    lifetime: PhantomData<&'a ()>,
}

// SAFETY: a region is only ever turned into slices of atomics (`Shared`), which may be used from any thread.
unsafe impl Send for Region<'_> {}
// SAFETY: as above.
unsafe impl Sync for Region<'_> {}

impl<'a> Region<'a> {
    /// Takes a mapping over.
    ///
    /// # Safety
    /// The caller promises, for all of `'a`: (1) `bytes` bytes at `base` are mapped and readable, and writable if a `Writer` is
    /// made of it; (2) `base` is aligned to 4096; (3) the file behind it cannot shrink; (4) nobody in this process
    /// accesses it other than through atomics.
    #[must_use]
    pub unsafe fn new(base: *const u8, bytes: u64) -> Region<'a> {
        Region {
            base,
            bytes,
            lifetime: PhantomData,
        }
    }

    /// Length in bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The `entries` structures at `offset`, if all of them lie inside and are aligned.
    pub(crate) fn table<T: Shared>(
        &self,
        kind: u32,
        offset: u64,
        entries: u64,
    ) -> Result<&'a [T], Error> {
        let size = size_of::<T>() as u64;
        let wrong = |bytes| Error::Section {
            kind,
            offset,
            bytes,
            total: self.bytes,
        };
        let bytes = entries.checked_mul(size).ok_or(wrong(u64::MAX))?;
        let end = offset.checked_add(bytes).ok_or(wrong(bytes))?;
        if end > self.bytes || !offset.is_multiple_of(align_of::<T>() as u64) {
            return Err(wrong(bytes));
        }
        let (start, count) = (
            usize::try_from(offset).map_err(|_| wrong(bytes))?,
            usize::try_from(entries).map_err(|_| wrong(bytes))?,
        );
        let first = self.base.wrapping_add(start).cast::<T>();
        // SAFETY: `end <= self.bytes` and the alignment were just checked, the mapping is valid by `new`'s contract, and
        // `T: Shared` promises that any bytes are a valid T and that T changes only through atomics.
        Ok(unsafe { core::slice::from_raw_parts(first, count) })
    }

    /// The one structure at `offset`.
    pub(crate) fn one<T: Shared>(&self, kind: u32, offset: u64) -> Result<&'a T, Error> {
        self.table(kind, offset, 1)?
            .first()
            .ok_or(Error::Missing { kind })
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use crate::layout::Site;

    /// Check that a table that ends past the memory, overflows or is misaligned is refused, and that one that fits is not.
    #[test]
    fn bounds() {
        let memory = crate::testing::Memory::of(&crate::testing::SMALL);
        let region = memory.first(512);
        assert_eq!(region.table::<Site>(4, 0, 512).map(<[Site]>::len), Ok(512));
        assert!(region.table::<Site>(4, 8, 512).is_err());
        assert!(region.table::<Site>(4, 2, 1).is_err());
        assert!(region.table::<Site>(4, u64::MAX - 7, 1).is_err());
        assert!(region.table::<Site>(4, 0, u64::MAX / 8 + 2).is_err());
    }
}
