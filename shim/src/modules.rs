//! Loaded objects as the walk needs them: learnt when an unknown pc is met, never forgotten, checked again when the loader has been active.
//!
//! A *load* is found by what the loader says of a pc (its record, range, unwind section) and by the contents that are mapped there: an
//! object that was replaced by another at the same place is a new load, even where the loader's record has the same address. Loads of one file
//! at changing addresses share one module of the ledger: frames hold addresses in the file.

use crate::elf::{BuildId, Image};
use crate::loader::{self, FoundObject, LinkMap};
use crate::memory::{PrivateRungs, Table, Zeroed};
use crate::objects::find_object;
use crate::{python, sys, tracer};
use heapshim_ledger::index::{find_or_insert, mix};
use heapshim_ledger::modules::{ModuleId, ModuleInfo, Strings};
use heapshim_ledger::sync::{AtomicU32, AtomicU64, Word, take_index};
use heapshim_unwind::Section;

/// Loads that are kept: a server that reloads a plugin once a minute fills them in six weeks; later ones are walked as unknown code.
const CAPACITY: u32 = 1 << 16;
/// Bytes at the start of an object and of its unwind section that tell it from another where it has no build id.
const SAMPLE: usize = 4096;

/// One load of an object: written whole before the index names it.
#[derive(Debug)]
pub(crate) struct Load {
    key: [AtomicU64; 4],
    bias: AtomicU64,
    unwind: [AtomicU64; 3],
    /// Hash of the build id, or of samples where there is none.
    contents: AtomicU64,
    /// Hash of `contents` and the path: names the file.
    file: AtomicU64,
    /// Id in the ledger.
    module: AtomicU32,
    /// Generation at which the mapped contents were last compared.
    checked: AtomicU32,
    /// 1 while it is known to be gone.
    gone: AtomicU32,
}

// SAFETY: zeros are integers.
unsafe impl Zeroed for Load {}

static LOADS: Table<Load> = Table::new(CAPACITY as usize);
static LEN: AtomicU32 = AtomicU32::new(0);
static INDEX: PrivateRungs = PrivateRungs::new();
/// Generation at which somebody last looked which loads are gone.
static LOOKED: AtomicU32 = AtomicU32::new(0);

/// A module that holds a pc.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known {
    /// Its id in the ledger.
    pub(crate) id: ModuleId,
    /// Which load of it.
    pub(crate) load: u32,
    /// Run-time address − address in the file.
    pub(crate) bias: u64,
    record: &'static Load,
}

impl Known {
    /// Where it lies: as the loader says, all of it or the segment that holds the pc.
    pub(crate) fn range(&self) -> [u64; 2] {
        let [_, start, end, _] = self.record.key.each_ref().map(Word::peek);
        [start, end]
    }

    /// Its unwind tables.
    pub(crate) fn section(&self) -> Option<Section<'static>> {
        let [start, end, header] = self.record.unwind.each_ref().map(Word::peek);
        let bytes = mapped(
            usize::try_from(start).ok()?,
            usize::try_from(end.checked_sub(start)?).ok()?,
        );
        let header = usize::try_from(header.checked_sub(start)?).ok()?;
        Section::new(bytes?, start, header)
    }
}

/// The module that holds `pc`; learns it if it is new. None where no object does, or where there is no room.
pub(crate) fn at(pc: u64) -> Option<Known> {
    let object = loader::object_at(usize::try_from(pc).ok()?)?;
    let hash = key(&object)
        .into_iter()
        .fold(0, |hash, word| mix(hash ^ word));
    // Loads begin at 0 and an index slot at 1.
    let slot = find_or_insert(&INDEX, hash, |slot| is(slot, &object), || learn(&object))?;
    let record = LOADS.get(slot - 1)?;
    Some(Known {
        id: ModuleId(record.module.peek()),
        load: slot,
        bias: record.bias.peek(),
        record,
    })
}

fn key(object: &FoundObject) -> [u64; 4] {
    [object.link_map, object.start, object.end, object.unwind].map(|word| word as u64)
}

fn is(slot: u32, object: &FoundObject) -> bool {
    let Some(load) = LOADS
        .get(slot - 1)
        .filter(|load| load.key.each_ref().map(Word::peek) == key(object))
    else {
        return false;
    };
    let generation = loader::generation();
    if load.checked.peek() == generation {
        return true;
    }
    let same = image_of(object).map(|image| contents(&image)) == Some(load.contents.peek());
    if same {
        load.gone.put(0);
        load.checked.put(generation);
    } else {
        load.retire();
    }
    same
}

/// Notes the loads that are gone, where the loader was active since the last look. Called for a block that goes back while a reader wants events: dlclose unmaps, then frees, so that an
/// object which it has taken away is told by the first of these. (Of loads alone that were on a stack; before glibc 2.35, where asking may wait for the loader, another in its place tells it.)
#[inline(always)]
pub(crate) fn note_gone() {
    if LOOKED.peek() != loader::generation() {
        look_for_gone();
    }
}

#[cold]
#[inline(never)]
fn look_for_gone() {
    let (before, generation) = (LOOKED.peek(), loader::generation());
    // Who comes second leaves it to the first; to the next block, where the loader was active once more.
    if !loader::answers_at_once() || LOOKED.claim(before, generation).is_err() {
        return;
    }
    let loads = LOADS.mapped().unwrap_or(&[]).iter();
    for load in loads.take(LEN.observe() as usize) {
        // One that is being learnt has no file yet.
        if load.file.observe() != 0 && load.gone.peek() == 0 && !load.is_there() {
            load.retire();
        }
    }
}

impl Load {
    /// True where the loader has an object just there. (Whether it is this one, the next walk asks that meets it.)
    fn is_there(&self) -> bool {
        let held = self.key.each_ref().map(Word::peek);
        let start = usize::try_from(held[1]).unwrap_or(0);
        loader::object_at(start).is_some_and(|object| key(&object) == held)
    }

    /// Notes that it is gone, once.
    fn retire(&self) {
        if let (Ok(_), Some(tracer)) = (self.gone.claim(0, 1), tracer::get()) {
            let now = sys::clock_ns(libc::CLOCK_BOOTTIME);
            let modules = tracer.writer.modules;
            modules.retire(ModuleId(self.module.peek()), now);
        }
    }
}

/// What tells an object from another at the same addresses: its build id, or samples of what is mapped.
fn contents(image: &Image<'_>) -> u64 {
    let hash = |bytes: &[u8]| {
        let words = bytes.as_chunks::<8>().0.iter();
        words.fold(bytes.len() as u64, |hash, word| {
            mix(hash ^ u64::from_ne_bytes(*word))
        })
    };
    match image.build_id() {
        Some(id) => hash(&id.bytes),
        None => [image.range(), image.unwind_section(), image.dynamic()]
            .into_iter()
            .flatten()
            .filter_map(|range| mapped(range.start, (range.end - range.start).min(SAMPLE)))
            .fold(0, |sum, bytes| mix(sum ^ hash(bytes))),
    }
}

/// Bytes of a loaded object.
fn mapped(start: usize, len: usize) -> Option<&'static [u8]> {
    let first = core::ptr::with_exposed_provenance::<u8>(start);
    // SAFETY: called with ranges that the program headers of an object give, whose code is on the stack that is being walked.
    (len != 0).then(|| unsafe { core::slice::from_raw_parts(first, len) })
}

/// The program headers of an object. Where its segments were mapped with gaps, the loader names only the segment that holds the pc; then
/// they are found through its record.
fn image_of(object: &FoundObject) -> Option<Image<'static>> {
    // SAFETY: the loader says that a segment of an object is mapped there.
    let image = unsafe { Image::at(object.start) };
    image
        .or_else(|| LinkMap::at(object.link_map)?.image())
        .filter(|image| image.contains(object.start))
}

#[cold]
#[inline(never)]
fn learn(object: &FoundObject) -> Option<u32> {
    let image = image_of(object)?;
    let contents = contents(&image);
    let name = LinkMap::at(object.link_map).map_or(&[][..], |map| map.name().to_bytes());
    let file = name
        .iter()
        .fold(contents, |hash, &byte| mix(hash ^ u64::from(byte)));
    let module = match loaded_before(file) {
        Some(module) => module,
        None => new_module(object, &image)?,
    };
    let slot = take_index(&LEN, 1, CAPACITY)?;
    let load = LOADS.get(slot)?;
    let range = image.range()?;
    let unwind = image
        .unwind_segment()
        .filter(|(segment, _)| range.start <= segment.start && segment.end <= range.end);
    let unwind = unwind.map_or([0; 3], |(segment, header)| {
        [segment.start, segment.end, header]
    });
    load.key
        .iter()
        .zip(key(object))
        .for_each(|(word, value)| word.put(value));
    load.unwind
        .iter()
        .zip(unwind)
        .for_each(|(word, value)| word.put(value as u64));
    load.bias.put(image.bias as u64);
    load.contents.put(contents);
    load.module.put(module.0);
    load.checked.put(loader::generation());
    load.file.publish(file);
    python::interpreter::notice(&image);
    python::allocators::met(&image, slot + 1);
    Some(slot + 1)
}

/// The module of another load of the same file.
fn loaded_before(file: u64) -> Option<ModuleId> {
    let loads = LOADS.entries()?.iter().take(LEN.observe() as usize);
    loads
        .rev()
        .find(|load| load.file.observe() == file)
        .map(|load| ModuleId(load.module.peek()))
}

fn new_module(object: &FoundObject, image: &Image<'_>) -> Option<ModuleId> {
    let range = image.range()?;
    let build_id = image.build_id().unwrap_or(BuildId {
        bytes: [0; 32],
        len: 0,
    });
    tracer::get()?.writer.modules.append(&ModuleInfo {
        bias: image.bias as u64,
        start: range.start as u64,
        end: range.end as u64,
        from_ns: sys::clock_ns(libc::CLOCK_BOOTTIME),
        until_ns: 0,
        path: store_path(object),
        build_id: build_id.bytes,
        build_id_len: build_id.len,
    })
}

/// The path as the loader has it, made absolute; the executable's is the process's.
fn store_path(object: &FoundObject) -> u64 {
    if let Some(map) = LinkMap::at(object.link_map) {
        return store_name(map.name().to_bytes());
    }
    let path = find_object(|other| {
        let is_it = other.image.contains(object.start);
        // SAFETY: its code is on the stack that is being walked.
        is_it.then(|| store_name(unsafe { other.name() }.to_bytes()))
    });
    path.unwrap_or(0)
}

fn store_name(name: &[u8]) -> u64 {
    let Some(tracer) = tracer::get() else {
        return 0;
    };
    match name {
        b"" => tracer.writer.header.exe.peek(),
        name if name.starts_with(b"/") => tracer.writer.strings.append(name),
        name if name.starts_with(b"linux-vdso") => tracer.writer.strings.append(b"[vdso]"),
        name => store_relative(&tracer.writer.strings, name),
    }
}

#[cold]
#[inline(never)]
fn store_relative(strings: &Strings<'_>, name: &[u8]) -> u64 {
    // 1 KiB of stack, once per object that was loaded by a relative path; a longer one keeps only its own part.
    let mut path = [0u8; 1024];
    let base = sys::read_link(c"/proc/self/cwd", &mut path).map_or(0, <[u8]>::len);
    let full = base + 1 + name.len();
    let Some((slash, rest)) = path
        .get_mut(base..full)
        .filter(|_| base > 0)
        .and_then(<[u8]>::split_first_mut)
    else {
        return strings.append(name);
    };
    *slash = b'/';
    rest.copy_from_slice(name);
    strings.append(path.get(..full).unwrap_or(name))
}
