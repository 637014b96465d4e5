//! A ledger copied into the model's values, checked on the way.
//!
//! Called by the commands with a `session`'s reader. Order matters: sites, then nodes, then modules, since each is published after what it
//! names; what was taken but not yet published is an empty entry here (its counters are still zero). Every invariant of
//! `model` is established here, against a hostile writer: a snapshot that comes out can be walked without checks.

mod entries;
mod lists;
mod packed;

use crate::births::Births;
use crate::error::{Error, Kind};
use crate::model::{Code, Counters, Module, Moment, Process, Sampling, Snapshot};
use crate::peak::Peak;
use crate::process::{Memory, now_unix_ns};
use crate::temporaries;
use heapshim_ledger::codes::CodeId;
use heapshim_ledger::counters::Total;
use heapshim_ledger::estimates::Spread;
use heapshim_ledger::frames::FrameId;
use heapshim_ledger::header::LARGEST;
use heapshim_ledger::layout::{FrameKind as Kinds, MARK_NAME, Was};
use heapshim_ledger::marks::MarkInfo;
use heapshim_ledger::modules::ModuleId;
use heapshim_ledger::reader::Exactness;
use heapshim_ledger::sampling::{LARGEST_MEAN, Mode};
use heapshim_ledger::sites::SiteId;
use heapshim_ledger::sync::Word;
use heapshim_ledger::{Error as LedgerError, Reader};
use std::collections::BTreeMap;

pub(crate) use entries::text;
use entries::{code, frame, label, losses, module, site};
use lists::{Lists, Values};
pub use packed::take_packed;

/// How much larger than today's largest a ledger's tables may be before they are taken for hostile.
const ROOM: u32 = 4;

/// Copies the account as it is now.
///
/// # Errors
/// `Damaged` where the ledger breaks an invariant.
pub fn take(
    reader: &Reader<'_>,
    process: Process,
    name: &str,
    memory: Memory,
) -> Result<Snapshot, Error> {
    check_size(reader, &process)?;
    let (totals, exactness) = copied(reader);
    let moment = moment_now(name, memory, exactness);
    let sampling = sampling(reader, Some(spreads(reader)));
    let snapshot = listed(reader, process, moment, &totals, sampling)?;
    Ok(with_peak(snapshot, reader))
}

/// Each site's account, and how exact that is.
fn copied(reader: &Reader<'_>) -> (Vec<Total>, Exactness) {
    // All of its room at once: one that grows is moved, and each of its pages touched twice.
    let mut totals: Vec<Total> = Vec::with_capacity(reader.sites.len() as usize);
    let exactness = reader.copy_totals(|site, total| {
        let index = site.0 as usize;
        if totals.len() <= index {
            totals.resize(index + 1, Total::default());
        }
        totals
            .get_mut(index)
            .map_or(total, |place| std::mem::replace(place, total))
    });
    totals.truncate(exactness.sites_len as usize);
    (totals, exactness)
}

fn moment_now(name: &str, memory: Memory, exactness: Exactness) -> Moment {
    Moment {
        name: name.to_owned(),
        unix_ns: now_unix_ns(),
        rss_bytes: memory.rss_bytes,
        resident: memory.resident,
        exact: exactness.in_flight == 0,
        in_flight: exactness.in_flight,
        lost_events: 0,
    }
}

/// The same, with what is known of when its blocks were born, and which were freed at once: pages of the target's that nobody has touched become resident by being read, so that what comes back every
/// second leaves them alone.
///
/// # Errors
/// As `take`.
pub(crate) fn take_with_births(
    reader: &Reader<'_>,
    process: Process,
    name: &str,
    memory: Memory,
) -> Result<Snapshot, Error> {
    let snapshot = take(reader, process, name, memory)?;
    Ok(Snapshot {
        births: Births::of(reader),
        temporaries: Some(temporaries::of(reader)),
        ..snapshot
    })
}

/// What the account's sites mean, without the account: every counter is zero, and nothing of the counters' pages is read.
///
/// # Errors
/// `Damaged` where the ledger breaks an invariant.
pub(crate) fn meanings(reader: &Reader<'_>, process: Process) -> Result<Snapshot, Error> {
    check_size(reader, &process)?;
    let totals = vec![Total::default(); reader.sites.len() as usize];
    let moment = Moment {
        name: String::new(),
        unix_ns: now_unix_ns(),
        rss_bytes: 0,
        resident: None,
        exact: false,
        in_flight: 0,
        lost_events: 0,
    };
    listed(reader, process, moment, &totals, sampling(reader, None))
}

fn with_peak(snapshot: Snapshot, reader: &Reader<'_>) -> Snapshot {
    Snapshot {
        peak: Peak::of(reader),
        ..snapshot
    }
}

/// How much is in the account.
pub(crate) fn sampling(reader: &Reader<'_>, spreads: Option<BTreeMap<u32, Spread>>) -> Sampling {
    let said = &reader.header.sampling;
    Sampling {
        mode: Mode::from_word(said.mode.peek()).unwrap_or(Mode::Exact),
        changes: said.changes.peek(),
        largest: said.largest.peek().min(LARGEST_MEAN),
        was_off: said.modes.peek() & Was::Off as u32 != 0,
        spreads,
    }
}

fn spreads(reader: &Reader<'_>) -> BTreeMap<u32, Spread> {
    if reader.header.sampling.largest.peek() == 0 {
        return BTreeMap::new();
    }
    (0..reader.sites.len())
        .map(|site| (site, reader.estimates.spread(SiteId(site))))
        .filter(|(_, spread)| *spread != Spread::default())
        .collect()
}

/// The names of the marks that the target took itself and that are still there, oldest first, by number.
#[must_use]
pub fn inside_marks(reader: &Reader<'_>) -> Vec<(u32, Moment)> {
    let read = |number| Some((number, moment(&reader.marks.read(number, |_, _| ())?)));
    reader.marks.kept().filter_map(read).collect()
}

/// Copies the account as it was when the target took its mark `number`; None where that is no longer kept.
///
/// # Errors
/// `Damaged` where the ledger breaks an invariant.
pub fn inside(
    reader: &Reader<'_>,
    process: Process,
    number: u32,
) -> Result<Option<Snapshot>, Error> {
    check_size(reader, &process)?;
    let mut totals: Vec<Total> = Vec::new();
    let Some(info) = reader.marks.read(number, |_, total| totals.push(total)) else {
        return Ok(None);
    };
    let sampling = sampling(reader, None);
    let snapshot = listed(reader, process, moment(&info), &totals, sampling)?;
    Ok(Some(with_peak(snapshot, reader)))
}

/// The whole account's bytes and blocks now, without its stacks.
#[must_use]
pub fn totals(reader: &Reader<'_>) -> Counters {
    let mut all = Counters::default();
    let sites = (0..reader.sites.len()).map(SiteId);
    sites.for_each(|site| all.add(&reader.total(site).into()));
    all
}

pub(crate) fn moment(info: &MarkInfo) -> Moment {
    let end = info
        .name
        .iter()
        .position(|&byte| byte == 0)
        .unwrap_or(MARK_NAME);
    Moment {
        name: String::from_utf8_lossy(info.name.get(..end).unwrap_or(&[])).into_owned(),
        unix_ns: info.unix_ns,
        rss_bytes: info.rss_bytes,
        resident: None,
        exact: info.in_flight == 0,
        in_flight: info.in_flight,
        lost_events: 0,
    }
}

fn listed(
    reader: &Reader<'_>,
    process: Process,
    moment: Moment,
    totals: &[Total],
    sampling: Sampling,
) -> Result<Snapshot, Error> {
    let mut values = Values::default();
    let snapshot = assemble(reader, process, moment, totals, sampling, &mut values)?;
    let Values { sites, frames } = values;
    Ok(Snapshot {
        sites,
        frames,
        ..snapshot
    })
}

/// The snapshot; its sites and frames have gone into `lists`.
fn assemble(
    reader: &Reader<'_>,
    process: Process,
    moment: Moment,
    totals: &[Total],
    sampling: Sampling,
    lists: &mut impl Lists,
) -> Result<Snapshot, Error> {
    let damaged = damaged(&process);
    lists.expect(totals.len(), reader.frames.len() as usize);
    let ids = (0..reader.sites.len()).map(SiteId);
    let mut furthest = 0;
    for (id, total) in ids.zip(totals) {
        let site = site(reader, id, *total);
        furthest = furthest.max(site.frame);
        lists.site(site);
    }
    // How many there are is asked before the modules are read: what these nodes name is there by then.
    let nodes = (0..reader.frames.len()).map(FrameId);
    let frames_len = nodes.len() as u64;
    let ids = (0..reader.modules.len()).map(ModuleId);
    let modules: Vec<Module> = ids.map(|id| module(reader, id)).collect();
    let ids = (0..reader.codes.len()).map(CodeId);
    let codes: Vec<Code> = ids.map(|id| code(reader, id)).collect();
    let mut threads = Vec::new();
    for id in nodes {
        let node = reader.frames.get(id).map_err(&damaged)?;
        lists.frame(match node.kind {
            Kinds::Thread => label(reader, &node, &mut threads),
            _ => frame(&node, modules.len(), codes.len()),
        });
    }
    // Without sites too: there is always a root.
    if u64::from(furthest) >= frames_len {
        return Err(damaged(LedgerError::Index {
            kind: 3,
            index: furthest.into(),
            len: frames_len,
        }));
    }
    let losses = losses(reader);
    Ok(Snapshot {
        process,
        moment,
        modules,
        codes,
        threads,
        frames: Vec::new(),
        jit: BTreeMap::new(), // `symbolize::jit` knows
        sites: Vec::new(),
        peak: None, // the callers know whose
        births: Births::default(),
        temporaries: None,
        losses,
        complaints: reader.header.complaints.peek(),
        sampling,
    })
}

fn check_size(reader: &Reader<'_>, process: &Process) -> Result<(), Error> {
    let len = u64::from(reader.frames.len());
    if len > u64::from(LARGEST.frames * ROOM) || reader.sites.capacity() > LARGEST.sites * ROOM {
        return Err(damaged(process)(LedgerError::Value {
            kind: 3,
            index: 0,
            found: len,
        }));
    }
    Ok(())
}

fn damaged(process: &Process) -> impl Fn(LedgerError) -> Error + use<> {
    let object = format!("pid {}", process.pid);
    move |error| Error::new(Kind::Damaged, &object, "its account is damaged").because(error)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::mapping::Mapping;
    use crate::model::{Frame, FrameKind};
    use heapshim_ledger::codes::{CodeInfo, PythonFrame};
    use heapshim_ledger::header::Geometry;
    use heapshim_ledger::writer::{Identity, Writer};
    use heapshim_ledger::{Region, frames, modules};
    use rustix::fs::{MemfdFlags, SealFlags};
    use rustix::mm::{MapFlags, ProtFlags, mmap};
    use std::fs::File;
    use std::os::fd::OwnedFd;
    use std::os::unix::fs::FileExt;

    pub(crate) fn process() -> Process {
        let name = || "test".to_owned();
        Process {
            pid: 7,
            identity: 1,
            name: name(),
            exe: name(),
            cmdline: vec![],
            directory: name(),
            exit: None,
            start_unix_ns: 0,
        }
    }

    /// A small ledger: one module, one stack of a native and a Python frame, one block of 33 bytes live and one of 44 freed, an inside mark.
    pub(crate) fn ledger() -> OwnedFd {
        let geometry = Geometry::fit(2 << 20).expect("the smallest fits");
        let fd = rustix::fs::memfd_create("test", MemfdFlags::ALLOW_SEALING).expect("memfd");
        rustix::fs::ftruncate(&fd, geometry.total_bytes()).expect("sized");
        let len = usize::try_from(geometry.total_bytes()).expect("fits");
        let access = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: no address is asked for; the memory is used through `Region` alone and never unmapped.
        let base = unsafe { mmap(std::ptr::null_mut(), len, access, MapFlags::SHARED, &fd, 0) }
            .expect("mapped");
        // SAFETY: just mapped, page-aligned, and the file is not shrunk: the next line seals it.
        let region = unsafe { Region::new(base.cast_const().cast(), geometry.total_bytes()) };
        rustix::fs::fcntl_add_seals(&fd, SealFlags::SHRINK | SealFlags::GROW).expect("sealed");
        let writer = Writer::create(&region, &geometry, &Identity::default()).expect("made");
        let path = writer.strings.append(b"/bin/x");
        let module = writer
            .modules
            .append(&modules::ModuleInfo {
                bias: 0x1000,
                start: 0x1000,
                end: 0x2000,
                from_ns: 1,
                until_ns: 0,
                path,
                build_id: [9; 32],
                build_id_len: 20,
            })
            .expect("room");
        let code = writer.codes.append(&CodeInfo {
            file: writer.strings.append("/src/é.py".as_bytes()),
            name: writer.strings.append(b"Cache.\xffput"),
            first_line: 3,
        });
        let code = code.expect("room");
        let python = frames::Frame {
            parent: frames::ROOT,
            kind: Kinds::Python,
            module: 0,
            value: PythonFrame { code, line: 5 }.to_value(),
        };
        let node = frames::Frame {
            parent: writer.frames.append(python).expect("room"),
            kind: Kinds::Native,
            module: module.0,
            value: 0x123,
        };
        let site = writer
            .sites
            .append(writer.frames.append(node).expect("room"))
            .expect("room");
        for bytes in [33, 44] {
            writer.slot(16).allocated(site, bytes);
        }
        assert!(writer.slot(16).freed(site, 44));
        let mut name = [0; MARK_NAME];
        name[..4].copy_from_slice(b"warm");
        let info = MarkInfo {
            number: 0,
            sites_len: site.0 + 1,
            unix_ns: 5,
            rss_bytes: 6,
            in_flight: 0,
            name,
        };
        assert!(writer.marks.write(&info, |site| writer.total(site)));
        let height = heapshim_ledger::peak::Height::at(77);
        writer.peak.copy(height, &info, |site| writer.total(site));
        writer.ready();
        fd
    }

    /// Check that module, code, frames, site, counters and inside marks come over as they were written.
    #[test]
    fn copied() {
        let mapping = Mapping::new(ledger(), "pid 7").expect("mapped");
        let reader = mapping.reader("pid 7").expect("ready");
        let snapshot = take(&reader, process(), "now", Memory::default()).expect("taken");
        assert!(snapshot.moment.exact);
        assert_eq!(snapshot.modules[0].path, "/bin/x");
        assert_eq!(snapshot.modules[0].build_id, [9; 20]);
        let site = snapshot.sites.last().expect("one site");
        assert_eq!(
            (site.counters.live_bytes(), site.counters.live_blocks()),
            (33, 1)
        );
        let frame = snapshot.frames[site.frame as usize];
        assert_eq!(
            (frame.kind, frame.module, frame.value),
            (FrameKind::Native, Some(0), 0x123)
        );
        let python = snapshot.frames[frame.parent as usize];
        assert_eq!((python.python(), frame.python()), (Some((0, 5)), None));
        let code = &snapshot.codes[0];
        assert_eq!((&*code.file, code.first_line), ("/src/é.py", 3));
        assert_eq!(code.name, "Cache.\u{fffd}put");
        assert_eq!(totals(&reader).allocated_bytes, 77);
        let mut meanings = meanings(&reader, process()).expect("sound");
        assert_eq!(
            meanings.sites.last().map(|site| site.counters),
            Some(Counters::default())
        );
        meanings.sites.clone_from(&snapshot.sites);
        assert_eq!(
            (meanings.frames, meanings.sites),
            (snapshot.frames.clone(), snapshot.sites.clone())
        );
        let marks = inside_marks(&reader);
        assert_eq!(
            marks
                .iter()
                .map(|(_, m)| m.name.as_str())
                .collect::<Vec<_>>(),
            ["warm"]
        );
        let inside = inside(&reader, process(), 0).expect("sound").expect("kept");
        assert_eq!(inside.sites, snapshot.sites);
        assert_eq!((inside.moment.unix_ns, inside.moment.rss_bytes), (5, 6));
    }

    /// Check that a ledger damaged at any word of its head, its tables' first entries, or with every bit set gives an error or
    /// a snapshot that keeps the model's invariants, never a panic.
    #[test]
    fn hostile() {
        let fd = File::from(ledger());
        let size = fd.metadata().expect("size").len();
        let pages = (0..size)
            .step_by(4096)
            .flat_map(|page| (page..page + 160).step_by(4));
        for (offset, value) in pages.flat_map(|at| [(at, u32::MAX), (at, 0x7fff_fff0), (at, 3)]) {
            let mut before = [0; 4];
            fd.read_exact_at(&mut before, offset).expect("read");
            fd.write_all_at(&value.to_le_bytes(), offset)
                .expect("written");
            let mapping = Mapping::new(&fd, "pid 7").expect("mapped");
            if let Ok(snapshot) = mapping.reader("pid 7").and_then(|reader| {
                let _heads = inside_marks(&reader);
                take(&reader, process(), "now", Memory::default())
            }) {
                assert!(
                    (1..)
                        .zip(&snapshot.frames[1..])
                        .all(|(id, frame)| frame.parent < id)
                );
                assert!(
                    snapshot
                        .sites
                        .iter()
                        .all(|site| (site.frame as usize) < snapshot.frames.len())
                );
                let mut python = snapshot.frames.iter().filter_map(Frame::python);
                assert!(python.all(|(code, _)| (code as usize) < snapshot.codes.len()));
            }
            fd.write_all_at(&before, offset).expect("restored");
        }
    }
}
