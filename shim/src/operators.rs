//! operator new and delete: passed through, or recorded where the allocator has its own.
//!
//! libstdc++'s operator new calls malloc, which is ours: the event is recorded there, and the operator must not count it again, so the
//! exported symbol jumps to the next definition with no frame of its own. jemalloc, tcmalloc and mimalloc export operators that do
//! not call malloc: then the operator itself is the hook. Which of the two is decided at the first call, since libstdc++ may come
//! by dlopen long after us: an operator that is defined in the object that defines malloc is the allocator's own.
//!
//! An exception must not pass through Rust: a recorded throwing operator calls the allocator's nothrow twin, and where that gives
//! nothing the trampoline jumps to the throwing one, which then throws past us.

use crate::entry::{Entry, restore_registers, store_entry};
use crate::objects::{Found, find_symbol};
use crate::real::{self, Block};
use crate::record;
use core::arch::naked_asm;
use core::ffi::CStr;
use heapshim_ledger::sync::{AtomicU64, Word};

/// One operator. The trampolines know the first three fields by their offsets.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Operator {
    /// Where the exported symbol jumps to; 0 = not decided yet.
    target: AtomicU64,
    /// The next definition; 0 = there is none.
    real: AtomicU64,
    /// What the hook calls: the next definition, or its nothrow twin where it may throw.
    quiet: AtomicU64,
    name: &'static CStr,
    shape: Shape,
}

/// What an operator takes, besides size or block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// new(size), throws; its twin's name.
    New(&'static CStr),
    /// new(size, align), throws; its twin's name.
    NewAligned(&'static CStr),
    /// new(size, nothrow).
    NewNothrow,
    /// new(size, align, nothrow).
    NewAlignedNothrow,
    /// delete in all forms.
    Delete,
}

impl Operator {
    pub(crate) const fn new(name: &'static CStr, shape: Shape) -> Operator {
        Operator {
            target: AtomicU64::new(0),
            real: AtomicU64::new(0),
            quiet: AtomicU64::new(0),
            name,
            shape,
        }
    }

    /// Decides where the exported symbol jumps to: at start-up where some object defines the operator, else at its first call.
    /// Racing threads decide the same.
    fn decide(&self, found: Option<Found>) -> u64 {
        let address = found.map_or(0, |found| found.address as u64);
        self.real.put(address);
        self.quiet.put(self.quiet_address(address));
        let hook = match self.shape {
            Shape::Delete => record_delete as *const (),
            _ => record_new as *const (),
        };
        let own = found.is_none_or(real::is_allocator);
        let target = if own { hook as u64 } else { address };
        self.target.publish(target);
        target
    }

    fn quiet_address(&self, address: u64) -> u64 {
        match self.shape {
            Shape::New(twin) | Shape::NewAligned(twin) => {
                find_symbol(twin, real::our_address()).map_or(0, |found| found.address as u64)
            }
            _ => address,
        }
    }

    fn next(&self) -> Option<Found> {
        find_symbol(self.name, real::our_address())
    }

    /// Decides now if some object defines the operator.
    pub(crate) fn prepare(&self) {
        if let Some(found) = self.next() {
            self.decide(Some(found));
        }
    }

    fn call_quiet(&self, arguments: [usize; 3]) -> Block {
        static NOTHROW: u8 = 0;
        let nothrow = (&raw const NOTHROW) as usize;
        let [size, second, third] = match (self.shape, arguments) {
            (Shape::New(_), [size, ..]) => [size, nothrow, 0],
            (Shape::NewAligned(_), [size, align, _]) => [size, align, nothrow],
            (_, all) => all,
        };
        match self.quiet.peek() {
            // No operator behind us: nobody but us defines it, so malloc's memory is as good as any and delete frees it.
            0 if self.real.peek() == 0 => match self.shape {
                Shape::NewAligned(_) | Shape::NewAlignedNothrow => real::memalign(second, size),
                _ => real::malloc(size),
            },
            0 => core::ptr::null_mut(),
            address => {
                // SAFETY: the address of the operator of this shape; surplus register arguments are ignored by the ABI.
                let function: unsafe extern "C" fn(usize, usize, usize) -> Block =
                    unsafe { core::mem::transmute(address) };
                // SAFETY: the target's own arguments.
                unsafe { function(size, second, third) }
            }
        }
    }
}

extern "C" fn decide(operator: &Operator) -> u64 {
    operator.decide(operator.next())
}

/// The body of an exported operator: jumps to its target with the arguments as they are and r11 = the operator.
macro_rules! forward {
    ($operator:path) => {
        core::arch::naked_asm!(
            ".cfi_startproc",
            "lea r11, [rip + {operator}]",
            "mov rax, qword ptr [r11]",
            "test rax, rax",
            "jz {undecided}",
            "jmp rax",
            ".cfi_endproc",
            operator = sym $operator,
            undecided = sym crate::operators::undecided,
        )
    };
}
pub(crate) use forward;

/// Where `forward` goes at an operator's first call: r11 = the operator.
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn undecided() {
    naked_asm!(
        ".cfi_startproc",
        "push rdi",
        ".cfi_adjust_cfa_offset 8",
        "push rsi",
        ".cfi_adjust_cfa_offset 8",
        "push rdx",
        ".cfi_adjust_cfa_offset 8",
        "push rcx",
        ".cfi_adjust_cfa_offset 8",
        "push r11",
        ".cfi_adjust_cfa_offset 8",
        "mov rdi, r11",
        "call {decide}",
        "pop r11",
        ".cfi_adjust_cfa_offset -8",
        "pop rcx",
        ".cfi_adjust_cfa_offset -8",
        "pop rdx",
        ".cfi_adjust_cfa_offset -8",
        "pop rsi",
        ".cfi_adjust_cfa_offset -8",
        "pop rdi",
        ".cfi_adjust_cfa_offset -8",
        "jmp rax",
        ".cfi_endproc",
        decide = sym decide,
    )
}

/// A recorded operator new: calls `on_new` and, where that gives nothing and the operator may throw, jumps to the real one.
#[unsafe(naked)]
unsafe extern "C" fn record_new() {
    naked_asm!(
        store_entry!(),
        "mov r8, rsp",
        "push rdi",
        ".cfi_adjust_cfa_offset 8",
        "push rsi",
        ".cfi_adjust_cfa_offset 8",
        "push r11",
        ".cfi_adjust_cfa_offset 8",
        "sub rsp, 8",
        ".cfi_adjust_cfa_offset 8",
        "mov rcx, r11",
        "call {hook}",
        "add rsp, 8",
        ".cfi_adjust_cfa_offset -8",
        "pop r11",
        ".cfi_adjust_cfa_offset -8",
        "pop rsi",
        ".cfi_adjust_cfa_offset -8",
        "pop rdi",
        ".cfi_adjust_cfa_offset -8",
        "add rsp, 56",
        ".cfi_adjust_cfa_offset -56",
        restore_registers!(),
        "test rax, rax",
        "jz 3f",
        "ret",
        "3:",
        "mov rdx, qword ptr [r11 + 8]",
        "cmp rdx, qword ptr [r11 + 16]",
        "je 4f",
        "jmp rdx",
        "4:",
        "ret",
        ".cfi_endproc",
        hook = sym on_new,
    )
}

/// A recorded operator delete.
#[unsafe(naked)]
unsafe extern "C" fn record_delete() {
    naked_asm!(
        store_entry!(),
        "mov r8, rsp",
        "mov rcx, r11",
        "call {hook}",
        "add rsp, 56",
        ".cfi_adjust_cfa_offset -56",
        restore_registers!(),
        "ret",
        ".cfi_endproc",
        hook = sym on_delete,
    )
}

extern "C" fn on_new(
    size: usize,
    second: usize,
    third: usize,
    operator: &Operator,
    entry: &Entry,
) -> Block {
    let hook = record::enter(entry);
    let block = operator.call_quiet([size, second, third]);
    if let Some(hook) = &hook {
        hook.allocated(block, size);
    }
    block
}

extern "C" fn on_delete(
    block: Block,
    second: usize,
    third: usize,
    operator: &Operator,
    entry: &Entry,
) {
    let hook = record::enter(entry);
    if let Some(hook) = &hook {
        hook.freed(block);
    }
    match operator.real.peek() {
        0 => real::free(block),
        address => {
            // SAFETY: the address of the operator of this name; surplus register arguments are ignored by the ABI.
            let function: unsafe extern "C" fn(Block, usize, usize) =
                unsafe { core::mem::transmute(address) };
            // SAFETY: the target's own arguments.
            unsafe { function(block, second, third) };
        }
    }
}
