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

use core::cell::UnsafeCell;
use heapshim_ledger::sync::AtomicU64;

/// What a trampoline stores: the caller's registers. Lies on the stack; alive until the hook returns.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Entry {
    /// Set while the hook holds its thread's guard: tells a hook that was left by longjmp from one that goes on (`record`).
    pub(crate) witness: AtomicU64,
    /// rbp, rbx, r12, r13, r14, r15; of no meaning where a block is given back, or passed over, but that `enter_allocate!` keeps the arguments in the first two, `enter_free!`
    /// keeps the block in the first, `enter_object_free!` domain and block in the first two. Written by the trampoline, and by `exchange_saved`.
    saved: UnsafeCell<[u64; 6]>,
    /// Where the hook will return to.
    pub(crate) return_address: u64,
}

impl Entry {
    /// The caller's stack pointer after the hook has returned.
    #[inline(always)]
    pub(crate) fn caller_sp(&self) -> u64 {
        (&raw const *self) as u64 + size_of::<Entry>() as u64
    }

    /// The entry of the hook that holds its thread's guard: `guard` is its `caller_sp`.
    ///
    /// # Safety
    /// That hook has not returned, and does not while the entry is used.
    pub(crate) unsafe fn of_guard<'e>(guard: u64) -> &'e Entry {
        let address = usize::try_from(guard).unwrap_or(0);
        let entry = core::ptr::with_exposed_provenance::<Entry>(address).wrapping_sub(1);
        // SAFETY: the caller's promise; `caller_sp` has exposed the address.
        unsafe { &*entry }
    }

    /// The caller's registers, where they are stored.
    #[inline(always)]
    pub(crate) fn saved(&self) -> &[u64; 6] {
        // SAFETY: on this thread's stack, and changed by `exchange_saved` alone, which is not called while a walk looks at them.
        unsafe { &*self.saved.get() }
    }

    /// Puts other words in their place; what stood there.
    pub(crate) fn exchange_saved(&self, words: [u64; 6]) -> [u64; 6] {
        // SAFETY: on this thread's stack; the one caller holds no reference to them, and the trampoline waits for us.
        unsafe { self.saved.get().replace(words) }
    }
}

/// Stores the caller's registers below its return address: `Entry` lies at rsp afterwards.
macro_rules! push_entry {
    () => {
        "push r15
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
pub(crate) use push_entry;

/// The same, where a function begins with it.
macro_rules! store_entry {
    () => {
        concat!(".cfi_startproc\n", crate::entry::push_entry!())
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

/// Stores the entry, calls `$hook` with it in register `$last`, and returns what that returns.
macro_rules! call_with_entry {
    ($hook:literal, $last:literal) => {
        concat!(
            crate::entry::push_entry!(),
            "\nmov ",
            $last,
            ", rsp
            call ",
            $hook,
            "
            add rsp, 56
            .cfi_adjust_cfa_offset -56
            ",
            crate::entry::restore_registers!(),
            "
            ret"
        )
    };
}
pub(crate) use call_with_entry;

/// The body of an exported function: calls `$hook` with the same arguments and, in register `$last`, the entry.
macro_rules! enter {
    ($hook:path, $last:literal) => {
        core::arch::naked_asm!(
            ".cfi_startproc",
            crate::entry::call_with_entry!("{hook}", $last),
            ".cfi_endproc",
            hook = sym $hook,
        )
    };
}
pub(crate) use enter;

/// For the beginning of a function that allocates: where nothing is recorded and nothing ever was, it jumps to the next one, unless another mode is asked for. Goes on at
/// local label 4 otherwise.
macro_rules! pass_on {
    () => {
        "cmp qword ptr [rip + {armed}], {never_on}
        jne 4f
        cmp dword ptr [rip + {control} + {mode}], 0
        jne 4f
        jmp qword ptr [rip + {passed} + {next}]
        4:"
    };
}
pub(crate) use pass_on;

/// Goes to local label 5 unless trampolines pass over events, and this is none of the loader's, which tell what it does. Changes rax.
macro_rules! pass_over {
    () => {
        "test byte ptr [rip + {armed}], {in_trampolines}
        je 5f
        mov rax, [rsp]
        sub rax, [rip + {loader_start}]
        cmp rax, [rip + {loader_length}]
        jb 5f"
    };
}
pub(crate) use pass_over;

/// Goes to local label 5 where a sample may begin in the page of the block in rdi. Changes rax and rdx.
macro_rules! look_at_page {
    () => {
        "mov eax, edi
        shr eax, {page_shift}
        mov rdx, [rip + {samples} + {base}]
        cmp byte ptr [rdx + rax], 0
        jne 5f"
    };
}
pub(crate) use look_at_page;

/// As `Countdown::passes`, of rcx bytes, and then jumps to the next one. Goes to local label 5, with nothing done, where this is the next sample or the first event under this word, where the thread
/// has no state, where there are more bytes than any block has, where another mode is asked for, and where Python may want to know of the block. Changes rax, rcx and rdx.
macro_rules! count_down {
    () => {
        "cmp dword ptr [rip + {control} + {mode}], 0
        jne 5f
        cmp dword ptr [rip + {interpreters}], 0
        jne 5f
        mov rax, [rip + heapshim_thread_word@GOTTPOFF]
        mov rax, fs:[rax]
        cmp rax, {no_state}
        jle 5f
        mov rdx, [rip + {armed}]
        cmp [rax + {drawn_under}], rdx
        jne 5f
        test rcx, rcx
        js 5f
        mov rdx, [rax + {least}]
        cmp rcx, rdx
        cmovb rcx, rdx
        mov rdx, [rax + {left}]
        sub rdx, rcx
        test rdx, rdx
        jle 5f
        sub [rax + {left}], rcx
        jmp qword ptr [rip + {passed} + {next}]
        5:"
    };
}
pub(crate) use count_down;

/// The whole of a trampoline that asks for the mode: its text, what it jumps to where it passes over an event, and what else the text names.
macro_rules! by_mode {
    ([$($text:expr),* $(,)?], $next:ident, $($operands:tt)*) => {
        core::arch::naked_asm!(
            ".cfi_startproc",
            $($text,)*
            ".cfi_endproc",
            armed = sym crate::tracer::ARMED,
            exact = const crate::sampling::EXACT,
            never_on = const crate::sampling::NEVER_ON,
            in_trampolines = const crate::sampling::IN_TRAMPOLINES,
            loader_start = sym crate::loader::START,
            loader_length = sym crate::loader::LENGTH,
            passed = sym crate::real::PASSED,
            next = const core::mem::offset_of!(crate::real::Passed, $next),
            $($operands)*
        )
    };
}
pub(crate) use by_mode;

/// The same of one that allocates.
macro_rules! by_countdown {
    ([$($text:expr),* $(,)?], $next:ident, $($operands:tt)*) => {
        crate::entry::by_mode!(
            [$($text),*],
            $next,
            control = sym crate::rings::CONTROL,
            mode = const crate::rings::MODE,
            interpreters = sym crate::python::allocators::LEN,
            no_state = const crate::thread::RETRY_AFTER,
            drawn_under = const crate::thread::COUNTDOWN + crate::sampling::Countdown::DRAWN_UNDER,
            least = const crate::thread::COUNTDOWN + crate::sampling::Countdown::LEAST,
            left = const crate::thread::COUNTDOWN + crate::sampling::Countdown::LEFT,
            $($operands)*
        )
    };
}
pub(crate) use by_countdown;

/// As `enter!`, for realloc(block, size), which is passed over where it can be: neither the block nor its successor is recorded.
macro_rules! enter_reallocate {
    ($hook:path, $next:ident, $last:literal) => {
        crate::entry::by_countdown!(
            [
                "cmp qword ptr [rip + {armed}], {exact}
                je 5f",
                crate::entry::pass_on!(),
                crate::entry::pass_over!(),
                crate::entry::look_at_page!(),
                "mov rcx, rsi",
                crate::entry::count_down!(),
                crate::entry::call_with_entry!("{hook}", $last),
            ],
            $next,
            page_shift = const crate::sampled_pages::PAGE_SHIFT,
            samples = sym crate::sampled_pages::COUNTS,
            base = const crate::memory::Table::<core::sync::atomic::AtomicU8>::BASE,
            hook = sym $hook,
        )
    };
}
pub(crate) use enter_reallocate;

/// As `enter!`, for malloc(size) and calloc(count, size), whose bytes `$bytes` puts into rcx. Where each event is recorded, `$usual` is called. Else the event is passed over, or `$light` is
/// called, with the same arguments: no stack is walked for it, so the caller's registers stay where they are. Where it gives no block but `light::NOT_YET`, `$otherwise` is called.
macro_rules! enter_allocate {
    ($usual:path, $light:path, $otherwise:path, $next:ident, $bytes:literal, $last:literal) => {
        crate::entry::by_countdown!(
            [
                "cmp qword ptr [rip + {armed}], {exact}",
                "jne 2f",
                crate::entry::call_with_entry!("{usual}", $last),
                "2:",
                crate::entry::pass_on!(),
                crate::entry::pass_over!(),
                $bytes,
                crate::entry::count_down!(),
                "sub rsp, 56
                .cfi_adjust_cfa_offset 56
                mov [rsp + 8], rdi
                mov [rsp + 16], rsi",
                concat!("mov ", $last, ", rsp"),
                "call {light}
                mov rdi, [rsp + 8]
                mov rsi, [rsp + 16]
                add rsp, 56
                .cfi_adjust_cfa_offset -56
                cmp rax, {not_yet}
                je 3f
                ret
                3:",
                crate::entry::call_with_entry!("{otherwise}", $last),
            ],
            $next,
            not_yet = const crate::light::NOT_YET,
            usual = sym $usual,
            light = sym $light,
            otherwise = sym $otherwise,
        )
    };
}
pub(crate) use enter_allocate;

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

/// As `enter_release!`, for free(block). Where each event is recorded, `$usual` gets the same arguments first; in other modes the event is passed over, or `$light` gets the block and where the hook
/// will return to. Either says where to jump to with nothing of ours left on the stack; 0 = nowhere, then `$hook` is called.
macro_rules! enter_free {
    ($usual:path, $light:path, $hook:path, $next:ident) => {
        crate::entry::by_mode!(
            [
                "cmp qword ptr [rip + {armed}], {exact}
                jne 3f
                sub rsp, 56
                .cfi_adjust_cfa_offset 56
                mov [rsp + 8], rdi
                mov rsi, rsp
                call {usual}
                mov rdi, [rsp + 8]
                add rsp, 56
                .cfi_adjust_cfa_offset -56
                test rax, rax
                je 2f
                jmp rax
                3:
                cmp qword ptr [rip + {armed}], {never_on}
                jne 4f
                jmp qword ptr [rip + {passed} + {next}]
                4:",
                crate::entry::pass_over!(),
                crate::entry::look_at_page!(),
                "jmp qword ptr [rip + {passed} + {next}]
                5:
                mov rsi, [rsp]
                push rdi
                .cfi_adjust_cfa_offset 8
                call {light}
                pop rdi
                .cfi_adjust_cfa_offset -8
                test rax, rax
                je 2f
                jmp rax
                2:
                sub rsp, 56
                .cfi_adjust_cfa_offset 56
                mov [rsp + 8], rdi
                mov rsi, rsp
                call {hook}
                add rsp, 56
                .cfi_adjust_cfa_offset -56
                ret",
            ],
            $next,
            page_shift = const crate::sampled_pages::PAGE_SHIFT,
            samples = sym crate::sampled_pages::COUNTS,
            base = const crate::memory::Table::<core::sync::atomic::AtomicU8>::BASE,
            usual = sym $usual,
            light = sym $light,
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
