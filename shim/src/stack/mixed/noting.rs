//! Where the native frames lie that a walk has found anew, and whether a signal's is among them: what the frames' names do not say.

use super::super::Scratch;
use super::{Place, is_by_code};
use crate::python::interpreter::Interpreter;
use heapshim_unwind::{End, Frame, Lean, Walked, Word};

impl Scratch {
    /// Notes where the frames lie that are new. False where a signal handler may be among them.
    #[inline(always)]
    pub(super) fn note_places(&mut self, walked: &Walked, interpreter: &Interpreter) -> bool {
        let by_code = is_by_code(interpreter);
        let is_usual = walked.is_kept && !self.memo.is_lean() && !by_code;
        match is_usual && self.mixed.is_pythons(walked.shared) {
            true => self.note_kept(walked),
            false => self.note_any(walked, interpreter),
        }
    }

    /// The usual case: the memo has the frames, the interpreter's code stands further out, and an evaluator is not known by its code.
    #[inline(always)]
    fn note_kept(&mut self, walked: &Walked) -> bool {
        let places = self.mixed.places.get_mut(walked.shared..);
        let mut is_certain = is_certain(walked);
        let fresh = self.memo.kept(walked).iter();
        for (place, entry) in places.unwrap_or(&mut []).iter_mut().zip(fresh) {
            place.note(entry.sp());
            is_certain &= !entry.is_exact();
        }
        is_certain
    }

    /// The same of a lean walk.
    #[inline(always)]
    pub(super) fn note_slots(&mut self, lean: &Lean) {
        let places = self.mixed.places.get_mut(lean.shared..);
        let fresh = self.memo.lean_frames(lean).iter();
        for (place, slot) in places.unwrap_or(&mut []).iter_mut().zip(fresh) {
            place.note(sp_of(slot));
        }
    }

    #[inline(never)]
    fn note_any(&mut self, walked: &Walked, interpreter: &Interpreter) -> bool {
        let by_code = is_by_code(interpreter);
        let outer = walked.shared.checked_sub(1).filter(|_| by_code);
        let mut caller = outer
            .and_then(|outer| self.memo.outer(outer))
            .unwrap_or_default();
        let mut is_pythons = self.mixed.is_pythons(walked.shared);
        let mut is_certain = is_certain(walked);
        let first = walked.shared;
        for nth in first..first + walked.len {
            let (frame, place) = (self.native(walked, nth), self.mixed.places.get_mut(nth));
            let Some((frame, place)) = frame.zip(place) else {
                break;
            };
            is_pythons |= interpreter.holds(frame.address);
            place.is_pythons = is_pythons;
            place.sp = frame.sp;
            place.evaluates = by_code && interpreter.evaluates(frame.address, caller.address);
            is_certain &= !frame.exact;
            caller = frame;
        }
        is_certain
    }

    /// The native frame at a place.
    #[inline]
    pub(in crate::stack) fn native(&self, walked: &Walked, place: usize) -> Option<Frame> {
        let fresh = place.checked_sub(walked.shared);
        match fresh.filter(|_| !walked.is_kept) {
            None => self.memo.outer(place),
            Some(fresh) => {
                let inner = walked.len.checked_sub(fresh + 1)?;
                self.frames.get(inner).map(heapshim_unwind::Entry::frame)
            }
        }
    }
}

impl Place {
    /// A frame inside of the interpreter's code, where an evaluator is not known by its own.
    #[inline(always)]
    pub(super) fn note(&mut self, sp: u64) {
        (self.sp, self.evaluates, self.is_pythons) = (sp, false, true);
    }
}

/// The stack pointer of a lean walk's frame.
#[inline(always)]
pub(super) fn sp_of(slot: &Word) -> u64 {
    slot.address().wrapping_add(size_of::<u64>() as u64)
}

/// False where the walk cannot tell whether a signal handler is among the frames.
#[inline(always)]
fn is_certain(walked: &Walked) -> bool {
    matches!(walked.end, End::Complete | End::TooDeep)
}
