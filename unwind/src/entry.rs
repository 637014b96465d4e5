//! One remembered frame: what the walk knew there, and what must still hold for it to lead to the same caller.
//!
//! `chain` keeps them in a row, `memo` fills them in. What must be compared, and why that is enough, is said in `memo`. It
//! deliberately knows only its direct caller, and that only while the two are linked.

use crate::arch::{Registers, Rule, SAVED};
use crate::walk::{Frame, Memory, Position};

/// A frame of a remembered walk. `bp_slot` to `loads_cfa` are only meaningful once it is linked to its caller.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(crate) struct Entry {
    pub(crate) ip: u64,
    pub(crate) sp: u64,
    /// Where the caller's first saved register (the frame pointer) is compared; 0 if it is not.
    bp_slot: u64,
    live: u8,
    /// Other registers of the caller that must be compared with their slots.
    others: u8,
    loads_cfa: bool,
    pub(crate) exact: bool,
    pub(crate) rule: Rule,
    saved: [u64; SAVED],
}

impl Entry {
    pub(crate) const EMPTY: Entry = Entry {
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

    /// Makes this the frame where a walk stands, not yet linked to its caller.
    #[inline]
    pub(crate) fn fill(&mut self, at: &Position, rule: Rule) {
        (self.ip, self.sp) = (at.registers.ip, at.registers.sp);
        (self.exact, self.rule) = (at.exact, rule);
        self.saved = at.registers.saved;
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

    pub(crate) fn registers(&self) -> Registers {
        Registers::new(self.ip, self.sp, self.saved)
    }

    /// Whether a walk that stands here goes on as the remembered one did, as far as registers say.
    pub(crate) fn agrees(&self, registers: &Registers) -> bool {
        let pairs = self.saved.iter().zip(registers.saved);
        self.live == 0
            || (0..)
                .zip(pairs)
                .all(|(index, (ours, theirs))| *ours == theirs || self.live & (1 << index) == 0)
    }

    /// Notes what must be compared for `outer` to be the caller; `None` if none is known.
    pub(crate) fn link(&mut self, outer: Option<&Entry>, live_if_outermost: u8) {
        let Some(outer) = outer else {
            self.live = live_if_outermost;
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
    pub(crate) fn still_leads_to(&self, outer: &Entry, memory: &mut impl Memory) -> bool {
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
