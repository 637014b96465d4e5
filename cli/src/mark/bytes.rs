//! Numbers and texts to little-endian bytes and back, every read checked against what is left.
//!
//! Used by `mark`, and by `symbolize` for what it keeps and carries. A count is believed only as far as the bytes that would have to follow it are there.

/// Fewer bytes are left than were asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Short;

/// Bytes being read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader(bytes)
    }

    /// Bytes that are left.
    pub(crate) fn left(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn bytes(&mut self, len: usize) -> Result<&'a [u8], Short> {
        let (taken, rest) = self.0.split_at_checked(len).ok_or(Short)?;
        self.0 = rest;
        Ok(taken)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Short> {
        let bytes = self.bytes(4)?.try_into().map_err(|_| Short)?;
        Ok(u32::from_le_bytes(bytes))
    }

    pub(crate) fn u64(&mut self) -> Result<u64, Short> {
        let bytes = self.bytes(8)?.try_into().map_err(|_| Short)?;
        Ok(u64::from_le_bytes(bytes))
    }

    /// A number in as few bytes as it needs: seven bits a byte, the lowest first (unsigned LEB128, DWARF 5 §7.6).
    #[inline]
    pub(crate) fn number(&mut self) -> Result<u64, Short> {
        let mut value = 0;
        for shift in (0..u64::BITS).step_by(7) {
            let (&byte, rest) = self.0.split_first().ok_or(Short)?;
            self.0 = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Short)
    }

    /// A number that is an index.
    pub(crate) fn index(&mut self) -> Result<u32, Short> {
        u32::try_from(self.number()?).map_err(|_| Short)
    }

    /// A count of entries of at least `entry_bytes` each: never more than the bytes that are left can hold.
    pub(crate) fn count(&mut self, entry_bytes: usize) -> Result<usize, Short> {
        let count = usize::try_from(self.u32()?).map_err(|_| Short)?;
        let needed = count.checked_mul(entry_bytes).ok_or(Short)?;
        if needed <= self.left() {
            Ok(count)
        } else {
            Err(Short)
        }
    }

    pub(crate) fn blob(&mut self) -> Result<&'a [u8], Short> {
        let len = self.count(1)?;
        self.bytes(len)
    }

    pub(crate) fn text(&mut self) -> Result<String, Short> {
        Ok(String::from_utf8_lossy(self.blob()?).into_owned())
    }
}

/// Bytes being written.
#[derive(Clone, Debug, Default)]
pub(crate) struct Writer(Vec<u8>);

impl Writer {
    /// One that has room for so many bytes.
    pub(crate) fn with_room(bytes: usize) -> Writer {
        Writer(Vec::with_capacity(bytes))
    }

    /// Takes room for so many bytes more at once.
    pub(crate) fn room(&mut self, bytes: usize) {
        self.0.reserve_exact(bytes + ROOM);
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    pub(crate) fn u32(&mut self, value: u32) {
        self.bytes(&value.to_le_bytes());
    }

    pub(crate) fn u64(&mut self, value: u64) {
        self.bytes(&value.to_le_bytes());
    }

    /// Numbers in as few bytes as each needs, as [`Reader::number`] reads them.
    #[inline]
    pub(crate) fn numbers<const N: usize>(&mut self, values: [u64; N]) {
        const { assert!(N <= MOST_NUMBERS) };
        let mut bytes = [0; ROOM];
        let end = values
            .into_iter()
            .fold(0, |at, value| pack(&mut bytes, at, value));
        // A copy of a length that is known when it is compiled is four instructions, one of any other a call.
        let len = self.0.len() + end;
        self.0.extend_from_slice(&bytes);
        self.0.truncate(len);
    }

    /// A count; all that is counted here is indexed by u32 in the ledger, or is a text of a few KiB.
    pub(crate) fn len(&mut self, len: usize) {
        self.u32(u32::try_from(len).unwrap_or(u32::MAX));
    }

    pub(crate) fn blob(&mut self, bytes: &[u8]) {
        self.len(bytes.len());
        self.bytes(bytes);
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
        &self.0
    }

    pub(crate) fn into_vec(self) -> Vec<u8> {
        self.0
    }
}

/// Numbers that are written at once, and room for as many of the longest.
const MOST_NUMBERS: usize = 6;
const ROOM: usize = 64;
const _: () = assert!(MOST_NUMBERS * 10 <= ROOM);

/// Puts a number at `at`; where it ends. (Spreading its bits in a register instead of a loop over its bytes took twice the instructions: most numbers of a mark are of one byte.)
#[inline]
fn pack(bytes: &mut [u8; ROOM], mut at: usize, mut value: u64) -> usize {
    while value >= 0x80 {
        bytes[at % ROOM] = value.to_le_bytes()[0] | 0x80;
        value >>= 7;
        at += 1;
    }
    bytes[at % ROOM] = value.to_le_bytes()[0];
    at + 1
}

/// Appends a number, as [`Reader::number`] reads it.
#[inline]
pub(crate) fn put_number(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    out.push(value.to_le_bytes()[0]);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Check that a count that the rest cannot hold is refused before anything is allocated for it.
    #[test]
    fn counts() {
        let bytes = [2, 0, 0, 0, 7, 7];
        assert_eq!(Reader::new(&bytes).count(1), Ok(2));
        assert_eq!(Reader::new(&bytes).count(2), Err(Short));
        assert_eq!(Reader::new(&[255; 8]).count(usize::MAX), Err(Short));
        assert_eq!(Reader::new(&bytes).blob(), Ok(&[7, 7][..]));
    }

    /// Check that each length of number, at both its ends, is what the loop over its bytes writes.
    #[test]
    fn lengths() {
        let ends = (0..64).flat_map(|bit| [(1u64 << bit) - 1, 1 << bit, (1 << bit) + 1]);
        for value in ends.chain([u64::MAX, 0x0123_4567_89ab_cdef, 0x0aaa_aaaa, 0x0555_5555]) {
            let (mut writer, mut expected) = (Writer::default(), Vec::new());
            writer.numbers([value, 5]);
            put_number(&mut expected, value);
            put_number(&mut expected, 5);
            assert_eq!(writer.into_vec(), expected, "{value:#x}");
        }
    }

    /// Check that numbers take as few bytes as they need and come back, and that one without an end is refused.
    #[test]
    fn numbers() {
        let expected = [(0, 1), (127, 1), (128, 2), (1 << 14, 3), (u64::MAX, 10)];
        for (value, bytes) in expected {
            let mut writer = Writer::default();
            writer.numbers([value]);
            assert_eq!(writer.as_slice().len(), bytes, "{value}");
            assert_eq!(Reader::new(writer.as_slice()).number(), Ok(value));
        }
        let mut writer = Writer::default();
        writer.numbers(expected.map(|(value, _)| value));
        writer.numbers([u64::MAX; MOST_NUMBERS]);
        let bytes = writer.into_vec();
        let mut reader = Reader::new(&bytes);
        let written = expected.map(|(value, _)| value).into_iter();
        for value in written.chain([u64::MAX; MOST_NUMBERS]) {
            assert_eq!(reader.number(), Ok(value));
        }
        assert_eq!(reader.left(), 0);
        assert_eq!(Reader::new(&[0xff; 11]).number(), Err(Short));
        assert_eq!(Reader::new(&[0x80]).number(), Err(Short));
        let large = [0x80, 0x80, 0x80, 0x80, 0x10];
        assert_eq!(Reader::new(&large).index(), Err(Short));
    }

    /// Check that numbers and texts come back as they went.
    #[test]
    fn round_trip() {
        let mut writer = Writer::default();
        writer.u32(7);
        writer.u64(u64::MAX - 1);
        writer.blob("grün".as_bytes());
        let bytes = writer.into_vec();
        let mut reader = Reader::new(&bytes);
        assert_eq!((reader.u32(), reader.u64()), (Ok(7), Ok(u64::MAX - 1)));
        assert_eq!(reader.text().as_deref(), Ok("grün"));
        assert_eq!((reader.left(), reader.u32()), (0, Err(Short)));
    }
}
