//! Events out of the rings, in the order of their times.
//!
//! Each ring is in order, nearly: a signal handler's events come between, and threads that share a ring claim their places before they look at the
//! clock. Across rings the clock decides. What is later than the look at the clock that began a pass, or than the last event of a ring of which only a part was
//! read, waits for the next one, since an earlier event may still come from another ring, or that one.
//!
//! A place that was claimed and is never published (a handler left by longjmp just there) would hold its ring up for good: it is passed over, and counted
//! as lost, when the ring is full behind it and nothing has come for a while.

use super::Happening;
use super::clock::{self, Clock, Look};
use super::control::ControlFile;
use heapshim_ledger::layout::RINGS;
use heapshim_ledger::rings::{self, Event, Rings};

/// How long a full ring's claimed place may stay empty: a thread may be stopped there by a busy machine.
const PATIENCE_NS: u64 = 2_000_000_000;

/// Events of a ring in one pass: what lies between rings and file stays in the processor's cache.
const AT_ONCE: u64 = 1 << 13;

/// Events that wait at most for those of a ring that is behind: what all rings hold. Only a target that forges its times comes so far.
const WAITING: usize = rings::LARGEST as usize * RINGS;

/// What was read, and what waits.
#[derive(Debug)]
pub(super) struct Drain {
    next: Vec<u64>,
    empty_since: Vec<Option<u64>>,
    pending: Vec<Event>,
    /// Up to when every ring was read.
    horizon: u64,
    last_ns: u64,
    skipped: u64,
}

impl Drain {
    /// Reads on from these numbers.
    pub(super) fn new(next: Vec<u64>) -> Drain {
        Drain {
            empty_since: vec![None; next.len()],
            next,
            pending: Vec::new(),
            horizon: 0,
            last_ns: 0,
            skipped: 0,
        }
    }

    /// Places that were claimed and never written.
    pub(super) fn skipped(&self) -> u64 {
        self.skipped
    }

    /// Reads what is there, a part at a time; how many events came. `last`: nobody writes any more, and all is read.
    pub(super) fn pass(&mut self, control: &ControlFile, look: Look, last: bool) -> usize {
        let before = self.pending.len();
        self.horizon = look.ticks;
        let read = control.with(|rings| {
            for ring in 0..self.next.len() {
                self.ring(rings, ring, look, last);
            }
        });
        if self.pending.len() > WAITING {
            self.horizon = look.ticks;
        }
        let latest = clock::ticks();
        for event in self.pending.iter_mut().skip(before) {
            // A clock that runs ahead would keep its events waiting.
            event.ticks = match event.ticks {
                0 => look.ticks,
                ticks => ticks.min(latest),
            };
        }
        read.map_or(0, |()| self.pending.len() - before)
    }

    fn ring(&mut self, rings: &Rings<'_>, ring: usize, look: Look, last: bool) {
        let (Some(next), Some(empty)) = (self.next.get_mut(ring), self.empty_since.get_mut(ring))
        else {
            return;
        };
        let capacity = u64::from(rings.capacity());
        let from = *next;
        let most = match last {
            true => capacity,
            false => capacity.min(AT_ONCE),
        };
        while next.wrapping_sub(from) < most {
            match rings.read(ring, *next) {
                Some(event) => self.pending.push(event),
                None => break,
            }
            *next = next.wrapping_add(1);
        }
        let is_part = next.wrapping_sub(from) == most;
        if let Some(event) = self.pending.last().filter(|_| is_part) {
            // What is left in the ring is later than this.
            self.horizon = self.horizon.min(event.ticks.wrapping_sub(1));
        }
        let claimed = rings.position(ring).wrapping_sub(*next);
        let holds_up = *next == from && (1..=capacity).contains(&claimed);
        if !holds_up {
            *empty = None;
        } else if last || claimed == capacity {
            let since = *empty.get_or_insert(look.ns);
            if last || look.ns.saturating_sub(since) > PATIENCE_NS {
                self.skipped += 1;
                *next = next.wrapping_add(1);
            }
        }
        if *next != from {
            rings.advance(ring, *next);
        }
    }

    /// The events up to where every ring was read, or all of them.
    pub(super) fn ready(&mut self, clock: &Clock, all: bool) -> Vec<Happening> {
        if !self.pending.is_sorted_by_key(|event| event.ticks) {
            self.pending.sort_by_key(|event| event.ticks);
        }
        let count = match all {
            true => self.pending.len(),
            false => self
                .pending
                .partition_point(|event| event.ticks <= self.horizon),
        };
        let last_ns = &mut self.last_ns;
        let happening = |event: Event| {
            *last_ns = clock.ns(event.ticks).max(*last_ns);
            Happening {
                ns: *last_ns,
                operation: event.operation,
                thread: event.thread,
                site: event.site,
                freed_by: event.freed_by,
                address: event.address,
                size: event.size,
            }
        };
        self.pending.drain(..count).map(happening).collect()
    }
}
