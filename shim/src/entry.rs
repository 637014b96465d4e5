//! How a call enters the shim: the trampolines that every exported symbol consists of.
//!
//! A walk needs the caller's callee-saved registers as they were at the call, and compiled code has overwritten them by the time it
//! could ask. So each exported function is a few instructions that store them, pass their address to a Rust function as one more
//! argument, and return what that returns. They carry unwind information, so that debuggers and the walk's oracle pass through.
//!
//! ```text
//! entry ─▶ witness | rbp rbx r12 r13 r14 r15 | return address | caller's frame …
//!          └──── Entry ────────────────────────────────────┘
//! ```

use heapshim_ledger::sync::AtomicU64;

/// What a trampoline stores: the caller's registers. Lies on the stack; alive until the hook returns.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Entry {
    /// Set while the hook holds its thread's guard: tells a hook that was left by longjmp from one that goes on (`record`).
    pub(crate) witness: AtomicU64,
    /// rbp, rbx, r12, r13, r14, r15; of no meaning where a block is given back, but that `enter_free!` keeps the block in the first, `enter_object_free!` domain and
    /// block in the first two.
    pub(crate) saved: [u64; 6],
    /// Where the hook will return to.
    pub(crate) return_address: u64,
}

impl Entry {
    /// The caller's stack pointer after the hook has returned.
    #[inline(always)]
    pub(crate) fn caller_sp(&self) -> u64 {
        (&raw const *self) as u64 + size_of::<Entry>() as u64
    }
}

/// Stores the caller's registers below its return address: `Entry` lies at rsp afterwards.
macro_rules! store_entry {
    () => {
        ".cfi_startproc
        push r15
        .cfi_def_cfa_offset 16
        .cfi_offset 15, -16
        push r14
        .cfi_def_cfa_offset 24
        .cfi_offset 14, -24
        push r13
        .cfi_def_cfa_offset 32
        .cfi_offset 13, -32
        push r12
        .cfi_def_cfa_offset 40
        .cfi_offset 12, -40
        push rbx
        .cfi_def_cfa_offset 48
        .cfi_offset 3, -48
        push rbp
        .cfi_def_cfa_offset 56
        .cfi_offset 6, -56
        push 0
        .cfi_def_cfa_offset 64"
    };
}
pub(crate) use store_entry;

/// After `add rsp, 56`: the registers are the caller's again (they were never changed, only stored).
macro_rules! restore_registers {
    () => {
        ".cfi_restore 15
        .cfi_restore 14
        .cfi_restore 13
        .cfi_restore 12
        .cfi_restore 3
        .cfi_restore 6"
    };
}
pub(crate) use restore_registers;

/// The body of an exported function: calls `$hook` with the same arguments and, in register `$last`, the entry.
macro_rules! enter {
    ($hook:path, $last:literal) => {
        core::arch::naked_asm!(
            crate::entry::store_entry!(),
            concat!("mov ", $last, ", rsp"),
            "call {hook}",
            "add rsp, 56",
            ".cfi_adjust_cfa_offset -56",
            crate::entry::restore_registers!(),
            "ret",
            ".cfi_endproc",
            hook = sym $hook,
        )
    };
}
pub(crate) use enter;

/// As `enter!`, for functions that give a block back: no stack is walked, so the caller's registers stay where they are, and `Entry::saved` holds
/// whatever stood there.
macro_rules! enter_release {
    ($hook:path, $last:literal) => {
        core::arch::naked_asm!(
            ".cfi_startproc
            sub rsp, 48
            .cfi_adjust_cfa_offset 48
            push 0
            .cfi_adjust_cfa_offset 8",
            concat!("mov ", $last, ", rsp"),
            "call {hook}",
            "add rsp, 56",
            ".cfi_adjust_cfa_offset -56",
            "ret",
            ".cfi_endproc",
            hook = sym $hook,
        )
    };
}
pub(crate) use enter_release;

/// As `enter_release!`, for free(block): `$usual` gets the same arguments first, and says where to jump to with nothing of ours left on the stack; 0 = nowhere, then
/// `$hook` is called.
macro_rules! enter_free {
    ($usual:path, $hook:path) => {
        core::arch::naked_asm!(
            ".cfi_startproc
            sub rsp, 56
            .cfi_adjust_cfa_offset 56
            mov [rsp + 8], rdi
            mov rsi, rsp
            call {usual}
            mov rdi, [rsp + 8]
            test rax, rax
            je 2f
            add rsp, 56
            .cfi_adjust_cfa_offset -56
            jmp rax
            2:
            .cfi_adjust_cfa_offset 56
            mov rsi, rsp
            call {hook}
            add rsp, 56
            .cfi_adjust_cfa_offset -56
            ret
            .cfi_endproc",
            usual = sym $usual,
            hook = sym $hook,
        )
    };
}
pub(crate) use enter_free;

/// As `enter_free!`, for free(domain, block) of Python's objects: it jumps there with the context of the table before ours, which is the domain's first word.
macro_rules! enter_object_free {
    ($usual:path, $hook:path) => {
        core::arch::naked_asm!(
            ".cfi_startproc
            sub rsp, 56
            .cfi_adjust_cfa_offset 56
            mov [rsp + 8], rdi
            mov [rsp + 16], rsi
            mov rdx, rsp
            call {usual}
            mov rdi, [rsp + 8]
            mov rsi, [rsp + 16]
            test rax, rax
            je 2f
            mov rdi, [rdi]
            add rsp, 56
            .cfi_adjust_cfa_offset -56
            jmp rax
            2:
            .cfi_adjust_cfa_offset 56
            mov rdx, rsp
            call {hook}
            add rsp, 56
            .cfi_adjust_cfa_offset -56
            ret
            .cfi_endproc",
            usual = sym $usual,
            hook = sym $hook,
        )
    };
}
pub(crate) use enter_object_free;
