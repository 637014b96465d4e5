//! The process-wide state: the ledger's tables, and whether this process is traced at all.
//!
//! `ARMED` is the word that every hook tests. It lies alone on a page that the kernel wipes in every forked child, however the child was
//! made, so that a child never writes its parent's account: its first event finds zero and goes to `init`.

use crate::options::Options;
use crate::sys;
use heapshim_ledger::Writer;
use heapshim_ledger::layout::{Complaint, Header};
use heapshim_ledger::rings::Rings;
use heapshim_ledger::sync::{AtomicU64, Word};
use once_cell::race::OnceRef;

/// What start-up made. Lives in private memory; all that it refers to stays mapped at the same addresses, in forked children too.
#[derive(Debug)]
pub(crate) struct Tracer {
    /// The ledger.
    pub(crate) writer: Writer<'static>,
    /// Where events go while a reader wants them; None where there is no room for that.
    pub(crate) rings: Option<Rings<'static>>,
    /// Frames kept of a stack.
    pub(crate) depth: usize,
    /// What the environment asked for at the start.
    pub(crate) options: Options,
}

/// Tells readers of this account something that they should know; any thread may.
pub(crate) fn note(header: &Header, complaint: Complaint) {
    let mut bits = header.complaints.peek();
    while let Err(now) = header.complaints.claim(bits, bits | complaint as u32) {
        bits = now;
    }
}

/// A page of its own.
#[derive(Debug)]
#[repr(C, align(4096))]
pub(crate) struct ArmedPage {
    word: AtomicU64,
    rest: [u64; 511],
}

/// The word is its first, which trampolines ask for (`entry`).
pub(crate) static ARMED: ArmedPage = ArmedPage {
    word: AtomicU64::new(0),
    rest: [0; 511],
};
static TRACER: OnceRef<'static, Tracer> = OnceRef::new();

/// True where events of this process go into its own ledger.
#[inline(always)]
pub(crate) fn armed() -> bool {
    word() != 0
}

/// What is recorded (`sampling`), 0 where nothing may be: not before the start, and not in a forked child before its first event.
#[inline(always)]
pub(crate) fn word() -> u64 {
    ARMED.word.observe()
}

/// Lets the hooks record: after everything is in place (Release; pairs with `word`).
pub(crate) fn arm(word: u64) {
    ARMED.word.publish(word);
}

/// Has the page wiped in forked children. False where the kernel cannot (before 4.14): then nothing may be traced.
pub(crate) fn wipe_when_forked() -> bool {
    sys::wipe_on_fork((&raw const ARMED) as usize, size_of::<ArmedPage>()).is_ok()
}

/// The tracer; None before start-up.
#[inline(always)]
pub(crate) fn get() -> Option<&'static Tracer> {
    TRACER.get()
}

/// True where the ledger in memory is this process's: not in a vfork child, nor in a forked child before its first event.
pub(crate) fn is_own_process() -> bool {
    get().is_some_and(|tracer| tracer.writer.header.pid.peek() == sys::pid())
}

/// Stores the tracer, once.
pub(crate) fn set(tracer: Tracer) -> bool {
    let Ok(memory) = sys::map_private(size_of::<Tracer>()) else {
        return false;
    };
    let place = memory.cast::<Tracer>();
    // SAFETY: fresh private memory, page-aligned, large enough.
    unsafe { place.write(tracer) };
    // SAFETY: initialised just now, and never unmapped or changed.
    TRACER.set(unsafe { place.as_ref() }).is_ok()
}
