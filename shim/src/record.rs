//! One event: guard, site, shadow, counters. The path of every malloc and free.
//!
//! [`enter`] gives a [`Hook`] while this process is traced; dropping it ends the guard. An event inside another's hook (a signal handler,
//! an allocator that calls itself) is *nested*: its shadow entry and counters are right, its stack is its innermost frame, and
//! it is counted. The guard is the stack pointer of the hook that holds it, so that a hook which a longjmp has left is noticed.

use crate::entry::Entry;
use crate::real::Block;
use crate::shadow::{self, Live, Put};
use crate::stack;
use crate::thread::{self, Attached};
use crate::tracer::{self, Tracer};
use crate::{loader, start};
use heapshim_ledger::layout::OVERFLOW_SITE;
use heapshim_ledger::sites::SiteId;
use heapshim_ledger::sync::Word;

/// The guard of one event.
#[derive(Debug)]
pub(crate) struct Hook<'e> {
    tracer: &'static Tracer,
    thread: Attached,
    entry: &'e Entry,
    nested: bool,
}

/// Begins an event. None where this process is not traced (yet, or at all).
#[inline(always)]
pub(crate) fn enter(entry: &Entry) -> Option<Hook<'_>> {
    if !tracer::armed() && !start::start() {
        return None;
    }
    loader::note_caller(entry.return_address);
    let tracer = tracer::get()?;
    let thread = thread::current(tracer)?;
    let nested =
        thread.state.is_none() || (thread.entry.in_hook.peek() != 0 && !was_left(&thread, entry));
    if nested {
        thread.count(&thread.entry.nested);
        thread.enter_shared();
    } else {
        thread.entry.in_hook.put(entry.caller_sp());
    }
    Some(Hook {
        tracer,
        thread,
        entry,
        nested,
    })
}

/// True where the hook that holds the guard is no longer on the stack: a signal handler has left it by longjmp. Both stack pointers must
/// lie on the thread's own stack, since a handler's stack may lie anywhere.
#[cold]
#[inline(never)]
fn was_left(thread: &Attached, entry: &Entry) -> bool {
    let Some(state) = thread.state else {
        return false;
    };
    let guard = thread.entry.in_hook.peek();
    // SAFETY: used by this thread alone. Where the hook was not left, only its bounds are read here.
    let scratch = unsafe { &mut *state.scratch.get() };
    let left = entry.caller_sp() > guard && scratch.owns(guard) && scratch.owns(entry.caller_sp());
    if left {
        scratch.abandon();
    }
    left
}

impl Hook<'_> {
    /// Charges a block that the allocator has just given to the stack that asked for it.
    #[inline]
    pub(crate) fn allocated(&self, block: Block, size: usize) {
        if block.is_null() {
            return;
        }
        let site = self.site();
        let live = Live {
            site,
            size: size as u64,
        };
        match shadow::put(block.addr(), live) {
            Put::New => (),
            Put::Replaced(before) => self.thread.slot.freed(before.site, before.size),
            Put::NoRoom => return self.thread.count(&self.thread.entry.untracked),
        }
        self.thread.slot.allocated(site, live.size);
        if site == SiteId(OVERFLOW_SITE) {
            self.thread.count(&self.thread.entry.overflow);
        }
    }

    /// Takes a block off its site's account, before the allocator has it back.
    #[inline]
    pub(crate) fn freed(&self, block: Block) {
        self.charge_freed(block, self.take(block));
    }

    /// Takes a block's entry out of the shadow without charging anybody yet.
    #[inline]
    pub(crate) fn take(&self, block: Block) -> Option<Live> {
        shadow::take(block.addr())
    }

    /// Puts back what `take` took: the block is still what it was.
    pub(crate) fn put_back(&self, block: Block, taken: Option<Live>) {
        if let Some(live) = taken {
            shadow::put(block.addr(), live);
        }
    }

    /// Charges a free to the site that the block came from.
    #[inline]
    pub(crate) fn charge_freed(&self, block: Block, taken: Option<Live>) {
        match taken {
            Some(live) => self.thread.slot.freed(live.site, live.size),
            None if block.is_null() => (),
            None => self.thread.count(&self.thread.entry.foreign_frees),
        }
    }

    #[inline(always)]
    fn site(&self) -> SiteId {
        let Some(state) = self.thread.state.filter(|_| !self.nested) else {
            return stack::innermost(self.tracer, self.entry);
        };
        // SAFETY: the state is leased by this thread, and the guard keeps nested events away from the scratch.
        let scratch = unsafe { &mut *state.scratch.get() };
        let captured = scratch.capture(self.tracer, self.entry);
        let entry = self.thread.entry;
        self.thread.count(&entry.walks);
        self.thread.count(if captured.remembered {
            &entry.memo_hits
        } else {
            &entry.memo_misses
        });
        if captured.truncated {
            self.thread.count(&entry.truncated);
        }
        captured.site
    }
}

impl Drop for Hook<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        if self.nested {
            self.thread.leave_shared();
        } else {
            self.thread.entry.in_hook.put(0);
            thread::promote_sometimes(self.tracer, &self.thread);
        }
    }
}
