//! One row of an unwind table: where the CFA and the registers of interest are, at one address.
//!
//! `compile` computes it from call frame instructions, `arch::rule_of_row` makes a rule of it. It is a small fraction of
//! gimli's own row (which has room for 192 registers, and would need 25 KiB of context): small enough to live on a hook's
//! stack. What a row cannot say is kept as `Unknown`, and matters only if it is still there at the address asked for.

use crate::arch::{RETURN_ADDRESS, SAVED, STACK_POINTER, saved_index};

/// How the CFA is computed. Registers are DWARF numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cfa {
    /// `register + offset`.
    Register { register: u16, offset: i32 },
    /// `[register + offset] + add`.
    Loaded {
        register: u16,
        offset: i32,
        add: i32,
    },
    /// The lazy binding stub of a procedure linkage table: one word more is pushed from `threshold` bytes into an entry.
    Plt { threshold: u8 },
    /// Anything else.
    Unknown,
}

/// Where a register's value in the caller is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Still in the register.
    Same,
    /// Nowhere. For the return address: there is no caller.
    Undefined,
    /// In memory at CFA + offset.
    FromCfa(i32),
    /// In memory at `register + offset`.
    FromRegister { register: u16, offset: i32 },
    /// Anything else.
    Unknown,
}

impl Place {
    /// At CFA + offset, if the offset is of a size that stacks have.
    pub(crate) fn from_cfa(offset: i64) -> Self {
        i32::try_from(offset).map_or(Place::Unknown, Place::FromCfa)
    }
}

/// The row. Registers that no walk needs are left out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    pub(crate) cfa: Cfa,
    pub(crate) return_address: Place,
    /// Normally `Same`: the caller's stack pointer is the CFA.
    pub(crate) stack_pointer: Place,
    pub(crate) saved: [Place; SAVED],
}

impl Row {
    /// What holds before the first instruction.
    pub(crate) const EMPTY: Row = Row {
        cfa: Cfa::Unknown,
        return_address: Place::Same,
        stack_pointer: Place::Same,
        saved: [Place::Same; SAVED],
    };

    /// The place of a register, by its DWARF number, if a walk needs it.
    pub(crate) fn place(&self, register: u16) -> Option<Place> {
        match register {
            RETURN_ADDRESS => Some(self.return_address),
            STACK_POINTER => Some(self.stack_pointer),
            _ => self.saved.get(saved_index(register)?).copied(),
        }
    }

    /// Says where a register is; registers that no walk needs are ignored.
    pub(crate) fn set(&mut self, register: u16, place: Place) {
        let slot = match register {
            RETURN_ADDRESS => Some(&mut self.return_address),
            STACK_POINTER => Some(&mut self.stack_pointer),
            _ => saved_index(register).and_then(|index| self.saved.get_mut(index)),
        };
        if let Some(slot) = slot {
            *slot = place;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Check that what is set is what is read, and that xmm registers are ignored.
    #[test]
    fn set_and_place() {
        let mut row = Row::EMPTY;
        for register in [RETURN_ADDRESS, STACK_POINTER, 3, 6, 12, 15] {
            assert_eq!(row.place(register), Some(Place::Same));
            row.set(register, Place::FromCfa(-16));
            assert_eq!(row.place(register), Some(Place::FromCfa(-16)));
        }
        row.set(17, Place::Undefined);
        assert_eq!(row.place(17), None);
    }

    /// Check that eight rows, what `compile` holds at once, are below 1 KiB.
    #[test]
    fn rows_are_small() {
        assert!(size_of::<Row>() * 8 <= 1024, "{}", size_of::<Row>());
    }
}
