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
    /// From `.eh_frame_hdr` to the end of its segment.
    bytes: &'a [u8],
    /// The run-time address of `bytes`.
    address: u64,
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
    /// The tables in `bytes`, which begin with `.eh_frame_hdr` (PT_GNU_EH_FRAME) and go on to the end of the mapped segment;
    /// `address` is where they are mapped. `None` if the header is malformed or its `.eh_frame` is not in `bytes`.
    pub fn new(bytes: &'a [u8], address: u64) -> Option<Self> {
        let has_table = bytes.starts_with(&USUAL_HEADER);
        let frame = if has_table {
            address
                .wrapping_add(4)
                .wrapping_add_signed(read_i32(bytes, 4)?.into())
        } else {
            unusual_frame(bytes, address)?
        };
        let frame = usize::try_from(frame.checked_sub(address)?).ok()?;
        (frame < bytes.len()).then_some(Section {
            bytes,
            address,
            frame,
            has_table,
        })
    }

    /// The rule for the code at `pc`: of a return address, pass one less.
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

    fn bases(&self) -> BaseAddresses {
        let frame = self.address.wrapping_add(self.frame as u64);
        BaseAddresses::default()
            .set_eh_frame_hdr(self.address)
            .set_eh_frame(frame)
    }

    fn eh_frame(&self) -> Result<EhFrame<Bytes<'a>>, RuleError> {
        let bytes = self.bytes.get(self.frame..).ok_or(RuleError::Malformed)?;
        let mut frame = EhFrame::new(bytes, NativeEndian);
        frame.set_address_size(8);
        Ok(frame)
    }

    /// The offset in `.eh_frame` of the last entry that begins at or before `pc`, by the header's table.
    fn search(&self, pc: u64) -> Result<usize, RuleError> {
        let table = self.bytes.get(TABLE..).ok_or(RuleError::Malformed)?;
        let count = read_u32(self.bytes, 8).ok_or(RuleError::Malformed)? as usize;
        let wanted = pc.wrapping_sub(self.address).cast_signed();
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
        let in_bytes = usize::try_from(fde).map_err(|_| RuleError::Malformed)?;
        in_bytes.checked_sub(self.frame).ok_or(RuleError::Malformed)
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
