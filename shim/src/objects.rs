//! The loader's list of objects, and symbols looked up in it by ourselves.
//!
//! dlsym allocates and leaves the target a pending dlerror, so it must not run in a hook. dl_iterate_phdr does neither, but takes the
//! loader's lock: so it is called at start-up, and later only for an operator new that came with a later libstdc++, and where there is no
//! `_dl_find_object` (glibc before 2.35). In a forked child that lock may be held for ever by a thread that is not there (a child
//! hung in its first malloc so): there the list that the loader keeps for debuggers is read instead. The child's own threads may change it
//! meanwhile (a child that unloaded a library in one thread and allocated in another crashed so): what is read of an object that may go is copied by the kernel, which
//! says of what is gone that it is not there. (Not its symbol tables, which a look-up reads where they lie: a library that another thread of such a child
//! unloads at the moment at which the first operator new of a later libstdc++ is met would still be read.) An object that is missed since the list was read while it changed is looked for again (`loader`).

use crate::elf::{Image, Symbols};
use crate::{filters, loader, start, sys};
use core::ffi::{CStr, c_char, c_int, c_void};

/// Records that are looked at in the list: more than a process has objects. A list that is read while it changes may lead in a circle.
const MOST_OBJECTS: usize = 1 << 14;
/// Program headers of an object that are looked at: linkers make a dozen.
const MOST_HEADERS: usize = 24;
/// Words of an ELF header, and of a program header.
const ELF_HEADER: usize = size_of::<libc::Elf64_Ehdr>() / 8;
const HEADER: usize = size_of::<libc::Elf64_Phdr>() / 8;

/// A loaded object during a visit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Object<'a> {
    /// Its program headers.
    pub(crate) image: Image<'a>,
    name: *const c_char,
}

impl<'a> Object<'a> {
    /// Path as it was loaded; empty for the executable.
    ///
    /// # Safety
    /// The caller promises that the object stays loaded meanwhile: its own code is on the stack, or the loader's lock is held.
    pub(crate) unsafe fn name(&self) -> &'a CStr {
        match self.name.is_null() {
            true => c"",
            // SAFETY: a C string that lives as long as the object, by the caller's promise.
            false => unsafe { CStr::from_ptr(self.name) },
        }
    }
}

/// Visits all objects in the order in which the loader searches them, until `visit` gives a value.
pub(crate) fn find_object<T>(visit: impl FnMut(Object<'_>) -> Option<T>) -> Option<T> {
    if start::is_forked() {
        by_list(visit)
    } else {
        by_loader(visit)
    }
}

/// Through the debuggers' list: System V gABI, "Dynamic Linking", DT_DEBUG.
fn by_list<T>(mut visit: impl FnMut(Object<'_>) -> Option<T>) -> Option<T> {
    let mut record = loader::first_record();
    for nth in 0..MOST_OBJECTS {
        let mut words = [0; 4];
        if !copy(record, &mut words) {
            return None;
        }
        let [bias, name, _, next] = words.map(|word| usize::try_from(word).unwrap_or(0));
        let name = core::ptr::with_exposed_provenance(name);
        let mut headers = [0; HEADER * MOST_HEADERS];
        let image = match nth {
            0 => loader::program(),
            _ => copied(bias, &mut headers),
        };
        let found = image.and_then(|image| visit(Object { image, name }));
        if found.is_some() {
            return found;
        }
        record = next;
    }
    None
}

/// The object whose ELF header lies at `bias`, as far as its program headers tell (System V gABI, "ELF Header").
fn copied(bias: usize, headers: &mut [u64; HEADER * MOST_HEADERS]) -> Option<Image<'_>> {
    let mut words = [0u64; ELF_HEADER];
    if !copy(bias, &mut words) {
        return None;
    }
    let [ident, _, _, _, offset, _, sizes, counts] = words;
    let (size, count) = (sizes >> 48, usize::try_from(counts & 0xffff).ok()?);
    let is_one = ident.to_le_bytes().starts_with(b"\x7fELF") && size == 8 * HEADER as u64;
    let place = headers.get_mut(..HEADER * count).filter(|_| is_one)?;
    if !copy(bias.checked_add(usize::try_from(offset).ok()?)?, place) {
        return None;
    }
    let first = place.as_ptr().cast::<libc::Elf64_Phdr>();
    // SAFETY: so many whole headers, aligned as their words are, in which every bit pattern is one.
    Some(Image::new(bias, unsafe {
        core::slice::from_raw_parts(first, count)
    }))
}

/// Copies memory that may go meanwhile; false where it is gone. Where nobody but us may ask the kernel for that, it is looked at first.
fn copy(from: usize, words: &mut [u64]) -> bool {
    if !filters::is_filtered()
        && let Some(done) = sys::copy(from, words)
    {
        return done;
    }
    let last = from.saturating_add(size_of_val(words) - 8);
    let is_there = |address: usize| address != 0 && sys::readable(address as u64);
    if words.is_empty() || !from.is_multiple_of(8) || !is_there(from) || !is_there(last) {
        return false;
    }
    let place = core::ptr::with_exposed_provenance::<u64>(from);
    // SAFETY: both ends are there, and less than a page lies between them.
    unsafe { core::ptr::copy_nonoverlapping(place, words.as_mut_ptr(), words.len()) };
    true
}

fn by_loader<T>(visit: impl FnMut(Object<'_>) -> Option<T>) -> Option<T> {
    struct Visit<F, T> {
        visit: F,
        found: Option<T>,
    }
    unsafe extern "C" fn each<F: FnMut(Object<'_>) -> Option<T>, T>(
        info: *mut libc::dl_phdr_info,
        _: usize,
        data: *mut c_void,
    ) -> c_int {
        // SAFETY: `data` is the `Visit` below, used by nobody else during the call.
        let state = unsafe { &mut *data.cast::<Visit<F, T>>() };
        // SAFETY: the loader gives a valid description of an object that stays loaded during the call.
        let info = unsafe { &*info };
        // SAFETY: as many headers as it says.
        let headers =
            unsafe { core::slice::from_raw_parts(info.dlpi_phdr, usize::from(info.dlpi_phnum)) };
        let name = info.dlpi_name;
        let bias = usize::try_from(info.dlpi_addr).unwrap_or(0);
        state.found = (state.visit)(Object {
            image: Image::new(bias, headers),
            name,
        });
        c_int::from(state.found.is_some())
    }
    fn callback<F: FnMut(Object<'_>) -> Option<T>, T>(
        _: &Visit<F, T>,
    ) -> unsafe extern "C" fn(*mut libc::dl_phdr_info, usize, *mut c_void) -> c_int {
        each::<F, T>
    }
    let mut state = Visit { visit, found: None };
    let function = callback(&state);
    // SAFETY: the callback takes the state as its data, and neither outlives the call.
    unsafe { libc::dl_iterate_phdr(Some(function), (&raw mut state).cast()) };
    state.found
}

/// A symbol's address and the range of the object that defines it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// Run-time address.
    pub(crate) address: usize,
    /// Load bias of the defining object: tells objects apart.
    pub(crate) bias: usize,
}

/// The next definition of `name` after the object that holds `after` (all definitions where `after` is 0).
pub(crate) fn find_symbol(name: &CStr, after: usize) -> Option<Found> {
    let mut passed = after == 0;
    find_object(|object| {
        if !passed {
            passed = object.image.contains(after);
            return None;
        }
        let address = Symbols::of(&object.image)?.find(name)?;
        Some(Found {
            address,
            bias: object.image.bias,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Check that libc's getenv is found where the linker found it, and that a name that nobody defines is not.
    #[test]
    fn finds_what_the_linker_found() {
        let found = find_symbol(c"getenv", 0).expect("libc defines getenv");
        assert_eq!(found.address, libc::getenv as *const () as usize);
        assert!(find_symbol(c"heapshim_no_such_symbol", 0).is_none());
    }

    /// Number of objects, and a sum of where they lie.
    fn seen(object: Object<'_>, sums: &mut (usize, usize)) -> Option<()> {
        let end = object.image.range().map_or(0, |range| range.end);
        *sums = (sums.0 + 1, sums.1.rotate_left(7) ^ object.image.bias ^ end);
        None
    }

    /// Check that the list which the loader keeps for debuggers tells of the same objects as the loader.
    #[test]
    fn the_list_is_the_loaders() {
        loader::prepare();
        let (mut listed, mut told) = ((0, 0), (0, 0));
        by_list(|object| seen(object, &mut listed));
        by_loader(|object| seen(object, &mut told));
        assert!(listed.0 > 2);
        assert_eq!(listed, told);
    }

    /// Check that what is not there is not copied, be the kernel asked or not.
    #[test]
    fn what_is_gone() {
        assert!(!copy(8, &mut [0; 2]));
        assert_eq!(sys::copy(8, &mut [0; 2]), Some(false));
        let there = [3u64, 4, 5];
        let mut found = [0; 3];
        assert!(copy(there.as_ptr().expose_provenance(), &mut found));
        assert_eq!(found, there);
    }

    /// Check that each object's image holds its own unwind section and that libc's has a build id.
    #[test]
    fn images_are_read() {
        let found = find_symbol(c"getenv", 0).expect("libc");
        let seen = find_object(|object| {
            object.image.contains(found.address).then(|| {
                (
                    object.image.unwind_section().is_some(),
                    object.image.build_id().map(|id| id.len),
                )
            })
        });
        assert_eq!(seen, Some((true, Some(20))));
    }
}
