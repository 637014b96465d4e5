//! The lean walk: of frames that depend on nothing but their ip and sp, so that a frame is one word and where it stands.
//!
//! `memo` tries it first, for as long as a thread's stacks are of such frames from some frame inwards: code without frame pointers, which is most.
//! Those frames are then kept here and not in the `chain`, which keeps the ones outside of them. A frame here is the slot that holds its return address: the slot's
//! address says the frame's sp, its value the ip, and how far it is to the next slot is what the frame's rule says (`Known::step`).
//!
//! ```text
//! chain: [ground] outermost frame ... base                 what is outside of base is compared as it stands in the chain's words
//! slots: words of those ............. base ... innermost frame
//! ```
//!
//! **Why it is sound.** No register is live in any of these frames, base included (`memo` says what that means). So a walk that stands at one of them, with
//! its ip and sp, goes on as the remembered one did as long as the slots outside of it hold what they held. Where a slot holds another ip, whose step leads to the
//! same next slot, the frame is changed where it stands, as in `usual`; where it leads elsewhere, all inside of it are frames of another stack and are put aside, and the walk
//! steps on until it meets a slot again. Slots are read from inner to outer, each only after the step that a plain walk would have made to it.
//!
//! It deliberately knows no registers, and gives up where a rule says more than a step: then `memo` takes what is here into the chain and walks as ever.

use core::num::NonZeroUsize;

use super::Memo;
use crate::entry::Entry;
use crate::recent::Recent;
use crate::usual::Simple;
use crate::walk::{Frame, Memory, Rules};
use crate::words::{Run, Word};

/// Frames that are kept here: more than all but recursions have. Deeper stacks are the chain's.
const MOST: usize = 256;
/// Walks that go by the chain after one that could not be lean, at most and at least: going there and back costs about as much as two of them.
const REST: u32 = 16;
const SHORT_REST: u32 = 2;

/// Frames from the base inwards. Zeros are none.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Slots {
    /// How many slots there are; 0: the chain has all.
    len: usize,
    /// The base's slot.
    base: usize,
    /// Frames of the walk outside of the base.
    outside: usize,
    /// Walks until it is tried again.
    rest: u32,
    /// Lean walks since it was tried, and how many walks it had been put off for before: if they are more, that was too many.
    done: u32,
    rested: u32,
    /// Outermost first.
    slots: [Word; MOST],
    /// Frames inside of all that still stand, innermost first.
    new: [Word; MOST],
}

/// Where a walk stands: at the remembered slot of this index, or inside of it, after so many new frames.
#[derive(Clone, Copy, Debug)]
struct Stand {
    index: usize,
    new: usize,
}

impl Slots {
    pub(crate) const EMPTY: Self = Slots {
        len: 0,
        base: 0,
        outside: 0,
        rest: 0,
        done: 0,
        rested: 0,
        slots: [Word::new(0, 0); MOST],
        new: [Word::new(0, 0); MOST],
    };

    /// Whether frames are kept here.
    #[inline(always)]
    pub(crate) fn is_begun(&self) -> bool {
        self.len != 0
    }

    /// How many.
    pub(crate) fn count(&self) -> usize {
        self.len.wrapping_sub(self.base)
    }

    /// Slots from one inwards, outermost first; of an absurd one, others.
    #[inline(always)]
    pub(crate) fn from(&self, first: usize) -> &[Word] {
        let slots = &self.slots[first % MOST..];
        slots.get(..self.inside_of(first)).unwrap_or(slots)
    }

    /// How many slots there are from one inwards.
    #[inline(always)]
    pub(crate) fn inside_of(&self, first: usize) -> usize {
        self.len.wrapping_sub(first)
    }

    /// The slot of the `nth` outermost frame of the walk, if it is here.
    #[inline(always)]
    pub(crate) fn slot_of(&self, nth: usize) -> usize {
        nth.wrapping_sub(self.outside).wrapping_add(self.base)
    }

    /// The frames outside of the one at a slot.
    #[inline(always)]
    pub(crate) fn outside_of(&self, slot: usize) -> usize {
        slot.wrapping_sub(self.base).wrapping_add(self.outside)
    }

    /// The `nth` outermost frame of the walk, if it is here.
    pub(crate) fn frame(&self, nth: usize) -> Option<Frame> {
        let nth = Some(nth).filter(|&nth| self.is_begun() && nth > self.outside)?;
        let slot = self.slots.get(..self.len)?.get(self.slot_of(nth))?;
        Some(Frame {
            address: slot.value(),
            sp: slot.address().wrapping_add(8),
            exact: false,
        })
    }

    /// Forgets the frames.
    pub(crate) fn forget(&mut self) {
        self.len = 0;
    }

    /// Forgets the frames, and what was learnt of their kind.
    pub(crate) fn clear(&mut self) {
        (self.len, self.rest, self.done, self.rested) = (0, 0, 0, 0);
    }

    /// Whether it is time to try; of all walks that go by the chain, only some are asked.
    #[inline(always)]
    pub(crate) fn is_due(&mut self) -> bool {
        self.rest = self.rest.saturating_sub(1);
        self.rest == 0
    }

    /// It does not do now; the oftener so, the longer.
    pub(crate) fn put_off(&mut self) {
        self.rested = self.rested.wrapping_mul(2).clamp(SHORT_REST, REST);
        (self.rest, self.done) = (self.rested, 0);
    }

    /// Takes over the frames from the base inwards and the words that are compared outside of it, outermost first, unless they are too many.
    pub(crate) fn begin(
        &mut self,
        outside: usize,
        words: &[Word],
        frames: impl ExactSizeIterator<Item = Word>,
    ) {
        let len = words.len().wrapping_add(frames.len());
        if len > MOST {
            return self.put_off();
        }
        (self.len, self.base, self.outside) = (len, words.len(), outside);
        let slots = words.iter().copied().chain(frames);
        let places = self.slots.iter_mut().zip(slots);
        places.for_each(|(place, slot)| *place = slot);
    }

    /// The frames inside of the base with their rules, outermost first, as long as the rules still say what they did; then nothing is kept here.
    pub(crate) fn end(
        &mut self,
        recent: &mut Recent,
        rules: &mut impl Rules,
        mut take: impl FnMut(Simple),
    ) -> bool {
        let kept = self.base..self.len;
        let has_paid = self.done >= self.rested;
        if has_paid {
            self.rested = 0;
        }
        self.len = 0;
        self.put_off();
        let kept = self.slots.get(kept).unwrap_or(&[]);
        kept.windows(2).all(|pair| {
            let [outer, frame] = pair else { return false };
            let rule = recent.rule_of(frame.value(), &mut *rules);
            let known = rule
                .filter(|rule| frame.address().wrapping_add(rule.simple_step()) == outer.address());
            known.is_some_and(|rule| {
                let sp = frame.address().wrapping_add(8);
                take(Simple {
                    ip: frame.value(),
                    sp,
                    rule,
                });
                true
            })
        })
    }

    /// Walks from a hook's caller, with places for so many frames. The slot of the first frame that the last walk has not come through in the same way (never the base's); `None` where
    /// the walk is not lean: then the frames that are left are the last walk's.
    #[inline(always)]
    pub(crate) fn walk(
        &mut self,
        (ip, sp): (u64, u64),
        places: usize,
        (recent, rules): (&mut Recent, &mut impl Rules),
        memory: &mut impl Memory,
    ) -> Option<NonZeroUsize> {
        let (mut changed, mut at) = (self.len, Word::new(sp.wrapping_sub(8), ip));
        let mut stand = Stand {
            index: self.len.wrapping_sub(1),
            new: 0,
        };
        loop {
            let Some(met) = self.meet(at, stand, places, (&mut *recent, &mut *rules), memory)
            else {
                return self.stop(changed);
            };
            (stand, at) = met;
            let known = (&mut *recent, &mut *rules);
            match self.follow(stand.index, at.value(), &mut changed, known, memory) {
                Followed::Out => break,
                Followed::Lost => return self.stop(changed),
                Followed::Apart(index, ip) => {
                    at = Word::new(self.slots[index % MOST].address(), ip);
                    stand = self.put_aside(index, stand);
                    changed = changed.min(index);
                }
            }
        }
        let first = stand.index.wrapping_add(1);
        for place in 0..stand.new {
            let from = stand.new.wrapping_sub(1).wrapping_sub(place);
            self.slots[first.wrapping_add(place) % MOST] = self.new[from % MOST];
        }
        self.len = first.wrapping_add(stand.new);
        self.done = self.done.wrapping_add(1);
        NonZeroUsize::new(changed.min(first))
    }

    /// Steps out of new frames until the walk stands where a remembered one stood, and there is place for all.
    #[inline(always)]
    fn meet(
        &mut self,
        mut at: Word,
        mut stand: Stand,
        places: usize,
        (recent, rules): (&mut Recent, &mut impl Rules),
        memory: &mut impl Memory,
    ) -> Option<(Stand, Word)> {
        loop {
            let slot = self.slots[stand.index % MOST].address();
            if slot == at.address() {
                let slots = stand.index.wrapping_add(stand.new);
                let has_room = slots < MOST && self.outside_of(slots) < places;
                return has_room.then_some((stand, at));
            }
            if slot < at.address() {
                if stand.index == self.base {
                    return None;
                }
                stand.index = stand.index.wrapping_sub(1);
                continue;
            }
            // A walk that has no place for a frame does not step out of it.
            let step = recent.step(at.value(), &mut *rules);
            if step == 0 || stand.new >= places.min(MOST) {
                return None;
            }
            let caller = at.address().wrapping_add(step);
            let ip = memory.read_near(caller)?;
            self.new[stand.new % MOST] = at;
            stand.new = stand.new.wrapping_add(1);
            at = Word::new(caller, ip);
        }
    }

    /// Compares the slots outside of the one at `index`, whose frame runs on at `ip`, with memory, and changes those whose frames run on elsewhere.
    #[inline(always)]
    fn follow(
        &mut self,
        mut index: usize,
        mut ip: u64,
        changed: &mut usize,
        (recent, rules): (&mut Recent, &mut impl Rules),
        memory: &mut impl Memory,
    ) -> Followed {
        loop {
            let slot = self.slots[index % MOST];
            if slot.value() != ip {
                if index <= self.base {
                    return Followed::Lost; // the base's rule may say more than a step, and outside of it are not only slots
                }
                let outer = index.wrapping_sub(1);
                let next = self.slots[outer % MOST];
                let step = recent.step(ip, &mut *rules);
                if slot.address().wrapping_add(step) != next.address() {
                    return match step {
                        0 => Followed::Lost,
                        _ => Followed::Apart(index, ip),
                    };
                }
                self.slots[index % MOST].value = ip;
                (*changed, index) = (index, outer);
                let Some(found) = memory.read_near(next.address()) else {
                    return Followed::Lost;
                };
                if found != next.value() {
                    ip = found;
                    continue;
                }
            }
            let outer = Run::new(&self.slots[..index % MOST]);
            let Some(at) = memory.first_difference(outer) else {
                return Followed::Out;
            };
            index = at;
            let Some(found) = memory.read_near(self.slots[index % MOST].address()) else {
                return Followed::Lost;
            };
            ip = found;
        }
    }

    /// The frames between the one at `index` and where the walk stood are those of another stack: they become new ones.
    #[cold]
    #[inline(never)]
    fn put_aside(&mut self, index: usize, stand: Stand) -> Stand {
        let inner = index.wrapping_add(1)..stand.index.wrapping_add(1);
        let kept = self.slots.get(inner).unwrap_or(&[]);
        let places = self.new.iter_mut().skip(stand.new);
        places
            .zip(kept.iter().rev())
            .for_each(|(place, slot)| *place = *slot);
        Stand {
            index: index.wrapping_sub(1),
            new: stand.new.wrapping_add(kept.len()),
        }
    }

    /// Not a lean walk. What was changed is no longer the last walk's.
    #[cold]
    #[inline(never)]
    fn stop(&mut self, changed: usize) -> Option<NonZeroUsize> {
        self.len = self.len.min(changed);
        None
    }
}

/// What a comparison came to.
#[derive(Clone, Copy, Debug)]
enum Followed {
    /// All holds, or was changed.
    Out,
    /// The frame at this index runs on here, and leads to another place than it did.
    Apart(usize, u64),
    /// Nobody can say.
    Lost,
}

/// What a lean walk came to: `shared` frames that are the previous walk's outermost, then `len` others ([`Memo::lean_frames`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lean {
    /// How many outermost frames are the previous walk's; at least one.
    pub shared: usize,
    /// How many are not.
    pub len: usize,
}

impl<const N: usize> Memo<N> {
    /// The frames of the last walk, which was lean, that are not the previous one's: for each the slot of its return address, outermost first.
    #[inline(always)]
    pub fn lean_frames(&self, walked: &Lean) -> &[Word] {
        self.lean.from(self.lean.slot_of(walked.shared))
    }

    /// As `walk`, with so many places, where the stack and the last one are of frames that depend on nothing but their ip and sp (`lean`), to its end.
    /// `None` where that cannot be told: then `walk` can.
    #[inline(always)]
    pub fn walk_lean(
        &mut self,
        from: (u64, u64),
        places: usize,
        rules: &mut impl Rules,
        memory: &mut impl Memory,
    ) -> Option<Lean> {
        let (_, sp) = from;
        let is_begun =
            sp & 7 == 0 && (self.lean.is_begun() || self.lean.is_due() && self.begin_lean());
        if !is_begun {
            return None;
        }
        let recent = (&mut self.recent, rules);
        let changed = self.lean.walk(from, places, recent, memory)?.get();
        Some(Lean {
            shared: self.lean.outside_of(changed),
            len: self.lean.inside_of(changed),
        })
    }

    /// Whether the last walk was lean, and the next one is tried as one.
    #[inline(always)]
    pub fn is_lean(&self) -> bool {
        self.lean.is_begun()
    }

    /// Has the next walk be a lean one, if the last one could have been. It is due.
    #[inline(never)]
    fn begin_lean(&mut self) -> bool {
        let Some(edge) = self.after_edge.checked_sub(1) else {
            return false;
        };
        let Some(base) = self.chain.lean_base(edge) else {
            self.lean.put_off();
            return false;
        };
        let count = self.chain.end().wrapping_sub(base);
        let frames = self.chain.frames(base, count).iter().map(Entry::slot);
        let words = self.chain.words_of(base);
        let outside = self.chain.run_of(words).words();
        self.lean.begin(base.wrapping_sub(edge), outside, frames);
        if self.lean.is_begun() {
            self.chain.cut_to(base.wrapping_add(1), words);
        }
        self.lean.is_begun()
    }

    /// Gives the chain what a lean walk has kept.
    #[cold]
    #[inline(never)]
    pub(super) fn end_lean(&mut self, rules: &mut impl Rules) {
        let chain = &mut self.chain;
        let has_room = chain.has_room_inside(self.lean.count().wrapping_add(1));
        let all = self.lean.end(&mut self.recent, rules, |frame| {
            if has_room {
                chain.add_simples(&[frame]);
            }
        });
        if !has_room || !all {
            self.forget_walk();
        }
    }
}

#[cfg(test)]
mod tests;
