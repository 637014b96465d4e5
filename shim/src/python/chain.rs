//! How the Python frames of a thread hang together in the interpreter's memory: one step outwards, and the reading of a whole chain.
//!
//! **Why each read is sound.** The thread's state is this thread's own (`interpreter`), and from it on everything is: records and dummies lie on the
//! thread's C stack, in frames of evaluators that have not returned; frames lie in the thread's own data stack, or in generators and frame
//! objects that running frames hold; a frame holds its code object. The thread is here, in a hook, so none of them ends meanwhile. A signal
//! handler may have interrupted the interpreter while it linked a frame: then the caller gives a reader that asks for each page (`peek`). A thread
//! without the GIL has its state deleted under it where the interpreter ends: what was read of it counts only if that had not begun.
//!
//! Frames that are being set up (`_PyFrame_IsIncomplete`) and the interpreter's own dummies are left out, as in tracebacks.

use super::layout::{Chain, ENTRY_SHIFT, Layout, OWNED_BY_C_STACK, OWNED_BY_GENERATOR};
use super::peek::Peek;

/// `Running::base` of a frame whose evaluator's place on the C stack is not known.
pub(crate) const SOMEWHERE: u64 = u64::MAX;
/// `Running::value` of a frame that was not looked up yet: no frame's.
pub(crate) const UNKNOWN: u64 = u64::MAX;

/// `Running::at` of a frame that must be looked up again: no instruction's.
pub(crate) const STALE: u64 = u64::MAX;

/// A frame that is being run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Running {
    /// Where it lies.
    pub(crate) frame: u64,
    /// Its code object.
    pub(crate) code: u64,
    /// The instruction: its address from 3.11 on, before that its number.
    pub(crate) at: u64,
    /// In the outermost of the frames that one evaluator runs: an address in that evaluator's C frame. 0 in the others.
    pub(crate) base: u64,
    /// Whose it is, and whether it is its evaluator's first: bits of `Layout::flags_mask`.
    pub(crate) flags: u64,
    /// What it is in the ledger (`PythonFrame::to_value`), or [`UNKNOWN`].
    pub(crate) value: u64,
    /// `watched::generation_of` its code, from before it was looked up.
    pub(crate) generation: u32,
}

/// Where a reading stands: at a frame, and at the record of the evaluator that runs it, if there are records.
#[derive(Clone, Copy, Debug)]
pub(crate) struct At {
    pub(crate) frame: u64,
    pub(crate) record: u64,
}

/// What a frame says of itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Words {
    pub(crate) code: u64,
    pub(crate) at: u64,
    pub(crate) flags: u64,
    pub(crate) previous: u64,
}

impl Layout {
    /// The innermost frame of a thread. `is_there` says, when words of the thread's state were read, whether the state was still there.
    #[inline(always)]
    pub(crate) fn start(
        &self,
        memory: &mut impl Peek,
        state: u64,
        is_there: impl Fn() -> bool,
    ) -> Option<At> {
        let record = match self.chain {
            Chain::Frames => SOMEWHERE,
            Chain::DummiesAlone => 0,
            _ => memory.word(state + self.record)?,
        };
        let frame = match self.chain {
            Chain::Entries | Chain::Dummies if !is_there() => return None,
            Chain::Entries | Chain::Dummies => memory.word(record + self.record_frame)?,
            _ => memory.word(state + self.innermost).filter(|_| is_there())?,
        };
        Some(At { frame, record })
    }

    /// Reads a frame.
    #[inline(always)]
    pub(crate) fn words(&self, memory: &mut impl Peek, frame: u64) -> Option<Words> {
        let [code, at, flags, previous] = memory.words(frame, self.of_frame())?;
        Some(Words {
            code,
            at: at & self.instruction_mask,
            flags: flags & self.flags_mask,
            previous,
        })
    }

    #[inline(always)]
    const fn of_frame(&self) -> [u64; 4] {
        [self.code, self.instruction, self.flags, self.previous]
    }

    /// True for the interpreter's own dummy, which ends what one evaluator runs.
    #[inline(always)]
    pub(crate) fn is_dummy(&self, flags: u64) -> bool {
        self.has_dummies() && flags >> self.owner_shift & 0xff == OWNED_BY_C_STACK
    }

    #[inline(always)]
    pub(crate) fn has_dummies(&self) -> bool {
        matches!(self.chain, Chain::Dummies | Chain::DummiesAlone)
    }

    /// True for a frame that is shown, false for one that is being set up: it is before the first instruction that tracebacks show.
    #[inline(always)]
    pub(crate) fn is_complete(&self, memory: &mut impl Peek, words: &Words) -> Option<bool> {
        let is_object = matches!(self.chain, Chain::Frames | Chain::FramesAndRecords);
        if is_object || words.flags >> self.owner_shift & 0xff == OWNED_BY_GENERATOR {
            return Some(true);
        }
        let units = memory.half(words.code + self.first_traceable)?;
        Some(words.at >= words.code + self.bytecode + 2 * u64::from(units))
    }

    /// The next frame outwards of one that is no dummy, and the evaluator's base where it is the outermost that this one runs, else 0.
    #[inline(always)]
    pub(crate) fn outwards(
        &self,
        memory: &mut impl Peek,
        words: &Words,
        record: u64,
    ) -> Option<(u64, At)> {
        let frame = words.previous;
        let (ends, has_record) = match self.chain {
            Chain::Frames => (true, false),
            Chain::FramesAndRecords => (true, true),
            Chain::Entries => (words.flags >> ENTRY_SHIFT & 0xff != 0, true),
            Chain::Dummies | Chain::DummiesAlone => (false, false),
        };
        if !ends {
            return Some((0, At { frame, record }));
        }
        let outer = match has_record {
            true => memory.word(record + self.record_previous)?,
            false => record,
        };
        let at = At {
            frame,
            record: outer,
        };
        Some((record, at))
    }

    /// The next frame outwards of a dummy.
    #[inline(always)]
    pub(crate) fn outside(&self, memory: &mut impl Peek, words: &Words, record: u64) -> Option<At> {
        let record = match self.chain {
            Chain::Dummies => memory.word(record + self.record_previous)?,
            _ => record,
        };
        let frame = words.previous;
        Some(At { frame, record })
    }
}

/// Frames as they are read, innermost first.
#[derive(Debug)]
pub(crate) struct Reading<'o> {
    out: &'o mut [Running],
    len: usize,
    /// Where the evaluator's group begins whose frames are being noted.
    group: usize,
}

/// What a step of a reading came to.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    /// The next frame outwards, if any.
    On(At),
    /// There is no room for more, and nothing more to find out of what was noted.
    Full,
}

impl<'o> Reading<'o> {
    pub(crate) fn new(out: &'o mut [Running]) -> Reading<'o> {
        Reading {
            out,
            len: 0,
            group: 0,
        }
    }

    /// Frames noted.
    #[inline(always)]
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// True where the evaluator of every frame that was noted is known.
    #[inline(always)]
    pub(crate) fn is_closed(&self) -> bool {
        self.group == self.len
    }

    /// Notes a frame and steps out of it; None where something can't be read.
    #[inline(always)]
    pub(crate) fn step(&mut self, layout: &Layout, memory: &mut impl Peek, at: At) -> Option<Step> {
        let words = layout.words(memory, at.frame)?;
        if layout.is_dummy(words.flags) {
            self.close(at.frame);
            return layout.outside(memory, &words, at.record).map(Step::On);
        }
        let (base, next) = layout.outwards(memory, &words, at.record)?;
        if layout.is_complete(memory, &words)? && !self.push(at.frame, &words) {
            // The group is larger than there is room: its evaluator is all that is still wanted.
            if at.record != 0 {
                self.close(at.record);
            }
            if self.is_closed() {
                return Some(Step::Full);
            }
        }
        if base != 0 {
            self.close(base);
        }
        Some(Step::On(next))
    }

    #[inline(always)]
    fn push(&mut self, frame: u64, words: &Words) -> bool {
        let Some(place) = self.out.get_mut(self.len) else {
            return false;
        };
        *place = Running {
            frame,
            code: words.code,
            at: words.at,
            base: 0,
            flags: words.flags,
            value: UNKNOWN,
            generation: 0,
        };
        self.len += 1;
        true
    }

    /// Ends an evaluator's group: says where that evaluator stands. A group without frames leaves no trace.
    #[inline(always)]
    pub(crate) fn close(&mut self, base: u64) {
        if self.len > self.group
            && let Some(outermost) = self.out.get_mut(self.len - 1)
        {
            outermost.base = base;
        }
        self.group = self.len;
    }
}
