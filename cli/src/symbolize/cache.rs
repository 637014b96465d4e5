//! The symbolizer: which module, which address, asked once.
//!
//! Called by `diff` (lazily: `blame` needs few frames of most stacks) and by whoever prints stacks. A module is opened the
//! first time that one of its addresses is asked for, and never again; an address is looked up once, however many nodes of the
//! trie and snapshots have it. Modules are told apart by path and build id: two processes may have had two versions of one.
//!
//! Invariant: a file whose build id differs from the recorded one is never used.

use crate::model::{Frame, FrameKind, Module, Snapshot};
use crate::symbolize::contain::contained;
use crate::symbolize::demangle::demangle;
use crate::symbolize::dwarf::{Dwarf, Place};
use crate::symbolize::elf::{Elf, OpenError};
use crate::symbolize::open::resolve_in;
use crate::symbolize::python::python_frame;
use crate::symbolize::separate::{Places, Wanted, has_lines};
use crate::symbolize::symbols::Symbols;
use crate::symbolize::{Language, Reason, SymbolFrame};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
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

/// A module, opened as far as that was possible.
#[derive(Debug)]
struct OpenModule {
    path: String,
    build_id: Vec<u8>,
    dwarf: Option<Dwarf>,
    symbols: Vec<Symbols>,
    /// Why there are no lines, where there are none.
    reason: Reason,
}

impl Symbolizer {
    /// A symbolizer that has opened nothing yet.
    #[must_use]
    pub fn new(options: Options) -> Symbolizer {
        let places = Places {
            debug_dirs: options.debug_dirs.clone(),
            root: options.root.clone().filter(|root| root.is_dir()),
        };
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

impl OpenModule {
    /// A module of which nothing is read, for this reason.
    fn closed(module: &Module, reason: Reason) -> OpenModule {
        OpenModule {
            path: module.path.clone(),
            build_id: module.build_id.clone(),
            dwarf: None,
            symbols: Vec::new(),
            reason,
        }
    }

    /// The frame of an address that we panicked at.
    fn failed(&self, address: u64) -> SymbolFrame {
        let mut frame = SymbolFrame::unresolved(failure(&self.path), address);
        frame.module = Some(self.path.clone());
        frame
    }

    fn open(module: &Module, places: &Places) -> OpenModule {
        let name = base_name(&module.path);
        let mut opened = OpenModule::closed(module, Reason::NoDebugInformation(name.clone()));
        if module.path.starts_with('[') {
            opened.reason = Reason::Kernel(name);
            return opened;
        }
        let own = open_own(module, places, &name);
        if let Err(reason) = &own {
            opened.reason = reason.clone();
        }
        opened.read(own.as_ref().ok(), places, &name);
        opened
    }

    /// Takes lines and symbols from the module's own file and from its debug file, whichever are there.
    fn read(&mut self, own: Option<&Elf>, places: &Places, name: &str) {
        let wanted = Wanted {
            path: Path::new(&self.path),
            build_id: &self.build_id,
            elf: own,
        };
        let separate = match own {
            Some(elf) if has_lines(elf) => None,
            _ => places.find(&wanted),
        };
        if let Some(elf) = separate.as_ref().or(own)
            && has_lines(elf)
        {
            let shared = places.find_shared(elf);
            match Dwarf::read(elf, shared.as_ref(), places.root.as_deref()) {
                Ok(dwarf) => self.dwarf = Some(dwarf),
                Err(why) => self.reason = Reason::Unreadable(name.to_string(), why),
            }
        }
        for elf in separate.iter().chain(own) {
            self.read_symbols(elf, name);
        }
    }

    fn read_symbols(&mut self, elf: &Elf, name: &str) {
        for (table, strings) in [(".symtab", ".strtab"), (".dynsym", ".dynstr")] {
            if !elf.has_section(table) {
                continue;
            }
            match Symbols::read(elf, table, strings) {
                Ok(symbols) => self.symbols.push(symbols),
                Err(why) if self.dwarf.is_none() => {
                    self.reason = Reason::Unreadable(name.to_string(), why);
                }
                Err(_) => {}
            }
        }
    }

    /// What stands at `lookup`; each frame gets `address`.
    fn frames(&self, lookup: u64, address: u64) -> Vec<SymbolFrame> {
        let places = match self.dwarf.as_ref().map(|dwarf| dwarf.places(lookup)) {
            Some(Ok(places)) if !places.is_empty() => places,
            Some(Err(why)) => {
                let reason = Reason::Unreadable(base_name(&self.path), why);
                return vec![self.by_symbol(lookup, address, Some(reason))];
            }
            _ => return vec![self.by_symbol(lookup, address, None)],
        };
        let outermost = places.len() - 1;
        let each = places.into_iter().enumerate();
        each.map(|(at, place)| {
            let mut frame = self.by_place(place, address);
            frame.inlined = at < outermost;
            if !frame.inlined {
                self.complete_name(&mut frame, lookup);
            }
            frame
        })
        .collect()
    }

    /// Compilers give no linkage name to what no other unit sees: `hidden` is then `(anonymous namespace)::hidden` in the
    /// symbol table alone.
    fn complete_name(&self, frame: &mut SymbolFrame, lookup: u64) {
        let Some(plain) = frame.function.take() else {
            return self.name_by_symbol(frame, lookup);
        };
        if frame.language == Language::Cpp && !plain.contains("::") {
            self.name_by_symbol(frame, lookup);
            let scoped = format!("::{plain}");
            frame.function.take_if(|name| !name.ends_with(&scoped));
        }
        frame.function.get_or_insert(plain);
    }

    fn by_place(&self, place: Place, address: u64) -> SymbolFrame {
        let named = place.function.map(|name| demangle(&name, place.language));
        let language = named.as_ref().map_or(place.language, |named| named.1);
        let known = place.file.is_some() && place.line.is_some();
        SymbolFrame {
            file: place.file,
            line: place.line,
            function: named.map(|named| named.0),
            module: Some(self.path.clone()),
            address,
            language,
            reason: (!known).then(|| Reason::NoLine(base_name(&self.path))),
            inlined: false,
        }
    }

    fn by_symbol(&self, lookup: u64, address: u64, reason: Option<Reason>) -> SymbolFrame {
        let mut frame = SymbolFrame::unresolved(self.reason.clone(), address);
        frame.module = Some(self.path.clone());
        self.name_by_symbol(&mut frame, lookup);
        let name = base_name(&self.path);
        frame.reason = Some(match (&self.reason, &frame.function) {
            _ if reason.is_some() => reason.unwrap_or(Reason::UnknownModule),
            _ if self.dwarf.is_some() => Reason::NoLine(name),
            (Reason::NoDebugInformation(_), None) => Reason::Stripped(name),
            (reason, _) => reason.clone(),
        });
        frame
    }

    fn name_by_symbol(&self, frame: &mut SymbolFrame, lookup: u64) {
        let found = self.symbols.iter().find_map(|table| table.find(lookup));
        if let Some(name) = found {
            let (name, language) = demangle(name, frame.language);
            frame.function = Some(name);
            frame.language = language;
        }
    }
}

/// The module's own file, if it is the one that was loaded.
fn open_own(module: &Module, places: &Places, name: &str) -> Result<Elf, Reason> {
    // Relative to a directory that is not ours.
    if !module.path.starts_with('/') {
        return Err(Reason::FileMissing(name.to_string()));
    }
    let path = resolve_in(places.root.as_deref(), Path::new(&module.path));
    let elf = Elf::open(&path).map_err(|error| match error {
        OpenError::Missing => Reason::FileMissing(name.to_string()),
        OpenError::Damaged(why) => Reason::Unreadable(name.to_string(), why),
    })?;
    // What was loaded without a build id cannot be told from its successor: its file is taken as it is.
    if !module.build_id.is_empty() && elf.build_id != module.build_id {
        return Err(Reason::BuildIdMismatch(name.to_string()));
    }
    Ok(elf)
}

/// Why a module or an address of it has nothing, where reading it panicked.
fn failure(path: &str) -> Reason {
    let why = "heapshim failed on it, which is a defect of its own";
    Reason::Unreadable(base_name(path), why.to_string())
}

fn base_name(path: &str) -> String {
    path.rsplit('/').next().unwrap_or(path).to_string()
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
