//! One remembered frame: what the walk knew there, and what must still hold for it to lead to the same caller.
//!
//! `chain` keeps them in a row, `memo` fills them in. What must be compared, and why that is enough, is said in `memo`. It
//! deliberately knows only its direct caller, and that only while the two are linked.

use crate::arch::{Registers, Rule, SAVED};
use crate::walk::{Frame, Memory, Position};

/// The set of all callee-saved registers.
pub(crate) const ALL: u8 = (1 << SAVED) - 1;

/// A frame of a remembered walk. `live` to `bp_slot` are only meaningful once it is linked to its caller.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(crate) struct Entry {
    pub(crate) ip: u64,
    pub(crate) sp: u64,
    pub(crate) rule: Rule,
    pub(crate) exact: bool,
    /// Registers whose values are in `saved`: those that the rule uses, and once it is linked those that are live.
    known: u8,
    live: u8,
    /// Registers of the caller that must be compared with their slots, and `CFA` where the slot that it is loaded from must be.
    compared: u8,
    /// Where the caller's frame pointer is compared, if it is.
    bp_slot: u64,
    saved: [u64; SAVED],
}

const BP: u8 = 1;
/// No register's bit.
const CFA: u8 = 1 << 7;

impl Entry {
    pub(crate) const EMPTY: Entry = Entry {
        ip: 0,
        sp: 0,
        rule: Rule::UNSUPPORTED,
        exact: false,
        known: 0,
        live: 0,
        compared: 0,
        bp_slot: 0,
        saved: [0; SAVED],
    };

    /// Makes this the frame where a walk stands, not yet linked to its caller. `known` are registers that the walk has loaded.
    #[inline(always)]
    pub(crate) fn fill(&mut self, at: &Position, rule: Rule, known: u8) {
        (self.ip, self.sp) = (at.registers.ip, at.registers.sp);
        (self.exact, self.rule, self.known) = (at.exact, rule, known);
        if known != 0 {
            self.saved = at.registers.saved;
        }
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

    pub(crate) fn frame(&self) -> Frame {
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

    /// Whether a walk that stands here goes on as the remembered one did, as far as registers say.
    #[inline(always)]
    pub(crate) fn agrees(&self, registers: &mut Registers, memory: &mut impl Memory) -> bool {
        self.live == 0 || registers.load(self.live, memory) && self.has(registers)
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
        let kept = outer.live & !saves;
        (self.live, self.compared) = (uses | kept, outer.live & saves);
        // What the frame does not save is the same on both sides of it.
        for (index, (ours, theirs)) in self.saved.iter_mut().zip(outer.saved).enumerate() {
            if kept & !uses & (1 << index) != 0 {
                *ours = theirs;
            }
        }
        self.known = self.live;
        let [bp, ..] = self.saved;
        self.bp_slot = self.rule.slot(0, outer.sp, bp);
        if self.rule.cfa_slot(&self.registers()).is_some() {
            self.compared |= CFA;
        }
    }

    /// Whether memory still says that `outer` is the caller, its live registers included.
    #[inline(always)]
    pub(crate) fn still_leads_to(&self, outer: &Entry, memory: &mut impl Memory) -> bool {
        if self.compared == 0 {
            return memory.read(outer.sp.wrapping_sub(8)) == Some(outer.ip);
        }
        self.more_leads_to(outer, memory)
    }

    #[cold]
    #[inline(never)]
    fn cfa_is(&self, cfa: u64, memory: &mut impl Memory) -> bool {
        let slot = self.rule.cfa_slot(&self.registers());
        slot.and_then(|slot| memory.read(slot)) == Some(self.rule.cfa_slot_value(cfa))
    }

    #[inline(always)]
    fn more_leads_to(&self, outer: &Entry, memory: &mut impl Memory) -> bool {
        let [bp, ..] = outer.saved;
        (self.compared & CFA == 0 || self.cfa_is(outer.sp, memory))
            && memory.read(outer.sp.wrapping_sub(8)) == Some(outer.ip)
            && (self.compared & BP == 0 || memory.read(self.bp_slot) == Some(bp))
            && (self.compared & !(BP | CFA) == 0 || self.others_are(outer, memory))
    }

    #[inline(never)]
    fn others_are(&self, outer: &Entry, memory: &mut impl Memory) -> bool {
        let [bp, ..] = self.saved;
        outer
            .saved
            .iter()
            .enumerate()
            .skip(1)
            .all(|(index, value)| {
                let is_compared = self.compared & (1 << index) != 0;
                !is_compared || memory.read(self.rule.slot(index, outer.sp, bp)) == Some(*value)
            })
    }
}
