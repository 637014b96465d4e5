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

/// The dynamic symbols of a loaded object, found through its GNU hash table (binutils, bfd/elflink.c).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Symbols {
    symbols: *const Symbol,
    strings: *const u8,
    versions: *const u16,
    buckets: *const u32,
    bucket_count: u32,
    chains: *const u32,
    first: u32,
    bias: usize,
}

impl Symbols {
    /// Reads the tables that the dynamic section names; None where there is no GNU hash table.
    pub(crate) fn of(image: &Image<'_>) -> Option<Symbols> {
        const DT_GNU_HASH: usize = 0x6fff_fef5;
        const DT_VERSYM: usize = 0x6fff_fff0;
        let (strings, symbols) = (dynamic_entry(image, 5)?, dynamic_entry(image, 6)?);
        let table = core::ptr::with_exposed_provenance::<u32>(dynamic_entry(image, DT_GNU_HASH)?);
        // SAFETY: the table begins with four words: buckets, first symbol, words of the Bloom filter, its shift.
        let [bucket_count, first, bloom_words, _] = unsafe { table.cast::<[u32; 4]>().read() };
        let buckets = table.wrapping_add(4 + 2 * bloom_words as usize);
        Some(Symbols {
            symbols: core::ptr::with_exposed_provenance(symbols),
            strings: core::ptr::with_exposed_provenance(strings),
            versions: core::ptr::with_exposed_provenance(
                dynamic_entry(image, DT_VERSYM).unwrap_or(0),
            ),
            buckets,
            bucket_count,
            chains: buckets.wrapping_add(bucket_count as usize),
            first,
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
        let hash = name.to_bytes().iter().fold(5381u32, |hash, &byte| {
            hash.wrapping_mul(33).wrapping_add(byte.into())
        });
        let bucket = hash.checked_rem(self.bucket_count)? as usize;
        // SAFETY: `bucket` is below the number of buckets.
        let mut index = unsafe { self.buckets.wrapping_add(bucket).read() };
        if index < self.first {
            return None;
        }
        loop {
            // SAFETY: a chain runs from its bucket's symbol to the one whose lowest bit is set.
            let link = unsafe {
                self.chains
                    .wrapping_add((index - self.first) as usize)
                    .read()
            };
            if link | 1 == hash | 1 && self.is_default(index, name) {
                return Some(index);
            }
            if link & 1 == 1 {
                return None;
            }
            index += 1;
        }
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
