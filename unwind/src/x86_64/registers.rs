//! The registers that a walk carries from frame to frame.
//!
//! The hook fills them in, `rule` steps them. Callee-saved registers are kept as an array, so that sets of them are bit masks
//! of their indices (`rule`, `memo`). Registers that a call may destroy are not kept, but for r10 (see its field).

/// How many callee-saved registers are carried: rbp, rbx, r12, r13, r14, r15, in this order.
pub const SAVED: usize = 6;

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
    /// rbp, rbx, r12, r13, r14, r15.
    pub saved: [u64; SAVED],
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
            r10: 0,
        }
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
