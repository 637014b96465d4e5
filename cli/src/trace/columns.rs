//! Events as bytes: what a chunk of a trace holds, and nothing that another chunk knows.
//!
//! Each event is a byte that says what it was and what of it was foreseen; what was not goes into the column of its kind, as a number. Both
//! ends foresee alike ([`Model`]): a thread asks at the site that came after its last one before, for as many bytes as then; the block
//! is the one of its class that was freed last; what is freed was allocated in this chunk, so many allocations ago. A block from before the chunk is
//! written out, so that every chunk is read alone.
//!
//! ```text
//! byte: operation − 1 (2 bits) | same thread | site foreseen, or block known | size foreseen | address foreseen
//! six columns: bytes, threads, microseconds since the last event, sites, sizes, places; each its length u32, then its bytes
//! ```

use super::varint::{Numbers, put, put_signed};
use super::{Damage, Dense, Happening, Map};
use crate::mark::bytes::{Reader, Writer};
use heapshim_ledger::rings::Operation;

/// Nanoseconds that a trace's clock counts in.
pub(super) const TICK_NS: u64 = 1000;
const SAME_THREAD: u8 = 4;
const SITE: u8 = 8;
const KNOWN: u8 = 8;
const SIZE: u8 = 16;
const ADDRESS: u8 = 32;
/// Freed blocks of a class that are remembered: allocators give back what was freed last, in lists of a few.
const REMEMBERED: usize = 64;
const OPERATIONS: [Operation; 4] = [
    Operation::Allocated,
    Operation::Freed,
    Operation::ObjectAllocated,
    Operation::ObjectFreed,
];

/// What both ends know of the events before.
#[derive(Debug, Default)]
struct Model {
    thread: u16,
    /// The thread's, among `threads`.
    place: usize,
    places: Map<usize>,
    threads: Vec<Thread>,
    sizes: Dense<u64>,
    classes: Dense<Class>,
    allocations: u32,
    live: Map<Live>,
    freed: u64,
}

#[derive(Debug, Default)]
struct Thread {
    site: u32,
    next: Map<u32>,
}

/// Blocks of one size, rounded as allocators do.
#[derive(Debug, Default)]
struct Class {
    last: u64,
    freed: Vec<u64>,
}

#[derive(Clone, Copy, Debug)]
struct Live {
    number: u32,
    site: u32,
    size: u64,
}

impl Model {
    fn new() -> Model {
        let mut model = Model::default();
        model.turn_to(0);
        model
    }

    /// Knows nothing again, and keeps the room of what it knew.
    fn forget(&mut self) {
        let mut live = std::mem::take(&mut self.live);
        live.clear();
        *self = Model {
            live,
            ..Model::new()
        };
    }

    /// The events to come are this thread's.
    fn turn_to(&mut self, thread: u16) {
        let threads = &mut self.threads;
        self.thread = thread;
        self.place = *self.places.entry(thread.into()).or_insert_with(|| {
            threads.push(Thread::default());
            threads.len() - 1
        });
    }

    /// The site that came after this thread's last one before: what is written there is foreseen the next time. (One look-up serves both: they are most of the
    /// time that an event takes.)
    fn next_site(&mut self) -> &mut u32 {
        let thread = &mut self.threads[self.place];
        let last = thread.site;
        thread.next.entry(last.into()).or_insert(last)
    }

    /// The size that this site had last, likewise.
    fn size(&mut self, site: u32) -> &mut u64 {
        self.sizes.at(site.into())
    }

    fn class(&mut self, size: u64) -> &mut Class {
        self.classes.at(size.saturating_add(23) >> 4)
    }

    fn allocate(&mut self, happening: &Happening) {
        self.threads[self.place].site = happening.site;
        let live = Live {
            number: self.allocations,
            site: happening.site,
            size: happening.size,
        };
        self.live.insert(happening.key(), live);
        self.allocations = self.allocations.wrapping_add(1);
    }

    fn free(&mut self, happening: &Happening) {
        self.freed = happening.address;
        self.class(happening.size).free(happening.address);
    }
}

impl Class {
    /// Where its next block is foreseen.
    fn foreseen(&self) -> Option<u64> {
        self.freed.last().copied()
    }

    fn allocate(&mut self, address: u64) {
        self.last = address;
        if self.foreseen() == Some(address) {
            self.freed.pop();
        } else if let Some(at) = self.freed.iter().rposition(|&freed| freed == address) {
            self.freed.remove(at);
        }
    }

    fn free(&mut self, address: u64) {
        if self.freed.len() >= REMEMBERED {
            self.freed.drain(..REMEMBERED / 2);
        }
        self.freed.push(address);
    }
}

/// Events being written.
#[derive(Debug)]
pub(super) struct Encoder {
    model: Model,
    columns: [Vec<u8>; 6],
    at: u64,
}

impl Encoder {
    /// One that has seen nothing.
    pub(super) fn new() -> Encoder {
        Encoder {
            model: Model::new(),
            columns: Default::default(),
            at: 0,
        }
    }

    /// Events from this time on: said before the first of a chunk.
    pub(super) fn begin(&mut self, ns: u64) {
        self.at = ns / TICK_NS;
    }

    /// Writes an event; times never go back.
    pub(super) fn add(&mut self, happening: &Happening) {
        let mut what = happening.operation as u8 - 1;
        let [_, threads, times, ..] = &mut self.columns;
        if self.model.thread == happening.thread {
            what |= SAME_THREAD;
        } else {
            put(threads, happening.thread.into());
            self.model.turn_to(happening.thread);
        }
        let at = (happening.ns / TICK_NS).max(self.at);
        put(times, at - self.at);
        self.at = at;
        what |= match happening.operation.frees() {
            true => self.free(happening),
            false => self.allocate(happening),
        };
        self.columns[0].push(what);
    }

    fn allocate(&mut self, happening: &Happening) -> u8 {
        let [_, _, _, sites, sizes, places] = &mut self.columns;
        let mut what = 0;
        let site = self.model.next_site();
        if std::mem::replace(site, happening.site) == happening.site {
            what |= SITE;
        } else {
            put(sites, happening.site.into());
        }
        let size = self.model.size(happening.site);
        if std::mem::replace(size, happening.size) == happening.size {
            what |= SIZE;
        } else {
            put(sizes, happening.size);
        }
        let class = self.model.class(happening.size);
        if class.foreseen() == Some(happening.address) {
            what |= ADDRESS;
        } else {
            put_distance(places, class.last, happening.address);
        }
        class.allocate(happening.address);
        self.model.allocate(happening);
        what
    }

    fn free(&mut self, happening: &Happening) -> u8 {
        let [_, _, _, sites, sizes, places] = &mut self.columns;
        let live = self.model.live.remove(&happening.key());
        let same = |live: &Live| (live.site, live.size) == (happening.site, happening.size);
        let mut what = 0;
        if let Some(live) = live.filter(same) {
            what |= KNOWN;
            put(places, (self.model.allocations - 1 - live.number).into());
        } else {
            put(sites, happening.site.into());
            if *self.model.size(happening.site) == happening.size {
                what |= SIZE;
            } else {
                put(sizes, happening.size);
            }
            put_distance(places, self.model.freed, happening.address);
        }
        self.model.free(happening);
        what
    }

    /// The bytes of the events since `begin`; the next chunk's know nothing of them.
    pub(super) fn finish(&mut self) -> Vec<u8> {
        let mut out = Writer::with_room(self.columns.iter().map(|column| column.len() + 4).sum());
        self.columns.iter().for_each(|column| out.blob(column));
        self.columns.iter_mut().for_each(Vec::clear);
        self.model.forget();
        out.into_vec()
    }
}

/// Blocks lie 16 bytes apart, nearly always: a last bit says so.
fn put_distance(out: &mut Vec<u8>, from: u64, to: u64) {
    let distance = to.wrapping_sub(from).cast_signed();
    match distance & 15 {
        0 => put_signed(out, distance >> 4 << 1),
        _ => put_signed(out, distance << 1 | 1),
    }
}

fn distance(numbers: &mut Numbers<'_>) -> Result<u64, Damage> {
    let number = numbers.next_signed()?;
    Ok(match number & 1 {
        0 => number >> 1 << 4,
        _ => number >> 1,
    }
    .cast_unsigned())
}

/// Events being read.
#[derive(Debug)]
pub(super) struct Decoder<'a> {
    model: Model,
    columns: [Numbers<'a>; 6],
    /// Where the chunk's blocks were.
    addresses: Vec<u64>,
    at: u64,
}

impl<'a> Decoder<'a> {
    /// Reads what an encoder from this time on has written.
    pub(super) fn new(bytes: &'a [u8], from_ns: u64) -> Result<Decoder<'a>, Damage> {
        let mut reader = Reader::new(bytes);
        let mut columns = [Numbers::new(&[]); 6];
        for column in &mut columns {
            *column = Numbers::new(reader.blob()?);
        }
        Ok(Decoder {
            model: Model::new(),
            columns,
            addresses: Vec::new(),
            at: from_ns / TICK_NS,
        })
    }

    /// The next event; None behind the last.
    pub(super) fn next(&mut self) -> Result<Option<Happening>, Damage> {
        let [whats, threads, times, ..] = &mut self.columns;
        if whats.is_empty() {
            return Ok(None);
        }
        let what = whats.byte()?;
        if what & SAME_THREAD == 0 {
            let thread = u16::try_from(threads.next()?);
            let thread = thread.map_err(|_| Damage::Value("no thread has this number"))?;
            self.model.turn_to(thread);
        }
        self.at = self.at.saturating_add(times.next()?);
        let happening = Happening {
            ns: self.at.saturating_mul(TICK_NS),
            operation: OPERATIONS[usize::from(what & 3)],
            thread: self.model.thread,
            site: 0,
            address: 0,
            size: 0,
        };
        match happening.operation.frees() {
            true => self.freed(what, happening),
            false => self.allocated(what, happening),
        }
        .map(Some)
    }

    fn allocated(&mut self, what: u8, mut happening: Happening) -> Result<Happening, Damage> {
        let [_, _, _, sites, sizes, places] = &mut self.columns;
        let site = self.model.next_site();
        if what & SITE == 0 {
            *site = sites.next_u32()?;
        }
        happening.site = *site;
        let size = self.model.size(happening.site);
        if what & SIZE == 0 {
            *size = sizes.next()?;
        }
        happening.size = *size;
        let class = self.model.class(happening.size);
        happening.address = match what & ADDRESS {
            0 => class.last.wrapping_add(distance(places)?),
            _ => class.foreseen().ok_or(UNKNOWN)?,
        };
        class.allocate(happening.address);
        self.addresses.push(happening.address);
        self.model.allocate(&happening);
        Ok(happening)
    }

    fn freed(&mut self, what: u8, mut happening: Happening) -> Result<Happening, Damage> {
        let [_, _, _, sites, sizes, places] = &mut self.columns;
        if what & KNOWN == 0 {
            happening.site = sites.next_u32()?;
            happening.size = match what & SIZE {
                0 => sizes.next()?,
                _ => *self.model.size(happening.site),
            };
            happening.address = self.model.freed.wrapping_add(distance(places)?);
            self.model.live.remove(&happening.key());
        } else {
            let ago = usize::try_from(places.next()?).map_err(|_| UNKNOWN)?;
            let before = self.addresses.len().checked_sub(1);
            let number = before.and_then(|last| last.checked_sub(ago));
            let address = number.and_then(|number| self.addresses.get(number));
            happening.address = *address.ok_or(UNKNOWN)?;
            let live = self.model.live.remove(&happening.key()).ok_or(UNKNOWN)?;
            (happening.site, happening.size) = (live.site, live.size);
        }
        self.model.free(&happening);
        Ok(happening)
    }
}

const UNKNOWN: Damage = Damage::Value("an event names a block that is not there");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Random;

    /// Events of a program with a few sites that allocates and frees at random, some of it from before.
    fn happenings(count: usize) -> Vec<Happening> {
        let mut random = Random(7);
        let mut below = |limit: u64| random.next() % limit;
        let mut live: Vec<Happening> = Vec::new();
        let (mut all, mut ns) = (Vec::new(), 5_000_000);
        for number in 0..count {
            ns += below(3000);
            let thread = u16::try_from(below(2) * below(2) * 4095).unwrap();
            let happening = if below(2) == 0 || live.is_empty() {
                let (object, site) = (below(4) == 0, u32::try_from(below(9)).unwrap());
                let happening = Happening {
                    ns,
                    operation: [Operation::Allocated, Operation::ObjectAllocated]
                        [usize::from(object)],
                    thread,
                    site,
                    address: 0x7f00_0000_0000 + below(5000) * 16 + u64::from(object) * 8,
                    size: u64::from(site) * 24 + below(2) * below(1 << 40),
                };
                live.retain(|other| other.key() != happening.key());
                live.push(happening);
                happening
            } else {
                let place = usize::try_from(below(live.len() as u64)).unwrap();
                let block = live.swap_remove(place);
                let foreign = number % 50 == 0;
                let operation = match block.operation {
                    Operation::Allocated => Operation::Freed,
                    _ => Operation::ObjectFreed,
                };
                Happening {
                    ns,
                    operation,
                    thread,
                    address: block.address ^ u64::from(foreign) << 44,
                    ..block
                }
            };
            all.push(Happening {
                ns: ns / TICK_NS * TICK_NS,
                ..happening
            });
        }
        all
    }

    fn encode(all: &[Happening]) -> Vec<u8> {
        let mut encoder = Encoder::new();
        // A chunk before it, of which this one must know nothing.
        encoder.begin(1_000_000);
        all.iter().for_each(|happening| encoder.add(happening));
        let before = encoder.finish();
        encoder.begin(4_000_000);
        all.iter().for_each(|happening| encoder.add(happening));
        let bytes = encoder.finish();
        assert_eq!(before.len(), bytes.len(), "the first event's time aside");
        bytes
    }

    fn decode(bytes: &[u8]) -> Result<Vec<Happening>, Damage> {
        let mut decoder = Decoder::new(bytes, 4_000_000)?;
        std::iter::from_fn(|| decoder.next().transpose()).collect()
    }

    /// Check that events come back as they went: of two threads, blocks and objects, foreseen or not, known or from before.
    #[test]
    fn round_trip() {
        for count in [0, 1, 2, 20_000] {
            let all = happenings(count);
            assert_eq!(decode(&encode(&all)).as_deref(), Ok(&all[..]));
        }
    }

    /// Check that a loop of allocations and frees takes three bytes an event before it is compressed.
    #[test]
    fn short() {
        let block = |number: u64, operation| Happening {
            ns: number * 100,
            operation,
            thread: 0,
            site: 3,
            address: 0x5000 + number % 2 * 32,
            size: 24,
        };
        let pair = |number| [Operation::Allocated, Operation::Freed].map(|op| block(number, op));
        let all: Vec<Happening> = (0..10_000).flat_map(pair).collect();
        let bytes = encode(&all).len();
        // And the columns' lengths.
        assert!(bytes <= 3 * all.len() + 32, "{bytes}");
    }

    /// Check that any changed byte, and any cut, gives an error or other events, never a panic or more events than bytes.
    #[test]
    fn hostile() {
        let whole = encode(&happenings(300));
        for at in 0..whole.len() {
            let _ = decode(&whole[..at]);
            for value in [0, 1, 0x7f, 0x80, 0xff] {
                let mut bytes = whole.clone();
                bytes[at] = value;
                if let Ok(all) = decode(&bytes) {
                    assert!(all.len() <= whole.len());
                }
            }
        }
    }
}
