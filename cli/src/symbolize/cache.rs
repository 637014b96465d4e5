//! The symbolizer: which module, which address, asked once.
//!
//! Called by `diff` (lazily: `blame` needs few frames of most stacks) and by whoever prints stacks. A module is opened the
//! first time that one of its addresses is asked for, and never again; an address is looked up once, however many nodes of the
//! trie and snapshots have it. Modules are told apart by path and build id: two processes may have had two versions of one; those
//! without a build id by their process, too. What a mark carries, and what was looked up in earlier runs (`kept`), opens no file.
//!
//! Invariant: a file whose build id differs from the recorded one is never used.

use crate::model::{Frame, FrameKind, Module, Snapshot};
use crate::symbolize::contain::contained;
use crate::symbolize::jit::jit_frame;
use crate::symbolize::kept::{Answers, Kept};
use crate::symbolize::live::Live;
use crate::symbolize::meaning::{MeaningId, Meanings};
use crate::symbolize::module::{OpenModule, failure};
use crate::symbolize::python::python_frame;
use crate::symbolize::records::Record;
use crate::symbolize::separate::Places;
use crate::symbolize::{Progress, Reason, Stack, SymbolFrame};
use std::collections::HashMap;
use std::path::PathBuf;
use std::rc::Rc;

/// Where to find what the target named.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Further directories with debug files (`--debug-dir`).
    pub debug_dirs: Vec<PathBuf>,
    /// Where sources lie now: each path that starts with the first part is looked for under the second (`--source-dir`).
    pub source_dirs: Vec<(String, String)>,
    /// Leave the names of scripts as the interpreter has them, also where they are relative.
    pub as_named: bool,
    /// The target's root directory (`/proc/PID/root`), where its files are to be opened; None: ours.
    pub root: Option<PathBuf>,
    /// The target's user and group, where they are not ours: with their rights the files are opened that it names.
    pub reader: Option<(u32, u32)>,
    /// The target, where it still runs: it has files that have no name any more.
    pub live: Option<u32>,
    /// Who is told that a large file is being read.
    pub progress: Progress,
    /// Where answers are kept for the next time (`kept_directory`); None: nowhere.
    pub kept: Option<PathBuf>,
}

impl Options {
    /// Where debug files are looked for.
    pub(super) fn places(&self) -> Places {
        Places {
            debug_dirs: self.debug_dirs.clone(),
            root: self.root.clone().filter(|root| root.is_dir()),
            reader: self.reader,
            live: self.live.map(Live::new),
            progress: self.progress,
        }
    }
}

/// Meanings that are remembered from one report to the next: code that is made at run time comes under new names without end.
const MOST_MEANINGS: usize = 1 << 20;

/// A node, and what stands there.
type Seen = (Frame, MeaningId);

/// Turns frames into functions, files and lines.
#[derive(Debug)]
pub struct Symbolizer {
    options: Options,
    places: Places,
    kept: Kept,
    modules: Vec<Slot>,
    /// By path: the modules with that path, one a build id.
    by_path: HashMap<String, Vec<usize>>,
    meanings: Meanings,
    /// By module, address and what the address means: what stands there.
    known: HashMap<(usize, u64, FrameKind), MeaningId>,
    /// By process (there are two at most, as a rule) and node: what has been asked. Ids of one process never change their meaning; the
    /// frame is compared all the same.
    seen: Vec<(u64, Vec<Option<Seen>>)>,
    /// By process, code object and line: what the interpreter has said.
    scripts: HashMap<(u64, u32, u32), MeaningId>,
    /// By process and address: what the snapshots together know of code that was made at run time.
    made: HashMap<(u64, u64), MeaningId>,
}

/// A module, opened when something is asked of it that is not known yet.
#[derive(Debug)]
struct Slot {
    module: Module,
    /// The process, where nothing else tells the module from another at that path.
    process: u64,
    opened: Option<OpenModule>,
    /// What earlier runs have kept of it.
    kept: Answers,
    /// How much of that is new.
    learnt: usize,
}

impl Symbolizer {
    /// A symbolizer that has opened nothing yet.
    #[must_use]
    pub fn new(options: Options) -> Symbolizer {
        let places = options.places();
        Symbolizer {
            kept: Kept::new(options.kept.as_deref()),
            options,
            places,
            modules: Vec::new(),
            by_path: HashMap::new(),
            meanings: Meanings::default(),
            known: HashMap::new(),
            seen: Vec::new(),
            scripts: HashMap::new(),
            made: HashMap::new(),
        }
    }

    /// What it was made with.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// The whole stack of a node, innermost frame first, inlined functions as frames of their own.
    pub fn stack(&mut self, snapshot: &Snapshot, frame: u32) -> Vec<SymbolFrame> {
        snapshot
            .nodes(frame)
            .flat_map(|node| self.node(snapshot, node).to_vec())
            .collect()
    }

    /// As [`Symbolizer::stack`], nothing copied.
    pub fn shared_stack(&mut self, snapshot: &Snapshot, frame: u32) -> Stack {
        snapshot
            .nodes(frame)
            .map(|node| self.node(snapshot, node))
            .collect()
    }

    /// The frames of one node alone: more than one where functions were inlined there, none for the root.
    pub fn node(&mut self, snapshot: &Snapshot, node: u32) -> Rc<[SymbolFrame]> {
        let meaning = self.meaning(snapshot, node);
        self.meanings.frames(meaning)
    }

    /// The frames of a meaning.
    #[must_use]
    pub fn frames(&self, meaning: MeaningId) -> Rc<[SymbolFrame]> {
        self.meanings.frames(meaning)
    }

    /// What one node means: [`Symbolizer::frames`] says it.
    pub fn meaning(&mut self, snapshot: &Snapshot, node: u32) -> MeaningId {
        let Some(frame) = snapshot.frames.get(node as usize) else {
            return self.meanings.id(Rc::default());
        };
        let process = self.process(snapshot.process.identity);
        let seen = self.seen[process].1.get(node as usize);
        if let Some(&Some((same, meaning))) = seen
            && same == *frame
        {
            return meaning;
        }
        let meaning = self.resolved(snapshot, frame);
        // A later snapshot may bring another name for code that was made at run time.
        if frame.kind == FrameKind::Unknown {
            return meaning;
        }
        let nodes = &mut self.seen[process].1;
        nodes.resize(nodes.len().max(snapshot.frames.len()), None);
        nodes[node as usize] = Some((*frame, meaning));
        meaning
    }

    /// The place of a process among those that are seen.
    fn process(&mut self, identity: u64) -> usize {
        let known = self.seen.iter().position(|(held, _)| *held == identity);
        known.unwrap_or_else(|| {
            self.seen.push((identity, Vec::new()));
            self.seen.len() - 1
        })
    }

    fn resolved(&mut self, snapshot: &Snapshot, frame: &Frame) -> MeaningId {
        let reason = match frame.kind {
            FrameKind::Root | FrameKind::Thread => return self.meanings.id(Rc::default()),
            FrameKind::Native | FrameKind::NativeExact => {
                let module = frame
                    .module
                    .and_then(|id| snapshot.modules.get(id as usize));
                match module {
                    Some(module) => {
                        let id = self.slot(module, snapshot.process.identity);
                        return self.address(id, frame.value, frame.kind);
                    }
                    None => Reason::UnknownModule,
                }
            }
            FrameKind::Python => return self.python(snapshot, frame),
            FrameKind::Unknown => return self.made(snapshot, frame),
            FrameKind::Truncated => Reason::Truncated(frame.value),
            FrameKind::Full => Reason::Full,
            FrameKind::Nested => Reason::Nested,
        };
        let address = if reason.is_mark() { 0 } else { frame.value };
        self.meanings
            .id(Rc::new([SymbolFrame::unresolved(reason, address)]))
    }

    /// The interpreter has said all of it itself. It lies in no module: what runs it does, and stands in the stack where it called.
    fn python(&mut self, snapshot: &Snapshot, frame: &Frame) -> MeaningId {
        let (id, line) = frame.python().unwrap_or_default();
        let Some(code) = snapshot.codes.get(id as usize) else {
            return self.meanings.id(Rc::default());
        };
        let directory = Some(&*snapshot.process.directory).filter(|_| !self.options.as_named);
        // An earlier snapshot of the process has a beginning of the same list.
        let known = self.scripts.entry((snapshot.process.identity, id, line));
        *known.or_insert_with(|| {
            self.meanings
                .id(Rc::new([python_frame(code, line, directory)]))
        })
    }

    /// Code in no module: what makes it may have said which.
    fn made(&mut self, snapshot: &Snapshot, frame: &Frame) -> MeaningId {
        let key = (snapshot.process.identity, frame.value);
        if let Some(&meaning) = self.made.get(&key) {
            return meaning;
        }
        let directory = Some(&*snapshot.process.directory).filter(|_| !self.options.as_named);
        let name = snapshot.jit.get(&frame.value);
        self.meanings.id(Rc::new([name.map_or_else(
            || SymbolFrame::unresolved(Reason::UnknownModule, frame.value),
            |name| jit_frame(name, frame.value, directory),
        )]))
    }

    /// Takes the names that a snapshot has of code made at run time for those of the whole process, also where another snapshot knows
    /// none or others: called for one after the other, the oldest first.
    pub fn carry_made(&mut self, snapshot: &Snapshot) {
        let directory = Some(&*snapshot.process.directory).filter(|_| !self.options.as_named);
        for (&address, name) in &snapshot.jit {
            let frame = jit_frame(name, address, directory);
            let key = (snapshot.process.identity, address);
            self.made.insert(key, self.meanings.id(Rc::new([frame])));
        }
    }

    /// Takes what a snapshot's mark carries for granted.
    pub fn carry(&mut self, snapshot: &Snapshot, records: &[Record]) {
        for record in records {
            if let Some(module) = snapshot.modules.get(record.module as usize) {
                let id = self.slot(module, snapshot.process.identity);
                let key = (id, record.value, record.kind);
                let meaning = self.meanings.id(Rc::clone(&record.frames));
                self.known.insert(key, meaning);
            }
        }
    }

    /// Keeps what was looked up for the next time.
    pub fn keep(&mut self) {
        for slot in self.modules.iter_mut().filter(|slot| slot.learnt > 0) {
            slot.learnt = 0;
            self.kept.save(&slot.module.build_id, &slot.kept);
        }
    }

    /// Closes the files that are open, for one that is asked again in a while: what was looked up stays, as long as that is no more than any program has.
    pub(crate) fn rest(&mut self) {
        self.modules.iter_mut().for_each(|slot| slot.opened = None);
        if self.meanings.len() > MOST_MEANINGS {
            self.meanings = Meanings::default();
            self.known.clear();
            self.seen.clear();
            self.scripts.clear();
            self.made.clear();
        }
    }

    fn address(&mut self, id: usize, value: u64, kind: FrameKind) -> MeaningId {
        let key = (id, value, kind);
        if let Some(&meaning) = self.known.get(&key) {
            return meaning;
        }
        let slot = &mut self.modules[id];
        let kept = slot.kept.get(&(value, kind)).cloned();
        let frames = kept.unwrap_or_else(|| slot.look_up(value, kind, &self.places));
        let meaning = self.meanings.id(frames);
        self.known.insert(key, meaning);
        meaning
    }

    /// The module's number; a new one where it has none yet.
    fn slot(&mut self, module: &Module, process: u64) -> usize {
        let process = if module.build_id.is_empty() {
            process
        } else {
            0
        };
        let same = self.by_path.get(&module.path);
        let known = same.and_then(|ids| {
            let is_same = |&&id: &&usize| {
                let slot = &self.modules[id];
                slot.module.build_id == module.build_id && slot.process == process
            };
            ids.iter().find(is_same)
        });
        if let Some(&id) = known {
            return id;
        }
        let id = self.modules.len();
        self.modules.push(Slot {
            kept: self.kept.load(module),
            module: module.clone(),
            process,
            opened: None,
            learnt: 0,
        });
        let same = self.by_path.entry(module.path.clone());
        same.or_default().push(id);
        id
    }
}

impl Slot {
    /// Asks the module's files.
    fn look_up(&mut self, value: u64, kind: FrameKind, places: &Places) -> Rc<[SymbolFrame]> {
        let module = &self.module;
        let opened = self.opened.get_or_insert_with(|| {
            let opened = contained(|| OpenModule::open(module, places));
            opened.unwrap_or_else(|| OpenModule::closed(module, failure(&module.path)))
        });
        // A return address is the instruction after the call: the line is that of the byte before.
        let lookup = match kind {
            FrameKind::Native => value.saturating_sub(1),
            _ => value,
        };
        let frames = contained(|| opened.frames(lookup, value));
        let failed = frames.is_none();
        let frames = frames.unwrap_or_else(|| vec![opened.failed(value)]);
        let frames: Rc<[SymbolFrame]> = frames.into();
        if !failed && opened.may_be_kept() {
            self.kept.insert((value, kind), Rc::clone(&frames));
            self.learnt += 1;
        }
        frames
    }
}

#[cfg(test)]
impl Symbolizer {
    /// Teaches what stands at an address, so that other stages can be tested without files.
    pub(crate) fn teach(&mut self, module: &Module, value: u64, frames: &[SymbolFrame]) {
        let id = self.slot(module, 1);
        let meaning = self.meanings.id(Rc::from(frames));
        self.known.insert((id, value, FrameKind::Native), meaning);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::snapshot;
    use crate::symbolize::contain::tests::panic_after;

    /// Check that code which was made anew is called what a later snapshot says, also by a symbolizer that has named it before.
    #[test]
    fn made_code_is_named_anew() {
        let mut symbolizer = Symbolizer::new(Options::default());
        let mut snapshot = snapshot(1);
        snapshot.frames.push(Frame {
            parent: 0,
            kind: FrameKind::Unknown,
            module: None,
            value: 0x7000,
        });
        let node = u32::try_from(snapshot.frames.len() - 1).unwrap();
        for name in ["first", "second"] {
            snapshot.jit = [(0x7000, name.to_string())].into();
            symbolizer.carry_made(&snapshot);
            let frames = symbolizer.node(&snapshot, node);
            assert_eq!(frames[0].function.as_deref(), Some(name));
        }
    }

    /// The reasons of the fixture's nodes in `put` and in `malloc`, which are of two modules that are not there.
    fn reasons(symbolizer: &mut Symbolizer) -> [String; 2] {
        let snapshot = snapshot(1);
        [3, 4].map(|node| {
            let frames = symbolizer.node(&snapshot, node);
            frames[0].reason.as_ref().unwrap().to_string()
        })
    }

    const FAILED: &str = "cannot read server: heapshim failed on it, which is a defect of its own";

    /// Check that a panic while a module is opened is the reason of its frames, and that the next module is read as ever.
    #[test]
    fn panic_at_a_module() {
        let mut symbolizer = Symbolizer::new(Options::default());
        panic_after(0);
        let expected = [FAILED, "libheapshim.so is gone"];
        assert_eq!(reasons(&mut symbolizer), expected);
        assert_eq!(reasons(&mut symbolizer), expected);
    }

    /// Check that a panic at one address is the reason of that address alone, and is not met again.
    #[test]
    fn panic_at_an_address() {
        let mut symbolizer = Symbolizer::new(Options::default());
        panic_after(1);
        let expected = [FAILED, "libheapshim.so is gone"];
        assert_eq!(reasons(&mut symbolizer), expected);
        assert_eq!(reasons(&mut symbolizer), expected);
        let main = &symbolizer.node(&snapshot(1), 2)[0];
        assert_eq!(main.reason, Some(Reason::FileMissing("server".to_string())));
        assert_eq!(main.module.as_deref(), Some("/nowhere/server"));
    }
}
