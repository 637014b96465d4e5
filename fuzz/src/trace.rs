//! Recordings: `Trace` and every question to one. An input is a list of chunks (a byte for the kind, two for each of two times in milliseconds, two for the length of each of two parts,
//! a byte for the events that it says, the parts as they are before they are packed); heads, checksums and compression are made right here, or no mutation would come past them. An input that begins with
//! the magic is taken as it is. What comes out is a mark like any other: it can be walked, written, and read again.

use crate::{Target, ledger, scratch};
use heapshim_cli::mark::{Mark, decode, encode};
use heapshim_cli::trace::{self, Moment, Trace};

pub(crate) const TARGET: Target = Target {
    name: "trace",
    run,
    seeds,
};

const MAGIC: &[u8] = b"HEAPTRAC";
/// The stacks of frees are in it, as far as its columns go.
const CONTENTS: u32 = 1;
/// Kinds of chunks.
const START: u8 = 1;
const EVENTS: u8 = 3;
const END: u8 = 4;
const NOTE: u8 = 5;
const INSTANT: u8 = 6;
const NS_PER_MS: u64 = 1_000_000;

fn run(bytes: &[u8]) {
    let file = match bytes.starts_with(MAGIC) {
        true => bytes.to_vec(),
        false => file(&chunks(bytes)),
    };
    let Ok(mut trace) = Trace::open(&scratch::write("trace", &file)) else {
        return;
    };
    let trace = &mut trace;
    let _ = trace.notes();
    if let Ok(happened) = trace.happened() {
        let times = happened.all.iter().map(|instant| instant.ns);
        assert!(times.is_sorted());
        happened.all.iter().for_each(|instant| {
            assert!(
                !instant.words().contains('\x1b'),
                "a name drives a terminal"
            );
        });
    }
    let middle = trace.length_ns() / 2;
    for ns in [0, middle, u64::MAX] {
        let name = "an instant".to_owned();
        check(trace::state(trace, &Moment { ns, name }));
    }
    check(trace::peak(trace));
    for within in [1, 2, 9] {
        check(trace::temporary(trace, within));
    }
    check(trace::lifetimes(trace).map(|(mark, _)| mark));
    check(trace::sizes(trace).map(|(mark, _)| mark));
    let _ = trace::survivors(trace, middle, u64::MAX);
    let _ = trace::temporaries(trace, middle, u64::MAX);
    if let Ok(steps) = trace::timeline(trace, 7) {
        assert_eq!(steps.len(), 7);
    }
}

fn check(answer: Result<Mark, heapshim_cli::error::Error>) {
    let Ok(mut mark) = answer else {
        return;
    };
    // What a recording lacks it says itself, not a mark of it.
    mark.snapshot.moment.lost_events = 0;
    if let Some(peak) = &mut mark.snapshot.peak {
        peak.moment.lost_events = 0;
    }
    ledger::check(&mark.snapshot);
    let again = decode(&encode(&mark), "x").expect("what was answered can be written");
    assert_eq!(again, mark, "and read again");
}

/// A chunk's kind, its times, its events, and its parts.
type Chunk<'b> = (u8, [u64; 2], u8, [&'b [u8]; 2]);

fn chunks(mut bytes: &[u8]) -> Vec<Chunk<'_>> {
    let mut all = Vec::new();
    while let Some((head, rest)) = bytes.split_first_chunk::<10>() {
        let [kind, numbers @ .., events] = *head;
        let number = |at: usize| u16::from_le_bytes([numbers[at], numbers[at + 1]]);
        let times = [0, 2].map(|at| u64::from(number(at)) * NS_PER_MS);
        let (first, rest) = rest.split_at(usize::from(number(4)).min(rest.len()));
        let (second, rest) = rest.split_at(usize::from(number(6)).min(rest.len()));
        all.push((kind, times, events, [first, second]));
        bytes = rest;
    }
    all
}

/// As docs/TRACE.md has it.
fn file(chunks: &[Chunk<'_>]) -> Vec<u8> {
    let mut out = MAGIC.to_vec();
    out.extend([1, CONTENTS].map(u32::to_le_bytes).concat());
    for (kind, [from_ns, to_ns], events, parts) in chunks {
        let parts = parts.map(packed);
        let mut head = u32::from(*kind).to_le_bytes().to_vec();
        for part in &parts {
            head.extend(u32::try_from(part.len()).unwrap_or(0).to_le_bytes());
        }
        head.extend(crc32fast::hash(&parts.concat()).to_le_bytes());
        // How many events it has, or at the end lacks, is the writer's word, as a crest of nothing is.
        let numbers = [*from_ns, *to_ns, u64::from(*events), 0, 0];
        head.extend(numbers.map(u64::to_le_bytes).concat());
        let sum = crc32fast::hash(&head);
        head.extend(sum.to_le_bytes());
        head.extend(crc32fast::hash(&parts[0]).to_le_bytes());
        out.extend([head, parts.concat()].concat());
    }
    out
}

fn packed(part: &[u8]) -> Vec<u8> {
    match part.is_empty() {
        true => Vec::new(),
        false => zstd::bulk::compress(part, 1).expect("compressed"),
    }
}

/// A recording of the ledger that `ledger` begins with: a block and an object come, one goes at once, and a mark is taken.
fn seeds() -> Vec<Vec<u8>> {
    let mark = encode(&ledger::mark());
    // Site 2: two blocks and an object allocated, a block freed.
    let sums = [1, 2, 72, 3, 24, 1];
    // Allocated (24 bytes at 0x1000), freed as foreseen, allocated, an object allocated: of thread 0, each a microsecond after the last.
    let columns: [&[u8]; 7] = [
        &[0, 1 | 4 | 8, 4, 2 | 4],
        &[0],
        &[1, 1, 1, 1],
        &[2, 2, 2],
        &[24, 24, 24],
        &[0x80, 8, 0, 0x80, 8, 0x80, 8],
        &[2],
    ];
    let mut events = Vec::new();
    for column in columns {
        events.extend(u32::try_from(column.len()).unwrap_or(0).to_le_bytes());
        events.extend(column);
    }
    let chunk = |kind, from_ms: u16, to_ms: u16, events: u8, parts: [&[u8]; 2]| {
        let lens = parts.map(|part| u16::try_from(part.len()).unwrap_or(u16::MAX));
        let mut bytes = vec![kind];
        let [first, second] = lens;
        let numbers = [from_ms, to_ms, first, second];
        bytes.extend(numbers.map(u16::to_le_bytes).concat());
        bytes.push(events);
        [bytes, parts.concat()].concat()
    };
    let begun = chunk(START, 0, 0, 0, [&mark, &[]]);
    let happened = chunk(EVENTS, 1, 2, 4, [&sums, &events]);
    let noted = chunk(NOTE, 2, 2, 0, [b"middle", &[]]);
    // A forked child with pid 9 and a name that is to be escaped, and three more of which nothing is told.
    let forked = chunk(INSTANT, 2, 2, 0, [b"\x05\0\0\0\x09\0\0\0a\x1bb", &[]]);
    let left_out = chunk(INSTANT, 3, 3, 0, [&[0, 0, 0, 0, 3, 0, 0, 0], &[]]);
    let ended = chunk(END, 3, 3, 0, [&mark, &[]]);
    let lossy = chunk(END, 3, 3, 7, [&mark, &[]]);
    let lossy = [begun.clone(), happened.clone(), lossy].concat();
    let cut = [begun.clone(), happened.clone()].concat();
    let whole = [begun, happened, noted, forked, left_out, ended].concat();
    vec![whole.clone(), lossy, cut, file(&chunks(&whole))]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Check that the seeds are recordings, so that mutations begin with what is read to its end: their events are those that were written.
    #[test]
    fn seeds_are_read() {
        for seed in seeds() {
            run(&seed);
        }
        let whole = seeds().pop().expect("a seed");
        let mut trace = Trace::open(&scratch::write("seed", &whole)).expect("a recording");
        assert!(!trace.is_cut());
        let notes = trace.notes().expect("sound");
        assert_eq!(notes, [(2 * NS_PER_MS, "middle".to_owned())]);
        let happened = trace.happened().expect("sound");
        let words: Vec<String> = happened.all.iter().map(trace::Instant::words).collect();
        assert_eq!(words, ["a\\x1bb (pid 9)", "middle"]);
        assert_eq!(happened.left_out, 3);
        let mark = trace::temporary(&mut trace, 1).expect("sound");
        let of = mark.snapshot.sites[2].counters;
        assert_eq!((of.allocated_blocks, of.freed_blocks), (3, 2));
        assert_eq!(of.live_bytes(), 24, "one was temporary");
    }
}
