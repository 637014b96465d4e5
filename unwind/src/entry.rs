//! One frame: what the walk knew there, and what must still hold for it to lead to the same caller.
//!
//! `chain` keeps them in a row, `memo` fills them in. What must be compared, and why that is enough, is said in `memo`. It
//! deliberately knows only its direct caller, and that only while the two are linked.

use crate::arch::{ALL, Registers, Rule, SAVED};
use crate::recent::Known;
use crate::usual::Simple;
use crate::walk::{Frame, Memory, Position};
use crate::words::{Word, Words};

/// A frame of a walk: what a walk writes, and what a memo keeps of it. `live` to `odd` are only meaningful once it is linked to its caller.
/// Zeros are a valid one.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Entry {
    pub(crate) ip: u64,
    pub(crate) sp: u64,
    pub(crate) rule: Rule,
    pub(crate) exact: bool,
    /// Registers whose values are in `saved`: those that the rule uses, and once it is linked those that are live.
    known: u8,
    live: u8,
    /// Registers of the caller that must be compared with their slots, and `CFA` where the slot that it is loaded from must be.
    compared: u8,
    /// How many of the chain's words lie at and outside of this frame's.
    pub(crate) words: u32,
    /// The nearest frame from here outwards that is not compared by words, plus one; 0 if there is none.
    pub(crate) odd: u32,
    saved: [u64; SAVED],
}

/// A frame in which no register is live but perhaps the frame pointer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usual {
    pub(crate) ip: u64,
    pub(crate) sp: u64,
    /// Its frame pointer, if that is live.
    pub(crate) bp: u64,
    pub(crate) is_live: bool,
}

/// rbp's bit.
const BP: u8 = 1;
/// No register's bit.
const CFA: u8 = 1 << 7;

impl Entry {
    /// No frame: for places that a walk is to write.
    pub const EMPTY: Entry = Entry {
        ip: 0,
        sp: 0,
        rule: Rule::UNSUPPORTED,
        exact: false,
        known: 0,
        live: 0,
        compared: 0,
        words: 0,
        odd: 0,
        saved: [0; SAVED],
    };

    /// The frame's address: a return address, or after a signal frame the interrupted instruction.
    #[inline(always)]
    pub fn address(&self) -> u64 {
        self.ip
    }

    /// The frame's stack pointer: above the slot that held the return address.
    #[inline(always)]
    pub fn sp(&self) -> u64 {
        self.sp
    }

    /// Whether `address` is the interrupted instruction itself, and not one past a call.
    #[inline(always)]
    pub fn is_exact(&self) -> bool {
        self.exact
    }

    /// Makes this the frame where a walk stands, not yet linked to its caller. `known` are registers that the walk has loaded.
    #[inline(always)]
    pub(crate) fn fill(&mut self, at: &Position, rule: Rule, known: u8) {
        (self.ip, self.sp) = (at.registers.ip, at.registers.sp);
        (self.exact, self.rule, self.known) = (at.exact, rule, known);
        if known != 0 {
            self.saved = at.registers.saved;
        }
    }

    /// Makes this a frame whose rule is simple, not yet linked to its caller.
    #[inline(always)]
    pub(crate) fn fill_simple(&mut self, ip: u64, sp: u64, rule: Rule) {
        (self.ip, self.sp, self.rule) = (ip, sp, rule);
        (self.exact, self.known) = (false, 0);
    }

    /// Makes this a frame whose CFA is counted from its frame pointer `bp`, not yet linked to its caller.
    #[inline(always)]
    pub(crate) fn fill_framed(&mut self, ip: u64, sp: u64, rule: Rule, bp: u64) {
        (self.ip, self.sp, self.rule) = (ip, sp, rule);
        (self.exact, self.known) = (false, BP);
        let [place, ..] = &mut self.saved;
        *place = bp;
    }

    /// As `link_usual`, for a frame whose rule is simple, a caller in which nothing is live, and where every frame outwards is compared by words.
    #[inline(always)]
    pub(crate) fn set_simple(&mut self, from: &Simple, words: u32) {
        (self.ip, self.sp, self.rule) = (from.ip, from.sp, from.rule);
        (self.exact, self.known, self.live, self.compared) = (false, 0, 0, 0);
        (self.words, self.odd) = (words, 0);
    }

    /// What `link` needs to know of the caller of a usual frame; `None` where more than the frame pointer is live.
    #[inline(always)]
    pub(crate) fn usual(&self) -> Option<Usual> {
        let [bp, ..] = self.saved;
        (self.live & !BP == 0).then_some(Usual {
            ip: self.ip,
            sp: self.sp,
            bp,
            is_live: self.live != 0,
        })
    }

    /// Does to a usual frame what `copy_filled`, `link` and `note_words` do; the words are pushed already. Returns what the frame inside of it needs
    /// to know.
    #[inline(always)]
    pub(crate) fn link_usual(
        &mut self,
        from: &Entry,
        outer: Usual,
        (words, odd): (u32, u32),
    ) -> Usual {
        let ([ours, ..], rule) = (from.saved, from.rule);
        let is_kept = outer.is_live && !rule.saves_frame_pointer();
        let is_live = rule.is_framed() || is_kept;
        let bp = if rule.is_framed() { ours } else { outer.bp };
        let (live, compared) = (
            BP * u8::from(is_live),
            BP * u8::from(outer.is_live && !is_kept),
        );
        (self.ip, self.sp, self.rule) = (from.ip, from.sp, rule);
        (self.exact, self.known, self.live, self.compared) = (false, live, live, compared);
        (self.words, self.odd) = (words, odd);
        let [place, ..] = &mut self.saved;
        *place = bp;
        Usual {
            ip: from.ip,
            sp: from.sp,
            bp,
            is_live,
        }
    }

    /// Whether a frame that runs on where `known` says, with the stack pointer and the live registers of this one, leads to its caller just as this
    /// one does. `is_free` says that no register is live in the caller. (The procedure linkage table's rule is left out: it asks for the ip itself.)
    #[inline(always)]
    pub(crate) fn could_run(&self, known: &Known, is_free: bool) -> bool {
        match known.rule == self.rule {
            true => known.rule.is_usual(),
            false => {
                is_free
                    && self.live == 0
                    && known.step != 0
                    && known.step == self.rule.simple_step()
            }
        }
    }

    /// The same frame runs on elsewhere, as `could_run` has found.
    #[inline(always)]
    pub(crate) fn run_on(&mut self, ip: u64, rule: Rule) {
        (self.ip, self.rule) = (ip, rule);
    }

    /// Whether no register is live.
    #[inline(always)]
    pub(crate) fn is_free(&self) -> bool {
        self.live == 0
    }

    /// Takes over what `fill` has noted in another.
    #[inline(always)]
    pub(crate) fn copy_filled(&mut self, from: &Entry) {
        (self.ip, self.sp) = (from.ip, from.sp);
        (self.exact, self.rule, self.known) = (from.exact, from.rule, from.known);
        if from.known != 0 {
            self.saved = from.saved;
        }
    }

    /// The place of the zero return address that ended a walk.
    pub(crate) fn ground(last: &Registers) -> Self {
        Entry {
            ip: last.ip,
            sp: last.sp,
            ..Entry::EMPTY
        }
    }

    /// Where its return address stands, and which it is.
    pub(crate) fn slot(&self) -> Word {
        Word::new(self.sp.wrapping_sub(8), self.ip)
    }

    /// What others may know of it.
    #[inline]
    pub fn frame(&self) -> Frame {
        Frame {
            address: self.ip,
            sp: self.sp,
            exact: self.exact,
        }
    }

    /// Whether a walk that was cut off here could go on.
    pub(crate) fn is_whole(&self) -> bool {
        self.known == ALL
    }

    /// All registers, where it is whole; else those that the rule uses.
    pub(crate) fn registers(&self) -> Registers {
        Registers::new(self.ip, self.sp, self.saved)
    }

    /// The frame pointer, if it is live.
    #[inline(always)]
    pub(crate) fn live_frame_pointer(&self) -> Option<u64> {
        let [bp, ..] = self.saved;
        (self.live & BP != 0).then_some(bp)
    }

    /// As `agrees`, for a walk of which the frame pointer is known, if any register.
    #[inline(always)]
    pub(crate) fn agrees_usually(&self, bp: Option<u64>) -> bool {
        let [ours, ..] = self.saved;
        self.live == 0 || self.live == BP && bp == Some(ours)
    }

    /// Whether a walk that stands here goes on as the remembered one did, as far as registers say.
    #[inline(never)]
    pub(crate) fn agrees(&self, registers: &mut Registers, memory: &mut impl Memory) -> bool {
        registers.load(self.live, memory) && self.has(registers)
    }

    /// Takes a walk's registers out of this frame, which is one of the walk's, to its caller, whose sp is `cfa`.
    #[inline(always)]
    pub(crate) fn restore(&self, cfa: u64, registers: &mut Registers) {
        if !self.rule.is_simple() {
            registers.set(self.rule.uses(), &self.saved);
        }
        self.rule.restore_all(cfa, registers);
    }

    fn has(&self, registers: &Registers) -> bool {
        let pairs = self.saved.iter().zip(registers.saved);
        (0..)
            .zip(pairs)
            .all(|(index, (ours, theirs))| *ours == theirs || self.live & (1 << index) == 0)
    }

    /// Notes what must be compared for `outer` to be the caller; `None` if none is known: then it is whole, or nothing is live.
    #[inline(always)]
    pub(crate) fn link(&mut self, outer: Option<&Entry>, live_if_outermost: u8) {
        let live = outer.map_or(live_if_outermost, |outer| outer.live);
        if live == 0 && self.rule.is_simple() {
            (self.live, self.compared) = (0, 0);
            return;
        }
        match outer {
            Some(outer) => self.link_live(outer),
            None => self.live = live,
        }
    }

    fn link_live(&mut self, outer: &Entry) {
        let (uses, saves) = (self.rule.uses(), self.rule.saves());
        let kept = outer.live & !self.rule.defines();
        (self.live, self.compared) = (uses | kept, outer.live & saves);
        // What the frame does not save is the same on both sides of it.
        if kept & !uses != 0 {
            self.take_over(kept & !uses, &outer.saved);
        }
        self.known = self.live;
        if self.rule.cfa_slot(&self.registers()).is_some() {
            self.compared |= CFA;
        }
    }

    #[inline(never)]
    fn take_over(&mut self, registers: u8, values: &[u64; SAVED]) {
        for (index, (ours, theirs)) in self.saved.iter_mut().zip(values).enumerate() {
            if registers & (1 << index) != 0 {
                *ours = *theirs;
            }
        }
    }

    /// Notes what this frame, the chain's at `index`, is compared by, inside of all words that are there.
    #[inline(always)]
    pub(crate) fn note_words<const N: usize>(
        &mut self,
        outer: Option<&Entry>,
        index: usize,
        words: &mut Words<N>,
    ) {
        self.odd = outer.map_or(0, |outer| outer.odd);
        if outer.is_some_and(|outer| !self.push(outer, words)) {
            self.odd = u32::try_from(index).unwrap_or(0).wrapping_add(1);
        }
        self.words = u32::try_from(words.len()).unwrap_or(0);
    }

    /// Adds the words by which this frame is found to lead to `outer`. False where it is compared otherwise.
    #[inline(always)]
    fn push<const N: usize>(&self, outer: &Entry, words: &mut Words<N>) -> bool {
        if self.compared != 0 {
            return self.push_more(outer, words);
        }
        words.push(outer.sp.wrapping_sub(8), outer.ip)
    }

    #[inline(never)]
    fn push_more<const N: usize>(&self, outer: &Entry, words: &mut Words<N>) -> bool {
        let ([ours, ..], [theirs, ..]) = (self.saved, outer.saved);
        let slot = self.rule.slot(0, outer.sp, ours);
        let len = words.len();
        let is_all = self.compared == BP
            && words.push(outer.sp.wrapping_sub(8), outer.ip)
            && words.push(slot, theirs);
        if !is_all {
            words.truncate(len);
        }
        is_all
    }

    /// Whether memory still says that `outer` is the caller, its live registers included: for frames whose words are not in a row.
    #[cold]
    #[inline(never)]
    pub(crate) fn still_leads_to(&self, outer: &Entry, memory: &mut impl Memory) -> bool {
        (self.compared & CFA == 0 || self.cfa_is(outer.sp, memory))
            && memory.read(outer.sp.wrapping_sub(8)) == Some(outer.ip)
            && (self.compared & !CFA == 0 || self.registers_are(outer, memory))
    }

    fn cfa_is(&self, cfa: u64, memory: &mut impl Memory) -> bool {
        let slot = self.rule.cfa_slot(&self.registers());
        slot.and_then(|slot| memory.read(slot)) == Some(self.rule.cfa_slot_value(cfa))
    }

    fn registers_are(&self, outer: &Entry, memory: &mut impl Memory) -> bool {
        let [bp, ..] = self.saved;
        outer.saved.iter().enumerate().all(|(index, value)| {
            let is_compared = self.compared & (1 << index) != 0;
            !is_compared || memory.read(self.rule.slot(index, outer.sp, bp)) == Some(*value)
        })
    }
}
