//! A module's unwind tables: from a pc to the one entry (FDE) that speaks of it, and from there to a rule.
//!
//! Called by the shim for an address that its table does not know yet. The bytes are the module's, mapped memory that a linker
//! wrote and anyone may have damaged: every offset is an allegation, every loop is bounded by the bytes or by `MAX_ENTRIES`, and
//! the answer to nonsense is an error. Nothing is kept between calls.
//!
//! ```text
//! .eh_frame_hdr   version u8 = 1 | 3 encodings u8 | eh_frame (pcrel i32) | count u32 | count × (pc i32, fde i32)
//!                                                                         both relative to .eh_frame_hdr, sorted by pc
//! ```

use gimli::{
    BaseAddresses, CieOrFde, EhFrame, EhFrameHdr, EhFrameOffset, NativeEndian, Pointer,
    UnwindSection,
};

use crate::arch::{Rule, rule_of_row};
use crate::compile::{Bytes, row_at};

/// Why there is no rule for a pc.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuleError {
    /// No entry speaks of it.
    NoRule,
    /// The tables contradict themselves or their bounds.
    Malformed,
    /// The tables use what is not covered, but may well be right.
    Unsupported,
}

impl From<gimli::Error> for RuleError {
    fn from(_: gimli::Error) -> Self {
        RuleError::Malformed
    }
}

/// Version 1, pcrel|sdata4, udata4, datarel|sdata4: what GNU ld, gold, lld and mold write whenever they write a table.
const USUAL_HEADER: [u8; 4] = [1, 0x1b, 0x03, 0x3b];
/// Where the table begins behind that header, and the size of an entry.
const TABLE: usize = 12;
const TABLE_ENTRY: usize = 8;
/// How many entries are looked at where there is no table to search: more than libc has; about 10 ms.
const MAX_ENTRIES: usize = 1 << 16;

/// The unwind tables of one module.
#[derive(Clone, Copy)]
pub struct Section<'a> {
    /// The segment that holds both, or its part from `.eh_frame_hdr` on.
    bytes: &'a [u8],
    /// The run-time address of `bytes`.
    address: u64,
    /// Where `.eh_frame_hdr` begins in `bytes`.
    header: usize,
    /// Where `.eh_frame` begins in `bytes`.
    frame: usize,
    /// Whether the header is the usual one, with a table behind.
    has_table: bool,
}

impl core::fmt::Debug for Section<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(
            f,
            "Section({:#x}, {} bytes)",
            self.address,
            self.bytes.len()
        )
    }
}

impl<'a> Section<'a> {
    /// The tables in `bytes`, a mapped segment, or its part from `.eh_frame_hdr` (PT_GNU_EH_FRAME) on; `address` is where it is mapped, `header` where
    /// in it `.eh_frame_hdr` begins. `None` if the header is malformed or its `.eh_frame` is not in `bytes`. GNU ld and lld put `.eh_frame` behind its
    /// header, gold in front of it.
    pub fn new(bytes: &'a [u8], address: u64, header: usize) -> Option<Self> {
        let (at, hdr) = (address.wrapping_add(header as u64), bytes.get(header..)?);
        let has_table = hdr.starts_with(&USUAL_HEADER);
        let frame = if has_table {
            at.wrapping_add(4)
                .wrapping_add_signed(read_i32(hdr, 4)?.into())
        } else {
            unusual_frame(hdr, at)?
        };
        let frame = usize::try_from(frame.checked_sub(address)?).ok()?;
        (frame < bytes.len()).then_some(Section {
            bytes,
            address,
            header,
            frame,
            has_table,
        })
    }

    /// The rule for the code at `pc`, a run-time address: of a return address, pass one less.
    ///
    /// # Errors
    /// `NoRule` where no entry speaks of it, `Malformed` where the tables contradict themselves or their bounds, `Unsupported` where they use what is not covered.
    pub fn rule(&self, pc: u64) -> Result<Rule, RuleError> {
        let bases = self.bases();
        let frame = self.eh_frame()?;
        let offset = if self.has_table {
            self.search(pc)?
        } else {
            self.scan(pc, &frame, &bases)?
        };
        let fde = frame.fde_from_offset(&bases, EhFrameOffset(offset), EhFrame::cie_from_offset)?;
        if !fde.contains(pc) {
            return Err(RuleError::NoRule);
        }
        if fde.is_signal_trampoline() {
            return Ok(Rule::SIGNAL);
        }
        let row = row_at(&frame, &bases, &fde, pc)?;
        match rule_of_row(&row) {
            Rule::UNSUPPORTED => Err(RuleError::Unsupported),
            rule => Ok(rule),
        }
    }

    fn header_address(&self) -> u64 {
        self.address.wrapping_add(self.header as u64)
    }

    pub(crate) fn bases(&self) -> BaseAddresses {
        let frame = self.address.wrapping_add(self.frame as u64);
        BaseAddresses::default()
            .set_eh_frame_hdr(self.header_address())
            .set_eh_frame(frame)
    }

    pub(crate) fn eh_frame(&self) -> Result<EhFrame<Bytes<'a>>, RuleError> {
        let bytes = self.bytes.get(self.frame..).ok_or(RuleError::Malformed)?;
        let mut frame = EhFrame::new(bytes, NativeEndian);
        frame.set_address_size(8);
        Ok(frame)
    }

    /// The offset in `.eh_frame` of the last entry that begins at or before `pc`, by the header's table.
    fn search(&self, pc: u64) -> Result<usize, RuleError> {
        let header = self.bytes.get(self.header..).unwrap_or(&[]);
        let table = header.get(TABLE..).ok_or(RuleError::Malformed)?;
        let count = read_u32(header, 8).ok_or(RuleError::Malformed)? as usize;
        let wanted = pc.wrapping_sub(self.header_address()).cast_signed();
        let (mut low, mut high) = (0, count.min(table.len() / TABLE_ENTRY));
        while low < high {
            let middle = low.midpoint(high);
            let at = middle.wrapping_mul(TABLE_ENTRY);
            let begin = read_i32(table, at).ok_or(RuleError::Malformed)?;
            if i64::from(begin) <= wanted {
                low = middle.wrapping_add(1);
            } else {
                high = middle;
            }
        }
        let entry = low.checked_sub(1).ok_or(RuleError::NoRule)?;
        let at = entry.wrapping_mul(TABLE_ENTRY).wrapping_add(4);
        let fde = i64::from(read_i32(table, at).ok_or(RuleError::Malformed)?);
        let in_frame = (self.header as i64)
            .wrapping_add(fde)
            .wrapping_sub(self.frame as i64);
        usize::try_from(in_frame).map_err(|_| RuleError::Malformed)
    }

    /// The same, entry by entry: for a header without a table, or with one of a form that no known linker writes.
    #[cold]
    #[inline(never)]
    fn scan(
        &self,
        pc: u64,
        frame: &EhFrame<Bytes<'a>>,
        bases: &BaseAddresses,
    ) -> Result<usize, RuleError> {
        let mut entries = frame.entries(bases);
        for _ in 0..MAX_ENTRIES {
            match entries.next()? {
                None => return Err(RuleError::NoRule),
                Some(CieOrFde::Cie(_)) => (),
                Some(CieOrFde::Fde(partial)) => {
                    if partial.parse(EhFrame::cie_from_offset)?.contains(pc) {
                        return Ok(partial.offset());
                    }
                }
            }
        }
        Err(RuleError::Unsupported)
    }
}

/// The address of `.eh_frame`, from a header of any form.
#[cold]
#[inline(never)]
fn unusual_frame(bytes: &[u8], address: u64) -> Option<u64> {
    let bases = BaseAddresses::default().set_eh_frame_hdr(address);
    let header = EhFrameHdr::new(bytes, NativeEndian).parse(&bases, 8).ok()?;
    match header.eh_frame_ptr() {
        Pointer::Direct(frame) => Some(frame),
        Pointer::Indirect(_) => None,
    }
}

fn read_u32(bytes: &[u8], at: usize) -> Option<u32> {
    let word = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_ne_bytes(word.try_into().ok()?))
}

fn read_i32(bytes: &[u8], at: usize) -> Option<i32> {
    read_u32(bytes, at).map(u32::cast_signed)
}

#[cfg(test)]
mod tests {
    use std::ffi::c_void;

    use super::*;
    use crate::calls::on_stack;
    use crate::testing::{Module, Process, Random};

    fn modules() -> Vec<Module> {
        Process::new().modules
    }

    /// Where the functions in a module's table begin.
    fn table(module: &Module) -> Vec<u64> {
        let count = read_u32(module.bytes, 8).unwrap() as usize;
        let begin = |index| read_i32(module.bytes, TABLE + index * TABLE_ENTRY).unwrap();
        (0..count)
            .map(|index| module.address.wrapping_add_signed(begin(index).into()))
            .collect()
    }

    /// Check that every function of every module of this process has a rule at its entry, at its first call and in its middle,
    /// but for a few that are known to be odd.
    #[test]
    fn every_function_has_rules() {
        let (mut asked, mut refused) = (0, 0);
        for module in modules() {
            let section = Section::new(module.bytes, module.address, 0).unwrap();
            for begin in table(&module) {
                for pc in [begin, begin + 6, begin + 40] {
                    asked += 1;
                    refused += usize::from(section.rule(pc) == Err(RuleError::Unsupported));
                    assert_ne!(section.rule(pc), Err(RuleError::Malformed), "{pc:#x}");
                }
            }
        }
        assert!(
            asked > 10_000 && refused * 100 < asked,
            "{refused} of {asked}"
        );
    }

    /// Check that a search without the table finds the same.
    #[test]
    fn scan_is_search() {
        let module = modules()[0];
        let searched = Section::new(module.bytes, module.address, 0).unwrap();
        let scanned = Section {
            has_table: false,
            ..searched
        };
        for pc in table(&module).into_iter().step_by(97) {
            assert_eq!(scanned.rule(pc), searched.rule(pc), "{pc:#x}");
        }
    }

    /// Check that a header without a table is taken, and its entries found.
    #[test]
    fn header_without_table() {
        let module = modules()[0];
        let mut bytes = module.bytes.to_vec();
        bytes[2] = 0xff;
        bytes[3] = 0xff;
        let section = Section::new(&bytes, module.address, 0).unwrap();
        assert!(!section.has_table);
        let pc = table(&module)[100];
        assert_eq!(
            section.rule(pc),
            Section::new(module.bytes, module.address, 0)
                .unwrap()
                .rule(pc)
        );
    }

    /// Check that addresses that no function covers have no rule.
    #[test]
    fn outside() {
        for module in modules() {
            let section = Section::new(module.bytes, module.address, 0).unwrap();
            for pc in [0, 1, module.address, u64::MAX, u64::MAX / 2] {
                assert_eq!(section.rule(pc), Err(RuleError::NoRule), "{pc:#x}");
            }
        }
    }

    /// Check that a header that is cut off, or points out of its bytes, is refused.
    #[test]
    fn bad_headers() {
        let module = modules()[0];
        assert!((0..12).all(|len| Section::new(&module.bytes[..len], module.address, 0).is_none()));
        let mut bytes = module.bytes[..4096].to_vec();
        for pointer in [i32::MIN, -5, 4096, i32::MAX] {
            bytes[4..8].copy_from_slice(&pointer.to_ne_bytes());
            assert!(
                Section::new(&bytes, module.address, 0).is_none(),
                "{pointer}"
            );
        }
    }

    /// Check that damaged tables never make a rule's search panic or hang: bytes are flipped in the header, in the table, in
    /// the entry that is asked for, and in its neighbours.
    #[test]
    fn damaged_bytes() {
        let module = modules()[0];
        let entries = table(&module);
        let mut bytes = module.bytes.to_vec();
        let mut random = Random(3);
        let mut wrong = 0;
        for _ in 0..60_000 {
            let pc = entries[random.below(entries.len())] + random.below(32) as u64;
            let intact = Section::new(module.bytes, module.address, 0).unwrap();
            let fde = intact.frame + intact.search(pc).unwrap();
            let near = [0, TABLE, intact.frame, fde, fde][random.below(5)];
            let places: Vec<usize> = (0..=random.below(4))
                .map(|_| (near + random.below(48)).min(bytes.len() - 1))
                .collect();
            for &place in &places {
                bytes[place] ^= 1 << random.below(8);
            }
            let damaged = Section::new(&bytes, module.address, 0).ok_or(RuleError::Malformed);
            wrong += usize::from(damaged.and_then(|section| section.rule(pc)) != intact.rule(pc));
            for place in places {
                bytes[place] = module.bytes[place];
            }
        }
        assert!(wrong > 6_000, "only {wrong} noticed");
    }

    /// Check that bytes cut off anywhere are refused without a panic.
    #[test]
    fn cut_off() {
        let module = modules()[0];
        let entries = table(&module);
        let mut random = Random(4);
        for _ in 0..2_000 {
            let bytes = &module.bytes[..random.below(module.bytes.len())];
            if let Some(section) = Section::new(bytes, module.address, 0) {
                let _ = section.rule(entries[random.below(entries.len())]);
            }
        }
    }

    /// Check how much stack the search for a rule takes, over every function of libc: hooks run on stacks of 16 KiB.
    #[test]
    fn stack_use() {
        extern "C" fn ask(module: *mut c_void) {
            // SAFETY: the test passes its module.
            let module = unsafe { *module.cast::<Module>() };
            let section = Section::new(module.bytes, module.address, 0).unwrap();
            let count = read_u32(module.bytes, 8).unwrap();
            for index in 0..count as usize {
                let begin = read_i32(module.bytes, TABLE + index * TABLE_ENTRY).unwrap();
                let _ = section.rule(module.address.wrapping_add_signed(begin.into()) + 40);
            }
        }
        let limit = if cfg!(debug_assertions) {
            16 << 10
        } else {
            2 << 10
        };
        for mut module in modules() {
            let used = on_stack(ask, (&raw mut module).cast());
            assert!(used <= limit, "{used} bytes");
            assert!(used > 256, "it was not measured");
        }
    }

    /// Check that tables whose header comes behind them, as gold lays them out, give the same rules.
    #[test]
    fn header_behind() {
        for module in modules() {
            let usual = Section::new(module.bytes, module.address, 0).unwrap();
            if !usual.has_table {
                continue;
            }
            let begins = table(&module);
            let (mut bytes, header) = (module.bytes[usual.frame..].to_vec(), usual.frame);
            bytes.resize(bytes.len().next_multiple_of(8), 0);
            let moved = i32::try_from(header + bytes.len()).unwrap();
            let behind = bytes.len();
            bytes.extend(&module.bytes[..TABLE + begins.len() * TABLE_ENTRY]);
            let relative = (0..2 * begins.len()).map(|nth| TABLE + 4 * nth);
            for at in [4].into_iter().chain(relative) {
                let old = read_i32(module.bytes, at).unwrap();
                bytes[behind + at..][..4].copy_from_slice(&(old - moved).to_ne_bytes());
            }
            let address = module.address + header as u64;
            let section = Section::new(&bytes, address, behind).unwrap();
            for pc in begins.into_iter().step_by(7) {
                assert_eq!(section.rule(pc), usual.rule(pc), "{pc:#x}");
            }
        }
    }
}
