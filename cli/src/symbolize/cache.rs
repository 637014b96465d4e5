//! The symbolizer: which module, which address, asked once.
//!
//! Called by `diff` (lazily: `blame` needs few frames of most stacks) and by whoever prints stacks. A module is opened the
//! first time that one of its addresses is asked for, and never again; an address is looked up once, however many nodes of the
//! trie and snapshots have it. Modules are told apart by path and build id: two processes may have had two versions of one.
//!
//! Invariant: a file whose build id differs from the recorded one is never used.

use crate::model::{Frame, FrameKind, Module, Snapshot};
use crate::symbolize::contain::contained;
use crate::symbolize::live::Live;
use crate::symbolize::module::{OpenModule, failure};
use crate::symbolize::python::python_frame;
use crate::symbolize::separate::Places;
use crate::symbolize::{Progress, Reason, SymbolFrame};
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
    /// The target, where it still runs: it has files that have no name any more.
    pub live: Option<u32>,
    /// Who is told that a large file is being read.
    pub progress: Progress,
}

impl Options {
    /// Where debug files are looked for.
    pub(super) fn places(&self) -> Places {
        Places {
            debug_dirs: self.debug_dirs.clone(),
            root: self.root.clone().filter(|root| root.is_dir()),
            live: self.live.map(Live::new),
            progress: self.progress,
        }
    }
}

/// Turns frames into functions, files and lines.
#[derive(Debug)]
pub struct Symbolizer {
    options: Options,
    places: Places,
    modules: Vec<OpenModule>,
    /// By path: the modules with that path, one a build id.
    by_path: HashMap<String, Vec<usize>>,
    /// By module, address and what the address means: what stands there.
    known: HashMap<(usize, u64, FrameKind), Rc<[SymbolFrame]>>,
}

impl Symbolizer {
    /// A symbolizer that has opened nothing yet.
    #[must_use]
    pub fn new(options: Options) -> Symbolizer {
        let places = options.places();
        Symbolizer {
            options,
            places,
            modules: Vec::new(),
            by_path: HashMap::new(),
            known: HashMap::new(),
        }
    }

    /// What it was made with.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// The whole stack of a node, innermost frame first, inlined functions as frames of their own.
    pub fn stack(&mut self, snapshot: &Snapshot, frame: u32) -> Vec<SymbolFrame> {
        nodes(snapshot, frame)
            .flat_map(|node| self.node(snapshot, node).to_vec())
            .collect()
    }

    /// The frames of one node alone: more than one where functions were inlined there, none for the root.
    pub fn node(&mut self, snapshot: &Snapshot, node: u32) -> Rc<[SymbolFrame]> {
        let Some(frame) = snapshot.frames.get(node as usize) else {
            return Rc::default();
        };
        let reason = match frame.kind {
            FrameKind::Root => return Rc::default(),
            FrameKind::Native | FrameKind::NativeExact => {
                let module = frame
                    .module
                    .and_then(|id| snapshot.modules.get(id as usize));
                match module {
                    Some(module) => return self.address(module, frame.value, frame.kind),
                    None => Reason::UnknownModule,
                }
            }
            FrameKind::Python => return self.python(snapshot, frame),
            FrameKind::Unknown => Reason::UnknownModule,
            FrameKind::Truncated => Reason::Truncated(frame.value),
            FrameKind::Full => Reason::Full,
            FrameKind::Nested => Reason::Nested,
        };
        let address = if reason.is_mark() { 0 } else { frame.value };
        Rc::new([SymbolFrame::unresolved(reason, address)])
    }

    /// The interpreter has said all of it itself. It lies in no module: what runs it does, and stands in the stack where it called.
    fn python(&self, snapshot: &Snapshot, frame: &Frame) -> Rc<[SymbolFrame]> {
        let (id, line) = frame.python().unwrap_or_default();
        let Some(code) = snapshot.codes.get(id as usize) else {
            return Rc::default();
        };
        let directory = Some(&*snapshot.process.directory).filter(|_| !self.options.as_named);
        Rc::new([python_frame(code, line, directory)])
    }

    fn address(&mut self, module: &Module, value: u64, kind: FrameKind) -> Rc<[SymbolFrame]> {
        let id = self.module(module);
        // A return address is the instruction after the call: the line is that of the byte before.
        let lookup = match kind {
            FrameKind::Native => value.saturating_sub(1),
            _ => value,
        };
        let key = (id, value, kind);
        if let Some(frames) = self.known.get(&key) {
            return Rc::clone(frames);
        }
        let module = &self.modules[id];
        let frames = contained(|| module.frames(lookup, value));
        let frames = frames.unwrap_or_else(|| vec![module.failed(value)]);
        let frames: Rc<[SymbolFrame]> = frames.into();
        self.known.insert(key, Rc::clone(&frames));
        frames
    }

    /// The module's number, opening it the first time.
    fn module(&mut self, module: &Module) -> usize {
        let same = self.by_path.get(&module.path);
        let known = same.and_then(|ids| {
            ids.iter()
                .copied()
                .find(|&id| self.modules[id].build_id == module.build_id)
        });
        if let Some(id) = known {
            return id;
        }
        let id = self.modules.len();
        let opened = contained(|| OpenModule::open(module, &self.places));
        let opened = opened.unwrap_or_else(|| {
            let reason = failure(&module.path);
            OpenModule::closed(module, reason)
        });
        self.modules.push(opened);
        self.by_path
            .entry(module.path.clone())
            .or_default()
            .push(id);
        id
    }
}

/// The nodes of a stack, innermost first, without the root. Ends also where the trie is damaged: a parent comes before its
/// children.
pub(crate) fn nodes(snapshot: &Snapshot, frame: u32) -> impl Iterator<Item = u32> + '_ {
    let parent = |&node: &u32| {
        let parent = snapshot.frames.get(node as usize)?.parent;
        (parent < node && parent != 0).then_some(parent)
    };
    std::iter::successors(Some(frame).filter(|&node| node != 0), parent)
}

#[cfg(test)]
impl Symbolizer {
    /// Teaches what stands at an address, so that other stages can be tested without files.
    pub(crate) fn teach(&mut self, module: &Module, value: u64, frames: &[SymbolFrame]) {
        let id = self.module(module);
        self.known
            .insert((id, value, FrameKind::Native), Rc::from(frames));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::snapshot;
    use crate::symbolize::contain::tests::panic_after;

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
