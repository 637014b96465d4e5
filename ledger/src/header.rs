//! How large each section is, and where: the geometry of a ledger, chosen once at its start.
//!
//! Capacities shrink together with the memory that may be used (RLIMIT_FSIZE, RLIMIT_AS): a smaller ledger overflows
//! earlier, and says so, but never fails.

use crate::error::Error;
use crate::extent::Region;
use crate::layout::{
    ByteWord, COHORTS, Cell, Code, Estimate, Header, INSIDE_MARKS, MAGIC, Mark, Module, Node, PAGE,
    PEAKS, READY, SECTIONS, SLOTS, SectionKind, Shared, Site, Temporary, Thread, VERSION,
};
use crate::sync::Word;
use core::mem::size_of;

/// Entries of each section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// Loaded objects.
    pub modules: u32,
    /// Eight-byte words of strings.
    pub string_words: u32,
    /// Trie nodes.
    pub frames: u32,
    /// Sites.
    pub sites: u32,
    /// Thread entries, the shared one included.
    pub threads: u32,
    /// Python code objects.
    pub codes: u32,
}

/// The largest: 2^18 sites of about eight frames of their own each. 467 MiB of addresses, resident only where written.
/// The reader refuses more, so that its work is bounded however large the file is: raising this raises [`VERSION`].
pub const LARGEST: Geometry = Geometry {
    modules: 4096,
    string_words: 1 << 18,
    frames: 1 << 21,
    sites: 1 << 18,
    threads: 4096,
    codes: 1 << 16,
};
/// How far the largest is halved at most. 2^10 leaves 256 sites and 2,048 frames, in 498 KiB.
const HALVINGS: u32 = 10;

impl Geometry {
    /// The largest geometry whose ledger takes at most `max_bytes`; None where even the smallest does not fit.
    #[must_use]
    pub fn fit(max_bytes: u64) -> Option<Geometry> {
        (0..=HALVINGS)
            .map(Geometry::halved)
            .find(|geometry| geometry.total_bytes() <= max_bytes)
    }

    fn halved(times: u32) -> Geometry {
        Geometry {
            modules: (LARGEST.modules >> times).max(64),
            string_words: (LARGEST.string_words >> times).max(2048),
            frames: LARGEST.frames >> times,
            sites: LARGEST.sites >> times,
            threads: (LARGEST.threads >> times).max(64),
            codes: LARGEST.codes >> times,
        }
    }

    /// Each section's kind, bytes of an entry, and entries; those that are reserved have none.
    #[must_use]
    pub fn sections(&self) -> [(SectionKind, u64, u64); 16] {
        use SectionKind as Kind;
        let table = |kind, bytes: usize, entries: u32| (kind, bytes as u64, u64::from(entries));
        let cells = |kind, rows: u32| {
            let entries = u64::from(self.sites) * u64::from(rows);
            (kind, size_of::<Cell>() as u64, entries)
        };
        let temporaries = (
            Kind::Temporaries,
            size_of::<Temporary>() as u64,
            u64::from(self.sites) * u64::from(SLOTS),
        );
        let reserved = |kind| (kind, 0, 0);
        [
            table(Kind::Modules, size_of::<Module>(), self.modules),
            table(Kind::Strings, size_of::<ByteWord>(), self.string_words),
            table(Kind::Frames, size_of::<Node>(), self.frames),
            table(Kind::Sites, size_of::<Site>(), self.sites),
            table(Kind::Threads, size_of::<Thread>(), self.threads),
            table(Kind::Marks, size_of::<Mark>(), INSIDE_MARKS),
            cells(Kind::Counters, SLOTS),
            cells(Kind::MarkCounters, INSIDE_MARKS),
            cells(Kind::Cohorts, COHORTS),
            table(Kind::Peak, size_of::<Mark>(), PEAKS),
            cells(Kind::PeakCounters, PEAKS),
            table(Kind::Estimates, size_of::<Estimate>(), self.sites),
            temporaries,
            reserved(Kind::Rings),
            table(Kind::Python, size_of::<Code>(), self.codes),
            reserved(Kind::Jit),
        ]
    }

    /// Entries of one section.
    fn entries(&self, kind: SectionKind) -> u64 {
        self.sections()
            .iter()
            .find(|section| section.0 == kind)
            .map_or(0, |section| section.2)
    }

    /// Bytes of the whole ledger, a multiple of the page.
    #[must_use]
    pub fn total_bytes(&self) -> u64 {
        self.sections()
            .iter()
            .fold(PAGE, |at, (_, bytes, entries)| {
                at + (bytes * entries).next_multiple_of(PAGE)
            })
    }

    /// Writes the section table.
    fn write(&self, header: &Header) {
        let mut at = PAGE;
        for (place, (kind, bytes, entries)) in header.sections.iter().zip(self.sections()) {
            place.kind.put(kind as u32);
            place.entry_bytes.put(u32::try_from(bytes).unwrap_or(0));
            place.offset.put(at);
            place.entries.put(entries);
            at += (bytes * entries).next_multiple_of(PAGE);
        }
        header
            .sections_len
            .put(u32::try_from(self.sections().len()).unwrap_or(0));
    }
}

/// Writes what a header says of its layout: everything but the identity, the lengths and the state.
pub(crate) fn begin(header: &Header, geometry: &Geometry) {
    geometry.write(header);
    header.magic.put(MAGIC);
    header.version.put(VERSION);
    header.total_bytes.put(geometry.total_bytes());
}

/// Publishes the header (Release; `check` acquires): readers may come.
pub(crate) fn publish(header: &Header) {
    header.state.publish(READY);
}

/// The header of a ledger that is ready and of this version.
///
/// # Errors
/// `Short`, `Magic`, `Version`, `NotReady`.
pub fn check<'a>(region: &Region<'a>) -> Result<&'a Header, Error> {
    if region.bytes() < PAGE {
        return Err(Error::Short {
            have: region.bytes(),
            need: PAGE,
        });
    }
    let header: &Header = region.one(0, 0)?;
    ready(header).map(|()| header)
}

fn ready(header: &Header) -> Result<(), Error> {
    let (state, magic, version) = (
        header.state.observe(),
        header.magic.peek(),
        header.version.peek(),
    );
    if magic != MAGIC {
        return Err(Error::Magic { found: magic });
    }
    if version != VERSION {
        return Err(Error::Version {
            found: version,
            expected: VERSION,
        });
    }
    if state == READY {
        Ok(())
    } else {
        Err(Error::NotReady { state })
    }
}

/// Finds a section by kind; its entry size must be ours.
///
/// # Errors
/// `Missing` where it is not listed, `Value` where its entries have another size or are more than the largest ledger has, `Section`
/// where it lies outside.
pub(crate) fn section<'a, T: Shared>(
    region: &Region<'a>,
    header: &Header,
    kind: SectionKind,
) -> Result<&'a [T], Error> {
    let listed = (header.sections_len.peek() as usize).min(SECTIONS);
    let number = kind as u32;
    let (index, place) = (0u64..)
        .zip(header.sections.iter().take(listed))
        .find(|(_, place)| place.kind.peek() == number)
        .ok_or(Error::Missing { kind: number })?;
    let (bytes, entries) = (place.entry_bytes.peek(), place.entries.peek());
    let wrong = |found| Error::Value {
        kind: number,
        index,
        found,
    };
    if bytes as usize != size_of::<T>() {
        return Err(wrong(bytes.into()));
    }
    if entries > LARGEST.entries(kind) {
        return Err(wrong(entries));
    }
    region.table(number, place.offset.peek(), entries)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::testing::{Memory, SMALL};

    /// Check that geometries shrink with the limit, never exceed it, and that too small a limit gives none.
    #[test]
    fn fit() {
        assert_eq!(Geometry::fit(u64::MAX), Some(LARGEST));
        assert_eq!(LARGEST.total_bytes() >> 20, 467);
        let small = Geometry::fit(2 << 20).expect("2 MiB is enough for the smallest");
        assert!(small.total_bytes() <= 2 << 20 && small.sites >= 512);
        assert_eq!(Geometry::fit(1000), None);
    }

    /// Check that a ledger's sections begin on pages, do not overlap, lie inside and have the room that the geometry says.
    #[test]
    fn sections_are_disjoint() {
        for geometry in [SMALL, Geometry::fit(2 << 20).expect("fits"), LARGEST] {
            let page = Memory::of(&SMALL);
            let header: &Header = page.region().one(0, 0).expect("a page");
            begin(header, &geometry);
            let mut free = PAGE;
            for (section, (kind, _, entries)) in header.sections.iter().zip(geometry.sections()) {
                let offset = section.offset.peek();
                assert!(offset >= free && offset.is_multiple_of(PAGE));
                assert_eq!(section.kind.peek(), kind as u32);
                assert_eq!(section.entries.peek(), entries);
                free = offset + entries * u64::from(section.entry_bytes.peek());
            }
            assert!(free <= header.total_bytes.peek());
            assert_eq!(header.total_bytes.peek(), geometry.total_bytes());
        }
    }

    /// Check that what is not a ledger, of another version, or not ready is refused as such.
    #[test]
    fn refused() {
        let memory = Memory::of(&SMALL);
        let region = memory.region();
        let header: &Header = region.one(0, 0).expect("a page");
        let error = || check(&region).map(|_| ()).expect_err("not yet");
        assert_eq!(error(), Error::Magic { found: 0 });
        begin(header, &SMALL);
        assert_eq!(error(), Error::NotReady { state: 0 });
        publish(header);
        assert!(check(&region).is_ok());
        header.version.put(VERSION + 1);
        assert!(matches!(error(), Error::Version { found, .. } if found == VERSION + 1));
        assert!(matches!(
            check(&memory.first(511)),
            Err(Error::Short { have: 4088, .. })
        ));
    }

    /// Check that a section that is missing, larger than the largest or of other entries is refused.
    #[test]
    fn sections_refused() {
        let memory = Memory::of(&SMALL);
        let region = memory.region();
        let header: &Header = region.one(0, 0).expect("a page");
        begin(header, &SMALL);
        let find = || section::<Site>(&region, header, SectionKind::Sites).map(<[Site]>::len);
        let place = header.sections.iter().find(|place| place.kind.peek() == 4);
        let place = place.expect("there are sites");
        assert_eq!(find(), Ok(5));
        for entries in [513, 1 << 18, (1 << 18) + 1, 1 << 40, u64::MAX] {
            place.entries.put(entries);
            assert_eq!(find().is_ok(), entries == 513, "{entries}");
        }
        place.entry_bytes.put(16);
        assert!(matches!(
            find(),
            Err(Error::Value {
                kind: 4,
                found: 16,
                ..
            })
        ));
        place.kind.put(99);
        assert_eq!(find(), Err(Error::Missing { kind: 4 }));
    }
}

#[cfg(all(test, loom))]
mod models {
    use super::*;
    use crate::testing::{SMALL, bounded};
    use loom::sync::Arc;
    use loom::thread;

    /// Check that a reader that finds the header ready finds all of it.
    #[test]
    fn ready_publishes() {
        bounded(3, || {
            let header = Arc::new(Header::default());
            let writer = header.clone();
            let writer = thread::spawn(move || {
                begin(&writer, &SMALL);
                publish(&writer);
            });
            if ready(&header).is_ok() {
                assert_eq!(header.total_bytes.peek(), SMALL.total_bytes());
                let last = SMALL.sections().len() - 1;
                assert_eq!(header.sections_len.peek() as usize, last + 1);
                let (kind, offset) = header
                    .sections
                    .get(last)
                    .map(|place| (place.kind.peek(), place.offset.peek()))
                    .expect("32 places");
                assert_eq!((kind, offset), (14, SMALL.total_bytes()));
            }
            writer.join().expect("no panic");
            assert_eq!(ready(&header), Ok(()));
        });
    }
}
