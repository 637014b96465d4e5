//! The making of a mixed stack: each frame's trie node, outermost first, from where the last event's stack is left.

use super::super::nodes::RecentModule;
use super::super::{CACHE_SETS, Cached, Scratch, cached, foremost, intern_frame};
use super::{Cursor, Names, Resume, narrow};
use crate::python::chain::{STALE, UNKNOWN};
use crate::python::codes::Resolved;
use crate::tracer::Tracer;
use heapshim_ledger::codes::PythonFrame;
use heapshim_ledger::frames::{Frame, FrameId};
use heapshim_ledger::layout::FrameKind;
use heapshim_unwind::Walked;

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
        (mut node, mut count): (FrameId, u32),
    ) -> Option<FrameId> {
        let first = from.max(walked.shared);
        let places = self.mixed.places.get_mut(first..)?;
        let frames = self.frames.get(..walked.len + walked.shared - first)?;
        for (place, frame) in places.iter_mut().zip(frames.iter().rev()) {
            let (address, exact) = (frame.address(), frame.is_exact());
            let key = address | u64::from(exact) << 63;
            node = match foremost(&self.cache, node, key) {
                Some(node) => node,
                None => known_or_new(
                    &mut self.cache,
                    (&mut self.module, self.generation),
                    tracer,
                    node,
                    (address, exact),
                )?,
            };
            count += 1;
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
            let frame = match place.checked_sub(walked.shared) {
                None => self.memo.outer(place)?,
                Some(fresh) => self.frames.get(walked.len.checked_sub(fresh + 1)?)?.frame(),
            };
            at.node = self.intern(tracer, at.node, frame.address, frame.exact)?;
        }
        at.count += 1;
        Some(())
    }
}

/// The node of a native frame that does not stand foremost in the cache.
#[cold]
#[inline(never)]
fn known_or_new(
    cache: &mut [[Cached; 2]; CACHE_SETS],
    (module, generation): (&mut RecentModule, u32),
    tracer: &Tracer,
    parent: FrameId,
    (address, exact): (u64, bool),
) -> Option<FrameId> {
    let key = address | u64::from(exact) << 63;
    cached(cache, parent, key, || {
        module.intern(tracer, generation, parent, (address, exact))
    })
}
