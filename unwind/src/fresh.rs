//! A walk on its way: where it stands, and the frames that it has written and that the `chain` does not have.
//!
//! `memo` drives it. Two forms: [`Inner`] has come through usual frames only and fits into registers; [`Fresh`] takes any step. It deliberately
//! knows nothing of what is remembered.

use crate::arch::{ALL, Registers, Rule};
use crate::entry::Entry;
use crate::walk::{End, Memory, Position};

/// Where a walk stands that has come through usual frames only, and has written `len` of them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Inner {
    pub(crate) ip: u64,
    pub(crate) sp: u64,
    /// The frame pointer, where it is known.
    pub(crate) bp: Option<u64>,
    pub(crate) len: usize,
    /// Remembered frames that are not inside of it.
    pub(crate) candidates: usize,
}

impl Inner {
    /// Writes the frame where the walk stands, and steps out of it, if its rule is usual, and all that it needs is known. Else nothing has happened.
    #[inline(always)]
    pub(crate) fn step(
        &mut self,
        rule: Rule,
        place: &mut Entry,
        memory: &mut impl Memory,
    ) -> Option<()> {
        let (ip, sp, is_simple) = (self.ip, self.sp, rule.is_simple());
        let base = match self.bp {
            _ if is_simple => sp,
            Some(bp) if rule.is_framed() => bp,
            _ => return None,
        };
        let (caller, cfa) = rule.usual_caller(base, sp, memory)?;
        if is_simple {
            place.fill_simple(ip, sp, rule);
            self.bp = self.bp.filter(|_| !rule.saves_frame_pointer());
        } else {
            place.fill_framed(ip, sp, rule, base);
            if rule.saves_frame_pointer() {
                self.bp = memory.read(rule.frame_pointer_slot(cfa));
            }
        }
        (self.ip, self.sp, self.len) = (caller, cfa, self.len.wrapping_add(1));
        Some(())
    }
}

/// The frames of a walk that are not in the chain: the first `len` of what it writes.
#[derive(Debug)]
pub(crate) struct Fresh {
    /// Where the walk stands. Its registers are those of the frame at `restored`, but for ip and sp.
    pub(crate) position: Position,
    /// The frame pointer where the walk stands, where it is known at once.
    pub(crate) bp: Option<u64>,
    pub(crate) len: usize,
    restored: usize,
    /// The first frame outside of the last that a signal interrupted: of that one more is known than a rule for return addresses says.
    pub(crate) plain: usize,
}

impl Fresh {
    #[inline(always)]
    pub(crate) fn new(registers: Registers) -> Self {
        Fresh {
            position: Position::new(registers),
            bp: None,
            len: 0,
            restored: 0,
            plain: 0,
        }
    }

    /// The frame pointer where the walk stands, if it is known.
    #[inline(always)]
    pub(crate) fn frame_pointer(&mut self, memory: &mut impl Memory) -> Option<u64> {
        let is_known = self.restored == self.len;
        let registers = Some(&mut self.position.registers).filter(|_| is_known);
        registers.and_then(|registers| registers.frame_pointer(memory))
    }

    /// Takes the walk to where usual frames have led.
    #[inline(always)]
    pub(crate) fn go_to(&mut self, at: &Inner) {
        self.bp = at.bp;
        if at.len != self.len {
            let registers = &mut self.position.registers;
            (registers.ip, registers.sp, registers.r10) = (at.ip, at.sp, 0);
            self.len = at.len;
        }
    }

    /// As `other_step`, but only where it is usual. Else nothing has happened.
    #[inline(always)]
    pub(crate) fn usual_step(
        &mut self,
        rule: Rule,
        out: &mut [Entry],
        memory: &mut impl Memory,
    ) -> Option<()> {
        let place = out.get_mut(self.len).filter(|_| !self.position.exact)?;
        let mut at = Inner {
            ip: self.position.registers.ip,
            sp: self.position.registers.sp,
            bp: self.bp,
            len: self.len,
            candidates: 0,
        };
        at.step(rule, place, memory)?;
        self.go_to(&at);
        Some(())
    }

    /// Writes the frame where the walk stands, and steps out of it.
    #[inline(never)]
    pub(crate) fn other_step(
        &mut self,
        rule: Rule,
        is_last: bool,
        out: &mut [Entry],
        memory: &mut impl Memory,
    ) -> Result<(), End> {
        self.restore(out);
        self.bp = None;
        note(
            out.get_mut(self.len),
            &mut self.position,
            rule,
            is_last,
            memory,
        );
        self.len = self.len.wrapping_add(1);
        if self.position.exact {
            self.plain = self.len;
        }
        self.position.step(rule, memory)?;
        self.restored = self.len;
        Ok(())
    }

    /// Takes the registers from the frame at `restored` to the one where the walk stands.
    #[inline]
    pub(crate) fn restore(&mut self, out: &[Entry]) {
        if self.restored != self.len {
            self.restore_from(out);
        }
    }

    #[inline(never)]
    fn restore_from(&mut self, out: &[Entry]) {
        let passed = out.get(self.restored..self.len).unwrap_or(&[]);
        let outer = passed.iter().skip(1).map(|entry| entry.sp);
        let sps = outer.chain(core::iter::once(self.position.registers.sp));
        for (entry, cfa) in passed.iter().zip(sps) {
            entry.restore(cfa, &mut self.position.registers);
        }
        self.restored = self.len;
    }

    /// Writes the frame where the walk stands, which is its last one.
    #[cold]
    #[inline(never)]
    pub(crate) fn note_last(&mut self, rule: Rule, out: &mut [Entry], memory: &mut impl Memory) {
        self.restore(out);
        note_last(out.get_mut(self.len), &mut self.position, rule, memory);
        self.len = self.len.wrapping_add(1);
        if self.position.exact {
            self.plain = self.len;
        }
    }

    /// The frame that was written last, where the walk still stands, is the last one.
    #[cold]
    #[inline(never)]
    pub(crate) fn renote_last(&mut self, rule: Rule, out: &mut [Entry], memory: &mut impl Memory) {
        self.len = self.len.wrapping_sub(1);
        self.note_last(rule, out, memory);
    }
}

/// Writes a frame with the registers that its rule uses; where the chain may have to end with it, with all.
#[inline(never)]
pub(crate) fn note(
    place: Option<&mut Entry>,
    at: &mut Position,
    rule: Rule,
    is_last: bool,
    memory: &mut impl Memory,
) {
    if is_last || !rule.is_plain() {
        return note_last(place, at, rule, memory);
    }
    let is_loaded = at.registers.load(rule.uses(), memory);
    if let Some(place) = place {
        place.fill(at, rule, if is_loaded { rule.uses() } else { 0 });
    }
}

/// Writes a frame at which the chain may have to end, with all registers; with those that its rule uses if not all can be loaded.
#[cold]
#[inline(never)]
pub(crate) fn note_last(
    place: Option<&mut Entry>,
    at: &mut Position,
    rule: Rule,
    memory: &mut impl Memory,
) {
    let loaded = [ALL, rule.uses()]
        .into_iter()
        .find(|&wanted| at.registers.load(wanted, memory));
    if let Some(place) = place {
        place.fill(at, rule, loaded.unwrap_or(0));
    }
}
