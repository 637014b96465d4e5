//! The line of an instruction, read out of the code object's own table (CPython 3.11 to 3.13; Objects/locations.md).
//!
//! `PyCode_Addr2Line` decodes the table from its beginning each time, 5,000 instructions on average while modules are imported: their code runs from
//! the first line to the last. So a place in the table is kept for each code object, and the next question goes on from there. Before 3.11,
//! `codes` asks the interpreter.
//!
//! ```text
//! entry: 1 | code (4) | units − 1 (3), then bytes below 128
//! code 15: no line · 14, 13: a signed difference of lines follows, six bits a byte, the lowest first · 12 to 10: 2 to 0 lines more · else: the same line
//! ```
//!
//! **Why each read is sound.** A live code object holds its table, and the table never changes.

use super::peek::{Peek, Trusted};

/// PyBytesObject: `ob_size`, `ob_sval`.
const SIZE: u64 = 16;
const BYTES: u64 = 32;
/// Bytes of an instruction's unit.
const UNIT: u32 = 2;

/// A place in a code object's table: an entry that was read, and what it says. Zeros: before the first entry.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct LinePlace {
    /// Instructions of the entry, in bytes from the code's first.
    start: u32,
    end: u32,
    /// Lines from the code's first line.
    line: i32,
    has_line: bool,
    /// Where the next entry begins.
    next: u64,
}

impl LinePlace {
    /// The line of an instruction of a code object that has this table and begins at this line; 0 where it has none.
    pub(crate) fn line(&mut self, table: u64, first_line: u32, instruction: u32) -> Option<u32> {
        let size = Trusted.word(table + SIZE)?;
        if instruction < self.start {
            *self = LinePlace::default();
        }
        while self.end <= instruction {
            if self.next >= size {
                return Some(0);
            }
            self.advance(table, size)?;
        }
        Some(match self.has_line {
            true => first_line.wrapping_add_signed(self.line),
            false => 0,
        })
    }

    #[inline]
    fn advance(&mut self, table: u64, size: u64) -> Option<()> {
        let first = byte(table, self.next)?;
        let (code, units) = (first >> 3 & 15, first & 7);
        self.start = self.end;
        self.end += (u32::from(units) + 1) * UNIT;
        self.line = self.line.wrapping_add(match code {
            13 | 14 => difference(table, self.next + 1, size)?,
            10..=12 => i32::from(code) - 10,
            _ => 0,
        });
        self.has_line = code != 15;
        self.next += 1;
        while self.next < size && byte(table, self.next)? < 128 {
            self.next += 1;
        }
        Some(())
    }
}

/// The signed number that begins at `at`: its lowest bit is the sign.
fn difference(table: u64, at: u64, size: u64) -> Option<i32> {
    let (mut value, mut shift) = (0u32, 0);
    for at in at..size {
        let byte = byte(table, at)?;
        value |= u32::from(byte & 63).checked_shl(shift).unwrap_or(0);
        shift += 6;
        if byte & 64 == 0 {
            break;
        }
    }
    let size = (value >> 1).cast_signed();
    Some(if value & 1 == 0 { size } else { -size })
}

#[inline(always)]
fn byte(table: u64, at: u64) -> Option<u8> {
    let address = table + BYTES + at;
    let word = Trusted.word(address & !7)?;
    word.to_le_bytes().get((address & 7) as usize).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A table as a bytes object: its head, and its bytes in words.
    #[allow(clippy::disallowed_types, reason = "a test may allocate")]
    fn object(bytes: &[u8]) -> Vec<u64> {
        let head = [1, 0, bytes.len() as u64, 0];
        let words = bytes.chunks(8).map(|chunk| {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            u64::from_le_bytes(word)
        });
        head.into_iter().chain(words).collect()
    }

    /// Check every kind of entry, asked in order, backwards and beyond the end, against the lines that were encoded.
    #[test]
    #[allow(
        clippy::disallowed_types,
        clippy::disallowed_macros,
        reason = "a test may allocate"
    )]
    fn every_kind() {
        let entries: [(&[u8], u32); 8] = [
            (&[0x80 | 10 << 3, 1, 2], 100),     // the same line, one unit
            (&[0x80 | 12 << 3 | 7, 1, 2], 102), // two lines more, eight units
            (&[0x80 | 3, 0x12], 102),           // the short form
            (&[0x80 | 13 << 3, 5], 100),        // two lines back
            (&[0x80 | 15 << 3 | 1], 0),         // none
            (&[0x80 | 14 << 3, 64 | 8, 1, 0, 1, 1], 136), // 36 lines more, in two bytes
            (&[0x80 | 11 << 3, 1, 2], 137),
            (&[0x80 | 9 << 3, 0x12], 137),
        ];
        let bytes: Vec<u8> = entries
            .iter()
            .flat_map(|(bytes, _)| bytes.iter().copied())
            .collect();
        let object = object(&bytes);
        let table = object.as_ptr().expose_provenance() as u64;
        let lines: Vec<u32> = entries
            .iter()
            .flat_map(|(bytes, line)| vec![*line; (bytes[0] & 7) as usize + 1])
            .collect();
        let at = |unit: usize| u32::try_from(unit).expect("few units") * UNIT;
        let mut kept = LinePlace::default();
        let orders = (0..lines.len()).chain((0..lines.len()).rev());
        for unit in orders {
            assert_eq!(
                kept.line(table, 100, at(unit)),
                Some(lines[unit]),
                "kept, {unit}"
            );
            let mut fresh = LinePlace::default();
            assert_eq!(
                fresh.line(table, 100, at(unit) + 1),
                Some(lines[unit]),
                "fresh, {unit}"
            );
        }
        assert_eq!(kept.line(table, 100, at(lines.len())), Some(0));
        assert_eq!(kept.line(table, 100, 0), Some(100));
    }
}
