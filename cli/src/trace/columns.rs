//! Events as bytes: what a chunk of a trace holds, and nothing that another chunk knows.
//!
//! Each event is a byte that says what it was and what of it was foreseen; what was not goes into the column of its kind, as a number. Both
//! ends foresee alike ([`Model`]): a thread asks at the site that came after its last one before, for as many bytes as then; the block
//! is the one of its class that was freed last; what is freed was allocated in this chunk, so many allocations ago. A block from before the chunk is
//! written out, so that every chunk is read alone.
//!
//! ```text
//! byte: operation − 1 (2 bits) | same thread | site foreseen, or block known | size foreseen | address foreseen | who freed it foreseen
//! six columns: bytes, threads, microseconds since the last event, sites, sizes, places; each its length u32, then its bytes
//! and, where the stacks of frees were recorded, a seventh: the sites that freed
//! ```

mod model;

use super::file::Contents;
use super::varint::{Numbers, put, put_signed};
use super::{Damage, Happening, Map, OBJECT};
use crate::mark::bytes::{Reader, Writer};
use heapshim_ledger::rings::Operation;
use model::Model;

/// Nanoseconds that a trace's clock counts in.
pub(super) const TICK_NS: u64 = 1000;
const SAME_THREAD: u8 = 4;
const SITE: u8 = 8;
const KNOWN: u8 = 8;
const SIZE: u8 = 16;
const ADDRESS: u8 = 32;
const FREED_BY: u8 = 64;
const OPERATIONS: [Operation; 4] = [
    Operation::Allocated,
    Operation::Freed,
    Operation::ObjectAllocated,
    Operation::ObjectFreed,
];

/// A block of the chunk that is alive.
#[derive(Clone, Copy, Debug)]
struct Live {
    number: u32,
    site: u32,
    size: u64,
}

/// Events being written.
#[derive(Debug)]
pub(super) struct Encoder {
    model: Model,
    /// The chunk's blocks that are alive, by key; how many blocks it has had.
    live: Map<Live>,
    allocations: u32,
    columns: [Vec<u8>; 6],
    /// The seventh, where it is wanted.
    freed_by: Option<Vec<u8>>,
    at: u64,
}

impl Encoder {
    /// One that has seen nothing.
    pub(super) fn new(contents: Contents) -> Encoder {
        Encoder {
            model: Model::new(),
            live: Map::default(),
            allocations: 0,
            columns: Default::default(),
            freed_by: (contents == Contents::FreeStacks).then(Vec::new),
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
        let live = Live {
            number: self.allocations,
            site: happening.site,
            size: happening.size,
        };
        self.live.insert(happening.key(), live);
        self.allocations = self.allocations.wrapping_add(1);
        what
    }

    fn free(&mut self, happening: &Happening) -> u8 {
        let [_, _, _, sites, sizes, places] = &mut self.columns;
        let live = self.live.remove(&happening.key());
        let same = |live: &Live| (live.site, live.size) == (happening.site, happening.size);
        let mut what = 0;
        if let Some(live) = live.filter(same) {
            what |= KNOWN;
            put(places, (self.allocations - 1 - live.number).into());
        } else {
            put(sites, happening.site.into());
            if *self.model.size(happening.site) == happening.size {
                what |= SIZE;
            } else {
                put(sizes, happening.size);
            }
            put_distance(places, self.model.freed, happening.address);
        }
        if let Some(column) = &mut self.freed_by {
            let foreseen = self.model.freed_by.at(happening.site.into());
            if std::mem::replace(foreseen, happening.freed_by) == happening.freed_by {
                what |= FREED_BY;
            } else {
                put(column, happening.freed_by.into());
            }
        }
        self.model.free(happening);
        what
    }

    /// The bytes of the events since `begin`; the next chunk's know nothing of them.
    pub(super) fn finish(&mut self) -> Vec<u8> {
        let columns = || self.columns.iter().chain(&self.freed_by);
        let mut out = Writer::with_room(columns().map(|column| column.len() + 4).sum());
        columns().for_each(|column| out.blob(column));
        let columns = self.columns.iter_mut().chain(&mut self.freed_by);
        columns.for_each(Vec::clear);
        self.model.forget();
        self.live.clear();
        self.allocations = 0;
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

/// What a decoder needs room for, for the next one.
#[derive(Debug, Default)]
pub(super) struct Room {
    model: Model,
    blocks: Vec<Block>,
}

/// A block that the chunk allocated: it is named by how many came after it, so that no table of addresses is needed.
#[derive(Clone, Copy, Debug)]
struct Block {
    key: u64,
    size: u64,
    site: u32,
    is_alive: bool,
}

/// Events being read.
#[derive(Debug)]
pub(super) struct Decoder<'a> {
    model: Model,
    columns: [Numbers<'a>; 6],
    freed_by: Option<Numbers<'a>>,
    /// The chunk's blocks, in order.
    blocks: Vec<Block>,
    at: u64,
}

impl<'a> Decoder<'a> {
    /// Reads what an encoder from this time on has written, in room that another has used.
    pub(super) fn new(bytes: &'a [u8], from_ns: u64, room: Room) -> Result<Decoder<'a>, Damage> {
        let mut reader = Reader::new(bytes);
        let mut columns = [Numbers::new(&[]); 6];
        for column in &mut columns {
            *column = Numbers::new(reader.blob()?);
        }
        let freed_by = match reader.left() {
            0 => None,
            _ => Some(Numbers::new(reader.blob()?)),
        };
        let Room {
            mut model,
            mut blocks,
        } = room;
        model.forget();
        blocks.clear();
        Ok(Decoder {
            model,
            columns,
            freed_by,
            blocks,
            at: from_ns / TICK_NS,
        })
    }

    /// Puts the next events behind those in `events`, up to so many; false behind the last. What came before a damage is there.
    pub(super) fn fill(
        &mut self,
        events: &mut Vec<Happening>,
        most: usize,
    ) -> Result<bool, Damage> {
        while events.len() < most {
            match self.next()? {
                Some(happening) => events.push(happening),
                None => return Ok(false),
            }
        }
        Ok(true)
    }

    /// The room that it has used.
    pub(super) fn into_room(self) -> Room {
        Room {
            model: self.model,
            blocks: self.blocks,
        }
    }

    /// The next event; None behind the last.
    #[inline]
    fn next(&mut self) -> Result<Option<Happening>, Damage> {
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
            freed_by: 0,
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
        self.blocks.push(Block {
            key: happening.key(),
            size: happening.size,
            site: happening.site,
            is_alive: true,
        });
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
        } else {
            let ago = usize::try_from(places.next()?).map_err(|_| UNKNOWN)?;
            let last = self.blocks.len().checked_sub(1);
            let number = last.and_then(|last| last.checked_sub(ago));
            let block = number.and_then(|number| self.blocks.get_mut(number));
            let block = block.filter(|block| block.is_alive).ok_or(UNKNOWN)?;
            block.is_alive = false;
            happening.address = block.key & !OBJECT;
            (happening.site, happening.size) = (block.site, block.size);
            if happening.key() != block.key {
                return Err(UNKNOWN);
            }
        }
        if let Some(column) = &mut self.freed_by {
            let foreseen = self.model.freed_by.at(happening.site.into());
            if what & FREED_BY == 0 {
                *foreseen = column.next_u32()?;
            }
            happening.freed_by = *foreseen;
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
                    freed_by: 0,
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
                    freed_by: block.site * 3 + u32::try_from(below(20) / 19).unwrap(),
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

    fn encode(all: &[Happening], contents: Contents) -> Vec<u8> {
        let mut encoder = Encoder::new(contents);
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
        let mut decoder = Decoder::new(bytes, 4_000_000, Room::default())?;
        std::iter::from_fn(|| decoder.next().transpose()).collect()
    }

    /// Check that events come back as they went: of two threads, blocks and objects, foreseen or not, known or from before; who freed them where that is kept.
    #[test]
    fn round_trip() {
        for count in [0, 1, 2, 20_000] {
            let all = happenings(count);
            let bytes = encode(&all, Contents::FreeStacks);
            assert_eq!(decode(&bytes).as_deref(), Ok(&all[..]));
            let without = |happening: &Happening| Happening {
                freed_by: 0,
                ..*happening
            };
            let without: Vec<Happening> = all.iter().map(without).collect();
            let bytes = encode(&all, Contents::Events);
            assert_eq!(decode(&bytes).as_deref(), Ok(&without[..]));
        }
    }

    /// Check that a chunk reads the same in room that others have used, whole ones and damaged ones.
    #[test]
    fn used_room() {
        let mut room = Room::default();
        for count in [20_000, 0, 300, 20_000] {
            let all = happenings(count);
            let bytes = encode(&all, Contents::FreeStacks);
            for cut in [bytes.len() / 2, 0] {
                let bytes = &bytes[..bytes.len() - cut];
                let Ok(mut decoder) = Decoder::new(bytes, 4_000_000, std::mem::take(&mut room))
                else {
                    continue;
                };
                let read: Result<Vec<_>, _> =
                    std::iter::from_fn(|| decoder.next().transpose()).collect();
                assert!(cut > 0 || read.as_deref() == Ok(&all[..]));
                room = decoder.into_room();
            }
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
            freed_by: match operation {
                Operation::Freed => 7,
                _ => 0,
            },
            address: 0x5000 + number % 2 * 32,
            size: 24,
        };
        let pair = |number| [Operation::Allocated, Operation::Freed].map(|op| block(number, op));
        let all: Vec<Happening> = (0..10_000).flat_map(pair).collect();
        for contents in [Contents::Events, Contents::FreeStacks] {
            let bytes = encode(&all, contents).len();
            // And the columns' lengths.
            assert!(bytes <= 3 * all.len() + 32, "{bytes}");
        }
    }

    /// Check that any changed byte, and any cut, gives an error or other events, never a panic or more events than bytes.
    #[test]
    fn hostile() {
        let whole = encode(&happenings(300), Contents::FreeStacks);
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
