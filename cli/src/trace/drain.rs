//! Events out of the rings, in the order of their times.
//!
//! Each ring is in order, nearly: a signal handler's events come between, and threads that share a ring claim their places before they look at the
//! clock. Across rings the clock decides. What is later than the look at the clock that began a pass, or than the last event of a ring of which only a part was
//! read, waits for the next one, since an earlier event may still come from another ring, or that one.
//!
//! A place that was claimed and is never published (a handler left by longjmp just there) would hold its ring up for good: it is passed over, and counted
//! as lost, when the ring is full behind it and nothing has come for a while, and at the end, when no more is waited for (a target that was killed there, or that writes on without us): what stands behind it was written.

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

    /// Reads what is there, a part at a time; how many events came. `last`: no more is waited for, and all is read.
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
                None if last && claimed(rings, ring, *next) > 0 => self.skipped += 1,
                None => break,
            }
            *next = next.wrapping_add(1);
        }
        let is_part = next.wrapping_sub(from) == most;
        if let Some(event) = self.pending.last().filter(|_| is_part) {
            // What is left in the ring is later than this.
            self.horizon = self.horizon.min(event.ticks.wrapping_sub(1));
        }
        let holds_up = *next == from && claimed(rings, ring, from) == capacity;
        if !holds_up {
            *empty = None;
        } else if look.ns.saturating_sub(*empty.get_or_insert(look.ns)) > PATIENCE_NS {
            self.skipped += 1;
            *next = next.wrapping_add(1);
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
        let (last_ns, mut times) = (&mut self.last_ns, clock.times());
        let happening = |event: Event| {
            *last_ns = times.ns(event.ticks).max(*last_ns);
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

/// Places that are claimed from this one on; 0 where the target says what no ring has.
fn claimed(rings: &Rings<'_>, ring: usize, from: u64) -> u64 {
    let claimed = rings.position(ring).wrapping_sub(from);
    match claimed <= u64::from(rings.capacity()) {
        true => claimed,
        false => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::made;
    use heapshim_ledger::layout::RingEvent;
    use heapshim_ledger::rings::file_bytes;
    use std::mem::offset_of;
    use std::os::fd::OwnedFd;

    const CAPACITY: u32 = 256;
    const PAGE_WORDS: u64 = 512;

    fn reader() -> (OwnedFd, ControlFile, Drain) {
        let file = made(CAPACITY, 7);
        let own = file.try_clone().expect("a descriptor");
        let mut control = ControlFile::open(own, 7, "test").expect("a control file");
        let drain = Drain::new(control.ask(0, false).expect("asked"));
        (file, control, drain)
    }

    fn put(file: &OwnedFd, word: u64, value: u64) {
        let written = rustix::io::pwrite(file, &value.to_ne_bytes(), word * 8);
        assert_eq!(written.expect("written"), 8);
    }

    /// Publishes the event of this number of a ring, as large as its number says.
    fn write(file: &OwnedFd, ring: u64, number: u64) {
        let words = size_of::<RingEvent>() as u64 / 8;
        let stamp = offset_of!(RingEvent, stamp) as u64 / 8;
        let size = offset_of!(RingEvent, size) as u64 / 8;
        let event = file_bytes(0) / 8 * 2 + (ring * u64::from(CAPACITY) + number) * words;
        put(file, event + size, number);
        put(file, event + stamp, (number + 1) << 32 | 1 << 24);
    }

    /// Check that whatever a target writes into its control page, the rings' heads and events (cursors, capacity, generation, times of its own), a reader's passes end, what they
    /// keep in memory has a bound, and times never run backwards.
    #[test]
    fn hostile_target() {
        let (file, mut control, mut drain) = reader();
        let mut clock = Clock::new(Look::now());
        let (words, mut random, mut last_ns) = (file_bytes(CAPACITY) / 8, 5u64, 0);
        let mut next = move |below: u64| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random % below
        };
        for round in 0..3000 {
            for _ in 0..16 {
                let word = match next(4) {
                    0 => 2 + next(PAGE_WORDS - 2), // another account's page is refused when it is opened
                    1 => PAGE_WORDS + next(RINGS as u64 * 8),
                    _ => 2 * PAGE_WORDS + next(words - 2 * PAGE_WORDS),
                };
                let value = next(u64::MAX) >> next(64);
                put(&file, word, value);
            }
            if round % 8 == 0 {
                put(&file, 6, u64::from(CAPACITY) << 32); // flags and capacity
            }
            let came = drain.pass(&control, clock.look(), false);
            assert!(came <= RINGS * CAPACITY as usize);
            for happening in drain.ready(&clock, round % 100 == 0) {
                assert!(happening.ns >= last_ns);
                last_ns = happening.ns;
            }
            assert!(drain.pending.len() <= WAITING + came);
            let _ours = control.is_asked();
        }
        drain.pass(&control, clock.look(), true);
        drain.ready(&clock, true);
        assert!(drain.pending.is_empty());
    }

    /// Check that a place that is claimed and never written holds its ring up until that is full and nothing came for a while, is then counted, and that the events behind it are read.
    #[test]
    fn never_written() {
        let (file, control, mut drain) = reader();
        let at = |ns| Look {
            ticks: clock::ticks(),
            ns,
        };
        let head = PAGE_WORDS + 3 * 8;
        put(&file, head, u64::from(CAPACITY) - 1);
        for ns in [0, PATIENCE_NS + 1] {
            assert_eq!(drain.pass(&control, at(ns), false), 0);
        }
        assert_eq!(drain.skipped(), 0, "there is room yet");
        put(&file, head, u64::from(CAPACITY));
        write(&file, 3, 1);
        let begin = 2 * PATIENCE_NS;
        for (ns, skipped, came) in [
            (begin, 0, 0),
            (begin + PATIENCE_NS, 0, 0),
            (begin + PATIENCE_NS + 1, 1, 0),
            (begin + PATIENCE_NS + 2, 1, 1),
        ] {
            assert_eq!(
                (drain.pass(&control, at(ns), false), drain.skipped()),
                (came, skipped)
            );
        }
    }

    /// Check that what stands behind places that a target had claimed when it was killed is read at the end, and that no more is counted as lost than these: at the ring's beginning, in its
    /// middle, one after the other, and at its end.
    #[test]
    fn killed_while_writing() {
        let (file, control, mut drain) = reader();
        let mut clock = Clock::new(Look::now());
        let unwritten = [0, 3, 4, 8];
        put(&file, PAGE_WORDS + 3 * 8, 9);
        let written: Vec<u64> = (0..9)
            .filter(|number| !unwritten.contains(number))
            .collect();
        for &number in &written {
            write(&file, 3, number);
        }
        put(&file, PAGE_WORDS + 5 * 8, 2);
        write(&file, 5, 0);
        assert_eq!(
            drain.pass(&control, clock.look(), false),
            1,
            "the other ring"
        );
        assert_eq!(drain.skipped(), 0, "they may yet be written");
        assert_eq!(drain.pass(&control, clock.look(), true), written.len());
        assert_eq!(drain.skipped(), 5, "and one of the other ring");
        let read = drain.ready(&clock, true).into_iter().map(|one| one.size);
        assert_eq!(read.collect::<Vec<_>>(), [&[0], &written[..]].concat());
        assert_eq!(
            (drain.pass(&control, clock.look(), true), drain.skipped()),
            (0, 5)
        );
    }
}
