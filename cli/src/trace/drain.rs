//! Events out of the rings, in the order of their times.
//!
//! Each ring is in order, nearly: a signal handler's events come between, and threads that share a ring claim their places before they look at the
//! clock. Across rings the clock decides. What is later than the look at the clock that began a pass waits for the next one, since an earlier
//! event may still come from a ring that was read before.
//!
//! A place that was claimed and is never published (a handler left by longjmp just there) would hold its ring up for good: it is passed over, and counted
//! as lost, when the ring is full behind it and nothing has come for a while.

use super::Happening;
use super::clock::{Clock, Look};
use super::control::ControlFile;
use heapshim_ledger::rings::{Event, Rings};

/// How long a full ring's claimed place may stay empty: a thread may be stopped there by a busy machine.
const PATIENCE_NS: u64 = 2_000_000_000;

/// What was read, and what waits.
#[derive(Debug)]
pub(super) struct Drain {
    next: Vec<u64>,
    empty_since: Vec<Option<u64>>,
    pending: Vec<Event>,
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
            last_ns: 0,
            skipped: 0,
        }
    }

    /// Places that were claimed and never written.
    pub(super) fn skipped(&self) -> u64 {
        self.skipped
    }

    /// Reads what is there, at most a ring's worth of each; how many events came. `last`: nobody writes any more.
    pub(super) fn pass(&mut self, control: &ControlFile, look: Look, last: bool) -> usize {
        let before = self.pending.len();
        let read = control.with(|rings| {
            for ring in 0..self.next.len() {
                self.ring(rings, ring, look, last);
            }
        });
        let latest = Look::now().ticks;
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
        while next.wrapping_sub(from) < capacity {
            match rings.read(ring, *next) {
                Some(event) => self.pending.push(event),
                None => break,
            }
            *next = next.wrapping_add(1);
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

    /// The events up to the last look at the clock, or all of them.
    pub(super) fn ready(&mut self, clock: &Clock, look: Look, all: bool) -> Vec<Happening> {
        if !self.pending.is_sorted_by_key(|event| event.ticks) {
            self.pending.sort_by_key(|event| event.ticks);
        }
        let count = match all {
            true => self.pending.len(),
            false => self
                .pending
                .partition_point(|event| event.ticks <= look.ticks),
        };
        let last_ns = &mut self.last_ns;
        let happening = |event: Event| {
            *last_ns = clock.ns(event.ticks).max(*last_ns);
            Happening {
                ns: *last_ns,
                operation: event.operation,
                thread: event.thread,
                site: event.site,
                address: event.address,
                size: event.size,
            }
        };
        self.pending.drain(..count).map(happening).collect()
    }
}
