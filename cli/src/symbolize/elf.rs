//! An ELF file as symbolization needs it: its identity, and its sections on demand.
//!
//! Called by `module`, `separate` and `dwarf`. The headers are read through `object`, once; a section's bytes only when asked for,
//! and then decompressed. Nothing is mapped, and each size is checked against the file before memory is taken for it. A section
//! of hundreds of MiB is in memory once: it is inflated into its own place, and what was compressed is dropped.
//!
//! Not here: what the sections mean (`dwarf`, `symbols`).

use crate::symbolize::inflate::inflate;
use crate::symbolize::open::open_as;
use object::{CompressionFormat, Object, ObjectSection, ReadCache, ReadRef};
use std::fs::{File, Metadata};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// No section is read that is larger than this, on disk or decompressed: the largest seen in the wild (a browser's
/// `.debug_info`) has about 2.5 GiB, and 32-bit DWARF ends at 4.
pub(super) const MAX_SECTION: u64 = 4 << 30;

/// More sections than this are refused: objects with one section a function have many, linked modules have about 40.
const MAX_SECTIONS: usize = 1 << 16;

const SHRANK: &str = "the file shrank while it was read";

/// Why a file is of no use: a few words, to follow the file's name.
pub(crate) type Damage = String;

/// A section's place in its file.
#[derive(Clone, Debug)]
struct Section {
    name: String,
    format: CompressionFormat,
    /// Where it is loaded, before the module's bias is added.
    address: u64,
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

/// Where an ELF file's bytes are.
#[derive(Debug)]
enum Source {
    File(File),
    Bytes(Rc<[u8]>),
}

impl Source {
    fn read_at(&self, space: &mut [u8], offset: u64) -> std::io::Result<usize> {
        match self {
            Source::File(file) => file.read_at(space, offset),
            Source::Bytes(bytes) => {
                let rest = usize::try_from(offset).ok().and_then(|at| bytes.get(at..));
                let rest = rest.unwrap_or_default();
                let count = rest.len().min(space.len());
                space[..count].copy_from_slice(&rest[..count]);
                Ok(count)
            }
        }
    }
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
    source: Source,
    size: u64,
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
        Elf::open_as(None, path)
    }

    /// The same with the rights of who named the file; None: our own.
    pub(crate) fn open_as(reader: Option<(u32, u32)>, path: &Path) -> Result<Elf, OpenError> {
        let file = open_as(reader, path).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory => OpenError::Missing,
            _ => OpenError::Damaged(error.to_string()),
        })?;
        Elf::read(path, file).map_err(OpenError::Damaged)
    }

    fn read(path: &Path, file: File) -> Result<Elf, Damage> {
        let size = file.metadata().map_err(|e| e.to_string())?.len();
        let cache = ReadCache::new(file.try_clone().map_err(|e| e.to_string())?);
        let object = object::File::parse(&cache).map_err(|e| e.to_string())?;
        Elf::of(path, &object, Source::File(file), size)
    }

    /// An ELF file that lies within another, at `path`.
    pub(crate) fn inside(path: &Path, bytes: Rc<[u8]>) -> Result<Elf, Damage> {
        let size = bytes.len() as u64;
        let source = Source::Bytes(Rc::clone(&bytes));
        let object = object::File::parse(&*bytes).map_err(|e| e.to_string())?;
        Elf::of(path, &object, source, size)
    }

    fn of<'data, R: ReadRef<'data>>(
        path: &Path,
        object: &object::File<'data, R>,
        source: Source,
        size: u64,
    ) -> Result<Elf, Damage> {
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
            size,
            sections: sections(object)?,
            source,
        })
    }

    /// What the system says of the file; None for one within another.
    pub(crate) fn metadata(&self) -> Option<Metadata> {
        match &self.source {
            Source::File(file) => file.metadata().ok(),
            Source::Bytes(_) => None,
        }
    }

    /// True where the section is there and has bytes in the file.
    pub(crate) fn has_section(&self, name: &str) -> bool {
        self.find(name).is_some_and(|section| section.size > 0)
    }

    /// How many bytes a section has, decompressed; 0 where there is none.
    pub(crate) fn section_size(&self, name: &str) -> u64 {
        self.find(name).map_or(0, |section| section.size)
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
        let inflated = inflate(section.format, &stored, section.size);
        let inflated = inflated.map_err(|why| format!("section {}: {why}", section.name));
        inflated.map(Some)
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
        let inside = end.is_some_and(|end| end <= self.size);
        if !inside || section.stored_size > MAX_SECTION {
            return Err(format!("section {} does not fit the file", section.name));
        }
        let size = usize::try_from(section.stored_size).map_err(|e| e.to_string())?;
        filled(size, |space| self.fill(space, section.offset))
    }

    fn fill(&self, mut space: &mut [u8], mut offset: u64) -> Result<(), Damage> {
        while !space.is_empty() {
            let read = self.source.read_at(space, offset);
            let count = read.map_err(|e| e.to_string())?;
            if count == 0 {
                return Err(SHRANK.to_string());
            }
            space = &mut space[count..];
            offset = offset.saturating_add(count as u64);
        }
        Ok(())
    }

    /// Reads the bytes that sections have from an address on; returns how far they reach. What lies between two is 0.
    pub(crate) fn loaded(&self, address: u64, space: &mut [u8]) -> usize {
        let mut reach = 0;
        let is_loaded = |one: &&Section| one.address > 0 && one.format == CompressionFormat::None;
        for section in self.sections.iter().filter(is_loaded) {
            let skipped = address.saturating_sub(section.address);
            let begin = usize::try_from(section.address.saturating_sub(address));
            let left = usize::try_from(section.stored_size.saturating_sub(skipped));
            let (Ok(begin), Ok(left)) = (begin, left) else {
                continue;
            };
            let end = begin.saturating_add(left).min(space.len());
            if begin < end {
                let from = section.offset.saturating_add(skipped);
                let filled = self.fill(&mut space[begin..end], from);
                reach = reach.max(filled.map_or(0, |()| end));
            }
        }
        reach
    }

    /// CRC-32 of the whole file, as `.gnu_debuglink` has it.
    pub(crate) fn crc(&self) -> Result<u32, Damage> {
        let mut hasher = crc32fast::Hasher::new();
        let mut block = vec![0; 1 << 16];
        let mut offset = 0;
        while offset < self.size {
            let read = self.source.read_at(&mut block, offset);
            let count = read.map_err(|e| e.to_string())?;
            if count == 0 {
                return Err(SHRANK.to_string());
            }
            hasher.update(&block[..count]);
            offset += count as u64;
        }
        Ok(hasher.finalize())
    }
}

/// So many bytes, which `fill` writes in place: nothing is there twice.
pub(super) fn filled(
    size: usize,
    fill: impl FnOnce(&mut [u8]) -> Result<(), Damage>,
) -> Result<Rc<[u8]>, Damage> {
    let mut bytes: Rc<[u8]> = std::iter::repeat_n(0, size).collect();
    let space = Rc::get_mut(&mut bytes).ok_or("not the only owner")?;
    fill(space)?;
    Ok(bytes)
}

fn to_path(bytes: &[u8]) -> PathBuf {
    PathBuf::from(std::ffi::OsStr::from_bytes(bytes))
}

fn sections<'data, R: ReadRef<'data>>(
    object: &object::File<'data, R>,
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
            address: section.address(),
            offset: range.offset,
            stored_size: range.compressed_size,
            size: range.uncompressed_size,
        });
    }
    Ok(found)
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
}
