//! What the loader does behind our back: loading and unloading, noticed without wrapping dlopen.
//!
//! A wrapper of dlopen becomes the caller that RUNPATH look-ups are made for, and iconv and NSS load objects without it. But the loader
//! allocates when it loads and frees when it unloads, through our hooks: an event whose caller is ld.so raises the generation, and
//! whoever remembers anything of code addresses (`rules`, `stack`) checks it again before its next use.
//!
//! Why that is early enough: dlclose unmaps, then frees (generation g); code at the same addresses can only be mapped after that, and what
//! was remembered before g is looked up again at g or later, by the loader's own lock-free table (`_dl_find_object`).

use crate::elf::{Image, Range};
use crate::objects::{find_object, find_symbol};
use crate::{start, sys};
use core::ffi::{CStr, c_char};
use heapshim_ledger::sync::{AtomicU32, AtomicU64, Word};
use once_cell::race::OnceNonZeroUsize;

/// ld.so's range.
pub(crate) static START: AtomicU64 = AtomicU64::new(0);
pub(crate) static LENGTH: AtomicU64 = AtomicU64::new(0);
static GENERATION: AtomicU32 = AtomicU32::new(1);
static FIND_OBJECT: OnceNonZeroUsize = OnceNonZeroUsize::new();

/// Where ld.so keeps the debuggers' list of objects (`_r_debug`).
static DEBUG_LIST: AtomicU64 = AtomicU64::new(0);
/// ld.so's entry point: the outermost code of every main thread before main.
static ENTRY: AtomicU64 = AtomicU64::new(0);
/// The executable: load bias, address and number of its program headers.
static PROGRAM: [AtomicU64; 3] = [const { AtomicU64::new(0) }; 3];
/// From ld.so's entry point to the end of the code that calls constructors and then the program (glibc's RTLD_START, about 60 bytes).
const ENTRY_CODE: u64 = 96;

/// Finds ld.so's range, its look-up function, and the executable. Called once, at start-up.
pub(crate) fn prepare() {
    let find = find_symbol(c"_dl_find_object", 0);
    if let Some(address) = find.and_then(|found| core::num::NonZeroUsize::new(found.address)) {
        let _ = FIND_OBJECT.set(address);
    }
    // The executable is the first object.
    find_object(|object| {
        let headers = object.image.headers();
        let words = [
            object.image.bias as u64,
            headers.as_ptr().expose_provenance() as u64,
            headers.len() as u64,
        ];
        PROGRAM
            .iter()
            .zip(words)
            .for_each(|(place, word)| place.put(word));
        Some(())
    });
    // ld.so is the object that defines the debuggers' list of objects.
    let Some(anchor) = find_symbol(c"_r_debug", 0) else {
        return;
    };
    let range = find_object(|object| {
        object
            .image
            .range()
            .filter(|range| range.contains(anchor.address))
    });
    if let Some(Range { start, end }) = range {
        DEBUG_LIST.put(anchor.address as u64);
        START.put(start as u64);
        LENGTH.put((end - start) as u64);
        // SAFETY: ld.so's first segment begins its file.
        ENTRY.put(unsafe { entry_point(start) });
    }
}

/// The run-time address of the entry point of the object whose ELF header lies at `start`.
///
/// # Safety
/// The caller promises that one does, of an object whose first address in the file is 0.
unsafe fn entry_point(start: usize) -> u64 {
    let header = core::ptr::with_exposed_provenance::<libc::Elf64_Ehdr>(start);
    // SAFETY: the caller's promise.
    start as u64 + unsafe { header.read() }.e_entry
}

/// The executable.
pub(crate) fn program() -> Option<Image<'static>> {
    let [bias, headers, count] = [0, 1, 2].map(|at| {
        PROGRAM
            .get(at)
            .and_then(|word| usize::try_from(word.peek()).ok())
            .unwrap_or(0)
    });
    let first = core::ptr::with_exposed_provenance::<libc::Elf64_Phdr>(headers);
    // SAFETY: as the loader gave them; an executable is never unloaded.
    (count != 0).then(|| Image::new(bias, unsafe { core::slice::from_raw_parts(first, count) }))
}

/// True for ld.so's entry code, which has no unwind information in some builds: nothing called it.
pub(crate) fn is_entry(pc: u64) -> bool {
    pc.wrapping_sub(ENTRY.peek()) < ENTRY_CODE
}

/// Notes the caller of an event.
#[inline(always)]
pub(crate) fn note_caller(return_address: u64) {
    if is_loader(return_address) {
        raise();
    }
}

/// True for an address in ld.so.
#[inline(always)]
pub(crate) fn is_loader(address: u64) -> bool {
    address.wrapping_sub(START.peek()) < LENGTH.peek()
}

/// Has all that is remembered of stacks checked again.
#[inline(always)]
pub(crate) fn raise() {
    GENERATION.add_shared(1);
}

/// Raised by every event of the loader's, and when a thread gets another name.
#[inline(always)]
pub(crate) fn generation() -> u32 {
    GENERATION.observe()
}

/// The object at an address, as the loader knows it (glibc's struct dl_find_object, dlfcn.h).
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct FoundObject {
    flags: u64,
    /// First mapped address.
    pub(crate) start: usize,
    /// First address past the mapping.
    pub(crate) end: usize,
    /// The loader's record of it.
    pub(crate) link_map: usize,
    /// `.eh_frame_hdr`.
    pub(crate) unwind: usize,
    reserved: [u64; 7],
}

/// True where `object_at` takes no lock.
pub(crate) fn answers_at_once() -> bool {
    FIND_OBJECT.get().is_some()
}

/// The object that holds `address`: lock-free and async-signal-safe from glibc 2.35 on, else by dl_iterate_phdr.
pub(crate) fn object_at(address: usize) -> Option<FoundObject> {
    let mut found = FoundObject {
        flags: 0,
        start: 0,
        end: 0,
        link_map: 0,
        unwind: 0,
        reserved: [0; 7],
    };
    let Some(function) = FIND_OBJECT.get() else {
        return object_by_headers(address);
    };
    // SAFETY: glibc's `_dl_find_object` has had this type since it exists (2.35).
    let function: unsafe extern "C" fn(usize, *mut FoundObject) -> i32 =
        unsafe { core::mem::transmute(function.get()) };
    // SAFETY: writes one struct dl_find_object.
    (unsafe { function(address, &raw mut found) } == 0).then_some(found)
}

/// Looks at a list that may change while it is read: a record that was taken away leads nowhere, and then the list is read again.
const LOOKS: u32 = 8;

fn object_by_headers(address: usize) -> Option<FoundObject> {
    let looks = if start::is_forked() { LOOKS } else { 1 };
    (0..looks).find_map(|_| object_in_list(address))
}

fn object_in_list(address: usize) -> Option<FoundObject> {
    find_object(|object| {
        let range = object
            .image
            .range()
            .filter(|_| object.image.contains(address))?;
        let unwind = object
            .image
            .unwind_section()
            .map_or(0, |section| section.start);
        Some(FoundObject {
            flags: 0,
            start: range.start,
            end: range.end,
            link_map: 0,
            unwind,
            reserved: [0; 7],
        })
    })
}

/// The loader's record of an object, as far as it is its public interface (link.h).
#[repr(C)]
#[derive(Debug)]
pub(crate) struct LinkMap {
    bias: usize,
    name: *const c_char,
    dynamic: usize,
    next: usize,
}

impl LinkMap {
    /// The record at an address that the loader gave.
    pub(crate) fn at(address: usize) -> Option<&'static LinkMap> {
        // SAFETY: null, or the record of an object that is loaded, and cannot be unloaded while its code is on our stack or while this is a
        // forked child's only thread.
        unsafe { core::ptr::with_exposed_provenance::<LinkMap>(address).as_ref() }
    }

    /// Path as it was loaded; empty for the executable.
    pub(crate) fn name(&self) -> &'static CStr {
        match self.name.is_null() {
            true => c"",
            // SAFETY: a C string that lives as long as the record.
            false => unsafe { CStr::from_ptr(self.name) },
        }
    }

    /// Its program headers: found at the load bias, or, for the executable, where the kernel said.
    pub(crate) fn image(&self) -> Option<Image<'static>> {
        if self.name().is_empty() {
            return program();
        }
        // SAFETY: readable, and the place of address 0 of an object that is loaded; that an ELF header lies there is checked.
        sys::readable(self.bias as u64)
            .then(|| unsafe { Image::at(self.bias) })
            .flatten()
    }
}

/// Where the first record lies, the executable's; 0 where that is not known.
pub(crate) fn first_record() -> usize {
    #[repr(C)]
    struct Debug {
        version: i32,
        first: usize,
    }
    let address = usize::try_from(DEBUG_LIST.peek()).unwrap_or(0);
    let list = core::ptr::with_exposed_provenance::<Debug>(address);
    // SAFETY: null, or ld.so's `_r_debug`, which it has filled before any code of the program runs.
    unsafe { list.as_ref() }.map_or(0, |list| list.first)
}
