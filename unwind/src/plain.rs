//! The call frame instructions that compilers write for nearly every function, run at a few machine instructions each.
//!
//! A large function has hundreds of them before the address that is asked for, and with gimli's decoding, each made a value first, they were a tenth of what
//! tracing a compiler cost. Called by `compile`, which has gimli run all that this leaves: programs with any other instruction, entries of other forms than linkers write,
//! and whatever is malformed, so that there is one place that judges it.

use gimli::{EhFrame, FrameDescriptionEntry, Section as _, constants};

use crate::compile::{Bytes, Program};
use crate::row::{Cfa, Place};

/// What an entry of the 64-bit format begins with: all behind it stands elsewhere.
const LONG: [u8; 4] = [0xff; 4];
/// Of an entry: its length and where its CIE is, four bytes each, then two addresses.
const HEAD: usize = 8;
/// Bytes of an address, by the low half of its encoding: `udata4` and `sdata4`.
const ADDRESS_FORMS: [u8; 2] = [constants::DW_EH_PE_udata4.0, constants::DW_EH_PE_sdata4.0];
const FORM: u8 = 0x0f;
const ADDRESS: usize = 4;

/// Instructions whose first operand is the low bits of their byte, by the two bits above (DWARF 5, 7.24).
const OPERAND_BITS: u32 = 6;
const ADVANCE_LOC: u8 = constants::DW_CFA_advance_loc.0 >> OPERAND_BITS;
const OFFSET: u8 = constants::DW_CFA_offset.0 >> OPERAND_BITS;
const RESTORE: u8 = constants::DW_CFA_restore.0 >> OPERAND_BITS;
/// Those whose number is all of their first byte.
const NOP: u8 = constants::DW_CFA_nop.0;
const ADVANCE_LOC1: u8 = constants::DW_CFA_advance_loc1.0;
const ADVANCE_LOC2: u8 = constants::DW_CFA_advance_loc2.0;
const ADVANCE_LOC4: u8 = constants::DW_CFA_advance_loc4.0;
const REMEMBER_STATE: u8 = constants::DW_CFA_remember_state.0;
const RESTORE_STATE: u8 = constants::DW_CFA_restore_state.0;
const DEF_CFA: u8 = constants::DW_CFA_def_cfa.0;
const DEF_CFA_REGISTER: u8 = constants::DW_CFA_def_cfa_register.0;
const DEF_CFA_OFFSET: u8 = constants::DW_CFA_def_cfa_offset.0;
/// In a byte of LEB128: another follows.
const MORE: u8 = 0x80;

/// The instructions of an entry, where it has the usual form.
pub(crate) fn instructions<'a>(
    frame: &EhFrame<Bytes<'a>>,
    fde: &FrameDescriptionEntry<Bytes<'a>>,
) -> Option<&'a [u8]> {
    // Where there is such an encoding, there is a length of what stands between the addresses and the instructions.
    let form = fde.cie().fde_address_encoding()?.0 & FORM;
    if !ADDRESS_FORMS.contains(&form) {
        return None;
    }
    let entry = frame.reader().slice().get(fde.offset()..)?;
    if entry.starts_with(&LONG) {
        return None;
    }
    let end = fde.entry_len().checked_add(4)?;
    let mut rest = entry.get(HEAD + 2 * ADDRESS..end)?;
    let augmentation = unsigned(&mut rest)?;
    rest.get(usize::try_from(augmentation).ok()?..)
}

impl Program<'_, '_> {
    /// Runs as `run` does, and changes nothing that is not plain. None where something is not: then what has been run so far is of no use.
    pub(crate) fn run_plain(&mut self, mut bytes: &[u8], pc: u64) -> Option<()> {
        while let Some((&first, rest)) = bytes.split_first() {
            bytes = rest;
            let low = first & ((1 << OPERAND_BITS) - 1);
            let delta = match (first >> OPERAND_BITS, first) {
                (ADVANCE_LOC, _) => u32::from(low),
                (OFFSET, _) => {
                    let offset = unsigned(&mut bytes)?.cast_signed();
                    let place = Place::from_cfa(self.factored(offset));
                    self.row.set(low.into(), place);
                    continue;
                }
                (RESTORE, _) => {
                    self.restore(low.into());
                    continue;
                }
                (_, ADVANCE_LOC1) => take::<1>(&mut bytes)?[0].into(),
                (_, ADVANCE_LOC2) => u16::from_ne_bytes(take(&mut bytes)?).into(),
                (_, ADVANCE_LOC4) => u32::from_ne_bytes(take(&mut bytes)?),
                _ => {
                    self.state(first, &mut bytes)?;
                    continue;
                }
            };
            let next = u64::from(delta).wrapping_mul(self.code_factor);
            let next = self.location.checked_add(next)?;
            if next > pc {
                break;
            }
            self.location = next;
        }
        Some(())
    }

    /// Of those whose number is all of their first byte, all but the advances.
    #[inline(always)]
    fn state(&mut self, instruction: u8, bytes: &mut &[u8]) -> Option<()> {
        match instruction {
            NOP => (),
            REMEMBER_STATE => self.remember().ok()?,
            RESTORE_STATE => self.recall().ok()?,
            DEF_CFA => {
                let register = u16::try_from(unsigned(bytes)?).ok()?;
                self.define_cfa(register, unsigned(bytes)?)?;
            }
            DEF_CFA_REGISTER => {
                let register = u16::try_from(unsigned(bytes)?).ok()?;
                let Cfa::Register { offset, .. } = self.row.cfa else {
                    return None;
                };
                self.row.cfa = Cfa::Register { register, offset };
            }
            DEF_CFA_OFFSET => {
                let Cfa::Register { register, .. } = self.row.cfa else {
                    return None;
                };
                self.define_cfa(register, unsigned(bytes)?)?;
            }
            _ => return None,
        }
        Some(())
    }

    #[inline(always)]
    fn define_cfa(&mut self, register: u16, offset: u64) -> Option<()> {
        let offset = i32::try_from(offset).ok()?;
        self.row.cfa = Cfa::Register { register, offset };
        Some(())
    }
}

#[inline(always)]
fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*taken)
}

/// A number in LEB128 of at most two bytes: offsets of stacks up to 128 KiB.
#[inline(always)]
fn unsigned(bytes: &mut &[u8]) -> Option<u64> {
    let [low] = take(bytes)?;
    if low < MORE {
        return Some(low.into());
    }
    let [high] = take(bytes)?;
    (high < MORE).then_some(u64::from(low & !MORE) | u64::from(high) << 7)
}

#[cfg(test)]
mod tests {
    use gimli::{CieOrFde, UnwindSection};

    use super::*;
    use crate::arch::rule_of_row;
    use crate::testing::Process;

    /// Check that in the modules of this process, libc among them, 99 of 100 functions are plain, and that each then has the rule that gimli's decoding makes, at its
    /// beginning, in its middle and at its end.
    #[test]
    fn plain_is_gimlis() {
        let (mut plain, mut all) = (0, 0);
        for module in Process::new().modules {
            let section = crate::Section::new(module.bytes, module.address, 0).unwrap();
            let (frame, bases) = (section.eh_frame().unwrap(), section.bases());
            let mut entries = frame.entries(&bases);
            while let Some(entry) = entries.next().unwrap() {
                let CieOrFde::Fde(partial) = entry else {
                    continue;
                };
                let fde = partial.parse(EhFrame::cie_from_offset).unwrap();
                for part in [0, fde.len() / 2, fde.len() - 1] {
                    let pc = fde.initial_address() + part;
                    let mut theirs = Program::new(&frame, &fde);
                    theirs.begin(&bases, &fde, pc).unwrap();
                    theirs.run(fde.instructions(&frame, &bases), pc).unwrap();
                    let mut ours = Program::new(&frame, &fde);
                    ours.begin(&bases, &fde, pc).unwrap();
                    let done =
                        instructions(&frame, &fde).and_then(|bytes| ours.run_plain(bytes, pc));
                    all += 1;
                    plain += usize::from(done.is_some());
                    if done.is_some() {
                        assert_eq!(rule_of_row(&ours.row), rule_of_row(&theirs.row), "{pc:#x}");
                    }
                }
            }
        }
        assert!(all > 3_000 && plain * 100 > all * 99, "{plain} of {all}");
    }

    /// Check that an entry of the 64-bit format is left to gimli, which finds its instructions elsewhere than those of the usual one.
    #[test]
    fn long_entries() {
        let cie = [
            &[16, 0, 0, 0, 0, 0, 0, 0, 1][..],
            b"zR\0",
            &[1, 0x78, 16, 1, 0x1b, 0x0c, 7, 8],
        ];
        let cie = cie.concat();
        let found = |length: &[u8]| {
            let pointer = u32::try_from(cie.len() + length.len()).unwrap();
            let body = [
                &pointer.to_ne_bytes()[..],
                &[0, 1, 0, 0, 9, 0, 0, 0, 0, 0x41, 0, 0],
            ];
            let section = [&cie[..], length, &body.concat(), &[0; 4]].concat();
            let frame = EhFrame::new(&section, gimli::NativeEndian);
            let bases = gimli::BaseAddresses::default().set_eh_frame(0);
            let mut entries = frame.entries(&bases);
            entries.next().unwrap();
            let Some(CieOrFde::Fde(partial)) = entries.next().unwrap() else {
                panic!("no entry");
            };
            let fde = partial.parse(EhFrame::cie_from_offset).unwrap();
            assert_eq!(fde.len(), 9);
            instructions(&frame, &fde).map(<[u8]>::to_vec)
        };
        assert_eq!(found(&[16, 0, 0, 0]), Some(vec![0x41, 0, 0]));
        let long = [&LONG[..], &[16, 0, 0, 0, 0, 0, 0, 0]].concat();
        assert_eq!(found(&long), None);
    }

    /// Check that numbers of one and two bytes are read, and that longer and cut ones are left to gimli.
    #[test]
    fn numbers() {
        let read = |bytes: &[u8]| {
            let mut rest = bytes;
            unsigned(&mut rest).map(|number| (number, rest.len()))
        };
        assert_eq!(read(&[0x7f, 1]), Some((0x7f, 1)));
        assert_eq!(read(&[0x80, 0x01]), Some((0x80, 0)));
        assert_eq!(read(&[0xff, 0x7f]), Some((0x3fff, 0)));
        for left in [&[][..], &[0x80], &[0x80, 0x80, 0x01]] {
            assert_eq!(read(left), None, "{left:?}");
        }
    }
}
