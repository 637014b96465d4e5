//! The Python frames that a thread runs, remembered from event to event and compared where they lie.
//!
//! Each event reads the live chain from the innermost frame on. As soon as it comes to a frame that is remembered, what is remembered from there
//! outwards is compared with the interpreter's memory in place, and only what differs is written.
//!
//! **Why the comparison goes on to the chain's end.** No fact about an inner frame proves an outer one unchanged. `f` calls `g` from two lines: the
//! frame of `g` lies at the same address both times, with the same code and instruction, called from the same frame; the evaluator's
//! C frame and everything outside of it hold the same words, since one evaluator runs both. All that differs is the instruction in `f`'s frame. The
//! interpreter counts nothing that would tell, and a frame can be left and entered again without an event of ours. So each frame is looked at, and
//! what can be saved is everything else: copies, and the questions whose answers follow from what is equal.
//!
//! Why what is equal is the same: `compare`.
//!
//! A frame that only stands at another instruction of the same line is the same frame to the ledger, and so to the caller.

use super::chain::{At, Reading, Running, SOMEWHERE, STALE, Step};
use super::codes::Lines;
use super::compare::{compare, pass, pass_here};
use super::layout::Layout;
use super::peek::{Checked, Peek, Trusted};
use super::watched;
use crate::stack::PLACES;

/// Frames that are followed without being noted, to find out where the evaluator of the last noted one stands (3.13): a deeper recursion in one
/// evaluator is shown without its C frames' order.
const FOLLOWED: usize = 4096;
/// Places of the index: twice as many as frames, so that few share one.
const INDEX: usize = 1024;

/// A thread's frames. Zeros are valid: none.
#[derive(Debug)]
pub(crate) struct Frames {
    /// Outermost first.
    noted: [Running; PLACES],
    len: usize,
    /// The outermost that is noted is the chain's outermost.
    is_whole: bool,
    /// `watched::code_generation` up to which all of them are known to be alive, or stale.
    generation: u32,
    /// Where a frame of an address is noted, or was.
    index: [u16; INDEX],
    /// Scratch: what was read and is not noted yet, innermost first.
    fresh: [Running; PLACES],
}

/// What the frames have in common with the last event's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Same {
    /// So many outermost ones are the same.
    pub(crate) count: usize,
    /// These are all, of both.
    pub(crate) is_all: bool,
}

impl Frames {
    /// Forgets them.
    pub(crate) fn forget(&mut self) {
        self.len = 0;
        self.is_whole = false;
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The frame that is `nth` from the outermost.
    #[inline(always)]
    pub(crate) fn get(&self, nth: usize) -> Option<&Running> {
        self.noted.get(..self.len)?.get(nth)
    }

    /// The frames from the `nth` outermost on.
    #[inline(always)]
    pub(crate) fn from(&self, nth: usize) -> &[Running] {
        self.noted.get(nth..self.len).unwrap_or(&[])
    }

    /// The `count` outermost frames.
    #[inline(always)]
    pub(crate) fn upto(&self, count: usize) -> &[Running] {
        self.noted.get(..count).unwrap_or(&[])
    }

    /// The `nth` outermost, to note what it is in the ledger.
    #[inline(always)]
    pub(crate) fn get_mut(&mut self, nth: usize) -> Option<&mut Running> {
        self.noted.get_mut(..self.len)?.get_mut(nth)
    }

    /// Reads the frames from a thread's innermost on, `limit` at most: of more, the innermost. `is_certain` is false where a signal handler may have
    /// interrupted the interpreter.
    #[inline(always)]
    pub(crate) fn update(
        &mut self,
        layout: &Layout,
        lines: &Lines,
        innermost: At,
        limit: usize,
        is_certain: bool,
    ) -> Same {
        self.notice_ends();
        let before = self.len;
        let count = match is_certain {
            true => match self.stays(layout, lines, innermost) {
                None => self.meet(layout, lines, innermost, limit),
                same => same,
            },
            false => None,
        };
        let count = match (count, is_certain) {
            (Some(count), _) => count,
            (None, true) => self.read_anew(layout, &mut Trusted, innermost, limit),
            (None, false) => self.read_anew(layout, &mut Checked::default(), innermost, limit),
        };
        let is_all = count == before && count == self.len;
        Same { count, is_all }
    }

    /// No frames.
    pub(crate) fn update_to_none(&mut self) -> Same {
        let is_all = self.len == 0;
        self.forget();
        Same { count: 0, is_all }
    }

    /// Overwrites frames whose code objects may be others by now.
    #[inline(always)]
    fn notice_ends(&mut self) {
        let generation = watched::code_generation();
        if self.generation != generation {
            self.look_for_ends(generation);
        }
    }

    #[cold]
    #[inline(never)]
    fn look_for_ends(&mut self, generation: u32) {
        self.generation = generation;
        for running in self.noted.get_mut(..self.len).unwrap_or(&mut []) {
            if running.generation != watched::generation_of(running.code) {
                running.at = STALE;
            }
        }
    }

    /// The usual case: the thread is in the frame of the last event, which was called from the same ones. None where it is in another, or where that one
    /// was called from others: then what is noted ends where these begin.
    #[inline(always)]
    fn stays(&mut self, layout: &Layout, lines: &Lines, at: At) -> Option<usize> {
        let known = self.noted.get_mut(..self.len)?;
        if !self.is_whole || !is_last(known, at.frame) {
            return None;
        }
        let passed = pass_here(layout, known, at);
        if passed.0 == 0 && passed.1.frame == 0 {
            return Some(self.len);
        }
        match compare(layout, lines, known, passed) {
            Ok(same) => Some(same),
            Err(stop) => {
                self.len = stop;
                None
            }
        }
    }

    /// Reads until a remembered frame is met from which on everything fits. None where there is none, and then what is noted is left as it is, or
    /// emptied.
    #[inline(never)]
    fn meet(
        &mut self,
        layout: &Layout,
        lines: &Lines,
        innermost: At,
        limit: usize,
    ) -> Option<usize> {
        if !self.is_whole {
            return None;
        }
        let Frames {
            noted,
            len,
            index,
            fresh,
            ..
        } = self;
        let mut reading = Reading::new(fresh.get_mut(..limit)?);
        let mut untried = *len;
        let mut at = innermost;
        for _ in 0..PLACES + FOLLOWED {
            if at.frame == 0 {
                break;
            }
            let place = usize::from(*index.get(place_of(at.frame))?);
            let known = noted.get_mut(..untried)?.get_mut(..=place);
            if let Some(known) = known.filter(|known| is_last(known, at.frame)) {
                let passed = pass(layout, known, at);
                match compare(layout, lines, known, passed) {
                    Ok(same) => {
                        let count = reading.len();
                        return self.join(place + 1, count, same, limit);
                    }
                    Err(stop) => {
                        // From `stop` on inwards, what is noted is half of then and half of now.
                        *len = stop;
                        untried = stop;
                    }
                }
            }
            match reading.step(layout, &mut Trusted, at)? {
                Step::On(next) => at = next,
                Step::Full => return None,
            }
        }
        None
    }

    /// Puts `count` fresh frames inside of the `kept` outermost.
    #[inline(always)]
    fn join(&mut self, kept: usize, count: usize, same: usize, limit: usize) -> Option<usize> {
        if kept + count > limit {
            self.forget();
            return None;
        }
        self.len = kept;
        let fresh = self.fresh.get(..count)?;
        let noted = self.noted.get_mut(kept..kept + count)?;
        for (place, (to, from)) in (kept..).zip(noted.iter_mut().zip(fresh.iter().rev())) {
            *to = *from;
            *self.index.get_mut(place_of(from.frame))? = u16::try_from(place).unwrap_or(0);
        }
        self.len = kept + count;
        Some(same)
    }

    /// Reads everything. What is equal from the outermost on, wherever it lies, is the same.
    #[inline(never)]
    fn read_anew(
        &mut self,
        layout: &Layout,
        memory: &mut impl Peek,
        innermost: At,
        limit: usize,
    ) -> usize {
        let mut reading = Reading::new(self.fresh.get_mut(..limit).unwrap_or(&mut []));
        let is_whole = read(layout, memory, innermost, &mut reading).is_some();
        if !is_whole {
            reading.close(SOMEWHERE);
        }
        let count = reading.len();
        let fresh = self.fresh.get(..count).unwrap_or(&[]);
        let noted = self.noted.get_mut(..self.len).unwrap_or(&mut []);
        let pairs = noted.iter_mut().zip(fresh.iter().rev());
        let mut same = 0;
        for (noted, fresh) in pairs.take_while(|(noted, fresh)| is_equal(noted, fresh)) {
            (noted.frame, noted.flags) = (fresh.frame, fresh.flags);
            same += 1;
        }
        self.is_whole = is_whole;
        self.len = 0;
        let joined = self.join_anew(same, count);
        joined.unwrap_or(0)
    }

    fn join_anew(&mut self, same: usize, count: usize) -> Option<usize> {
        for nth in 0..count {
            let fresh = self.fresh.get(count - 1 - nth)?;
            if nth >= same {
                *self.noted.get_mut(nth)? = *fresh;
            }
            *self.index.get_mut(place_of(fresh.frame))? = u16::try_from(nth).unwrap_or(0);
        }
        self.len = count;
        Some(same)
    }
}

/// Notes all frames. None where some are missing.
#[inline(always)]
fn read(
    layout: &Layout,
    memory: &mut impl Peek,
    mut at: At,
    reading: &mut Reading<'_>,
) -> Option<()> {
    for _ in 0..PLACES + FOLLOWED {
        if at.frame == 0 {
            return reading.is_closed().then_some(());
        }
        match reading.step(layout, memory, at)? {
            Step::On(next) => at = next,
            Step::Full => return None,
        }
    }
    None
}

/// True where two frames are the same to a reader of stacks.
fn is_equal(one: &Running, other: &Running) -> bool {
    (one.code, one.at, one.base) == (other.code, other.at, other.base)
}

#[inline(always)]
fn is_last(known: &[Running], frame: u64) -> bool {
    known.last().is_some_and(|last| last.frame == frame)
}

/// A frame's place in the index.
#[inline(always)]
fn place_of(frame: u64) -> usize {
    let spread = frame.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - INDEX.trailing_zeros());
    usize::try_from(spread).unwrap_or(0)
}
