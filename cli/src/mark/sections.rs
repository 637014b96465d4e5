//! What each section of a mark file holds. Used by `mark` alone.
//!
//! Kinds are never given another meaning; a section that needs other contents gets another kind. Optional values are written as a
//! number that the value cannot have, which stands beside each.

use super::blocks::{read_births, read_temporaries, write_births, write_temporaries};
use super::bytes::{Reader, Writer};
use super::lists::{self, Entries, Known, Section};
use super::{Damage, Mark};
use crate::births::Births;
use crate::bundle::{Bundle, SourceLine};
use crate::model::{Code, Exit, Frame, Losses, Module, Moment, Process, Sampling, Site, Snapshot};
use crate::peak::Peak;
use crate::process::Memory;
use crate::resident::Resident;
use crate::symbolize::records::{self, Record, write as write_records};
use heapshim_ledger::estimates::Spread;
use heapshim_ledger::sampling::{LARGEST_MEAN, Mode};
use std::collections::BTreeMap;

const PROCESS: u32 = 1;
const MOMENT: u32 = 2;
const LOSSES: u32 = 3;
const MODULES: u32 = 4;
/// Frames and sites at full width: read where a mark has them, no longer written.
const WIDE_FRAMES: u32 = 5;
const WIDE_SITES: u32 = 6;
const MEMORY: u32 = 7;
/// Marks from before there were Python frames do not have it.
const CODES: u32 = 8;
/// Marks from before there were labels of threads do not have it.
const THREADS: u32 = 9;
/// What resident memory is made of; only marks that know it have it.
const RESIDENT: u32 = 10;
/// Names of code that was made at run time; only marks that know any have it.
const JIT: u32 = 11;
/// The highest moment; only marks that know it have it.
const PEAK: u32 = 12;
const FRAMES: u32 = 13;
const SITES: u32 = 14;
/// How much was recorded, where that was not each event.
const SAMPLING: u32 = 15;
/// Only marks taken with `--bundle` have these two.
const SYMBOLS: u32 = 16;
const SOURCES: u32 = 17;
/// When blocks were born; only marks from which, or at which, survivors are known have it.
const BIRTHS: u32 = 18;
/// What was freed by its thread's next operation; only marks that a process's account was read for have it.
const TEMPORARIES: u32 = 19;

/// A site's part of `write_sampling`.
const SPREAD_BYTES: usize = 36;

/// Entries that room is taken for before they are read: as many as the largest usual account has frames. A hostile count is not believed
/// any further.
const MOST_AT_ONCE: usize = 1 << 20;

/// The lists of a mark that grow with the program, as its sections have them.
#[derive(Debug)]
pub(crate) struct Lists {
    pub(crate) frames: Entries,
    pub(crate) sites: Entries,
    pub(crate) peak: Option<PackedPeak>,
}

/// A peak of which the counters are written already.
#[derive(Debug)]
pub(crate) struct PackedPeak {
    pub(crate) moment: Moment,
    pub(crate) highest_bytes: i64,
    pub(crate) counters: Entries,
}

impl Lists {
    /// Those of a snapshot that has them as values.
    pub(super) fn of(snapshot: &Snapshot) -> Lists {
        let peak = snapshot.peak.as_ref().map(|peak| PackedPeak {
            moment: peak.moment.clone(),
            highest_bytes: peak.highest_bytes,
            counters: Entries::of_counters(&peak.counters),
        });
        Lists {
            frames: Entries::of_frames(&snapshot.frames),
            sites: Entries::of_sites(&snapshot.sites),
            peak,
        }
    }
}

/// A section that `write` writes.
fn section(kind: u32, write: impl FnOnce(&mut Writer)) -> Section {
    let mut out = Writer::default();
    write(&mut out);
    Section {
        kind,
        head: out.into_vec(),
        entries: Vec::new(),
    }
}

/// Every section of a mark, in the order in which they are written; its frames, its sites and its peak are `lists`'.
pub(super) fn encode(mark: &Mark, lists: Lists) -> Vec<Section> {
    let Snapshot {
        process,
        moment,
        modules,
        codes,
        threads,
        frames: _,
        jit,
        sites: _,
        peak: _,
        births,
        temporaries,
        losses,
        complaints,
        sampling,
    } = &mark.snapshot;
    let mut sections = vec![
        section(PROCESS, |out| write_process(out, process)),
        section(MOMENT, |out| {
            write_moment(out, moment);
            out.u64(0); // the mean between samples of marks that had nothing else to say of it
        }),
        section(LOSSES, |out| {
            write_losses(out, losses);
            out.u32(*complaints);
        }),
        section(MODULES, |out| {
            out.len(modules.len());
            modules.iter().for_each(|module| write_module(out, module));
        }),
        lists.frames.into_section(FRAMES, Writer::default()),
        lists.sites.into_section(SITES, Writer::default()),
        section(MEMORY, |out| write_memory(out, &mark.memory)),
        section(CODES, |out| {
            out.blob(process.directory.as_bytes());
            out.len(codes.len());
            codes.iter().for_each(|code| write_code(out, code));
        }),
        section(THREADS, |out| {
            out.len(threads.len());
            threads.iter().for_each(|name| out.blob(name.as_bytes()));
        }),
    ];
    if let Some(resident) = &moment.resident {
        sections.push(section(RESIDENT, |out| write_resident(out, resident)));
    }
    sections.extend(lists.peak.map(write_peak));
    if *sampling != Sampling::default() {
        sections.push(section(SAMPLING, |out| write_sampling(out, sampling)));
    }
    if *births != Births::default() {
        sections.push(section(BIRTHS, |out| write_births(out, births)));
    }
    if let Some(temporaries) = temporaries {
        sections.push(section(TEMPORARIES, |out| {
            write_temporaries(out, temporaries);
        }));
    }
    if !jit.is_empty() {
        sections.push(section(JIT, |out| write_jit(out, jit)));
    }
    if let Some(bundle) = &mark.bundle {
        sections.push(section(SYMBOLS, |out| write_records(out, &bundle.records)));
        sections.push(section(SOURCES, |out| {
            out.len(bundle.lines.len());
            bundle.lines.iter().for_each(|line| write_line(out, line));
        }));
    }
    sections
}

/// The mark that these sections make.
pub(super) fn decode(sections: &[(u32, &[u8])]) -> Result<Mark, Damage> {
    let find = |kind| {
        let found = sections.iter().find(|(number, _)| *number == kind);
        found.map_or(Err(Damage::Missing(kind)), |(_, bytes)| {
            Ok(Reader::new(bytes))
        })
    };
    let (directory, codes) = match find(CODES) {
        Ok(mut bytes) => (
            bytes.text()?,
            read_list(bytes, 12, |bytes, _| read_code(bytes))?,
        ),
        Err(_) => (String::new(), Vec::new()),
    };
    let threads = optional(find(THREADS), |bytes| {
        read_list(bytes, 4, |bytes, _| Ok(bytes.text()?))
    })?;
    let jit = optional(find(JIT), |bytes| {
        read_list(bytes, 12, |bytes, _| Ok((bytes.u64()?, bytes.text()?)))
    })?;
    let process = Process {
        directory,
        ..read_process(&mut find(PROCESS)?)?
    };
    let mut moment_bytes = find(MOMENT)?;
    let resident = find(RESIDENT)
        .ok()
        .map(|mut bytes| read_resident(&mut bytes));
    let moment = Moment {
        resident: resident.transpose()?,
        ..read_moment(&mut moment_bytes)?
    };
    let sampling = read_sampling(find(SAMPLING).ok())?;
    let modules = read_list(find(MODULES)?, 32, |bytes, _| read_module(bytes))?;
    let known = Known {
        modules: modules.len(),
        codes: codes.len(),
        threads: threads.as_ref().map_or(0, Vec::len),
    };
    let (frames, sites) = read_stacks(find, known)?;
    let peak = optional(find(PEAK), |bytes| read_peak(bytes, sites.len()))?;
    let births = optional(find(BIRTHS), read_births)?.unwrap_or_default();
    let temporaries = optional(find(TEMPORARIES), read_temporaries)?;
    let mut losses_bytes = find(LOSSES)?;
    let losses = read_losses(&mut losses_bytes)?;
    let complaints = losses_bytes.u32()?;
    let memory = Memory {
        resident: moment.resident,
        ..read_memory(&mut find(MEMORY)?)?
    };
    let records = find(SYMBOLS)
        .ok()
        .map(|bytes| read_records(bytes, modules.len()));
    let lines = find(SOURCES).and_then(|bytes| read_list(bytes, 12, |bytes, _| read_line(bytes)));
    let bundle = records.transpose()?.map(|records| Bundle {
        records,
        lines: lines.unwrap_or_default(),
    });
    let snapshot = Snapshot {
        process,
        moment,
        modules,
        codes,
        threads: threads.unwrap_or_default(),
        frames,
        jit: jit.unwrap_or_default().into_iter().collect(),
        sites,
        peak,
        births,
        temporaries,
        losses,
        complaints,
        sampling,
    };
    Ok(Mark {
        snapshot,
        memory,
        bundle,
    })
}

/// Frames and sites, in whichever way they were written.
fn read_stacks<'b>(
    find: impl Fn(u32) -> Result<Reader<'b>, Damage>,
    known: Known,
) -> Result<(Vec<Frame>, Vec<Site>), Damage> {
    let frames = match find(WIDE_FRAMES) {
        Ok(bytes) => lists::read_wide_frames(bytes, known)?,
        Err(_) => lists::read_frames(find(FRAMES)?, known)?,
    };
    if frames.is_empty() {
        return Err(Damage::Value("it has no root frame"));
    }
    let sites = match find(WIDE_SITES) {
        Ok(bytes) => lists::read_wide_sites(bytes, frames.len())?,
        Err(_) => lists::read_sites(find(SITES)?, frames.len())?,
    };
    Ok((frames, sites))
}

/// What a section says that not every mark has.
fn optional<'b, T>(
    found: Result<Reader<'b>, Damage>,
    read: impl FnOnce(Reader<'b>) -> Result<T, Damage>,
) -> Result<Option<T>, Damage> {
    found.ok().map(read).transpose()
}

/// A count, then as many entries of at least `entry_bytes`, then nothing.
pub(super) fn read_list<T>(
    mut bytes: Reader<'_>,
    entry_bytes: usize,
    mut read: impl FnMut(&mut Reader<'_>, usize) -> Result<T, Damage>,
) -> Result<Vec<T>, Damage> {
    let count = bytes.count(entry_bytes)?;
    let mut entries = Vec::with_capacity(count.min(MOST_AT_ONCE));
    for id in 0..count {
        entries.push(read(&mut bytes, id)?);
    }
    match bytes.left() {
        0 => Ok(entries),
        _ => Err(Damage::Length),
    }
}

fn write_sampling(out: &mut Writer, sampling: &Sampling) {
    out.u32(sampling.mode.word());
    out.u32(sampling.changes);
    out.u32(sampling.largest);
    out.u32(sampling.was_off.into());
    out.u32(sampling.spreads.is_some().into());
    let spreads = sampling.spreads.iter().flatten();
    out.len(spreads.clone().count());
    for (site, spread) in spreads {
        out.u32(*site);
        out.u64(spread.allocated_bytes);
        out.u64(spread.allocated_blocks);
        out.u64(spread.freed_bytes);
        out.u64(spread.freed_blocks);
    }
}

fn read_sampling(bytes: Option<Reader<'_>>) -> Result<Sampling, Damage> {
    let Some(mut bytes) = bytes else {
        return Ok(Sampling::default());
    };
    let mode = Mode::from_word(bytes.u32()?).ok_or(Damage::Value("a mode that there is not"))?;
    let (changes, largest, was_off) = (bytes.u32()?, bytes.u32()?, bytes.u32()? != 0);
    let is_kept = bytes.u32()? != 0;
    let count = bytes.count(SPREAD_BYTES)?;
    let mut spreads = BTreeMap::new();
    for _ in 0..count {
        let site = bytes.u32()?;
        let spread = Spread {
            allocated_bytes: bytes.u64()?,
            allocated_blocks: bytes.u64()?,
            freed_bytes: bytes.u64()?,
            freed_blocks: bytes.u64()?,
        };
        spreads.insert(site, spread);
    }
    Ok(Sampling {
        mode,
        changes,
        largest: largest.min(LARGEST_MEAN),
        was_off,
        spreads: is_kept.then_some(spreads),
    })
}

fn write_jit(out: &mut Writer, jit: &BTreeMap<u64, String>) {
    out.len(jit.len());
    for (address, name) in jit {
        out.u64(*address);
        out.blob(name.as_bytes());
    }
}

fn write_process(out: &mut Writer, process: &Process) {
    out.u32(process.pid);
    out.u64(process.identity);
    out.u64(process.start_unix_ns);
    let (kind, value) = match process.exit {
        None => (0, 0),
        Some(Exit::Code(code)) => (1, code),
        Some(Exit::Signal(signal)) => (2, signal),
    };
    out.u32(kind);
    out.u32(value.cast_unsigned());
    out.blob(process.name.as_bytes());
    out.blob(process.exe.as_bytes());
    out.len(process.cmdline.len());
    for word in &process.cmdline {
        out.blob(word.as_bytes());
    }
}

fn read_process(bytes: &mut Reader<'_>) -> Result<Process, Damage> {
    let (pid, identity, start_unix_ns) = (bytes.u32()?, bytes.u64()?, bytes.u64()?);
    let exit = match (bytes.u32()?, bytes.u32()?.cast_signed()) {
        (0, _) => None,
        (1, code) => Some(Exit::Code(code)),
        (2, signal) => Some(Exit::Signal(signal)),
        _ => return Err(Damage::Value("it ended in no known way")),
    };
    let (name, exe) = (bytes.text()?, bytes.text()?);
    let words = bytes.count(4)?;
    let cmdline: Result<Vec<String>, _> = (0..words).map(|_| bytes.text()).collect();
    let cmdline = cmdline?;
    Ok(Process {
        pid,
        identity,
        name,
        exe,
        cmdline,
        directory: String::new(), // stands with the code, which it is for
        exit,
        start_unix_ns,
    })
}

fn write_moment(out: &mut Writer, moment: &Moment) {
    out.u64(moment.unix_ns);
    out.u64(moment.rss_bytes);
    out.u32(moment.exact.into());
    out.u64(moment.in_flight);
    out.blob(moment.name.as_bytes());
}

fn read_moment(bytes: &mut Reader<'_>) -> Result<Moment, Damage> {
    Ok(Moment {
        unix_ns: bytes.u64()?,
        rss_bytes: bytes.u64()?,
        resident: None, // a section of its own
        exact: bytes.u32()? != 0,
        in_flight: bytes.u64()?,
        lost_events: 0,
        name: bytes.text()?,
    })
}

fn write_peak(peak: PackedPeak) -> Section {
    let mut head = Writer::default();
    write_moment(&mut head, &peak.moment);
    head.u64(peak.highest_bytes.cast_unsigned());
    peak.counters.into_section(PEAK, head)
}

/// A busy target may make a new site and a new copy between the account and its peak: what the account has not is left out.
fn read_peak(mut bytes: Reader<'_>, sites: usize) -> Result<Peak, Damage> {
    let moment = read_moment(&mut bytes)?;
    let highest_bytes = bytes.u64()?.cast_signed();
    let mut counters = lists::read_counters(bytes)?;
    counters.truncate(sites);
    Ok(Peak {
        moment,
        highest_bytes,
        counters,
    })
}

fn write_losses(out: &mut Writer, losses: &Losses) {
    out.u64(losses.nested_events);
    out.u64(losses.truncated_stacks);
    out.u64(losses.overflow_events);
    out.u64(losses.foreign_frees);
    out.u64(losses.untracked_blocks);
    out.u64(losses.walks);
}

fn read_losses(bytes: &mut Reader<'_>) -> Result<Losses, Damage> {
    Ok(Losses {
        nested_events: bytes.u64()?,
        truncated_stacks: bytes.u64()?,
        overflow_events: bytes.u64()?,
        foreign_frees: bytes.u64()?,
        untracked_blocks: bytes.u64()?,
        walks: bytes.u64()?,
    })
}

pub(crate) fn write_module(out: &mut Writer, module: &Module) {
    out.u64(module.bias);
    out.u64(module.start);
    out.u64(module.end);
    out.blob(module.path.as_bytes());
    out.blob(&module.build_id);
}

pub(crate) fn read_module(bytes: &mut Reader<'_>) -> Result<Module, Damage> {
    Ok(Module {
        bias: bytes.u64()?,
        start: bytes.u64()?,
        end: bytes.u64()?,
        path: bytes.text()?,
        build_id: bytes.blob()?.to_vec(),
    })
}

pub(crate) fn write_code(out: &mut Writer, code: &Code) {
    out.u32(code.first_line);
    out.blob(code.file.as_bytes());
    out.blob(code.name.as_bytes());
}

pub(crate) fn read_code(bytes: &mut Reader<'_>) -> Result<Code, Damage> {
    Ok(Code {
        first_line: bytes.u32()?,
        file: bytes.text()?,
        name: bytes.text()?,
    })
}

fn read_records(bytes: Reader<'_>, modules: usize) -> Result<Vec<Record>, Damage> {
    let records = records::read(bytes)?;
    let is_there = |record: &Record| (record.module as usize) < modules;
    match records.iter().all(is_there) {
        true => Ok(records),
        false => Err(Damage::Value("a symbol's module is not there")),
    }
}

fn write_line(out: &mut Writer, line: &SourceLine) {
    out.blob(line.file.as_bytes());
    out.u32(line.line);
    out.blob(line.text.as_bytes());
}

fn read_line(bytes: &mut Reader<'_>) -> Result<SourceLine, Damage> {
    Ok(SourceLine {
        file: bytes.text()?,
        line: bytes.u32()?,
        text: bytes.text()?,
    })
}

fn write_memory(out: &mut Writer, memory: &Memory) {
    out.u64(memory.rss_bytes);
    out.u64(memory.anon_bytes);
    out.u64(memory.file_bytes);
    out.u64(memory.shmem_bytes);
}

fn read_memory(bytes: &mut Reader<'_>) -> Result<Memory, Damage> {
    Ok(Memory {
        rss_bytes: bytes.u64()?,
        anon_bytes: bytes.u64()?,
        file_bytes: bytes.u64()?,
        shmem_bytes: bytes.u64()?,
        resident: None, // the moment's
    })
}

fn write_resident(out: &mut Writer, resident: &Resident) {
    out.u64(resident.allocator);
    out.u64(resident.stacks);
    out.u64(resident.code);
    out.u64(resident.anonymous);
    out.u64(resident.files);
    out.u64(resident.shared);
    out.u64(resident.heapshim);
}

fn read_resident(bytes: &mut Reader<'_>) -> Result<Resident, Damage> {
    Ok(Resident {
        allocator: bytes.u64()?,
        stacks: bytes.u64()?,
        code: bytes.u64()?,
        anonymous: bytes.u64()?,
        files: bytes.u64()?,
        shared: bytes.u64()?,
        heapshim: bytes.u64()?,
    })
}
