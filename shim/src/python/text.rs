//! Python strings as bytes: UTF-8, and for what stood in a file name that isn't UTF-8 the byte itself (PEP 383), so that a path is the file's.
//!
//! Format: Include/cpython/unicodeobject.h (PEP 393): ASCII or 1, 2 or 4 bytes a character, behind the object's head or, for an instance of a
//! subclass, elsewhere. A string never changes.

use super::interpreter::Interpreter;
use super::layout::{OBJECT_TYPE, TEXT_LENGTH, TEXT_STATE};
use super::peek::{Peek, Trusted};
use heapshim_ledger::modules::MAX_TEXT;

/// Characters of a string by place.
#[derive(Clone, Copy, Debug)]
struct Characters {
    first: u64,
    count: u64,
    /// log2 of the bytes of each.
    shift: u32,
}

/// Writes the text of a live string object, as much of it as fits in; None where it is no string.
pub(crate) fn write<'b>(
    interpreter: &Interpreter,
    object: u64,
    out: &'b mut [u8; MAX_TEXT],
) -> Option<&'b [u8]> {
    let characters = Characters::of(interpreter, object)?;
    let mut len = 0;
    for index in 0..characters.count.min(MAX_TEXT as u64) {
        let mut bytes = [0u8; 8];
        let encoded = encode(characters.at(index)?, &mut bytes);
        let Some(place) = out.get_mut(len..len + encoded.len()) else {
            break;
        };
        place.copy_from_slice(encoded);
        len += encoded.len();
    }
    out.get(..len)
}

impl Characters {
    fn of(interpreter: &Interpreter, object: u64) -> Option<Characters> {
        let layout = interpreter.layout;
        if Trusted.word(object + OBJECT_TYPE)? != interpreter.text_type {
            return None;
        }
        let state = Trusted.half(object + TEXT_STATE)?;
        let (kind, is_compact, is_ascii) = (state >> 2 & 7, state & 32 != 0, state & 64 != 0);
        let first = match (is_compact, is_ascii) {
            (true, true) => object + layout.ascii,
            (true, false) => object + layout.compact,
            (false, _) => Trusted.word(object + layout.compact)?,
        };
        Some(Characters {
            first,
            count: Trusted.word(object + TEXT_LENGTH)?,
            shift: [None, Some(0), Some(1), None, Some(2)]
                .get(kind as usize)
                .copied()
                .flatten()?,
        })
    }

    fn at(&self, index: u64) -> Option<u32> {
        let address = self.first + (index << self.shift);
        let word = Trusted.word(address & !7)? >> ((address & 7) * 8);
        let mask = u32::MAX >> (32 - (8 << self.shift));
        u32::try_from(word & u64::from(mask)).ok()
    }
}

/// A character as bytes: a lone surrogate of PEP 383 is the byte that it stands for, another is escaped as Python's `backslashreplace` does.
fn encode(character: u32, out: &mut [u8; 8]) -> &[u8] {
    if let Some(plain) = char::from_u32(character) {
        let [a, b, c, d, ..] = out;
        let mut bytes = [0u8; 4];
        let len = plain.encode_utf8(&mut bytes).len();
        [*a, *b, *c, *d] = bytes;
        return out.get(..len).unwrap_or(&[]);
    }
    let [low, ..] = character.to_le_bytes();
    if (0xdc80..=0xdcff).contains(&character) {
        *out = [low, 0, 0, 0, 0, 0, 0, 0];
        return out.get(..1).unwrap_or(&[]);
    }
    let digit = |shift: u32| {
        let nibble = u8::try_from(character >> shift & 15).unwrap_or(0);
        nibble + if nibble < 10 { b'0' } else { b'a' - 10 }
    };
    *out = [b'\\', b'u', digit(12), digit(8), digit(4), digit(0), 0, 0];
    out.get(..6).unwrap_or(&[])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Check that characters are UTF-8, that a byte which was no UTF-8 is itself again, and that other surrogates are escaped.
    #[test]
    fn characters() {
        for plain in ['a', 'é', '線', '🐍'] {
            let mut utf8 = [0; 4];
            let expected = plain.encode_utf8(&mut utf8).as_bytes();
            assert_eq!(encode(u32::from(plain), &mut [0; 8]), expected);
        }
        let others: [(u32, &[u8]); 4] = [
            (0xdc80, &[0x80]),
            (0xdcff, &[0xff]),
            (0xd800, b"\\ud800"),
            (0xdc7f, b"\\udc7f"),
        ];
        for (character, expected) in others {
            assert_eq!(encode(character, &mut [0; 8]), expected);
        }
    }
}
