//! What sites and frames mean, written as it grows: the part of a snapshot that is new since the last time.
//!
//! ```text
//! modules, codes, labels, frames, sites: each the number of the first u32, a count u32, then entries as a mark has them (a site: its frame alone)
//! ```

use super::Damage;
use crate::mark::bytes::{Reader, Writer};
use crate::mark::lists::{Known, WIDE_FRAME, read_wide_frame, write_wide_frame};
use crate::mark::sections as entries;
use crate::model::{Counters, Frame, FrameKind, Site, Snapshot};

/// How many of each there are already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Lens {
    modules: usize,
    codes: usize,
    threads: usize,
    frames: usize,
    sites: usize,
}

impl Lens {
    /// Of this snapshot: what is whole from the first on. An entry that another thread was writing stands there empty; the next time begins with it.
    pub(super) fn of(snapshot: &Snapshot) -> Lens {
        let frames = &snapshot.frames;
        let whole = |frame: &Frame| frame.kind != FrameKind::Root;
        let frames = 1 + leading(frames.get(1..).unwrap_or(&[]), whole);
        let is_label = |frame: &&Frame| frame.kind == FrameKind::Thread;
        let labels = snapshot.frames.iter().take(frames).filter(is_label);
        let highest = labels.map(|frame| frame.value).max();
        Lens {
            modules: leading(&snapshot.modules, |module| !module.path.is_empty()),
            codes: leading(&snapshot.codes, |code| !code.name.is_empty()),
            threads: highest.map_or(0, |value| usize::try_from(value + 1).unwrap_or(0)),
            frames,
            sites: 1 + leading(snapshot.sites.get(1..).unwrap_or(&[]), |site| {
                site.frame != 0
            }),
        }
    }
}

fn leading<T>(entries: &[T], whole: impl Fn(&T) -> bool) -> usize {
    entries.iter().take_while(|entry| whole(entry)).count()
}

/// What a snapshot has beyond `before`.
pub(super) fn encode(snapshot: &Snapshot, before: &Lens) -> Vec<u8> {
    let mut out = Writer::default();
    new(
        &mut out,
        &snapshot.modules,
        before.modules,
        entries::write_module,
    );
    new(&mut out, &snapshot.codes, before.codes, entries::write_code);
    new(&mut out, &snapshot.threads, before.threads, |out, name| {
        out.blob(name.as_bytes());
    });
    new(&mut out, &snapshot.frames, before.frames, write_wide_frame);
    new(&mut out, &snapshot.sites, before.sites, |out, site| {
        out.u32(site.frame)
    });
    out.into_vec()
}

fn new<T>(out: &mut Writer, all: &[T], before: usize, write: impl Fn(&mut Writer, &T)) {
    let new = all.get(before..).unwrap_or(&[]);
    out.len(before);
    out.len(new.len());
    new.iter().for_each(|entry| write(out, entry));
}

/// Adds to a snapshot what `encode` has written of it, checked as in a mark.
pub(super) fn decode(bytes: &[u8], into: &mut Snapshot) -> Result<(), Damage> {
    let mut bytes = Reader::new(bytes);
    let wrong = |_| Damage::Value("a table's entry is wrong");
    read(&mut bytes, &mut into.modules, 32, |bytes, _| {
        entries::read_module(bytes).map_err(wrong)
    })?;
    read(&mut bytes, &mut into.codes, 12, |bytes, _| {
        entries::read_code(bytes).map_err(wrong)
    })?;
    read(&mut bytes, &mut into.threads, 4, |bytes, _| {
        Ok(bytes.text()?)
    })?;
    let known = Known {
        modules: into.modules.len(),
        codes: into.codes.len(),
        threads: into.threads.len(),
    };
    read(&mut bytes, &mut into.frames, WIDE_FRAME, |bytes, id| {
        read_wide_frame(bytes, id, known).map_err(wrong)
    })?;
    let frames = into.frames.len();
    read(&mut bytes, &mut into.sites, 4, |bytes, _| {
        let frame = bytes.u32()?;
        let site = Site {
            frame,
            counters: Counters::default(),
        };
        Ok(site)
    })?;
    let is_there = |site: &Site| (site.frame as usize) < frames;
    match into.sites.iter().all(is_there) {
        true => Ok(()),
        false => Err(Damage::Value("a site's frame is not there")),
    }
}

fn read<T>(
    bytes: &mut Reader<'_>,
    into: &mut Vec<T>,
    entry_bytes: usize,
    mut read: impl FnMut(&mut Reader<'_>, usize) -> Result<T, Damage>,
) -> Result<(), Damage> {
    let first = bytes.u32()? as usize;
    if first > into.len() {
        return Err(Damage::Value("a table does not go on where it ended"));
    }
    into.truncate(first);
    for _ in 0..bytes.count(entry_bytes)? {
        let entry = read(bytes, into.len())?;
        into.push(entry);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::snapshot;

    /// Check that a snapshot grows to what it was by what was new, in two steps, that a step left out is refused, and that what was empty the
    /// first time comes the second.
    #[test]
    fn in_steps() {
        let whole = snapshot(1);
        let mut half = whole.clone();
        half.frames.truncate(4);
        half.frames[2] = half.frames[0];
        half.sites.retain(|site| site.frame < 4);
        assert_eq!(Lens::of(&half).frames, 2);
        let first = encode(&half, &Lens::default());
        let second = encode(&whole, &Lens::of(&half));
        let empty = || {
            let mut empty = whole.clone();
            empty.modules.clear();
            empty.codes.clear();
            empty.threads.clear();
            empty.frames.clear();
            empty.sites.clear();
            empty
        };
        let mut grown = empty();
        assert!(decode(&second, &mut empty()).is_err());
        decode(&first, &mut grown).expect("sound");
        decode(&second, &mut grown).expect("sound");
        let mut expected = whole;
        for site in &mut expected.sites {
            site.counters = Counters::default();
        }
        assert_eq!(grown.frames, expected.frames);
        assert_eq!(grown.sites.len(), expected.sites.len());
    }

    /// Check that no changed byte makes the tables break the model's invariants, or panic.
    #[test]
    fn hostile() {
        let whole = snapshot(1);
        let bytes = encode(&whole, &Lens::default());
        for at in 0..bytes.len() {
            for value in [0, 1, 0x7f, 0xff] {
                let mut changed = bytes.clone();
                changed[at] = value;
                let mut grown = whole.clone();
                (grown.modules, grown.codes, grown.threads) = Default::default();
                (grown.frames, grown.sites) = Default::default();
                if decode(&changed, &mut grown).is_ok() {
                    let frames = grown.frames.iter().enumerate().skip(1);
                    assert!(
                        frames
                            .into_iter()
                            .all(|(id, frame)| (frame.parent as usize) < id)
                    );
                }
            }
        }
    }
}
