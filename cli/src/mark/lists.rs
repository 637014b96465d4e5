//! The two lists of a mark that may have hundreds of thousands of entries: frames and sites. Used by `sections`, and by traces
//! for the frames that a chunk adds, at full width (a chunk is compressed).
//!
//! They are packed: numbers in as few bytes as they need, a frame's caller as a distance, its kind and module as one. A mark of 100,000
//! sites with as many frames again takes 2 MiB, not 10. How they were written before, at full width, is still read.

use super::Damage;
use super::bytes::{Reader, Writer};
use super::sections::read_list;
use crate::model::{Counters, Frame, FrameKind, Site};

/// What a packed frame and a packed site take at least: one byte a number.
const LEAST_FRAME: usize = 3;
const LEAST_COUNTERS: usize = 4;
const LEAST_SITE: usize = 1 + LEAST_COUNTERS;
/// What they take usually: room is made for so many bytes before they are written.
const USUAL_FRAME: usize = 7;
const USUAL_SITE: usize = 10;

/// What they took at full width.
pub(crate) const WIDE_FRAME: usize = 20;
const WIDE_SITE: usize = 36;
/// A frame's module at full width: none.
const WIDE_NO_MODULE: u32 = u32::MAX;

/// The number of each kind of frame is its place here, as `number_of` has it.
const KINDS: [FrameKind; 9] = [
    FrameKind::Root,
    FrameKind::Native,
    FrameKind::NativeExact,
    FrameKind::Unknown,
    FrameKind::Truncated,
    FrameKind::Full,
    FrameKind::Nested,
    FrameKind::Python,
    FrameKind::Thread,
];

/// Bits of a kind's number; the module's number and one, 0 for none, stands above them.
const KIND_BITS: u32 = 4;

/// What the frames of a mark may name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known {
    pub(crate) modules: usize,
    pub(crate) codes: usize,
    pub(crate) threads: usize,
}

/// A list that is being written: its entries, packed.
#[derive(Debug, Default)]
pub(crate) struct Entries {
    count: u64,
    bytes: Writer,
}

impl Entries {
    /// One that has room for as much as so many frames usually take.
    pub(crate) fn of_frames<'f>(frames: impl IntoIterator<Item = &'f Frame>) -> Entries {
        Entries::of(frames, USUAL_FRAME, Entries::frame)
    }

    pub(crate) fn of_sites<'s>(sites: impl IntoIterator<Item = &'s Site>) -> Entries {
        Entries::of(sites, USUAL_SITE, Entries::site)
    }

    /// The counters of sites by id, as a peak has them.
    pub(crate) fn of_counters<'c>(counters: impl IntoIterator<Item = &'c Counters>) -> Entries {
        Entries::of(counters, USUAL_SITE, Entries::counters)
    }

    /// Each written by `write`, in room for as many as there are, of `usual` bytes.
    fn of<'t, T: 't>(
        all: impl IntoIterator<Item = &'t T>,
        usual: usize,
        write: impl Fn(&mut Entries, &T),
    ) -> Entries {
        let all = all.into_iter();
        let mut entries = Entries::default();
        entries.bytes.room(all.size_hint().0 * usual);
        all.for_each(|one| write(&mut entries, one));
        entries
    }

    /// Makes room for as much as so many frames usually take.
    pub(crate) fn expect_frames(&mut self, frames: usize) {
        self.bytes.room(frames * USUAL_FRAME);
    }

    pub(crate) fn expect_sites(&mut self, sites: usize) {
        self.bytes.room(sites * USUAL_SITE);
    }

    #[inline]
    pub(crate) fn frame(&mut self, frame: &Frame) {
        let module = frame.module.map_or(0, |module| u64::from(module) + 1);
        self.bytes.numbers([
            self.count - u64::from(frame.parent),
            u64::from(number_of(frame.kind)) | module << KIND_BITS,
            frame.value,
        ]);
        self.count += 1;
    }

    #[inline]
    pub(crate) fn site(&mut self, site: &Site) {
        let [allocated, blocks, freed, freed_blocks] = numbers_of(&site.counters);
        let frame = site.frame.into();
        self.bytes
            .numbers([frame, allocated, blocks, freed, freed_blocks]);
        self.count += 1;
    }

    #[inline]
    pub(crate) fn counters(&mut self, of: &Counters) {
        self.bytes.numbers(numbers_of(of));
        self.count += 1;
    }

    /// As a section has it after `head`: how many there are, and they.
    pub(super) fn into_section(self, kind: u32, mut head: Writer) -> Section {
        head.len(usize::try_from(self.count).unwrap_or(usize::MAX));
        Section {
            kind,
            head: head.into_vec(),
            entries: self.bytes.into_vec(),
        }
    }
}

/// A section of a mark: its bytes are these two, one after the other.
#[derive(Clone, Debug)]
pub(crate) struct Section {
    pub(crate) kind: u32,
    pub(crate) head: Vec<u8>,
    pub(crate) entries: Vec<u8>,
}

/// Counters as they are written.
#[inline]
fn numbers_of(of: &Counters) -> [u64; 4] {
    [
        of.allocated_bytes,
        of.allocated_blocks,
        of.freed_bytes,
        of.freed_blocks,
    ]
}

/// The number of a kind: its place among `KINDS`.
#[inline]
fn number_of(kind: FrameKind) -> u8 {
    match kind {
        FrameKind::Root => 0,
        FrameKind::Native => 1,
        FrameKind::NativeExact => 2,
        FrameKind::Unknown => 3,
        FrameKind::Truncated => 4,
        FrameKind::Full => 5,
        FrameKind::Nested => 6,
        FrameKind::Python => 7,
        FrameKind::Thread => 8,
    }
}

pub(super) fn read_frames(bytes: Reader<'_>, known: Known) -> Result<Vec<Frame>, Damage> {
    read_list(bytes, LEAST_FRAME, |bytes, id| {
        let caller = (id as u64).checked_sub(bytes.number()?);
        let head = bytes.number()?;
        let frame = Frame {
            parent: caller
                .and_then(|caller| u32::try_from(caller).ok())
                .ok_or(NO_CALLER)?,
            kind: kind(head & ((1 << KIND_BITS) - 1))?,
            module: match head >> KIND_BITS {
                0 => None,
                module => Some(u32::try_from(module - 1).map_err(|_| NO_MODULE)?),
            },
            value: bytes.number()?,
        };
        checked(frame, id, known)
    })
}

/// Frames as they were written before they were packed.
pub(super) fn read_wide_frames(bytes: Reader<'_>, known: Known) -> Result<Vec<Frame>, Damage> {
    read_list(bytes, WIDE_FRAME, |bytes, id| {
        read_wide_frame(bytes, id, known)
    })
}

pub(crate) fn write_wide_frame(out: &mut Writer, frame: &Frame) {
    out.u32(frame.parent);
    out.u32(number_of(frame.kind).into());
    out.u32(frame.module.unwrap_or(WIDE_NO_MODULE));
    out.u64(frame.value);
}

pub(crate) fn read_wide_frame(
    bytes: &mut Reader<'_>,
    id: usize,
    known: Known,
) -> Result<Frame, Damage> {
    let frame = Frame {
        parent: bytes.u32()?,
        kind: kind(bytes.u32()?.into())?,
        module: Some(bytes.u32()?).filter(|&module| module != WIDE_NO_MODULE),
        value: bytes.u64()?,
    };
    checked(frame, id, known)
}

const NO_CALLER: Damage = Damage::Value("a frame's caller is not an older frame");
const NO_MODULE: Damage = Damage::Value("a frame's module is not there");

fn kind(number: u64) -> Result<FrameKind, Damage> {
    let kind = usize::try_from(number).ok().and_then(|at| KINDS.get(at));
    kind.copied()
        .ok_or(Damage::Value("a frame of no known kind"))
}

/// The frame, where it names nothing that is not there.
fn checked(frame: Frame, id: usize, known: Known) -> Result<Frame, Damage> {
    if frame.parent as usize >= id && id > 0 || frame.parent > 0 && id == 0 {
        return Err(NO_CALLER);
    }
    if frame
        .module
        .is_some_and(|module| module as usize >= known.modules)
    {
        return Err(NO_MODULE);
    }
    let is_native = matches!(frame.kind, FrameKind::Native | FrameKind::NativeExact);
    if is_native != frame.module.is_some() {
        return Err(Damage::Value("a frame's kind and its module disagree"));
    }
    if frame.kind == FrameKind::Thread && frame.value >= known.threads as u64 {
        return Err(Damage::Value("a thread's label is not there"));
    }
    match frame.python() {
        Some((code, _)) if code as usize >= known.codes => {
            Err(Damage::Value("a frame's code is not there"))
        }
        _ => Ok(frame),
    }
}

pub(super) fn read_sites(bytes: Reader<'_>, frames: usize) -> Result<Vec<Site>, Damage> {
    read_list(bytes, LEAST_SITE, |bytes, _| {
        let frame = bytes.index()?;
        let counters = read_one(bytes)?;
        site(frame, counters, frames)
    })
}

/// Sites as they were written before they were packed.
pub(super) fn read_wide_sites(bytes: Reader<'_>, frames: usize) -> Result<Vec<Site>, Damage> {
    read_list(bytes, WIDE_SITE, |bytes, _| {
        let frame = bytes.u32()?;
        let counters = Counters {
            allocated_bytes: bytes.u64()?,
            allocated_blocks: bytes.u64()?,
            freed_bytes: bytes.u64()?,
            freed_blocks: bytes.u64()?,
        };
        site(frame, counters, frames)
    })
}

fn site(frame: u32, counters: Counters, frames: usize) -> Result<Site, Damage> {
    match (frame as usize) < frames {
        true => Ok(Site { frame, counters }),
        false => Err(Damage::Value("a site's frame is not there")),
    }
}

pub(super) fn read_counters(bytes: Reader<'_>) -> Result<Vec<Counters>, Damage> {
    read_list(bytes, LEAST_COUNTERS, |bytes, _| read_one(bytes))
}

fn read_one(bytes: &mut Reader<'_>) -> Result<Counters, Damage> {
    Ok(Counters {
        allocated_bytes: bytes.number()?,
        allocated_blocks: bytes.number()?,
        freed_bytes: bytes.number()?,
        freed_blocks: bytes.number()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: Known = Known {
        modules: 1,
        codes: 0,
        threads: 1,
    };

    fn frame(parent: u32, kind: FrameKind, value: u64) -> Frame {
        let module = (kind == FrameKind::Native).then_some(0);
        Frame {
            parent,
            kind,
            module,
            value,
        }
    }

    fn frames() -> [Frame; 3] {
        [
            frame(0, FrameKind::Root, 0),
            frame(0, FrameKind::Thread, 0),
            frame(1, FrameKind::Native, 0x1234),
        ]
    }

    fn sites() -> [Site; 1] {
        let counters = Counters {
            allocated_bytes: u64::MAX,
            allocated_blocks: 300,
            freed_bytes: 2,
            freed_blocks: 1,
        };
        [Site { frame: 2, counters }]
    }

    fn packed(write: impl Fn(&mut Writer)) -> Vec<u8> {
        let mut out = Writer::default();
        write(&mut out);
        out.into_vec()
    }

    fn listed(entries: Entries) -> Vec<u8> {
        let section = entries.into_section(1, Writer::default());
        [section.head, section.entries].concat()
    }

    /// Check that each kind's number is its place in the table by which it is read.
    #[test]
    fn kinds() {
        for (number, kind) in (0..).zip(KINDS) {
            assert_eq!(number_of(kind), number, "{kind:?}");
        }
    }

    /// Check that lists come back as they went, in as few bytes as the format says, and that each frame's caller, kind, module and label
    /// are looked at.
    #[test]
    fn packed_lists() {
        let bytes = listed(Entries::of_frames(&frames()));
        let expected = [
            3,
            0,
            0,
            0,
            0,
            0,
            0,
            1,
            8,
            0,
            1,
            1 | 1 << KIND_BITS,
            0xb4,
            0x24,
        ];
        assert_eq!(bytes, expected);
        let read = |bytes: &[u8]| read_frames(Reader::new(bytes), KNOWN);
        assert_eq!(read(&bytes).as_deref(), Ok(&frames()[..]));
        for (at, wrong) in [(7, 0), (7, 2), (8, 9), (8, 1), (9, 1), (10, 3), (11, 0x21)] {
            let mut bytes = bytes.clone();
            bytes[at] = wrong;
            assert!(read(&bytes).is_err(), "{at}: {wrong}");
        }
        let bytes = listed(Entries::of_sites(&sites()));
        let read = |frames| read_sites(Reader::new(&bytes), frames);
        assert_eq!(read(3).as_deref(), Ok(&sites()[..]));
        assert!(read(2).is_err());
    }

    /// Check that lists of marks at full width are still read, and looked at in the same way.
    #[test]
    fn wide_lists() {
        let wide = packed(|out| {
            out.len(frames().len());
            frames()
                .iter()
                .for_each(|frame| write_wide_frame(out, frame));
        });
        let read = |known| read_wide_frames(Reader::new(&wide), known);
        assert_eq!(read(KNOWN).as_deref(), Ok(&frames()[..]));
        let fewer = Known {
            modules: 0,
            ..KNOWN
        };
        assert_eq!(read(fewer), Err(NO_MODULE));
        let wide = packed(|out| {
            out.len(1);
            out.u32(2);
            for value in [u64::MAX, 300, 2, 1] {
                out.u64(value);
            }
        });
        let read = |frames| read_wide_sites(Reader::new(&wide), frames);
        assert_eq!(read(3).as_deref(), Ok(&sites()[..]));
        assert!(read(2).is_err());
    }
}
