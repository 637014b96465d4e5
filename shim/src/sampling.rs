//! How much is recorded: every event, a sample, or nothing (`heapshim_ledger::sampling` has the arithmetic).
//!
//! The word that every hook tests (`tracer`) says which. Exact events never come here. In the other modes an event counts its bytes down to the next sampled
//! one, in its thread's state, and where that is further on it passes: most in their trampoline (`entry`), the others after a look whether the shadow has something stale
//! at its block's address. What is recorded is a usual event, whose entry in the shadow says at which interval (a *class*, one of seven), so that its free takes off what it has added, in
//! whatever mode the process is then.
//!
//! ```text
//! word: 1 exact | 2 off | 3 off, and never on: no block is known
//!       4 a sample, + 8 where nothing but samples is known, + 16 where that and the allocator behind us let trampolines count down themselves, with its class << 8,
//!         and << 16 how often the mode was switched or the process forked: then threads draw anew
//! ```

use crate::options::Options;
use crate::real::{self, Block};
use crate::shadow::Live;
use crate::thread::{self, State};
use crate::tracer;
use crate::{loader, rings, sampled_pages, shadow, start, sys};
use core::mem::offset_of;
use heapshim_ledger::layout::{Header, Was};
use heapshim_ledger::sampling::{
    INTERVALS, Mode, Weight, distance, least, length, mixed, next_random, weight,
};
use heapshim_ledger::sites::SiteId;
use heapshim_ledger::sync::{AtomicU32, AtomicU64, Word, add_owned};

/// Every event is recorded.
pub(crate) const EXACT: u64 = 1;
/// No new block is.
const OFF: u64 = 2;
/// Nor was any before: there is nothing to know of a block that goes, and trampolines jump to the allocator behind us (`entry`).
pub(crate) const NEVER_ON: u64 = 3;
/// Less than this and more than `EXACT`: it is off.
const SAMPLE: u64 = 4;
/// No block was ever recorded but as a sample: then `sampled_pages` tells where there are some.
const ONLY_SAMPLES: u64 = 8;
/// Besides, the allocator behind us calls nobody: trampolines pass over an event (`entry`).
pub(crate) const IN_TRAMPOLINES: u64 = 16;
const CLASS_SHIFT: u32 = 8;
const CLASS_MASK: u64 = 0xff;
const ERA_SHIFT: u32 = 16;
const _: () = assert!(INTERVALS < 1 << shadow::CLASS_BITS);

/// The mode of this process, in memory that a forked child inherits: what `tracer` is armed with.
static WORD: AtomicU64 = AtomicU64::new(EXACT);
/// The mean of each class, from 1 on; once set it stays.
static MEANS: [AtomicU32; INTERVALS] = [const { AtomicU32::new(0) }; INTERVALS];
/// Bits of `Was`.
static MODES: AtomicU32 = AtomicU32::new(0);
/// How often the mode was switched while the process ran.
static CHANGES: AtomicU32 = AtomicU32::new(0);
/// 1 while a thread switches, its signals blocked.
static SWITCHING: AtomicU32 = AtomicU32::new(0);
/// How often a sampling mode began.
static ERA: AtomicU64 = AtomicU64::new(0);
/// What all draws of this process come from.
static SEED: AtomicU64 = AtomicU64::new(0);
/// For threads that have no state.
static SHARED: Countdown = Countdown::new();

/// What an event is to do with its block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pick {
    /// Record it as it is.
    All,
    /// Record it as a sample of this class.
    One(u32),
    /// Nothing.
    Pass,
}

/// How far a thread is from its next sample. Zeros are one that has yet to be drawn.
#[derive(Debug)]
pub(crate) struct Countdown {
    /// The word that it was drawn under.
    drawn_under: AtomicU64,
    /// Bytes left, in two's complement.
    left: AtomicU64,
    random: AtomicU64,
    /// Bytes that an event counts down at least.
    least: AtomicU64,
    /// The block that malloc gave last, in any mode but exact: `python::objects` asks for it.
    last: AtomicU64,
}

impl Countdown {
    /// Where trampolines find what `passes` asks.
    pub(crate) const DRAWN_UNDER: usize = offset_of!(Countdown, drawn_under);
    pub(crate) const LEFT: usize = offset_of!(Countdown, left);
    pub(crate) const LEAST: usize = offset_of!(Countdown, least);

    const fn new() -> Countdown {
        Countdown {
            drawn_under: AtomicU64::new(0),
            left: AtomicU64::new(0),
            random: AtomicU64::new(0),
            least: AtomicU64::new(0),
            last: AtomicU64::new(0),
        }
    }

    /// Whether one of so many bytes is the next sample. A signal handler's event in between counts as well.
    #[inline(always)]
    pub(crate) fn picks(&self, word: u64, index: u32, size: usize) -> bool {
        if self.drawn_under.peek() != word {
            self.begin(word, index);
        }
        let length = length(size as u64, self.least.peek());
        add_owned(&self.left, length.wrapping_neg());
        let picked = self.left.peek().cast_signed() <= 0;
        if picked {
            self.draw(word);
        }
        picked
    }

    /// Counts one of so many bytes down, unless it is the next sample, or the first event under this word: those go through `picks`, from the beginning.
    #[inline(always)]
    pub(crate) fn passes(&self, word: u64, size: usize) -> bool {
        let length = length(size as u64, self.least.peek());
        let stays = self.left.peek().wrapping_sub(length).cast_signed() > 0;
        if self.drawn_under.peek() != word || !stays {
            return false;
        }
        add_owned(&self.left, length.wrapping_neg());
        true
    }

    /// Notes the block that malloc has given.
    #[inline(always)]
    pub(crate) fn note(&self, block: Block) {
        self.last.put(block.addr() as u64);
    }

    /// Forgets it, so that whatever is noted next is seen, also the same.
    #[inline(always)]
    pub(crate) fn forget(&self) {
        self.last.put(0);
    }

    /// True where malloc has given nothing since.
    #[inline(always)]
    pub(crate) fn has_noted_nothing(&self) -> bool {
        self.last.peek() == 0
    }

    #[cold]
    #[inline(never)]
    fn begin(&self, word: u64, index: u32) {
        let own = u64::from(index) << 40 ^ word >> ERA_SHIFT;
        self.random.put(mixed(SEED.peek() ^ mixed(own)));
        self.least.put(least(mean_of(class_of(word))));
        self.draw(word);
        self.drawn_under.put(word);
    }

    #[cold]
    #[inline(never)]
    fn draw(&self, word: u64) {
        let (state, random) = next_random(self.random.peek());
        self.random.put(state);
        self.left.put(distance(random, mean_of(class_of(word))));
    }
}

/// True of the word of a process in another mode than exact, if that is off.
#[inline(always)]
pub(crate) fn is_off(word: u64) -> bool {
    word < SAMPLE
}

/// True while `sampled_pages` knows of all that is in the shadow.
#[inline(always)]
pub(crate) fn knows_pages(word: u64) -> bool {
    word & ONLY_SAMPLES != 0
}

pub(crate) fn class_of(word: u64) -> u32 {
    u32::try_from(word >> CLASS_SHIFT & CLASS_MASK).unwrap_or(0)
}

fn mean_of(class: u32) -> u32 {
    let place = MEANS.get((class as usize).wrapping_sub(1));
    place.map_or(1, |mean| mean.peek().max(1))
}

/// What a block of so many bytes stands for that was recorded in a class.
pub(crate) fn weight_of(class: u32, size: u64) -> Weight {
    weight(size, mean_of(class))
}

/// A site's number in the shadow, where the block was sampled: past all sites, so that no counter is found for it.
pub(crate) fn tagged(site: SiteId, class: u32) -> SiteId {
    SiteId(site.0 | class << shadow::SITE_BITS)
}

/// The site and the class of such a number.
pub(crate) fn untagged(live: Live) -> (SiteId, u32) {
    let number = live.site.0;
    (
        SiteId(number & ((1 << shadow::SITE_BITS) - 1)),
        number >> shadow::SITE_BITS & ((1 << shadow::CLASS_BITS) - 1),
    )
}

/// True where each event of this process was recorded so far: then a block that is not known was never seen.
pub(crate) fn was_always_exact() -> bool {
    MODES.peek() == Was::Exact as u32
}

/// What an event is to do with a block of so many bytes. `state` is its thread's.
pub(crate) fn pick(state: Option<&State>, size: usize) -> Pick {
    let word = tracer::word();
    let picked = match word {
        EXACT => return Pick::All,
        0 | OFF | NEVER_ON => false,
        _ => match state {
            Some(state) => state.countdown.picks(word, state.index(), size),
            // They may meet here: two of them then take one sample, or none. There are 4,095 states.
            None => SHARED.picks(word, u32::MAX, size),
        },
    };
    match picked {
        true => Pick::One(class_of(word)),
        false => Pick::Pass,
    }
}

/// True where this process is in any mode but exact.
#[inline(always)]
pub(crate) fn is_on() -> bool {
    tracer::word() > EXACT
}

/// Notes the block that malloc has given to this thread.
#[cold]
#[inline(never)]
pub(crate) fn note_last(block: Block) {
    if let Some(state) = thread::leased() {
        state.countdown.note(block);
    }
}

/// True for the block that malloc has given to this thread last, in any mode but exact.
pub(crate) fn was_last(address: usize) -> bool {
    thread::leased().is_some_and(|state| state.countdown.last.peek() == address as u64)
}

/// Takes the mode that the process begins with.
pub(crate) fn begin(options: &Options, identity: u64) {
    SEED.put(options.sample_seed.unwrap_or(identity));
    let _ = switch(options.mode);
}

/// Goes on in a forked child, where no draw may be its parent's again. `forks` is how many children there were before, where that is seen.
pub(crate) fn after_fork(options: &Options, identity: u64, forks: u64) {
    let own = match options.sample_seed {
        Some(seed) => mixed(seed ^ SEED.peek()) ^ mixed(forks),
        None => identity,
    };
    SEED.put(own);
    // A thread of the parent's that was switching is not here.
    SWITCHING.put(0);
    if WORD.peek() >= SAMPLE {
        WORD.put(sample_word(class_of(WORD.peek())));
    }
}

/// What the hooks are to be armed with.
pub(crate) fn word() -> u64 {
    WORD.peek()
}

/// Switches to the mode that is asked for. Events that have begun end as they began, in other threads and in this one; each block gives back what it came
/// with, whatever the mode is then. The caller's errno and signals are as before.
#[cold]
#[inline(never)]
pub(crate) fn follow() {
    let Some(tracer) = tracer::get().filter(|_| start::is_armed()) else {
        return;
    };
    // First, so that a handler on this thread does not find it switching for ever.
    let blocked = sys::block_signals();
    if SWITCHING.claim(0, 1).is_ok() {
        if rings::take_mode().is_some_and(change) {
            describe(tracer.writer.header);
            // While it was off from the start, nobody has looked for the loader's events.
            loader::raise();
            tracer::arm(word());
        }
        SWITCHING.publish(0);
    }
    drop(blocked);
}

/// Sets another mode than there is. False where it is this one already, or cannot be.
fn change(mode: Mode) -> bool {
    let changes = mode != current() && switch(mode);
    if changes {
        CHANGES.put(CHANGES.peek().wrapping_add(1));
    }
    changes
}

/// The mode in effect.
fn current() -> Mode {
    match WORD.peek() {
        EXACT => Mode::Exact,
        OFF | NEVER_ON => Mode::Off,
        word => Mode::Sample(mean_of(class_of(word))),
    }
}

/// Sets the mode, for the next `arm`. False for an eighth interval.
fn switch(mode: Mode) -> bool {
    let (word, was) = match mode {
        Mode::Exact => (EXACT, Was::Exact),
        Mode::Off if MODES.peek() | Was::Off as u32 == Was::Off as u32 && real::can_pass() => {
            (NEVER_ON, Was::Off)
        }
        Mode::Off => (OFF, Was::Off),
        Mode::Sample(mean) => match class_for(mean) {
            Some(class) => (sample_word(class), Was::Sampled),
            None => return false,
        },
    };
    MODES.put(MODES.peek() | was as u32);
    WORD.put(word);
    true
}

/// The word of a class, like none before it.
fn sample_word(class: u32) -> u64 {
    let era = ERA.add_shared(1).wrapping_add(1);
    let only = match MODES.peek() & Was::Exact as u32 {
        0 if real::is_leaf() && real::can_pass() && sampled_pages::prepare() => {
            ONLY_SAMPLES | IN_TRAMPOLINES
        }
        0 => ONLY_SAMPLES,
        _ => 0,
    };
    SAMPLE | only | u64::from(class) << CLASS_SHIFT | era << ERA_SHIFT
}

fn class_for(mean: u32) -> Option<u32> {
    (1u32..).zip(&MEANS).find_map(|(class, place)| {
        if place.peek() == 0 {
            place.put(mean);
        }
        (place.peek() == mean).then_some(class)
    })
}

/// Says in the ledger how much is recorded. Before the first event in a mode: an estimate is of intervals that the ledger knows.
pub(crate) fn describe(header: &Header) {
    let said = &header.sampling;
    let largest = MEANS.iter().map(Word::peek).max().unwrap_or(0);
    said.intervals
        .iter()
        .zip(&MEANS)
        .for_each(|(to, from)| to.put(from.peek()));
    said.largest.put(largest);
    said.modes.put(MODES.peek());
    said.changes.put(CHANGES.peek());
    // Last: whoever has asked for it waits for this.
    said.mode.publish(current().word());
}
