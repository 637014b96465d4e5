//! What a loaded object's program headers say: its range, its unwind section, its build id, its symbols.
//!
//! Called when an object is first met (`modules`), and at start-up to find the next allocator (`objects`). Reads only memory that
//! the program headers of a loaded object describe; an object on whose code the caller stands cannot be unloaded meanwhile.

use core::ffi::CStr;

/// A loaded object's program headers and where it was loaded. Format: System V gABI, "Program Header".
#[derive(Clone, Copy, Debug)]
pub(crate) struct Image<'a> {
    /// Run-time address − address in the file.
    pub(crate) bias: usize,
    headers: &'a [libc::Elf64_Phdr],
}

/// A range of run-time addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Range {
    /// First address.
    pub(crate) start: usize,
    /// First address past it.
    pub(crate) end: usize,
}

impl Range {
    /// True where `address` lies inside.
    pub(crate) fn contains(&self, address: usize) -> bool {
        (self.start..self.end).contains(&address)
    }
}

/// A GNU build id, at most 32 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BuildId {
    /// The bytes, padded with zeros.
    pub(crate) bytes: [u8; 32],
    /// How many there are.
    pub(crate) len: u32,
}

/// Longest note section that is searched for a build id: it is among the first notes.
const NOTES: usize = 4096;

impl<'a> Image<'a> {
    /// Takes program headers as the loader gives them.
    pub(crate) fn new(bias: usize, headers: &'a [libc::Elf64_Phdr]) -> Image<'a> {
        Image { bias, headers }
    }

    /// The image whose ELF header is mapped at `start`, as it is for every object whose first segment begins the file.
    ///
    /// # Safety
    /// The caller promises that a loaded object's first segment begins at `start` and stays mapped for `'a`.
    pub(crate) unsafe fn at(start: usize) -> Option<Image<'a>> {
        let header = core::ptr::with_exposed_provenance::<libc::Elf64_Ehdr>(start);
        // SAFETY: a segment is at least a page, and an ELF header is smaller.
        let header = unsafe { header.as_ref() }?;
        let [a, b, c, d, ..] = header.e_ident;
        let (offset, count) = (
            usize::try_from(header.e_phoff).ok()?,
            usize::from(header.e_phnum),
        );
        let fits = offset
            .checked_add(count * size_of::<libc::Elf64_Phdr>())
            .is_some_and(|end| end <= 4096);
        if [a, b, c, d] != *b"\x7fELF"
            || usize::from(header.e_phentsize) != size_of::<libc::Elf64_Phdr>()
            || !fits
        {
            return None;
        }
        let first = core::ptr::with_exposed_provenance::<libc::Elf64_Phdr>(start + offset);
        // SAFETY: the headers lie in the first page of the segment, as checked.
        let headers = unsafe { core::slice::from_raw_parts(first, count) };
        let load = headers
            .iter()
            .find(|header| header.p_type == libc::PT_LOAD)?;
        let address = usize::try_from(load.p_vaddr.checked_sub(load.p_offset)?).ok()?;
        Some(Image {
            bias: start.wrapping_sub(address),
            headers,
        })
    }

    /// The headers as they were given.
    pub(crate) fn headers(&self) -> &'a [libc::Elf64_Phdr] {
        self.headers
    }

    fn segments(&self, kind: u32) -> impl Iterator<Item = Range> + use<'a> {
        self.segments_that(move |header| header.p_type == kind)
    }

    fn segments_that<F: Fn(&libc::Elf64_Phdr) -> bool>(
        &self,
        is_wanted: F,
    ) -> impl Iterator<Item = Range> + use<'a, F> {
        let bias = self.bias;
        self.headers
            .iter()
            .filter(move |header| is_wanted(header))
            .filter_map(move |header| {
                let start = bias.wrapping_add(usize::try_from(header.p_vaddr).ok()?);
                Some(Range {
                    start,
                    end: start.checked_add(usize::try_from(header.p_memsz).ok()?)?,
                })
            })
    }

    /// What the object may write: its variables.
    pub(crate) fn data(&self) -> impl Iterator<Item = Range> + use<'a> {
        self.segments_that(|header| {
            header.p_type == libc::PT_LOAD && header.p_flags & libc::PF_W != 0
        })
    }

    /// From the first to the last loaded address.
    pub(crate) fn range(&self) -> Option<Range> {
        let start = self
            .segments(libc::PT_LOAD)
            .map(|range| range.start)
            .min()?;
        let end = self.segments(libc::PT_LOAD).map(|range| range.end).max()?;
        Some(Range {
            start: start & !4095,
            end,
        })
    }

    /// True where `address` lies in a loaded segment.
    pub(crate) fn contains(&self, address: usize) -> bool {
        self.segments(libc::PT_LOAD)
            .any(|range| range.contains(address))
    }

    /// `.eh_frame_hdr`, from its first byte to the end of the segment that holds it.
    pub(crate) fn unwind_section(&self) -> Option<Range> {
        let (segment, header) = self.unwind_segment()?;
        Some(Range {
            start: header,
            end: segment.end,
        })
    }

    /// The segment that holds the unwind tables, and where `.eh_frame_hdr` begins. gold puts `.eh_frame` in front of that.
    pub(crate) fn unwind_segment(&self) -> Option<(Range, usize)> {
        let header = self.segments(libc::PT_GNU_EH_FRAME).next()?.start;
        let mut segments = self.segments(libc::PT_LOAD);
        Some((segments.find(|range| range.contains(header))?, header))
    }

    /// The dynamic section.
    pub(crate) fn dynamic(&self) -> Option<Range> {
        self.segments(libc::PT_DYNAMIC).next()
    }

    /// The GNU build id.
    pub(crate) fn build_id(&self) -> Option<BuildId> {
        self.segments(libc::PT_NOTE)
            .filter(|notes| self.contains(notes.start))
            .find_map(|notes| {
                let len = (notes.end - notes.start).min(NOTES);
                let first = core::ptr::with_exposed_provenance::<u8>(notes.start);
                // SAFETY: a PT_NOTE that lies in a loaded segment is mapped and readable.
                find_build_id(unsafe { core::slice::from_raw_parts(first, len) })
            })
    }
}

/// Notes are (name length, description length, type, name, description), each padded to four bytes (gABI, "Note Section").
fn find_build_id(mut notes: &[u8]) -> Option<BuildId> {
    const NT_GNU_BUILD_ID: u32 = 3;
    loop {
        let (head, rest) = notes.split_first_chunk::<12>()?;
        let word = |at: usize| Some(u32::from_ne_bytes(*head.get(at..)?.first_chunk::<4>()?));
        let (name_len, len, kind) = (word(0)? as usize, word(4)? as usize, word(8)?);
        let (name, rest) = rest.split_at_checked(name_len.checked_next_multiple_of(4)?)?;
        if kind == NT_GNU_BUILD_ID && name.starts_with(b"GNU\0") {
            let id = rest.get(..len.min(32))?;
            let mut bytes = [0u8; 32];
            bytes.iter_mut().zip(id).for_each(|(to, from)| *to = *from);
            return Some(BuildId {
                bytes,
                len: u32::try_from(id.len()).ok()?,
            });
        }
        notes = rest.get(len.checked_next_multiple_of(4)?..)?;
    }
}

/// A dynamic symbol (gABI, "Symbol Table").
pub(crate) type Symbol = libc::Elf64_Sym;

/// The dynamic symbols of a loaded object, found through its hash table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Symbols {
    symbols: *const Symbol,
    strings: *const u8,
    versions: *const u16,
    hash: HashTable,
    bias: usize,
}

/// Where a hash table's parts lie. An object has one of them, or both.
#[derive(Clone, Copy, Debug)]
struct HashTable {
    kind: HashKind,
    buckets: *const u32,
    bucket_count: u32,
    chains: *const u32,
}

#[derive(Clone, Copy, Debug)]
enum HashKind {
    /// DT_GNU_HASH (binutils, bfd/elflink.c): chains begin with this symbol.
    Gnu { first: u32 },
    /// DT_HASH (gABI, "Hash Table"): as many chains as symbols.
    SystemV { symbols: u32 },
}

impl HashTable {
    fn of(image: &Image<'_>) -> Option<HashTable> {
        const DT_GNU_HASH: usize = 0x6fff_fef5;
        const DT_HASH: usize = 4;
        let at = |tag| dynamic_entry(image, tag).map(core::ptr::with_exposed_provenance::<u32>);
        match at(DT_GNU_HASH) {
            Some(table) => Some(HashTable::gnu(table)),
            None => at(DT_HASH).map(HashTable::system_v),
        }
    }

    fn gnu(table: *const u32) -> HashTable {
        // SAFETY: the table begins with four words: buckets, first symbol, words of the Bloom filter, its shift.
        let [bucket_count, first, bloom_words, _] = unsafe { table.cast::<[u32; 4]>().read() };
        let buckets = table.wrapping_add(4 + 2 * bloom_words as usize);
        HashTable {
            kind: HashKind::Gnu { first },
            buckets,
            bucket_count,
            chains: buckets.wrapping_add(bucket_count as usize),
        }
    }

    fn system_v(table: *const u32) -> HashTable {
        // SAFETY: the table begins with two words: buckets, chains.
        let [bucket_count, symbols] = unsafe { table.cast::<[u32; 2]>().read() };
        let buckets = table.wrapping_add(2);
        HashTable {
            kind: HashKind::SystemV { symbols },
            buckets,
            bucket_count,
            chains: buckets.wrapping_add(bucket_count as usize),
        }
    }

    /// The first symbol that may have this name and that `is_it` knows.
    fn find(&self, name: &CStr, is_it: impl Fn(u32) -> bool) -> Option<u32> {
        match self.kind {
            HashKind::Gnu { first } => self.find_gnu(first, gnu_hash(name), is_it),
            HashKind::SystemV { symbols } => {
                self.find_system_v(symbols, system_v_hash(name), is_it)
            }
        }
    }

    fn bucket(&self, hash: u32) -> Option<u32> {
        let bucket = hash.checked_rem(self.bucket_count)? as usize;
        // SAFETY: `bucket` is below the number of buckets.
        Some(unsafe { self.buckets.wrapping_add(bucket).read() })
    }

    fn find_gnu(&self, first: u32, hash: u32, is_it: impl Fn(u32) -> bool) -> Option<u32> {
        let mut index = self.bucket(hash)?;
        if index < first {
            return None;
        }
        loop {
            // SAFETY: a chain runs from its bucket's symbol to the one whose lowest bit is set.
            let link = unsafe { self.chains.wrapping_add((index - first) as usize).read() };
            if link | 1 == hash | 1 && is_it(index) {
                return Some(index);
            }
            if link & 1 == 1 {
                return None;
            }
            index += 1;
        }
    }

    fn find_system_v(&self, symbols: u32, hash: u32, is_it: impl Fn(u32) -> bool) -> Option<u32> {
        let mut index = self.bucket(hash)?;
        // A chain is no longer than there are symbols, and ends with symbol 0.
        for _ in 0..symbols {
            if index == 0 || index >= symbols {
                return None;
            }
            if is_it(index) {
                return Some(index);
            }
            // SAFETY: below the number of chains.
            index = unsafe { self.chains.wrapping_add(index as usize).read() };
        }
        None
    }
}

fn gnu_hash(name: &CStr) -> u32 {
    let bytes = name.to_bytes().iter();
    bytes.fold(5381u32, |hash, &byte| {
        hash.wrapping_mul(33).wrapping_add(byte.into())
    })
}

fn system_v_hash(name: &CStr) -> u32 {
    name.to_bytes().iter().fold(0u32, |hash, &byte| {
        let hash = (hash << 4).wrapping_add(byte.into());
        let high = hash & 0xf000_0000;
        (hash ^ high >> 24) & !high
    })
}

impl Symbols {
    /// Reads the tables that the dynamic section names; None where there is no hash table.
    pub(crate) fn of(image: &Image<'_>) -> Option<Symbols> {
        const DT_VERSYM: usize = 0x6fff_fff0;
        let (strings, symbols) = (dynamic_entry(image, 5)?, dynamic_entry(image, 6)?);
        let versions = dynamic_entry(image, DT_VERSYM).unwrap_or(0);
        Some(Symbols {
            symbols: core::ptr::with_exposed_provenance(symbols),
            strings: core::ptr::with_exposed_provenance(strings),
            versions: core::ptr::with_exposed_provenance(versions),
            hash: HashTable::of(image)?,
            bias: image.bias,
        })
    }

    /// The run-time address of a symbol that the object defines in its default version. An indirect function is resolved.
    pub(crate) fn find(&self, name: &CStr) -> Option<usize> {
        self.index_of(name).map(|index| self.address(index))
    }

    /// The run-time addresses of a function that the object defines, as far as it lies in one piece.
    pub(crate) fn code_of(&self, name: &CStr) -> Option<Range> {
        let index = self.index_of(name)?;
        let (start, len) = (self.address(index), self.symbol(index).st_size);
        let end = start.checked_add(usize::try_from(len).ok()?)?;
        Some(Range { start, end })
    }

    fn index_of(&self, name: &CStr) -> Option<u32> {
        self.hash.find(name, |index| self.is_default(index, name))
    }

    fn symbol(&self, index: u32) -> Symbol {
        // SAFETY: called with indices out of the hash table, which names only symbols that the table has.
        unsafe { self.symbols.wrapping_add(index as usize).read() }
    }

    fn is_default(&self, index: u32, name: &CStr) -> bool {
        const HIDDEN: u16 = 0x8000;
        let symbol = self.symbol(index);
        let text = self.strings.wrapping_add(symbol.st_name as usize);
        // SAFETY: a symbol's name is an offset into the string table, whose strings end with NUL.
        let same = unsafe { CStr::from_ptr(text.cast()) } == name;
        let version = match self.versions.is_null() {
            true => 0,
            // SAFETY: the version table is parallel to the symbol table.
            false => unsafe { self.versions.wrapping_add(index as usize).read() },
        };
        same && version & HIDDEN == 0 && symbol.st_shndx != 0
    }

    fn address(&self, index: u32) -> usize {
        const STT_GNU_IFUNC: u8 = 10;
        let symbol = self.symbol(index);
        let address = self
            .bias
            .wrapping_add(usize::try_from(symbol.st_value).unwrap_or(0));
        if symbol.st_info & 15 != STT_GNU_IFUNC {
            return address;
        }
        // SAFETY: an indirect function's value is its resolver: on x86-64 it takes no arguments and returns the function.
        let resolver: extern "C" fn() -> usize = unsafe { core::mem::transmute(address) };
        resolver()
    }
}

/// An address out of the dynamic section. glibc relocates the section in place, but not the vdso's.
fn dynamic_entry(image: &Image<'_>, tag: usize) -> Option<usize> {
    let section = image.dynamic()?;
    let count = (section.end - section.start) / 16;
    let first = core::ptr::with_exposed_provenance::<[usize; 2]>(section.start);
    // SAFETY: PT_DYNAMIC lies in a loaded segment and holds pairs of words.
    let entries = unsafe { core::slice::from_raw_parts(first, count) };
    let [_, value] = entries
        .iter()
        .take_while(|[found, _]| *found != 0)
        .find(|[found, _]| *found == tag)?;
    Some(if *value < image.bias {
        value.wrapping_add(image.bias)
    } else {
        *value
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Check both hashes against values of other implementations (System V's generic example; glibc's elf/tst-gnu-hash).
    #[test]
    fn hashes() {
        assert_eq!(system_v_hash(c""), 0);
        assert_eq!(system_v_hash(c"printf"), 0x0779_05a6);
        assert_eq!(system_v_hash(c"syscall"), 0x0b09_985c);
        assert_eq!(gnu_hash(c""), 0x1505);
        assert_eq!(gnu_hash(c"printf"), 0x156b_2bb8);
    }
}
