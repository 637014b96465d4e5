//! The account copied into a mark's bytes, without lists of values in between.
//!
//! Called by `catalog` for `heapshim mark`, which keeps what it takes and looks at none of it. Entry by entry the same values as `snapshot::take` has, by the
//! same checks, in a fifth of the memory. What takes time and does not depend on it (the walk of the target's page tables, its peak) is read by another thread meanwhile.

use super::{Lists, assemble, check_size, copied, moment_now, sampling, spreads};
use crate::error::Error;
use crate::mark::lists::Entries;
use crate::mark::{self, Mark, Packed, PackedPeak};
use crate::model::{Frame, FrameKind, Process, Site, Snapshot};
use crate::peak::Peak;
use crate::process::Memory;
use heapshim_ledger::Reader;
use std::collections::BTreeSet;
use std::thread;

/// A mark's stacks as bytes, and the addresses of code that was made at run time.
#[derive(Default)]
struct Bytes {
    frames: Entries,
    sites: Entries,
    made: BTreeSet<u64>,
}

impl Lists for Bytes {
    fn expect(&mut self, sites: usize, frames: usize) {
        self.sites.expect_sites(sites);
        self.frames.expect_frames(frames);
    }

    fn site(&mut self, site: Site) {
        self.sites.site(&site);
    }

    fn frame(&mut self, frame: Frame) {
        if frame.kind == FrameKind::Unknown {
            self.made.insert(frame.value);
        }
        self.frames.frame(&frame);
    }
}

/// The account as it is now, with what `memory` says of resident memory meanwhile, and the addresses of code that was made at run time, which have no names yet.
///
/// # Errors
/// `Damaged` where the ledger breaks an invariant.
pub fn take_packed(
    reader: &Reader<'_>,
    process: Process,
    name: &str,
    memory: impl Fn() -> Memory + Sync,
) -> Result<(Packed, BTreeSet<u64>), Error> {
    check_size(reader, &process)?;
    let beside = || (memory(), Peak::packed(reader));
    thread::scope(|scope| {
        let spawned = thread::Builder::new().spawn_scoped(scope, beside);
        let taken = account(reader, process, name)?;
        // Where there is no second thread, one after the other.
        let (memory, peak) = match spawned {
            Ok(spawned) => spawned.join().unwrap_or_else(|_| beside()),
            Err(_) => beside(),
        };
        Ok(whole(taken, memory, peak))
    })
}

fn account(reader: &Reader<'_>, process: Process, name: &str) -> Result<(Snapshot, Bytes), Error> {
    let (totals, exactness) = copied(reader);
    let moment = moment_now(name, Memory::default(), exactness);
    let sampling = sampling(reader, Some(spreads(reader)));
    let mut bytes = Bytes::default();
    let snapshot = assemble(reader, process, moment, &totals, sampling, &mut bytes)?;
    Ok((snapshot, bytes))
}

fn whole(
    (mut snapshot, bytes): (Snapshot, Bytes),
    memory: Memory,
    peak: Option<PackedPeak>,
) -> (Packed, BTreeSet<u64>) {
    snapshot.moment.rss_bytes = memory.rss_bytes;
    snapshot.moment.resident = memory.resident;
    let mark = Mark {
        snapshot,
        memory,
        bundle: None,
    };
    let lists = mark::Lists {
        frames: bytes.frames,
        sites: bytes.sites,
        peak,
    };
    (Packed { mark, lists }, bytes.made)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mapping::Mapping;
    use crate::snapshot;

    /// Check that a mark that is written as it is taken is, read again, the mark that is taken as values, its resident memory included.
    #[test]
    fn the_same_mark() {
        let mapping = Mapping::new(snapshot::tests::ledger(), "pid 7").expect("mapped");
        let reader = mapping.reader("pid 7").expect("ready");
        let memory = Memory {
            rss_bytes: 4096,
            anon_bytes: 7,
            ..Memory::default()
        };
        let process = snapshot::tests::process();
        let taken = snapshot::take(&reader, process.clone(), "now", memory).expect("taken");
        let packed = take_packed(&reader, process, "now", || memory).expect("taken");
        assert!(packed.1.is_empty());
        let bytes = packed.0.into_pieces().concat();
        let mut read = mark::decode(&bytes, "x").expect("sound");
        assert!(taken.sites.len() > 1 && taken.frames.len() > 3);
        read.snapshot.moment.unix_ns = taken.moment.unix_ns;
        let expected = Mark {
            snapshot: taken,
            memory,
            bundle: None,
        };
        assert_eq!(read, expected);
        assert_eq!(mark::encode(&read), mark::encode(&expected));
    }
}
