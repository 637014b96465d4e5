//! What the loader does behind our back: loading and unloading, noticed without wrapping dlopen.
//!
//! A wrapper of dlopen becomes the caller that RUNPATH look-ups are made for, and iconv and NSS load objects without it. But the loader
//! allocates when it loads and frees when it unloads, through our hooks: an event whose caller is ld.so raises the generation, and
//! whoever remembers anything of code addresses (`rules`, `stack`) checks it again before its next use.
//!
//! Why that is early enough: dlclose unmaps, then frees (generation g); code at the same addresses can only be mapped after that, and what
//! was remembered before g is looked up again at g or later, by the loader's own lock-free table (`_dl_find_object`).

use crate::elf::Range;
use crate::objects::{find_object, find_symbol};
use heapshim_ledger::sync::{AtomicU32, AtomicU64, Word};
use once_cell::race::OnceNonZeroUsize;

static START: AtomicU64 = AtomicU64::new(0);
static LENGTH: AtomicU64 = AtomicU64::new(0);
static GENERATION: AtomicU32 = AtomicU32::new(1);
static FIND_OBJECT: OnceNonZeroUsize = OnceNonZeroUsize::new();

/// Finds ld.so's range and its look-up function. Called once, at start-up.
pub(crate) fn prepare() {
    let find = find_symbol(c"_dl_find_object", 0);
    if let Some(address) = find.and_then(|found| core::num::NonZeroUsize::new(found.address)) {
        let _ = FIND_OBJECT.set(address);
    }
    // ld.so is the object that defines the debugger's list of objects.
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
        START.put(start as u64);
        LENGTH.put((end - start) as u64);
    }
}

/// Notes the caller of an event.
#[inline(always)]
pub(crate) fn note_caller(return_address: u64) {
    if return_address.wrapping_sub(START.peek()) < LENGTH.peek() {
        GENERATION.add_shared(1);
    }
}

/// Raised by every event of the loader's.
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

fn object_by_headers(address: usize) -> Option<FoundObject> {
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
