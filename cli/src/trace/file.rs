//! A trace's file: a head, then chunks, each whole or not there. Appended to, never changed.
//!
//! ```text
//! file:  magic "HEAPTRAC" | version u32 | contents u32
//! chunk: kind u32 | first part's bytes u32 | second part's bytes u32 | checksum of both parts u32 | from_ns u64 | to_ns u64 | events u64 |
//!        growth i64 | crest i64 | checksum of all the above u32 | checksum of the first part u32       then the two parts, each a zstd frame or empty
//! ```
//! All little-endian; checksums are CRC-32. `growth` is what the chunk's events add to the live bytes, `crest` the most that they add on the way.

use super::Damage;
use crate::mark::bytes::{Reader, Writer};
use std::io::{self, Read, Seek, SeekFrom, Write};

const MAGIC: &[u8; 8] = b"HEAPTRAC";
const VERSION: u32 = 1;
/// Bytes of the file's head.
const FILE_HEAD: u64 = 16;
/// Bytes of a chunk's head.
const HEAD: usize = 64;
/// zstd's level: the next ones cost twice the time for a few percent.
const LEVEL: i32 = 1;
/// Largest part, packed or not: a mark of the largest ledger has 53 MiB.
const MAX_PART: u32 = 1 << 28;

/// What the events of a file have. One that has more is read by whoever knows of less.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(super) enum Contents {
    /// What happened.
    Events = 0,
    /// And of each free the stack that it was called from.
    FreeStacks = 1,
}

/// What a chunk holds: its number is never given another meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(super) enum Kind {
    /// A mark: the account when the recording began.
    Start = 1,
    /// Modules, codes, labels, frames and sites that are new: every event behind it names what is in one before.
    Tables = 2,
    /// Sums, then events.
    Events = 3,
    /// A mark: the account when it ended, with what its addresses mean where that was asked for.
    End = 4,
    /// A text: something that happened at `from_ns`; `events` of them, where it is about events.
    Note = 5,
    /// What else happened at `from_ns`: `instants`.
    Instant = 6,
}

impl Kind {
    fn from_number(number: u32) -> Option<Kind> {
        use Kind::{End, Events, Instant, Note, Start, Tables};
        let all = [Start, Tables, Events, End, Note, Instant];
        all.into_iter().find(|&kind| kind as u32 == number)
    }
}

/// What a chunk's head says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// None: of a version to come.
    pub(super) kind: Option<Kind>,
    /// Time of the first event.
    pub(super) from_ns: u64,
    /// Time of the last event.
    pub(super) to_ns: u64,
    /// How many.
    pub(super) events: u64,
    /// Live bytes at the end, less those at the beginning.
    pub(super) growth: i64,
    /// The most live bytes on the way, less those at the beginning; never below 0.
    pub(super) crest: i64,
    parts: [u32; 2],
    checksum: u32,
    /// Of the first part alone, so that the second need not be read for it; 0 in what was written before there was one.
    first: u32,
}

impl Head {
    /// The same, so many nanoseconds later: a chunk's events count from its beginning.
    pub(super) fn later(self, ns: u64) -> Head {
        Head {
            from_ns: self.from_ns.saturating_add(ns),
            to_ns: self.to_ns.saturating_add(ns),
            ..self
        }
    }
}

/// A chunk's place in its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Chunk {
    /// Its head.
    pub(super) head: Head,
    at: u64,
}

/// A trace being written.
#[derive(Debug)]
pub(super) struct Output<W> {
    file: W,
    bytes: u64,
}

impl<W: Write> Output<W> {
    /// Begins a file.
    pub(super) fn new(mut file: W, contents: Contents) -> io::Result<Output<W>> {
        let mut head = Writer::default();
        head.bytes(MAGIC);
        head.u32(VERSION);
        head.u32(contents as u32);
        file.write_all(head.as_slice())?;
        Ok(Output {
            file,
            bytes: FILE_HEAD,
        })
    }

    /// Appends a chunk of these parts, in one piece.
    pub(super) fn append(&mut self, kind: Kind, of: &Of, parts: [&[u8]; 2]) -> io::Result<()> {
        let [first, second] = parts.map(pack);
        let (first, second) = (first?, second?);
        let mut sum = crc32fast::Hasher::new();
        sum.update(&first);
        sum.update(&second);
        let bytes = |part: &[u8]| u32::try_from(part.len()).map_err(io::Error::other);
        let head = Head {
            kind: Some(kind),
            from_ns: of.from_ns,
            to_ns: of.to_ns,
            events: of.events,
            growth: of.growth,
            crest: of.crest,
            parts: [bytes(&first)?, bytes(&second)?],
            checksum: sum.finalize(),
            first: crc32fast::hash(&first),
        };
        self.append_packed(&head, &[&first, &second])
    }

    /// Appends a chunk whose parts are packed already, in one piece: what its head says of their bytes is true.
    pub(super) fn append_packed(&mut self, head: &Head, packed: &[&[u8]]) -> io::Result<()> {
        let mut out = Writer::default();
        out.u32(head.kind.map_or(0, |kind| kind as u32));
        head.parts.into_iter().for_each(|part| out.u32(part));
        out.u32(head.checksum);
        out.u64(head.from_ns);
        out.u64(head.to_ns);
        out.u64(head.events);
        out.u64(head.growth.cast_unsigned());
        out.u64(head.crest.cast_unsigned());
        let sum = crc32fast::hash(out.as_slice());
        out.u32(sum);
        out.u32(head.first);
        packed.iter().for_each(|part| out.bytes(part));
        self.bytes += out.as_slice().len() as u64;
        self.file.write_all(out.as_slice())
    }

    /// Bytes written so far.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }
}

/// What a chunk's head is to say of its events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Of {
    pub(super) from_ns: u64,
    pub(super) to_ns: u64,
    pub(super) events: u64,
    pub(super) growth: i64,
    pub(super) crest: i64,
}

fn pack(part: &[u8]) -> io::Result<Vec<u8>> {
    if part.is_empty() {
        return Ok(Vec::new());
    }
    zstd::bulk::compress(part, LEVEL)
}

/// Every whole chunk of a file, and whether something stands behind the last one that is none.
pub(super) fn chunks<F: Read + Seek>(file: &mut F) -> Result<(Vec<Chunk>, bool), Refused> {
    let size = file.seek(SeekFrom::End(0))?;
    file.seek(SeekFrom::Start(0))?;
    let mut head = [0; 16];
    file.read_exact(&mut head).map_err(|_| Refused::NoTrace)?;
    check_file(&head)?;
    let (mut chunks, mut at) = (Vec::new(), FILE_HEAD);
    while let Some(head) = read_head(file, at, size)? {
        let end = at + HEAD as u64 + head.parts.iter().map(|&part| u64::from(part)).sum::<u64>();
        if end > size {
            break;
        }
        chunks.push(Chunk {
            head,
            at: at + HEAD as u64,
        });
        at = end;
    }
    Ok((chunks, at != size))
}

/// What the head of a file, of which the chunks are known already, says of its events.
pub(super) fn contents<F: Read + Seek>(file: &mut F) -> io::Result<Contents> {
    let mut head = [0; 16];
    file.seek(SeekFrom::Start(0))?;
    file.read_exact(&mut head)?;
    let [.., least, _, _, _] = head;
    Ok(match least & Contents::FreeStacks as u8 {
        0 => Contents::Events,
        _ => Contents::FreeStacks,
    })
}

/// Why a file is not read.
#[derive(Debug)]
pub(super) enum Refused {
    NoTrace,
    Version(u32),
    Damaged(Damage),
    System(io::Error),
}

impl From<io::Error> for Refused {
    fn from(error: io::Error) -> Refused {
        Refused::System(error)
    }
}

impl From<Damage> for Refused {
    fn from(damage: Damage) -> Refused {
        Refused::Damaged(damage)
    }
}

fn check_file(head: &[u8; 16]) -> Result<(), Refused> {
    let mut reader = Reader::new(head);
    let magic = reader.bytes(MAGIC.len()).map_err(Damage::from)?;
    let version = reader.u32().map_err(Damage::from)?;
    match (magic == MAGIC, version == VERSION) {
        (true, true) => Ok(()),
        (true, false) => Err(Refused::Version(version)),
        (false, _) => Err(Refused::NoTrace),
    }
}

/// The head at this place; None where there is no whole one.
fn read_head<F: Read + Seek>(file: &mut F, at: u64, size: u64) -> io::Result<Option<Head>> {
    if size.saturating_sub(at) < HEAD as u64 {
        return Ok(None);
    }
    file.seek(SeekFrom::Start(at))?;
    let mut bytes = [0; HEAD];
    file.read_exact(&mut bytes)?;
    Ok(head(&bytes).ok())
}

fn head(bytes: &[u8; HEAD]) -> Result<Head, Damage> {
    let mut reader = Reader::new(bytes);
    let kind = Kind::from_number(reader.u32()?);
    let (parts, checksum) = ([reader.u32()?, reader.u32()?], reader.u32()?);
    let mut head = Head {
        kind,
        from_ns: reader.u64()?,
        to_ns: reader.u64()?,
        events: reader.u64()?,
        growth: reader.u64()?.cast_signed(),
        crest: reader.u64()?.cast_signed(),
        parts,
        checksum,
        first: 0,
    };
    let summed = bytes.get(..bytes.len() - 8).ok_or(Damage::Short)?;
    let sound = crc32fast::hash(summed) == reader.u32()?;
    head.first = reader.u32()?;
    match sound && parts.iter().all(|&part| part <= MAX_PART) {
        true => Ok(head),
        false => Err(Damage::Value("a chunk's head is not whole")),
    }
}

/// A part of a chunk, and the room that the next one is read into: given back to the system and taken again for each chunk, its pages would be cleared anew.
#[derive(Default)]
pub(super) struct Unpacked {
    packed: Vec<u8>,
    bytes: Vec<u8>,
    context: Option<zstd::bulk::Decompressor<'static>>,
}

impl Unpacked {
    /// Unpacks these bytes of `packed`.
    fn unpack(&mut self, packed: std::ops::Range<usize>) -> io::Result<&[u8]> {
        let packed = self.packed.get(packed).unwrap_or(&[]);
        self.bytes.clear();
        if !packed.is_empty() {
            let said = zstd::zstd_safe::get_frame_content_size(packed)
                .ok()
                .flatten();
            let said = said.and_then(|bytes| usize::try_from(bytes).ok());
            let most = MAX_PART as usize;
            self.bytes.reserve(said.unwrap_or(most).min(most));
            let context = match self.context.take() {
                Some(context) => context,
                None => zstd::bulk::Decompressor::new()?,
            };
            let context = self.context.insert(context);
            context.decompress_to_buffer(packed, &mut self.bytes)?;
        }
        Ok(&self.bytes)
    }
}

impl Chunk {
    /// One of its two parts, unpacked. A file that was changed since it was written is found out here.
    pub(super) fn part<F: Read + Seek>(
        &self,
        file: &mut F,
        part: usize,
    ) -> Result<Vec<u8>, Refused> {
        let mut unpacked = Unpacked::default();
        self.unpack(file, part, &mut unpacked)?;
        Ok(unpacked.bytes)
    }

    /// The same, into room that others have used.
    pub(super) fn unpack<'u, F: Read + Seek>(
        &self,
        file: &mut F,
        part: usize,
        unpacked: &'u mut Unpacked,
    ) -> Result<&'u [u8], Refused> {
        let [first, second] = self.head.parts.map(|bytes| bytes as usize);
        let (len, checksum) = match (part, self.head.first) {
            (0, 1..) => (first, self.head.first),
            _ => (first + second, self.head.checksum),
        };
        self.read(file, len, checksum, &mut unpacked.packed)?;
        let range = if part == 0 { 0..first } else { first..len };
        let bytes = unpacked.unpack(range);
        bytes.map_err(|_| Damage::Value("a chunk is not packed as it should be").into())
    }

    /// Both parts as they stand in the file.
    pub(super) fn packed<F: Read + Seek>(&self, file: &mut F) -> Result<Vec<u8>, Refused> {
        let len = self.head.parts.iter().map(|&bytes| bytes as usize).sum();
        let mut packed = Vec::new();
        self.read(file, len, self.head.checksum, &mut packed)?;
        Ok(packed)
    }

    /// So many bytes behind the head, of which this is the checksum.
    fn read<F: Read + Seek>(
        &self,
        file: &mut F,
        len: usize,
        checksum: u32,
        into: &mut Vec<u8>,
    ) -> Result<(), Refused> {
        file.seek(SeekFrom::Start(self.at))?;
        into.resize(len, 0);
        file.read_exact(into)?;
        match crc32fast::hash(into) == checksum {
            true => Ok(()),
            false => Err(Damage::Value("a chunk's checksum is wrong").into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    fn written() -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut output = Output::new(&mut bytes, Contents::FreeStacks).expect("memory");
        let of = |events, crest| Of {
            from_ns: 1,
            to_ns: 2,
            events,
            growth: -7,
            crest,
        };
        let parts: [[&[u8]; 2]; 3] = [[b"one", b""], [&[7; 5000], b"two"], [b"", b""]];
        for (kind, parts) in [Kind::Start, Kind::Events, Kind::Note]
            .into_iter()
            .zip(parts)
        {
            output.append(kind, &of(3, 9), parts).expect("memory");
        }
        let told = output.bytes();
        assert_eq!(told, bytes.len() as u64);
        bytes
    }

    /// Check that chunks come back with what their heads said and what their parts held.
    #[test]
    fn round_trip() {
        let mut file = Cursor::new(written());
        let (chunks, cut) = chunks(&mut file).expect("a trace");
        let kinds: Vec<_> = chunks.iter().filter_map(|chunk| chunk.head.kind).collect();
        assert_eq!(
            (kinds, cut),
            (vec![Kind::Start, Kind::Events, Kind::Note], false)
        );
        assert_eq!((chunks[1].head.growth, chunks[1].head.crest), (-7, 9));
        assert_eq!(chunks[1].part(&mut file, 0).expect("whole"), [7; 5000]);
        assert_eq!(chunks[1].part(&mut file, 1).expect("whole"), b"two");
        assert_eq!(chunks[2].part(&mut file, 1).expect("whole"), b"");
        assert_eq!(contents(&mut file).expect("memory"), Contents::FreeStacks);
    }

    /// Check that a chunk without its first part's own checksum, as they were once written, is read by that of both.
    #[test]
    fn without_first_checksum() {
        let mut bytes = written();
        let mut file = Cursor::new(bytes.clone());
        let (before, _) = chunks(&mut file).expect("a trace");
        let at = usize::try_from(before[1].at).expect("small");
        bytes[at - 4..at].fill(0);
        let mut file = Cursor::new(bytes);
        let (found, _) = chunks(&mut file).expect("a trace");
        assert_eq!(found[1].part(&mut file, 0).expect("whole"), [7; 5000]);
    }

    /// Check that a file cut at any byte has exactly the chunks that are whole, and says that it is cut.
    #[test]
    fn cut_anywhere() {
        let whole = written();
        let ends: Vec<u64> = {
            let mut file = Cursor::new(&whole);
            let (chunks, _) = chunks(&mut file).expect("a trace");
            let size = |chunk: &Chunk| u64::from(chunk.head.parts[0] + chunk.head.parts[1]);
            chunks.iter().map(|chunk| chunk.at + size(chunk)).collect()
        };
        for len in 0..=whole.len() {
            let mut file = Cursor::new(&whole[..len]);
            let Ok((found, cut)) = chunks(&mut file) else {
                assert!(len < 16);
                continue;
            };
            let there = ends.iter().filter(|&&end| end <= len as u64).count();
            let ends_there = len == 16 || ends.contains(&(len as u64));
            assert_eq!((found.len(), cut), (there, !ends_there), "{len}");
        }
    }

    /// Check that every changed byte is found out: the file is refused, ends before, or the chunk's part is an error.
    #[test]
    fn changed_anywhere() {
        let whole = written();
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x10;
            let mut file = Cursor::new(bytes);
            let Ok((found, cut)) = chunks(&mut file) else {
                continue;
            };
            let reserved = (12..16).contains(&at);
            let mut bad = |chunk: &Chunk| (0..2).any(|part| chunk.part(&mut file, part).is_err());
            assert!(cut || found.iter().any(&mut bad) || reserved, "byte {at}");
        }
    }
}
