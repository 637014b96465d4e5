//! Lines and inlined functions, by DWARF 2 to 5.
//!
//! Called by `module`, one [`Dwarf`] a module. `addr2line` does the lookup; what is ours is what it is given: only the
//! sections that a lookup needs, the supplementary file of `dwz`, and the parts of split DWARF (`split`).

use crate::symbolize::Language;
use crate::symbolize::elf::{Damage, Elf};
use crate::symbolize::progress::{Line, Progress};
use crate::symbolize::split::Split;
use crate::symbolize::wrapper::{Signature, Units, signature};
use addr2line::{LookupContinuation, LookupResult};
use gimli::{EndianRcSlice, RunTimeEndian, SectionId};
use std::cell::Cell;
use std::rc::Rc;

pub(super) type Bytes = EndianRcSlice<RunTimeEndian>;

/// Inlined frames at one address; deeper is damage. 2,000 template levels have not been seen, 60 have.
const MAX_INLINED: usize = 512;

/// One function at an address, innermost first: the inlined one before the one that it is inlined in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// Linkage name, or plain name.
    pub(crate) function: Option<String>,
    /// Of the compilation unit.
    pub(crate) language: Language,
    /// As addr2line joined it: compilation directory, directory, name.
    pub(crate) file: Option<String>,
    /// Never 0.
    pub(crate) line: Option<u32>,
    /// The function's entry in its unit.
    pub(crate) entry: Option<gimli::UnitOffset>,
}

/// A module's debug information.
pub(crate) struct Dwarf {
    context: addr2line::Context<Bytes>,
    split: Split,
    /// True where some of it was not to be found: what it says may be less than there is.
    lacks_parts: Cell<bool>,
    units: Units,
}

impl std::fmt::Debug for Dwarf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dwarf").finish_non_exhaustive()
    }
}

impl Dwarf {
    /// Reads the debug sections of `elf`; `shared` is the file that its `.gnu_debugaltlink` names.
    pub(crate) fn read(
        elf: &Elf,
        shared: Option<&Elf>,
        split: Split,
        progress: Progress,
    ) -> Result<Dwarf, Damage> {
        let mut line = begin(elf, shared, progress);
        let mut section = |elf, id: SectionId| load(elf, id, Some(id.name()), &mut |n| line.add(n));
        let mut dwarf = gimli::Dwarf::load(|id| section(elf, id))?;
        if let Some(shared) = shared {
            dwarf.load_sup(|id| section(shared, id))?;
        }
        dwarf.populate_abbreviations_cache(gimli::AbbreviationsCacheStrategy::Duplicates);
        let context = addr2line::Context::from_dwarf(dwarf).map_err(|e| e.to_string())?;
        Ok(Dwarf {
            context,
            split,
            lacks_parts: Cell::new(false),
            units: Units::default(),
        })
    }

    /// True where a part of it was not to be found so far.
    pub(crate) fn lacks_parts(&self) -> bool {
        self.lacks_parts.get()
    }

    /// The functions at an address; empty where the debug information does not cover it.
    pub(crate) fn places(&self, address: u64) -> Result<Vec<Place>, Damage> {
        let mut lookup = self.context.find_frames(address);
        let mut frames = loop {
            match lookup {
                LookupResult::Output(frames) => break frames.map_err(|e| e.to_string())?,
                LookupResult::Load { load, continuation } => {
                    let part = self.split.load(&load);
                    self.lacks_parts.set(self.lacks_parts() || part.is_none());
                    lookup = continuation.resume(part);
                }
            }
        };
        let mut places = Vec::new();
        while let Some(frame) = frames.next().map_err(|e| e.to_string())? {
            if places.len() == MAX_INLINED {
                return Err("inlined too deeply".to_string());
            }
            places.push(place(&frame));
        }
        places.retain(|place| place.function.is_some() || place.line.is_some());
        inherit_language(&mut places, self.language_at(address));
        Ok(places)
    }

    /// What a place's function is declared to be, where it may be a mere wrapper of an allocator.
    pub(crate) fn signature(&self, address: u64, place: &Place) -> Option<Signature> {
        let unit = self.context.find_dwarf_and_unit(address).skip_all_loads()?;
        signature(unit, &self.units, place.entry?)
    }

    fn language_at(&self, address: u64) -> Option<Language> {
        let unit = self.context.find_dwarf_and_unit(address).skip_all_loads()?;
        let mut entries = unit.entries();
        let root = entries.next_dfs().ok()??;
        match root.attr_value(gimli::DW_AT_language)? {
            gimli::AttributeValue::Language(language) => Some(language_of(language)),
            _ => None,
        }
    }
}

/// The line that tells how far the sections of a module are read.
fn begin(elf: &Elf, shared: Option<&Elf>, progress: Progress) -> Line {
    let bytes = SECTIONS
        .iter()
        .flat_map(|id| [Some(elf), shared].map(|elf| (id, elf)));
    let bytes = bytes.map(|(id, elf)| elf.map_or(0, |elf| elf.section_size(id.name())));
    let name = elf.path.file_name().unwrap_or_default().to_string_lossy();
    progress.begin(&name, bytes.sum())
}

/// A section by its name; empty where it is not there or no lookup needs it. `read` is told its size.
pub(super) fn load(
    elf: &Elf,
    id: SectionId,
    name: Option<&str>,
    read: &mut dyn FnMut(u64),
) -> Result<Bytes, Damage> {
    let bytes = section(elf, name.filter(|_| is_needed(id)))?;
    read(bytes.len() as u64);
    Ok(bytes)
}

/// A section by its name; empty where it is not there.
pub(super) fn section(elf: &Elf, name: Option<&str>) -> Result<Bytes, Damage> {
    let bytes = name.map(|name| elf.section(name)).transpose()?.flatten();
    let bytes = bytes.unwrap_or_default();
    Ok(EndianRcSlice::new(bytes, RunTimeEndian::Little))
}

/// A section that is not there.
pub(super) fn nothing() -> Bytes {
    EndianRcSlice::new(Rc::default(), RunTimeEndian::Little)
}

/// What `gimli::Dwarf::load` asks for, as far as it is needed.
const SECTIONS: [SectionId; 9] = [
    SectionId::DebugAbbrev,
    SectionId::DebugAddr,
    SectionId::DebugAranges,
    SectionId::DebugInfo,
    SectionId::DebugLine,
    SectionId::DebugLineStr,
    SectionId::DebugRanges,
    SectionId::DebugRngLists,
    SectionId::DebugStr,
];

/// Variables, macros and types are most of some files, and are not asked for.
fn is_needed(id: SectionId) -> bool {
    !matches!(
        id,
        SectionId::DebugLoc
            | SectionId::DebugLocLists
            | SectionId::DebugMacinfo
            | SectionId::DebugMacro
            | SectionId::DebugNames
            | SectionId::DebugTypes
    )
}

fn place(frame: &addr2line::Frame<'_, Bytes>) -> Place {
    let function = frame.function.as_ref();
    let name = function.and_then(|f| f.raw_name().ok());
    let location = frame.location.as_ref();
    let file = location.and_then(|location| location.file);
    Place {
        function: name.filter(|n| !n.is_empty()).map(|n| n.into_owned()),
        language: function
            .and_then(|f| f.language)
            .map_or(Language::Unknown, language_of),
        file: file.filter(|name| is_file(name)).map(plain_path),
        line: location
            .and_then(|location| location.line)
            .filter(|&line| line > 0),
        entry: frame.dw_die_offset,
    }
}

/// Compilers name what no file holds `<built-in>`, `<artificial>` or nothing at all.
fn is_file(name: &str) -> bool {
    let last = name.rsplit('/').next().unwrap_or(name);
    !last.is_empty() && !last.starts_with('<') && last != "??"
}

/// The path without `.` and `x/..`: the same file is then the same name from every unit.
fn plain_path(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|&last| last != "..") => {
                parts.pop();
            }
            ".." if path.starts_with('/') => {}
            part => parts.push(part),
        }
    }
    let root = if path.starts_with('/') { "/" } else { "" };
    format!("{root}{}", parts.join("/"))
}

/// A unit has one language, but a frame without a function name came without it.
fn inherit_language(places: &mut [Place], language: Option<Language>) {
    let known = places
        .iter()
        .map(|place| place.language)
        .find(|&l| l != Language::Unknown);
    let Some(language) = known.or(language) else {
        return;
    };
    for place in places {
        if place.language == Language::Unknown {
            place.language = language;
        }
    }
}

fn language_of(language: gimli::DwLang) -> Language {
    match language {
        gimli::DW_LANG_C
        | gimli::DW_LANG_C89
        | gimli::DW_LANG_C99
        | gimli::DW_LANG_C11
        | gimli::DW_LANG_C17 => Language::C,
        gimli::DW_LANG_C_plus_plus
        | gimli::DW_LANG_C_plus_plus_03
        | gimli::DW_LANG_C_plus_plus_11
        | gimli::DW_LANG_C_plus_plus_14
        | gimli::DW_LANG_C_plus_plus_17
        | gimli::DW_LANG_C_plus_plus_20 => Language::Cpp,
        gimli::DW_LANG_Rust => Language::Rust,
        gimli::DW_LANG_Python => Language::Python,
        _ => Language::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Check that a path is told by its parts, and that nothing climbs above the root.
    #[test]
    fn paths_become_plain() {
        assert_eq!(plain_path("/p/build/../src/./x.c"), "/p/src/x.c");
        assert_eq!(plain_path("/../x.c"), "/x.c");
        assert_eq!(plain_path("../a/../x.c"), "../x.c");
        assert_eq!(plain_path("/a//b/x.c"), "/a/b/x.c");
    }

    /// Check that what compilers write for "no file" is none.
    #[test]
    fn built_in_is_no_file() {
        assert!(!is_file("/p/<built-in>"));
        assert!(!is_file("/p/<artificial>"));
        assert!(!is_file(""));
        assert!(is_file("/p/a<b>.c"));
    }

    /// Check that a frame without a name speaks its unit's language.
    #[test]
    fn language_is_the_units() {
        let nameless = Place {
            function: None,
            language: Language::Unknown,
            file: None,
            line: Some(3),
            entry: None,
        };
        let mut places = vec![nameless];
        inherit_language(&mut places, Some(Language::C));
        assert_eq!(places[0].language, Language::C);
    }
}
