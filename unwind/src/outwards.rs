//! Out of a hook's own frames: the registers that its caller had when it called.
//!
//! A hook that stores its caller's registers when it is entered needs none of this. One that rarely wants them, and stores none, finds them here: compiled code saves
//! those that it changes, and its unwind information says where. Nothing of the frames on the way is kept.

use crate::arch::{Registers, SAVED};
use crate::walk::{Memory, Position, Rules};

/// Frames between the place that asks and the hook's caller, at most: compiled code of one library, of which none calls itself.
const MOST_FRAMES: usize = 64;

/// The callee-saved registers of the frame whose stack pointer is `sp` after its call has returned, found by rules from `registers`, which are those of a frame
/// further in. `None` where the rules do not lead there.
pub fn caller_registers(
    registers: Registers,
    sp: u64,
    rules: &mut impl Rules,
    memory: &mut impl Memory,
) -> Option<[u64; SAVED]> {
    let mut at = Position::new(registers);
    for _ in 0..MOST_FRAMES {
        if at.registers.sp >= sp {
            break;
        }
        let rule = at.rule(rules).ok()?;
        at.step(rule, memory).ok()?;
    }
    let is_there = at.registers.sp == sp && !at.exact;
    is_there.then(|| at.registers.values(memory))?
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Process, Stack, capture};
    use std::hint::black_box;

    /// Uses all registers, so that the compiler has to save its caller's.
    #[inline(never)]
    fn inner(sp: u64, numbers: &[u64; 8]) -> Option<[u64; SAVED]> {
        let [a, b, c, d, e, f, g, h] = black_box(*numbers);
        let found = caller_registers(
            capture(),
            sp,
            &mut Process::new(),
            &mut Stack::of_this_thread(),
        );
        black_box(a ^ b.wrapping_mul(c) ^ d.wrapping_mul(e) ^ f.wrapping_mul(g) ^ h);
        found
    }

    /// Two frames further in than who asks.
    #[inline(never)]
    fn middle(sp: u64, numbers: &[u64; 8]) -> Option<[u64; SAVED]> {
        let more = numbers.map(|number| number.wrapping_mul(black_box(3)));
        let found = inner(sp, &more);
        black_box(more);
        found
    }

    /// Check that the registers of a frame further out are what they were when it called, though what it called has changed them all.
    #[test]
    fn found_again() {
        let known = [11, 22, 33, 44, 55, 66];
        let (sp, found) = called_with(known);
        assert_eq!(found, Some(known), "{sp:#x}");
    }

    /// Check that a stack pointer that no frame has is not found, inside and outside of the frames that there are.
    #[test]
    fn not_there() {
        let registers = capture();
        for sp in [registers.sp + 8, 0, u64::MAX] {
            assert_eq!(inner(sp, &[1; 8]), None);
        }
    }

    std::arch::global_asm!(
        ".globl heapshim_unwind_call_with",
        "heapshim_unwind_call_with:",
        ".cfi_startproc",
        "push rbp",
        ".cfi_adjust_cfa_offset 8",
        ".cfi_rel_offset rbp, 0",
        "push rbx",
        ".cfi_adjust_cfa_offset 8",
        ".cfi_rel_offset rbx, 0",
        "push r12",
        ".cfi_adjust_cfa_offset 8",
        ".cfi_rel_offset r12, 0",
        "push r13",
        ".cfi_adjust_cfa_offset 8",
        ".cfi_rel_offset r13, 0",
        "push r14",
        ".cfi_adjust_cfa_offset 8",
        ".cfi_rel_offset r14, 0",
        "push r15",
        ".cfi_adjust_cfa_offset 8",
        ".cfi_rel_offset r15, 0",
        "push rdi",
        ".cfi_adjust_cfa_offset 8",
        "mov rax, rdi",
        "mov rbp, [rax]",
        "mov rbx, [rax + 8]",
        "mov r12, [rax + 16]",
        "mov r13, [rax + 24]",
        "mov r14, [rax + 32]",
        "mov r15, [rax + 40]",
        "mov rdi, rsp",
        "call rsi",
        "add rsp, 8",
        ".cfi_adjust_cfa_offset -8",
        "pop r15",
        ".cfi_adjust_cfa_offset -8",
        "pop r14",
        ".cfi_adjust_cfa_offset -8",
        "pop r13",
        ".cfi_adjust_cfa_offset -8",
        "pop r12",
        ".cfi_adjust_cfa_offset -8",
        "pop rbx",
        ".cfi_adjust_cfa_offset -8",
        "pop rbp",
        ".cfi_adjust_cfa_offset -8",
        "ret",
        ".cfi_endproc",
    );

    unsafe extern "C" {
        fn heapshim_unwind_call_with(registers: *const [u64; SAVED], function: extern "C" fn(u64));
    }

    thread_local! {
        static FOUND: std::cell::Cell<(u64, Option<[u64; SAVED]>)> = const { std::cell::Cell::new((0, None)) };
    }

    extern "C" fn ask(sp: u64) {
        FOUND.set((sp, middle(sp, &[1, 2, 3, 4, 5, 6, 7, 8])));
    }

    /// Calls `ask` with these registers, and its own stack pointer.
    fn called_with(registers: [u64; SAVED]) -> (u64, Option<[u64; SAVED]>) {
        // SAFETY: it restores all that it changes, and calls a function of this type.
        unsafe { heapshim_unwind_call_with(&raw const registers, ask) };
        FOUND.get()
    }
}
