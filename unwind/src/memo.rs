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
//! the first difference, so each is one that the plain walk would read now: memory of a stack that is gone is never touched.
//! Slots of dead registers are not read again. A walk that ended early has every register live in its last frame, where its last step is tried again.
//!
//! **After a difference** dead registers of remembered frames may be stale, so the walk goes on from where it entered the
//! memo, with its own registers; remembered frames that it passes only save it the look-up of their rules.

use crate::arch::{Registers, Rule, SAVED};
use crate::walk::{End, Frame, Memory, Position, Rules, Walked};

/// The set of all callee-saved registers.
const ALL: u8 = (1 << SAVED) - 1;

/// A frame of the remembered walk. `live` to `bp_slot` are only meaningful in `Memo::entries`.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
struct Entry {
    ip: u64,
    sp: u64,
    /// Where the caller's first saved register (the frame pointer) is compared; 0 if it is not.
    bp_slot: u64,
    live: u8,
    /// Other registers of the caller that must be compared with their slots.
    others: u8,
    loads_cfa: bool,
    exact: bool,
    rule: Rule,
    saved: [u64; SAVED],
}

impl Entry {
    const EMPTY: Entry = Entry {
        ip: 0,
        sp: 0,
        bp_slot: 0,
        live: 0,
        others: 0,
        loads_cfa: false,
        exact: false,
        rule: Rule::UNSUPPORTED,
        saved: [0; SAVED],
    };

    fn new(at: &Position, rule: Rule) -> Self {
        Entry {
            ip: at.registers.ip,
            sp: at.registers.sp,
            exact: at.exact,
            rule,
            saved: at.registers.saved,
            ..Entry::EMPTY
        }
    }

    fn registers(&self) -> Registers {
        Registers::new(self.ip, self.sp, self.saved)
    }

    /// Whether a walk that stands here goes on as the remembered one did, as far as registers say.
    fn agrees(&self, registers: &Registers) -> bool {
        let pairs = self.saved.iter().zip(registers.saved);
        self.live == 0
            || (0..)
                .zip(pairs)
                .all(|(index, (ours, theirs))| *ours == theirs || self.live & (1 << index) == 0)
    }

    /// Notes what must be compared for `outer` to be the caller; `None` if this is the last frame.
    fn link(&mut self, outer: Option<&Entry>, live_if_last: u8) {
        let Some(outer) = outer else {
            self.live = live_if_last;
            return;
        };
        let compared = outer.live & self.rule.saves();
        self.live = self.rule.uses() | (outer.live & !self.rule.saves());
        self.bp_slot = if compared & 1 == 0 {
            0
        } else {
            self.rule.slot(0, outer.sp, &self.registers())
        };
        self.others = compared & !1;
        self.loads_cfa = self.rule.cfa_slot(&self.registers()).is_some();
    }

    /// Whether memory still says that `outer` is the caller, its live registers included.
    #[inline(always)]
    fn still_leads_to(&self, outer: &Entry, memory: &mut impl Memory) -> bool {
        let [bp, ..] = outer.saved;
        (!self.loads_cfa || self.cfa_is(outer.sp, memory))
            && memory.read(outer.sp.wrapping_sub(8)) == Some(outer.ip)
            && (self.bp_slot == 0 || memory.read(self.bp_slot) == Some(bp))
            && (self.others == 0 || self.others_are(outer, memory))
    }

    #[cold]
    #[inline(never)]
    fn cfa_is(&self, cfa: u64, memory: &mut impl Memory) -> bool {
        let slot = self.rule.cfa_slot(&self.registers());
        slot.and_then(|slot| memory.read(slot)) == Some(self.rule.cfa_slot_value(cfa))
    }

    #[inline(never)]
    fn others_are(&self, outer: &Entry, memory: &mut impl Memory) -> bool {
        let registers = self.registers();
        outer.saved.iter().enumerate().all(|(index, value)| {
            let is_compared = self.others & (1 << index) != 0;
            !is_compared || memory.read(self.rule.slot(index, outer.sp, &registers)) == Some(*value)
        })
    }
}

/// A thread's last walk, of at most `N` frames (deeper ones are walked in full each time).
///
/// `entries[..len]` is the walk, outermost first; if `has_ground`, `entries[0]` is no frame, but the place of the zero return
/// address that ended it. If `ended_early`, the walk ended otherwise than complete. `fresh` is scratch.
///
/// Memory of all zeros is a valid, empty memo: the shim makes it by mmap, since it is too large for a stack.
#[derive(Debug)]
#[repr(C)]
pub struct Memo<const N: usize> {
    len: usize,
    has_ground: bool,
    ended_early: bool,
    entries: [Entry; N],
    fresh: [Entry; N],
}

impl<const N: usize> Memo<N> {
    /// An empty memo, for statics.
    pub const EMPTY: Self = Memo {
        len: 0,
        has_ground: false,
        ended_early: false,
        entries: [Entry::EMPTY; N],
        fresh: [Entry::EMPTY; N],
    };

    /// Forgets the walk. To be called before a walk if a module that its rules came from may have gone since.
    pub fn clear(&mut self) {
        self.len = 0;
    }

    /// The `nth` outermost frame (0 is the outermost) of the last walk, if it is remembered.
    pub fn outer(&self, nth: usize) -> Option<Frame> {
        let index = nth.checked_add(usize::from(self.has_ground))?;
        let entry = self.entries.get(..self.len)?.get(index)?;
        Some(Frame {
            address: entry.ip,
            sp: entry.sp,
            exact: entry.exact,
        })
    }

    /// As [`walk`](crate::walk), but the outermost frames that are the previous walk's are only counted, in `shared`: neither
    /// written nor looked up.
    pub fn walk(
        &mut self,
        registers: Registers,
        rules: &mut impl Rules,
        memory: &mut impl Memory,
        out: &mut [Frame],
    ) -> Walked {
        let mut at = Position::new(registers);
        let (mut len, mut candidates, mut untried) = (0usize, self.len, self.len);
        let (kept, end) = loop {
            if at.exact {
                // A handler may have run on another stack, above or below.
                candidates = self.len;
            }
            let known = self.find(&at, &mut candidates);
            if let Some(index) = known.filter(|&index| self.may_enter(index, untried, &at)) {
                match self.compare(index, rules, memory) {
                    Ok(end) if self.fits(index, len, out.len()) => {
                        break (index.wrapping_add(1), end);
                    }
                    Ok(_) => untried = 0,
                    Err(stop) => untried = stop,
                }
            }
            let Some(place) = out.get_mut(len) else {
                break (0, End::TooDeep);
            };
            *place = at.frame();
            let rule = self.rule(known, &at, rules);
            self.note(len, Entry::new(&at, rule.unwrap_or(Rule::UNSUPPORTED)));
            len = len.wrapping_add(1);
            if let Err(end) = rule.and_then(|rule| at.step(rule, memory)) {
                break (0, end);
            }
        };
        let shared = self.frames(kept);
        self.remember(kept, len, end, &at.registers);
        Walked { len, shared, end }
    }

    /// The remembered frame with this ip and sp. Both walks go up the stack, so `candidates` (frames that are not below the
    /// walk) only falls, and all calls of one walk together take at most `len` turns.
    #[inline]
    fn find(&self, at: &Position, candidates: &mut usize) -> Option<usize> {
        while let Some(index) = candidates.checked_sub(1) {
            let entry = self.entries.get(index)?;
            if entry.sp >= at.registers.sp {
                let is_frame = index > 0 || !self.has_ground;
                let is_same = entry.sp == at.registers.sp && entry.ip == at.registers.ip;
                return (is_same && is_frame && !at.exact).then_some(index);
            }
            *candidates = index;
        }
        None
    }

    fn may_enter(&self, index: usize, untried: usize, at: &Position) -> bool {
        let entry = self.entries.get(index);
        index < untried && entry.is_some_and(|entry| entry.agrees(&at.registers))
    }

    /// Whether the frames up to `index`, behind `len` others, are no more than a plain walk would have written.
    fn fits(&self, index: usize, len: usize, limit: usize) -> bool {
        self.frames(index.wrapping_add(1)).wrapping_add(len) <= limit
    }

    /// How many frames the first `kept` entries are.
    fn frames(&self, kept: usize) -> usize {
        kept.saturating_sub(usize::from(self.has_ground))
    }

    /// How the remembered walk ends now, if from `index` outwards nothing has changed; else where it has: no frame at or inside
    /// that index can be entered in this walk.
    #[inline]
    fn compare(
        &self,
        index: usize,
        rules: &mut impl Rules,
        memory: &mut impl Memory,
    ) -> Result<End, usize> {
        let outwards = self.entries.get(..=index).unwrap_or(&[]);
        for (place, pair) in outwards.windows(2).enumerate().rev() {
            let [outer, inner] = pair else { return Err(0) };
            if !inner.still_leads_to(outer, memory) {
                return Err(place.wrapping_add(1));
            }
        }
        if self.ended_early {
            self.end_again(rules, memory)
        } else {
            Ok(End::Complete)
        }
    }

    /// Tries the last step of a walk that ended early. If it can be made now, nothing remembered is the answer.
    #[cold]
    #[inline(never)]
    fn end_again(&self, rules: &mut impl Rules, memory: &mut impl Memory) -> Result<End, usize> {
        let last = self.entries.first().ok_or(0usize)?;
        let mut at = Position::new(last.registers());
        match at.rule(rules).and_then(|rule| at.step(rule, memory)) {
            Ok(()) | Err(End::Complete) => Err(0),
            Err(end) => Ok(end),
        }
    }

    /// The rule for a frame, from the memo if the frame's ip is the remembered one.
    fn rule(
        &self,
        known: Option<usize>,
        at: &Position,
        rules: &mut impl Rules,
    ) -> Result<Rule, End> {
        match known.and_then(|index| self.entries.get(index)) {
            Some(entry) if entry.rule != Rule::UNSUPPORTED => Ok(entry.rule),
            _ => at.rule(rules),
        }
    }

    #[inline]
    fn note(&mut self, len: usize, entry: Entry) {
        if let Some(place) = self.fresh.get_mut(len) {
            *place = entry;
        }
    }

    /// Remembers the walk just made: `kept` entries, then the fresh frames outside the first that a signal interrupted (of that
    /// one more is known than a rule for return addresses says). `last` is where the walk stood at its end.
    fn remember(&mut self, kept: usize, len: usize, end: End, last: &Registers) {
        self.len = kept;
        if kept == 0 {
            self.has_ground = false;
            self.ended_early = end != End::Complete;
            if end == End::TooDeep || !self.lay_ground(len, last) {
                return;
            }
        }
        let live_if_last = if self.ended_early { ALL } else { 0 };
        for index in (0..len).rev() {
            let (entries, fresh) = (&mut self.entries, &self.fresh);
            let outer = self
                .len
                .checked_sub(1)
                .and_then(|outer| entries.get(outer))
                .copied();
            let (Some(fresh), Some(place)) = (fresh.get(index), entries.get_mut(self.len)) else {
                self.len = 0;
                return;
            };
            if fresh.exact {
                return;
            }
            *place = *fresh;
            place.link(outer.as_ref(), live_if_last);
            self.len = self.len.wrapping_add(1);
        }
    }

    /// Begins a new memo with the zero return address that ended the walk, if one did. False if nothing can be remembered.
    fn lay_ground(&mut self, len: usize, last: &Registers) -> bool {
        let outermost = len.checked_sub(1).and_then(|index| self.fresh.get(index));
        let (Some(outermost), Some(place)) = (outermost, self.entries.first_mut()) else {
            return false;
        };
        if !self.ended_early && !outermost.exact && !outermost.rule.is_outermost() {
            *place = Entry {
                ip: last.ip,
                sp: last.sp,
                ..Entry::EMPTY
            };
            self.has_ground = true;
            self.len = 1;
        }
        true
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
        let walked = memo.walk(from, &mut world.rules, &mut &world.words, &mut out);
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
        let walked = memo.walk(from, &mut world.rules, &mut read_first_two, &mut out);
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

    /// Check how much stack a walk takes, whatever it meets; a hook's whole budget is 1 KiB on the usual path.
    #[test]
    fn stack_use() {
        extern "C" fn ask(argument: *mut c_void) {
            // SAFETY: the test passes these.
            let (world, memo, out) =
                unsafe { &mut *argument.cast::<(World, Memo<DEPTH>, [Frame; DEPTH])>() };
            let from = Registers::new(1, BASE, [BASE + 48, 0, 0, 0, 0, 0]);
            for change in 0..WORDS {
                memo.walk(from, &mut world.rules, &mut &world.words, out);
                world.words[change] ^= 8;
            }
        }
        let limit = if cfg!(debug_assertions) { 8192 } else { 896 };
        for seed in 0..64 {
            let mut all = Box::new((
                World::new(seed),
                Memo::<DEPTH>::EMPTY,
                [Frame::default(); DEPTH],
            ));
            let used = on_stack(ask, (&raw mut *all).cast());
            assert!(used > 64 && used <= limit, "{used} bytes");
        }
    }
}
