//! Whole numbers in as few bytes as they need: seven bits a byte, the lowest first (LEB128). Used by `columns` and `sums`.

use super::Damage;

/// Appends a number.
#[inline]
pub(super) fn put(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    out.push(value.to_le_bytes()[0]);
}

/// Appends a difference: small ones of either sign are short.
#[inline]
pub(super) fn put_signed(out: &mut Vec<u8>, value: i64) {
    put(out, (value << 1 ^ value >> 63).cast_unsigned());
}

/// Numbers being read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Numbers<'a>(&'a [u8]);

impl<'a> Numbers<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Numbers<'a> {
        Numbers(bytes)
    }

    /// The next byte.
    #[inline]
    pub(super) fn byte(&mut self) -> Result<u8, Damage> {
        let (&first, rest) = self.0.split_first().ok_or(Damage::Short)?;
        self.0 = rest;
        Ok(first)
    }

    /// The next number.
    #[inline]
    pub(super) fn next(&mut self) -> Result<u64, Damage> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Damage::Value("a number is too long"))
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
        self.0.is_empty()
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
