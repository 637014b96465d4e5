//! The interpreter's object allocators, wrapped: found, replaced by ours, and replaced again where the interpreter has set others.
//!
//! CPython allocates through a table per domain (`PyMemAllocatorEx`: context, malloc, calloc, realloc, free). RAW goes to malloc, where
//! the hooks see it; MEM and OBJ go to pymalloc, whose arenas malloc never sees, so both get ours, which call what stood there before
//! (`objects`). `PyMem_GetAllocator` and `PyMem_SetAllocator` copy five words, allocate nothing, and may be called before the
//! interpreter is initialised (and then need no GIL).
//!
//! ```text
//! module with these symbols is met ──▶ wrapped ──▶ events
//!   (constructor, or its first            ▲  PYTHONMALLOC, -X dev, PyPreConfig: the interpreter fills its tables anew, before its first
//!    malloc where it was dlopened)        └─ object, and then calls malloc: noticed there, since its table is not ours
//! ```
//! Who else wraps (tracemalloc, a profiler) keeps our table and calls it: that is left alone, and so is what is not CPython's own. Where the
//! domains go to malloc (PYTHONMALLOC=malloc), nothing is wrapped. A free-threaded build's collector walks its own allocator's pages,
//! and its objects have no lock that would order us: its domains are left alone, and that is said.
//!
//! A table is read only while code of its library is on the stack that is at work, so that it cannot be unloaded meanwhile.

use super::objects;
use crate::elf::{Image, Range, Symbols};
use crate::{loader, modules, sys, tracer};
use heapshim_ledger::layout::Complaint;
use heapshim_ledger::sync::{AtomicU32, AtomicU64, Word};

/// `PyMemAllocatorEx`: context, malloc, calloc, realloc, free (Include/cpython/pymem.h; the same since 3.5).
pub(crate) type Table = [usize; 5];
/// Where malloc stands in it.
const MALLOC: usize = 1;
/// `PyMemAllocatorDomain` that goes to malloc.
const RAW: u32 = 0;
/// The domains that are wrapped: MEM and OBJ.
const DOMAINS: [u32; 2] = [1, 2];
/// Interpreters' libraries in one process: programs load one; a test of plugins loaded three.
const LIBRARIES: usize = 4;

/// A wrapped domain: what our functions get as their context. Never moves.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Domain {
    /// The table that was there before: written while ours is not in use. First, as `enter_object_free!` takes the context from here.
    original: [AtomicU64; 5],
    /// Where the interpreter keeps the domain's table: 0 = not found.
    place: AtomicU64,
    /// The malloc of a table that was looked at and left alone.
    accepted: AtomicU64,
}

impl Domain {
    const fn new() -> Domain {
        Domain {
            original: [const { AtomicU64::new(0) }; 5],
            place: AtomicU64::new(0),
            accepted: AtomicU64::new(0),
        }
    }

    /// A word of the table that was there before.
    #[inline(always)]
    pub(crate) fn original(&self, index: usize) -> usize {
        let word = self.original.get(index).map_or(0, Word::peek);
        usize::try_from(word).unwrap_or(0)
    }

    fn ours(&self) -> Table {
        let context = (&raw const *self).expose_provenance();
        let [malloc, calloc, realloc, free] = objects::functions();
        [context, malloc, calloc, realloc, free]
    }
}

/// An interpreter's library.
#[derive(Debug)]
struct Library {
    /// Its range.
    start: AtomicU64,
    length: AtomicU64,
    /// `modules`' number of its load.
    load: AtomicU32,
    /// Generation of the loader at which that was last true.
    checked: AtomicU32,
    /// `PyMem_GetAllocator`, `PyMem_SetAllocator`.
    functions: [AtomicU64; 2],
    domains: [Domain; 2],
}

static KNOWN: [Library; LIBRARIES] = [const { Library::new() }; LIBRARIES];
/// How many of them were ever used.
pub(crate) static LEN: AtomicU32 = AtomicU32::new(0);

/// Looks for an interpreter among the objects that the program was started with.
pub(crate) fn prepare() {
    if let Some(found) = crate::objects::find_symbol(c"PyMem_SetAllocator", 0) {
        // Met for the first time, it is wrapped.
        modules::at(found.address as u64);
    }
}

/// A module was met: wraps its domains if it is an interpreter.
#[cold]
#[inline(never)]
pub(crate) fn met(image: &Image<'_>, load: u32) {
    let Some(tracer) = tracer::get().filter(|tracer| tracer.options.python) else {
        return;
    };
    let Some(symbols) = Symbols::of(image) else {
        return;
    };
    let find = |name| symbols.find(name);
    let (Some(get), Some(set), Some(range)) = (
        find(c"PyMem_GetAllocator"),
        find(c"PyMem_SetAllocator"),
        image.range(),
    ) else {
        return;
    };
    // Free-threaded builds alone export what their inline reference counting calls.
    let is_free_threaded = find(c"_Py_MergeZeroLocalRefcount").is_some();
    // Up to 3.7, objects are 8 bytes apart; PyConfig came with 3.8.
    let granule = match find(c"Py_InitializeFromConfig") {
        Some(_) => 4,
        None => 3,
    };
    if is_free_threaded || !super::shadow::prepare(granule) {
        return tracer::note(tracer.writer.header, Complaint::Python);
    }
    if let Some(library) = free_place(range) {
        library.fill(range, load, [get, set]);
        library.wrap(image);
    }
}

/// A place for a library that was loaded at `range`: one that was never used, or whose library is gone.
fn free_place(range: Range) -> Option<&'static Library> {
    let used = LEN.peek() as usize;
    let mut known = KNOWN.iter().take(used);
    let gone = known.find(|library| library.is_gone(range));
    let free = gone.or_else(|| KNOWN.get(used))?;
    if gone.is_none() {
        LEN.put(LEN.peek() + 1);
    }
    Some(free)
}

/// Called at each event of malloc: where an interpreter's code calls, it may have filled its tables anew.
#[inline(always)]
pub(crate) fn check(caller: u64) {
    if are_there() {
        check_libraries(caller);
    }
}

/// True where the process has an interpreter.
#[inline(always)]
pub(crate) fn are_there() -> bool {
    LEN.peek() != 0
}

#[inline]
fn check_libraries(caller: u64) {
    for library in KNOWN.iter().take(LEN.peek() as usize) {
        if caller.wrapping_sub(library.start.peek()) < library.length.peek() {
            library.check(caller);
        }
    }
}

impl Library {
    const fn new() -> Library {
        Library {
            start: AtomicU64::new(0),
            length: AtomicU64::new(0),
            load: AtomicU32::new(0),
            checked: AtomicU32::new(0),
            functions: [const { AtomicU64::new(0) }; 2],
            domains: [const { Domain::new() }; 2],
        }
    }

    fn fill(&self, range: Range, load: u32, functions: [usize; 2]) {
        self.load.put(load);
        self.checked.put(loader::generation());
        self.functions
            .iter()
            .zip(functions)
            .for_each(|(word, address)| word.put(address as u64));
        self.start.put(range.start as u64);
        self.length.put((range.end - range.start) as u64);
    }

    /// Wraps both domains, and finds where the interpreter keeps their tables: nothing else has our context in it.
    fn wrap(&self, image: &Image<'_>) {
        for (domain, number) in self.domains.iter().zip(DOMAINS) {
            domain.place.put(0);
            domain.accepted.put(0);
            self.wrap_domain(domain, number);
            let place = find_words(image, &domain.ours());
            domain.place.put(place.map_or(0, |place| place as u64));
        }
    }

    /// Puts our table in the place of another, unless that one goes to malloc.
    fn wrap_domain(&self, domain: &Domain, number: u32) {
        let now = self.table(number);
        if now.get(MALLOC) == self.table(RAW).get(MALLOC) || now == domain.ours() {
            return;
        }
        domain
            .original
            .iter()
            .zip(now)
            .for_each(|(word, value)| word.put(value as u64));
        self.set_table(number, domain.ours());
    }

    #[inline(always)]
    fn check(&self, caller: u64) {
        if self.checked.peek() != loader::generation() && !self.is_same(caller) {
            return;
        }
        for (domain, number) in self.domains.iter().zip(DOMAINS) {
            let place = usize::try_from(domain.place.peek()).unwrap_or(0);
            if place == 0 {
                continue;
            }
            let word = core::ptr::with_exposed_provenance::<usize>(place).wrapping_add(MALLOC);
            // SAFETY: a word of the library's data, which is mapped while its code is on this stack; `wrap` found the table there.
            let malloc = unsafe { word.read_volatile() };
            if malloc != objects::functions()[0] && malloc as u64 != domain.accepted.peek() {
                self.judge(domain, number);
            }
        }
    }

    /// True where the library is still the one that was wrapped.
    #[cold]
    #[inline(never)]
    fn is_same(&self, caller: u64) -> bool {
        let same = modules::at(caller).map(|module| module.load) == Some(self.load.peek());
        if same {
            self.checked.put(loader::generation());
        } else {
            self.length.put(0);
        }
        same
    }

    /// True where nothing lies at its place, or the library that is being learnt does.
    fn is_gone(&self, learnt: Range) -> bool {
        let start = usize::try_from(self.start.peek()).unwrap_or(0);
        self.length.peek() == 0 || learnt.contains(start) || loader::object_at(start).is_none()
    }

    /// A domain's table is no longer ours: wraps it again where the interpreter has set one of its own that does not come to us.
    #[cold]
    #[inline(never)]
    fn judge(&self, domain: &Domain, number: u32) {
        let now = self.table(number);
        if self.is_its_own(&now) && !leads_to(&now, domain) {
            self.wrap_domain(domain, number);
        }
        let malloc = self.table(number)[MALLOC];
        if malloc != domain.ours()[MALLOC] {
            domain.accepted.put(malloc as u64);
        }
    }

    fn is_its_own(&self, table: &Table) -> bool {
        let inside =
            |address: usize| (address as u64).wrapping_sub(self.start.peek()) < self.length.peek();
        let [context, functions @ ..] = *table;
        (context == 0 || inside(context)) && functions.into_iter().all(inside)
    }

    fn table(&self, number: u32) -> Table {
        let mut table = [0; 5];
        let [get, _] = self.functions.each_ref().map(Word::peek);
        // SAFETY: `PyMem_GetAllocator` of a library that is loaded has this type (Include/cpython/pymem.h).
        let get: unsafe extern "C" fn(u32, *mut Table) = unsafe { core::mem::transmute(get) };
        // SAFETY: copies a table of a domain that exists.
        unsafe { get(number, &raw mut table) };
        table
    }

    fn set_table(&self, number: u32, table: Table) {
        let [_, set] = self.functions.each_ref().map(Word::peek);
        // SAFETY: `PyMem_SetAllocator` of a library that is loaded has this type (Include/cpython/pymem.h).
        let set: unsafe extern "C" fn(u32, *const Table) = unsafe { core::mem::transmute(set) };
        // SAFETY: copies the table, whose functions keep the domain's promises as long as those that they call do.
        unsafe { set(number, &raw const table) };
    }
}

/// True where a table's context begins with a table of ours: tracemalloc's does, and that of the debug allocator after one word.
fn leads_to(table: &Table, domain: &Domain) -> bool {
    let [context, ..] = *table;
    let ours = domain.ours();
    let begins = |at: usize| {
        let end = at.wrapping_add(size_of::<Table>() - 8);
        let is_there = at != 0 && sys::readable(at as u64) && sys::readable(end as u64);
        let there = core::ptr::with_exposed_provenance::<Table>(at);
        // SAFETY: both ends can be read, as the kernel has just said; any five words are a table.
        is_there && unsafe { there.read_unaligned() } == ours
    };
    begins(context) || begins(context.wrapping_add(8))
}

/// Where these words stand in the object's own data.
fn find_words(image: &Image<'_>, words: &Table) -> Option<usize> {
    image.data().find_map(|range| {
        let first = core::ptr::with_exposed_provenance::<usize>(range.start);
        let len = (range.end - range.start) / size_of::<usize>();
        // SAFETY: a segment of an object whose code is on this stack, or which the program was started with; its words may change
        // while they are read, but only the five that this thread has just written are taken.
        let data = unsafe { core::slice::from_raw_parts(first, len) };
        let at = data
            .windows(words.len())
            .position(|window| window == words)?;
        Some(range.start + at * size_of::<usize>())
    })
}
