//! The bytes of the ledger: every structure, pinned by const asserts. docs/LEDGER.md draws them; `cargo xtask tidy` compares.
//!
//! Every field is an atomic in native byte order: the ledger never leaves its machine as it is (mark files are little-endian copies).
//! A change here changes [`VERSION`] and docs/LEDGER.md in the same commit.

pub use crate::reasons::{Complaint, RingFlag, TruncatedReason, Was};
use crate::sampling::INTERVALS;
use crate::sync::{AtomicU32, AtomicU64};

/// "HEAPSHIM" read as a little-endian word.
pub const MAGIC: u64 = u64::from_le_bytes(*b"HEAPSHIM");
/// The layout's version: what this code writes and the only one that it reads.
pub const VERSION: u32 = 10;
/// `Header::state`: everything in the header is written.
pub const READY: u32 = 1;
/// Slots of counters that one thread leases alone. 16: a few more than the cores of a usual server process that allocates
/// on every thread; 20,000 sites then cost 10 MiB. Further threads share one slot with atomic adds.
pub const EXCLUSIVE_SLOTS: u32 = 16;
/// Cohorts of blocks, the first being those of which nobody asks: one more than a process may have pinned marks. 8 MiB of addresses each, resident where written.
pub const COHORTS: u32 = 16;
/// The slot that all further threads share.
pub const SHARED_SLOT: u32 = EXCLUSIVE_SLOTS;
/// All slots. A reader sums as many exclusive ones as thread entries were ever leased: who leases slot s holds an entry of s or
/// more, noted before its first event.
pub const SLOTS: u32 = EXCLUSIVE_SLOTS + 1;
/// Marks that the target took itself and that are kept. (One under loom: two writers then meet at it.)
pub const INSIDE_MARKS: u32 = if cfg!(loom) { 1 } else { 8 };
/// Copies of the highest moment: one is whole while the other is being written.
pub const PEAKS: u32 = 2;
/// Bytes of an inside mark's name. (One word under loom, where each word multiplies the states.)
pub const MARK_NAME: usize = if cfg!(loom) { 8 } else { 64 };
/// Places in the section table. 32: twice what is known today.
pub const SECTIONS: usize = 32;
/// Every section begins on a page.
pub const PAGE: u64 = 4096;
/// Words that fill the header's page. (One under loom, whose atomics are large.)
const HEADER_REST: usize = if cfg!(loom) { 1 } else { 352 };

/// Rings of events: one for each slot of counters.
pub const RINGS: usize = SLOTS as usize;
/// Words of a cache line. (Under loom, whose atomics are large, two.)
const LINE: usize = if cfg!(loom) { 2 } else { 8 };
/// Words that fill the control page before its cursors, and behind them.
const CONTROL_REST: usize = if cfg!(loom) { 1 } else { 119 };
const CONTROL_END: usize = if cfg!(loom) { 1 } else { 248 };

/// The overflow site: charged when frames, sites or modules are full.
pub const OVERFLOW_SITE: u32 = 1;
/// The overflow site's frame.
pub const FULL_FRAME: u32 = 1;
/// The outer end of every stack of a nested event.
pub const NESTED_FRAME: u32 = 2;

/// What a section holds. Those marked reserved have no entries yet: their place and number are fixed so that a ledger that
/// has them is read by the same table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum SectionKind {
    /// [`Module`] entries.
    Modules = 1,
    /// [`ByteWord`] entries: paths, names.
    Strings = 2,
    /// [`Node`] entries.
    Frames = 3,
    /// [`Site`] entries.
    Sites = 4,
    /// [`Cell`] entries: `slot * sites + site`.
    Counters = 5,
    /// [`Thread`] entries.
    Threads = 6,
    /// [`Mark`] entries: the last marks that the target took itself.
    Marks = 7,
    /// [`Cell`] entries: `mark * sites + site`.
    MarkCounters = 8,
    /// [`Cell`] entries: `cohort * sites + site`, the account of the blocks that were born in a cohort (`cohorts`).
    Cohorts = 9,
    /// [`Mark`] entries: the last copies of the highest moment.
    Peak = 10,
    /// [`Temporary`] entries: `slot * sites + site`, blocks freed by their thread's next operation.
    Temporaries = 11,
    /// Never used: the rings of events lie in the control file.
    Rings = 12,
    /// [`Code`] entries: Python code objects that have stood in a stack.
    Python = 13,
    /// Reserved: names of JIT code.
    Jit = 14,
    /// [`Cell`] entries: `copy * sites + site`.
    PeakCounters = 15,
    /// [`Estimate`] entries, one a site: what sampled blocks stand for.
    Estimates = 16,
}

/// What a trie node stands for: the high 8 bits of [`Node::kind_module`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum FrameKind {
    /// Node 0 alone.
    Root = 0,
    /// `value` = return address − bias of the module.
    Native = 1,
    /// `value` = interrupted address − bias of the module (below a signal frame).
    NativeExact = 2,
    /// `value` = return address in no known module.
    Unknown = 3,
    /// A Python function and line: `value` is a [`crate::codes::PythonFrame`].
    Python = 4,
    /// Reserved: named JIT code.
    Jit = 5,
    /// A thread's label, outside its stacks' outermost frames; `value` is its name, a [`text`]. Its parent is the root.
    Thread = 6,
    /// The walk stopped early; `value` is a [`TruncatedReason`].
    Truncated = 16,
    /// Node [`FULL_FRAME`] alone.
    Full = 17,
    /// Node [`NESTED_FRAME`] alone.
    Nested = 18,
}

/// A structure that lives in the ledger.
///
/// # Safety
/// The implementor promises: (1) `repr(C)`, no padding that matters; (2) only atomic fields, so that a shared reference allows
/// concurrent change; (3) any bytes are a valid value.
pub unsafe trait Shared {}

macro_rules! shared {
    ($($name:ident = $size:expr, align $align:expr;)*) => {$(
        // SAFETY: repr(C), atomics alone (see its definition); any bytes are valid integers.
        unsafe impl Shared for $name {}
        #[cfg(not(loom))]
        const _: () = assert!(core::mem::size_of::<$name>() == $size && core::mem::align_of::<$name>() == $align);
    )*};
}
shared! {
    Header = 4096, align 8;
    Section = 32, align 8;
    Module = 128, align 8;
    Node = 16, align 8;
    Site = 8, align 4;
    Cell = 32, align 8;
    Temporary = 16, align 8;
    Estimate = 64, align 8;
    Thread = 128, align 8;
    Mark = 128, align 8;
    Code = 32, align 8;
    ByteWord = 8, align 8;
    Control = 4096, align 8;
    Cursor = 64, align 8;
    RingHead = 64, align 8;
    RingEvent = 32, align 8;
}

/// The first page.
#[derive(Debug)]
#[cfg_attr(loom, derive(Default))]
#[repr(C)]
pub struct Header {
    /// [`MAGIC`].
    pub magic: AtomicU64,
    /// [`VERSION`].
    pub version: AtomicU32,
    /// [`READY`] when all fields up to `sections` are written (Release by the shim, Acquire by the reader).
    pub state: AtomicU32,
    /// Bytes of the whole ledger.
    pub total_bytes: AtomicU64,
    /// Random: names this account among all.
    pub identity: AtomicU64,
    /// The target, in its own pid namespace.
    pub pid: AtomicU32,
    /// Its parent.
    pub parent_pid: AtomicU32,
    /// CLOCK_REALTIME at the start, in nanoseconds.
    pub start_unix_ns: AtomicU64,
    /// CLOCK_BOOTTIME at the start, in nanoseconds.
    pub start_boot_ns: AtomicU64,
    /// For a forked child, the identity of the account it was forked from; else 0.
    pub forked_from: AtomicU64,
    /// Entries of `sections` in use.
    pub sections_len: AtomicU32,
    /// log2 of the shadow's granule in bytes.
    pub granule_shift: AtomicU32,
    /// The executable's path, a [`text`].
    pub exe: AtomicU64,
    /// The arguments, each followed by a NUL, a [`text`].
    pub cmdline: AtomicU64,
    /// Frames kept of a stack.
    pub depth: AtomicU32,
    /// Bits of [`Complaint`].
    pub complaints: AtomicU32,
    /// The youngest cohort that a block was born in; 0 = no mark was pinned before any block that there is.
    pub cohort: AtomicU64,
    /// st_ino of the control page's memfd.
    pub control_inode: AtomicU64,
    /// Resident bytes at the start.
    pub start_rss_bytes: AtomicU64,
    /// The directory that it was started in, a [`text`]: what a script was called by may be relative to it.
    pub directory: AtomicU64,
    /// Entries of each append-only table: they only grow.
    pub lens: Lens,
    /// The highest moment.
    pub peak: PeakHead,
    /// How much is recorded, and was.
    pub sampling: Sampling,
    /// Where everything is.
    pub sections: [Section; SECTIONS],
    reserved_end: [AtomicU64; HEADER_REST],
}

/// The lengths of the append-only tables. Taken by `sync::take_index`; an entry below the length may not be published yet.
#[derive(Debug)]
#[cfg_attr(any(test, loom), derive(Default))]
#[repr(C)]
pub struct Lens {
    /// Nodes.
    pub frames: AtomicU32,
    /// Sites.
    pub sites: AtomicU32,
    /// Modules.
    pub modules: AtomicU32,
    /// Eight-byte words of strings.
    pub strings: AtomicU32,
    /// Thread entries ever leased (high-water mark).
    pub threads: AtomicU32,
    /// Inside marks ever begun; mark n lies in entry n % INSIDE_MARKS.
    pub marks: AtomicU32,
    /// Python code objects.
    pub codes: AtomicU32,
    /// 1 once the shared slot may have been written, 0 before: its first event comes after.
    pub shared: AtomicU32,
}

/// How much was live at most, to within what threads have not passed on yet (`Thread::pending`).
#[derive(Debug)]
#[cfg_attr(any(test, loom), derive(Default))]
#[repr(C)]
pub struct PeakHead {
    /// Bytes that are live, as far as threads have passed them on; two's complement: a forked child frees what it never allocated.
    pub live: AtomicU64,
    /// The highest that `live` ever was.
    pub highest: AtomicU64,
    /// Of what height the best copy is: what `live` was when it was begun, less what it has fallen by until it was done.
    pub copied: AtomicU64,
    /// Copies ever begun; copy n lies in entry n % PEAKS.
    pub copies: AtomicU32,
    /// 1 while a thread makes a copy: another that wants one goes on without.
    pub busy: AtomicU32,
}

/// How much of what happens is recorded. Written by one thread at a time; a word each, so that a reader may find two of them from either side of a switch.
#[derive(Debug)]
#[cfg_attr(any(test, loom), derive(Default))]
#[repr(C)]
pub struct Sampling {
    /// The mode in effect, as [`crate::sampling::Mode::word`] has it.
    pub mode: AtomicU32,
    /// How often it was switched.
    pub changes: AtomicU32,
    /// The largest mean that was ever in effect.
    pub largest: AtomicU32,
    /// Bits of [`Was`]: the modes that were in effect at any time.
    pub modes: AtomicU32,
    /// The means that were ever in effect, in the order of their first use; 0 = none.
    pub intervals: [AtomicU32; INTERVALS],
    reserved_word: AtomicU32,
    reserved: [AtomicU64; 2],
}

/// One line of the section table.
#[derive(Debug)]
#[cfg_attr(any(test, loom), derive(Default))]
#[repr(C)]
pub struct Section {
    /// [`SectionKind`].
    pub kind: AtomicU32,
    /// Bytes of an entry.
    pub entry_bytes: AtomicU32,
    /// Where it begins, a multiple of [`PAGE`].
    pub offset: AtomicU64,
    /// Entries that it has room for.
    pub entries: AtomicU64,
    reserved: AtomicU64,
}

/// A loaded object.
#[derive(Debug)]
#[cfg_attr(any(test, loom), derive(Default))]
#[repr(C)]
pub struct Module {
    /// 0 = not published, 1 = published (Release; every other field was written before).
    pub state: AtomicU32,
    /// Bytes of the build id, at most 32; 0 = none.
    pub build_id_len: AtomicU32,
    /// Run-time address − address in the file.
    pub bias: AtomicU64,
    /// First run-time address.
    pub start: AtomicU64,
    /// First run-time address past it.
    pub end: AtomicU64,
    /// CLOCK_BOOTTIME when it was learnt.
    pub from_ns: AtomicU64,
    /// CLOCK_BOOTTIME when it was found gone from its address range; 0 = still there as far as known.
    pub until_ns: AtomicU64,
    /// Its path, a [`text`].
    pub path: AtomicU64,
    /// GNU build id.
    pub build_id: [AtomicU64; 4],
    reserved: [AtomicU64; 5],
}

/// A node of the trie of frames: written whole before anything names it, never changed.
#[derive(Debug)]
#[cfg_attr(any(test, loom), derive(Default))]
#[repr(C)]
pub struct Node {
    /// The caller's node; always a smaller id.
    pub parent: AtomicU32,
    /// [`FrameKind`] << 24 | module id.
    pub kind_module: AtomicU32,
    /// See [`FrameKind`].
    pub value: AtomicU64,
}

/// A stack that has allocated.
#[derive(Debug)]
#[cfg_attr(any(test, loom), derive(Default))]
#[repr(C)]
pub struct Site {
    /// The innermost frame's node; 0 = not published (Release store publishes the site).
    pub frame: AtomicU32,
    reserved: AtomicU32,
}

/// The account of one site in one slot; monotonic.
#[derive(Debug)]
#[cfg_attr(any(test, loom), derive(Default))]
#[repr(C)]
pub struct Cell {
    /// Bytes ever allocated.
    pub allocated_bytes: AtomicU64,
    /// Blocks ever allocated.
    pub allocated_blocks: AtomicU64,
    /// Bytes ever freed.
    pub freed_bytes: AtomicU64,
    /// Blocks ever freed.
    pub freed_blocks: AtomicU64,
}

/// The blocks of one site that were freed, in one slot, by their thread's operation after the one that allocated them; monotonic.
#[derive(Debug)]
#[cfg_attr(any(test, loom), derive(Default))]
#[repr(C)]
pub struct Temporary {
    /// Their bytes.
    pub bytes: AtomicU64,
    /// Their number.
    pub blocks: AtomicU64,
}

/// What the sampled blocks of one site stand for, in all slots; monotonic. The points are those of [`crate::sampling`].
#[derive(Debug)]
#[cfg_attr(any(test, loom), derive(Default))]
#[repr(C)]
pub struct Estimate {
    /// Bytes ever allocated.
    pub allocated_bytes: AtomicU64,
    /// Blocks ever allocated.
    pub allocated_blocks: AtomicU64,
    /// Bytes ever freed.
    pub freed_bytes: AtomicU64,
    /// Blocks ever freed.
    pub freed_blocks: AtomicU64,
    /// Variance of `allocated_bytes`. These four go round past 2^64: only differences mean something.
    pub allocated_bytes_spread: AtomicU64,
    /// Variance of `allocated_blocks`.
    pub allocated_blocks_spread: AtomicU64,
    /// What of `allocated_bytes_spread` belongs to blocks that were freed.
    pub freed_bytes_spread: AtomicU64,
    /// What of `allocated_blocks_spread` belongs to blocks that were freed.
    pub freed_blocks_spread: AtomicU64,
}

/// One thread's entry: what it is in the middle of, and what it could not account for as it should.
#[derive(Debug)]
#[cfg_attr(any(test, loom), derive(Default))]
#[repr(C)]
pub struct Thread {
    /// Stack pointer at the entry of the hook that this thread is in; 0 = in no hook. In the last entry, which many threads
    /// share, their number: 1 is added at the entry of a hook and taken off at its end.
    pub in_hook: AtomicU64,
    /// Kernel thread id of the last lease holder.
    pub tid: AtomicU32,
    reserved_tid: AtomicU32,
    /// Events inside a hook: innermost frame only.
    pub nested: AtomicU64,
    /// Walks that ended early.
    pub truncated: AtomicU64,
    /// Events charged to the overflow site.
    pub overflow: AtomicU64,
    /// Frees of blocks that were never seen.
    pub foreign_frees: AtomicU64,
    /// Stacks walked.
    pub walks: AtomicU64,
    /// Walks that ended at a remembered frame.
    pub memo_hits: AtomicU64,
    /// Walks that went to the outermost frame by rules.
    pub memo_misses: AtomicU64,
    /// Blocks that the shadow has no room for (address out of its range, or no memory for it).
    pub untracked: AtomicU64,
    /// Live bytes that are not in `PeakHead::live` yet are `pending + risen - fallen`, all in two's complement.
    pub pending: AtomicU64,
    /// What each allocation adds to; from 0 on the thread has to look at the three (`peak`).
    pub risen: AtomicU64,
    /// What each free adds to; as `risen`.
    pub fallen: AtomicU64,
    /// Frames that only a frame pointer led out of.
    pub frame_pointers: AtomicU64,
    reserved: [AtomicU64; 2],
}

/// A mark that the target took itself: a sequence lock around it and its counters.
#[derive(Debug)]
#[cfg_attr(any(test, loom), derive(Default))]
#[repr(C)]
pub struct Mark {
    /// Odd while it is being written; 0 = never written; (n + 1) * 2 after mark n was written (Release).
    pub sequence: AtomicU32,
    /// Sites whose counters it holds.
    pub sites_len: AtomicU32,
    /// CLOCK_REALTIME.
    pub unix_ns: AtomicU64,
    /// Resident bytes, 0 = not known.
    pub rss_bytes: AtomicU64,
    /// Events that may have been seen half; 0 = exact.
    pub in_flight: AtomicU64,
    /// The name, padded with NUL.
    pub name: [AtomicU64; MARK_NAME / 8],
    reserved: [AtomicU64; 4],
}

/// A Python code object, one entry for each file, name and first line.
#[derive(Debug)]
#[cfg_attr(any(test, loom), derive(Default))]
#[repr(C)]
pub struct Code {
    /// 0 = not published, 1 = published (Release; every other field was written before).
    pub state: AtomicU32,
    /// Its first line.
    pub first_line: AtomicU32,
    /// Its file as Python names it, a [`text`].
    pub file: AtomicU64,
    /// Its qualified name, a [`text`].
    pub name: AtomicU64,
    reserved: AtomicU64,
}

/// Eight bytes of the strings section.
#[derive(Debug)]
#[cfg_attr(any(test, loom), derive(Default))]
#[repr(C)]
pub struct ByteWord(pub AtomicU64);

/// The control page, the first of the control file: the only memory of the target's that the command writes. The shim believes no value of it.
#[derive(Debug)]
#[cfg_attr(loom, derive(Default))]
#[repr(C)]
pub struct Control {
    /// [`MAGIC`].
    pub magic: AtomicU64,
    /// Identity of the ledger that it belongs to.
    pub identity: AtomicU64,
    /// What a command has asked for and nobody has done yet, as [`crate::sampling::Mode::request`] has it; 0 = nothing. One word, so that nobody reads half
    /// of it, beside `rings`, so that one look of an event's finds either.
    pub mode: AtomicU32,
    /// Not 0 while events go into the rings: the generation of the reader that asked for them. Written by that reader, and by the shim alone
    /// from an expired generation to 0.
    pub rings: AtomicU32,
    reserved_sample: AtomicU64,
    /// The cohort that blocks are born into, below [`COHORTS`]; raised by one by each command that takes a mark of which survivors are to be known.
    pub cohort: AtomicU64,
    /// Until when the reader answers for its request, in ticks of the processor's clock; it keeps moving it on while it lives.
    pub lease: AtomicU64,
    /// Bits of [`RingFlag`].
    pub ring_flags: AtomicU32,
    /// Events that a ring has room for, a power of two; 0 = there are no rings. Written by the shim, once.
    pub ring_capacity: AtomicU32,
    /// The processor's clock at `Header::start_boot_ns`; written where the rings are on from the start.
    pub start_ticks: AtomicU64,
    /// A robust futex whose owner is the reader's thread that renews the lease: its id, as it sees itself; 0 = the lease alone speaks for the reader. Written by that
    /// thread before the request, and by the kernel when it ends in whatever way: then [`crate::control::OWNER_DIED`] is set.
    pub owner: AtomicU32,
    reserved_owner: AtomicU32,
    reserved: [AtomicU64; CONTROL_REST],
    /// How far the reader has come in each ring (Release by the reader, Acquire by the shim: what is before it may be overwritten).
    pub cursors: [Cursor; RINGS],
    reserved_end: [AtomicU64; CONTROL_END],
}

/// How far the reader has come in one ring. A cache line of its own: each is read by another thread.
#[derive(Debug)]
#[cfg_attr(any(test, loom), derive(Default))]
#[repr(C)]
pub struct Cursor {
    /// The number of the next event that it wants.
    pub next: AtomicU64,
    reserved: [AtomicU64; LINE - 1],
}

/// A ring's own words, in the control file's second page.
#[derive(Debug)]
#[cfg_attr(any(test, loom), derive(Default))]
#[repr(C)]
pub struct RingHead {
    /// The number of the next event: each is taken by exchange.
    pub position: AtomicU64,
    /// Events that found no room.
    pub dropped: AtomicU64,
    reserved: [AtomicU64; LINE - 2],
}

/// One event.
#[derive(Debug)]
#[cfg_attr(any(test, loom), derive(Default))]
#[repr(C)]
pub struct RingEvent {
    /// Low 32 bits of the event's number plus one << 32 | who freed it is told << 27 | operation << 24 | site (Release: the event is whole).
    pub stamp: AtomicU64,
    /// The processor's clock.
    pub ticks: AtomicU64,
    /// Thread << 48 | address.
    pub place: AtomicU64,
    /// Bytes asked for; where it is told, the site of the stack that freed the block << 46.
    pub size: AtomicU64,
}

/// Packs a range of the strings section into one word: offset << 32 | length. 0 = no text.
#[must_use]
pub fn text(offset: u32, len: u32) -> u64 {
    u64::from(offset) << 32 | u64::from(len)
}

/// Pins the offset of every field that has a meaning; docs/LEDGER.md prints the same numbers.
#[cfg(not(loom))]
macro_rules! offsets {
    ($($name:ident { $($field:ident: $offset:expr,)* })*) => {$($(
        const _: () = assert!(core::mem::offset_of!($name, $field) == $offset);
    )*)*};
}
#[cfg(not(loom))]
offsets! {
    Header {
        magic: 0, version: 8, state: 12, total_bytes: 16, identity: 24, pid: 32, parent_pid: 36, start_unix_ns: 40,
        start_boot_ns: 48, forked_from: 56, sections_len: 64, granule_shift: 68, exe: 72, cmdline: 80, depth: 88,
        complaints: 92, cohort: 96, control_inode: 104, start_rss_bytes: 112, directory: 120, lens: 128,
        peak: 160, sampling: 192, sections: 256, reserved_end: 1280,
    }
    Lens { frames: 0, sites: 4, modules: 8, strings: 12, threads: 16, marks: 20, codes: 24, shared: 28, }
    PeakHead { live: 0, highest: 8, copied: 16, copies: 24, busy: 28, }
    Section { kind: 0, entry_bytes: 4, offset: 8, entries: 16, reserved: 24, }
    Module {
        state: 0, build_id_len: 4, bias: 8, start: 16, end: 24, from_ns: 32, until_ns: 40, path: 48, build_id: 56,
        reserved: 88,
    }
    Node { parent: 0, kind_module: 4, value: 8, }
    Site { frame: 0, reserved: 4, }
    Cell { allocated_bytes: 0, allocated_blocks: 8, freed_bytes: 16, freed_blocks: 24, }
    Temporary { bytes: 0, blocks: 8, }
    Sampling { mode: 0, changes: 4, largest: 8, modes: 12, intervals: 16, reserved_word: 44, reserved: 48, }
    Estimate {
        allocated_bytes: 0, allocated_blocks: 8, freed_bytes: 16, freed_blocks: 24, allocated_bytes_spread: 32,
        allocated_blocks_spread: 40, freed_bytes_spread: 48, freed_blocks_spread: 56,
    }
    Thread {
        in_hook: 0, tid: 8, reserved_tid: 12, nested: 16, truncated: 24, overflow: 32, foreign_frees: 40, walks: 48,
        memo_hits: 56, memo_misses: 64, untracked: 72, pending: 80, risen: 88, fallen: 96, frame_pointers: 104,
        reserved: 112,
    }
    Mark { sequence: 0, sites_len: 4, unix_ns: 8, rss_bytes: 16, in_flight: 24, name: 32, reserved: 96, }
    Code { state: 0, first_line: 4, file: 8, name: 16, reserved: 24, }
    Control {
        magic: 0, identity: 8, mode: 16, rings: 20, reserved_sample: 24, cohort: 32, lease: 40, ring_flags: 48, ring_capacity: 52,
        start_ticks: 56, owner: 64, reserved_owner: 68, reserved: 72, cursors: 1024, reserved_end: 2112,
    }
    Cursor { next: 0, reserved: 8, }
    RingHead { position: 0, dropped: 8, reserved: 16, }
    RingEvent { stamp: 0, ticks: 8, place: 16, size: 24, }
}
