//! The plain walk: a rule for each frame, applied until the stack ends or something is missing.
//!
//! The shim calls it (or [`Memo::walk`](crate::Memo::walk), which gives the same stack faster) on each allocation. It trusts
//! nothing it reads: [`Memory`] says what may be read, steps must go up the stack, and the length of `out` bounds the loop. It
//! deliberately knows no modules and keeps no state.

use crate::arch::{Registers, Rule};
use crate::section::RuleError;
use crate::words::Run;

/// The stack's memory, as far as it is known to be there.
pub trait Memory {
    /// The word at an address; `None` if it is not known to be readable. Also asked for unaligned and absurd addresses.
    fn read(&mut self, address: u64) -> Option<u64>;

    /// The return address above the frame pointer `bp` of code without unwind tables that runs with the stack pointer `sp`, as far as it can be told
    /// that this is one: code that keeps no frame pointer has any value there. `None` where it is none.
    fn caller_above(&mut self, sp: u64, bp: u64) -> Option<u64> {
        if bp < sp || bp & 7 != 0 {
            return None;
        }
        let address = self.read(bp.wrapping_add(8))?;
        (address != 0).then_some(address)
    }

    /// As `read`, but `None` also where more than one comparison would tell whether it may be read.
    #[inline(always)]
    fn read_near(&mut self, address: u64) -> Option<u64> {
        self.read(address)
    }

    /// Where memory differs from a run, seen from its innermost word outwards; `None` if it does not. Reads nothing outside of the difference.
    #[inline]
    fn first_difference(&mut self, run: Run<'_>) -> Option<usize> {
        let mut words = run.words().iter();
        words.rposition(|word| self.read(word.address()) != Some(word.value()))
    }
}

impl<F: FnMut(u64) -> Option<u64>> Memory for F {
    #[inline]
    fn read(&mut self, address: u64) -> Option<u64> {
        self(address)
    }
}

/// Where rules come from: a table, filled from [`Section`](crate::Section)s.
pub trait Rules {
    /// The rule for the code at `pc`, the address to look up as it is: of a return address, one less (`exact` is false); the
    /// instruction itself where a signal interrupted it (`exact` is true).
    ///
    /// # Errors
    /// Why there is none: the walk ends there, and its [`End`] says so.
    fn rule(&mut self, pc: u64, exact: bool) -> Result<Rule, RuleError>;
}

/// What a step came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The registers are the caller's; `ip` is a return address.
    Caller,
    /// The registers are those of code that a signal interrupted; `ip` is the instruction to be run next.
    Interrupted,
    /// There is no caller.
    Outermost,
}

/// Why a step cannot be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WalkError {
    /// A word that the rule needs may not be read.
    Unreadable,
    /// The caller's frame is not above this one, or not aligned.
    Corrupt,
    /// The unwind tables say what no rule can.
    Unsupported,
    /// There are no unwind tables, and no frame pointer either.
    NoFrame,
}

/// How a walk ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum End {
    /// At the outermost function. The first: zeros are a valid memo.
    Complete,
    /// There are more frames than places for them.
    TooDeep,
    /// The last frame is in code without unwind tables.
    NoRule,
    /// As [`WalkError::Unreadable`].
    Unreadable,
    /// As [`WalkError::Corrupt`].
    Corrupt,
    /// As [`WalkError::Unsupported`]; also malformed tables.
    Unsupported,
}

/// One frame of a stack.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Frame {
    /// A return address, or after a signal frame the interrupted instruction.
    pub address: u64,
    /// The frame's stack pointer: above the slot that held the return address.
    pub sp: u64,
    /// Whether `address` is the interrupted instruction itself, and not one past a call.
    pub exact: bool,
}

/// What a walk came to: `len` frames in `out`, innermost first, then `shared` more that are the previous walk's outermost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Walked {
    /// How many frames were written.
    pub len: usize,
    /// How many outermost frames were not written since they are the outermost frames of the previous walk, which ended as this
    /// one; 0 without a memo.
    pub shared: usize,
    /// How it ended.
    pub end: End,
    /// The `len` frames are not written: they are [`Memo::kept`](crate::Memo::kept).
    pub is_kept: bool,
}

impl From<WalkError> for End {
    fn from(error: WalkError) -> Self {
        match error {
            WalkError::Unreadable => End::Unreadable,
            WalkError::Corrupt => End::Corrupt,
            WalkError::Unsupported => End::Unsupported,
            WalkError::NoFrame => End::NoRule,
        }
    }
}

impl From<RuleError> for End {
    fn from(error: RuleError) -> Self {
        match error {
            RuleError::NoRule => End::NoRule,
            RuleError::Malformed | RuleError::Unsupported => End::Unsupported,
        }
    }
}

/// Walks from `registers` (a hook's caller: `ip` is the hook's return address and becomes the first frame) outwards.
///
/// Reads nothing of a frame before the frame inside it was stepped out of, and the slot of a saved register only when a rule asks for it. At most as many
/// frames are written as `out` has places: a stack that has more ends as [`End::TooDeep`].
pub fn walk(
    registers: Registers,
    rules: &mut impl Rules,
    memory: &mut impl Memory,
    out: &mut [Frame],
) -> Walked {
    let mut at = Position::new(registers);
    let mut len = 0usize;
    let end = loop {
        let Some(place) = out.get_mut(len) else {
            break End::TooDeep;
        };
        *place = at.frame();
        len = len.wrapping_add(1);
        match at.rule(rules).and_then(|rule| at.step(rule, memory)) {
            Ok(()) => (),
            Err(end) => break end,
        }
    };
    Walked {
        len,
        shared: 0,
        end,
        is_kept: false,
    }
}

/// Where a walk stands: a frame's registers, and what kind of address its `ip` is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Position {
    pub(crate) registers: Registers,
    pub(crate) exact: bool,
}

impl Position {
    /// At a hook's caller. r10 does not survive a call, whatever the caller of the walk put there.
    pub(crate) fn new(registers: Registers) -> Self {
        Position {
            registers: Registers {
                r10: 0,
                ..registers
            },
            exact: false,
        }
    }

    pub(crate) fn frame(&self) -> Frame {
        Frame {
            address: self.registers.ip,
            sp: self.registers.sp,
            exact: self.exact,
        }
    }

    /// The rule for this frame: a call may be a function's last instruction, so that its return address is in the next one.
    pub(crate) fn rule(&self, rules: &mut impl Rules) -> Result<Rule, End> {
        let back = if self.exact { 0 } else { 1 };
        let pc = self.registers.ip.wrapping_sub(back);
        match rules.rule(pc, self.exact) {
            // It may be interrupted before its frame is there, and the frame pointer be its caller's.
            Ok(Rule::FRAME_POINTER) if self.exact => Err(End::NoRule),
            found => found.map_err(End::from),
        }
    }

    /// Goes on to the caller, or says how the stack ends here.
    #[inline(always)]
    pub(crate) fn step(&mut self, rule: Rule, memory: &mut impl Memory) -> Result<(), End> {
        match rule.step(&mut self.registers, memory)? {
            Step::Caller => self.exact = false,
            Step::Interrupted => self.exact = true,
            Step::Outermost => return Err(End::Complete),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::ffi::c_void;

    use super::*;
    use crate::calls::{CALLERS, heapshim_unwind_trap};
    use crate::testing::{Process, Stack, Words, capture};

    thread_local! {
        static STACK: RefCell<Vec<Frame>> = const { RefCell::new(Vec::new()) };
    }

    /// Walks from its own frame, and checks all frames outside it against the `backtrace` crate's.
    #[inline(never)]
    fn compare() {
        let registers = capture();
        let mut out = [Frame::default(); 256];
        let mut stack = Stack::of_this_thread();
        let walked = walk(registers, &mut Process::new(), &mut stack, &mut out);
        let mut expected: Vec<u64> = Vec::new();
        backtrace::trace(|frame| {
            // It ends a thread's stack with a frame of address 0.
            expected.extend(Some(frame.ip().addr() as u64).filter(|&ip| ip != 0));
            true
        });
        assert_eq!(walked.end, End::Complete);
        assert!(walked.len > 3);
        let frames = &out[..walked.len];
        let found: Vec<u64> = frames.iter().map(|frame| frame.address).collect();
        let inner = expected.len() - found.len();
        assert_eq!(&expected[inner + 1..], &found[1..]);
        STACK.with_borrow_mut(|stack| *stack = frames.to_vec());
    }

    extern "C" fn compare_in_callback(_: *mut c_void) {
        compare();
    }

    extern "C" fn compare_in_sort(_: *const c_void, _: *const c_void) -> libc::c_int {
        compare();
        0
    }

    extern "C" fn compare_in_handler(_: libc::c_int) {
        compare();
    }

    /// Check that a plain Rust stack is the one that `backtrace` finds.
    #[test]
    fn rust_stack() {
        compare();
    }

    /// Check that frames on any register, and realigned ones, are walked through.
    #[test]
    fn every_kind_of_frame() {
        extern "C" fn nested(level: *mut c_void) {
            let level = level.addr();
            let Some(caller) = CALLERS.get(level) else {
                return compare();
            };
            // SAFETY: these functions only call what they are given.
            unsafe { caller(nested, std::ptr::without_provenance_mut(level + 1), 48) };
        }
        nested(std::ptr::null_mut());
        for caller in CALLERS {
            // SAFETY: as above.
            unsafe { caller(compare_in_callback, std::ptr::null_mut(), 160) };
        }
    }

    /// Check that libc's frames are walked through.
    #[test]
    fn callback_from_libc() {
        let mut words = [2u32, 1];
        // SAFETY: the words are there, and the comparison accepts any.
        unsafe { libc::qsort(words.as_mut_ptr().cast(), 2, 4, Some(compare_in_sort)) };
    }

    fn handle(signal: libc::c_int) {
        // SAFETY: zero is no flags, an empty mask, no restorer.
        let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
        action.sa_sigaction = compare_in_handler as *const () as usize;
        // SAFETY: the handler lives as long as the process.
        unsafe { libc::sigaction(signal, &raw const action, std::ptr::null_mut()) };
    }

    /// Check that the walk goes on through a signal frame, and knows which address is exact.
    #[test]
    fn through_a_signal() {
        handle(libc::SIGUSR1);
        // SAFETY: the handler is set.
        unsafe { libc::raise(libc::SIGUSR1) };
        let exact = STACK.with_borrow(|stack| stack.iter().filter(|frame| frame.exact).count());
        assert_eq!(exact, 1);
    }

    /// Check that a function interrupted at its first instruction, where pc - 1 is another's, is walked through.
    #[test]
    fn interrupted_at_the_first_instruction() {
        extern "C" fn skip(
            _: libc::c_int,
            _: *mut libc::siginfo_t,
            context: *mut libc::ucontext_t,
        ) {
            compare();
            // SAFETY: the kernel passes a valid context.
            unsafe { (*context).uc_mcontext.gregs[libc::REG_RIP as usize] += 2 };
        }
        // SAFETY: zero is no flags, an empty mask, no restorer.
        let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
        action.sa_flags = libc::SA_SIGINFO;
        action.sa_sigaction = skip as *const () as usize;
        // SAFETY: the handler lives as long as the process.
        unsafe { libc::sigaction(libc::SIGILL, &raw const action, std::ptr::null_mut()) };
        // SAFETY: the handler steps over the trap.
        unsafe { heapshim_unwind_trap() };
    }

    struct OneRule(Result<Rule, RuleError>);

    impl Rules for OneRule {
        fn rule(&mut self, _pc: u64, _exact: bool) -> Result<Rule, RuleError> {
            self.0
        }
    }

    fn end(rule: Result<Rule, RuleError>, places: usize) -> (usize, End) {
        let mut out = vec![Frame::default(); places];
        let registers = Registers::new(1, 0x1000, [0; crate::SAVED]);
        let walked = walk(
            registers,
            &mut OneRule(rule),
            &mut Words::new(&[]),
            &mut out,
        );
        (walked.len, walked.end)
    }

    /// Check how a walk ends that cannot go on.
    #[test]
    fn ends() {
        assert_eq!(end(Ok(Rule::OUTERMOST), 1), (1, End::Complete));
        assert_eq!(end(Ok(Rule::OUTERMOST), 0), (0, End::TooDeep));
        assert_eq!(end(Ok(Rule::UNSUPPORTED), 9), (1, End::Unsupported));
        assert_eq!(end(Ok(Rule::SIGNAL), 9), (1, End::Unreadable));
        assert_eq!(end(Err(RuleError::NoRule), 9), (1, End::NoRule));
        assert_eq!(end(Err(RuleError::Malformed), 9), (1, End::Unsupported));
    }

    /// Check that signal frames that name themselves do not make the walk endless.
    #[test]
    fn endless_signals_are_bounded() {
        let mut out = [Frame::default(); 64];
        let registers = Registers::new(1, 0x1000, [0; crate::SAVED]);
        let mut memory = |_: u64| Some(0x1000);
        let walked = walk(
            registers,
            &mut OneRule(Ok(Rule::SIGNAL)),
            &mut memory,
            &mut out,
        );
        assert_eq!((walked.len, walked.end), (64, End::TooDeep));
    }
}
