//! The stack that gives a block back, where somebody wants to know it (`rings`): a site like any other.
//!
//! A hook that frees stores none of its caller's registers, since nobody asks for them but here: they are found by walking out of our own frames
//! (`heapshim_unwind::caller_registers`), and stand in the entry while the stack is walked as ever. So a free costs nothing for this while nobody asks.

use super::{OVERFLOW, Scratch, innermost};
use crate::bounds::StackMemory;
use crate::entry::Entry;
use crate::loader;
use crate::rules::RuleTable;
use crate::thread::State;
use crate::tracer::Tracer;
use core::arch::asm;
use heapshim_ledger::sites::SiteId;
use heapshim_unwind::{Registers, SAVED, caller_registers};

/// Of four quarters of the sites, and of the frames, those that stacks of frees may fill: the rest is the account's, which outlives the recording.
const QUARTERS: u64 = 3;

/// The site of the stack that called the hook which gives a block back, and holds its thread's guard. (Nobody passes the entry on for this: it would be kept in a
/// register through every free.)
#[cold]
#[inline(never)]
pub(crate) fn releasing(tracer: &Tracer, state: &State) -> SiteId {
    if !has_room(tracer) {
        return OVERFLOW;
    }
    // SAFETY: the hook that we are in holds the guard, and waits for us.
    let entry = unsafe { Entry::of_guard(state.guard()) };
    // SAFETY: the state is leased by this thread, and the guard keeps nested events away from the scratch.
    let scratch = unsafe { &mut *state.scratch.get() };
    scratch.capture_release(tracer, entry)
}

fn has_room(tracer: &Tracer) -> bool {
    let (sites, frames) = (&tracer.writer.sites, &tracer.writer.frames);
    let has = |len: u32, capacity: u32| u64::from(len) * 4 < u64::from(capacity) * QUARTERS;
    has(sites.len(), sites.capacity()) && has(frames.len(), frames.capacity())
}

impl Scratch {
    fn capture_release(&mut self, tracer: &Tracer, entry: &Entry) -> SiteId {
        let Some(registers) = self.callers_registers(here(), entry) else {
            return innermost(tracer, entry); // what called us is known all the same
        };
        let kept = entry.exchange_saved(registers);
        let site = self.capture(tracer, entry).site;
        entry.exchange_saved(kept);
        site
    }

    #[inline(never)]
    fn callers_registers(&mut self, from: Registers, entry: &Entry) -> Option<[u64; SAVED]> {
        let mut memory = StackMemory::new(&mut self.bounds, from.sp);
        let mut rules = RuleTable::new(loader::generation());
        caller_registers(from, entry.caller_sp(), &mut rules, &mut memory)
    }
}

/// The registers here: of the function that this is written into, which must not return while they are used.
#[inline(always)]
fn here() -> Registers {
    let mut words = [0u64; 2 + SAVED];
    // SAFETY: stores eight words into `words`; what `next` overwrites was the caller's, and its unwind information says where it is kept.
    unsafe {
        asm!(
            "lea {next}, [rip]",
            "mov [{at}], {next}",
            "mov [{at} + 8], rsp",
            "mov [{at} + 16], rbp",
            "mov [{at} + 24], rbx",
            "mov [{at} + 32], r12",
            "mov [{at} + 40], r13",
            "mov [{at} + 48], r14",
            "mov [{at} + 56], r15",
            at = in(reg) words.as_mut_ptr(),
            next = out(reg) _,
            options(nostack, preserves_flags),
        );
    }
    let [ip, sp, saved @ ..] = words;
    Registers::new(ip, sp, saved)
}
