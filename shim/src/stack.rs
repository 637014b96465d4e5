//! From the registers at a hook's entry to a site: the walk, the trie, the site.
//!
//! The walk goes by rules (`rules`) over memory that is known to be there (`bounds`), remembering the thread's last walk
//! (`heapshim_unwind::Memo`). What it returns are the frames that are new; their trie nodes are looked up outermost first, below the
//! remembered node of the frames that are not. A small cache by (caller's node, address) keeps the usual look-up in the
//! thread's own memory.

use crate::bounds::{Bounds, OwnStack, StackMemory};
use crate::entry::Entry;
use crate::python::interpreter::{self, Interpreter};
use crate::rules::RuleTable;
use crate::tracer::Tracer;
use crate::{label, loader};
use heapshim_ledger::frames::{Frame, FrameId};
use heapshim_ledger::layout::{FrameKind, NESTED_FRAME, OVERFLOW_SITE, TruncatedReason};
use heapshim_ledger::sites::SiteId;
use heapshim_unwind::{End, Lean, Memo, Walked};
use mixed::Mixed;
use nodes::{RecentModule, intern_frame, site_of};

mod deep;
mod mixed;
mod nodes;
mod released;

pub(crate) use released::releasing;

/// Deepest stack that can be asked for.
pub(crate) const MAX_DEPTH: usize = 512;
/// Places for a walk. One more than the depth, since of the outermost frame of a stack that is cut it is not known whether it is an evaluator's.
pub(crate) const PLACES: usize = MAX_DEPTH + 1;
/// Sets of two entries of the node cache: about the call sites that a thread's hot loop passes; 32 KiB. With 1,024 single entries,
/// 600 live (caller, address) pairs already evicted each other.
const CACHE_SETS: usize = 1024;
/// No generation of the loader: it counts up from 1, and would need a day of nothing but dlopen to come here.
const NO_GENERATION: u32 = u32::MAX;
const OVERFLOW: SiteId = SiteId(OVERFLOW_SITE);

/// A thread's scratch memory. Zeros are a valid, empty one. Aligned, so that the sets of its cache lie in one line each, whatever stands before it.
#[derive(Debug)]
#[repr(align(64))]
pub(crate) struct Scratch {
    bounds: Bounds,
    /// Generation of the loader that `memo`, `nodes` and `cache` belong to.
    generation: u32,
    /// What stands outside this thread's stacks (`label`).
    label: u32,
    /// `label::renames()` when it was chosen; 0 = not chosen.
    renames: u32,
    /// Twice the depth, so that a stack which moves around the limit stays remembered.
    memo: Memo<{ 2 * MAX_DEPTH }>,
    frames: [heapshim_unwind::Entry; PLACES],
    /// Trie nodes of the last walk, outermost first.
    nodes: [u32; PLACES],
    mixed: Mixed,
    module: RecentModule,
    cache: [[Cached; 2]; CACHE_SETS],
}

#[derive(Clone, Copy, Debug)]
struct Cached {
    /// The address, with the highest bit set where it is exact; a Python frame's value, with the second highest set.
    key: u64,
    parent: u32,
    node: u32,
}

/// What a capture came to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Captured {
    pub(crate) site: SiteId,
    pub(crate) truncated: bool,
    pub(crate) remembered: bool,
}

impl Scratch {
    /// Forgets what belongs to another thread's stack, and what that thread may have left half written when it ended.
    pub(crate) fn new_thread(&mut self) {
        self.bounds = Bounds::of_this_thread();
        self.renames = 0;
        if self.generation != 0 {
            self.abandon();
        }
    }

    /// What is known of the thread's stack.
    pub(crate) fn bounds(&self) -> Bounds {
        self.bounds
    }

    /// A hook that was using this was left by a longjmp: nothing in it can be trusted.
    pub(crate) fn abandon(&mut self) {
        self.generation = NO_GENERATION;
    }

    /// The thread gets another name: its label is chosen again at its next event.
    pub(crate) fn forget_label(&mut self) {
        self.renames = 0;
        self.abandon();
    }

    /// The site of the stack that called the hook.
    #[inline(always)]
    pub(crate) fn capture(&mut self, tracer: &Tracer, entry: &Entry) -> Captured {
        let generation = loader::generation();
        if self.generation != generation || cfg!(feature = "memoless") {
            self.forget(tracer, generation);
        }
        let (node, end, shared) = match interpreter::get() {
            Some(interpreter) => self.capture_with_python(tracer, interpreter, entry),
            None => {
                self.leave_mixed();
                match self.walk_lean(entry, tracer.depth) {
                    Some(lean) => (self.intern_lean(tracer, &lean), End::Complete, lean.shared),
                    None => self.capture_native(tracer, entry),
                }
            }
        };
        let site = node
            .and_then(|node| site_of(tracer, node))
            .unwrap_or_else(|| self.overflow());
        Captured {
            site,
            truncated: !matches!(end, End::Complete),
            remembered: shared > 0,
        }
    }

    /// The walk of frames that depend on nothing but their ip and sp; first, since most do.
    #[inline(always)]
    fn walk_lean(&mut self, entry: &Entry, depth: usize) -> Option<Lean> {
        let sp = entry.caller_sp();
        let mut memory = OwnStack::new(&self.bounds, sp)?;
        let mut rules = RuleTable::new(self.generation);
        let from = (entry.return_address, sp);
        self.memo.walk_lean(from, depth, &mut rules, &mut memory)
    }

    /// The trie node of a lean walk, outermost frame first.
    #[inline(always)]
    fn intern_lean(&mut self, tracer: &Tracer, lean: &Lean) -> Option<FrameId> {
        let [outer, places @ ..] = self.nodes.get_mut(lean.shared.wrapping_sub(1)..)? else {
            return None;
        };
        let (mut parent, frames) = (FrameId(*outer), self.memo.lean_frames(lean));
        for (place, frame) in places.iter_mut().zip(frames) {
            let address = frame.value();
            parent = match foremost(&self.cache, parent, address) {
                Some(node) => node,
                None => {
                    let mut naming = Naming {
                        tracer,
                        generation: self.generation,
                        module: &mut self.module,
                        cache: &mut self.cache,
                    };
                    naming.older(parent, address, (address, false))?
                }
            };
            *place = parent.0;
        }
        Some(parent)
    }

    /// As far as no Python is there.
    #[inline(never)]
    fn capture_native(&mut self, tracer: &Tracer, entry: &Entry) -> (Option<FrameId>, End, usize) {
        let walked = self.walk_memo(entry, tracer.depth);
        let node = self.node_of_walk(tracer, &walked);
        (node, walked.end, walked.shared)
    }

    /// What the node needs of the stack is not there while the walk is.
    #[inline(never)]
    fn node_of_walk(&mut self, tracer: &Tracer, walked: &Walked) -> Option<FrameId> {
        match walked.end {
            End::TooDeep if tracer.depth >= deep::ANCHORED => self.intern_deep(tracer, walked),
            _ => self.intern_walk(tracer, walked),
        }
    }

    /// Keeps the native path's frame small.
    #[inline(never)]
    fn capture_with_python(
        &mut self,
        tracer: &Tracer,
        interpreter: &Interpreter,
        entry: &Entry,
    ) -> (Option<FrameId>, End, usize) {
        self.capture_mixed(tracer, interpreter, entry)
    }

    #[inline(never)]
    fn walk_memo(&mut self, entry: &Entry, places: usize) -> Walked {
        let from = (entry.return_address, entry.caller_sp());
        let mut memory = StackMemory::new(&mut self.bounds, entry.caller_sp());
        let out = self.frames.get_mut(..places).unwrap_or(&mut []);
        let mut rules = RuleTable::new(self.generation);
        self.memo
            .walk(from, entry.saved(), &mut rules, &mut memory, out)
    }

    #[cold]
    #[inline(never)]
    fn forget(&mut self, tracer: &Tracer, generation: u32) {
        if self.generation == 0 {
            // Its caches are still zeros, which are not to be made resident.
            self.memo.forget_walk();
        } else {
            self.memo.clear();
            self.cache.fill(
                [Cached {
                    key: 0,
                    parent: 0,
                    node: 0,
                }; 2],
            );
        }
        self.generation = generation;
        self.mixed.forget();
        let renames = label::renames();
        if self.renames != renames {
            self.renames = renames;
            self.label = label::of_this_thread(tracer).0;
        }
    }

    /// The nodes no longer stand beside the memo's frames.
    #[cold]
    #[inline(never)]
    fn overflow(&mut self) -> SiteId {
        self.memo.forget_walk();
        self.mixed.forget();
        OVERFLOW
    }

    /// The trie node of a walk, outermost frame first.
    #[inline]
    fn intern_walk(&mut self, tracer: &Tracer, walked: &Walked) -> Option<FrameId> {
        let parent = match walked.shared.checked_sub(1) {
            Some(last) => FrameId(*self.nodes.get(last)?),
            None => outer_end(tracer, FrameId(self.label), walked.end)?,
        };
        if walked.len == 0 {
            return Some(parent);
        }
        let end = walked.shared + walked.len;
        let nodes = self.nodes.get_mut(walked.shared..end)?;
        let naming = Naming {
            tracer,
            generation: self.generation,
            module: &mut self.module,
            cache: &mut self.cache,
        };
        if walked.is_kept {
            let frames = self.memo.kept(walked).iter();
            return intern_all(naming, parent, nodes, frames);
        }
        let frames = self.frames.get(..walked.len)?.iter().rev();
        intern_all(naming, parent, nodes, frames)
    }

    #[inline]
    fn intern(
        &mut self,
        tracer: &Tracer,
        parent: FrameId,
        address: u64,
        exact: bool,
    ) -> Option<FrameId> {
        let key = address | u64::from(exact) << 63;
        let (module, generation) = (&mut self.module, self.generation);
        cached(&mut self.cache, parent, key, || {
            module.intern(tracer, generation, parent, (address, exact))
        })
    }

    /// The node below `parent` that `key` names: from the cache, or made.
    #[inline]
    fn cached(
        &mut self,
        parent: FrameId,
        key: u64,
        make: impl FnOnce() -> Option<FrameId>,
    ) -> Option<FrameId> {
        cached(&mut self.cache, parent, key, make)
    }
}

/// What frames are named by.
struct Naming<'s> {
    tracer: &'s Tracer,
    generation: u32,
    module: &'s mut RecentModule,
    cache: &'s mut [[Cached; 2]; CACHE_SETS],
}

/// The nodes of frames, outermost first, below `parent`; the innermost one's.
#[inline(always)]
fn intern_all<'f>(
    mut naming: Naming<'_>,
    mut parent: FrameId,
    nodes: &mut [u32],
    frames: impl Iterator<Item = &'f heapshim_unwind::Entry>,
) -> Option<FrameId> {
    for (place, frame) in nodes.iter_mut().zip(frames) {
        parent = naming.node(parent, frame)?;
        *place = parent.0;
    }
    Some(parent)
}

impl Naming<'_> {
    /// The node of a frame below `parent`.
    #[inline(always)]
    fn node(&mut self, parent: FrameId, frame: &heapshim_unwind::Entry) -> Option<FrameId> {
        self.node_of(parent, frame.address(), frame.is_exact())
    }

    /// The same by its address.
    #[inline(always)]
    fn node_of(&mut self, parent: FrameId, address: u64, exact: bool) -> Option<FrameId> {
        let key = address | u64::from(exact) << 63;
        match self.newest(parent, key) {
            Some(node) => Some(node),
            None => self.older(parent, key, (address, exact)),
        }
    }

    /// The node below `parent`, if it is the newest of its set.
    #[inline(always)]
    fn newest(&self, parent: FrameId, key: u64) -> Option<FrameId> {
        foremost(self.cache, parent, key)
    }

    /// The node below `parent`, wherever it is.
    #[inline(never)]
    fn older(&mut self, parent: FrameId, key: u64, frame: (u64, bool)) -> Option<FrameId> {
        let (tracer, generation, module) = (self.tracer, self.generation, &mut *self.module);
        cached(self.cache, parent, key, || {
            module.intern(tracer, generation, parent, frame)
        })
    }
}

/// Where the node below `parent` that `key` names is kept. Of a key its low half is spread: there addresses in one object differ, and Python's lines.
#[inline(always)]
fn set_of(parent: FrameId, key: u64) -> usize {
    let low = u32::try_from(key & u64::from(u32::MAX)).unwrap_or(0);
    let spread = low.wrapping_mul(0x9e37_79b9) >> (u32::BITS - CACHE_SETS.trailing_zeros());
    // The node is the last of what decides to be known, so it is mixed in last, too: a walk of nodes is a chain of look-ups.
    usize::try_from(spread ^ parent.0).unwrap_or(0) % CACHE_SETS
}

/// The node below `parent` that `key` names: from the cache, or made.
#[inline(always)]
fn cached(
    cache: &mut [[Cached; 2]; CACHE_SETS],
    parent: FrameId,
    key: u64,
    make: impl FnOnce() -> Option<FrameId>,
) -> Option<FrameId> {
    let [newer, older] = cache.get_mut(set_of(parent, key))?;
    let wanted = |cached: &Cached| cached.key == key && cached.parent == parent.0;
    if wanted(newer) {
        return Some(FrameId(newer.node));
    }
    let node = match wanted(older) {
        true => older.node,
        false => make()?.0,
    };
    *older = *newer;
    *newer = Cached {
        key,
        parent: parent.0,
        node,
    };
    Some(FrameId(node))
}

/// As `cached`, where it came last of those that share its set.
#[inline(always)]
fn foremost(cache: &[[Cached; 2]; CACHE_SETS], parent: FrameId, key: u64) -> Option<FrameId> {
    let [newer, _] = cache.get(set_of(parent, key))?;
    (newer.key == key && newer.parent == parent.0).then_some(FrameId(newer.node))
}

/// The site of a nested event: its innermost frame alone, below the `nested` mark.
#[cold]
#[inline(never)]
pub(crate) fn innermost(tracer: &Tracer, entry: &Entry) -> SiteId {
    let frame = (entry.return_address, false);
    let node =
        RecentModule::none().intern(tracer, loader::generation(), FrameId(NESTED_FRAME), frame);
    node.and_then(|node| site_of(tracer, node))
        .unwrap_or(OVERFLOW)
}

/// What stands outside a stack's outermost frame: the thread's label, or below it the reason why the walk stopped there.
#[inline]
fn outer_end(tracer: &Tracer, label: FrameId, end: End) -> Option<FrameId> {
    let reason = match end {
        End::Complete => return Some(label),
        End::TooDeep => TruncatedReason::Depth,
        End::NoRule => TruncatedReason::NoRule,
        End::Unreadable => TruncatedReason::Unreadable,
        End::Corrupt => TruncatedReason::Corrupt,
        End::Unsupported => TruncatedReason::Unsupported,
    };
    intern_frame(
        tracer,
        Frame {
            parent: label,
            kind: FrameKind::Truncated,
            module: 0,
            value: reason as u64,
        },
    )
}
