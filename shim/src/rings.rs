//! Events for a reader outside, while one is there: the producers' half of the rings (`heapshim_ledger::rings`).
//!
//! Each event asks one word whether anybody wants it, on a page of its own that is the control file's first: two instructions where nobody does. (The word's other
//! half is the mode that somebody has asked for: `sampling::follow`.)
//! Where a ring is full the hook waits, for a bounded time once each time that the reader has stood still, then drops and counts; the account in the ledger
//! is exact either way. A reader that asked for every event is waited for as long as it lives: the kernel writes into the control page that it has ended (a robust futex of its
//! own), which costs a hook a load; where the kernel was not asked, and for one that is stopped, its lease counts. A request that is over is ended here, by whichever event comes next.
//!
//! Nothing that the reader writes is believed beyond what it costs to be wrong: an address is masked, a wait is bounded.

use crate::cohorts::Cohort;
use crate::shadow::Live;
use crate::sys::{self, Descriptor};
use crate::thread::State;
use crate::{modules, sampling, stack, start, tracer};
use core::mem::offset_of;
use core::ptr::NonNull;
use heapshim_ledger::Region;
use heapshim_ledger::layout::{Control, MAGIC, RINGS, RingFlag, SHARED_SLOT};
use heapshim_ledger::rings::{self, Event, Operation, Rings};
use heapshim_ledger::sampling::Mode;
use heapshim_ledger::sites::SiteId;
use heapshim_ledger::sync::{AtomicU32, AtomicU64, Word};

/// Ticks for which a full ring is waited for: one to four milliseconds. A reader looks a thousand times a second.
const WAIT: u64 = 4_000_000;
/// Ticks for which a reader that has yet to come is waited for: ten to thirty seconds, since a loaded machine may start it late.
const FIRST_LEASE: u64 = 30_000_000_000;
/// Looks at a full ring where there is no clock to tell the time: some milliseconds of them.
const LOOKS: u32 = 1 << 14;
/// Pauses of the processor between two looks.
const PAUSES: u32 = 64;

/// Of whom it is not known who freed it, or who was not freed.
pub(crate) const NOBODY: SiteId = SiteId(0);

/// What a reader that is on its way will want.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// Every event.
    Events,
    /// And the stack of each free.
    FreeStacks,
}

/// A page of its own: the control file's is mapped over it. Until then nobody wants anything.
#[derive(Debug)]
#[repr(C, align(4096))]
pub(crate) struct ControlPage {
    words: [AtomicU64; 512],
}

pub(crate) static CONTROL: ControlPage = ControlPage {
    words: [const { AtomicU64::new(0) }; 512],
};
/// Where the whole control file is mapped; 0 = nowhere.
static BASE: AtomicU64 = AtomicU64::new(0);
/// Events that a ring has room for; 0 = there are none.
static CAPACITY: AtomicU32 = AtomicU32::new(0);
/// By ring: one more than the cursor at which its reader was waited for in vain.
static STUCK: [AtomicU64; RINGS] = [const { AtomicU64::new(0) }; RINGS];

const _: () = assert!(size_of::<ControlPage>() == size_of::<Control>());
const _: () = assert!(offset_of!(Control, mode) % 8 == 0);
const _: () = assert!(offset_of!(Control, rings) == offset_of!(Control, mode) + 4);

/// Where the word lies in it that asks for a mode, for trampolines.
pub(crate) const MODE: usize = offset_of!(Control, mode);

/// The control page.
#[inline(always)]
fn control() -> &'static Control {
    // SAFETY: as large as `Control`, which is made of atomics, and never unmapped.
    unsafe { &*(&raw const CONTROL).cast::<Control>() }
}

/// True while a reader wants events, or somebody another mode (`sampling`): `Control::rings` and `Control::mode` in two instructions. (Of an atomic load the
/// compiler makes three.)
#[inline(always)]
pub(crate) fn are_asked() -> bool {
    let mut asked = false;
    // SAFETY: reads one aligned word of a page that is never unmapped; the flags are all that changes.
    unsafe {
        core::arch::asm!("cmp qword ptr [rip + {page} + {mode}], 0", "jne {yes}", page = sym CONTROL,
            mode = const offset_of!(Control, mode), yes = label { asked = true }, options(nostack, readonly));
    }
    asked
}

/// The cohort that a block is born in now. (One load, as above.)
#[inline(always)]
pub(crate) fn cohort() -> Cohort {
    let word: u32;
    // SAFETY: reads one aligned word of a page that is never unmapped; nothing else changes.
    unsafe {
        core::arch::asm!("mov {word:e}, dword ptr [rip + {page} + {cohort}]", word = out(reg) word, page = sym CONTROL,
            cohort = const offset_of!(Control, cohort), options(nostack, readonly, preserves_flags));
    }
    Cohort::of_word(word)
}

/// True while a reader wants the stack of each free.
fn wants_free_stacks() -> bool {
    control().wants_events() && control().wants_free_stacks()
}

/// True while a mode is asked for that nobody has taken.
#[inline(always)]
pub(crate) fn is_mode_asked() -> bool {
    control().mode.peek() != 0
}

/// Takes it, for the one who is to switch. Only this process's may be taken: the caller has seen that it is armed.
pub(crate) fn take_mode() -> Option<Mode> {
    control().take_mode()
}

/// Bytes of the control file that leaves most of `room` to the ledger.
pub(crate) fn file_bytes(room: u64) -> u64 {
    rings::file_bytes(rings::fit(room / 8))
}

/// Bytes of this process's control file; a forked child's is as large.
pub(crate) fn own_bytes() -> u64 {
    rings::file_bytes(CAPACITY.peek())
}

/// Maps a new control file of `bytes` and writes its head. With `wanted` the rings are on from the first event, for a reader that is on its way.
/// None where there is no memory for it.
pub(crate) fn install(
    file: Descriptor,
    bytes: u64,
    identity: u64,
    wanted: Option<Wanted>,
) -> Option<()> {
    let len = usize::try_from(bytes).ok()?;
    let page = NonNull::new((&raw const CONTROL).cast_mut().cast::<u8>())?;
    match NonNull::new(core::ptr::with_exposed_provenance_mut::<u8>(
        usize::try_from(BASE.peek()).ok()?,
    )) {
        // SAFETY: a forked child's, over its parent's: as long, and the same words lie at the same places.
        Some(base) => unsafe { sys::map_over(base, file, len) }.ok()?,
        None => {
            let base = sys::map_shared(file, len, true).ok()?;
            BASE.put(base.expose_provenance().get() as u64);
            CAPACITY.put(rings::fit(bytes));
        }
    }
    // In a forked child, the parent's word: blocks that it inherits are older than any mark of its own.
    let inherited = control().cohort.peek();
    // SAFETY: a page of ours, made for this; the file's first page is a `Control`.
    unsafe { sys::map_over(page, file, size_of::<Control>()) }.ok()?;
    let control = control();
    // Before the identity: whoever asks for a cohort has seen that.
    if inherited != 0 {
        control.cohort.put(inherited);
        let _begun = control.begin_cohort();
    }
    control.magic.put(MAGIC);
    control.identity.put(identity);
    control.ring_capacity.put(CAPACITY.peek());
    if let Some(wanted) = wanted {
        want(control, wanted);
    }
    Some(())
}

fn want(control: &Control, wanted: Wanted) {
    let now = sys::ticks();
    control.start_ticks.put(now);
    control.lease.put(now.wrapping_add(FIRST_LEASE));
    let stacks = match wanted {
        Wanted::Events => 0,
        Wanted::FreeStacks => RingFlag::FreeStacks as u32,
    };
    control.ring_flags.put(RingFlag::Lossless as u32 | stacks);
    control.ask(0);
}

/// The rings of this process's control file.
pub(crate) fn open() -> Option<Rings<'static>> {
    let base = usize::try_from(BASE.peek()).ok()?;
    let memory = core::ptr::with_exposed_provenance::<u8>(base);
    // SAFETY: mapped by `install`, readable and writable, page-aligned, never unmapped (a forked child maps its own over it), sealed against
    // shrinking, and accessed through atomics alone.
    let region = unsafe { Region::new(memory, rings::file_bytes(CAPACITY.peek())) };
    Rings::open(&region, CAPACITY.peek()).ok()
}

/// Does what is asked for: switches to another mode, or tells the reader of an event. `index` is the thread's, u32::MAX where it has none; `freed_by` the site of the
/// stack that gave the block back, 0 where that is not known.
#[cold]
#[inline(never)]
pub(crate) fn tell(operation: Operation, index: u32, address: usize, live: Live, freed_by: SiteId) {
    if is_mode_asked() {
        sampling::follow();
    }
    let request = Request::now();
    let (Some(tracer), true) = (tracer::get(), start::is_armed()) else {
        return;
    };
    let Some(rings) = tracer.rings.as_ref().filter(|_| request.is_there()) else {
        return;
    };
    if operation.frees() {
        modules::note_gone();
    }
    let ring = index.min(SHARED_SLOT) as usize;
    let event = Event {
        operation,
        thread: u16::try_from(index).unwrap_or(u16::MAX),
        site: live.site.0,
        freed_by: freed_by.0,
        ticks: request.now,
        address: address as u64,
        size: live.size,
    };
    if !rings.push(ring, &event) && !request.wait(rings, ring, &event) {
        rings.drop_one(ring);
    }
}

/// As `tell`, of a block that was given back: if the reader wants to know, with the stack that did it. `held` is the thread's state, if the event holds its guard;
/// of one in the middle of another's hook nobody is told. (No more than this is passed on: the rest would be kept in registers through every free.)
#[cold]
#[inline(never)]
pub(crate) fn tell_released(
    operation: Operation,
    index: u32,
    address: usize,
    live: Live,
    held: Option<&'static State>,
) {
    let tracer = tracer::get().filter(|_| start::is_armed() && wants_free_stacks());
    let site = |(tracer, state)| stack::releasing(tracer, state);
    let freed_by = tracer.zip(held).map_or(NOBODY, site);
    tell(operation, index, address, live, freed_by);
}

/// What a reader has asked for, as an event finds it.
#[derive(Debug)]
struct Request {
    generation: u32,
    now: u64,
}

impl Request {
    fn now() -> Request {
        Request {
            generation: control().generation(),
            now: sys::ticks(),
        }
    }

    /// False where the reader is gone; its request is then ended. Without a clock it is believed.
    fn is_there(&self) -> bool {
        let over = control().is_over(self.now);
        if over {
            control().end(self.generation);
        }
        self.generation != 0 && !over
    }

    /// Waits for room; false where there comes none in time, or the reader has gone.
    fn wait(&self, rings: &Rings<'_>, ring: usize, event: &Event) -> bool {
        let (cursor, lossless) = (rings.cursor(ring), control().is_lossless());
        let Some(stuck) = STUCK.get(ring) else {
            return false;
        };
        if !lossless && stuck.peek() == cursor.wrapping_add(1) {
            return false;
        }
        for look in 0u32.. {
            give_way();
            if rings.push(ring, event) {
                return true;
            }
            let later = Request::now();
            let waited = later.now.wrapping_sub(self.now);
            let enough = match later.now {
                0 => look >= LOOKS,
                _ => waited >= WAIT && !lossless,
            };
            if enough {
                stuck.put(cursor.wrapping_add(1));
            }
            // The reader may have died, or another have come; a child that was forked meanwhile has rings of its own.
            if enough || !tracer::armed() || !later.is_there() {
                break;
            }
        }
        false
    }
}

/// Lets the reader run: it may need this processor.
fn give_way() {
    if !sys::yield_now() {
        (0..PAUSES).for_each(|_| core::hint::spin_loop());
    }
}
