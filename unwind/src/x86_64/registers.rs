//! The registers that a walk carries from frame to frame.
//!
//! The hook fills them in, `rule` steps them. Callee-saved registers are kept as an array, so that sets of them are bit masks
//! of their indices (`rule`, `memo`). Registers that a call may destroy are not kept, but for r10 (see its field).
//!
//! Most frames are found without them, so a step only notes *where* a frame has saved a register; the word is loaded when a rule
//! asks for it. A walk through code that keeps no frame pointers so reads the return addresses and nothing else.

use crate::walk::Memory;

/// How many callee-saved registers are carried: rbp, rbx, r12, r13, r14, r15, in this order.
pub const SAVED: usize = 6;

/// The set of all of them.
pub(crate) const ALL: u8 = (1 << SAVED) - 1;

/// The place of rbp in [`Registers::saved`], and of its bit in a mask.
pub(super) const BP: usize = 0;
/// The place of rbx.
pub(super) const BX: usize = 1;
/// The place of r12.
pub(super) const R12: usize = 2;
/// The place of r13.
pub(super) const R13: usize = 3;
/// The place of r14.
pub(super) const R14: usize = 4;
/// The place of r15.
pub(super) const R15: usize = 5;

/// A frame's registers, as far as its callers can be found from them. Any value is fine in any field: they are allegations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Registers {
    /// Where the frame runs on: a return address, or after a signal frame the interrupted instruction.
    pub ip: u64,
    /// The stack pointer as it is when `ip` runs: for the caller of a hook, the address above its return address.
    pub sp: u64,
    /// rbp, rbx, r12, r13, r14, r15: each its value, or the address of the slot that holds it.
    pub(crate) saved: [u64; SAVED],
    /// Those of `saved` that are slots.
    pub(crate) slots: u8,
    /// Known only in a frame that a signal interrupted (realigned functions begin with CFA = r10); 0 elsewhere, which makes a
    /// rule that asks for it fail as corrupt.
    pub r10: u64,
}

impl Registers {
    /// The registers of a hook's caller. `saved` is rbp, rbx, r12, r13, r14, r15.
    pub const fn new(ip: u64, sp: u64, saved: [u64; SAVED]) -> Self {
        Registers {
            ip,
            sp,
            saved,
            slots: 0,
            r10: 0,
        }
    }

    /// The frame pointer, loaded if need be; `None` where its slot may not be read.
    #[inline(always)]
    pub(crate) fn frame_pointer(&mut self, memory: &mut impl Memory) -> Option<u64> {
        let is_loaded = self.load(1 << BP, memory);
        let [bp, ..] = self.saved;
        is_loaded.then_some(bp)
    }

    /// Loads the registers of a mask that still lie in their slots. False where a slot may not be read; what was loaded stays.
    #[inline(always)]
    pub(crate) fn load(&mut self, wanted: u8, memory: &mut impl Memory) -> bool {
        self.slots & wanted == 0 || self.load_slots(wanted, memory)
    }

    /// The registers that survive a call; `None` where the slot of one may not be read.
    pub(crate) fn values(mut self, memory: &mut impl Memory) -> Option<[u64; SAVED]> {
        self.load(ALL, memory).then_some(self.saved)
    }

    /// Sets the registers of a mask to values that are known.
    pub(crate) fn set(&mut self, known: u8, values: &[u64; SAVED]) {
        for (index, (place, value)) in self.saved.iter_mut().zip(values).enumerate() {
            if known & (1 << index) != 0 {
                *place = *value;
            }
        }
        self.slots &= !known;
    }

    fn load_slots(&mut self, wanted: u8, memory: &mut impl Memory) -> bool {
        let places = (0..SAVED).zip(&mut self.saved);
        for (index, place) in places.filter(|(index, _)| wanted & (1 << index) != 0) {
            if self.slots & (1 << index) == 0 {
                continue;
            }
            let Some(value) = memory.read(*place) else {
                return false;
            };
            *place = value;
            self.slots &= !(1 << index);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Check that the array's places are all there and distinct: masks are built from them.
    #[test]
    fn places_are_a_permutation() {
        let mut places = [BP, BX, R12, R13, R14, R15];
        places.sort_unstable();
        assert_eq!(places, [0, 1, 2, 3, 4, 5]);
        assert_eq!(places.len(), SAVED);
    }
}
