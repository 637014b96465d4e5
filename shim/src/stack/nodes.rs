//! From a frame to its trie node, and from a stack's node to its site: what a thread does not find in its own memory.
//!
//! A program that begins makes thousands of nodes in a row, most of them in code of the same object: so the thread remembers the object of the
//! last address that it asked for, as long as the loader does nothing.

use super::OVERFLOW;
use crate::memory::{PrivateRungs, Table, Zeroed};
use crate::tracer::Tracer;
use crate::{modules, real};
use heapshim_ledger::children::{Children, Kin};
use heapshim_ledger::frames::{Frame, FrameId};
use heapshim_ledger::header::LARGEST;
use heapshim_ledger::layout::{FULL_FRAME, FrameKind};
use heapshim_ledger::sites::SiteId;
use heapshim_ledger::sync::Word;

// SAFETY: zeros are integers.
unsafe impl Zeroed for Kin {}

/// A record for each node: its children, and its site.
static KIN: Table<Kin> = Table::new(LARGEST.frames as usize);
/// Frames by (caller, kind, module, value), where their callers have many children.
static FRAME_INDEX: PrivateRungs = PrivateRungs::new();

/// The object that held the last address. Zeros: none.
#[derive(Clone, Copy, Debug)]
pub(super) struct RecentModule {
    start: u64,
    length: u64,
    bias: u64,
    id: u32,
    /// Of the loader; what was true then need not be later.
    generation: u32,
}

impl RecentModule {
    /// The node of a native frame, below its caller's.
    #[inline(always)]
    pub(super) fn intern(
        &mut self,
        tracer: &Tracer,
        generation: u32,
        parent: FrameId,
        (address, exact): (u64, bool),
    ) -> Option<FrameId> {
        let back = if exact { 0 } else { 1 };
        let pc = address.wrapping_sub(back);
        if !self.holds(pc, generation) && !self.look_up(pc, generation) {
            return elsewhere(tracer, parent, (address, pc));
        }
        let frame = Frame {
            parent,
            kind: match exact {
                true => FrameKind::NativeExact,
                false => FrameKind::Native,
            },
            module: self.id,
            value: address.wrapping_sub(self.bias),
        };
        intern_frame(tracer, frame)
    }

    #[inline(always)]
    fn holds(&self, pc: u64, generation: u32) -> bool {
        self.generation == generation && pc.wrapping_sub(self.start) < self.length
    }

    /// True where an object other than this library holds the address; then it is remembered.
    #[inline(never)]
    fn look_up(&mut self, pc: u64, generation: u32) -> bool {
        let Some(module) = modules::at(pc).filter(|_| !real::is_ours(pc)) else {
            return false;
        };
        let [start, end] = module.range();
        *self = RecentModule {
            start,
            length: end.wrapping_sub(start),
            bias: module.bias,
            id: module.id.0,
            generation,
        };
        true
    }

    /// None yet, for one who has no memory of a thread's.
    pub(super) const fn none() -> RecentModule {
        RecentModule {
            start: 0,
            length: 0,
            bias: 0,
            id: 0,
            generation: 0,
        }
    }
}

/// The node of a frame that is in no object of the target's.
#[cold]
#[inline(never)]
fn elsewhere(tracer: &Tracer, parent: FrameId, (address, pc): (u64, u64)) -> Option<FrameId> {
    if real::is_ours(pc) {
        // Between an interpreter and the malloc that its allocator calls (`python::objects`): no frame of the target's.
        return Some(parent);
    }
    let frame = Frame {
        parent,
        kind: FrameKind::Unknown,
        module: 0,
        value: address,
    };
    intern_frame(tracer, frame)
}

/// The node of a frame, made where there is none. None where there is no room.
#[inline(always)]
pub(super) fn intern_frame(tracer: &Tracer, frame: Frame) -> Option<FrameId> {
    let children = Children {
        frames: &tracer.writer.frames,
        kin: KIN.entries()?,
        rungs: &FRAME_INDEX,
    };
    children.find_or_insert(&frame)
}

/// The site of the stack that ends in a node.
#[inline]
pub(super) fn site_of(tracer: &Tracer, node: FrameId) -> Option<SiteId> {
    let kin = KIN.get(node.0)?;
    match kin.site.observe() {
        0 => new_site(tracer, node, kin),
        site => Some(SiteId(site)),
    }
}

#[cold]
#[inline(never)]
fn new_site(tracer: &Tracer, node: FrameId, kin: &Kin) -> Option<SiteId> {
    // The overflow site's frame is not a stack of its own.
    let site = if node.0 == FULL_FRAME {
        OVERFLOW
    } else {
        tracer.writer.sites.append(node)?
    };
    match kin.site.claim(0, site.0) {
        Ok(_) => Some(site),
        Err(first) => Some(SiteId(first)),
    }
}
