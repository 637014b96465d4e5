//! What LD_PRELOAD holds already, as far as that stands in the way of ours.
//!
//! Called by `executable` and `doctor`. Ours is put first: an allocator is then the one behind us, and most libraries do not mind. A
//! sanitizer's does: it ends a program in which it is not the first.

use super::image::{self, Obstacle};
use std::env;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// The sanitizer's library in LD_PRELOAD, if there is one.
pub(super) fn obstacle() -> Option<Obstacle> {
    in_value(&env::var_os("LD_PRELOAD")?)
}

fn in_value(value: &OsStr) -> Option<Obstacle> {
    libraries(value.as_bytes()).find_map(|library| {
        let (name, _) = image::sanitizer_of(&base(&library))?;
        let what = format!("LD_PRELOAD holds {name}, which bears no other library before it");
        Some(Obstacle::new(what, "take it out of LD_PRELOAD"))
    })
}

/// The libraries that a value of LD_PRELOAD names: separated by colons or blanks (ld.so(8)).
pub fn libraries(value: &[u8]) -> impl Iterator<Item = String> + '_ {
    let words = value.split(|byte| matches!(byte, b':' | b' ' | b'\t' | b'\n'));
    let words = words.filter(|word| !word.is_empty());
    words.map(|word| String::from_utf8_lossy(word).into_owned())
}

/// A library's file name.
fn base(library: &str) -> String {
    let name = Path::new(library).file_name().and_then(OsStr::to_str);
    name.unwrap_or(library).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Check that a sanitizer's library is found wherever it stands, and that other libraries are no obstacle.
    #[test]
    fn sanitizers() {
        for value in [
            "libasan.so.8",
            "/x/libjemalloc.so.2:/lib/libtsan.so.2",
            "a.so  liblsan.so.0",
        ] {
            assert!(in_value(OsStr::new(value)).is_some(), "{value}");
        }
        for value in [
            "",
            ":",
            "/x/libjemalloc.so.2",
            "/libasan.so.8/x.so",
            "libubsan.so.1",
        ] {
            assert_eq!(in_value(OsStr::new(value)), None, "{value}");
        }
    }
}
