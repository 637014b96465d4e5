//! The accounts of several processes as one: what `run --merge` prints of a tree.
//!
//! Fed by `tree`, account by account, and keeps no more than the distinct stacks of all: a tree may have any number of processes. Two stacks
//! are one where they are the same places of the same modules, whatever addresses these were loaded at in each process.
//!
//! A block counts in the process that allocated it, and once. A forked child has copies of its parent's, and what it does with them changes nothing
//! that the parent has: where a child freed more of a stack's blocks than it allocated itself, the rest were copies, and are left out
//! (`own`). So no line falls below what all processes allocated and kept: 200 workers that drop their parent's configuration do not make it −200 times
//! its size. (A child's own account keeps them: there they are memory that it gave back.) Where a child frees copies and keeps as many
//! new blocks of the same stack, nothing tells the two apart, and the new ones are taken for freed.
//!
//! Invariants: sums alone (`merged counter = Σ own counters`), so that the order does not matter; freed ≤ allocated at each site; the result
//! keeps `model`'s invariants.

use crate::model::{
    Code, Counters, Frame, FrameKind, Losses, Module, Moment, Process, Sampling, Site, Snapshot,
};
use crate::peak::Peak;
use heapshim_ledger::estimates::Spread;
use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;

/// A module, whatever it was loaded at.
type ModuleKey = (String, Vec<u8>);
/// A code object of a script.
type CodeKey = (String, String, u32);
/// A node in the merged trie.
type NodeKey = (u32, FrameKind, Option<u32>, u64);

/// How many names code made at run time may have at one address, one a process: addresses end at 2^48, those behind tell them apart.
const PLACES: u64 = 256;

/// What has been merged so far.
#[derive(Debug, Default)]
pub struct Merged {
    snapshot: Option<Snapshot>,
    modules: HashMap<ModuleKey, u32>,
    codes: HashMap<CodeKey, u32>,
    threads: HashMap<String, u32>,
    nodes: HashMap<NodeKey, u32>,
    /// By address: what code that was made at run time is called there, in the first account that has it.
    made: HashMap<u64, Option<String>>,
    sites: HashMap<u32, usize>,
    processes: usize,
}

/// The ids that one account's frames, modules, codes and labels have in the merged one, as far as they were needed.
struct Ids<'a> {
    of: &'a Snapshot,
    frames: HashMap<u32, u32>,
}

impl Merged {
    /// Adds one process's account.
    pub fn add(&mut self, one: &Snapshot) {
        self.processes += 1;
        let mut whole = self.snapshot.take().unwrap_or_else(|| empty(one));
        whole.peak = Some(sum_of_peaks(whole.peak.take(), one));
        self.add_stacks(&mut whole, one);
        add_sampling(&mut whole.sampling, &one.sampling);
        whole.losses = sum_of_losses(whole.losses, one.losses);
        whole.complaints |= one.complaints;
        let start = &mut whole.process.start_unix_ns;
        *start = one.process.start_unix_ns.min(*start);
        whole.moment.unix_ns = one.moment.unix_ns.max(whole.moment.unix_ns);
        whole.moment.exact &= one.moment.exact;
        whole.moment.in_flight += one.moment.in_flight;
        whole.moment.lost_events += one.moment.lost_events;
        self.snapshot = Some(whole);
    }

    /// How many accounts there are in it.
    #[must_use]
    pub fn processes(&self) -> usize {
        self.processes
    }

    /// The whole, under the name of the process that the others come from; None where nothing was added.
    #[must_use]
    pub fn finish(self, process: Option<Process>) -> Option<Snapshot> {
        let mut whole = self.snapshot?;
        if let Some(process) = process {
            let start_unix_ns = whole.process.start_unix_ns.min(process.start_unix_ns);
            whole.process = Process {
                start_unix_ns,
                ..process
            };
        }
        Some(whole)
    }

    fn add_stacks(&mut self, whole: &mut Snapshot, one: &Snapshot) {
        let mut ids = Ids {
            of: one,
            frames: HashMap::new(),
        };
        let sites = (0..).zip(&one.sites);
        for (id, site) in sites.filter(|(_, site)| says_something(site)) {
            let frame = self.frame(whole, &mut ids, site.frame);
            let sites = &mut whole.sites;
            let index = *self.sites.entry(frame).or_insert_with(|| {
                sites.push(Site {
                    frame,
                    counters: Counters::default(),
                });
                sites.len() - 1
            });
            if let Some(into) = whole.sites.get_mut(index) {
                into.counters = sum(into.counters, own(site.counters));
            }
            add_spread(&mut whole.sampling, index, &one.sampling, id);
        }
    }

    /// A node's id in the merged trie: those between it and the first that is known there are added, outermost first.
    fn frame(&mut self, whole: &mut Snapshot, ids: &mut Ids<'_>, frame: u32) -> u32 {
        let mut added = Vec::new();
        let mut at = frame;
        while at != 0 && !ids.frames.contains_key(&at) {
            added.push(at);
            at = ids.parent(at);
        }
        let mut parent = ids.frames.get(&at).copied().unwrap_or(0);
        for &node in added.iter().rev() {
            parent = self.node(whole, ids.of, node, parent);
            ids.frames.insert(node, parent);
        }
        parent
    }

    fn node(&mut self, whole: &mut Snapshot, of: &Snapshot, node: u32, parent: u32) -> u32 {
        let Some(frame) = of.frames.get(node as usize) else {
            return parent;
        };
        let module = frame.module.and_then(|id| self.module(whole, of, id));
        let value = match frame.kind {
            FrameKind::Python => self.python(whole, of, frame),
            FrameKind::Thread => self.thread(whole, of, frame),
            FrameKind::Unknown => self.made(whole, of, frame.value),
            _ => frame.value,
        };
        let key = (parent, frame.kind, module, value);
        intern(&mut self.nodes, key, &mut whole.frames, || Frame {
            parent,
            kind: frame.kind,
            module,
            value,
        })
    }

    /// The address of code in no module. Where another process has code of another name there, one that no code has: past all that can be.
    fn made(&mut self, whole: &mut Snapshot, of: &Snapshot, value: u64) -> u64 {
        let name = of.jit.get(&value);
        let places = (0..PLACES).map(|nth| value.wrapping_add(nth << 48));
        let is_free = |place: &u64| {
            self.made
                .get(place)
                .is_none_or(|known| known.as_ref() == name)
        };
        let value = places.into_iter().find(is_free).unwrap_or(value);
        if let Some(name) = name {
            whole.jit.insert(value, name.clone());
        }
        self.made.insert(value, name.cloned());
        value
    }

    fn module(&mut self, whole: &mut Snapshot, of: &Snapshot, id: u32) -> Option<u32> {
        let module: &Module = of.modules.get(id as usize)?;
        let key = (module.path.clone(), module.build_id.clone());
        let (ids, all) = (&mut self.modules, &mut whole.modules);
        Some(intern(ids, key, all, || module.clone()))
    }

    fn python(&mut self, whole: &mut Snapshot, of: &Snapshot, frame: &Frame) -> u64 {
        let known = frame.python();
        let found = known.and_then(|(id, line)| Some((of.codes.get(id as usize)?, line)));
        let Some((code, line)) = found else {
            return frame.value;
        };
        let key = (code.file.clone(), code.name.clone(), code.first_line);
        let (ids, all): (_, &mut Vec<Code>) = (&mut self.codes, &mut whole.codes);
        let code = heapshim_ledger::codes::CodeId(intern(ids, key, all, || code.clone()));
        heapshim_ledger::codes::PythonFrame { code, line }.to_value()
    }

    fn thread(&mut self, whole: &mut Snapshot, of: &Snapshot, frame: &Frame) -> u64 {
        let label = usize::try_from(frame.value).ok();
        let label = label.and_then(|index| of.threads.get(index)).cloned();
        let label = label.unwrap_or_default();
        let (ids, all) = (&mut self.threads, &mut whole.threads);
        u64::from(intern(ids, label.clone(), all, || label.clone()))
    }
}

impl Ids<'_> {
    /// The caller's node; the root where the trie is damaged, so that every walk ends.
    fn parent(&self, node: u32) -> u32 {
        let frame = self.of.frames.get(node as usize);
        frame.map_or(0, |frame| frame.parent).min(node - 1)
    }
}

/// The id of what has this key; a new one at the end of the list where it is new.
fn intern<K: Hash + Eq, T>(
    ids: &mut HashMap<K, u32>,
    key: K,
    all: &mut Vec<T>,
    make: impl FnOnce() -> T,
) -> u32 {
    *ids.entry(key).or_insert_with(|| {
        all.push(make());
        u32::try_from(all.len() - 1).unwrap_or(u32::MAX)
    })
}

/// An account like this one, with nothing in it but the root and the unused site 0.
fn empty(one: &Snapshot) -> Snapshot {
    let unused = Site {
        frame: 0,
        counters: Counters::default(),
    };
    Snapshot {
        modules: Vec::new(),
        codes: Vec::new(),
        threads: Vec::new(),
        frames: vec![Frame::ROOT],
        jit: BTreeMap::new(),
        sites: vec![unused],
        peak: None,
        births: crate::births::Births::default(),
        temporaries: None,
        losses: Losses::default(),
        complaints: 0,
        moment: Moment {
            rss_bytes: 0,
            resident: None,
            exact: true,
            in_flight: 0,
            lost_events: 0,
            ..one.moment.clone()
        },
        process: one.process.clone(),
        sampling: Sampling {
            mode: one.sampling.mode,
            ..Sampling::default()
        },
    }
}

/// How far the sum may be off: by what each part may.
fn add_spread(into: &mut Sampling, index: usize, from: &Sampling, id: u32) {
    let (Some(all), Some(one)) = (&mut into.spreads, &from.spreads) else {
        return;
    };
    let (Ok(index), Some(one)) = (u32::try_from(index), one.get(&id)) else {
        return;
    };
    let sum = all.entry(index).or_default();
    let own = own_spread(*one);
    sum.allocated_bytes = sum.allocated_bytes.wrapping_add(own.allocated_bytes);
    sum.allocated_blocks = sum.allocated_blocks.wrapping_add(own.allocated_blocks);
    sum.freed_bytes = sum.freed_bytes.wrapping_add(own.freed_bytes);
    sum.freed_blocks = sum.freed_blocks.wrapping_add(own.freed_blocks);
}

/// As `own`: copies that a child has freed are left out.
fn own_spread(one: Spread) -> Spread {
    let own = |came: u64, went: u64| match came.wrapping_sub(went).cast_signed() {
        ..0 => came,
        _ => went,
    };
    Spread {
        freed_bytes: own(one.allocated_bytes, one.freed_bytes),
        freed_blocks: own(one.allocated_blocks, one.freed_blocks),
        ..one
    }
}

/// Two processes in two modes are as one that was switched.
fn add_sampling(whole: &mut Sampling, one: &Sampling) {
    whole.changes += one.changes + u32::from(whole.mode != one.mode);
    whole.largest = whole.largest.max(one.largest);
    whole.was_off |= one.was_off;
    if one.spreads.is_none() {
        whole.spreads = None;
    }
}

fn says_something(site: &Site) -> bool {
    site.counters.allocated_blocks != 0 || site.counters.freed_blocks != 0
}

/// What a process did with blocks that it has allocated itself, as far as its counters tell: it frees no more of them than there are.
fn own(counters: Counters) -> Counters {
    Counters {
        freed_bytes: counters.freed_bytes.min(counters.allocated_bytes),
        freed_blocks: counters.freed_blocks.min(counters.allocated_blocks),
        ..counters
    }
}

fn sum(mut one: Counters, other: Counters) -> Counters {
    one.add(&other);
    one
}

/// What each had at most, which was not at one moment: no account belongs to the sum.
fn sum_of_peaks(others: Option<Peak>, one: &Snapshot) -> Peak {
    let highest = others.map_or(0, |peak| peak.highest_bytes);
    Peak {
        moment: one.moment.clone(),
        highest_bytes: highest.saturating_add(one.highest_bytes()),
        counters: Vec::new(),
    }
}

fn sum_of_losses(one: Losses, other: Losses) -> Losses {
    Losses {
        nested_events: one.nested_events + other.nested_events,
        truncated_stacks: one.truncated_stacks + other.truncated_stacks,
        overflow_events: one.overflow_events + other.overflow_events,
        foreign_frees: one.foreign_frees + other.foreign_frees,
        untracked_blocks: one.untracked_blocks + other.untracked_blocks,
        walks: one.walks + other.walks,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn module(path: &str, bias: u64) -> Module {
        Module {
            path: path.to_owned(),
            build_id: vec![1],
            bias,
            start: bias,
            end: bias + 0x1000,
        }
    }

    fn node(parent: u32, kind: FrameKind, module: Option<u32>, value: u64) -> Frame {
        Frame {
            parent,
            kind,
            module,
            value,
        }
    }

    fn account(
        pid: u32,
        modules: Vec<Module>,
        frames: Vec<Frame>,
        sites: &[(u32, u64)],
    ) -> Snapshot {
        let site = |&(frame, bytes): &(u32, u64)| Site {
            frame,
            counters: Counters {
                allocated_bytes: bytes,
                allocated_blocks: 1,
                ..Counters::default()
            },
        };
        Snapshot {
            process: Process {
                pid,
                identity: pid.into(),
                name: format!("p{pid}"),
                exe: String::new(),
                cmdline: vec![],
                directory: String::new(),
                exit: None,
                start_unix_ns: u64::from(pid) * 10,
            },
            moment: Moment {
                name: "exit".to_owned(),
                unix_ns: u64::from(pid) * 100,
                rss_bytes: 1,
                resident: None,
                exact: true,
                in_flight: 0,
                lost_events: 0,
            },
            modules,
            codes: vec![Code {
                file: "/a.py".to_owned(),
                name: "f".to_owned(),
                first_line: pid,
            }],
            threads: vec!["main".to_owned()],
            frames,
            jit: BTreeMap::new(),
            sites: sites.iter().map(site).collect(),
            peak: None,
            births: crate::births::Births::default(),
            temporaries: None,
            losses: Losses {
                nested_events: 1,
                ..Losses::default()
            },
            complaints: pid,
            sampling: Sampling::default(),
        }
    }

    /// Check that the same place of the same module is one stack, wherever each process had it loaded and whatever its ids were there, and
    /// that what differs in code, label or caller stays apart.
    #[test]
    fn same_places() {
        use FrameKind::{Native, Python, Root, Thread};
        let root = node(0, Root, None, 0);
        let first = account(
            1,
            vec![module("/bin/a", 0x1000)],
            vec![
                root,
                node(0, Thread, None, 0),
                node(1, Native, Some(0), 0x10),
                node(2, Native, Some(0), 0x20),
            ],
            &[(0, 0), (3, 33)],
        );
        let second = account(
            2,
            vec![module("/lib/b", 0x5000), module("/bin/a", 0x9000)],
            vec![
                root,
                node(0, Thread, None, 0),
                node(1, Native, Some(1), 0x10),
                node(2, Native, Some(1), 0x20),
                node(2, Native, Some(0), 0x20),
                node(2, Python, None, 7),
            ],
            &[(0, 0), (3, 44), (4, 5), (5, 6)],
        );
        let mut merged = Merged::default();
        merged.add(&first);
        merged.add(&second);
        assert_eq!(merged.processes(), 2);
        let whole = merged.finish(Some(second.process.clone())).expect("two");
        let bytes: Vec<u64> = whole
            .sites
            .iter()
            .map(|site| site.counters.allocated_bytes)
            .collect();
        // Site 0 of each says one block: the root's stack.
        assert_eq!(bytes, [0, 0, 77, 5, 6]);
        assert_eq!(whole.modules.len(), 2);
        assert_eq!(whole.frames.len(), 6);
        assert_eq!(whole.threads, ["main"]);
        assert_eq!((whole.process.pid, whole.process.start_unix_ns), (2, 10));
        assert_eq!((whole.moment.unix_ns, whole.moment.rss_bytes), (200, 0));
        assert_eq!((whole.losses.nested_events, whole.complaints), (2, 3));
        let parents = whole.frames.iter().enumerate().skip(1);
        assert!(
            parents
                .into_iter()
                .all(|(id, frame)| (frame.parent as usize) < id)
        );
    }

    /// Check that code made at run time that two processes have at one address keeps each its name, or its having none.
    #[test]
    fn made_code() {
        let unknown = node(0, FrameKind::Unknown, None, 0x1000);
        let one = |pid, name: Option<&str>| {
            let frames = vec![Frame::ROOT, unknown];
            let mut one = account(pid, vec![], frames, &[(1, 8)]);
            one.jit = name
                .map(|name| (0x1000, name.to_owned()))
                .into_iter()
                .collect();
            one
        };
        let mut merged = Merged::default();
        for (pid, name) in [(1, None), (2, Some("f")), (3, Some("g")), (4, Some("f"))] {
            merged.add(&one(pid, name));
        }
        let whole = merged.finish(None).expect("four");
        let name = |site: &Site| {
            let frame = whole.frames[site.frame as usize];
            (
                whole.jit.get(&frame.value).map(String::as_str),
                site.counters.allocated_blocks,
            )
        };
        let found: Vec<_> = whole.sites[1..].iter().map(name).collect();
        assert_eq!(found, [(None, 1), (Some("f"), 2), (Some("g"), 1)]);
    }

    /// Check that codes of the same file, name and line are one, and keep each frame's line.
    #[test]
    fn codes() {
        let value = heapshim_ledger::codes::PythonFrame {
            code: heapshim_ledger::codes::CodeId(0),
            line: 5,
        }
        .to_value();
        let frames = vec![Frame::ROOT, node(0, FrameKind::Python, None, value)];
        let one = |pid| account(pid, vec![], frames.clone(), &[(1, 8)]);
        let mut merged = Merged::default();
        [3, 4, 3].into_iter().for_each(|pid| merged.add(&one(pid)));
        let whole = merged.finish(None).expect("three");
        let lines: Vec<_> = whole.frames[1..]
            .iter()
            .map(|frame| frame.python())
            .collect();
        assert_eq!(lines, [Some((0, 5)), Some((1, 5))]);
        let bytes: Vec<u64> = whole.sites[1..]
            .iter()
            .map(|site| site.counters.allocated_bytes)
            .collect();
        assert_eq!(bytes, [16, 8]);
    }

    /// Check that a child's frees of what it inherited leave its parent's blocks where they are, and that its own are freed.
    #[test]
    fn inherited() {
        let frames = vec![
            node(0, FrameKind::Root, None, 0),
            node(0, FrameKind::Unknown, None, 1),
        ];
        let one = |pid, allocated_blocks, freed_blocks| {
            let mut one = account(pid, vec![], frames.clone(), &[(1, 0)]);
            one.sites[0].counters = Counters {
                allocated_blocks,
                allocated_bytes: 10 * allocated_blocks,
                freed_blocks,
                freed_bytes: 10 * freed_blocks,
            };
            one
        };
        let mut merged = Merged::default();
        for (pid, allocated, freed) in [(1, 9, 2), (2, 0, 7), (3, 4, 7), (4, 5, 3)] {
            merged.add(&one(pid, allocated, freed));
        }
        let whole = merged.finish(None).expect("four");
        let counters = whole.sites[1].counters;
        assert_eq!((counters.allocated_blocks, counters.freed_blocks), (18, 9));
        assert_eq!((counters.live_blocks(), counters.live_bytes()), (9, 90));
    }

    /// Check that nothing merged is nothing.
    #[test]
    fn nothing() {
        assert!(Merged::default().finish(None).is_none());
    }
}
