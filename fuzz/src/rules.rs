//! Unwind tables of any bytes: a rule, or an error; and walks by such rules over a stack of any words, which end, stay in the memory that may be
//! read, and go up.
//!
//! An input: two bytes say where `.eh_frame_hdr` begins, one how many words of stack end it; the rest is the mapped segment.

use crate::Target;
use heapshim_unwind::{Frame, Registers, Rule, RuleError, Rules, Section, walk};

pub(crate) const TARGET: Target = Target {
    name: "rules",
    run,
    seeds,
};

/// Where the segment is said to be mapped, and the stack.
const SEGMENT: u64 = 0x10_0000;
const STACK: u64 = 0x7fff_0000_0000;
/// Entries of the search table that are asked for.
const ASKED: usize = 6;

fn run(bytes: &[u8]) {
    let [low, high, words, rest @ ..] = bytes else {
        return;
    };
    let header = usize::from(u16::from_le_bytes([*low, *high]));
    let stack_bytes = (usize::from(*words) * 8).min(rest.len());
    let (segment, stack) = rest.split_at(rest.len() - stack_bytes);
    let Some(section) = Section::new(segment, SEGMENT, header) else {
        return;
    };
    for pc in asked(segment, header) {
        if section.rule(pc).is_ok() {
            walk_from(pc, &section, stack);
        }
    }
}

/// Addresses that the search table names, and some between them.
fn asked(segment: &[u8], header: usize) -> Vec<u64> {
    let at = SEGMENT + header as u64;
    let table = segment.get(header + 12..).unwrap_or(&[]);
    let starts = table.chunks_exact(8).take(ASKED).filter_map(|entry| {
        let offset = i32::from_ne_bytes(*entry.first_chunk::<4>()?);
        Some(at.wrapping_add_signed(offset.into()))
    });
    let between = starts.flat_map(|start| [start, start.wrapping_add(1), start.wrapping_add(9)]);
    between.chain([0, SEGMENT, u64::MAX]).collect()
}

struct Asked<'s>(&'s Section<'s>);

impl Rules for Asked<'_> {
    fn rule(&mut self, pc: u64, _: bool) -> Result<Rule, RuleError> {
        self.0.rule(pc)
    }
}

fn walk_from(pc: u64, section: &Section<'_>, stack: &[u8]) {
    let mut read = |address: u64| {
        let at = usize::try_from(address.checked_sub(STACK)?).ok()?;
        let word = stack.get(at..)?.first_chunk::<8>()?;
        Some(u64::from_ne_bytes(*word))
    };
    let registers = Registers::new(pc.wrapping_add(1), STACK, [STACK + 16; 6]);
    let mut frames = [Frame::default(); 64];
    let walked = walk(registers, &mut Asked(section), &mut read, &mut frames);
    let frames = frames
        .get(..walked.len)
        .expect("as many as there is room for");
    assert!(walked.len > 0 && walked.shared == 0);
    // A frame that a signal interrupted may lie on another stack.
    for pair in frames.windows(2) {
        if let [inner, outer] = pair
            && !outer.exact
        {
            assert!(inner.sp < outer.sp, "{inner:?} {outer:?}");
        }
    }
}

fn seeds() -> Vec<Vec<u8>> {
    vec![with_stack(&made(), 0)]
}

/// `header`, then sixteen words of stack behind the segment.
fn with_stack(segment: &[u8], header: u16) -> Vec<u8> {
    let [low, high] = header.to_le_bytes();
    let words = (0..16u64).map(|word| {
        if word % 3 == 0 {
            SEGMENT + 0x104
        } else {
            STACK + 8 * word + 16
        }
    });
    let stack: Vec<u8> = words.flat_map(u64::to_ne_bytes).collect();
    [&[low, high, 16], segment, &stack].concat()
}

/// A header with a table of two, a CIE, an FDE of a usual function and one that keeps a frame pointer (LSB, "Exception Frames").
fn made() -> Vec<u8> {
    let word = |value: i32| value.to_ne_bytes();
    let cie: &[u8] = &[
        20, 0, 0, 0, 0, 0, 0, 0, 1, b'z', b'R', 0, 1, 0x78, 16, 1, 0x1b, 0x0c, 7, 8, 0x90, 1, 0, 0,
    ];
    let fde = |at: i32, start: i32, instructions: &[u8]| {
        let mut bytes = word(i32::try_from(13 + instructions.len()).unwrap_or(0)).to_vec();
        bytes.extend(word(at + 4 - 28));
        bytes.extend(word(start - (at + 8)));
        bytes.extend(word(0x20));
        bytes.push(0);
        bytes.extend(instructions);
        bytes
    };
    let plain = fde(
        52,
        0x100,
        &[0x41, 0x0e, 0x10, 0x83, 2, 0x44, 0x0e, 0x18, 0, 0, 0],
    );
    let second = 52 + i32::try_from(plain.len()).unwrap_or(0);
    let framed = fde(
        second,
        0x120,
        &[0x41, 0x0e, 0x10, 0x86, 2, 0x43, 0x0d, 6, 0, 0, 0],
    );
    let mut bytes = vec![1, 0x1b, 3, 0x3b];
    for value in [24, 2, 0x100, 52, 0x120, second] {
        bytes.extend(word(value));
    }
    bytes.extend(cie);
    bytes.extend(plain);
    bytes.extend(framed);
    bytes.extend([0; 4]);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Check that the seed is a table of rules, or the mutations would begin nowhere.
    #[test]
    fn seed_is_sound() {
        let segment = made();
        let section = Section::new(&segment, SEGMENT, 0).expect("a section");
        for pc in [SEGMENT + 0x100, SEGMENT + 0x109, SEGMENT + 0x125] {
            assert!(section.rule(pc).is_ok(), "{pc:#x}: {:?}", section.rule(pc));
        }
        assert!(section.rule(SEGMENT + 0x200).is_err());
    }
}
