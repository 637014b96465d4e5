//! A thread's last walk, remembered: the next walk steps by rules through the frames that are new, and compares the rest.
//!
//! The shim keeps one [`Memo`] per thread and calls [`Memo::walk`] in place of [`walk`](crate::walk); the stack is the same,
//! frame for frame. It deliberately knows neither modules nor the trie: whoever unloads a module clears the memo.
//!
//! **Why it is sound.** What a plain walk finds outside a frame depends on the frame's ip, its sp, some callee-saved registers
//! and the slots read on the way. A register is *live* in a frame if the rule of this frame or of one further out uses it
//! before a frame has restored it from its own slot; on other registers no address outside depends:
//! ```text
//! live(i)  = uses(rule i) | (live(caller of i) & !saves(rule i))
//! slots(i) = the return address, live(caller of i) & saves(rule i), and the CFA where the rule loads it
//! ```
//! So if a new walk comes to a remembered frame with the same ip, sp and live registers, and all slots from there outwards hold
//! what they held, then, frame by frame, rules, CFAs, and slots are the same. Slots are read from inner to outer and not past
//! the first difference, so each lies in a frame whose return address the plain walk would read now: memory of a stack that is gone is never touched.
//! Slots of dead registers are not read again.
//!
//! **Where a walk did not see the stack's end** (it ended early, or had no more places) every register is live in its outermost frame:
//! a later walk that holds out to there has the registers of a plain walk, and goes on from there by rules. A walk with too few
//! places for what is remembered compares as many frames as it has places, and one more: a plain walk ends as too deep where it
//! has stepped out of the last frame that it shows. The frames inside and outside of such a window stay in the `chain`.
//! Its frames are `shared` only if its outermost one is the previous walk's, and both ended in the same way; else they are written.
//!
//! **After a difference** the remembered frames that were compared are this walk's: they are copied. The walk goes on at the last of them,
//! with its own registers, since dead ones may be stale: where they lie follows from the rules of the frames that it has passed
//! (`fresh`), and is only asked if a rule further out needs one.

use crate::arch::{Registers, Rule, SAVED};
use crate::chain::{Chain, NOWHERE, Reach};
use crate::entry::Entry;
use crate::fresh::{Fresh, Inner, note, note_last};
use crate::recent::Recent;
use crate::usual::{Simples, Stand, Usual};
use crate::walk::{End, Frame, Memory, Position, Rules, Walked};

mod lean;

pub use lean::Lean;

/// A thread's last walk: of its frames, and of some more that were known before, at most `N`.
///
/// With `N` at least twice the number of places, a stack that is too deep to be shown, and gets a little deeper or less deep, is
/// remembered well. A walk that writes more than `N` frames is not remembered.
///
/// Memory of all zeros is a valid, empty memo: the shim makes it by mmap, since it is too large for a stack.
#[derive(Debug)]
#[repr(C)]
pub struct Memo<const N: usize> {
    chain: Chain<N>,
    /// How the last walk ended.
    last: End,
    recent: Recent,
    /// One more than the index of the last walk's outermost frame, where the next walk may be a usual one; else 0.
    after_edge: usize,
    new: Simples,
    /// The last walk's inner frames, where it was lean; else the chain has them.
    lean: lean::Slots,
}

impl<const N: usize> Memo<N> {
    /// An empty memo, for statics.
    pub const EMPTY: Self = Memo {
        chain: Chain::EMPTY,
        last: End::Complete,
        recent: Recent::EMPTY,
        after_edge: 0,
        new: Simples::EMPTY,
        lean: lean::Slots::EMPTY,
    };

    /// Forgets the walk and all rules. To be called before a walk if a module that rules came from may have gone since.
    pub fn clear(&mut self) {
        self.forget_walk();
        self.lean.clear();
        self.recent.clear();
    }

    /// Forgets the rules that no remembered frame has: then only what the walk is remembered for is not asked again.
    #[cfg(test)]
    pub(crate) fn forget_rules(&mut self) {
        self.recent.clear();
    }

    /// Forgets the walk: the next one shares nothing with it.
    pub fn forget_walk(&mut self) {
        self.after_edge = 0;
        self.lean.forget();
        self.chain.clear();
    }

    /// The `nth` outermost frame (0 is the outermost) of the last walk, if it is remembered.
    pub fn outer(&self, nth: usize) -> Option<Frame> {
        if let Some(frame) = self.lean.frame(nth) {
            return Some(frame);
        }
        let index = nth.checked_add(self.chain.edge())?;
        self.chain.entry(index).map(Entry::frame)
    }

    /// The frames of the last walk that it has not written, where it says so (`Walked::is_kept`): outermost first.
    #[inline(always)]
    pub fn kept(&self, walked: &Walked) -> &[Entry] {
        let first = self.chain.edge().wrapping_add(walked.shared);
        self.chain.frames(first, walked.len)
    }

    /// As [`walk`](crate::walk), from a hook's caller (`ip` and `sp` after the hook has returned, and its callee-saved registers), but the outermost
    /// frames that are the previous walk's (which then ended as this one) are only counted, in `shared`: neither written nor looked up.
    ///
    /// Here is the usual case (`usual`): a few simple frames are new, and outside of them is what the previous walk saw of the stack.
    #[inline(always)]
    pub fn walk(
        &mut self,
        from: (u64, u64),
        saved: &[u64; SAVED],
        rules: &mut impl Rules,
        memory: &mut impl Memory,
        out: &mut [Entry],
    ) -> Walked {
        if self.lean.is_begun() {
            self.end_lean(rules);
        }
        let [bp, ..] = *saved;
        let ((ip, sp), (chain, new)) = (from, (&mut self.chain, &mut self.new));
        let usual = match self.after_edge.checked_sub(1) {
            Some(edge) if sp & 7 == 0 => {
                let within = (edge, out.len());
                chain.walk_usually((ip, sp, bp), within, (&self.recent, new), memory)
            }
            _ => Usual::Not,
        };
        match usual {
            Usual::Done(walked) => walked,
            stopped => self.walk_otherwise(stopped, (from, saved), rules, memory, out),
        }
    }

    /// A walk that is not a usual one, from its beginning or from where it was found to be another.
    #[inline(never)]
    fn walk_otherwise(
        &mut self,
        usual: Usual,
        from: ((u64, u64), &[u64; SAVED]),
        rules: &mut impl Rules,
        memory: &mut impl Memory,
        out: &mut [Entry],
    ) -> Walked {
        let walked = match usual {
            Usual::Stopped(at, index, until) => {
                self.new.write(at.len, out);
                self.walk_from(at, Some((index, until)), from, rules, memory, out)
            }
            _ => {
                let at = Inner::at(from.0, from.1, self.chain.end());
                self.walk_run(at, from, rules, memory, out)
            }
        };
        let is_usual = self.last == End::Complete;
        let edge = self.chain.whole_edge().filter(|_| is_usual);
        self.after_edge = edge.map_or(0, |edge| edge.wrapping_add(1));
        walked
    }

    /// Goes on where simple frames end: through frames with frame pointers, to what is remembered.
    #[inline(never)]
    fn walk_run(
        &mut self,
        mut at: Inner,
        from: ((u64, u64), &[u64; SAVED]),
        rules: &mut impl Rules,
        memory: &mut impl Memory,
        out: &mut [Entry],
    ) -> Walked {
        let stand = self.run(&mut at, memory, out);
        match self.enter(&at, stand, memory, out) {
            Ok(walked) => walked,
            Err(stop) => self.walk_from(at, stop, from, rules, memory, out),
        }
    }

    /// Where a walk stands at a remembered frame, and all from there outwards is remembered: the walk. Else the frame where it stands, if it came there as the
    /// remembered walk did, and the one out to which the chain holds from there.
    #[inline(always)]
    fn enter(
        &mut self,
        at: &Inner,
        stand: Stand,
        memory: &mut impl Memory,
        out: &mut [Entry],
    ) -> Result<Walked, Option<(usize, usize)>> {
        let (index, rule) = match stand {
            Stand::Same(index) => (index, None),
            Stand::Elsewhere(index, rule) => (index, Some(rule)),
            Stand::Nowhere => return Err(None),
        };
        let places = out.len().wrapping_sub(at.len);
        let edge = self.whole(index, places, at.bp).ok_or(None)?;
        self.chain.cut(index);
        let mut inner = index.wrapping_add(1);
        if let (Some(rule), Some(entry)) = (rule, self.chain.frame_mut(index)) {
            entry.run_on(at.ip, rule);
            inner = index;
        }
        let followed = match self.chain.has_words_alone(index) {
            true => {
                let words = self.chain.words_of(index);
                self.chain.follow(index, words, &self.recent, memory)
            }
            false => match self.chain.odd_difference(index, memory) {
                Some(until) => Err(until),
                None => Ok(inner),
            },
        };
        let outermost = followed.map_err(|until| Some((index, until)))?.min(inner);
        let is_kept = self.chain.has_room_inside(at.len);
        if !is_kept {
            self.chain.write(outermost, out.get_mut(at.len..));
        }
        self.chain.add_inner(out.get(..at.len).unwrap_or(&[]));
        Ok(Walked {
            len: at
                .len
                .wrapping_add(index.wrapping_add(1).wrapping_sub(outermost)),
            shared: outermost.wrapping_sub(edge),
            end: End::Complete,
            is_kept,
        })
    }

    /// As `walk_on`, with the registers that the walk began with.
    #[inline(never)]
    fn walk_from(
        &mut self,
        at: Inner,
        stop: Option<(usize, usize)>,
        ((ip, sp), saved): ((u64, u64), &[u64; SAVED]),
        rules: &mut impl Rules,
        memory: &mut impl Memory,
        out: &mut [Entry],
    ) -> Walked {
        let mut fresh = Fresh::new(Registers::new(ip, sp, *saved));
        fresh.go_to(&at);
        self.walk_on(fresh, (at.candidates, stop), rules, memory, out)
    }

    /// The outermost frame, if the chain from `index` on is a whole stack, which the last walk showed to its end, where no registers matter and which a
    /// walk with so many places shows whole.
    #[inline(always)]
    fn whole(&self, index: usize, places: usize, bp: Option<u64>) -> Option<usize> {
        let edge = self.chain.whole_from(index, places, bp)?;
        (edge == self.chain.edge() && self.last == End::Complete).then_some(edge)
    }

    /// Goes on where the usual case ends: `stop` is a frame where the walk stands, and the one out to which the chain holds from there.
    #[inline(never)]
    fn walk_on(
        &mut self,
        mut at: Fresh,
        (mut candidates, stop): (usize, Option<(usize, usize)>),
        rules: &mut impl Rules,
        memory: &mut impl Memory,
        out: &mut [Entry],
    ) -> Walked {
        let mut untried = self.chain.end();
        if let Some((index, until)) = stop {
            (untried, candidates) = (until, until.wrapping_add(1));
            self.pass(index, until, &mut at, out);
        }
        let end = loop {
            if at.position.exact {
                // A handler may have run on another stack, above or below.
                candidates = self.chain.end();
            }
            let known = self.chain.find(&at.position, &mut candidates);
            if let Some(index) = known
                && index < untried
                && at.len < out.len()
                && self.agrees(index, &mut at, out, memory)
            {
                match self
                    .chain
                    .compare(index, out.len().wrapping_sub(at.len), memory)
                {
                    Reach::Until(until) => {
                        (untried, candidates) = (until, until.wrapping_add(1));
                        self.pass(index, until, &mut at, out);
                        continue;
                    }
                    Reach::Unknown => untried = 0,
                    reach => {
                        self.chain.cut(index);
                        return self.join(reach, &mut at, rules, memory, out);
                    }
                }
            }
            if let Err(end) = self.step(&mut at, known, rules, memory, out) {
                break end;
            }
            if !at.position.exact {
                candidates = self.run_on(&mut at, candidates, memory, out);
            }
        };
        self.begin(&at, end, out)
    }

    /// Steps out of one frame, remembered or not.
    #[inline(never)]
    fn step(
        &mut self,
        at: &mut Fresh,
        known: Option<usize>,
        rules: &mut impl Rules,
        memory: &mut impl Memory,
        out: &mut [Entry],
    ) -> Result<(), End> {
        let places = out.len().saturating_sub(at.len);
        if places == 0 {
            return Err(End::TooDeep);
        }
        let remembered = known.and_then(|index| self.chain.rule(index));
        let rule = match remembered.or_else(|| self.recent.find(&at.position)) {
            Some(rule) => rule,
            None => match self.recent.look_up(&at.position, rules) {
                Ok(rule) => rule,
                Err(end) => {
                    at.note_last(Rule::UNSUPPORTED, out, memory);
                    return Err(end);
                }
            },
        };
        if places > 1 && at.usual_step(rule, out, memory).is_some() {
            return Ok(());
        }
        let stepped = at.other_step(rule, places == 1, out, memory);
        if let Err(end) = stepped
            && end != End::Complete
        {
            at.renote_last(rule, out, memory);
        }
        stepped
    }

    /// Steps out of frames as long as each is a usual one: its rule is usual and was asked for lately, and there are places for one more. What
    /// stops it is left to the walk. Returns where it stands.
    #[inline(always)]
    fn run(&self, at: &mut Inner, memory: &mut impl Memory, out: &mut [Entry]) -> Stand {
        let last = out.len().saturating_sub(1);
        let places = out.get_mut(at.len..last).unwrap_or(&mut []);
        let mut chain = self.chain.inside(at.candidates);
        let (mut now, mut stand) = (*at, Stand::Nowhere);
        for place in places {
            while let Some((entry, outer)) = chain.split_last()
                && entry.sp < now.sp
            {
                chain = outer;
            }
            let here = chain.last().filter(|entry| entry.sp == now.sp);
            let index = self.chain.start().wrapping_add(chain.len()).wrapping_sub(1);
            if here.is_some_and(|entry| entry.ip == now.ip) {
                stand = Stand::Same(index);
                break;
            }
            let Some(known) = self.recent.of(now.ip).filter(|_| now.ip != 0) else {
                break;
            };
            let is_free = self.chain.is_free_outside(index);
            if here.is_some_and(|entry| entry.could_run(known, is_free)) {
                stand = Stand::Elsewhere(index, known.rule);
                break;
            }
            if now.step(known.rule, place, memory).is_none() {
                break;
            }
        }
        now.candidates = self.chain.start().wrapping_add(chain.len());
        *at = now;
        stand
    }

    /// As `run`, for a walk that is no longer in the usual case. Returns the candidates.
    #[inline(never)]
    fn run_on(
        &self,
        at: &mut Fresh,
        candidates: usize,
        memory: &mut impl Memory,
        out: &mut [Entry],
    ) -> usize {
        let mut inner = Inner {
            ip: at.position.registers.ip,
            sp: at.position.registers.sp,
            bp: at.bp.or_else(|| at.frame_pointer(memory)),
            len: at.len,
            candidates,
        };
        self.run(&mut inner, memory, out);
        at.go_to(&inner);
        inner.candidates
    }

    /// Whether the frame at `index` goes on as it did, as far as registers say.
    #[inline(always)]
    fn agrees(
        &self,
        index: usize,
        at: &mut Fresh,
        out: &[Entry],
        memory: &mut impl Memory,
    ) -> bool {
        self.chain.get(index).is_some_and(|entry| {
            entry.agrees_usually(at.bp) || {
                at.restore(out);
                entry.agrees(&mut at.position.registers, memory)
            }
        })
    }

    /// Takes a walk that stands at `index` to the frame at `until`, which it comes to as the remembered one did.
    #[inline(never)]
    fn pass(&self, index: usize, until: usize, at: &mut Fresh, out: &mut [Entry]) {
        let passed = self.chain.pass(index, until, out.get_mut(at.len..));
        at.len = at.len.wrapping_add(passed);
        if let Some(entry) = self.chain.get(until) {
            (at.position.registers.ip, at.position.registers.sp) = (entry.ip, entry.sp);
            at.bp = entry.live_frame_pointer();
        }
    }

    /// Remembers a walk that has not entered the chain.
    #[inline(never)]
    fn begin(&mut self, at: &Fresh, end: End, out: &[Entry]) -> Walked {
        self.last = end;
        match (out.get(..at.len), out.get(at.plain..at.len)) {
            (Some(fresh), Some(plain)) if at.len <= N => {
                let last = &at.position.registers;
                self.chain.begin(fresh, plain, end, last);
            }
            _ => self.chain.clear(),
        }
        Walked {
            len: at.len,
            shared: 0,
            end,
            is_kept: false,
        }
    }

    /// Ends a walk that stands at the chain's innermost frame, from where the chain holds.
    #[inline(always)]
    fn join(
        &mut self,
        reach: Reach,
        at: &mut Fresh,
        rules: &mut impl Rules,
        memory: &mut impl Memory,
        out: &mut [Entry],
    ) -> Walked {
        let walked = match reach {
            Reach::Frame(edge, end) => self.share(edge, at.len, end, out),
            _ => self.go_on(&mut at.position, at.len, rules, memory, out),
        };
        self.last = walked.end;
        match out.get(at.plain..at.len) {
            Some(plain) if !self.chain.is_empty() => self.chain.add_inner(plain),
            _ => self.chain.clear(),
        }
        walked
    }

    /// The walk whose outermost frame is the entry at `edge`.
    #[inline]
    fn share(&mut self, edge: usize, len: usize, end: End, out: &mut [Entry]) -> Walked {
        let known = self.chain.end().wrapping_sub(edge);
        if edge == self.chain.edge() && end == self.last {
            return Walked {
                len,
                shared: known,
                end,
                is_kept: false,
            };
        }
        self.chain.write(edge, out.get_mut(len..));
        self.chain.set_edge(edge);
        Walked {
            len: len.wrapping_add(known),
            shared: 0,
            end,
            is_kept: false,
        }
    }

    /// Goes on by rules at the outermost entry of the chain.
    #[inline(never)]
    fn go_on(
        &mut self,
        at: &mut Position,
        len: usize,
        rules: &mut impl Rules,
        memory: &mut impl Memory,
        out: &mut [Entry],
    ) -> Walked {
        let edge = self.chain.start();
        let known = self.chain.end().wrapping_sub(edge);
        let first = len.wrapping_add(known);
        let mut rule = self.chain.last_step(at, rules);
        let mut written = first;
        let end = loop {
            if let Err(end) = rule.and_then(|rule| at.step(rule, memory)) {
                if written > first && end != End::Complete {
                    let rule = rule.unwrap_or(Rule::UNSUPPORTED);
                    let place = out.get_mut(written.wrapping_sub(1));
                    note_last(place, at, rule, memory);
                }
                break end;
            }
            let is_last = written.wrapping_add(1) == out.len();
            let Some(place) = out.get_mut(written) else {
                break End::TooDeep;
            };
            written = written.wrapping_add(1);
            rule = self.recent.rule(at, rules);
            note(
                Some(place),
                at,
                rule.unwrap_or(Rule::UNSUPPORTED),
                is_last,
                memory,
            );
        };
        if written > first {
            self.chain.set_edge(NOWHERE);
        }
        let mut walked = self.share(edge, len, end, out);
        walked.len = walked.len.wrapping_add(written.wrapping_sub(first));
        if written > first || end == End::Complete {
            match out.get(first..written) {
                Some(fresh) if fresh.len() <= N => self.chain.add_outer(fresh, end, &at.registers),
                _ => self.chain.clear(),
            }
        }
        walked
    }
}
