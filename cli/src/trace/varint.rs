//! Whole numbers in as few bytes as they need, as marks have them, and differences. Used by `columns` and `sums`.

use super::Damage;
use crate::mark::bytes::Reader;

pub(super) use crate::mark::bytes::put_number as put;

/// Appends a difference: small ones of either sign are short.
#[inline]
pub(super) fn put_signed(out: &mut Vec<u8>, value: i64) {
    put(out, (value << 1 ^ value >> 63).cast_unsigned());
}

/// Numbers being read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Numbers<'a>(Reader<'a>);

impl<'a> Numbers<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Numbers<'a> {
        Numbers(Reader::new(bytes))
    }

    /// The next byte.
    #[inline]
    pub(super) fn byte(&mut self) -> Result<u8, Damage> {
        self.0.bytes(1)?.first().copied().ok_or(Damage::Short)
    }

    /// The next number.
    #[inline]
    pub(super) fn next(&mut self) -> Result<u64, Damage> {
        Ok(self.0.number()?)
    }

    /// The next number, of a table's index.
    pub(super) fn next_u32(&mut self) -> Result<u32, Damage> {
        u32::try_from(self.next()?).map_err(|_| Damage::Value("an index is too large"))
    }

    /// The next difference.
    #[inline]
    pub(super) fn next_signed(&mut self) -> Result<i64, Damage> {
        let value = self.next()?;
        Ok((value >> 1).cast_signed() ^ -((value & 1).cast_signed()))
    }

    /// True where nothing is left.
    pub(super) fn is_empty(&self) -> bool {
        self.0.left() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Check that numbers of any size come back, and that what is cut or too long is refused.
    #[test]
    fn round_trip() {
        let values = [0, 1, 0x7f, 0x80, 0x3fff, 0x4000, 1 << 63, u64::MAX];
        let mut bytes = Vec::new();
        for value in values {
            put(&mut bytes, value);
            put_signed(&mut bytes, value.cast_signed());
        }
        let mut numbers = Numbers::new(&bytes);
        for value in values {
            assert_eq!(numbers.next(), Ok(value));
            assert_eq!(numbers.next_signed(), Ok(value.cast_signed()));
        }
        assert!(numbers.is_empty() && numbers.next() == Err(Damage::Short));
        assert!(Numbers::new(&[0x80; 20]).next().is_err());
        assert_eq!(Numbers::new(&[0x80]).next(), Err(Damage::Short));
    }
}
