//! Stacks of native and Python frames in their true order: an evaluator's frame is replaced by the Python frames that it runs.
//!
//! The native walk goes by its memo as ever. The Python frames are compared with the last event's where they lie (`python::frames`). What both have
//! in common with the last event, from the outermost frame on, keeps its trie nodes.
//!
//! An evaluator is known by a variable of its own on the C stack, whose address the interpreter's structures hold (`chain`): the native frame
//! that spans it is the evaluator's, whichever part of its code it is in.
//!
//! ```text
//! places, outermost first:  _start  main  …  eval            PyObject_Call  slot_tp_init  eval   bytearray_init  realloc's caller
//! Python frames:                             module, f                                    g
//! the stack:                _start  main  …  module  f       PyObject_Call  slot_tp_init  g      bytearray_init  …
//! ```

use super::{Scratch, outer_end};
use crate::entry::Entry;
use crate::python::codes::Lines;
use crate::python::frames::{Frames, Same};
use crate::python::interpreter::Interpreter;
use crate::python::layout::Chain;
use crate::stack::PLACES;
use crate::tracer::Tracer;
use heapshim_ledger::frames::FrameId;
use heapshim_unwind::{End, Lean, Walked};

mod interning;
mod noting;

/// Native frames that are walked at least, however few are kept: a signal handler is told from other code by its frame on the stack, and
/// what it interrupted must not be trusted.
const LEAST_WALKED: usize = 64;

/// The last event's stack. Zeros are a valid, empty one.
#[derive(Debug)]
pub(super) struct Mixed {
    /// False before the first event, and after one that was left: the memo's frames have no places.
    is_valid: bool,
    /// The Python frames.
    frames: Frames,
    /// They are a sub-interpreter's.
    is_inner: bool,
    /// What became of them, outermost first.
    marks: [Mark; PLACES],
    /// The native frames, outermost first.
    places: [Place; PLACES],
    /// How the stack ended, and how many of its outermost frames were cut off: the nodes belong to these.
    cut: usize,
    end: u32,
    lines: Lines,
}

/// A Python frame's.
#[derive(Clone, Copy, Debug)]
struct Mark {
    node: u32,
    /// Whose native frame it replaces; 0: nobody's, it stands outside of all.
    place: u32,
    /// Frames of the stack up to there, those that were cut off included.
    count: u32,
}

/// A native frame's.
#[derive(Clone, Copy, Debug)]
struct Place {
    sp: u64,
    /// It is an evaluator's, where its code has to tell (up to 3.9).
    evaluates: bool,
    /// The interpreter's code stands there, or further out.
    is_pythons: bool,
    /// The node after it, or after the Python frames that replace it.
    node: u32,
    /// Frames of the stack up to there, those that were cut off included.
    count: u32,
}

/// From where a stack is made anew: the first native place, and the first Python frame, which may belong to the place before.
#[derive(Clone, Copy, Debug)]
struct Resume {
    place: usize,
    frame: usize,
}

/// From the start.
const ANEW: Resume = Resume { place: 0, frame: 0 };

/// What a stack's frames are named by.
#[derive(Clone, Copy)]
struct Names<'a> {
    tracer: &'a Tracer,
    interpreter: &'a Interpreter,
    /// False where a signal handler may have interrupted the interpreter, and what it left is not to be trusted.
    is_certain: bool,
}

/// Where the making of a stack stands: its node, its frames so far, and the next Python frame.
#[derive(Clone, Copy, Debug)]
struct Cursor {
    node: FrameId,
    count: usize,
    frame: usize,
}

impl Mixed {
    /// Forgets the last event.
    pub(super) fn forget(&mut self) {
        self.is_valid = false;
        self.frames.forget();
    }

    /// Reads the frames that the thread runs now; `is_pythons` says that the interpreter's code is on the stack.
    #[inline(always)]
    fn read(&mut self, names: Names<'_>, is_pythons: bool) -> Same {
        let (interpreter, limit) = (names.interpreter, names.tracer.depth + 1);
        let is_there = interpreter.is_there(is_pythons);
        let state = match is_there {
            true => interpreter.thread_state(),
            false => None,
        };
        let found = state.and_then(|state| {
            let innermost = interpreter.innermost(state, names.is_certain)?;
            Some((state.is_inner, innermost))
        });
        let Some((is_inner, innermost)) = found else {
            return self.frames.update_to_none();
        };
        self.is_inner = is_inner;
        let (layout, is_certain) = (interpreter.layout, names.is_certain);
        self.frames
            .update(layout, &self.lines, innermost, limit, is_certain)
    }

    /// The most usual case: the Python frames are the last event's (or neither has any), and the evaluator of the innermost stands on one of the `shared` outermost native
    /// frames, so that only native frames come after these: the node and the count of the last of them.
    #[inline(always)]
    fn stays(&self, same: Same, shared: usize) -> Option<(FrameId, u32)> {
        let before = self.places.get(shared.checked_sub(1)?)?;
        let is_inside = match same.count.checked_sub(1) {
            None => true,
            Some(last) => {
                let evaluator = self.marks.get(last)?.place as usize;
                evaluator != 0 && evaluator < shared
            }
        };
        (same.is_all && is_inside).then_some((FrameId(before.node), before.count))
    }

    /// As `resume`, in the usual case: the evaluator of the last common Python frame stands on one of the `shared` outermost native frames, or only at
    /// another instruction in the next, which it replaces anyway; and it runs all Python frames that come after that one. None in others.
    #[inline(always)]
    fn goes_on(&self, same: Same, shared: usize, places: usize) -> Option<Resume> {
        let last = self.marks.get(same.count.checked_sub(1)?)?.place as usize;
        let mut new = self.frames.from(same.count).iter();
        let is_there = last < shared || last == shared && last < places && self.spans(last, same);
        if last == 0 || !is_there || !new.all(|running| running.base == 0) {
            return None;
        }
        Some(Resume {
            place: if same.is_all {
                shared.max(last + 1)
            } else {
                last + 1
            },
            frame: same.count,
        })
    }

    /// True where the native frame at a place is that of the evaluator which runs the last common Python frame.
    #[inline(always)]
    fn spans(&self, place: usize, same: Same) -> bool {
        let common = self.frames.upto(same.count).iter().rev();
        let base = common.map(|running| running.base).find(|&base| base != 0);
        base.is_some_and(|base| self.place_of(base, place, place + 1).is_some())
    }

    /// Where the stack begins to differ from the last event's, whose `shared` outermost native frames are the same. Where the evaluator of the
    /// last common Python frame is one of these, what comes after that frame is new; else the frames of the evaluators further in are placed anew.
    #[inline(always)]
    fn resume(&self, same: Same, shared: usize) -> Resume {
        let marks = self.marks.get(..same.count).unwrap_or(&[]);
        let last = marks.last().map_or(0, |mark| mark.place as usize);
        let is_outside = last == 0 && !(marks.is_empty() && same.is_all);
        if is_outside || shared == 0 {
            return ANEW;
        }
        let place = match same.is_all {
            true => shared,
            false => shared.min(last + 1),
        };
        let moved = |mark: &&Mark| mark.place as usize >= place;
        let frame = same.count - marks.iter().rev().take_while(moved).count();
        Resume { place, frame }
    }

    /// Finds the native frame of each evaluator from `resume` on, innermost first: its variable lies in the frame. Returns how many were found, and
    /// the outermost Python frame of the last of them.
    #[inline(always)]
    fn match_places(&mut self, resume: Resume, places: usize) -> Option<(usize, usize)> {
        let (mut inner, mut place, mut found) = (self.frames.len(), places, 0);
        while inner > resume.frame {
            let mut outer = inner - 1;
            while outer > resume.frame && self.frames.get(outer)?.base == 0 {
                outer -= 1;
            }
            let base = self.frames.get(outer)?.base;
            if base == 0 && resume.place > 1 {
                // They are run by the evaluator of the frame before them.
                self.mark(outer, inner, resume.place - 1);
                return Some((found, outer));
            }
            let Some(spans) = self.place_of(base, resume.place.max(1), place) else {
                break;
            };
            place = spans;
            self.mark(outer, inner, place);
            (inner, found) = (outer, found + 1);
        }
        Some((found, inner))
    }

    /// As `match_places`, where an evaluator is known by its code alone: each runs one Python frame. One that runs none is setting up or tearing
    /// down its own (it raises a RecursionError), so it is the innermost; in a sub-interpreter it is another's, further out.
    #[inline]
    fn match_evaluators(&mut self, resume: Resume, places: usize) -> Option<(usize, usize)> {
        let of_evaluators = |place: &usize| {
            let noted = self.places.get(*place);
            noted.is_some_and(|place| place.evaluates)
        };
        let frames = self.frames.len() - resume.frame;
        let all = resume.place.max(1)..places;
        let evaluators = all.clone().filter(of_evaluators).count();
        let idle = match self.is_inner {
            true => 0,
            false => evaluators.saturating_sub(frames),
        };
        let mut inner = self.frames.len();
        let mut skipped = idle;
        for place in all.rev() {
            if inner == resume.frame {
                break;
            }
            if !self.places.get(place)?.evaluates {
                continue;
            }
            if skipped > 0 {
                skipped -= 1;
                continue;
            }
            inner -= 1;
            self.mark(inner, inner + 1, place);
        }
        Some((self.frames.len() - inner, inner))
    }

    /// The innermost native frame in `first..end` that spans an address.
    #[inline]
    fn place_of(&self, base: u64, first: usize, end: usize) -> Option<usize> {
        let sp = |place: usize| self.places.get(place).map_or(0, |place| place.sp);
        (first..end)
            .rev()
            .find(|&place| sp(place) <= base && base < sp(place - 1))
    }

    fn mark(&mut self, outer: usize, inner: usize, place: usize) {
        let place = u32::try_from(place).unwrap_or(0);
        for mark in self.marks.get_mut(outer..inner).unwrap_or(&mut []) {
            mark.place = place;
        }
    }

    /// Places all frames from `resume` on; returns from where the stack is to be made, and how many native frames are replaced from there on. The
    /// frames of an evaluator on no native frame that was walked (the walk was cut, or C code switches stacks), and all outside of them, stand outside
    /// of all: then the whole stack is made anew.
    #[inline]
    fn settle_places(&mut self, resume: Resume, places: usize, by_code: bool) -> (Resume, usize) {
        let mut place = |from| match by_code {
            true => self.match_evaluators(from, places),
            false => self.match_places(from, places),
        };
        let (found, outermost) = place(resume).unwrap_or((0, 0));
        if outermost == resume.frame {
            return (resume, found);
        }
        let (found, outermost) = place(ANEW).unwrap_or((0, 0));
        self.mark(0, outermost, 0);
        (ANEW, found)
    }

    /// Notes what the nodes from now on belong to. Where the stack ends otherwise than the last one, none of those can stay.
    #[inline(always)]
    fn begin(&mut self, resume: Resume, cut: usize, outermost: FrameId) -> Resume {
        let is_same = self.cut == cut && self.end == outermost.0;
        (self.cut, self.end) = (cut, outermost.0);
        if is_same { resume } else { ANEW }
    }

    /// Where to begin: behind the place before, or behind the frames that replace it and are the last event's.
    #[inline(always)]
    fn cursor(&self, from: Resume, outermost: FrameId) -> Cursor {
        let place = from.place.checked_sub(1);
        let Some((last, before)) = place.and_then(|last| Some((last, self.places.get(last)?)))
        else {
            return Cursor {
                node: outermost,
                count: 0,
                frame: 0,
            };
        };
        let known = from
            .frame
            .checked_sub(1)
            .and_then(|last| self.marks.get(last));
        let (node, count) = match known.filter(|mark| mark.place as usize == last) {
            Some(mark) => (mark.node, mark.count),
            None => (before.node, before.count),
        };
        Cursor {
            node: FrameId(node),
            count: count as usize,
            frame: from.frame,
        }
    }

    /// True where the interpreter's code is among the outermost `places` frames.
    #[inline(always)]
    fn is_pythons(&self, places: usize) -> bool {
        let last = places.checked_sub(1).and_then(|last| self.places.get(last));
        last.is_some_and(|place| place.is_pythons)
    }
}

impl Place {
    /// The stack is made up to there.
    #[inline(always)]
    fn set(&mut self, at: &Cursor) {
        (self.node, self.count) = (at.node.0, narrow(at.count));
    }
}

/// A count of frames: native ones and Python's, of which there are not more than `PLACES` each.
#[inline(always)]
fn narrow(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

impl Scratch {
    /// Before a native stack is walked: what was remembered beside the memo is not its nodes.
    #[inline(always)]
    pub(super) fn leave_mixed(&mut self) {
        if self.mixed.is_valid {
            self.memo.forget_walk();
            self.mixed.forget();
        }
    }

    /// The trie node of the stack that called the hook, how it ends, and how many native frames were remembered.
    #[inline]
    pub(super) fn capture_mixed(
        &mut self,
        tracer: &Tracer,
        interpreter: &Interpreter,
        entry: &Entry,
    ) -> (Option<FrameId>, End, usize) {
        if !self.mixed.is_valid {
            self.memo.forget_walk(); // its frames have no places here
            self.mixed.is_valid = true;
        }
        let places = (tracer.depth + 1).max(LEAST_WALKED);
        let names = Names {
            tracer,
            interpreter,
            is_certain: true,
        };
        match self.walk_apart(entry, places) {
            Some(lean) if self.is_inside(&lean, interpreter) => self.capture_lean(names, &lean),
            Some(lean) => self.capture_walked(names, &walked(&lean)),
            None => {
                let walked = self.walk_memo(entry, places);
                self.capture_walked(names, &walked)
            }
        }
    }

    /// As `walk_lean`; apart, so that each has the registers for itself.
    #[inline(never)]
    fn walk_apart(&mut self, entry: &Entry, places: usize) -> Option<Lean> {
        self.walk_lean(entry, places)
    }

    /// True where all new frames are inside of the interpreter's code, and an evaluator is not known by its own.
    #[inline(always)]
    fn is_inside(&self, lean: &Lean, interpreter: &Interpreter) -> bool {
        !is_by_code(interpreter) && self.mixed.is_pythons(lean.shared)
    }

    /// The usual case of `capture_walked`: a lean walk, among whose frames no signal's is, so that all is certain.
    #[inline(always)]
    fn capture_lean(&mut self, names: Names<'_>, lean: &Lean) -> (Option<FrameId>, End, usize) {
        let same = self.mixed.read(names, true);
        let reached = self.mixed.stays(same, lean.shared);
        match reached.filter(|&(_, count)| self.is_usual(names, count as usize + lean.len)) {
            Some(reached) => {
                let node = self.intern_slots(names.tracer, lean, reached);
                (node, End::Complete, lean.shared)
            }
            None => {
                self.note_slots(lean);
                self.capture_otherwise(names, &walked(lean), same)
            }
        }
    }

    /// Any walk.
    #[inline(never)]
    fn capture_walked(
        &mut self,
        names: Names<'_>,
        walked: &Walked,
    ) -> (Option<FrameId>, End, usize) {
        let names = Names {
            is_certain: self.note_places(walked, names.interpreter),
            ..names
        };
        let is_pythons = self.mixed.is_pythons(walked.shared + walked.len);
        let same = self.mixed.read(names, is_pythons);
        let reached = self.mixed.stays(same, walked.shared);
        let reached = reached.filter(|&(_, count)| {
            walked.end == End::Complete && self.is_usual(names, count as usize + walked.len)
        });
        match reached {
            Some(reached) => {
                let node = self.intern_fresh(names.tracer, walked, walked.shared, reached);
                (node, End::Complete, walked.shared)
            }
            None => self.capture_otherwise(names, walked, same),
        }
    }

    /// The Python frames are others, or are to be placed anew.
    #[inline(never)]
    fn capture_otherwise(
        &mut self,
        names: Names<'_>,
        walked: &Walked,
        same: Same,
    ) -> (Option<FrameId>, End, usize) {
        let usual = match walked.end {
            End::Complete => self.go_on(names, walked, same),
            _ => None,
        };
        let (node, end) = match usual {
            Some(node) => (node, End::Complete),
            None => self.make(names, walked, same),
        };
        (node, end, walked.shared)
    }

    /// True where a stack of so many frames, that the walk has seen the end of, is cut off nowhere, and neither was the last one.
    #[inline(always)]
    fn is_usual(&self, names: Names<'_>, count: usize) -> bool {
        count <= names.tracer.depth && self.mixed.cut == 0 && self.mixed.end == self.label
    }

    /// The usual case: what is new of the Python frames is run by the evaluator of the last common one, whose native frame is the last event's, so that
    /// nothing is to be placed; and nothing is cut off. `Some(None)` where the ledger has no room; None where the case is another.
    #[inline(always)]
    fn go_on(&mut self, names: Names<'_>, walked: &Walked, same: Same) -> Option<Option<FrameId>> {
        let places = walked.shared + walked.len;
        let from = self.mixed.goes_on(same, walked.shared, places)?;
        let at = self.mixed.cursor(from, FrameId(0));
        let count = at.count + self.mixed.frames.len() - from.frame + places - from.place;
        self.is_usual(names, count)
            .then(|| self.intern_onwards(names, walked, from, at))
    }

    /// Any case.
    #[inline(never)]
    fn make(&mut self, names: Names<'_>, walked: &Walked, same: Same) -> (Option<FrameId>, End) {
        let (resume, cut) = self.outline(names, walked, same);
        let end = if cut > 0 { End::TooDeep } else { walked.end };
        let label = FrameId(self.label);
        let node = outer_end(names.tracer, label, end).and_then(|outermost| {
            let resume = self.mixed.begin(resume, cut, outermost);
            self.intern_mixed(names, walked, resume, outermost)
        });
        (node, end)
    }

    /// From where the stack is to be made, and how many of its outermost frames are too many.
    #[inline(always)]
    fn outline(&mut self, names: Names<'_>, walked: &Walked, same: Same) -> (Resume, usize) {
        let places = walked.shared + walked.len;
        let resume = self.mixed.resume(same, walked.shared);
        let by_code = is_by_code(names.interpreter);
        let (resume, replaced) = self.mixed.settle_places(resume, places, by_code);
        let frames = self.mixed.frames.len() - resume.frame;
        let native = (places - resume.place).saturating_sub(replaced);
        let before = self.mixed.cursor(resume, FrameId(0)).count;
        (
            resume,
            (before + native + frames).saturating_sub(names.tracer.depth),
        )
    }
}

/// True where an evaluator is known by its code alone.
#[inline(always)]
fn is_by_code(interpreter: &Interpreter) -> bool {
    interpreter.layout.chain == Chain::Frames
}

/// A lean walk as any.
#[inline(always)]
fn walked(lean: &Lean) -> Walked {
    Walked {
        len: lean.len,
        shared: lean.shared,
        end: End::Complete,
        is_kept: true,
    }
}
