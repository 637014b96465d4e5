//! Functions with frames of every kind, to be walked through by tests: each calls what it is given, from a frame of its own.
//!
//! Compiled for tests only. Written in assembly, so that the frames are what the names say under any optimisation: on the
//! frame pointer, on other callee-saved registers, with everything saved, and realigned as gcc 12 -O2 does it.

use std::arch::global_asm;
use std::ffi::c_void;

/// What is called.
pub(crate) type Callee = extern "C" fn(*mut c_void);
/// A caller of `callee(argument)`, with a frame of about `gap` bytes (a multiple of 16).
pub(crate) type Caller = unsafe extern "C" fn(callee: Callee, argument: *mut c_void, gap: u64);

/// All of them.
pub(crate) const CALLERS: [Caller; 5] = [
    heapshim_unwind_call_rbp,
    heapshim_unwind_call_rbx,
    heapshim_unwind_call_r13,
    heapshim_unwind_call_saving,
    heapshim_unwind_call_realigned,
];

unsafe extern "C" {
    fn heapshim_unwind_call_rbp(callee: Callee, argument: *mut c_void, gap: u64);
    fn heapshim_unwind_call_rbx(callee: Callee, argument: *mut c_void, gap: u64);
    fn heapshim_unwind_call_r13(callee: Callee, argument: *mut c_void, gap: u64);
    fn heapshim_unwind_call_saving(callee: Callee, argument: *mut c_void, gap: u64);
    fn heapshim_unwind_call_realigned(callee: Callee, argument: *mut c_void, gap: u64);
}

global_asm!(
    ".macro heapshim_unwind_based name, register",
    ".globl \\name",
    "\\name:",
    ".cfi_startproc",
    "push \\register",
    ".cfi_def_cfa_offset 16",
    ".cfi_offset \\register, -16",
    "mov \\register, rsp",
    ".cfi_def_cfa_register \\register",
    "sub rsp, rdx",
    "mov rax, rdi",
    "mov rdi, rsi",
    "call rax",
    "mov rsp, \\register",
    ".cfi_def_cfa_register rsp",
    "pop \\register",
    ".cfi_def_cfa_offset 8",
    "ret",
    ".cfi_endproc",
    ".endm",
    "heapshim_unwind_based heapshim_unwind_call_rbp, rbp",
    "heapshim_unwind_based heapshim_unwind_call_rbx, rbx",
    "heapshim_unwind_based heapshim_unwind_call_r13, r13",
);

global_asm!(
    ".macro heapshim_unwind_push register, offset",
    "push \\register",
    ".cfi_adjust_cfa_offset 8",
    ".cfi_offset \\register, \\offset",
    "mov \\register, rdx",
    ".endm",
    ".macro heapshim_unwind_pop register",
    "pop \\register",
    ".cfi_adjust_cfa_offset -8",
    ".cfi_restore \\register",
    ".endm",
    ".globl heapshim_unwind_call_saving",
    "heapshim_unwind_call_saving:",
    ".cfi_startproc",
    "heapshim_unwind_push rbp, -16",
    "heapshim_unwind_push rbx, -24",
    "heapshim_unwind_push r12, -32",
    "heapshim_unwind_push r13, -40",
    "heapshim_unwind_push r14, -48",
    "heapshim_unwind_push r15, -56",
    "sub rsp, 8",
    ".cfi_adjust_cfa_offset 8",
    "mov rax, rdi",
    "mov rdi, rsi",
    "call rax",
    "add rsp, 8",
    ".cfi_adjust_cfa_offset -8",
    "heapshim_unwind_pop r15",
    "heapshim_unwind_pop r14",
    "heapshim_unwind_pop r13",
    "heapshim_unwind_pop r12",
    "heapshim_unwind_pop rbx",
    "heapshim_unwind_pop rbp",
    "ret",
    ".cfi_endproc",
);

// The escapes are gcc's: rbp at [rbp], r12 at [rbp-8], then CFA = [rbp-16].
global_asm!(
    ".globl heapshim_unwind_call_realigned",
    "heapshim_unwind_call_realigned:",
    ".cfi_startproc",
    "lea r10, [rsp + 8]",
    ".cfi_def_cfa r10, 0",
    "and rsp, -64",
    "push [r10 - 8]",
    "push rbp",
    "mov rbp, rsp",
    ".cfi_escape 0x10, 6, 2, 0x76, 0",
    "push r12",
    ".cfi_escape 0x10, 12, 2, 0x76, 0x78",
    "push r10",
    ".cfi_escape 0xf, 3, 0x76, 0x70, 6",
    "mov r12, rdx",
    "sub rsp, rdx",
    "mov rax, rdi",
    "mov rdi, rsi",
    "call rax",
    "lea rsp, [rbp - 16]",
    "pop r10",
    ".cfi_def_cfa r10, 0",
    "pop r12",
    "pop rbp",
    "lea rsp, [r10 - 8]",
    ".cfi_def_cfa rsp, 8",
    "ret",
    ".cfi_endproc",
);

unsafe extern "C" {
    /// Raises SIGILL with its first instruction; a handler may step over it (2 bytes).
    pub(crate) fn heapshim_unwind_trap();
}

// The function before it has another CFA at its end, so that a look-up of pc - 1 would go wrong.
global_asm!(
    ".cfi_startproc",
    "push rax",
    ".cfi_def_cfa_offset 4096",
    "pop rax",
    ".cfi_endproc",
    ".globl heapshim_unwind_trap",
    "heapshim_unwind_trap:",
    ".cfi_startproc",
    "ud2",
    "ret",
    ".cfi_endproc",
);

unsafe extern "C" {
    fn heapshim_unwind_call_on(callee: Callee, argument: *mut c_void, top: *mut u8);
}

global_asm!(
    ".globl heapshim_unwind_call_on",
    "heapshim_unwind_call_on:",
    ".cfi_startproc",
    "push rbp",
    ".cfi_def_cfa_offset 16",
    ".cfi_offset rbp, -16",
    "mov rbp, rsp",
    ".cfi_def_cfa_register rbp",
    "mov rsp, rdx",
    "mov rax, rdi",
    "mov rdi, rsi",
    "call rax",
    "leave",
    ".cfi_def_cfa rsp, 8",
    "ret",
    ".cfi_endproc",
);

/// Calls `callee(argument)` on a stack of its own, and returns how many bytes of it were written to.
pub(crate) fn on_stack(callee: Callee, argument: *mut c_void) -> usize {
    const PAINT: u64 = 0xa5a5_5a5a_a5a5_5a5a;
    let mut stack = vec![PAINT; 1 << 15];
    let top = stack.as_mut_ptr_range().end.cast::<u8>();
    let top = top.map_addr(|address| address & !15);
    // SAFETY: the callee runs on memory that is ours and large enough, and returns.
    unsafe { heapshim_unwind_call_on(callee, argument, top) };
    let untouched = stack.iter().take_while(|word| **word == PAINT).count();
    assert!(untouched > 0, "the stack overflowed");
    8 * (stack.len() - untouched)
}
