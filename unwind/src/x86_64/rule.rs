//! One rule: how to get from a frame's registers to its caller's. 16 bytes, plain data, applied without a branch too many.
//!
//! `dwarf` makes rules, the shim keeps them in a table of atomics, `walk` and `memo` apply them. Any two words are a rule:
//! what `from_words` does not know is `UNSUPPORTED` when it is applied. A rule never changes memory, and reads it only through
//! [`Memory`]; values read are allegations until the CFA was seen to be above the old stack pointer and 8-aligned.
//!
//! ```text
//! head   offset i32 | extra i8 | from rbp u8 | saved u8 | kind u8          (high to low)
//! slots  6 × 10 bits, signed, in units of 8 bytes: where the saved registers lie, from the CFA or from rbp
//! CFA    = register + offset              kinds RSP .. R10
//!        = [register + offset] + 8*extra  kinds AT_RSP, AT_RBP
//!        = rsp + 8 + (rip & 15 >= extra) * 8   kind PLT
//!        = rbp + 16, if what stands there is a frame   kind FRAME_POINTER
//! ```

use super::registers::{ALL, BP, BX, R12, R13, R14, R15, Registers, SAVED};
use crate::walk::{Memory, Step, WalkError};

/// What a rule's CFA is computed from. The discriminants are what `to_words` shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    Rsp = 1,
    Rbp,
    Rbx,
    R12,
    R13,
    R14,
    R15,
    R10,
    AtRsp,
    AtRbp,
    Plt,
    FramePointer,
    Signal,
    Outermost,
    Unsupported,
}

/// All kinds, by discriminant minus one.
const KINDS: [Kind; 15] = [
    Kind::Rsp,
    Kind::Rbp,
    Kind::Rbx,
    Kind::R12,
    Kind::R13,
    Kind::R14,
    Kind::R15,
    Kind::R10,
    Kind::AtRsp,
    Kind::AtRbp,
    Kind::Plt,
    Kind::FramePointer,
    Kind::Signal,
    Kind::Outermost,
    Kind::Unsupported,
];

/// Bits of one slot, and the mask of one.
const SLOT_BITS: u32 = 10;
/// What is added to a slot so that it is not negative.
const SLOT_BIAS: i64 = 1 << (SLOT_BITS - 1);
/// `ucontext.uc_mcontext.gregs`, as the kernel lays it out (asm/sigcontext.h); a signal frame's stack pointer is `ucontext`.
const GREGS: u64 = 40;
/// Places in `gregs`, in the order of `Registers::saved`: rbp, rbx, r12 .. r15.
const GREGS_SAVED: [u64; SAVED] = [10, 11, 4, 5, 6, 7];
const GREG_R10: u64 = 2;
const GREG_SP: u64 = 15;
const GREG_IP: u64 = 16;

/// How to get from a frame to its caller. Two words of zero are no rule (an empty place in a table), and so `UNSUPPORTED`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Rule {
    head: u64,
    slots: u64,
}

const _: () = assert!(size_of::<Rule>() == 16);

impl Rule {
    /// The function has unwind tables, but they say what no rule can. Not zero: a table may remember it.
    pub const UNSUPPORTED: Rule = Rule::bare(Kind::Unsupported);
    /// The outermost function of its stack.
    pub const OUTERMOST: Rule = Rule::bare(Kind::Outermost);
    /// Code without unwind tables that may keep a frame pointer, as compilers at run time do: the step is made where [`Memory::caller_above`] finds a
    /// frame, and is none else. Such code may have left anything in the other registers: they are 0 in its caller.
    pub const FRAME_POINTER: Rule = Rule {
        head: Kind::FramePointer as u64 | 1 << (8 + BP) | 16 << 32,
        slots: (SLOT_BIAS - 2).cast_unsigned(),
    };
    /// Code that is said to keep a frame pointer: CFA = rbp + 16, the caller's rbp right below the return address; nothing else is asked. What it does with other registers is not known:
    /// they are taken to be its caller's.
    pub const FRAMED: Rule = Rule {
        head: Kind::Rbp as u64 | 1 << (8 + BP) | 16 << 32,
        slots: (SLOT_BIAS - 2).cast_unsigned(),
    };
    /// The kernel's signal frame: the caller's registers are in the ucontext at the stack pointer.
    pub const SIGNAL: Rule = Rule::bare(Kind::Signal);

    const fn bare(kind: Kind) -> Self {
        Rule {
            head: kind as u64,
            slots: 0,
        }
    }

    /// A rule that saves nothing; `extra` as in the picture above.
    pub(super) fn new(kind: Kind, offset: i32, extra: i8) -> Self {
        let offset = u64::from(offset.cast_unsigned()) << 32;
        let extra = u64::from(extra.cast_unsigned()) << 24;
        Rule {
            head: offset | extra | kind as u64,
            slots: 0,
        }
    }

    /// The same rule, with a register saved at CFA (or rbp) + `offset`; `None` if the offset does not fit.
    pub(crate) fn saving(self, index: usize, from_rbp: bool, offset: i64) -> Option<Self> {
        let slot = u64::try_from(offset.checked_div(8)?.checked_add(SLOT_BIAS)?).ok()?;
        if offset % 8 != 0 || slot >> SLOT_BITS != 0 || index >= SAVED {
            return None;
        }
        let mut rule = self;
        rule.head |= 1u64 << (8 + index);
        rule.head |= u64::from(from_rbp) << (16 + index);
        rule.slots |= slot << (SLOT_BITS as usize * index);
        Some(rule)
    }

    /// The rule as two words, to be kept in atomics.
    pub const fn to_words(self) -> [u64; 2] {
        [self.head, self.slots]
    }

    /// The rule that two words stand for. Any words are fine: what they cannot mean is `UNSUPPORTED` when applied, and a torn
    /// pair gives a wrong walk, which the walk's checks bound.
    pub const fn from_words(words: [u64; 2]) -> Self {
        let [head, slots] = words;
        Rule { head, slots }
    }

    #[inline(always)]
    fn kind(self) -> Kind {
        let place = usize::from(self.kind_byte()).wrapping_sub(1);
        KINDS.get(place).copied().unwrap_or(Kind::Unsupported)
    }

    #[inline(always)]
    fn kind_byte(self) -> u8 {
        let [kind, ..] = self.head.to_le_bytes();
        kind
    }

    /// Whether everything is counted from the stack pointer, as in most code.
    #[inline(always)]
    pub(crate) fn is_simple(self) -> bool {
        self.head & 0x00ff_00ff == Kind::Rsp as u64
    }

    /// How far above a frame's stack pointer its caller's is, for a simple rule that goes up the stack by whole words; else 0.
    pub(crate) fn simple_step(self) -> u64 {
        let step = self.offset();
        let goes_up = step.cast_signed() > 0 && step & 7 == 0;
        if self.is_simple() && goes_up { step } else { 0 }
    }

    /// Whether everything is counted from the stack pointer or from the frame pointer, and saved registers from the CFA.
    #[inline(always)]
    pub fn is_usual(self) -> bool {
        self.is_simple() || self.is_framed()
    }

    /// Whether the CFA is counted from the frame pointer, and saved registers from the CFA.
    #[inline(always)]
    pub(crate) fn is_framed(self) -> bool {
        self.head & 0x00ff_00ff == Kind::Rbp as u64
    }

    /// Whether this frame has saved the frame pointer.
    #[inline(always)]
    pub(crate) fn saves_frame_pointer(self) -> bool {
        self.saves() & 1 << BP != 0
    }

    /// Where it has, for a usual rule.
    #[inline(always)]
    pub(crate) fn frame_pointer_slot(self, cfa: u64) -> u64 {
        let biased = self.slots & ((1 << SLOT_BITS) - 1);
        let slot = biased.wrapping_sub(SLOT_BIAS.cast_unsigned());
        cfa.wrapping_add(slot.wrapping_mul(8))
    }

    #[inline(always)]
    fn offset(self) -> u64 {
        let [_, _, _, _, a, b, c, d] = self.head.to_le_bytes();
        i64::from(i32::from_le_bytes([a, b, c, d])).cast_unsigned()
    }

    #[inline(always)]
    fn extra(self) -> i8 {
        let [_, _, _, extra, ..] = self.head.to_le_bytes();
        extra.cast_signed()
    }

    /// The saved registers whose slots are counted from rbp.
    #[inline(always)]
    fn relative(self) -> u8 {
        let [_, _, relative, ..] = self.head.to_le_bytes();
        relative
    }

    /// The callee-saved registers that this frame has saved: a mask over `Registers::saved`.
    #[inline(always)]
    pub(crate) fn saves(self) -> u8 {
        let [_, saves, ..] = self.head.to_le_bytes();
        saves & ((1 << SAVED) - 1)
    }

    /// The callee-saved registers of the caller that do not depend on this frame's, but perhaps on its slots.
    #[inline(always)]
    pub(crate) fn defines(self) -> u8 {
        if self.is_guessed() { ALL } else { self.saves() }
    }

    /// Whether only a frame pointer leads to the caller.
    #[inline(always)]
    fn is_guessed(self) -> bool {
        self.kind_byte() == Kind::FramePointer as u8
    }

    /// The callee-saved registers that must be known to apply the rule.
    #[inline(always)]
    pub(crate) fn uses(self) -> u8 {
        let slots = if self.relative() == 0 { 0 } else { 1 << BP };
        slots
            | match self.kind() {
                Kind::Rbp | Kind::AtRbp | Kind::FramePointer => 1 << BP,
                Kind::Rbx => 1 << BX,
                Kind::R12 => 1 << R12,
                Kind::R13 => 1 << R13,
                Kind::R14 => 1 << R14,
                Kind::R15 => 1 << R15,
                _ => 0,
            }
    }

    /// Whether the caller can be remembered (`memo`): not across a signal, whose frame holds every register.
    #[inline(always)]
    pub(crate) fn is_plain(self) -> bool {
        let plain = Kind::Rsp as u8..=Kind::FramePointer as u8;
        plain.contains(&self.kind_byte())
    }

    /// Whether this is the outermost function of a stack.
    pub(crate) fn is_outermost(self) -> bool {
        self.kind() == Kind::Outermost
    }

    /// Where the slot of a saved register lies; `bp` is the frame's rbp, which matters if `uses` says so.
    #[inline(always)]
    pub(crate) fn slot(self, index: usize, cfa: u64, bp: u64) -> u64 {
        let shift = SLOT_BITS.wrapping_mul(u32::try_from(index).unwrap_or(0));
        let biased = self.slots.wrapping_shr(shift) & ((1 << SLOT_BITS) - 1);
        let slot = biased.wrapping_sub(SLOT_BIAS.cast_unsigned());
        let is_from_rbp =
            u32::from(self.relative()).wrapping_shr(u32::try_from(index).unwrap_or(0)) & 1;
        let base = if is_from_rbp != 0 { bp } else { cfa };
        base.wrapping_add(slot.wrapping_mul(8))
    }

    /// The slot that the CFA is loaded from, for rules that load it. What the rule `uses` is loaded.
    pub(crate) fn cfa_slot(self, registers: &Registers) -> Option<u64> {
        let [bp, ..] = registers.saved;
        match self.kind() {
            Kind::AtRsp => Some(registers.sp.wrapping_add(self.offset())),
            Kind::AtRbp => Some(bp.wrapping_add(self.offset())),
            _ => None,
        }
    }

    /// The value that `cfa_slot` must hold for the CFA to be this one.
    pub(crate) fn cfa_slot_value(self, cfa: u64) -> u64 {
        cfa.wrapping_sub(i64::from(self.extra()).wrapping_mul(8).cast_unsigned())
    }

    #[inline(always)]
    fn cfa(self, registers: &Registers, memory: &mut impl Memory) -> Result<u64, WalkError> {
        let [bp, bx, r12, r13, r14, r15] = registers.saved;
        let base = match self.kind() {
            Kind::Rsp => registers.sp,
            Kind::Rbp => bp,
            Kind::Rbx => bx,
            Kind::R12 => r12,
            Kind::R13 => r13,
            Kind::R14 => r14,
            Kind::R15 => r15,
            Kind::R10 => registers.r10,
            _ => return self.rare_cfa(registers, memory),
        };
        Ok(base.wrapping_add(self.offset()))
    }

    #[cold]
    #[inline(never)]
    fn rare_cfa(self, registers: &Registers, memory: &mut impl Memory) -> Result<u64, WalkError> {
        if let Some(slot) = self.cfa_slot(registers) {
            let value = memory.read(slot).ok_or(WalkError::Unreadable)?;
            return Ok(value.wrapping_add(i64::from(self.extra()).wrapping_mul(8).cast_unsigned()));
        }
        if self.kind() != Kind::Plt {
            return Err(WalkError::Unsupported);
        }
        let is_pushed = (registers.ip & 15) >= u64::from(self.extra().cast_unsigned());
        Ok(registers.sp.wrapping_add(if is_pushed { 16 } else { 8 }))
    }

    /// Turns a frame's registers into its caller's. On an error they are as they were.
    ///
    /// The new stack pointer is above the old one and 8-aligned, except across a signal frame, where the stack may change:
    /// a loop over steps must bound itself. Slots of saved registers are not read here, but by the step that needs them.
    #[inline(always)]
    pub fn step<M: Memory>(
        self,
        registers: &mut Registers,
        memory: &mut M,
    ) -> Result<Step, WalkError> {
        if !self.is_simple() {
            return self.other_step(registers, memory);
        }
        self.step_to(registers.sp.wrapping_add(self.offset()), registers, memory)
    }

    #[inline(never)]
    fn other_step<M: Memory>(
        self,
        registers: &mut Registers,
        memory: &mut M,
    ) -> Result<Step, WalkError> {
        if !self.is_plain() {
            return self.last_step(registers, memory);
        }
        if !registers.load(self.uses(), memory) {
            return Err(WalkError::Unreadable);
        }
        if self.is_guessed() {
            return self.guessed_step(registers, memory);
        }
        let cfa = self.cfa(registers, memory)?;
        self.step_to(cfa, registers, memory)
    }

    #[cold]
    #[inline(never)]
    fn guessed_step<M: Memory>(
        self,
        registers: &mut Registers,
        memory: &mut M,
    ) -> Result<Step, WalkError> {
        let [bp, ..] = registers.saved;
        let caller = memory.caller_above(registers.sp, bp);
        let ip = caller.ok_or(WalkError::NoFrame)?;
        let cfa = bp.wrapping_add(self.offset());
        (registers.ip, registers.sp, registers.r10) = (ip, cfa, 0);
        self.restore_all(cfa, registers);
        Ok(Step::Caller)
    }

    #[inline(always)]
    fn step_to<M: Memory>(
        self,
        cfa: u64,
        registers: &mut Registers,
        memory: &mut M,
    ) -> Result<Step, WalkError> {
        let step = go_to(cfa, registers, memory)?;
        self.restore(cfa, registers);
        Ok(step)
    }

    /// The caller's ip and sp, for a usual rule of a frame that has a caller. `base` is what the CFA is counted from. `None` also for whatever
    /// else is not usual.
    #[inline(always)]
    pub(crate) fn usual_caller(
        self,
        base: u64,
        sp: u64,
        memory: &mut impl Memory,
    ) -> Option<(u64, u64)> {
        let cfa = base.wrapping_add(self.offset());
        if cfa <= sp || cfa & 7 != 0 {
            return None;
        }
        let ip = memory.read(cfa.wrapping_sub(8))?;
        (ip != 0).then_some((ip, cfa))
    }

    /// Notes where the caller's registers lie that this frame has saved.
    #[inline(always)]
    pub(crate) fn restore(self, cfa: u64, registers: &mut Registers) {
        let ([bp, ..], mut left) = (registers.saved, self.saves());
        registers.slots |= left;
        while left != 0 {
            let index = left.trailing_zeros() as usize;
            if let Some(place) = registers.saved.get_mut(index) {
                *place = self.slot(index, cfa, bp);
            }
            left &= left.wrapping_sub(1);
        }
    }

    /// As `restore`, for any rule.
    #[inline(always)]
    pub(crate) fn restore_all(self, cfa: u64, registers: &mut Registers) {
        if self.is_guessed() {
            (registers.saved, registers.slots) = ([0; SAVED], 0);
        }
        self.restore(cfa, registers);
    }

    #[cold]
    #[inline(never)]
    fn last_step<M: Memory>(
        self,
        registers: &mut Registers,
        memory: &mut M,
    ) -> Result<Step, WalkError> {
        match self.kind() {
            Kind::Outermost => Ok(Step::Outermost),
            Kind::Signal => {
                *registers = interrupted(registers.sp, memory).ok_or(WalkError::Unreadable)?;
                Ok(Step::Interrupted)
            }
            _ => Err(WalkError::Unsupported),
        }
    }
}

/// Goes to the caller, whose sp is `cfa`.
#[inline(always)]
fn go_to<M: Memory>(
    cfa: u64,
    registers: &mut Registers,
    memory: &mut M,
) -> Result<Step, WalkError> {
    if cfa <= registers.sp || cfa & 7 != 0 {
        return Err(WalkError::Corrupt);
    }
    let ip = memory
        .read(cfa.wrapping_sub(8))
        .ok_or(WalkError::Unreadable)?;
    (registers.ip, registers.sp, registers.r10) = (ip, cfa, 0);
    Ok(if ip == 0 {
        Step::Outermost
    } else {
        Step::Caller
    })
}

/// The registers that a signal interrupted, from the ucontext at the signal frame's stack pointer.
fn interrupted(ucontext: u64, memory: &mut impl Memory) -> Option<Registers> {
    let mut greg = |place: u64| {
        let offset = GREGS.wrapping_add(place.wrapping_mul(8));
        memory.read(ucontext.wrapping_add(offset))
    };
    let mut saved = [0; SAVED];
    for (value, place) in saved.iter_mut().zip(GREGS_SAVED) {
        *value = greg(place)?;
    }
    Some(Registers {
        ip: greg(GREG_IP)?,
        sp: greg(GREG_SP)?,
        saved,
        slots: 0,
        r10: greg(GREG_R10)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Words;

    const SAVED_IN: [u64; SAVED] = [0x1040, 2, 3, 4, 5, 6];

    fn stepped(rule: Rule, memory: &[(u64, u64)]) -> Result<(Step, Registers), WalkError> {
        let mut registers = Registers::new(0x40_000c, 0x1000, SAVED_IN);
        let step = rule.step(&mut registers, &mut Words::new(memory))?;
        registers.load(u8::MAX, &mut Words::new(memory));
        Ok((step, registers))
    }

    /// Check that a rule on rsp finds the return address and the saved registers, and leaves the others alone.
    #[test]
    fn rsp_with_saves() {
        let rule = Rule::new(Kind::Rsp, 32, 0);
        let rule = rule
            .saving(BX, false, -16)
            .and_then(|rule| rule.saving(R15, false, -4096));
        let memory = [(0x1018, 0x77), (0x1010, 0xb), (0x20, 0xf)];
        let (step, registers) = stepped(rule.unwrap(), &memory).unwrap();
        assert_eq!(step, Step::Caller);
        assert_eq!(
            registers,
            Registers::new(0x77, 0x1020, [0x1040, 0xb, 3, 4, 5, 0xf])
        );
    }

    /// Check that a realigned frame's CFA and registers are found through rbp.
    #[test]
    fn realigned() {
        let rule = Rule::new(Kind::AtRbp, -8, 0).saving(BP, true, 0).unwrap();
        let memory = [(0x1038, 0x2000), (0x1ff8, 0x77), (0x1040, 0xb)];
        let (_, registers) = stepped(rule, &memory).unwrap();
        assert_eq!(
            (registers.ip, registers.sp, registers.saved[BP]),
            (0x77, 0x2000, 0xb)
        );
        assert_eq!(rule.cfa_slot_value(0x2000), 0x2000);
    }

    /// Check that OpenSSL's CFA, loaded from the stack and added to, is found.
    #[test]
    fn loaded_from_rsp() {
        let rule = Rule::new(Kind::AtRsp, 40, 1);
        let (_, registers) = stepped(rule, &[(0x1028, 0x1ff8), (0x1ff8, 0x77)]).unwrap();
        assert_eq!((registers.ip, registers.sp), (0x77, 0x2000));
        assert_eq!(rule.cfa_slot_value(0x2000), 0x1ff8);
    }

    /// Check that a PLT stub has one word more behind its push.
    #[test]
    fn plt() {
        let memory = [(0x1000, 0x11), (0x1008, 0x22)];
        let at = |threshold| {
            stepped(Rule::new(Kind::Plt, 0, threshold), &memory)
                .unwrap()
                .1
        };
        assert_eq!((at(11).ip, at(11).sp), (0x22, 0x1010));
        assert_eq!((at(13).ip, at(13).sp), (0x11, 0x1008));
    }

    /// Check that a frame pointer leads to a caller of which no other register is known, and that one below the stack pointer leads nowhere.
    #[test]
    fn frame_pointer() {
        let memory = [(0x1040, 0xb), (0x1048, 0x77)];
        let (step, registers) = stepped(Rule::FRAME_POINTER, &memory).unwrap();
        assert_eq!(step, Step::Caller);
        assert_eq!(
            registers,
            Registers::new(0x77, 0x1050, [0xb, 0, 0, 0, 0, 0])
        );
        let words = [(0xfe8, 0xb), (0xff0, 0x77), (0x1044, 0xb), (0x104c, 0x77)];
        for bp in [0, 8, 0xfe8, 0x1044, 0x1048, u64::MAX - 7] {
            let mut registers = Registers::new(1, 0x1000, [bp, 2, 3, 4, 5, 6]);
            let step = Rule::FRAME_POINTER.step(&mut registers, &mut Words::new(&words));
            assert_eq!(step, Err(WalkError::NoFrame), "{bp:#x}");
            assert_eq!(registers.saved, [bp, 2, 3, 4, 5, 6]);
        }
    }

    /// Check that each base register is the one that its kind says.
    #[test]
    fn bases() {
        let kinds = [
            Kind::Rbp,
            Kind::Rbx,
            Kind::R12,
            Kind::R13,
            Kind::R14,
            Kind::R15,
        ];
        for (index, kind) in kinds.into_iter().enumerate() {
            let rule = Rule::new(kind, -16, 0);
            assert_eq!(rule.uses(), 1 << index);
            let mut registers = Registers::new(1, 0x1000, [0; SAVED]);
            registers.saved[index] = 0x3010;
            let step = rule.step(&mut registers, &mut Words::new(&[(0x2ff8, 9)]));
            assert_eq!(
                (step, registers.ip, registers.sp),
                (Ok(Step::Caller), 9, 0x3000)
            );
        }
    }

    /// Check that a zero return address ends the stack, as does the outermost rule.
    #[test]
    fn ends() {
        let rule = Rule::new(Kind::Rsp, 8, 0);
        assert_eq!(stepped(rule, &[(0x1000, 0)]).unwrap().0, Step::Outermost);
        assert_eq!(stepped(Rule::OUTERMOST, &[]).unwrap().0, Step::Outermost);
    }

    /// Check that a CFA that is not above, not aligned or not there is refused, and changes nothing.
    #[test]
    fn refusals() {
        let step = |kind, offset| stepped(Rule::new(kind, offset, 0), &[]).map(|_| ());
        assert_eq!(step(Kind::Rsp, 0), Err(WalkError::Corrupt));
        assert_eq!(step(Kind::Rsp, -8), Err(WalkError::Corrupt));
        assert_eq!(step(Kind::Rsp, 12), Err(WalkError::Corrupt));
        assert_eq!(step(Kind::R10, 8), Err(WalkError::Corrupt));
        assert_eq!(step(Kind::Rsp, 8), Err(WalkError::Unreadable));
        assert_eq!(step(Kind::AtRbp, 8), Err(WalkError::Unreadable));
        assert_eq!(step(Kind::Signal, 0), Err(WalkError::Unreadable));
        assert_eq!(step(Kind::Unsupported, 8), Err(WalkError::Unsupported));
    }

    /// Check that slots that ten bits cannot say are refused and that the extremes are kept.
    #[test]
    fn slot_range() {
        let rule = Rule::new(Kind::Rsp, 8, 0);
        for offset in [-4104, 4096, -12, i64::MIN, i64::MAX] {
            assert_eq!(rule.saving(BP, false, offset), None, "{offset}");
        }
        for offset in [-4096i64, -8, 0, 8, 4088] {
            let rule = rule.saving(R15, false, offset).unwrap();
            let slot = rule.slot(R15, 0x10000, 0);
            assert_eq!(slot, 0x10000u64.wrapping_add_signed(offset));
        }
    }

    /// Check that any two words can be applied without a panic, and that words are kept.
    #[test]
    fn any_words() {
        let mut random = crate::testing::Random(7);
        for _ in 0..200_000 {
            let words = [random.next(), random.next()];
            let rule = Rule::from_words(words);
            assert_eq!(rule.to_words(), words);
            let mut registers = Registers::new(random.next(), random.next() & !7, SAVED_IN);
            let _ = rule.step(&mut registers, &mut |address: u64| Some(address & !7));
            let _ = (rule.uses(), rule.saves(), rule.cfa_slot(&registers));
        }
        assert_eq!(
            stepped(Rule::from_words([0, 0]), &[]),
            Err(WalkError::Unsupported)
        );
    }
}
