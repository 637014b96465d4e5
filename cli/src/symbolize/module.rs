//! One module, opened: its own file, its debug file, its symbols, and what they say of an address.
//!
//! Called by `cache`. Looked for, in this order: the file at the module's path in the target's root; while the target runs, the file
//! that it has mapped though it is deleted or replaced; a debug file of the same build id, wherever that lies (`separate`). Lines come from
//! whichever has them; names from DWARF, `.symtab`, `.gnu_debugdata`, `.dynsym`, and from the target's memory where no file is left.
//!
//! Invariant: a file whose build id differs from the recorded one is never used.

use crate::model::Module;
use crate::symbolize::demangle::demangle;
use crate::symbolize::dwarf::{Dwarf, Place};
use crate::symbolize::elf::{Elf, OpenError};
use crate::symbolize::image::{Image, VDSO};
use crate::symbolize::inflate::unxz;
use crate::symbolize::live;
use crate::symbolize::open::resolve_in;
use crate::symbolize::separate::{Found, Places, Wanted, has_lines};
use crate::symbolize::split::Split;
use crate::symbolize::symbols::Symbols;
use crate::symbolize::wrapper::{self, Code};
use crate::symbolize::{Language, Reason, SymbolFrame};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The symbol tables of a file.
const TABLES: [(&str, &str); 2] = [(".symtab", ".strtab"), (".dynsym", ".dynstr")];

/// An ELF file, xz-compressed, with a `.symtab` of what the stripped file around it does not export.
const MINI: &str = ".gnu_debugdata";

/// A module, opened as far as that was possible.
#[derive(Debug)]
pub(super) struct OpenModule {
    path: String,
    build_id: Vec<u8>,
    dwarf: Option<Dwarf>,
    symbols: Vec<Symbols>,
    /// The module's own code, where there are lines to it.
    code: Option<Code>,
    /// Why there are no lines, where there are none.
    reason: Reason,
    /// Why lines are missing though there are some.
    lacking: Option<Reason>,
    /// True where the lines come from files that only root or we could have written, outside the target's own root.
    is_ours: bool,
}

impl OpenModule {
    /// A module of which nothing is read, for this reason.
    pub(super) fn closed(module: &Module, reason: Reason) -> OpenModule {
        OpenModule {
            path: module.path.clone(),
            build_id: module.build_id.clone(),
            dwarf: None,
            symbols: Vec::new(),
            code: None,
            reason,
            lacking: None,
            is_ours: false,
        }
    }

    /// The frame of an address that we panicked at.
    pub(super) fn failed(&self, address: u64) -> SymbolFrame {
        let mut frame = SymbolFrame::unresolved(failure(&self.path), address);
        frame.module = Some(self.path.clone());
        frame
    }

    /// Opens whatever there is of a module.
    pub(super) fn open(module: &Module, places: &Places) -> OpenModule {
        let name = base_name(&module.path);
        if module.path == VDSO {
            return OpenModule::kernels(module, places, name);
        }
        let mut opened = OpenModule::closed(module, Reason::NoDebugInformation(name.clone()));
        let own = open_own(module, places, &name);
        if let Err(reason) = &own {
            opened.reason = reason.clone();
        }
        opened.read(own.as_ref().ok(), places, &name);
        if own.is_err() && opened.symbols.is_empty() {
            let live = places.live.as_ref().and_then(|live| live.image(module));
            opened.symbols.extend(named_by(live, module));
        }
        let has_lines = opened.dwarf.is_some();
        opened.code = own.ok().filter(|_| has_lines).map(Code::new);
        opened
    }

    /// The kernel's object is no file, but it lies in every process, and in all of a machine it is the same.
    fn kernels(module: &Module, places: &Places, name: String) -> OpenModule {
        let mut opened = OpenModule::closed(module, Reason::Kernel(name));
        let live = places.live.as_ref().and_then(|live| live.image(module));
        let symbols = named_by(live, module).or_else(|| named_by(live::own_vdso(), module));
        opened.symbols.extend(symbols);
        opened
    }

    /// Takes lines and symbols from the module's own file and from its debug file, whichever are there.
    fn read(&mut self, own: Option<&Elf>, places: &Places, name: &str) {
        let wanted = Wanted {
            path: Path::new(&self.path),
            build_id: &self.build_id,
            elf: own,
        };
        let found = match own {
            Some(elf) if has_lines(elf) => Found::default(),
            _ => places.find(&wanted),
        };
        if let (Reason::NoDebugInformation(_), Some(refused)) = (&self.reason, found.refused) {
            self.reason = Reason::WrongDebugFile(name.to_string(), refused);
        }
        let separate = found.elf;
        if let Some(elf) = separate.as_ref().or(own).filter(|elf| has_lines(elf)) {
            self.read_lines(elf, places, name);
        }
        for elf in separate.iter().chain(own) {
            self.read_symbols(elf, name);
        }
    }

    fn read_lines(&mut self, elf: &Elf, places: &Places, name: &str) {
        let link = elf.shared_link.as_ref();
        let shared = link.and_then(|link| places.find_shared(elf, link));
        self.lacking = link.filter(|_| shared.is_none()).map(|link| {
            let why = format!("its shared debug file {} is not there", link.path.display());
            Reason::Unreadable(name.to_string(), why)
        });
        self.is_ours = [Some(elf), shared.as_ref()]
            .into_iter()
            .flatten()
            .all(is_ours);
        let split = Split::new(Path::new(&self.path), elf, places);
        match Dwarf::read(elf, shared.as_ref(), split, places.progress) {
            Ok(dwarf) => self.dwarf = Some(dwarf),
            Err(why) => self.reason = Reason::Unreadable(name.to_string(), why),
        }
    }

    fn read_symbols(&mut self, elf: &Elf, name: &str) {
        for (table, strings) in TABLES {
            self.read_table(elf, table, strings, name);
            if table == ".symtab" && elf.has_section(MINI) {
                self.read_inside(elf, name);
            }
        }
    }

    fn read_inside(&mut self, elf: &Elf, name: &str) {
        let stored = elf.section(MINI).map(Option::unwrap_or_default);
        let inside = stored.and_then(|stored| unxz(&stored));
        match inside.and_then(|bytes| Elf::inside(&elf.path, bytes)) {
            Ok(inside) => self.read_table(&inside, ".symtab", ".strtab", name),
            Err(why) => self.note_unreadable(name, format!("section {MINI}: {why}")),
        }
    }

    fn read_table(&mut self, elf: &Elf, table: &str, strings: &str, name: &str) {
        if !elf.has_section(table) {
            return;
        }
        match Symbols::read(elf, table, strings) {
            Ok(symbols) => self.symbols.push(symbols),
            Err(why) => self.note_unreadable(name, why),
        }
    }

    /// What a damaged symbol table lacks is missed only where there are no lines.
    fn note_unreadable(&mut self, name: &str, why: String) {
        if self.dwarf.is_none() {
            self.reason = Reason::Unreadable(name.to_string(), why);
        }
    }

    /// True where another process of ours may be told the same of this module, by its build id alone: all that there is to know was
    /// there, in files that nobody but us and root can have made.
    pub(super) fn may_be_kept(&self) -> bool {
        let is_whole = |dwarf: &Dwarf| self.lacking.is_none() && !dwarf.lacks_parts();
        self.is_ours && self.dwarf.as_ref().is_some_and(is_whole)
    }

    /// What stands at `lookup`; each frame gets `address`.
    pub(super) fn frames(&self, lookup: u64, address: u64) -> Vec<SymbolFrame> {
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
            let wrapper = self.is_wrapper(&place, lookup, address);
            let mut frame = self.by_place(place, address);
            (frame.wrapper, frame.inlined) = (wrapper, at < outermost);
            if !frame.inlined {
                self.complete_name(&mut frame, lookup);
            }
            frame
        })
        .collect()
    }

    /// Whether the function of a place, which calls what returns to `address`, does nothing else.
    fn is_wrapper(&self, place: &Place, lookup: u64, address: u64) -> bool {
        let is_c = matches!(place.language, Language::C | Language::Cpp);
        // An exact address is not behind a call.
        if !is_c || lookup == address {
            return false;
        }
        let signature = self
            .dwarf
            .as_ref()
            .and_then(|dwarf| dwarf.signature(lookup, place));
        let (Some(signature), Some(code)) = (signature, &self.code) else {
            return false;
        };
        wrapper::passes_on(code, &signature, address)
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
            reason: (!known).then(|| self.no_line()),
            inlined: false,
            wrapper: false,
        }
    }

    fn by_symbol(&self, lookup: u64, address: u64, reason: Option<Reason>) -> SymbolFrame {
        let mut frame = SymbolFrame::unresolved(self.reason.clone(), address);
        frame.module = Some(self.path.clone());
        self.name_by_symbol(&mut frame, lookup);
        let name = base_name(&self.path);
        frame.reason = Some(match (&self.reason, &frame.function) {
            _ if reason.is_some() => reason.unwrap_or(Reason::UnknownModule),
            _ if self.dwarf.is_some() => self.no_line(),
            (Reason::NoDebugInformation(_), None) => Reason::Stripped(name),
            (reason, _) => reason.clone(),
        });
        frame
    }

    /// Why there is no line though the module has some.
    fn no_line(&self) -> Reason {
        let lacking = self.lacking.clone();
        lacking.unwrap_or_else(|| Reason::NoLine(base_name(&self.path)))
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

/// The module's own file, if it is the one that was loaded: at its path, else as the running target has it.
pub(super) fn open_own(module: &Module, places: &Places, name: &str) -> Result<Elf, Reason> {
    let named = open_named(module, places, name);
    let Some(live) = &places.live else {
        return named;
    };
    // Without a build id, a file cannot be told from its successor but by the mapping.
    let is_successor = module.build_id.is_empty() && live.is_deleted(module);
    let named = match named {
        Ok(elf) if !is_successor => return Ok(elf),
        Ok(_) => Err(Reason::FileMissing(name.to_string())),
        Err(reason) => Err(reason),
    };
    let files = live.files(module);
    let mut opened = files.iter().filter_map(|path| Elf::open(path).ok());
    let mapped = opened.find(|elf| is_the_module(elf, module));
    mapped.map_or(named, Ok)
}

fn open_named(module: &Module, places: &Places, name: &str) -> Result<Elf, Reason> {
    // Relative to a directory that is not ours.
    if !module.path.starts_with('/') {
        return Err(Reason::FileMissing(name.to_string()));
    }
    let path = resolve_in(places.root.as_deref(), Path::new(&module.path));
    let elf = places.open(&path).map_err(|error| match error {
        OpenError::Missing => Reason::FileMissing(name.to_string()),
        OpenError::Damaged(why) => Reason::Unreadable(name.to_string(), why),
    })?;
    match is_the_module(&elf, module) {
        true => Ok(elf),
        false => Err(Reason::BuildIdMismatch(name.to_string())),
    }
}

/// What was loaded without a build id is taken as it is.
fn is_the_module(elf: &Elf, module: &Module) -> bool {
    module.build_id.is_empty() || elf.build_id == module.build_id
}

/// The names in memory, if it is this module that lies there.
fn named_by(image: Option<Image>, module: &Module) -> Option<Symbols> {
    let image = image.filter(|image| image.build_id == module.build_id)?;
    Some(image.symbols)
}

/// True for a file that nobody but us and root can have written. What is reached through /proc (a target's root, its mappings) is the
/// target's to choose.
fn is_ours(elf: &Elf) -> bool {
    let us = rustix::process::geteuid().as_raw();
    let is_ours =
        |meta: std::fs::Metadata| [0, us].contains(&meta.uid()) && meta.mode() & 0o002 == 0;
    !elf.path.starts_with("/proc") && elf.metadata().is_some_and(is_ours)
}

/// Why a module or an address of it has nothing, where reading it panicked.
pub(super) fn failure(path: &str) -> Reason {
    let why = "heapshim failed on it, which is a defect of its own";
    Reason::Unreadable(base_name(path), why.to_string())
}

pub(super) fn base_name(path: &str) -> String {
    path.rsplit('/').next().unwrap_or(path).to_string()
}
