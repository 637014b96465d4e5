//! The reader's half, composed: validates a ledger once and hands out copies. Used by the command, and by the shim for inside marks.
//!
//! A hostile writer is assumed: every offset is checked, every loop is bounded by a length that was checked, nothing panics.

use crate::counters::Total;
use crate::error::Error;
use crate::extent::Region;
use crate::header::check;
use crate::layout::Header;
use crate::sites::SiteId;
use crate::tables::Tables;

/// Times that a snapshot is read again before it is called inexact. Five: on a busy target none succeeds, so it stays small.
const PASSES: u32 = 5;

/// Sites that are read at once: 2 KiB of each slot, so that what is read of the same twice is still in the cache.
const AT_ONCE: usize = 64;

/// A ledger to be read.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    tables: Tables<'a>,
}

/// How exact a copy of the counters is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exactness {
    /// Sites that were copied: ids below this.
    pub sites_len: u32,
    /// Events that the copy may have seen half, an upper bound; 0 = the copy is one instant.
    pub in_flight: u64,
}

impl<'a> core::ops::Deref for Reader<'a> {
    type Target = Tables<'a>;
    fn deref(&self) -> &Tables<'a> {
        &self.tables
    }
}

impl<'a> Reader<'a> {
    /// Checks header and section table.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn new(region: &Region<'a>) -> Result<Reader<'a>, Error> {
        let header: &'a Header = check(region)?;
        Ok(Reader {
            tables: Tables::open(region, header)?,
        })
    }

    /// Copies every site's account: `put(site, total)` is called once or more for each site, and returns what it held before, so
    /// that two equal passes in a row are recognised. The last call for a site counts.
    ///
    /// Two passes that read the same from monotonic counters prove that nothing changed from the end of the first to the
    /// start of the second: the copy is that instant. Otherwise `in_flight` bounds what happened meanwhile.
    pub fn copy_totals(&self, mut put: impl FnMut(SiteId, Total) -> Total) -> Exactness {
        let mut sites_len = self.tables.sites.len();
        let mut changed = 0;
        for pass in 0..PASSES {
            let busy = self.tables.threads.losses().in_hook;
            sites_len = self.tables.sites.len();
            changed = self.pass(sites_len, &mut put);
            let busy = busy.max(self.tables.threads.losses().in_hook);
            changed = busy.saturating_add(changed);
            if pass > 0 && changed == 0 {
                break;
            }
        }
        Exactness {
            sites_len,
            in_flight: changed,
        }
    }
}

impl Reader<'_> {
    /// Reads every site once; an upper bound of the events since it was read before.
    fn pass(&self, sites_len: u32, put: &mut impl FnMut(SiteId, Total) -> Total) -> u64 {
        let mut changed: u64 = 0;
        let mut totals = [Total::default(); AT_ONCE];
        for first in (0..sites_len).step_by(AT_ONCE) {
            let left = sites_len.saturating_sub(first) as usize;
            let totals = &mut totals[..left.min(AT_ONCE)];
            self.tables.totals_from(SiteId(first), totals);
            for (id, now) in (first..).zip(totals) {
                let before = put(SiteId(id), *now);
                changed = changed.saturating_add(changes(&before, now));
            }
        }
        changed
    }
}

/// Events between two readings of one site, an upper bound; 0 only where they are equal.
fn changes(before: &Total, now: &Total) -> u64 {
    if now == before {
        return 0;
    }
    let allocated = now.allocated_blocks.wrapping_sub(before.allocated_blocks);
    let freed = now.freed_blocks.wrapping_sub(before.freed_blocks);
    allocated.saturating_add(freed).saturating_add(1)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::codes::{CodeId, CodeInfo};
    use crate::frames::{FrameId, ROOT};
    use crate::header::Geometry;
    use crate::layout::{MARK_NAME, PAGE, SLOTS};
    use crate::marks::MarkInfo;
    use crate::modules::{MAX_TEXT, ModuleId, ModuleInfo};
    use crate::sync::Word;
    use crate::testing::{Memory, Random, SMALL, native};
    use crate::writer::{Identity, Writer};

    fn copy(reader: &Reader<'_>) -> (Exactness, Vec<Total>) {
        let mut totals = vec![Total::default(); reader.sites.len() as usize];
        let exactness = reader
            .copy_totals(|site, total| core::mem::replace(&mut totals[site.0 as usize], total));
        (exactness, totals)
    }

    fn ledger(memory: &Memory, geometry: &Geometry) {
        let writer =
            Writer::create(&memory.region(), geometry, &Identity::default()).expect("room");
        let path = writer
            .strings
            .append(b"/usr/lib/x86_64-linux-gnu/libstdc++.so.6");
        let info = ModuleInfo {
            bias: 1,
            start: 2,
            end: 3,
            from_ns: 4,
            until_ns: 0,
            path,
            build_id: [5; 32],
            build_id_len: 20,
        };
        while writer.modules.len() < geometry.modules / 2 {
            writer.modules.append(&info);
        }
        let code = CodeInfo {
            file: path,
            name: path,
            first_line: 7,
        };
        assert!((0..2).all(|_| writer.codes.append(&code).is_some()));
        let mut random = Random(3);
        while writer.frames.len() < geometry.frames / 2 {
            let parent = u32::try_from(random.below(writer.frames.len() as usize)).expect("small");
            writer.frames.append(native(FrameId(parent), random.next()));
        }
        while writer.sites.len() < geometry.sites / 2 {
            let frame = 1 + random.below(writer.frames.len() as usize - 1);
            let site = writer
                .sites
                .append(FrameId(u32::try_from(frame).expect("small")));
            let slot = u32::try_from(random.below(SLOTS as usize)).expect("small");
            writer
                .counters
                .slot(slot)
                .allocated(site.expect("room"), 64);
        }
        writer.threads.note_used(20);
        writer.header.exe.put(path);
        write_marks(&writer);
        writer.ready();
    }

    fn write_marks(writer: &Writer<'_>) {
        let info = MarkInfo {
            number: 0,
            sites_len: writer.sites.len(),
            unix_ns: 1,
            rss_bytes: 2,
            in_flight: 0,
            name: [b'm'; MARK_NAME],
        };
        assert!((0..9).all(|_| writer.marks.write(&info, |site| writer.total(site))));
    }

    /// Check that the copy of a quiet ledger is exact, and that each site's last value is its account.
    #[test]
    fn quiet_is_exact() {
        let memory = Memory::of(&SMALL);
        ledger(&memory, &SMALL);
        let region = memory.region();
        let writer = Writer::create(&region, &SMALL, &Identity::default()).err();
        assert!(writer.is_some(), "a ledger in use is not laid out twice");
        let reader = Reader::new(&region).expect("ready");
        let (exactness, totals) = copy(&reader);
        assert_eq!(
            (exactness.in_flight, exactness.sites_len),
            (0, reader.sites.len())
        );
        for (site, total) in (0..).zip(totals) {
            assert_eq!(total, reader.total(SiteId(site)));
        }
    }

    /// Check that a copy is called inexact where events went on through all passes, and where a thread is in a hook.
    #[test]
    fn busy_is_inexact() {
        let memory = Memory::of(&SMALL);
        let region = memory.region();
        let writer = Writer::create(&region, &SMALL, &Identity::default()).expect("room");
        writer.threads.note_used(0);
        writer.ready();
        let reader = Reader::new(&region).expect("ready");
        let mut calls = 0;
        let exactness = reader.copy_totals(|_, total| {
            calls += 1;
            writer.counters.slot(0).allocated(SiteId(1), 8);
            Total {
                allocated_blocks: total.allocated_blocks.saturating_sub(2),
                ..total
            }
        });
        assert!(exactness.in_flight >= 2);
        assert_eq!(calls, PASSES * reader.sites.len());
        assert_eq!(copy(&reader).0.in_flight, 0, "quiet again");
        writer
            .threads
            .entry(0)
            .expect("leased")
            .in_hook
            .put(0x7fff_0000);
        assert_eq!(copy(&reader).0.in_flight, 1);
    }

    /// Check that counters that go backwards, as only a hostile writer's do, never add up to 'exact'.
    #[test]
    fn changes_saturate() {
        let total = |blocks| Total {
            allocated_blocks: blocks,
            freed_blocks: blocks,
            ..Total::default()
        };
        assert_eq!(changes(&total(1), &total(0)), u64::MAX);
        assert_eq!(changes(&total(0), &total(u64::MAX / 2 + 1)), u64::MAX);
        assert_eq!(changes(&total(7), &total(7)), 0);
    }

    /// Everything that a reader can be asked, of a ledger that may say anything. Returns whether it was taken for a ledger.
    fn read_all(region: &Region<'_>) -> bool {
        let Ok(reader) = Reader::new(region) else {
            return false;
        };
        read_stacks(&reader);
        read_names(&reader);
        let mut calls = 0;
        reader.copy_totals(|site, _| {
            calls += 1;
            assert!(site.0 < reader.sites.capacity());
            Total::default()
        });
        assert!(calls <= u64::from(PASSES) * u64::from(reader.sites.capacity()));
        for number in reader.marks.kept().chain([0, u32::MAX, 1 << 31]) {
            let mut sites = 0;
            let _ = reader.marks.read(number, |_, _| sites += 1);
            assert!(sites <= reader.sites.capacity());
        }
        let _ = reader.threads.losses();
        for cohort in 0..=reader.cohorts.youngest() {
            let known = (0..reader.sites.len())
                .map(SiteId)
                .filter(|&site| reader.cohorts.is_known(site));
            let live = known.filter_map(|site| reader.cohorts.live(cohort, site));
            assert!(live.count() <= reader.sites.capacity() as usize);
        }
        true
    }

    /// All frames, and from each site outwards to the root or to a frame that is refused.
    fn read_stacks(reader: &Reader<'_>) {
        let good = (0..reader.frames.len()).filter(|&id| reader.frames.get(FrameId(id)).is_ok());
        assert!(good.count() <= reader.frames.capacity() as usize);
        for site in 0..reader.sites.len() {
            let (mut at, mut steps) = (reader.sites.frame(SiteId(site)), 0);
            while let Some(id) = at.filter(|&id| id != ROOT) {
                at = reader.frames.get(id).ok().map(|frame| frame.parent);
                steps += 1;
            }
            assert!(steps <= reader.frames.capacity().max(1));
        }
    }

    fn read_names(reader: &Reader<'_>) {
        let mut text = [0; MAX_TEXT];
        let paths = (0..reader.modules.len()).filter_map(|id| reader.modules.get(ModuleId(id)));
        let paths = paths.map(|info| info.path);
        let codes = (0..reader.codes.len()).filter_map(|id| reader.codes.get(CodeId(id)));
        let paths = paths.chain(codes.flat_map(|info| [info.file, info.name]));
        let header = reader.header;
        let own = [&header.exe, &header.cmdline, &header.directory];
        for path in paths.chain(own.map(Word::peek)) {
            assert!(
                reader
                    .strings
                    .copy(path, &mut text)
                    .is_ok_and(|len| len <= MAX_TEXT)
                    || path != 0
            );
        }
    }

    /// A value that is likely to be believed: small, a power of two, all ones, a neighbour of what stood there, or any.
    fn lie(random: &mut Random, old: u64) -> u64 {
        match random.below(8) {
            0 => old ^ 1 << random.below(64),
            1 => old ^ 0xff << (8 * random.below(8)),
            2 => old.wrapping_add(random.next() % 17).wrapping_sub(8),
            3 => (random.next() % 4096) << (32 * random.below(2)),
            4 => 1u64 << random.below(64),
            5 => u64::MAX << random.below(64),
            6 => old.rotate_left(32),
            _ => random.next(),
        }
    }

    /// Any word; more often one of the header, and one of its lengths or its section table.
    fn place(random: &mut Random, words: usize, gentle: bool) -> usize {
        match random.below(4) {
            0 if gentle => 16 + random.below(4),
            0 => random.below(32 + 14 * 4),
            1 => 512 + random.below(words.min(20_000) - 512),
            _ => 512 + random.below(words - 512),
        }
    }

    /// Check that no change of any words of a ledger makes the reader panic, hang or step out of bounds: 204,800 of them (in a
    /// debug build 4,000), sixteen at a time, every other time sparing header and section table so that what follows them is read.
    #[test]
    fn hostile_writer() {
        let geometry = Geometry::fit(2 << 20).expect("2 MiB is enough");
        let memory = Memory::of(&geometry);
        ledger(&memory, &geometry);
        let rounds = if cfg!(debug_assertions) { 250 } else { 12_800 };
        let (mut random, mut taken) = (Random(2), 0);
        for round in 0..rounds {
            let mut undo = Vec::with_capacity(16);
            for _ in 0..16 {
                let at = place(&mut random, memory.words(), round % 2 == 0);
                let old = memory.word(at).peek();
                undo.push((at, old));
                memory.word(at).put(lie(&mut random, old));
            }
            taken += u32::from(read_all(&memory.region()));
            for (at, old) in undo.into_iter().rev() {
                memory.word(at).put(old);
            }
        }
        assert!(taken >= rounds / 2 && taken < rounds, "{taken} of {rounds}");
        assert!(read_all(&memory.region()), "all undone");
    }

    /// Check that a chain of frames as long as the table, under every site, is walked to its end.
    #[test]
    fn hostile_chain() {
        let geometry = Geometry::fit(2 << 20).expect("2 MiB is enough");
        let memory = Memory::of(&geometry);
        let region = memory.region();
        let writer = Writer::create(&region, &geometry, &Identity::default()).expect("room");
        while writer.frames.len() < geometry.frames {
            let parent = FrameId(writer.frames.len() - 1);
            writer.frames.append(native(parent, 1));
        }
        while writer.sites.append(FrameId(geometry.frames - 1)).is_some() {}
        writer.ready();
        assert!(read_all(&region));
    }

    /// Check that a ledger cut at any page is refused as long as a section that is read lies beyond.
    #[test]
    fn cut_short() {
        let memory = Memory::of(&SMALL);
        ledger(&memory, &SMALL);
        let page = usize::try_from(PAGE / 8).expect("small");
        for words in (0..memory.words()).step_by(page) {
            assert!(!read_all(&memory.first(words)), "{words} words");
        }
        assert!(read_all(&memory.region()));
    }

    /// Check that sections laid over one another and over the header are read like any other bytes, and that too few counters
    /// for the sites are refused.
    #[test]
    fn overlapping_sections() {
        let memory = Memory::of(&SMALL);
        ledger(&memory, &SMALL);
        let region = memory.region();
        let header = Reader::new(&region).expect("ready").header;
        for section in &header.sections {
            section.offset.put(0);
        }
        assert!(read_all(&region));
        for section in &header.sections {
            section.entries.put(u64::from(SMALL.sites));
        }
        assert!(matches!(
            Reader::new(&region),
            Err(Error::Index {
                kind: 5,
                len: 5,
                ..
            })
        ));
    }
}
