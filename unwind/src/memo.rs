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
use crate::walk::{End, Frame, Memory, Position, Rules, Walked};

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
}

impl<const N: usize> Memo<N> {
    /// An empty memo, for statics.
    pub const EMPTY: Self = Memo {
        chain: Chain::EMPTY,
        last: End::Complete,
        recent: Recent::EMPTY,
    };

    /// Forgets the walk and all rules. To be called before a walk if a module that rules came from may have gone since.
    pub fn clear(&mut self) {
        self.forget_walk();
        self.recent.clear();
    }

    /// Forgets the rules that no remembered frame has: then only what the walk is remembered for is not asked again.
    #[cfg(test)]
    pub(crate) fn forget_rules(&mut self) {
        self.recent.clear();
    }

    /// Forgets the walk: the next one shares nothing with it.
    pub fn forget_walk(&mut self) {
        self.chain.clear();
    }

    /// The `nth` outermost frame (0 is the outermost) of the last walk, if it is remembered.
    pub fn outer(&self, nth: usize) -> Option<Frame> {
        let index = nth.checked_add(self.chain.edge())?;
        self.chain.entry(index).map(Entry::frame)
    }

    /// As [`walk`](crate::walk), from a hook's caller (`ip` and `sp` after the hook has returned, and its callee-saved registers), but the outermost
    /// frames that are the previous walk's (which then ended as this one) are only counted, in `shared`: neither written nor looked up.
    ///
    /// Here is the usual case: a few usual frames are new, and outside of them is all that the previous walk saw of the stack, unchanged.
    #[inline(always)]
    pub fn walk(
        &mut self,
        (ip, sp): (u64, u64),
        saved: &[u64; SAVED],
        rules: &mut impl Rules,
        memory: &mut impl Memory,
        out: &mut [Entry],
    ) -> Walked {
        let [bp, ..] = *saved;
        let mut at = Inner {
            ip,
            sp,
            bp: Some(bp),
            len: 0,
            candidates: self.chain.end(),
        };
        let known = self.run(&mut at, memory, out);
        let mut difference = None;
        if let Some(index) = known
            && let Some(edge) = self.whole(index, out.len().wrapping_sub(at.len), at.bp)
        {
            difference = self.chain.difference(index, memory);
            if difference.is_none() {
                self.chain.cut(index);
                self.chain.add_inner(out.get(..at.len).unwrap_or(&[]));
                return Walked {
                    len: at.len,
                    shared: index.wrapping_add(1).wrapping_sub(edge),
                    end: End::Complete,
                };
            }
        }
        let mut fresh = Fresh::new(Registers::new(ip, sp, *saved));
        fresh.go_to(&at);
        let stop = known.zip(difference);
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
    /// stops it is left to the walk. Returns the remembered frame where it stands, if it does.
    #[inline(always)]
    fn run(&self, at: &mut Inner, memory: &mut impl Memory, out: &mut [Entry]) -> Option<usize> {
        let last = out.len().saturating_sub(1);
        let places = out.get_mut(at.len..last).unwrap_or(&mut []);
        let mut chain = self.chain.inside(at.candidates);
        let (mut now, mut is_known) = (*at, false);
        for place in places {
            while let Some((entry, outer)) = chain.split_last()
                && entry.sp < now.sp
            {
                chain = outer;
            }
            is_known = chain
                .last()
                .is_some_and(|entry| entry.sp == now.sp && entry.ip == now.ip);
            if is_known || now.ip == 0 {
                break;
            }
            let Some(rule) = self.recent.of(now.ip) else {
                break;
            };
            if now.step(rule, place, memory).is_none() {
                break;
            }
        }
        now.candidates = self.chain.start().wrapping_add(chain.len());
        *at = now;
        is_known.then_some(now.candidates.wrapping_sub(1))
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
            };
        }
        self.chain.write(edge, out.get_mut(len..));
        self.chain.set_edge(edge);
        Walked {
            len: len.wrapping_add(known),
            shared: 0,
            end,
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

#[cfg(test)]
mod tests {
    use std::ffi::c_void;

    use super::*;
    use crate::calls::on_stack;
    use crate::worlds::{BASE, WORDS, World};
    use crate::{RuleError, walk};

    const DEPTH: usize = 96;

    /// A rule on rsp, or on rbp, with rbp saved below the return address.
    fn saving_rbp(kind: u64, offset: u64) -> Result<Rule, RuleError> {
        Ok(Rule::from_words([kind | offset << 32, 0])
            .saving(0, false, -16)
            .unwrap())
    }

    /// A world of three functions: 0 (all on rsp, saves nothing), 1 (CFA = rbp + 16, saves rbp) and 2 (outermost).
    fn three() -> World {
        let mut world = World::new(0);
        world.words = [0; WORDS];
        world.rules = [Err(RuleError::NoRule); 32];
        world.rules[0] = Ok(Rule::from_words([1 | 16 << 32, 0]));
        world.rules[1] = saving_rbp(2, 16);
        world.rules[2] = Ok(Rule::OUTERMOST);
        // 0 at BASE returns to 1; 1's frame pointer is at word 6 and it returns to 2; another is at word 10.
        for (at, word) in [
            (1, 17),
            (6, BASE + 200),
            (7, 33),
            (10, BASE + 208),
            (11, 33),
        ] {
            world.words[at] = word;
        }
        world
    }

    fn both(world: &mut World, memo: &mut Memo<DEPTH>, from: Registers) -> (Walked, Vec<u64>) {
        let mut full = vec![Frame::default(); DEPTH];
        let expected = walk(from, &mut world.rules, &mut &world.words, &mut full);
        let mut out = vec![Frame::default(); DEPTH];
        let walked = memo.walk_to(from, &mut world.rules, &mut &world.words, &mut out);
        assert_eq!(
            (walked.len + walked.shared, walked.end),
            (expected.len, expected.end)
        );
        assert_eq!(out[..walked.len], full[..walked.len]);
        (
            walked,
            full[..expected.len]
                .iter()
                .map(|frame| frame.sp - BASE)
                .collect(),
        )
    }

    /// Check that the same return addresses at the same places with another rbp are another stack.
    #[test]
    fn stale_frame_pointer() {
        let (mut world, mut memo) = (three(), Memo::EMPTY);
        let at = |bp| Registers::new(1, BASE, [bp, 0, 0, 0, 0, 0]);
        assert_eq!(both(&mut world, &mut memo, at(BASE + 48)).1, [0, 16, 64]);
        assert_eq!(both(&mut world, &mut memo, at(BASE + 48)).0.shared, 3);
        let (walked, stack) = both(&mut world, &mut memo, at(BASE + 80));
        assert_eq!((walked.shared, stack), (0, vec![0, 16, 96]));
    }

    /// Check that registers that no outer frame uses may differ.
    #[test]
    fn dead_registers_may_differ() {
        let (mut world, mut memo) = (three(), Memo::EMPTY);
        for rbx in 0..3 {
            let from = Registers::new(1, BASE, [BASE + 48, rbx, rbx, 0, 0, 0]);
            let (walked, _) = both(&mut world, &mut memo, from);
            assert_eq!(walked.shared, if rbx == 0 { 0 } else { 3 });
        }
    }

    /// Check that a stack used anew, with one return address changed, is seen from the changed frame on; what is outside of the
    /// change is shared again.
    #[test]
    fn reused_stack() {
        let (mut world, mut memo) = (three(), Memo::EMPTY);
        let from = Registers::new(1, BASE, [BASE + 48, 0, 0, 0, 0, 0]);
        both(&mut world, &mut memo, from);
        world.rules[3] = world.rules[1];
        world.words[1] = 49;
        let (walked, _) = both(&mut world, &mut memo, from);
        assert_eq!((walked.len, walked.shared), (2, 1));
        world.words[7] = 0;
        assert_eq!(both(&mut world, &mut memo, from).0.shared, 0);
        assert_eq!(both(&mut world, &mut memo, from).0.shared, 2);
    }

    /// Check that no slot beyond the first difference is read: its stack may be gone.
    #[test]
    fn nothing_is_read_behind_a_difference() {
        let (mut world, mut memo) = (three(), Memo::EMPTY);
        let from = Registers::new(1, BASE, [BASE + 48, 0, 0, 0, 0, 0]);
        both(&mut world, &mut memo, from);
        world.words[1] = 33;
        let (words, mut out) = (world.words, [Frame::default(); DEPTH]);
        let mut read_first_two = |address: u64| {
            assert!(address < BASE + 16, "read {address:#x}");
            (&words).read(address)
        };
        let walked = memo.walk_to(from, &mut world.rules, &mut read_first_two, &mut out);
        assert_eq!((walked.len, walked.end), (2, End::Complete));
    }

    /// Check that a walk that ended early is shared as long as it ends there, and is no longer when a rule has come.
    #[test]
    fn ended_early() {
        let (mut world, mut memo) = (three(), Memo::EMPTY);
        world.rules[2] = Err(RuleError::NoRule);
        let from = Registers::new(1, BASE, [BASE + 48, 0, 0, 0, 0, 0]);
        both(&mut world, &mut memo, from);
        let (walked, _) = both(&mut world, &mut memo, from);
        assert_eq!((walked.shared, walked.end), (3, End::NoRule));
        world.rules[2] = Ok(Rule::OUTERMOST);
        assert_eq!(both(&mut world, &mut memo, from).0.shared, 0);
    }

    /// Check that a rule that comes later for the frame where a walk ended early is compared from then on.
    #[test]
    fn rule_found_later() {
        let (mut world, mut memo) = (three(), Memo::EMPTY);
        world.rules[2] = Err(RuleError::NoRule);
        let from = Registers::new(1, BASE, [BASE + 48, 0, 0, 0, 0, 0]);
        both(&mut world, &mut memo, from);
        world.rules[2] = saving_rbp(2, 16);
        assert_eq!(both(&mut world, &mut memo, from).0.end, End::Complete);
        assert_eq!(both(&mut world, &mut memo, from).0.shared, 3);
        (world.words[6], world.words[27]) = (BASE + 208, 33);
        assert_eq!(both(&mut world, &mut memo, from).0.shared, 0);
    }

    /// Check that the registers of frames whose callers were forgotten are not used: they may be stale.
    #[test]
    fn forgotten_callers() {
        let (mut world, mut memo) = (World::new(0), Memo::<DEPTH>::EMPTY);
        (world.words, world.rules) = ([0; WORDS], [Err(RuleError::NoRule); 32]);
        world.words[..120].fill(1);
        world.rules[0] = Ok(Rule::from_words([1 | 8 << 32, 0]));
        world.rules[1] = Ok(Rule::from_words([3 | 8 << 32, 0])); // on rbx
        let mut go = |nth: u64, rbx: u64, word: u64| {
            world.words[80] = word;
            let registers = Registers::new(1, BASE + 8 * nth, [0, BASE + 8 * rbx, 0, 0, 0, 0]);
            let (mut out, mut full) = ([Frame::default(); 16], [Frame::default(); 16]);
            let expected = walk(registers, &mut world.rules, &mut &world.words, &mut full);
            let walked = memo.walk_to(registers, &mut world.rules, &mut &world.words, &mut out);
            let len = walked.len + walked.shared;
            assert_eq!((len, walked.end), (expected.len, expected.end), "{nth}");
            assert_eq!(out[..walked.len], full[..walked.len], "{nth}");
        };
        (60..=110).rev().for_each(|nth| go(nth, 100, 1));
        (10..=60).rev().for_each(|nth| go(nth, 110, 1));
        (10..=75).for_each(|nth| go(nth, 110, 17));
    }

    /// Check that a cleared memo shares nothing, and looks up every rule again.
    #[test]
    fn cleared() {
        let (mut world, mut memo) = (three(), Memo::EMPTY);
        let from = Registers::new(1, BASE, [BASE + 48, 0, 0, 0, 0, 0]);
        both(&mut world, &mut memo, from);
        memo.clear();
        world.rules[1] = Ok(Rule::OUTERMOST);
        let (walked, _) = both(&mut world, &mut memo, from);
        assert_eq!((walked.len, walked.shared), (2, 0));
    }

    /// Check that zeros are an empty memo.
    #[test]
    fn zeros_are_empty() {
        // SAFETY: this is what is tested: all fields are numbers, or booleans, of which 0 is one.
        let mut memo: Box<Memo<DEPTH>> = unsafe { Box::<Memo<DEPTH>>::new_zeroed().assume_init() };
        let from = Registers::new(1, BASE, [BASE + 48, 0, 0, 0, 0, 0]);
        assert_eq!(both(&mut three(), &mut memo, from).0.shared, 0);
        assert_eq!(both(&mut three(), &mut memo, from).0.shared, 3);
    }

    /// A stack of 120 frames of one word each, seen from `nth` frames outside of the innermost, with 16 places: what is written and
    /// shared, and how many rules are asked for.
    fn recursion(memo: &mut Memo<DEPTH>, nth: u64) -> [usize; 3] {
        let mut asked = 0;
        let mut rules = |_pc, _exact| {
            asked += 1;
            Ok(Rule::from_words([1 | 8 << 32, 0]))
        };
        let stack = BASE..BASE + 8 * 120;
        let mut memory = |address: u64| Some(if stack.contains(&address) { address } else { 0 });
        let (mut out, mut full) = ([Frame::default(); 16], [Frame::default(); 16]);
        let from = Registers::new(BASE + 8 * nth - 8, BASE + 8 * nth, [0; SAVED]);
        memo.forget_rules();
        let expected = walk(
            from,
            &mut Asked(|_, _| Ok(Rule::from_words([1 | 8 << 32, 0]))),
            &mut memory,
            &mut full,
        );
        let walked = memo.walk_to(from, &mut Asked(&mut rules), &mut memory, &mut out);
        assert_eq!(
            (walked.len + walked.shared, walked.end),
            (expected.len, expected.end)
        );
        assert_eq!(out[..walked.len], full[..walked.len]);
        [walked.len, walked.shared, asked]
    }

    struct Asked<F>(F);

    impl<F: FnMut(u64, bool) -> Result<Rule, RuleError>> Rules for Asked<F> {
        fn rule(&mut self, pc: u64, exact: bool) -> Result<Rule, RuleError> {
            (self.0)(pc, exact)
        }
    }

    /// Check that recursion beyond the limit is remembered: nothing is asked again where the depth is the same, one rule for one
    /// frame more at either end, none for frames that were seen before; and that the stack's end is found again.
    #[test]
    fn too_deep() {
        let mut memo = Memo::EMPTY;
        assert_eq!(recursion(&mut memo, 60), [16, 0, 16]);
        assert_eq!(recursion(&mut memo, 60), [0, 16, 0]);
        assert_eq!(recursion(&mut memo, 59), [16, 0, 1]);
        assert_eq!(recursion(&mut memo, 59), [0, 16, 0]);
        assert_eq!(recursion(&mut memo, 60), [16, 0, 0]);
        assert_eq!(recursion(&mut memo, 61), [16, 0, 1]);
        for nth in (0..61).rev() {
            assert_eq!(recursion(&mut memo, nth), [16, 0, 1]);
        }
        // The innermost half of the memo, at least, is still there.
        for nth in 1..=DEPTH as u64 / 2 - 16 {
            assert_eq!(recursion(&mut memo, nth), [16, 0, 0]);
        }
        for nth in DEPTH as u64 / 2..104 {
            recursion(&mut memo, nth);
        }
        assert_eq!(recursion(&mut memo, 104), [16, 0, 1]);
        assert_eq!(recursion(&mut memo, 105), [16, 0, 1]);
        assert_eq!(recursion(&mut memo, 105), [0, 16, 0]);
        assert_eq!(recursion(&mut memo, 110), [0, 11, 0]);
        assert_eq!(recursion(&mut memo, 104), [16, 0, 6]);
    }

    /// Check how much stack a walk takes, whatever it meets; a hook's whole budget is 1 KiB on the usual path.
    #[test]
    fn stack_use() {
        extern "C" fn ask(argument: *mut c_void) {
            // SAFETY: the test passes these.
            let (world, memo, out) =
                unsafe { &mut *argument.cast::<(World, Memo<DEPTH>, [Entry; DEPTH])>() };
            let from = Registers::new(1, BASE, [BASE + 48, 0, 0, 0, 0, 0]);
            for change in 0..WORDS {
                for limit in [DEPTH, 2, 5, 3] {
                    let out = &mut out[..limit];
                    let (ip, sp) = (from.ip, from.sp);
                    memo.walk(
                        (ip, sp),
                        &from.saved,
                        &mut world.rules,
                        &mut &world.words,
                        out,
                    );
                }
                world.words[change] ^= 8;
            }
        }
        // Unoptimised code is in no target: there it only has to end.
        let limit = if cfg!(debug_assertions) { 16384 } else { 896 };
        for seed in 0..64 {
            let mut all = Box::new((
                World::new(seed),
                Memo::<DEPTH>::EMPTY,
                [Entry::EMPTY; DEPTH],
            ));
            let used = on_stack(ask, (&raw mut *all).cast());
            assert!(used > 64 && used <= limit, "{used} bytes");
        }
    }
}
