//! Runs a function's call frame instructions up to one address: the row there.
//!
//! Called by `section` once per address that is new to the shim's table. gimli decodes the instructions, but for the plain ones of an FDE (`plain`); the rows are ours,
//! since gimli's `UnwindContext` is too large for a hook's stack. No allocation, and at most one turn of the loop per byte of
//! instructions. It deliberately does not judge rows: `arch::rule_of_row` does.

use gimli::{
    BaseAddresses, CallFrameInstruction, CallFrameInstructionIter, EhFrame, EndianSlice,
    FrameDescriptionEntry, NativeEndian, UnwindExpression,
};

use crate::arch::{cfa_expression, place_expression};
use crate::plain;
use crate::row::{Cfa, Place, Row};
use crate::section::RuleError;

pub(crate) type Bytes<'a> = EndianSlice<'a, NativeEndian>;

/// How deep `DW_CFA_remember_state` nests. Compilers write 1; gimli allows 4.
const REMEMBERED: usize = 4;

/// The row of `fde` at `pc`, which must lie in it.
pub(crate) fn row_at<'a>(
    frame: &EhFrame<Bytes<'a>>,
    bases: &BaseAddresses,
    fde: &FrameDescriptionEntry<Bytes<'a>>,
    pc: u64,
) -> Result<Row, RuleError> {
    let mut program = Program::new(frame, fde);
    program.begin(bases, fde, pc)?;
    let plain = plain::instructions(frame, fde);
    if plain.is_some_and(|instructions| program.run_plain(instructions, pc).is_some()) {
        return Ok(program.row);
    }
    program.begin(bases, fde, pc)?;
    program.run(fde.instructions(frame, bases), pc)?;
    Ok(program.row)
}

/// The state of a run. `depth <= REMEMBERED`; `remembered[..depth]` are the remembered rows.
pub(crate) struct Program<'a, 'f> {
    frame: &'f EhFrame<Bytes<'a>>,
    pub(crate) row: Row,
    /// The row after the CIE's instructions, for `DW_CFA_restore`.
    initial: Row,
    remembered: [Row; REMEMBERED],
    depth: usize,
    pub(crate) location: u64,
    pub(crate) code_factor: u64,
    data_factor: i64,
}

impl<'a, 'f> Program<'a, 'f> {
    /// Before all instructions.
    pub(crate) fn new(
        frame: &'f EhFrame<Bytes<'a>>,
        fde: &FrameDescriptionEntry<Bytes<'a>>,
    ) -> Program<'a, 'f> {
        Program {
            frame,
            row: Row::EMPTY,
            initial: Row::EMPTY,
            remembered: [Row::EMPTY; REMEMBERED],
            depth: 0,
            location: 0,
            code_factor: fde.cie().code_alignment_factor(),
            data_factor: fde.cie().data_alignment_factor(),
        }
    }

    /// Runs the CIE's instructions, whatever has been run before: the FDE's come next.
    pub(crate) fn begin(
        &mut self,
        bases: &BaseAddresses,
        fde: &FrameDescriptionEntry<Bytes<'a>>,
        pc: u64,
    ) -> Result<(), RuleError> {
        (self.row, self.initial, self.depth) = (Row::EMPTY, Row::EMPTY, 0);
        self.location = fde.initial_address();
        self.run(fde.cie().instructions(self.frame, bases), pc)?;
        self.initial = self.row;
        self.location = fde.initial_address();
        Ok(())
    }

    /// Runs until the instructions end or speak of what is behind `pc`.
    pub(crate) fn run(
        &mut self,
        mut instructions: CallFrameInstructionIter<'_, Bytes<'a>>,
        pc: u64,
    ) -> Result<(), RuleError> {
        while let Some(instruction) = instructions.next()? {
            let next = match instruction {
                CallFrameInstruction::SetLoc { address } => Some(address),
                CallFrameInstruction::AdvanceLoc { delta } => {
                    let delta = u64::from(delta).wrapping_mul(self.code_factor);
                    Some(
                        self.location
                            .checked_add(delta)
                            .ok_or(RuleError::Malformed)?,
                    )
                }
                _ => None,
            };
            match next {
                Some(next) if next < self.location => return Err(RuleError::Malformed),
                Some(next) if next > pc => return Ok(()),
                Some(next) => self.location = next,
                None => self.execute(instruction)?,
            }
        }
        Ok(())
    }

    fn execute(&mut self, instruction: CallFrameInstruction<usize>) -> Result<(), RuleError> {
        use CallFrameInstruction as I;
        match instruction {
            I::DefCfa { .. }
            | I::DefCfaSf { .. }
            | I::DefCfaRegister { .. }
            | I::DefCfaOffset { .. }
            | I::DefCfaOffsetSf { .. }
            | I::DefCfaExpression { .. } => self.row.cfa = self.cfa(instruction)?,
            I::RememberState => self.remember()?,
            I::RestoreState => self.recall()?,
            I::Nop | I::ArgsSize { .. } => (),
            _ => self.define(instruction)?,
        }
        Ok(())
    }

    fn cfa(&self, instruction: CallFrameInstruction<usize>) -> Result<Cfa, RuleError> {
        use CallFrameInstruction as I;
        let current = match self.row.cfa {
            Cfa::Register { register, offset } => Ok((register, i64::from(offset))),
            _ => Err(RuleError::Malformed),
        };
        let (register, offset) = match instruction {
            I::DefCfa { register, offset } => (register.0, offset.cast_signed()),
            I::DefCfaSf {
                register,
                factored_offset,
            } => (register.0, self.factored(factored_offset)),
            I::DefCfaRegister { register } => (register.0, current?.1),
            I::DefCfaOffset { offset } => (current?.0, offset.cast_signed()),
            I::DefCfaOffsetSf { factored_offset } => (current?.0, self.factored(factored_offset)),
            I::DefCfaExpression { expression } => {
                return Ok(cfa_expression(self.bytes(expression)?));
            }
            _ => return Ok(Cfa::Unknown),
        };
        // Not `Unknown` when too large: a later instruction may keep the register and give another offset.
        let offset = i32::try_from(offset).map_err(|_| RuleError::Unsupported)?;
        Ok(Cfa::Register { register, offset })
    }

    fn define(&mut self, instruction: CallFrameInstruction<usize>) -> Result<(), RuleError> {
        use CallFrameInstruction as I;
        let (register, place) = match instruction {
            I::Undefined { register } => (register, Place::Undefined),
            I::SameValue { register } => (register, Place::Same),
            I::Offset {
                register,
                factored_offset,
            } => {
                let offset = self.factored(factored_offset.cast_signed());
                (register, Place::from_cfa(offset))
            }
            I::OffsetExtendedSf {
                register,
                factored_offset,
            } => (register, Place::from_cfa(self.factored(factored_offset))),
            I::Expression {
                register,
                expression,
            } => (register, place_expression(self.bytes(expression)?)),
            I::Restore { register } => {
                self.restore(register.0);
                return Ok(());
            }
            I::Register {
                dest_register: register,
                ..
            }
            | I::ValOffset { register, .. }
            | I::ValOffsetSf { register, .. }
            | I::ValExpression { register, .. } => (register, Place::Unknown),
            _ => return Err(RuleError::Unsupported),
        };
        self.row.set(register.0, place);
        Ok(())
    }

    /// A register is where the CIE's instructions have it.
    #[inline(always)]
    pub(crate) fn restore(&mut self, register: u16) {
        let place = self.initial.place(register).unwrap_or(Place::Same);
        self.row.set(register, place);
    }

    #[inline(always)]
    pub(crate) fn remember(&mut self) -> Result<(), RuleError> {
        let row = self
            .remembered
            .get_mut(self.depth)
            .ok_or(RuleError::Unsupported)?;
        *row = self.row;
        self.depth = self.depth.wrapping_add(1);
        Ok(())
    }

    #[inline(always)]
    pub(crate) fn recall(&mut self) -> Result<(), RuleError> {
        let depth = self.depth.checked_sub(1).ok_or(RuleError::Malformed)?;
        self.row = *self.remembered.get(depth).ok_or(RuleError::Malformed)?;
        self.depth = depth;
        Ok(())
    }

    #[inline(always)]
    pub(crate) fn factored(&self, offset: i64) -> i64 {
        offset.wrapping_mul(self.data_factor)
    }

    fn bytes(&self, expression: UnwindExpression<usize>) -> Result<Bytes<'a>, RuleError> {
        Ok(expression.get(self.frame)?.0)
    }
}

#[cfg(test)]
mod tests {
    use gimli::{
        CfaRule, CieOrFde, RegisterRule, UnwindContext, UnwindContextStorage, UnwindSection,
        UnwindTableRow,
    };

    use super::*;
    use crate::arch::{RETURN_ADDRESS, SAVED, STACK_POINTER, rule_of_row, saved_index};
    use crate::testing::Process;

    /// gimli's own rows, with all the room that it likes to have.
    struct Large;

    impl UnwindContextStorage<usize> for Large {
        type Rules = [(gimli::Register, RegisterRule<usize>); 192];
        type Stack = [UnwindTableRow<usize, Self>; 8];
    }

    /// gimli's row as ours.
    fn row_of(theirs: &UnwindTableRow<usize, Large>, frame: &EhFrame<Bytes<'_>>) -> Row {
        let mut row = Row::EMPTY;
        row.cfa = match theirs.cfa() {
            CfaRule::RegisterAndOffset { register, offset } => Cfa::Register {
                register: register.0,
                offset: i32::try_from(*offset).unwrap(),
            },
            CfaRule::Expression(expression) => cfa_expression(expression.get(frame).unwrap().0),
        };
        for (register, rule) in theirs.registers() {
            let place = match rule {
                RegisterRule::Undefined => Place::Undefined,
                RegisterRule::SameValue => Place::Same,
                RegisterRule::Offset(offset) => Place::from_cfa(*offset),
                RegisterRule::Expression(expression) => {
                    place_expression(expression.get(frame).unwrap().0)
                }
                _ => Place::Unknown,
            };
            row.set(register.0, place);
        }
        row
    }

    /// Compares all rows of all functions in one module; returns how many.
    fn compare(bytes: &[u8], address: u64) -> usize {
        let section = crate::Section::new(bytes, address, 0).unwrap();
        let (frame, bases) = (section.eh_frame().unwrap(), section.bases());
        let mut context = Box::new(UnwindContext::<usize, Large>::new_in());
        let mut entries = frame.entries(&bases);
        let mut rows = 0;
        while let Some(entry) = entries.next().unwrap() {
            let CieOrFde::Fde(partial) = entry else {
                continue;
            };
            let fde = partial.parse(EhFrame::cie_from_offset).unwrap();
            let mut table = fde.rows(&frame, &bases, &mut context).unwrap();
            while let Some(theirs) = table.next_row().unwrap() {
                if theirs.start_address() == theirs.end_address() {
                    continue;
                }
                let expected = row_of(theirs, &frame);
                for pc in [theirs.start_address(), theirs.end_address() - 1] {
                    let row = row_at(&frame, &bases, &fde, pc).unwrap();
                    assert_eq!(rule_of_row(&row), rule_of_row(&expected), "{pc:#x}");
                }
                rows += 1;
            }
        }
        rows
    }

    /// Check that every row of every module in this process, libc among them, makes the rule that gimli's own row makes.
    #[test]
    fn rows_are_gimlis() {
        let modules = Process::new().modules;
        let rows: usize = modules
            .iter()
            .map(|module| compare(module.bytes, module.address))
            .sum();
        assert!(rows > 20_000, "{rows}");
        assert_eq!(
            (saved_index(6), saved_index(15)),
            (Some(0), Some(SAVED - 1))
        );
        assert_eq!((RETURN_ADDRESS, STACK_POINTER), (16, 7));
    }
}
