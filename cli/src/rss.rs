//! What explains a process's resident memory: the heap that is known, and what is beside it.
//!
//! Made by `diff` of each end of a growth. A mark knows the classes of resident memory (`resident`) and what is live; this says how the one
//! lies in the other:
//! ```text
//! heap + untouched + retained + anonymous + stacks + code + files + shared + heapshim = RSS           exactly
//! retained  = areas of the allocator − live blocks in them      freed but kept, room between blocks, headers
//! anonymous = other anonymous memory − live blocks in it        the program's own maps
//! untouched ≤ 0: live blocks that are not resident, where there are more of them than the memory that could hold them
//! ```
//! Where a block lies is not in a mark: blocks of 128 KiB and more are looked for in anonymous maps, others in the areas, as far as either
//! has room. An allocator that takes all its memory by mmap (jemalloc, Python's) has no areas that could be told from other
//! anonymous maps: there all of these count as its own.

use crate::model::Snapshot;
use std::ops::Sub;

/// glibc's M_MMAP_THRESHOLD at the start.
const LARGE: i64 = 128 << 10;
/// Base names of allocators that take all their memory by mmap begin like this.
const BY_MMAP: [&str; 5] = [
    "libjemalloc",
    "libtcmalloc",
    "libmimalloc",
    "libsnmalloc",
    "libscudo",
];

/// Bytes of each kind; at one moment, or the growth between two.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rss {
    /// Live blocks.
    pub heap: i64,
    /// The part of them that is not resident, as a negative number.
    pub untouched: i64,
    /// What the allocator holds besides.
    pub retained: i64,
    /// Other anonymous maps.
    pub anonymous: i64,
    /// Threads' stacks.
    pub stacks: i64,
    /// JIT code.
    pub code: i64,
    /// Files.
    pub files: i64,
    /// Shared memory.
    pub shared: i64,
    /// heapshim's own tables.
    pub heapshim: i64,
}

impl Rss {
    /// What explains the RSS at a mark; None where the mark does not say.
    #[must_use]
    pub fn of(snapshot: &Snapshot) -> Option<Rss> {
        let resident = snapshot.moment.resident?;
        let signed = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
        let (mut areas, mut maps) = (signed(resident.allocator), signed(resident.anonymous));
        if allocates_by_mmap(snapshot) {
            (areas, maps) = (areas.saturating_add(maps), 0);
        }
        let (heap, large) = live(snapshot);
        let held = heap.min(areas.saturating_add(maps));
        // Between what the areas have no room for and what the maps have room for.
        let in_maps = large.max(held.saturating_sub(areas)).min(maps).min(held);
        Some(Rss {
            heap,
            untouched: held.saturating_sub(heap),
            retained: areas.saturating_sub(held.saturating_sub(in_maps)),
            anonymous: maps.saturating_sub(in_maps),
            stacks: signed(resident.stacks),
            code: signed(resident.code),
            files: signed(resident.files),
            shared: signed(resident.shared),
            heapshim: signed(resident.heapshim),
        })
    }

    /// Each kind, under the name that people know it by.
    #[must_use]
    pub fn parts(&self) -> [(&'static str, i64); 9] {
        [
            ("heap", self.heap),
            ("not touched yet", self.untouched),
            ("allocator-retained", self.retained),
            ("anonymous maps", self.anonymous),
            ("stacks", self.stacks),
            ("JIT code", self.code),
            ("files", self.files),
            ("shared memory", self.shared),
            ("heapshim's own", self.heapshim),
        ]
    }

    /// The sum: what the RSS is, or grew by.
    #[must_use]
    pub fn total(&self) -> i64 {
        self.parts()
            .iter()
            .fold(0, |sum, (_, bytes)| sum.wrapping_add(*bytes))
    }
}

impl Sub for Rss {
    type Output = Rss;

    fn sub(self, other: Rss) -> Rss {
        Rss {
            heap: self.heap.wrapping_sub(other.heap),
            untouched: self.untouched.wrapping_sub(other.untouched),
            retained: self.retained.wrapping_sub(other.retained),
            anonymous: self.anonymous.wrapping_sub(other.anonymous),
            stacks: self.stacks.wrapping_sub(other.stacks),
            code: self.code.wrapping_sub(other.code),
            files: self.files.wrapping_sub(other.files),
            shared: self.shared.wrapping_sub(other.shared),
            heapshim: self.heapshim.wrapping_sub(other.heapshim),
        }
    }
}

/// Live bytes, and those of stacks whose blocks are large on the average. A forked child's may be below zero: what it inherited is not in its
/// account, and counts as retained.
fn live(snapshot: &Snapshot) -> (i64, i64) {
    let sites = snapshot.sites.iter().map(|site| site.counters);
    let (mut all, mut large) = (0i64, 0i64);
    for counters in sites {
        let (bytes, blocks) = (counters.live_bytes(), counters.live_blocks());
        all = all.saturating_add(bytes);
        if blocks > 0 && bytes / blocks >= LARGE {
            large = large.saturating_add(bytes);
        }
    }
    (all.max(0), large.clamp(0, all.max(0)))
}

fn allocates_by_mmap(snapshot: &Snapshot) -> bool {
    let base = |path: &str| path.rsplit('/').next().unwrap_or_default().to_owned();
    let is_one = |path: &str| BY_MMAP.iter().any(|name| base(path).starts_with(name));
    !snapshot.codes.is_empty() || snapshot.modules.iter().any(|module| is_one(&module.path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::snapshot;
    use crate::resident::Resident;

    const MIB: u64 = 1 << 20;

    /// A process with these sites, each bytes and blocks, and these MiB of the allocator's areas and of anonymous maps.
    fn process(sites: &[(u64, u64)], areas: u64, maps: u64) -> Snapshot {
        let mut snapshot = snapshot(1);
        for (place, &(bytes, blocks)) in snapshot.sites.iter_mut().skip(2).zip(sites) {
            (
                place.counters.allocated_bytes,
                place.counters.allocated_blocks,
            ) = (bytes, blocks);
        }
        snapshot.moment.resident = Some(Resident {
            allocator: areas * MIB,
            anonymous: maps * MIB,
            files: 7 * MIB,
            ..Resident::default()
        });
        snapshot
    }

    /// MiB of heap, untouched, retained, anonymous maps; all must add up.
    fn explained(snapshot: &Snapshot) -> [i64; 4] {
        let rss = Rss::of(snapshot).expect("known");
        let total = snapshot.moment.resident.expect("known").total();
        assert_eq!(rss.total(), total.cast_signed());
        [rss.heap, rss.untouched, rss.retained, rss.anonymous].map(|bytes| bytes >> 20)
    }

    /// Check that small blocks lie in the allocator's areas, and what is over there is retained.
    #[test]
    fn small_blocks() {
        let snapshot = process(&[(3 * MIB, 10_000)], 10, 5);
        assert_eq!(explained(&snapshot), [3, 0, 7, 5]);
    }

    /// Check that large blocks lie in anonymous maps, also beside areas that are nearly empty.
    #[test]
    fn large_blocks() {
        let snapshot = process(&[(3 * MIB, 10_000), (100 * MIB, 10)], 10, 105);
        assert_eq!(explained(&snapshot), [103, 0, 7, 5]);
    }

    /// Check that large blocks lie in the areas where the maps have no room for them, and small ones in maps likewise.
    #[test]
    fn where_there_is_room() {
        let grown_threshold = process(&[(100 * MIB, 10)], 103, 1);
        assert_eq!(explained(&grown_threshold), [100, 0, 4, 0]);
        let unknown_allocator = process(&[(100 * MIB, 1_000_000)], 0, 103);
        assert_eq!(explained(&unknown_allocator), [100, 0, 0, 3]);
    }

    /// Check that blocks that were never touched are said to be so.
    #[test]
    fn untouched_blocks() {
        let snapshot = process(&[(1000 * MIB, 1)], 1, 2);
        assert_eq!(explained(&snapshot), [1000, -997, 0, 0]);
    }

    /// Check that anonymous maps are the allocator's where it takes all its memory from there.
    #[test]
    fn allocators_by_mmap() {
        let mut snapshot = process(&[(30 * MIB, 1_000_000)], 1, 50);
        snapshot.modules[1].path = "/usr/lib/x86_64-linux-gnu/libjemalloc.so.2".to_owned();
        assert_eq!(explained(&snapshot), [30, 0, 21, 0]);
    }

    /// Check that a mark that does not say gives nothing, and that a child that freed more than it allocated has no heap of its own.
    #[test]
    fn unknown_and_inherited() {
        let mut snapshot = process(&[], 10, 5);
        snapshot.sites[3].counters.freed_bytes = 100;
        assert_eq!(explained(&snapshot), [0, 0, 10, 5]);
        snapshot.moment.resident = None;
        assert_eq!(Rss::of(&snapshot), None);
    }
}
