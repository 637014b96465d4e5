//! Loaded objects as the walk needs them: learnt when an unknown pc is met, never forgotten, checked again when the loader has been active.
//!
//! A record is found by what the loader says of a pc (its record, range, unwind section) and by the build id that is mapped there: an
//! object that was replaced by another at the same place is a new module, even where the loader's record has the same address.

use crate::elf::{BuildId, Image, Range};
use crate::loader::{self, FoundObject, LinkMap};
use crate::memory::{PrivateRungs, Table, Zeroed};
use crate::objects::find_object;
use crate::{sys, tracer};
use core::sync::atomic::Ordering;
use heapshim_ledger::index::{find_or_insert, mix};
use heapshim_ledger::modules::{ModuleId, ModuleInfo, Strings};
use heapshim_ledger::sync::{AtomicU32, AtomicU64, Word};
use heapshim_unwind::Section;

/// As many as the largest ledger has.
const CAPACITY: usize = 4096;

/// One object: written whole before the index names it.
#[derive(Debug)]
pub(crate) struct Module {
    key: [AtomicU64; 4],
    bias: AtomicU64,
    unwind: [AtomicU64; 2],
    build_id: [AtomicU64; 4],
    build_id_len: AtomicU32,
    /// Generation at which the mapped build id was last compared.
    checked: AtomicU32,
}

// SAFETY: zeros are integers.
unsafe impl Zeroed for Module {}

static MODULES: Table<Module> = Table::new(CAPACITY);
static INDEX: PrivateRungs = PrivateRungs::new();

/// A module that holds a pc.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known {
    /// Its id in the ledger; the same here.
    pub(crate) id: ModuleId,
    /// Run-time address − address in the file.
    pub(crate) bias: u64,
    module: &'static Module,
}

impl Known {
    /// Its unwind tables.
    pub(crate) fn section(&self) -> Option<Section<'static>> {
        let [start, end] = [&self.module.unwind[0], &self.module.unwind[1]].map(Word::peek);
        let len = usize::try_from(end.checked_sub(start)?).ok()?;
        let first = core::ptr::with_exposed_provenance::<u8>(usize::try_from(start).ok()?);
        // SAFETY: `.eh_frame_hdr` to the end of its segment, of an object whose code is on the stack that is being walked.
        (len != 0)
            .then(|| unsafe { core::slice::from_raw_parts(first, len) })
            .and_then(|bytes| Section::new(bytes, start))
    }
}

/// The module that holds `pc`; learns it if it is new. None where no object does, or where there is no room.
pub(crate) fn at(pc: u64) -> Option<Known> {
    let object = loader::object_at(usize::try_from(pc).ok()?)?;
    let hash = mix(object.link_map as u64
        ^ mix(object.start as u64)
        ^ (object.unwind as u64).rotate_left(17));
    // Ids begin at 0 and an index slot at 1.
    let slot = find_or_insert(&INDEX, hash, |slot| is(slot, &object), || learn(&object))?;
    let module = MODULES.get(slot - 1)?;
    Some(Known {
        id: ModuleId(slot - 1),
        bias: module.bias.peek(),
        module,
    })
}

fn key(object: &FoundObject) -> [u64; 4] {
    [
        object.link_map as u64,
        object.start as u64,
        object.end as u64,
        object.unwind as u64,
    ]
}

fn is(slot: u32, object: &FoundObject) -> bool {
    let Some(module) = MODULES.get(slot - 1) else {
        return false;
    };
    if module.key.iter().map(Word::peek).ne(key(object)) {
        return false;
    }
    let generation = loader::generation();
    if module.checked.peek() == generation {
        return true;
    }
    let same = same_build(module, object);
    if same {
        module.checked.put(generation);
    } else {
        tracer::get().inspect(|tracer| {
            tracer
                .writer
                .modules
                .retire(ModuleId(slot - 1), sys::clock_ns(libc::CLOCK_BOOTTIME))
        });
    }
    same
}

fn same_build(module: &Module, object: &FoundObject) -> bool {
    let now = image_of(object).and_then(|image| image.build_id());
    let len = module.build_id_len.load(Ordering::Relaxed);
    match now {
        None => len == 0,
        Some(now) => {
            now.len == len
                && now
                    .bytes
                    .as_chunks::<8>()
                    .0
                    .iter()
                    .zip(&module.build_id)
                    .all(|(bytes, word)| u64::from_le_bytes(*bytes) == word.peek())
        }
    }
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
    let range = image.range()?;
    let unwind = image
        .unwind_section()
        .filter(|section| range.start <= section.start && section.end <= range.end);
    let build_id = image.build_id().unwrap_or(BuildId {
        bytes: [0; 32],
        len: 0,
    });
    let info = ModuleInfo {
        bias: image.bias as u64,
        start: range.start as u64,
        end: range.end as u64,
        from_ns: sys::clock_ns(libc::CLOCK_BOOTTIME),
        until_ns: 0,
        path: store_path(object),
        build_id: build_id.bytes,
        build_id_len: build_id.len,
    };
    let id = tracer::get()?.writer.modules.append(&info)?;
    let module = MODULES.get(id.0)?;
    fill(
        module,
        object,
        &info,
        unwind.unwrap_or(Range { start: 0, end: 0 }),
    );
    Some(id.0 + 1)
}

fn fill(module: &Module, object: &FoundObject, info: &ModuleInfo, unwind: Range) {
    module
        .key
        .iter()
        .zip(key(object))
        .for_each(|(word, value)| word.put(value));
    module.bias.put(info.bias);
    module.unwind[0].put(unwind.start as u64);
    module.unwind[1].put(unwind.end as u64);
    for (word, bytes) in module.build_id.iter().zip(info.build_id.as_chunks::<8>().0) {
        word.put(u64::from_le_bytes(*bytes));
    }
    module.build_id_len.put(info.build_id_len);
    module.checked.put(loader::generation());
}

/// The path as the loader has it, made absolute; the executable's is the process's.
fn store_path(object: &FoundObject) -> u64 {
    if let Some(map) = LinkMap::at(object.link_map) {
        return store_name(map.name().to_bytes());
    }
    let path = find_object(|other| {
        other
            .image
            .contains(object.start)
            .then(|| store_name(other.name.to_bytes()))
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
