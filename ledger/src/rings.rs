//! The rings: every event, from the threads of the target to a reader outside, while one is there.
//!
//! They lie in the control file, behind the control page. Producers: any thread of the target, in ring s those that count in slot s, a signal
//! handler between two instructions of its own thread among them. Consumer: one reader, who holds the file's lock. An event is claimed
//! by exchanging the ring's position, written, and published by its stamp; a claim is made only where the reader has passed what stood there.
//! What the reader asks for stands on the control page (`control`). Nobody waits here: a full ring is the producer's caller's matter.
//!
//! Each end is hostile to the other. The producer's addresses are masked, whatever position and cursor say; it believes no lease and no flag
//! beyond what it costs to be wrong. The reader takes each word once, and an event for what it says, which may be anything.
//!
//! ```text
//! control file:  page 0 Control (reader writes: rings, lease, owner, cursors) | page 1 RingHead × 17 (shim writes) | RingEvent × capacity × 17
//! ```

use crate::control;
use crate::error::Error;
use crate::extent::Region;
use crate::header::LARGEST as LARGEST_LEDGER;
use crate::layout::{Cursor, PAGE, RINGS, RingEvent, RingHead, SectionKind};
use crate::sync::Word;
use core::mem::size_of;

/// Events of a ring where there is room: 2 MiB each. 65,536 events are 10 ms of a thread that does nothing but allocate.
pub const LARGEST: u32 = 1 << 16;
/// Fewer are no use: a reader that looks a thousand times a second would lose nearly all of them.
const SMALLEST: u32 = 1 << 8;
const SITE_MASK: u64 = 0x00ff_ffff;
const ADDRESS_MASK: u64 = 0xffff_ffff_ffff;
/// In the stamp: above the size stands who freed the block.
const IS_TOLD: u64 = 1 << 27;
const OPERATION_MASK: u64 = 7;
/// Bits of a size that leaves room for a site above it: 64 TiB are half of what a process can address. Of a larger block it is not told who freed it.
const SIZE_BITS: u32 = 46;
const _: () = assert!(LARGEST_LEDGER.sites <= 1 << (u64::BITS - SIZE_BITS));

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Operation {
    /// malloc gave a block.
    Allocated = 1,
    /// A block went back.
    Freed = 2,
    /// Python's allocator gave an object.
    ObjectAllocated = 3,
    /// An object went back.
    ObjectFreed = 4,
}

impl Operation {
    fn from_number(number: u64) -> Option<Operation> {
        use Operation::{Allocated, Freed, ObjectAllocated, ObjectFreed};
        let all = [Allocated, Freed, ObjectAllocated, ObjectFreed];
        all.into_iter().find(|&one| one as u64 == number)
    }

    /// True where something went back.
    #[must_use]
    pub fn frees(self) -> bool {
        matches!(self, Operation::Freed | Operation::ObjectFreed)
    }
}

/// One event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// What.
    pub operation: Operation,
    /// Index of the thread's entry; all threads without one have the last.
    pub thread: u16,
    /// Whose account it is: of a block that goes back, who allocated it.
    pub site: u32,
    /// The site of the stack that gave it back; 0 where that is not told.
    pub freed_by: u32,
    /// The processor's clock; 0 where it may not be asked.
    pub ticks: u64,
    /// Where, in the target.
    pub address: u64,
    /// Bytes asked for.
    pub size: u64,
}

impl Event {
    /// The word that has the size, and whether it also has who freed the block.
    #[inline(always)]
    fn size_word(&self) -> (u64, u64) {
        match self.freed_by {
            0 => (self.size, 0),
            _ if self.size >> SIZE_BITS != 0 => (self.size, 0),
            site => (self.size | u64::from(site) << SIZE_BITS, IS_TOLD),
        }
    }
}

/// The rings of one control file.
#[derive(Clone, Copy, Debug)]
pub struct Rings<'a> {
    cursors: &'a [Cursor],
    heads: &'a [RingHead],
    events: &'a [RingEvent],
    capacity: u32,
}

/// Bytes of a control file whose rings have room for this many events; one page where they have none.
#[must_use]
pub fn file_bytes(capacity: u32) -> u64 {
    match capacity {
        0 => PAGE,
        _ => first_event() + (RINGS * size_of::<RingEvent>()) as u64 * u64::from(capacity),
    }
}

/// Where the events begin.
#[must_use]
pub fn first_event() -> u64 {
    2 * PAGE
}

/// The largest capacity whose file takes at most so many bytes; 0 where there is no room for rings.
#[must_use]
pub fn fit(max_bytes: u64) -> u32 {
    let halves = core::iter::successors(Some(LARGEST), |&capacity| Some(capacity / 2));
    let useful = halves.take_while(|&capacity| capacity >= SMALLEST);
    useful
        .into_iter()
        .find(|&capacity| file_bytes(capacity) <= max_bytes)
        .unwrap_or(0)
}

impl<'a> Rings<'a> {
    /// The rings behind the control page; `capacity` is an allegation until it was found to be a power of two whose file is this one.
    ///
    /// # Errors
    /// `Section`, `Missing` where there are none, `Value` where they cannot be.
    pub fn open(region: &Region<'a>, capacity: u32) -> Result<Rings<'a>, Error> {
        let kind = SectionKind::Rings as u32;
        if capacity == 0 {
            return Err(Error::Missing { kind });
        }
        if !capacity.is_power_of_two() || capacity > LARGEST {
            return Err(Error::Value {
                kind,
                index: 0,
                found: u64::from(capacity),
            });
        }
        let events = RINGS as u64 * u64::from(capacity);
        Ok(Rings {
            cursors: &control::page(region)?.cursors,
            heads: region.table(kind, PAGE, RINGS as u64)?,
            events: region.table(kind, first_event(), events)?,
            capacity,
        })
    }

    /// Events that a ring has room for.
    #[must_use]
    pub fn capacity(&self) -> u32 {
        self.capacity
    }

    /// The producer's half: false where the ring is full (or not there).
    pub fn push(&self, ring: usize, event: &Event) -> bool {
        let Some((head, cursor)) = self.heads.get(ring).zip(self.cursors.get(ring)) else {
            return false;
        };
        let mut at = head.position.peek();
        loop {
            if at.wrapping_sub(cursor.next.observe()) >= u64::from(self.capacity) {
                return false;
            }
            match head.position.claim(at, at.wrapping_add(1)) {
                Ok(_) => break,
                Err(now) => at = now,
            }
        }
        let Some(cell) = self.cell(ring, at) else {
            return false;
        };
        cell.ticks.put(event.ticks);
        cell.place
            .put(u64::from(event.thread) << 48 | event.address & ADDRESS_MASK);
        let (size, told) = event.size_word();
        cell.size.put(size);
        let what = (event.operation as u64) << 24 | u64::from(event.site) & SITE_MASK;
        cell.stamp.publish(stamp(at) | told | what);
        true
    }

    /// Counts an event that found no room.
    pub fn drop_one(&self, ring: usize) {
        if let Some(head) = self.heads.get(ring) {
            head.dropped.add_shared(1);
        }
    }

    /// Where the reader is: the same again means that waiting was no use.
    #[must_use]
    pub fn cursor(&self, ring: usize) -> u64 {
        self.cursors
            .get(ring)
            .map_or(0, |cursor| cursor.next.peek())
    }

    /// Events dropped so far, in all rings.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        let each = self.heads.iter().map(|head| head.dropped.peek());
        each.fold(0, u64::wrapping_add)
    }

    /// The number that the ring's next event gets.
    #[must_use]
    pub fn position(&self, ring: usize) -> u64 {
        self.heads
            .get(ring)
            .map_or(0, |head| head.position.observe())
    }

    /// The consumer's half: the event of this number, if it is published.
    #[must_use]
    pub fn read(&self, ring: usize, number: u64) -> Option<Event> {
        let cell = self.cell(ring, number)?;
        let word = cell.stamp.observe();
        if word >> 32 << 32 != stamp(number) {
            return None;
        }
        let operation = Operation::from_number(word >> 24 & OPERATION_MASK)?;
        let (place, size) = (cell.place.peek(), cell.size.peek());
        let (size, freed_by) = match word & IS_TOLD {
            0 => (size, 0),
            _ => (size & ((1 << SIZE_BITS) - 1), size >> SIZE_BITS),
        };
        Some(Event {
            operation,
            thread: u16::try_from(place >> 48).unwrap_or(u16::MAX),
            site: u32::try_from(word & SITE_MASK).unwrap_or(0),
            freed_by: u32::try_from(freed_by).unwrap_or(0),
            ticks: cell.ticks.peek(),
            address: place & ADDRESS_MASK,
            size,
        })
    }

    /// What is before this number was read: its room is the producers'.
    pub fn advance(&self, ring: usize, number: u64) {
        if let Some(cursor) = self.cursors.get(ring) {
            cursor.next.publish(number);
        }
    }

    fn cell(&self, ring: usize, number: u64) -> Option<&'a RingEvent> {
        let within = usize::try_from(number & u64::from(self.capacity - 1)).ok()?;
        let first = ring.checked_mul(self.capacity as usize)?;
        self.events.get(first.checked_add(within)?)
    }
}

/// An event's number, as it stands in its stamp.
fn stamp(number: u64) -> u64 {
    number.wrapping_add(1) << 32
}

#[cfg(test)]
fn event(size: u64) -> Event {
    Event {
        operation: Operation::Freed,
        thread: 4095,
        site: 0x3_ffff,
        freed_by: 0,
        ticks: size.wrapping_mul(3),
        address: 0x7fff_ffff_fff0,
        size,
    }
}

#[cfg(all(test, loom))]
mod models {
    use super::*;
    use crate::testing::bounded;
    use loom::sync::Arc;
    use loom::thread;

    /// Two rings of two events.
    struct Memory {
        cursors: [Cursor; 2],
        heads: [RingHead; 2],
        events: Vec<RingEvent>,
    }

    impl Memory {
        fn new() -> Arc<Memory> {
            Arc::new(Memory {
                cursors: Default::default(),
                heads: Default::default(),
                events: (0..4).map(|_| RingEvent::default()).collect(),
            })
        }

        fn rings(&self) -> Rings<'_> {
            Rings {
                cursors: &self.cursors,
                heads: &self.heads,
                events: &self.events,
                capacity: 2,
            }
        }

        /// Reads what is there, from `next` on; each event must be whole.
        fn drain(&self, next: &mut u64, sizes: &mut Vec<u64>) {
            while let Some(read) = self.rings().read(1, *next) {
                assert_eq!(read, super::event(read.size));
                sizes.push(read.size);
                *next += 1;
                self.rings().advance(1, *next);
            }
        }
    }

    /// Check that one producer's events arrive whole and in order, none twice, also where the ring goes round, and that what did not is
    /// what its producer was told of.
    #[test]
    fn publish() {
        bounded(3, || {
            let memory = Memory::new();
            let producer = memory.clone();
            let producer = thread::spawn(move || {
                let push = |&size: &u64| producer.rings().push(1, &super::event(size));
                [7, 8, 9].into_iter().filter(push).collect::<Vec<_>>()
            });
            let (mut next, mut sizes) = (0, Vec::new());
            memory.drain(&mut next, &mut sizes);
            memory.drain(&mut next, &mut sizes);
            let pushed = producer.join().expect("no panic");
            memory.drain(&mut next, &mut sizes);
            assert_eq!(sizes, pushed);
        });
    }

    /// Check that two threads that share a ring, or hand it on, lose nothing that found room, and overwrite nothing that was not read.
    #[test]
    fn shared() {
        bounded(3, || {
            let memory = Memory::new();
            let producers = [7, 8].map(|size| {
                let memory = memory.clone();
                thread::spawn(move || memory.rings().push(1, &super::event(size)))
            });
            let (mut next, mut sizes) = (0, Vec::new());
            memory.drain(&mut next, &mut sizes);
            let third = memory.rings().push(1, &super::event(9));
            let told = producers.map(|producer| producer.join().expect("no panic"));
            memory.drain(&mut next, &mut sizes);
            sizes.sort_unstable();
            let pushed = [(7, told[0]), (8, told[1]), (9, third)];
            let pushed = pushed.into_iter().filter(|(_, pushed)| *pushed);
            assert!(sizes.iter().copied().eq(pushed.map(|(size, _)| size)));
        });
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::layout::Control;
    use crate::testing::{Random, pages};

    fn open(memory: &crate::testing::Memory, capacity: u32) -> (&Control, Rings<'_>) {
        let region = memory.region();
        let control = control::page(&region).expect("a page");
        (control, Rings::open(&region, capacity).expect("room"))
    }

    /// Check that capacities shrink with the room, and that what is no capacity of this file is refused.
    #[test]
    fn sizes() {
        assert_eq!(
            (fit(u64::MAX), fit(file_bytes(512)), fit(4096)),
            (LARGEST, 512, 0)
        );
        let memory = pages(file_bytes(SMALLEST));
        for capacity in [0, 3, 100, 512, LARGEST * 2, u32::MAX] {
            assert!(
                Rings::open(&memory.region(), capacity).is_err(),
                "{capacity}"
            );
        }
        assert!(Rings::open(&memory.region(), SMALLEST).is_ok());
    }

    /// Check that events come back as they went, ring by ring, that a full ring refuses and keeps, and that it goes on when it was read.
    #[test]
    fn round() {
        let memory = pages(file_bytes(SMALLEST));
        let (_, rings) = open(&memory, SMALLEST);
        let capacity = u64::from(SMALLEST);
        for lap in 0..3 {
            for size in 0..capacity {
                assert!(rings.push(16, &event(lap * capacity + size)));
            }
            assert!(!rings.push(16, &event(0)), "full");
            rings.drop_one(16);
            for number in lap * capacity..(lap + 1) * capacity {
                assert_eq!(rings.read(16, number), Some(event(number)));
                assert_eq!(rings.read(15, number), None);
            }
            assert_eq!(rings.read(16, (lap + 1) * capacity), None);
            rings.advance(16, (lap + 1) * capacity);
        }
        assert_eq!((rings.dropped(), rings.position(16)), (3, 3 * capacity));
        assert!(!rings.push(17, &event(0)) && rings.read(17, 0).is_none());
    }

    /// Check that all operations and the largest numbers survive, and that sites and addresses do not spill over.
    #[test]
    fn fields() {
        let memory = pages(file_bytes(SMALLEST));
        let (_, rings) = open(&memory, SMALLEST);
        use Operation::{Allocated, Freed, ObjectAllocated, ObjectFreed};
        for (number, operation) in (0..).zip([Allocated, Freed, ObjectAllocated, ObjectFreed]) {
            let large = Event {
                operation,
                thread: u16::MAX,
                site: 0x00ff_ffff,
                freed_by: 0,
                ticks: u64::MAX,
                address: ADDRESS_MASK,
                size: u64::MAX,
            };
            let wide = Event {
                site: u32::MAX,
                address: u64::MAX,
                ..large
            };
            assert!(rings.push(0, &wide));
            assert_eq!(rings.read(0, number), Some(large));
        }
    }

    /// Check that who freed a block comes through beside any size that leaves room for it, and that a larger size is kept instead.
    #[test]
    fn freed_by() {
        let memory = pages(file_bytes(SMALLEST));
        let (_, rings) = open(&memory, SMALLEST);
        let most = LARGEST_LEDGER.sites - 1;
        let sizes = [0, 24, (1 << SIZE_BITS) - 1, 1 << SIZE_BITS, u64::MAX];
        for (number, size) in (0..).zip(sizes) {
            let told = Event {
                freed_by: most,
                ..event(size)
            };
            assert!(rings.push(0, &told));
            let expected = match size >> SIZE_BITS {
                0 => told,
                _ => event(size),
            };
            assert_eq!(rings.read(0, number), Some(expected));
        }
    }

    /// Check that whatever a hostile peer writes into control page, heads and events, neither half panics or leaves its memory, and that the
    /// reader takes no more events in a row than the ring has: 20,000 rounds of sixteen changed words.
    #[test]
    fn hostile_peer() {
        let memory = pages(file_bytes(SMALLEST));
        let (control, rings) = open(&memory, SMALLEST);
        let mut random = Random(5);
        for _ in 0..20_000 {
            for _ in 0..16 {
                let at = match random.below(3) {
                    0 => random.below(512),
                    1 => 512 + random.below(RINGS * 8),
                    _ => 1024 + random.below(memory.words() - 1024),
                };
                let value = random.next() >> random.below(64);
                memory.word(at).put(value);
            }
            let _ = (control.generation(), control.is_lossless(), rings.dropped());
            let _ = control.is_over(random.next());
            let ring = random.below(RINGS + 1);
            let pushed = rings.push(ring, &event(random.next()));
            assert!(!pushed || ring < RINGS);
            let from = rings.position(ring).wrapping_sub(3);
            let read = (0..u64::from(SMALLEST) * 2)
                .take_while(|&step| rings.read(ring, from.wrapping_add(step)).is_some());
            assert!(read.count() <= SMALLEST as usize);
        }
    }
}
