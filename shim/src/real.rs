//! The next allocator's functions: what the hooks call to get and give back memory.
//!
//! Each is looked up once, at its first use, and kept in a `race` cell: threads that race find the same function, so none waits for
//! another and nothing is allocated. A function that the next allocator lacks (mallocx under glibc, free_sized before C23) is
//! answered by one that it has, so that a program that finds our symbol gets what the symbol promises.

use crate::elf::{Image, Range};
use crate::objects::{Found, find_object, find_symbol};
use core::ffi::{CStr, c_int, c_void};
use core::num::NonZeroUsize;
use heapshim_ledger::sync::{AtomicU64, Word};
use once_cell::race::OnceNonZeroUsize;

/// A block's address as C sees it.
pub(crate) type Block = *mut c_void;

/// A function that is looked up at its first use.
#[derive(Debug)]
pub(crate) struct Next {
    name: &'static CStr,
    address: OnceNonZeroUsize,
}

/// Stored where the look-up found nothing: no function lies at address 1.
const MISSING: NonZeroUsize = NonZeroUsize::MIN;

impl Next {
    pub(crate) const fn new(name: &'static CStr) -> Next {
        Next {
            name,
            address: OnceNonZeroUsize::new(),
        }
    }

    /// The function's address, or None where no object after ours defines it.
    #[inline(always)]
    pub(crate) fn get(&self) -> Option<usize> {
        let address = self.address.get().unwrap_or_else(|| self.look_up());
        (address != MISSING).then_some(address.get())
    }

    /// Looks the function up now.
    pub(crate) fn prepare(&self) {
        let _ = self.get();
    }

    #[cold]
    #[inline(never)]
    fn look_up(&self) -> NonZeroUsize {
        let find = || {
            find_symbol(self.name, our_address())
                .and_then(|found| NonZeroUsize::new(found.address))
                .unwrap_or(MISSING)
        };
        self.address.get_or_init(find)
    }
}

/// An address inside this library.
pub(crate) fn our_address() -> usize {
    (&raw const MALLOC) as usize
}

static MALLOC: Next = Next::new(c"malloc");
static CALLOC: Next = Next::new(c"calloc");
static REALLOC: Next = Next::new(c"realloc");
static FREE: Next = Next::new(c"free");
static POSIX_MEMALIGN: Next = Next::new(c"posix_memalign");
static ALIGNED_ALLOC: Next = Next::new(c"aligned_alloc");
static MEMALIGN: Next = Next::new(c"memalign");
static VALLOC: Next = Next::new(c"valloc");
static PVALLOC: Next = Next::new(c"pvalloc");
static FREE_SIZED: Next = Next::new(c"free_sized");
static FREE_ALIGNED_SIZED: Next = Next::new(c"free_aligned_sized");
static USABLE_SIZE: Next = Next::new(c"malloc_usable_size");
static MALLOCX: Next = Next::new(c"mallocx");
static RALLOCX: Next = Next::new(c"rallocx");
static XALLOCX: Next = Next::new(c"xallocx");
static SDALLOCX: Next = Next::new(c"sdallocx");
static DALLOCX: Next = Next::new(c"dallocx");

/// Looks all functions up: at start-up, since a look-up takes the loader's lock.
pub(crate) fn prepare() {
    let functions = [
        &MALLOC,
        &CALLOC,
        &REALLOC,
        &FREE,
        &POSIX_MEMALIGN,
        &ALIGNED_ALLOC,
        &MEMALIGN,
        &VALLOC,
        &PVALLOC,
        &FREE_SIZED,
        &FREE_ALIGNED_SIZED,
        &USABLE_SIZE,
        &MALLOCX,
        &RALLOCX,
        &XALLOCX,
        &SDALLOCX,
        &DALLOCX,
    ];
    functions.into_iter().for_each(Next::prepare);
    for (place, next) in PASSED.all() {
        place.put(next.get().map_or(0, |address| address as u64));
    }
    let Some(found) = find_symbol(c"malloc", our_address()) else {
        return;
    };
    ALLOCATOR_BIAS.put(found.bias as u64);
    note_ranges(found);
    let free = find_symbol(c"free", our_address());
    let free = free.filter(|free| is_allocator(*free) && calls_nobody());
    LEAF_FREE.put(free.map_or(0, |free| free.address as u64));
}

/// What trampolines jump to where nothing is recorded and nothing was (`sampling::NEVER_ON`).
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Passed {
    pub(crate) malloc: AtomicU64,
    pub(crate) calloc: AtomicU64,
    pub(crate) realloc: AtomicU64,
    pub(crate) free: AtomicU64,
}

/// Addresses; 0 = not looked up, or not there.
pub(crate) static PASSED: Passed = Passed {
    malloc: AtomicU64::new(0),
    calloc: AtomicU64::new(0),
    realloc: AtomicU64::new(0),
    free: AtomicU64::new(0),
};

impl Passed {
    /// Each of them, and what it is.
    fn all(&self) -> [(&AtomicU64, &Next); 4] {
        [
            (&self.malloc, &MALLOC),
            (&self.calloc, &CALLOC),
            (&self.realloc, &REALLOC),
            (&self.free, &FREE),
        ]
    }
}

/// True where the allocator behind us has all that trampolines would jump to.
pub(crate) fn can_pass() -> bool {
    PASSED.all().iter().all(|(place, _)| place.peek() != 0)
}

/// What one allocator exports each: jemalloc, gperftools' tcmalloc, mimalloc. Their malloc, calloc, realloc and free call no function of their family through us for the same
/// block (jemalloc's operators do): looked at in the code of jemalloc 5.3, gperftools 2.10 and mimalloc 2.0. What else they make now and then (tcmalloc at its start, jemalloc's
/// threads in the background, hooks of the user's) is an event of its own.
const KNOWN: [&CStr; 3] = [c"mallctl", c"tc_malloc", c"mi_malloc"];

/// True where no function of the allocator behind us that the short ways call (malloc, calloc, realloc, free) comes back to us.
fn calls_nobody() -> bool {
    is_libc() && has_no_hooks() || is_known()
}

/// True where the allocator behind us is one of those.
fn is_known() -> bool {
    let own = |name: &&CStr| find_symbol(name, our_address()).is_some_and(is_allocator);
    KNOWN.iter().any(own)
}

/// The next free, where its allocator calls nobody; 0 = it may call other functions of its family through us.
static LEAF_FREE: AtomicU64 = AtomicU64::new(0);

/// The next free, where it calls nobody.
#[inline(always)]
pub(crate) fn leaf_free() -> usize {
    usize::try_from(LEAF_FREE.peek()).unwrap_or(0)
}

/// True where the next allocator calls nobody.
#[inline(always)]
pub(crate) fn is_leaf() -> bool {
    leaf_free() != 0
}

/// True where no `__free_hook` of the program's can be called by libc's free, nor another by its malloc: from glibc 2.34 on, with which libc has the functions of threads, too.
fn has_no_hooks() -> bool {
    find_symbol(c"pthread_create", 0).is_some_and(is_allocator)
}

/// True where the allocator behind us is libc's.
fn is_libc() -> bool {
    find_symbol(c"gnu_get_libc_version", 0).is_some_and(is_allocator)
}

/// Load bias of the object that defines the next malloc: the allocator behind us.
static ALLOCATOR_BIAS: AtomicU64 = AtomicU64::new(NO_BIAS);
/// The same of libc, and of the object that has the functions of threads, which is another one before glibc 2.34.
static LIBC_BIASES: [AtomicU64; 2] = [const { AtomicU64::new(NO_BIAS) }; 2];
const NO_BIAS: u64 = u64::MAX;

/// Ranges of this library, and of the allocator behind us unless that is libc.
static INSIDE: [AtomicU64; 4] = [const { AtomicU64::new(0) }; 4];

/// True for a caller that is part of an event already: the allocator calling itself through our hooks (jemalloc's operators call its
/// aligned_alloc), or ending in a jump to one (its operator delete jumps to free, and seems to be called from here). libc is left out: a
/// signal handler's printf calls malloc from there.
pub(crate) fn is_inside(return_address: u64) -> bool {
    let [ours, ours_end, theirs, theirs_end] = INSIDE.each_ref().map(Word::peek);
    (ours..ours_end).contains(&return_address) || (theirs..theirs_end).contains(&return_address)
}

/// True for an address in this library.
pub(crate) fn is_ours(address: u64) -> bool {
    let [start, end, ..] = INSIDE.each_ref().map(Word::peek);
    (start..end).contains(&address)
}

fn range_of(is_it: impl Fn(&Image<'_>) -> bool) -> Option<Range> {
    find_object(|object| object.image.range().filter(|_| is_it(&object.image)))
}

/// True for the bias of libc, or of its threads.
pub(crate) fn is_libcs(bias: u64) -> bool {
    LIBC_BIASES.iter().any(|place| place.peek() == bias)
}

fn note_ranges(allocator: Found) {
    let libc = find_symbol(c"gnu_get_libc_version", 0).map(|found| found.bias);
    let threads = find_symbol(c"pthread_create", 0).map(|found| found.bias);
    for (place, bias) in LIBC_BIASES.iter().zip([libc, threads]) {
        place.put(bias.map_or(NO_BIAS, |bias| bias as u64));
    }
    let ours = range_of(|image| image.contains(our_address()));
    let theirs = range_of(|image| image.bias == allocator.bias && libc != Some(allocator.bias));
    let none = Range { start: 0, end: 0 };
    let [ours, theirs] = [ours, theirs].map(|range| range.unwrap_or(none));
    let words = [ours.start, ours.end, theirs.start, theirs.end];
    INSIDE
        .iter()
        .zip(words)
        .for_each(|(place, word)| place.put(word as u64));
}

/// True where a symbol is defined by the allocator behind us.
pub(crate) fn is_allocator(found: Found) -> bool {
    ALLOCATOR_BIAS.peek() == found.bias as u64
}

/// True where the program's calls of malloc do not come to us: an object before us defines its own (jemalloc linked into an executable).
pub(crate) fn is_bypassed() -> bool {
    let first = find_symbol(c"malloc", 0);
    first.is_some_and(|found| {
        find_object(|object| {
            object
                .image
                .contains(our_address())
                .then_some(object.image.bias)
        }) != Some(found.bias)
    })
}

/// log2 of the least distance between two blocks of the allocator behind us. glibc's chunks are at least 32 bytes long and
/// 16-aligned (malloc/malloc.c, MINSIZE); others hand out blocks of 8 bytes.
pub(crate) fn granule_shift() -> u32 {
    if is_libc() { 5 } else { 3 }
}

macro_rules! call {
    ($next:expr, fn($($argument:ident: $kind:ty),*) -> $result:ty) => {
        $next.get().map(|address| {
            // SAFETY: the symbol of this name has this type in every libc and allocator that defines it; the arguments are the target's.
            unsafe { core::mem::transmute::<usize, unsafe extern "C" fn($($kind),*) -> $result>(address)($($argument),*) }
        })
    };
}

pub(crate) fn malloc(size: usize) -> Block {
    call!(MALLOC, fn(size: usize) -> Block).unwrap_or(core::ptr::null_mut())
}

pub(crate) fn calloc(count: usize, size: usize) -> Block {
    call!(CALLOC, fn(count: usize, size: usize) -> Block).unwrap_or(core::ptr::null_mut())
}

pub(crate) fn realloc(block: Block, size: usize) -> Block {
    call!(REALLOC, fn(block: Block, size: usize) -> Block).unwrap_or(core::ptr::null_mut())
}

pub(crate) fn free(block: Block) {
    call!(FREE, fn(block: Block) -> ());
}

pub(crate) fn posix_memalign(out: *mut Block, align: usize, size: usize) -> c_int {
    call!(
        POSIX_MEMALIGN,
        fn(out: *mut Block, align: usize, size: usize) -> c_int
    )
    .unwrap_or(libc::ENOMEM)
}

pub(crate) fn aligned_alloc(align: usize, size: usize) -> Block {
    call!(ALIGNED_ALLOC, fn(align: usize, size: usize) -> Block)
        .unwrap_or_else(|| memalign(align, size))
}

pub(crate) fn memalign(align: usize, size: usize) -> Block {
    call!(MEMALIGN, fn(align: usize, size: usize) -> Block).unwrap_or(core::ptr::null_mut())
}

pub(crate) fn valloc(size: usize) -> Block {
    call!(VALLOC, fn(size: usize) -> Block).unwrap_or_else(|| memalign(4096, size))
}

pub(crate) fn pvalloc(size: usize) -> Block {
    let rounded = || {
        size.checked_next_multiple_of(4096)
            .map_or(core::ptr::null_mut(), |bytes| memalign(4096, bytes))
    };
    call!(PVALLOC, fn(size: usize) -> Block).unwrap_or_else(rounded)
}

pub(crate) fn free_sized(block: Block, size: usize) {
    call!(FREE_SIZED, fn(block: Block, size: usize) -> ()).unwrap_or_else(|| free(block));
}

pub(crate) fn free_aligned_sized(block: Block, align: usize, size: usize) {
    call!(
        FREE_ALIGNED_SIZED,
        fn(block: Block, align: usize, size: usize) -> ()
    )
    .unwrap_or_else(|| free(block));
}

pub(crate) fn usable_size(block: Block) -> usize {
    call!(USABLE_SIZE, fn(block: Block) -> usize).unwrap_or(0)
}

/// jemalloc's flags: the low six bits are log2 of the alignment, 0x40 asks for zeros (jemalloc(3), "MALLOCX_ALIGN", "MALLOCX_ZERO").
fn mallocx_alignment(flags: c_int) -> usize {
    1 << (flags & 63)
}

pub(crate) fn mallocx(size: usize, flags: c_int) -> Block {
    call!(MALLOCX, fn(size: usize, flags: c_int) -> Block).unwrap_or_else(|| {
        match (mallocx_alignment(flags), flags & 0x40 != 0) {
            (align, false) if align > 16 => memalign(align, size),
            (align, true) if align > 16 => zeroed(memalign(align, size), size),
            (_, true) => calloc(1, size),
            (_, false) => malloc(size),
        }
    })
}

fn zeroed(block: Block, size: usize) -> Block {
    if !block.is_null() {
        // SAFETY: the allocator has just given `size` bytes at `block`.
        unsafe { block.cast::<u8>().write_bytes(0, size) };
    }
    block
}

pub(crate) fn rallocx(block: Block, size: usize, flags: c_int) -> Block {
    call!(
        RALLOCX,
        fn(block: Block, size: usize, flags: c_int) -> Block
    )
    .unwrap_or_else(|| realloc(block, size))
}

pub(crate) fn xallocx(block: Block, size: usize, extra: usize, flags: c_int) -> usize {
    let next = call!(
        XALLOCX,
        fn(block: Block, size: usize, extra: usize, flags: c_int) -> usize
    );
    next.unwrap_or_else(|| usable_size(block))
}

pub(crate) fn sdallocx(block: Block, size: usize, flags: c_int) {
    call!(SDALLOCX, fn(block: Block, size: usize, flags: c_int) -> ())
        .unwrap_or_else(|| free(block));
}

pub(crate) fn dallocx(block: Block, flags: c_int) {
    call!(DALLOCX, fn(block: Block, flags: c_int) -> ()).unwrap_or_else(|| free(block));
}
