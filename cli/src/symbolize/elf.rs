//! An ELF file as symbolization needs it: its identity, and its sections on demand.
//!
//! Called by `cache` and `separate`. The headers are read through `object`, once; a section's bytes only when asked for, and
//! then decompressed. Nothing is mapped, and each size is checked against the file before memory is taken for it.
//!
//! Not here: what the sections mean (`dwarf`, `symbols`).

use crate::symbolize::open::open_regular;
use object::{CompressedData, CompressionFormat, Object, ObjectSection, ReadCache};
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// No section is read that is larger than this, on disk or decompressed: the largest seen in the wild (a browser's
/// `.debug_info`) has about 2.5 GiB, and 32-bit DWARF ends at 4.
const MAX_SECTION: u64 = 4 << 30;

/// More sections than this are refused: objects with one section a function have many, linked modules have about 40.
const MAX_SECTIONS: usize = 1 << 16;

/// zlib cannot make more of a byte than this; a header that claims more lies.
const MAX_ZLIB_RATIO: u64 = 1032;

/// Why a file is of no use: a few words, to follow the file's name.
pub(crate) type Damage = String;

/// A section's place in its file.
#[derive(Clone, Debug)]
struct Section {
    name: String,
    format: CompressionFormat,
    offset: u64,
    stored_size: u64,
    size: u64,
}

/// Where the rest of the debug information is, as a file names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DebugLink {
    /// A file name, without directory.
    pub(crate) name: PathBuf,
    /// CRC-32 of that file.
    pub(crate) crc: u32,
}

/// The file with what several debug files share (made by `dwz`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SharedLink {
    /// Path, relative to the directory of the file that names it.
    pub(crate) path: PathBuf,
    /// Its build id.
    pub(crate) build_id: Vec<u8>,
}

/// An opened ELF file.
#[derive(Debug)]
pub(crate) struct Elf {
    /// Where it was opened.
    pub(crate) path: PathBuf,
    /// Its GNU build id; empty where it has none.
    pub(crate) build_id: Vec<u8>,
    /// `.gnu_debuglink`.
    pub(crate) debug_link: Option<DebugLink>,
    /// `.gnu_debugaltlink`.
    pub(crate) shared_link: Option<SharedLink>,
    file: File,
    file_size: u64,
    sections: Vec<Section>,
}

/// Why [`Elf::open`] did not.
#[derive(Debug)]
pub(crate) enum OpenError {
    /// There is no such file.
    Missing,
    /// There is, but it cannot be used.
    Damaged(Damage),
}

impl Elf {
    /// Opens a file and reads its headers.
    pub(crate) fn open(path: &Path) -> Result<Elf, OpenError> {
        let file = open_regular(path).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory => OpenError::Missing,
            _ => OpenError::Damaged(error.to_string()),
        })?;
        Elf::read(path, file).map_err(OpenError::Damaged)
    }

    fn read(path: &Path, file: File) -> Result<Elf, Damage> {
        let file_size = file.metadata().map_err(|e| e.to_string())?.len();
        let cache = ReadCache::new(file.try_clone().map_err(|e| e.to_string())?);
        let object = object::File::parse(&cache).map_err(|e| e.to_string())?;
        if !object.is_64() || !object.is_little_endian() {
            return Err("not a 64-bit little-endian ELF file".to_string());
        }
        let link = object.gnu_debuglink().ok().flatten();
        let shared = object.gnu_debugaltlink().ok().flatten();
        Ok(Elf {
            path: path.to_path_buf(),
            build_id: object.build_id().ok().flatten().unwrap_or(&[]).to_vec(),
            debug_link: link.map(|(name, crc)| DebugLink {
                name: to_path(name),
                crc,
            }),
            shared_link: shared.map(|(path, build_id)| SharedLink {
                path: to_path(path),
                build_id: build_id.to_vec(),
            }),
            file_size,
            sections: sections(&object)?,
            file,
        })
    }

    /// True where the section is there and has bytes in the file.
    pub(crate) fn has_section(&self, name: &str) -> bool {
        self.find(name).is_some_and(|section| section.size > 0)
    }

    /// A section's bytes, decompressed; None where there is none.
    pub(crate) fn section(&self, name: &str) -> Result<Option<Rc<[u8]>>, Damage> {
        let Some(section) = self.find(name) else {
            return Ok(None);
        };
        let stored = self.stored(section)?;
        if section.format == CompressionFormat::None {
            return Ok(Some(stored));
        }
        inflate(section, &stored).map(Some)
    }

    /// `.debug_x`, or `.zdebug_x` as older linkers called it compressed.
    fn find(&self, name: &str) -> Option<&Section> {
        let old = name.strip_prefix(".debug_");
        self.sections.iter().find(|section| {
            section.name == name || (old.is_some() && section.name.strip_prefix(".zdebug_") == old)
        })
    }

    fn stored(&self, section: &Section) -> Result<Rc<[u8]>, Damage> {
        let end = section.offset.checked_add(section.stored_size);
        let inside = end.is_some_and(|end| end <= self.file_size);
        if !inside || section.stored_size > MAX_SECTION {
            return Err(format!("section {} does not fit the file", section.name));
        }
        let size = usize::try_from(section.stored_size).map_err(|e| e.to_string())?;
        let mut bytes: Rc<[u8]> = std::iter::repeat_n(0, size).collect();
        let Some(space) = Rc::get_mut(&mut bytes) else {
            return Err("not the only owner".to_string());
        };
        self.file
            .read_exact_at(space, section.offset)
            .map_err(|e| e.to_string())?;
        Ok(bytes)
    }

    /// CRC-32 of the whole file, as `.gnu_debuglink` has it.
    pub(crate) fn crc(&self) -> Result<u32, Damage> {
        let mut hasher = crc32fast::Hasher::new();
        let mut block = vec![0; 1 << 16];
        let mut offset = 0;
        while offset < self.file_size {
            let count = self
                .file
                .read_at(&mut block, offset)
                .map_err(|e| e.to_string())?;
            if count == 0 {
                return Err("the file shrank while it was read".to_string());
            }
            hasher.update(&block[..count]);
            offset += count as u64;
        }
        Ok(hasher.finalize())
    }
}

fn to_path(bytes: &[u8]) -> PathBuf {
    PathBuf::from(std::ffi::OsStr::from_bytes(bytes))
}

fn sections<'data>(
    object: &object::File<'data, &'data ReadCache<File>>,
) -> Result<Vec<Section>, Damage> {
    let mut found = Vec::new();
    for section in object.sections() {
        if found.len() == MAX_SECTIONS {
            return Err("too many sections".to_string());
        }
        let Ok(range) = section.compressed_file_range() else {
            continue;
        };
        let Ok(name) = section.name() else { continue };
        found.push(Section {
            name: name.to_string(),
            format: range.format,
            offset: range.offset,
            stored_size: range.compressed_size,
            size: range.uncompressed_size,
        });
    }
    Ok(found)
}

fn inflate(section: &Section, stored: &[u8]) -> Result<Rc<[u8]>, Damage> {
    let zlib_lies = section.format == CompressionFormat::Zlib
        && section.size / MAX_ZLIB_RATIO > section.stored_size;
    if section.size > MAX_SECTION || zlib_lies {
        return Err(format!(
            "section {} claims an impossible size",
            section.name
        ));
    }
    let data = CompressedData {
        format: section.format,
        data: stored,
        uncompressed_size: section.size,
    };
    let bytes = data.decompress().map_err(|e| e.to_string())?;
    Ok(Rc::from(bytes.into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Scratch;

    /// Check that a file that is no ELF file, an empty one and a missing one are told apart.
    #[test]
    fn rubbish_is_damage_and_nothing_is_missing() {
        let scratch = Scratch::new("elf-rubbish");
        let text = scratch.write("text", b"this is no module");
        let empty = scratch.write("empty", b"");
        assert!(matches!(Elf::open(&text), Err(OpenError::Damaged(_))));
        assert!(matches!(Elf::open(&empty), Err(OpenError::Damaged(_))));
        let missing = scratch.path().join("missing");
        assert!(matches!(Elf::open(&missing), Err(OpenError::Missing)));
    }

    /// Check that this very test's file has an identity and a symbol table.
    #[test]
    fn own_executable_opens() {
        let elf = Elf::open(&std::env::current_exe().unwrap()).unwrap();
        assert!(elf.has_section(".symtab"));
        assert!(elf.section(".symtab").unwrap().is_some());
        assert!(elf.section(".no_such_section").unwrap().is_none());
    }

    /// Check that a section that claims to inflate to more than zlib can is refused before memory is taken.
    #[test]
    fn impossible_inflation_is_refused() {
        let section = Section {
            name: ".debug_info".to_string(),
            format: CompressionFormat::Zlib,
            offset: 0,
            stored_size: 8,
            size: 1 << 30,
        };
        assert!(inflate(&section, &[0; 8]).is_err());
    }
}
