//! A module as it lies in a process's memory: its build id, and the names that it exports.
//!
//! Called by `live`, for what is no file (the vdso) and for files that are gone. Read through `/proc/PID/mem`, a few tables, each
//! bounded and each inside the module; what is not there, or makes no sense, gives None. Section headers are not loaded: all is
//! found through the program headers and the dynamic section (System V gABI, "Program Loading and Dynamic Linking").

use crate::symbolize::symbols::Symbols;
use object::LittleEndian;
use object::elf::FileHeader64;
use object::read::elf::{GnuHashTable, HashTable};
use std::fs::File;
use std::os::unix::fs::FileExt;

/// How the kernel's own object is called.
pub(crate) const VDSO: &str = "[vdso]";

/// More than any table of names that was seen: a browser's exports have 40 MiB.
const MAX_TABLE: u64 = 64 << 20;

/// Program headers, and entries of the dynamic section: about 12 and 35 in what linkers write.
const MAX_ENTRIES: u64 = 1024;

const PT_LOAD: u64 = 1;
const PT_DYNAMIC: u64 = 2;
const PT_NOTE: u64 = 4;
const DT_HASH: u64 = 4;
const DT_STRTAB: u64 = 5;
const DT_SYMTAB: u64 = 6;
const DT_STRSZ: u64 = 10;
const DT_GNU_HASH: u64 = 0x6fff_fef5;
const NT_GNU_BUILD_ID: u64 = 3;

/// `sizeof` of Elf64_Phdr, Elf64_Dyn, Elf64_Sym.
const PHDR: u16 = 56;
const DYN: u16 = 16;
const SYM: u64 = 24;

/// What memory tells of a module.
#[derive(Debug)]
pub(crate) struct Image {
    /// Its GNU build id; empty where it has none.
    pub(crate) build_id: Vec<u8>,
    /// What it exports.
    pub(crate) symbols: Symbols,
}

impl Image {
    /// The module whose file header is mapped at `start`, and of which nothing lies at `end` or past it.
    pub(crate) fn read(memory: &File, start: u64, end: u64) -> Option<Image> {
        let memory = Memory { memory, start, end };
        let header = memory.bytes(start, 64)?;
        if header.get(..4)? != b"\x7fELF" {
            return None;
        }
        let (offset, count) = (number(&header, 32, 8)?, number(&header, 56, 2)?);
        let size = count.min(MAX_ENTRIES) * u64::from(PHDR);
        let headers = memory.bytes(start.checked_add(offset)?, size)?;
        let segments = Segments(headers);
        let bias = start.wrapping_sub(segments.first(PT_LOAD)?.address);
        let notes = segments.all(PT_NOTE);
        let mut notes =
            notes.filter_map(|note| memory.bytes(bias.wrapping_add(note.address), note.size));
        let dynamic = segments.first(PT_DYNAMIC)?;
        let size = dynamic.size.min(MAX_ENTRIES * u64::from(DYN));
        let dynamic = memory.bytes(bias.wrapping_add(dynamic.address), size)?;
        Some(Image {
            build_id: notes.find_map(|note| build_id(&note)).unwrap_or_default(),
            symbols: Dynamic { dynamic, bias }.symbols(&memory)?,
        })
    }
}

/// A module's part of a process's memory.
#[derive(Clone, Copy)]
struct Memory<'a> {
    memory: &'a File,
    start: u64,
    end: u64,
}

impl Memory<'_> {
    /// Exactly so many bytes.
    fn bytes(&self, at: u64, size: u64) -> Option<Vec<u8>> {
        let bytes = self.up_to(at, size)?;
        (bytes.len() as u64 == size).then_some(bytes)
    }

    /// At most so many bytes: as many as are mapped.
    fn up_to(&self, at: u64, size: u64) -> Option<Vec<u8>> {
        let size = size.min(MAX_TABLE).min(self.end.checked_sub(at)?);
        if at < self.start {
            return None;
        }
        let mut bytes = vec![0; usize::try_from(size).ok()?];
        let mut done = 0;
        while let Some(rest) = bytes.get_mut(done..).filter(|rest| !rest.is_empty()) {
            match self.memory.read_at(rest, at + done as u64) {
                Ok(0) | Err(_) => break,
                Ok(count) => done += count,
            }
        }
        bytes.truncate(done);
        Some(bytes)
    }
}

/// One program header.
#[derive(Clone, Copy)]
struct Segment {
    kind: u64,
    address: u64,
    size: u64,
}

struct Segments(Vec<u8>);

impl Segments {
    fn all(&self, kind: u64) -> impl Iterator<Item = Segment> + '_ {
        let each = self.0.chunks_exact(PHDR.into()).filter_map(|header| {
            Some(Segment {
                kind: number(header, 0, 4)?,
                address: number(header, 16, 8)?,
                size: number(header, 40, 8)?,
            })
        });
        each.filter(move |segment| segment.kind == kind)
    }

    fn first(&self, kind: u64) -> Option<Segment> {
        self.all(kind).next()
    }
}

/// The dynamic section.
struct Dynamic {
    dynamic: Vec<u8>,
    bias: u64,
}

impl Dynamic {
    fn value(&self, tag: u64) -> Option<u64> {
        let mut entries = self.dynamic.chunks_exact(DYN.into());
        let found = entries.find(|entry| number(entry, 0, 8) == Some(tag))?;
        number(found, 8, 8)
    }

    /// The loader has added the bias to these in most modules; not in the vdso, which it cannot write to.
    fn address(&self, tag: u64, memory: &Memory<'_>) -> Option<u64> {
        let value = self.value(tag)?;
        let is_inside = |at: u64| (memory.start..memory.end).contains(&at);
        [value, self.bias.wrapping_add(value)]
            .into_iter()
            .find(|&at| is_inside(at))
    }

    fn symbols(&self, memory: &Memory<'_>) -> Option<Symbols> {
        let names = memory.bytes(self.address(DT_STRTAB, memory)?, self.value(DT_STRSZ)?)?;
        let size = self.count(memory)?.checked_mul(SYM)?;
        let records = memory.up_to(self.address(DT_SYMTAB, memory)?, size)?;
        Some(Symbols::new(&records, names.into()))
    }

    /// Only the hash tables tell how many symbols there are.
    fn count(&self, memory: &Memory<'_>) -> Option<u64> {
        let table = |tag| memory.up_to(self.address(tag, memory)?, MAX_TABLE);
        if let Some(bytes) = table(DT_HASH) {
            let hash = HashTable::<FileHeader64<LittleEndian>>::parse(LittleEndian, &bytes).ok()?;
            return Some(hash.symbol_table_length().into());
        }
        let bytes = table(DT_GNU_HASH)?;
        let hash = GnuHashTable::<FileHeader64<LittleEndian>>::parse(LittleEndian, &bytes).ok()?;
        hash.symbol_table_length(LittleEndian).map(u64::from)
    }
}

/// The GNU build id among the notes of a segment: name size, size, kind, name, contents, each in steps of 4.
fn build_id(mut notes: &[u8]) -> Option<Vec<u8>> {
    loop {
        let size = |at| usize::try_from(number(notes, at, 4)?).ok();
        let (name, contents) = (size(0)?, size(4)?);
        let begin = 12 + name.checked_next_multiple_of(4)?;
        let end = begin.checked_add(contents)?;
        let found = notes.get(begin..end)?;
        let is_gnu = notes.get(12..12 + name)? == b"GNU\0";
        if is_gnu && number(notes, 8, 4)? == NT_GNU_BUILD_ID {
            return Some(found.to_vec());
        }
        notes = notes.get(end.checked_next_multiple_of(4)?..)?;
    }
}

/// A little-endian number of `size` bytes.
fn number(bytes: &[u8], at: usize, size: usize) -> Option<u64> {
    let bytes = bytes.get(at..at.checked_add(size)?)?;
    let shifted = bytes.iter().rev();
    Some(shifted.fold(0, |sum, &byte| sum << 8 | u64::from(byte)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{Random, Scratch};

    /// Check that a build id is found behind another note, and that notes that run past their end give none.
    #[test]
    fn notes() {
        let mut notes = vec![4, 0, 0, 0, 5, 0, 0, 0, 1, 0, 0, 0];
        notes.extend(b"GNU\0abcde\0\0\0");
        notes.extend([4, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0]);
        notes.extend(b"GNU\0\x07\x08");
        assert_eq!(build_id(&notes), Some(vec![7, 8]));
        for len in 0..notes.len() {
            assert_eq!(build_id(&notes[..len]), None, "{len}");
        }
        assert_eq!(build_id(&[255; 64]), None);
    }

    /// Check that no bytes of a hostile target's memory make it panic, take much memory, or not end.
    #[test]
    fn hostile_memory() {
        let own = super::super::live::own_vdso();
        assert!(own.is_some());
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let line = maps.lines().find(|line| line.ends_with(VDSO)).unwrap();
        let start = u64::from_str_radix(line.split('-').next().unwrap(), 16).unwrap();
        let mut whole = vec![0; 0x2000];
        let memory = File::open("/proc/self/mem").unwrap();
        memory.read_exact_at(&mut whole, start).unwrap();
        let scratch = Scratch::new("image-hostile");
        let mut random = Random(11);
        let mut below = |limit: usize| random.below(limit);
        for _ in 0..300 {
            let mut bytes = whole.clone();
            for _ in 0..=below(30) {
                let len = [0x400, bytes.len()][below(2)];
                let at = below(len);
                bytes[at] = [0, 1, 0x7f, 0x80, 0xff][below(5)];
            }
            let file = File::open(scratch.write("memory", &bytes)).unwrap();
            let image = Image::read(&file, 0, bytes.len() as u64);
            let _name = image.as_ref().and_then(|image| image.symbols.find(0x800));
        }
    }
}
