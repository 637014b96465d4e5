//! The trampoline of functions that we only look at: whatever their arguments are, the next definition gets them all.
//!
//! Used by `filters` (prctl, syscall: their arguments vary) and `jumps` (longjmp, which does not come back). What looks is a function of the
//! first arguments and answers where to go on. The stack is as the caller left it when the next definition begins. Not for functions that take
//! vector registers.

/// The body of a function whose arguments we only look at: calls `$look`, which says where to go on, with all arguments kept.
macro_rules! look_and_go_on {
    ($look:path) => {
        core::arch::naked_asm!(
            ".cfi_startproc",
            "push rdi",
            ".cfi_adjust_cfa_offset 8",
            "push rsi",
            ".cfi_adjust_cfa_offset 8",
            "push rdx",
            ".cfi_adjust_cfa_offset 8",
            "push rcx",
            ".cfi_adjust_cfa_offset 8",
            "push r8",
            ".cfi_adjust_cfa_offset 8",
            "push r9",
            ".cfi_adjust_cfa_offset 8",
            "push rax",
            ".cfi_adjust_cfa_offset 8",
            "call {look}",
            "mov r11, rax",
            "pop rax",
            ".cfi_adjust_cfa_offset -8",
            "pop r9",
            ".cfi_adjust_cfa_offset -8",
            "pop r8",
            ".cfi_adjust_cfa_offset -8",
            "pop rcx",
            ".cfi_adjust_cfa_offset -8",
            "pop rdx",
            ".cfi_adjust_cfa_offset -8",
            "pop rsi",
            ".cfi_adjust_cfa_offset -8",
            "pop rdi",
            ".cfi_adjust_cfa_offset -8",
            "jmp r11",
            ".cfi_endproc",
            look = sym $look,
        )
    };
}
pub(crate) use look_and_go_on;
