//! The loader's list of objects, and symbols looked up in it by ourselves.
//!
//! dlsym allocates and leaves the target a pending dlerror, so it must not run in a hook. dl_iterate_phdr does neither, but takes the
//! loader's lock: so it is called at start-up, and later only for an operator new that came with a later libstdc++, and where there is no
//! `_dl_find_object` (glibc before 2.35). In a forked child that lock may be held for ever by a thread that is not there (a child
//! hung in its first malloc so): there the list that the loader keeps for debuggers is read instead, which no other thread changes.

use crate::elf::{Image, Symbols};
use crate::{loader, start};
use core::ffi::{CStr, c_int, c_void};

/// A loaded object during a visit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Object<'a> {
    /// Its program headers.
    pub(crate) image: Image<'a>,
    /// Path as it was loaded; empty for the executable.
    pub(crate) name: &'a CStr,
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
    let mut next = loader::first_link_map();
    while let Some(map) = next {
        let found = map.image().and_then(|image| {
            visit(Object {
                image,
                name: map.name(),
            })
        });
        if found.is_some() {
            return found;
        }
        next = map.next();
    }
    None
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
        let name = match info.dlpi_name.is_null() {
            true => c"",
            // SAFETY: a C string that lives as long as the object.
            false => unsafe { CStr::from_ptr(info.dlpi_name) },
        };
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
