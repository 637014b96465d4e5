//! The Python frames that a thread runs, innermost first, as they are linked in the interpreter's memory.
//!
//! **Why each read is sound.** The thread's state is this thread's own (`interpreter`), and from it on everything is: records and dummies lie on the
//! thread's C stack, in frames of evaluators that have not returned; frames lie in the thread's own data stack, or in generators and frame
//! objects that running frames hold; a frame holds its code object. The thread is here, in a hook, so none of them ends meanwhile. A signal
//! handler may have interrupted the interpreter while it linked a frame: then the caller gives a reader that asks for each page (`peek`).
//!
//! Frames that are being set up (`_PyFrame_IsIncomplete`) and the interpreter's own dummies are left out, as in tracebacks.

use super::interpreter::Interpreter;
use super::layout::{Chain, ENTRY_SHIFT, Layout, OWNED_BY_C_STACK, OWNED_BY_GENERATOR};
use super::peek::Peek;

/// Frames that are followed without being noted, to find out where the evaluator of the last noted one stands (3.13): a deeper recursion in one
/// evaluator is shown without its C frames' order.
const FOLLOWED: usize = 4096;
/// `Running::base` of a frame whose evaluator's place on the C stack is not known.
pub(crate) const SOMEWHERE: u64 = u64::MAX;

/// A frame that is being run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Running {
    /// Its code object.
    pub(crate) code: u64,
    /// The instruction: its address from 3.11 on, before that its number.
    pub(crate) at: u64,
    /// In the outermost of the frames that one evaluator runs: an address in that evaluator's C frame. 0 in the others.
    pub(crate) base: u64,
}

/// Notes the frames of a thread, innermost first; returns how many. Where they do not all fit in, the outer ones are missing.
#[inline]
pub(crate) fn read(
    interpreter: &Interpreter,
    memory: &mut impl Peek,
    state: u64,
    out: &mut [Running],
) -> usize {
    let layout = interpreter.layout;
    let mut frames = Frames {
        layout,
        out,
        len: 0,
        group: 0,
    };
    let whole = match layout.chain {
        Chain::Frames | Chain::FramesAndRecords => frames.read_objects(memory, state),
        Chain::Entries | Chain::Dummies => {
            let record = memory.word(state + layout.record);
            record.and_then(|record| frames.read_groups(memory, record))
        }
        Chain::DummiesAlone => {
            let frame = memory.word(state + layout.innermost);
            frame.and_then(|frame| frames.follow(memory, 0, frame))
        }
    };
    if whole.is_none() {
        frames.close(SOMEWHERE);
    }
    frames.len
}

/// The frames that were noted so far.
struct Frames<'o> {
    layout: &'static Layout,
    out: &'o mut [Running],
    len: usize,
    /// Where the evaluator's group begins whose frames are being noted.
    group: usize,
}

impl Frames<'_> {
    #[inline(always)]
    fn read_groups(&mut self, memory: &mut impl Peek, record: u64) -> Option<()> {
        let frame = memory.word(record + self.layout.record_frame)?;
        self.follow(memory, record, frame)
    }

    /// From 3.11 on. None where it ended early.
    #[inline(always)]
    fn follow(&mut self, memory: &mut impl Peek, mut record: u64, mut frame: u64) -> Option<()> {
        for _ in 0..self.out.len() + FOLLOWED {
            if frame == 0 {
                break;
            }
            let flags = memory.word(frame + self.layout.flags)?;
            let owner = flags >> self.layout.owner_shift & 0xff;
            let is_dummy = self.layout.chain != Chain::Entries && owner == OWNED_BY_C_STACK;
            let is_entry =
                is_dummy || self.layout.chain == Chain::Entries && flags >> ENTRY_SHIFT & 0xff != 0;
            if !is_dummy && !self.note(memory, frame, owner)? {
                // The group is larger than there is room: its evaluator is all that is still wanted.
                if record != 0 {
                    self.close(record);
                }
                if self.group == self.len {
                    return None;
                }
            }
            if is_entry {
                self.close(if record == 0 { frame } else { record });
                if record != 0 {
                    record = memory.word(record + self.layout.record_previous)?;
                }
            }
            frame = memory.word(frame + self.layout.previous)?;
        }
        (self.group == self.len).then_some(())
    }

    /// Notes a frame that is complete; false where there is no more room.
    #[inline(always)]
    fn note(&mut self, memory: &mut impl Peek, frame: u64, owner: u64) -> Option<bool> {
        let code = memory.word(frame + self.layout.code)?;
        let at = memory.word(frame + self.layout.instruction)?;
        if owner != OWNED_BY_GENERATOR && at < self.first_traceable(memory, code)? {
            return Some(true);
        }
        Some(self.push(code, at))
    }

    /// The address of the first instruction that tracebacks show; before it a frame is being set up.
    #[inline(always)]
    fn first_traceable(&self, memory: &mut impl Peek, code: u64) -> Option<u64> {
        let units = memory.half(code + self.layout.first_traceable)?;
        Some(code + self.layout.bytecode + 2 * u64::from(units))
    }

    #[inline(always)]
    fn push(&mut self, code: u64, at: u64) -> bool {
        let Some(place) = self.out.get_mut(self.len) else {
            return false;
        };
        *place = Running { code, at, base: 0 };
        self.len += 1;
        true
    }

    /// Ends an evaluator's group: says where that evaluator stands. A group without frames leaves no trace.
    #[inline(always)]
    fn close(&mut self, base: u64) {
        if self.len > self.group
            && let Some(outermost) = self.out.get_mut(self.len - 1)
        {
            outermost.base = base;
        }
        self.group = self.len;
    }

    /// Up to 3.10: frame objects, one for each evaluator.
    #[inline(always)]
    fn read_objects(&mut self, memory: &mut impl Peek, state: u64) -> Option<()> {
        let layout = self.layout;
        let has_records = layout.chain == Chain::FramesAndRecords;
        let mut record = match has_records {
            true => memory.word(state + layout.record)?,
            false => SOMEWHERE,
        };
        let mut frame = memory.word(state + layout.innermost)?;
        while frame != 0 {
            let code = memory.word(frame + layout.code)?;
            let at = memory.half(frame + layout.instruction)?;
            if !self.push(code, at.into()) {
                return None;
            }
            self.close(record);
            if has_records {
                record = memory.word(record + layout.record_previous)?;
            }
            frame = memory.word(frame + layout.previous)?;
        }
        Some(())
    }
}
