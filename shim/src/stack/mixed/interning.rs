//! The making of a mixed stack: each frame's trie node, outermost first, from where the last event's stack is left.

use super::super::{Naming, Scratch, foremost, intern_frame};
use super::noting::sp_of;
use super::{Cursor, Names, Place, Resume, narrow};
use crate::python::chain::{STALE, UNKNOWN};
use crate::python::codes::Resolved;
use crate::tracer::Tracer;
use heapshim_ledger::codes::PythonFrame;
use heapshim_ledger::frames::{Frame, FrameId};
use heapshim_ledger::layout::FrameKind;
use heapshim_unwind::{Entry, Lean, Walked};

/// Tells a Python frame's key in the node cache from an address.
const PYTHON_KEY: u64 = 1 << 62;

impl Scratch {
    /// Interns the new Python frames at the place before, and the native frames from the place on.
    #[inline(always)]
    pub(super) fn intern_onwards(
        &mut self,
        names: Names<'_>,
        walked: &Walked,
        from: Resume,
        mut at: Cursor,
    ) -> Option<FrameId> {
        let open = from.place.checked_sub(1)?;
        while at.frame < self.mixed.frames.len() {
            self.mixed.marks.get_mut(at.frame)?.place = narrow(open);
            self.intern_next(names, &mut at)?;
        }
        self.mixed.places.get_mut(open)?.set(&at);
        for place in from.place..walked.shared {
            self.intern_native(names.tracer, &mut at, walked, place)?;
            self.mixed.places.get_mut(place)?.set(&at);
        }
        let reached = (at.node, narrow(at.count));
        self.intern_fresh(names.tracer, walked, from.place, reached)
    }

    /// Interns the native frames that are new, from a place on: nothing is cut off, and no Python frame is among them. The stack is made up to a node, of
    /// so many frames.
    #[inline(always)]
    pub(super) fn intern_fresh(
        &mut self,
        tracer: &Tracer,
        walked: &Walked,
        from: usize,
        reached: (FrameId, u32),
    ) -> Option<FrameId> {
        let passed = from.saturating_sub(walked.shared);
        let places = self.mixed.places.get_mut(walked.shared + passed..)?;
        let naming = Naming {
            tracer,
            generation: self.generation,
            module: &mut self.module,
            cache: &mut self.cache,
        };
        if self.memo.is_lean() {
            let lean = Lean {
                shared: walked.shared,
                len: walked.len,
            };
            let frames = self.memo.lean_frames(&lean).get(passed..)?;
            let frames = frames.iter().map(|slot| (slot.value(), false));
            return intern_places(naming, reached, places, frames);
        }
        if walked.is_kept {
            let frames = self.memo.kept(walked).get(passed..)?.iter();
            return intern_places(naming, reached, places, frames.map(address));
        }
        let frames = self.frames.get(..walked.len.checked_sub(passed)?)?;
        intern_places(naming, reached, places, frames.iter().rev().map(address))
    }

    /// The same of a lean walk, and notes where they lie.
    #[inline(always)]
    pub(super) fn intern_slots(
        &mut self,
        tracer: &Tracer,
        lean: &Lean,
        (mut node, mut count): (FrameId, u32),
    ) -> Option<FrameId> {
        let mut naming = Naming {
            tracer,
            generation: self.generation,
            module: &mut self.module,
            cache: &mut self.cache,
        };
        let places = self.mixed.places.get_mut(lean.shared..)?.iter_mut();
        for (place, slot) in places.zip(self.memo.lean_frames(lean)) {
            node = naming.node_of(node, slot.value(), false)?;
            count += 1;
            place.note(sp_of(slot));
            (place.node, place.count) = (node.0, count);
        }
        Some(node)
    }

    /// The node of the stack, outermost frame first.
    #[inline(always)]
    pub(super) fn intern_mixed(
        &mut self,
        names: Names<'_>,
        walked: &Walked,
        from: Resume,
        outermost: FrameId,
    ) -> Option<FrameId> {
        let mut at = self.mixed.cursor(from, outermost);
        if let Some(open) = from.place.checked_sub(1) {
            self.intern_group(names, &mut at, open)?;
            self.mixed.places.get_mut(open)?.set(&at);
        }
        for place in from.place..walked.shared + walked.len {
            let before = at.count;
            self.intern_group(names, &mut at, place)?;
            if at.count == before || place == 0 {
                self.intern_native(names.tracer, &mut at, walked, place)?;
            }
            self.mixed.places.get_mut(place)?.set(&at);
        }
        Some(at.node)
    }

    /// The Python frames that replace the native frame at a place.
    #[inline(always)]
    fn intern_group(&mut self, names: Names<'_>, at: &mut Cursor, place: usize) -> Option<()> {
        while at.frame < self.mixed.frames.len() {
            if self.mixed.marks.get(at.frame)?.place as usize != place {
                break;
            }
            self.intern_next(names, at)?;
        }
        Some(())
    }

    /// The next Python frame.
    #[inline(always)]
    fn intern_next(&mut self, names: Names<'_>, at: &mut Cursor) -> Option<()> {
        if at.count < self.mixed.cut {
            at.count += 1;
        } else if let Some(frame) = self.name(names, at.frame)? {
            at.node = self.intern_python(names.tracer, at.node, frame)?;
            at.count += 1;
        }
        let mark = self.mixed.marks.get_mut(at.frame)?;
        (mark.node, mark.count) = (at.node.0, narrow(at.count));
        at.frame += 1;
        Some(())
    }

    /// What a Python frame is in the ledger; `Some(None)` where it is to be left out, None where there is no room.
    #[inline(always)]
    fn name(&mut self, names: Names<'_>, nth: usize) -> Option<Option<PythonFrame>> {
        let running = self.mixed.frames.get_mut(nth)?;
        if running.value != UNKNOWN {
            return Some(Some(PythonFrame::from_value(running.value)));
        }
        let lines = &mut self.mixed.lines;
        let found = lines.resolve(names.tracer, names.interpreter, running, names.is_certain);
        match found {
            Resolved::Known(frame) => Some(Some(frame)),
            Resolved::Passing(frame) => {
                running.at = STALE;
                Some(Some(frame))
            }
            Resolved::Nothing => {
                running.at = STALE;
                Some(None)
            }
            Resolved::Full => None,
        }
    }

    #[inline]
    fn intern_python(
        &mut self,
        tracer: &Tracer,
        parent: FrameId,
        frame: PythonFrame,
    ) -> Option<FrameId> {
        let value = frame.to_value();
        let key = value | PYTHON_KEY;
        if let Some(node) = foremost(&self.cache, parent, key) {
            return Some(node);
        }
        self.cached(parent, key, || {
            let node = Frame {
                parent,
                kind: FrameKind::Python,
                module: 0,
                value,
            };
            intern_frame(tracer, node)
        })
    }

    /// The native frame at a place.
    #[inline]
    fn intern_native(
        &mut self,
        tracer: &Tracer,
        at: &mut Cursor,
        walked: &Walked,
        place: usize,
    ) -> Option<()> {
        if at.count >= self.mixed.cut {
            let frame = self.native(walked, place)?;
            at.node = self.intern(tracer, at.node, frame.address, frame.exact)?;
        }
        at.count += 1;
        Some(())
    }
}

/// A frame's address, and whether it is exact.
#[inline(always)]
fn address(frame: &Entry) -> (u64, bool) {
    (frame.address(), frame.is_exact())
}

/// The nodes of frames, outermost first, below the one that was reached; each is noted at its place. The innermost one's.
#[inline(always)]
fn intern_places(
    mut naming: Naming<'_>,
    (mut node, mut count): (FrameId, u32),
    places: &mut [Place],
    frames: impl Iterator<Item = (u64, bool)>,
) -> Option<FrameId> {
    for (place, (address, exact)) in places.iter_mut().zip(frames) {
        node = naming.node_of(node, address, exact)?;
        count += 1;
        (place.node, place.count) = (node.0, count);
    }
    Some(node)
}
