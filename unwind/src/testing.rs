//! What the tests of several files share: fake and real memory, the rules of this process, registers, chance.
//!
//! Compiled for tests only. `Process` does for a test what the shim does for a target, slowly and with `std`.

use std::arch::global_asm;
use std::collections::HashMap;

use crate::{
    End, Entry, Frame, Lean, Memo, Memory, Registers, Rule, RuleError, Rules, SAVED, Section,
    Walked,
};

impl<const N: usize> Memo<N> {
    /// As `walk_lean`, and where that gives nothing `walk`, but writes what others may know of the frames.
    pub(crate) fn walk_to(
        &mut self,
        registers: Registers,
        rules: &mut impl Rules,
        memory: &mut impl Memory,
        out: &mut [Frame],
    ) -> Walked {
        let from = (registers.ip, registers.sp);
        match self.walk_lean(from, out.len(), rules, memory) {
            Some(lean) => self.write_lean(lean, out),
            None => self.walk_by_chain_to(registers, rules, memory, out),
        }
    }

    /// As `walk_to`, but never lean.
    pub(crate) fn walk_by_chain_to(
        &mut self,
        registers: Registers,
        rules: &mut impl Rules,
        memory: &mut impl Memory,
        out: &mut [Frame],
    ) -> Walked {
        let mut entries = vec![Entry::EMPTY; out.len()];
        let from = (registers.ip, registers.sp);
        let walked = self.walk(from, &registers.saved, rules, memory, &mut entries);
        if walked.is_kept {
            let kept = self.kept(&walked).iter().rev();
            entries
                .iter_mut()
                .zip(kept)
                .for_each(|(place, entry)| *place = *entry);
        }
        let written = entries.iter().take(walked.len);
        out.iter_mut()
            .zip(written)
            .for_each(|(place, entry)| *place = entry.frame());
        walked
    }

    fn write_lean(&self, lean: Lean, out: &mut [Frame]) -> Walked {
        let frames = self.lean_frames(&lean);
        assert_eq!(frames.len(), lean.len);
        for (place, slot) in out.iter_mut().zip(frames.iter().rev()) {
            *place = Frame {
                address: slot.value(),
                sp: slot.address() + 8,
                exact: false,
            };
        }
        Walked {
            len: lean.len,
            shared: lean.shared,
            end: End::Complete,
            is_kept: true,
        }
    }
}

/// Memory of a few words.
pub(crate) struct Words(HashMap<u64, u64>);

impl Words {
    pub(crate) fn new(words: &[(u64, u64)]) -> Self {
        Words(words.iter().copied().collect())
    }
}

impl Memory for Words {
    fn read(&mut self, address: u64) -> Option<u64> {
        self.0.get(&address).copied()
    }
}

/// A small generator (splitmix64), so that a failure comes again.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        size(self.next() % bound as u64)
    }
}

/// A word as a size.
pub(crate) fn size(word: u64) -> usize {
    usize::try_from(word).expect("a 64-bit machine")
}

/// The calling thread's stack, read directly.
pub(crate) struct Stack {
    low: u64,
    high: u64,
}

impl Stack {
    pub(crate) fn of_this_thread() -> Self {
        // SAFETY: attributes are plain data; pthread_getattr_np fills them in.
        let mut attributes: libc::pthread_attr_t = unsafe { std::mem::zeroed() };
        // SAFETY: it only asks.
        let this = unsafe { libc::pthread_self() };
        let (mut low, mut length) = (std::ptr::null_mut(), 0usize);
        // SAFETY: the current thread exists, and the attributes are ours to be written.
        let error = unsafe { libc::pthread_getattr_np(this, &raw mut attributes) };
        assert_eq!(error, 0);
        // SAFETY: the attributes are filled in, the results are ours.
        unsafe {
            libc::pthread_attr_getstack(&raw const attributes, &raw mut low, &raw mut length)
        };
        // SAFETY: nobody uses them after this.
        unsafe { libc::pthread_attr_destroy(&raw mut attributes) };
        let low = low.addr() as u64;
        Stack {
            low,
            high: low + length as u64,
        }
    }
}

impl Memory for Stack {
    fn read(&mut self, address: u64) -> Option<u64> {
        let is_there = address >= self.low && address.checked_add(8)? <= self.high;
        let pointer = std::ptr::with_exposed_provenance::<u64>(size(address));
        // SAFETY: the word lies in the stack of this thread, which only this thread changes.
        is_there.then(|| unsafe { pointer.read_unaligned() })
    }
}

/// One module: its code, and its unwind tables.
#[derive(Clone, Copy)]
pub(crate) struct Module {
    code: (u64, u64),
    pub(crate) bytes: &'static [u8],
    pub(crate) address: u64,
}

/// The modules of this process, and the rules found so far.
pub(crate) struct Process {
    pub(crate) modules: Vec<Module>,
    known: HashMap<u64, Result<Rule, RuleError>>,
    pub(crate) lookups: usize,
}

impl Process {
    pub(crate) fn new() -> Self {
        let mut modules: Vec<Module> = Vec::new();
        // SAFETY: `visit` takes the vector that is passed, and nobody else has it meanwhile.
        unsafe { libc::dl_iterate_phdr(Some(visit), (&raw mut modules).cast()) };
        Process {
            modules,
            known: HashMap::new(),
            lookups: 0,
        }
    }

    pub(crate) fn compile(&self, pc: u64) -> Result<Rule, RuleError> {
        let is_inside = |module: &&Module| module.code.0 <= pc && pc < module.code.1;
        let module = self
            .modules
            .iter()
            .find(is_inside)
            .ok_or(RuleError::NoRule)?;
        let section = Section::new(module.bytes, module.address, 0).ok_or(RuleError::Malformed)?;
        section.rule(pc)
    }
}

impl Rules for Process {
    fn rule(&mut self, pc: u64, _exact: bool) -> Result<Rule, RuleError> {
        self.lookups += 1;
        if let Some(known) = self.known.get(&pc) {
            return *known;
        }
        let rule = self.compile(pc);
        self.known.insert(pc, rule);
        rule
    }
}

unsafe extern "C" fn visit(
    info: *mut libc::dl_phdr_info,
    _size: libc::size_t,
    modules: *mut libc::c_void,
) -> libc::c_int {
    // SAFETY: the dynamic loader passes a valid description.
    let info = unsafe { info.read() };
    // SAFETY: it says how many program headers there are.
    let headers = unsafe { std::slice::from_raw_parts(info.dlpi_phdr, info.dlpi_phnum.into()) };
    // SAFETY: `Process::new` passes its vector.
    let modules = unsafe { &mut *modules.cast::<Vec<Module>>() };
    let range = |header: &libc::Elf64_Phdr| {
        let begin = info.dlpi_addr + header.p_vaddr;
        (begin, begin + header.p_memsz)
    };
    let segments = || {
        headers
            .iter()
            .filter(|header| header.p_type == libc::PT_LOAD)
            .map(range)
    };
    let Some(unwind) = headers
        .iter()
        .find(|header| header.p_type == libc::PT_GNU_EH_FRAME)
    else {
        return 0;
    };
    let address = range(unwind).0;
    let end = segments()
        .find(|segment| segment.0 <= address && address < segment.1)
        .unwrap()
        .1;
    let pointer = std::ptr::with_exposed_provenance::<u8>(size(address));
    // SAFETY: the segment is mapped as long as the module is, and tests unload none.
    let bytes = unsafe { std::slice::from_raw_parts(pointer, size(end - address)) };
    let code = headers
        .iter()
        .filter(|header| header.p_type == libc::PT_LOAD && header.p_flags & libc::PF_X != 0);
    modules.extend(code.map(range).map(|code| Module {
        code,
        bytes,
        address,
    }));
    0
}

// Stores the registers of its caller as they are after it returned: rip, rsp, rbp, rbx, r12 .. r15.
global_asm!(
    ".globl heapshim_unwind_capture",
    "heapshim_unwind_capture:",
    ".cfi_startproc",
    "mov rax, [rsp]",
    "mov [rdi], rax",
    "lea rax, [rsp + 8]",
    "mov [rdi + 8], rax",
    "mov [rdi + 16], rbp",
    "mov [rdi + 24], rbx",
    "mov [rdi + 32], r12",
    "mov [rdi + 40], r13",
    "mov [rdi + 48], r14",
    "mov [rdi + 56], r15",
    "ret",
    ".cfi_endproc",
);

unsafe extern "C" {
    fn heapshim_unwind_capture(words: *mut [u64; 2 + SAVED]);
}

/// The caller's registers, as a hook would have them. The caller's frame must live as long as they are used.
#[inline(always)]
pub(crate) fn capture() -> Registers {
    let mut words = [0; 2 + SAVED];
    // SAFETY: it writes these words and nothing else.
    unsafe { heapshim_unwind_capture(&raw mut words) };
    let [ip, sp, saved @ ..] = words;
    Registers::new(ip, sp, saved)
}
