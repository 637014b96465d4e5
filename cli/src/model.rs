//! The values that flow between the stages: what a snapshot is once it has left the target.
//!
//! Made by `snapshot` (from a live ledger) and by `mark` (from a file); read by `symbolize`, `diff` and `render`.
//! Everything here is owned and plain: no stage past `snapshot` touches the target's memory.
//!
//! Invariants, for a snapshot that `snapshot` or `mark` has handed out (they check them, so that no later stage has to):
//!   `frames[0]` is the root; for every i > 0, `frames[i].parent < i` (the trie has no cycles: walking parents ends);
//!   `frames[i].module`, where Some, indexes `modules`;
//!   the code of a frame of kind `Python` indexes `codes`, the value of one of kind `Thread` indexes `threads`;
//!   every `sites[i].frame` indexes `frames`; site and frame ids of one process never change their meaning.

use crate::births::Births;
use crate::peak::Peak;
use crate::report::Temporaries;
use crate::resident::Resident;
use heapshim_ledger::codes::PythonFrame;
use heapshim_ledger::estimates::Spread;
use heapshim_ledger::sampling::Mode;
use std::collections::BTreeMap;

/// A point in time as the user named it, and how the process stood there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moment {
    /// `start`, `now`, `exit`, or the mark's name.
    pub name: String,
    /// Nanoseconds since the Unix epoch.
    pub unix_ns: u64,
    /// Resident set size in bytes; 0 where it could not be read (the process had ended).
    pub rss_bytes: u64,
    /// What it is made of: then `rss_bytes` is its sum. None where that is not known.
    pub resident: Option<Resident>,
    /// True where no event was in flight while the counters were copied: the snapshot is one instant.
    pub exact: bool,
    /// An upper bound of the events that the copy may have seen half.
    pub in_flight: u64,
    /// Events that are missing, of an instant of a recording; 0 of an account, which misses none. No mark keeps it: instants are read off the recording.
    pub lost_events: u64,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It returned this status.
    Code(i32),
    /// This signal ended it.
    Signal(i32),
}

impl Exit {
    /// The status that a shell would give: 128 + N where signal N ended it.
    #[must_use]
    pub fn status(self) -> u8 {
        let number = match self {
            Exit::Code(code) => code,
            Exit::Signal(signal) => 128 + signal,
        };
        u8::try_from(number & 0xff).unwrap_or(1)
    }
}

/// Who was traced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Process id in the reader's pid namespace.
    pub pid: u32,
    /// Distinguishes two processes (or two exec images) that had the same pid: drawn at random by the shim at its start.
    pub identity: u64,
    /// `/proc/PID/comm`, or the base name of the executable.
    pub name: String,
    /// Absolute path of the executable.
    pub exe: String,
    /// Its arguments.
    pub cmdline: Vec<String>,
    /// The directory in which it was started: what a script is called by may be relative to it. Empty where it is not known.
    pub directory: String,
    /// How it ended, where that is known.
    pub exit: Option<Exit>,
    /// Nanoseconds since the Unix epoch at which the account begins.
    pub start_unix_ns: u64,
}

/// A loaded object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Module {
    /// Absolute path as the loader had it; `[vdso]` for the kernel's.
    pub path: String,
    /// GNU build id; empty where there is none.
    pub build_id: Vec<u8>,
    /// Run-time address minus address in the file (AVMA − SVMA).
    pub bias: u64,
    /// First run-time address of the object.
    pub start: u64,
    /// First run-time address past the object.
    pub end: u64,
}

/// Code of a script: what an interpreter makes of a function's source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Code {
    /// Its source, as the interpreter has it: not always a file (`<frozen importlib._bootstrap>`), not always absolute.
    pub file: String,
    /// Its qualified name.
    pub name: String,
    /// The line that it begins in.
    pub first_line: u32,
}

/// What one node of the trie stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FrameKind {
    /// The empty stack: node 0.
    Root,
    /// A return address, module-relative (SVMA): look up `value - 1`.
    Native,
    /// The exact interrupted address below a signal handler, module-relative: look up `value`.
    NativeExact,
    /// A return address that lies in no known module (JIT code): `value` is the run-time address.
    Unknown,
    /// A function of Python code: see [`Frame::python`].
    Python,
    /// Stands at the outer end of a stack whose walk stopped early; `value` is the reason (`ledger::layout::TruncatedReason`).
    Truncated,
    /// The overflow site's frame: frames, sites or modules were full.
    Full,
    /// Stands at the outer end of a stack of one frame: the event happened inside a hook.
    Nested,
    /// The label of the thread that the stack is of, outside all of its frames: `value` indexes `Snapshot::threads`.
    Thread,
}

/// A node of the trie: the caller's node and this frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The caller's node (0 = the root: nothing further out).
    pub parent: u32,
    /// What `value` means.
    pub kind: FrameKind,
    /// Index into `Snapshot::modules` for `Native` and `NativeExact`.
    pub module: Option<u32>,
    /// An address, see `kind`.
    pub value: u64,
}

impl Frame {
    /// Node 0 of every trie: the empty stack.
    pub const ROOT: Frame = Frame {
        parent: 0,
        kind: FrameKind::Root,
        module: None,
        value: 0,
    };

    /// For a frame of kind `Python`: the index of its code in `Snapshot::codes`, and the line, 0 where the instruction has none.
    #[must_use]
    pub fn python(&self) -> Option<(u32, u32)> {
        let frame = PythonFrame::from_value(self.value);
        (self.kind == FrameKind::Python).then_some((frame.code.0, frame.line))
    }
}

/// The account of one site: monotonic, in bytes that the program asked for and in blocks.
/// `live_* = allocated_* - freed_*`; signed, since a forked child frees blocks that its parent allocated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Counters {
    /// Bytes ever allocated.
    pub allocated_bytes: u64,
    /// Blocks ever allocated.
    pub allocated_blocks: u64,
    /// Bytes ever freed.
    pub freed_bytes: u64,
    /// Blocks ever freed.
    pub freed_blocks: u64,
}

/// A stack that has allocated. The site's id is its index in `Snapshot::sites`; site 0 is unused, site 1 is the overflow site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Site {
    /// The innermost frame's node: follow `Frame::parent` outwards.
    pub frame: u32,
    /// Its account.
    pub counters: Counters,
}

/// What the shim could not account for as it should have; all are counts of events since the account began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Losses {
    /// Events inside a hook (a signal handler, an allocator that calls itself): innermost frame only.
    pub nested_events: u64,
    /// Stacks walked that ended early.
    pub truncated_stacks: u64,
    /// Events charged to the overflow site.
    pub overflow_events: u64,
    /// Frees of blocks that were never seen.
    pub foreign_frees: u64,
    /// Blocks that the shadow had no room for: in no site's account.
    pub untracked_blocks: u64,
    /// Stacks walked.
    pub walks: u64,
}

/// Everything a mark holds: the account of one process at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Who.
    pub process: Process,
    /// When.
    pub moment: Moment,
    /// Loaded objects, by module id.
    pub modules: Vec<Module>,
    /// Code of scripts, by code id.
    pub codes: Vec<Code>,
    /// Labels of threads.
    pub threads: Vec<String>,
    /// The trie, by node id.
    pub frames: Vec<Frame>,
    /// Names of code that was made at run time, by the frame's value: what its runtime said of it at this moment.
    pub jit: BTreeMap<u64, String>,
    /// The account, by site id.
    pub sites: Vec<Site>,
    /// What is kept of its highest moment.
    pub peak: Option<Peak>,
    /// When its blocks were born, as far as that is known.
    pub births: Births,
    /// What was freed by its thread's next operation, since its beginning; None: nobody looked.
    pub temporaries: Option<Temporaries>,
    /// What is not in it.
    pub losses: Losses,
    /// What the shim says of it: bits of `heapshim_ledger::layout::Complaint`, read by `complaint`.
    pub complaints: u32,
    /// How much of what happened is in it.
    pub sampling: Sampling,
}

/// How much of what happened is in an account, and how far what it says for the rest may be off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sampling {
    /// What was recorded at the moment.
    pub mode: Mode,
    /// How often that was switched before.
    pub changes: u32,
    /// The largest mean between samples that was ever in effect; 0: none was.
    pub largest: u32,
    /// True where nothing was recorded at any time.
    pub was_off: bool,
    /// By site id, for those that have sampled blocks; None: not kept with this moment.
    pub spreads: Option<BTreeMap<u32, Spread>>,
}

impl Sampling {
    /// True where not every event was recorded, at any time.
    #[must_use]
    pub fn had_samples(&self) -> bool {
        self.largest != 0 || self.was_off || self.mode != Mode::Exact
    }
}

impl Default for Sampling {
    /// Every event was recorded.
    fn default() -> Sampling {
        Sampling {
            mode: Mode::Exact,
            changes: 0,
            largest: 0,
            was_off: false,
            spreads: Some(BTreeMap::new()),
        }
    }
}

impl Snapshot {
    /// The nodes of a stack, innermost first, without the root and the thread's label. Ends also where the trie is damaged: a parent
    /// comes before its children.
    pub(crate) fn nodes(&self, frame: u32) -> impl Iterator<Item = u32> + '_ {
        let is_frame = |&node: &u32| !self.is_label(node);
        self.all_nodes(frame).filter(is_frame)
    }

    /// The label of the thread that a stack is of.
    pub(crate) fn thread(&self, frame: u32) -> Option<&str> {
        let label = self
            .all_nodes(frame)
            .last()
            .filter(|&node| self.is_label(node))?;
        let name = usize::try_from(self.frames.get(label as usize)?.value).ok()?;
        self.threads.get(name).map(String::as_str)
    }

    fn is_label(&self, node: u32) -> bool {
        let frame = self.frames.get(node as usize);
        frame.is_some_and(|frame| frame.kind == FrameKind::Thread)
    }

    fn all_nodes(&self, frame: u32) -> impl Iterator<Item = u32> + '_ {
        let parent = |&node: &u32| {
            let parent = self.frames.get(node as usize)?.parent;
            (parent < node && parent != 0).then_some(parent)
        };
        std::iter::successors(Some(frame).filter(|&node| node != 0), parent)
    }
}

impl Counters {
    /// Adds an account to this one.
    pub fn add(&mut self, more: &Counters) {
        self.allocated_bytes = self.allocated_bytes.wrapping_add(more.allocated_bytes);
        self.allocated_blocks = self.allocated_blocks.wrapping_add(more.allocated_blocks);
        self.freed_bytes = self.freed_bytes.wrapping_add(more.freed_bytes);
        self.freed_blocks = self.freed_blocks.wrapping_add(more.freed_blocks);
    }

    /// Bytes allocated and not freed.
    #[must_use]
    pub fn live_bytes(&self) -> i64 {
        self.allocated_bytes
            .wrapping_sub(self.freed_bytes)
            .cast_signed()
    }

    /// Blocks allocated and not freed.
    #[must_use]
    pub fn live_blocks(&self) -> i64 {
        self.allocated_blocks
            .wrapping_sub(self.freed_blocks)
            .cast_signed()
    }
}
