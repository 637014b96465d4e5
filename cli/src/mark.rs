//! A mark as bytes: the format of `*.heapmark` files, which docs/MARK.md describes section by section.
//!
//! Written by `mark` and `run --save`, read by `diff` and `marks`, perhaps on another machine and by a later version. All numbers are
//! little-endian. Every byte lies under a checksum, and every length is checked before anything is allocated for it: what is
//! damaged, cut or hostile gives an error. Invariants of `model::Snapshot` are checked by `decode`. Sections that this version
//! does not know are passed over.
//!
//! ```text
//! magic "HEAPMARK" | version u32 | sections u32 | file bytes u64
//! per section: kind u32 | CRC-32 u32 | bytes u64                  (the sections follow each other in this order)
//! CRC-32 of all the above u32
//! section bytes …
//! ```

use crate::bundle::Bundle;
use crate::error::{Error, Kind};
use crate::model::Snapshot;
use crate::process::Memory;
use std::fmt;

mod blocks;
pub(crate) mod bytes;
pub(crate) mod lists;
pub(crate) mod sections;

use bytes::{Reader, Short, Writer};
use lists::Section;
pub(crate) use sections::{Lists, PackedPeak};

const MAGIC: &[u8; 8] = b"HEAPMARK";
const VERSION: u32 = 1;
/// Most sections of a file: eight times what is known today.
const MAX_SECTIONS: u32 = 64;
/// Largest file that is read: a ledger of the largest geometry makes one of 53 MiB.
pub const MAX_BYTES: u64 = 1 << 30;

/// A named snapshot with what else is kept of its moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The account.
    pub snapshot: Snapshot,
    /// Resident memory then.
    pub memory: Memory,
    /// What its addresses mean and how their sources read, where it carries that.
    pub bundle: Option<Bundle>,
}

/// Why bytes are no mark.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Damage {
    Magic,
    Version(u32),
    Length,
    Checksum,
    Missing(u32),
    Value(&'static str),
}

impl From<Short> for Damage {
    fn from(Short: Short) -> Damage {
        Damage::Length
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Damage::Magic => f.write_str("not a mark"),
            Damage::Version(found) => write!(
                f,
                "a mark of version {found}, this heapshim reads version {VERSION}"
            ),
            Damage::Length => f.write_str("damaged: its length is wrong"),
            Damage::Checksum => f.write_str("damaged: a checksum is wrong"),
            Damage::Missing(kind) => write!(f, "damaged: section {kind} is missing"),
            Damage::Value(what) => write!(f, "damaged: {what}"),
        }
    }
}

/// A mark that was written while it was taken: its frames, its sites and its peak are bytes already, and not in `mark`. A fifth of what taking it as values
/// and writing these costs; for what is kept and not looked at.
#[derive(Debug)]
pub struct Packed {
    /// The rest.
    pub mark: Mark,
    pub(crate) lists: Lists,
}

impl Packed {
    /// Its file, in pieces that follow each other.
    #[must_use]
    pub fn into_pieces(self) -> Vec<Vec<u8>> {
        pieces(sections::encode(&self.mark, self.lists))
    }
}

/// The mark as bytes.
#[must_use]
pub fn encode(mark: &Mark) -> Vec<u8> {
    pieces(sections::encode(mark, Lists::of(&mark.snapshot))).concat()
}

fn pieces(sections: Vec<Section>) -> Vec<Vec<u8>> {
    let bytes = |section: &Section| section.head.len() + section.entries.len();
    let body: usize = sections.iter().map(bytes).sum();
    let head = 24 + 16 * sections.len() + 4;
    let mut out = Writer::with_room(head);
    out.bytes(MAGIC);
    out.u32(VERSION);
    out.len(sections.len());
    out.u64((head + body) as u64);
    for section in &sections {
        let mut sum = crc32fast::Hasher::new();
        sum.update(&section.head);
        sum.update(&section.entries);
        out.u32(section.kind);
        out.u32(sum.finalize());
        out.u64(bytes(section) as u64);
    }
    let sum = crc32fast::hash(out.as_slice());
    out.u32(sum);
    let parts = sections
        .into_iter()
        .flat_map(|section| [section.head, section.entries]);
    let parts = parts.filter(|part| !part.is_empty());
    std::iter::once(out.into_vec()).chain(parts).collect()
}

/// The mark that these bytes hold; `object` names them in the error.
///
/// # Errors
/// `Damaged` for whatever `encode` could not have written.
pub fn decode(bytes: &[u8], object: impl fmt::Display) -> Result<Mark, Error> {
    let sections = split(bytes).and_then(|sections| sections::decode(&sections));
    sections.map_err(|damage| {
        let next = match damage {
            Damage::Magic => "`heapshim mark -o FILE` writes one",
            _ => "take the mark again",
        };
        Error::new(Kind::Damaged, object, damage.to_string()).next(next)
    })
}

/// The sections, each with its bytes, every checksum checked.
fn split(bytes: &[u8]) -> Result<Vec<(u32, &[u8])>, Damage> {
    let mut head = Reader::new(bytes);
    if head.bytes(MAGIC.len()).map_err(|Short| Damage::Magic)? != MAGIC {
        return Err(Damage::Magic);
    }
    let (version, count, total) = (head.u32()?, head.u32()?, head.u64()?);
    if version != VERSION {
        return Err(Damage::Version(version));
    }
    if total != bytes.len() as u64 || count > MAX_SECTIONS {
        return Err(Damage::Length);
    }
    let mut table = Vec::new();
    for _ in 0..count {
        table.push((head.u32()?, head.u32()?, head.u64()?));
    }
    let end = bytes.len() - head.left();
    let sum = crc32fast::hash(bytes.get(..end).ok_or(Damage::Length)?);
    if head.u32()? != sum {
        return Err(Damage::Checksum);
    }
    let mut sections = Vec::new();
    for (kind, sum, len) in table {
        let section = head.bytes(usize::try_from(len).map_err(|_| Damage::Length)?)?;
        if crc32fast::hash(section) != sum {
            return Err(Damage::Checksum);
        }
        sections.push((kind, section));
    }
    if head.left() == 0 {
        Ok(sections)
    } else {
        Err(Damage::Length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::births::{Births, Born};
    use crate::bundle::SourceLine;
    use crate::model::{
        Code, Counters, Exit, Frame, FrameKind, Losses, Module, Moment, Process, Sampling, Site,
    };
    use crate::peak::Peak;
    use crate::report::{Amount, Temporaries};
    use crate::resident::Resident;
    use heapshim_ledger::estimates::Spread;
    use heapshim_ledger::sampling::Mode;
    use std::collections::BTreeMap;

    const RESIDENT: Resident = Resident {
        allocator: 1,
        stacks: 2,
        code: 3,
        anonymous: 4,
        files: 5,
        shared: 6,
        heapshim: 7,
    };

    fn process() -> Process {
        Process {
            pid: 4242,
            identity: u64::MAX - 1,
            name: "sérver".into(),
            exe: "/bin/server".into(),
            cmdline: vec!["server".into(), String::new()],
            directory: "/srv".into(),
            exit: Some(Exit::Signal(9)),
            start_unix_ns: 5,
        }
    }

    fn frames() -> Vec<Frame> {
        let node = |parent, kind, module, value| Frame {
            parent,
            kind,
            module,
            value,
        };
        vec![
            Frame::ROOT,
            node(0, FrameKind::Full, None, 0),
            node(0, FrameKind::Truncated, None, 2),
            node(2, FrameKind::Native, Some(0), 0x1234),
            node(3, FrameKind::Unknown, None, u64::MAX),
            node(0, FrameKind::Thread, None, 0),
            node(4, FrameKind::Python, None, 5),
        ]
    }

    fn counters(n: u64) -> Counters {
        Counters {
            allocated_bytes: n * 7,
            allocated_blocks: n,
            freed_bytes: 7,
            freed_blocks: 1,
        }
    }

    fn spread(n: u64) -> Spread {
        Spread {
            allocated_bytes: n,
            allocated_blocks: n / 2,
            freed_bytes: n / 3,
            freed_blocks: n / 4,
        }
    }

    fn peak() -> Peak {
        Peak {
            moment: Moment {
                name: "peak".into(),
                unix_ns: 3,
                rss_bytes: 0,
                resident: None,
                exact: false,
                in_flight: 2,
                lost_events: 0,
            },
            highest_bytes: 77,
            counters: vec![counters(1), counters(7)],
        }
    }

    fn temporaries() -> Temporaries {
        let amount = |bytes, blocks| Amount { bytes, blocks };
        [(2, amount(10, 1)), (7, amount(i64::MAX, -3))].into()
    }

    fn births() -> Births {
        let amount = |bytes, blocks| Amount { bytes, blocks };
        let born = Born {
            unknown: false,
            live: vec![(2, amount(24, 1)), (3, amount(-8, -1))],
        };
        let unknown = Born {
            unknown: true,
            live: Vec::new(),
        };
        Births {
            pinned: Some(3),
            sites: Some([(0, unknown), (1, born)].into()),
        }
    }

    fn mark() -> Mark {
        let snapshot = Snapshot {
            process: process(),
            moment: Moment {
                name: "warm".into(),
                unix_ns: 6,
                rss_bytes: 4096,
                resident: Some(RESIDENT),
                exact: false,
                in_flight: 3,
                lost_events: 0,
            },
            modules: vec![Module {
                path: "/lib/a.so".into(),
                build_id: vec![1; 20],
                bias: 1,
                start: 2,
                end: 3,
            }],
            codes: vec![Code {
                file: "app.py".into(),
                name: "Cache.put".into(),
                first_line: 3,
            }],
            frames: frames(),
            threads: vec!["worker-#".into()],
            jit: [(u64::MAX, "JS:*läuft /a.js:1:2".into())].into(),
            sites: vec![
                Site {
                    frame: 0,
                    counters: Counters::default(),
                },
                Site {
                    frame: 4,
                    counters: counters(9),
                },
            ],
            peak: Some(peak()),
            births: births(),
            temporaries: Some(temporaries()),
            losses: Losses {
                nested_events: 1,
                truncated_stacks: 2,
                overflow_events: 3,
                foreign_frees: 4,
                untracked_blocks: 6,
                walks: 5,
            },
            complaints: 9,
            sampling: Sampling::default(),
        };
        Mark {
            snapshot,
            memory: Memory {
                rss_bytes: 4096,
                anon_bytes: 1,
                file_bytes: 2,
                shmem_bytes: 3,
                resident: Some(RESIDENT),
            },
            bundle: Some(Bundle {
                records: crate::symbolize::records::tests::records()[..3].to_vec(),
                lines: vec![SourceLine {
                    file: "/src/a.c".into(),
                    line: 3,
                    text: "\tgrün();".into(),
                }],
            }),
        }
    }

    /// Each section's kind and bytes.
    fn whole(mark: &Mark) -> Vec<(u32, Vec<u8>)> {
        let sections = sections::encode(mark, Lists::of(&mark.snapshot));
        let one = |section: Section| (section.kind, [section.head, section.entries].concat());
        sections.into_iter().map(one).collect()
    }

    /// Check that a mark comes back as it went.
    #[test]
    fn round_trip() {
        let mut mark = mark();
        assert_eq!(decode(&encode(&mark), "x").expect("sound"), mark);
        mark.snapshot.sampling = Sampling {
            mode: Mode::Sample(524_288),
            changes: 3,
            largest: 1 << 20,
            was_off: true,
            spreads: Some(BTreeMap::from([(1, spread(7)), (2, spread(u64::MAX))])),
        };
        mark.snapshot.process.exit = Some(Exit::Code(-1));
        mark.bundle = None;
        assert_eq!(decode(&encode(&mark), "x").expect("sound"), mark);
        (mark.snapshot.moment.resident, mark.memory.resident) = (None, None);
        assert_eq!(decode(&encode(&mark), "x").expect("sound"), mark);
    }

    /// Check that a mark from before there was code of scripts is read, and that one whose frames name code that is not there is not.
    #[test]
    fn without_code() {
        let mut mark = mark();
        let encoded = |mark: &Mark| {
            let mut sections = whole(mark);
            sections.retain(|(kind, _)| *kind != 8);
            sections
        };
        let decoded = |sections: &[(u32, Vec<u8>)]| {
            let views = sections.iter().map(|(kind, bytes)| (*kind, &**bytes));
            sections::decode(&views.collect::<Vec<_>>())
        };
        let missing = Err(Damage::Value("a frame's code is not there"));
        assert_eq!(decoded(&encoded(&mark)), missing);
        mark.snapshot.frames.pop();
        let old = decoded(&encoded(&mark)).expect("sound");
        assert!(old.snapshot.codes.is_empty() && old.snapshot.process.directory.is_empty());
        assert_eq!(old.snapshot.frames, mark.snapshot.frames);
    }

    /// Check that a mark from before there were labels of threads is read, and that one whose label is not there is not.
    #[test]
    fn without_labels() {
        let mut mark = mark();
        mark.snapshot.threads.clear();
        let missing = "damaged: a thread's label is not there";
        let error = decode(&encode(&mark), "x").expect_err("no label");
        assert!(error.to_string().contains(missing), "{error}");
        mark.snapshot
            .frames
            .retain(|frame| frame.kind != FrameKind::Thread);
        let mut sections = whole(&mark);
        sections.retain(|(kind, _)| *kind != 9);
        let views: Vec<_> = sections
            .iter()
            .map(|(kind, bytes)| (*kind, &**bytes))
            .collect();
        let old = sections::decode(&views).expect("sound");
        assert_eq!(old.snapshot, mark.snapshot);
    }

    /// Check that every flipped bit and every truncation, and anything appended, is an error.
    #[test]
    fn damaged() {
        let whole = encode(&mark());
        for at in 0..whole.len() {
            assert!(decode(&whole[..at], "x").is_err(), "cut at {at}");
            for bit in 0..8 {
                let mut bytes = whole.clone();
                bytes[at] ^= 1 << bit;
                assert!(decode(&bytes, "x").is_err(), "bit {bit} of byte {at}");
            }
        }
        let mut longer = whole.clone();
        longer.push(0);
        assert!(decode(&longer, "x").is_err());
    }

    /// Check that what passes the checksums is checked too: each byte of each section changed, under a new checksum, never
    /// panics, and what is accepted keeps the model's invariants.
    #[test]
    fn hostile() {
        let sections = whole(&mark());
        for (index, (_, bytes)) in sections.iter().enumerate() {
            for at in 0..bytes.len() {
                for value in [0, 1, 0x7f, 0xff] {
                    let mut changed = sections.clone();
                    changed[index].1[at] = value;
                    let views: Vec<(u32, &[u8])> = changed
                        .iter()
                        .map(|(kind, bytes)| (*kind, bytes.as_slice()))
                        .collect();
                    let Ok(mark) = sections::decode(&views) else {
                        continue;
                    };
                    let frames = &mark.snapshot.frames;
                    assert!((1..).zip(&frames[1..]).all(|(id, frame)| frame.parent < id));
                    assert!(
                        mark.snapshot
                            .sites
                            .iter()
                            .all(|site| (site.frame as usize) < frames.len())
                    );
                    let carried = mark.bundle.iter().flat_map(|bundle| &bundle.records);
                    assert!(carried.into_iter().all(|record| record.module == 0));
                    assert!(
                        frames
                            .iter()
                            .all(|frame| frame.module.is_none_or(|module| module == 0))
                    );
                    let labels = frames.iter().filter(|f| f.kind == FrameKind::Thread);
                    let threads = mark.snapshot.threads.len() as u64;
                    assert!(labels.into_iter().all(|frame| frame.value < threads));
                    let mut python = frames.iter().filter_map(Frame::python);
                    let codes = mark.snapshot.codes.len();
                    assert!(python.all(|(code, _)| (code as usize) < codes));
                }
            }
        }
    }

    /// Check that noise, with and without a good beginning, is an error and never a panic.
    #[test]
    fn noise() {
        let mut state = 0x9e37_79b9_7f4a_7c15u64;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()[0]
        };
        for len in 0..600 {
            let mut bytes: Vec<u8> = (0..len).map(|_| next()).collect();
            assert!(decode(&bytes, "x").is_err());
            let start = encode(&mark());
            bytes.splice(0..0, start.iter().take(usize::from(next())).copied());
            assert!(decode(&bytes, "x").is_err());
        }
    }
}
