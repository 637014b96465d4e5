//! libheapshim.so as a file: the library that this command carries, unpacked where the loader can find it.
//!
//! Called by `run`, `lib` and `demo`. The file lies in the user's cache directory under the hash of its content, so that commands of
//! several versions live side by side and a traced program's children find the very library that their parent was given. What
//! is returned was compared with the embedded bytes, byte by byte, a moment ago, in a directory that only we can write to.
//! Older versions are not removed: programs that were started with them may still start children.

use crate::directory::{Private, xdg};
use crate::error::{Error, Kind};
use rustix::fs::{Mode, StatVfsMountFlags};
use std::env;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// The library as it was built with this command.
pub const BYTES: &[u8] = include_bytes!(env!("HEAPSHIM_LIBRARY"));
/// SHA-256 of [`BYTES`], in hexadecimal.
pub const HASH: &str = env!("HEAPSHIM_LIBRARY_HASH");

/// Unpacks the library where it is not there yet, and says where it is.
///
/// # Errors
/// `Denied` where the cache directory could be written by others; else why no directory can hold it.
pub fn path() -> Result<PathBuf, Error> {
    let mut last = None;
    for directory in candidates() {
        match unpack(&directory) {
            Ok(path) => return Ok(path),
            // Somebody may be at work on the user's cache: say so, rather than go elsewhere quietly.
            Err(error)
                if error.kind() == Kind::Denied && directory.exists() && owned(&directory) =>
            {
                return Err(error);
            }
            Err(error) => last = Some(error),
        }
    }
    let none = || Error::new(Kind::Failed, "libheapshim.so", "no place to unpack it");
    Err(last
        .unwrap_or_else(none)
        .next("set XDG_CACHE_HOME to a directory of your own that programs may be loaded from"))
}

/// The cache directory, then one of our own among the temporary files.
fn candidates() -> Vec<PathBuf> {
    let own = format!("heapshim-{}", rustix::process::geteuid().as_raw());
    let temporary = env::var_os("TMPDIR").map(PathBuf::from);
    let temporary = temporary.filter(|path| path.is_absolute());
    let places = [
        xdg("XDG_CACHE_HOME", ".cache"),
        temporary.map(|path| path.join(&own)),
        Some(Path::new("/tmp").join(&own)),
    ];
    let usable = |path: &PathBuf| loadable(path);
    places.into_iter().flatten().filter(usable).collect()
}

/// True where the path can stand in LD_PRELOAD, whose separators are space and colon, and in which `$` begins a token (ld.so(8)).
fn loadable(path: &Path) -> bool {
    let special = |byte: &u8| matches!(byte, b' ' | b':' | b'$') || byte.is_ascii_control();
    !path.as_os_str().as_bytes().iter().any(special)
}

/// True where the problem is the directory's own, not that we may not write to a file system.
fn owned(directory: &Path) -> bool {
    Private::open(directory).is_err_and(|error| error.kind() == Kind::Denied)
}

fn unpack(directory: &Path) -> Result<PathBuf, Error> {
    let private = Private::open_or_make(directory)?;
    let flags = rustix::fs::fstatvfs(private.fd()).map(|stat| stat.f_flag);
    if flags.is_ok_and(|flags| flags.contains(StatVfsMountFlags::NOEXEC)) {
        let problem = "mounted noexec: no program can load a library from it";
        return Err(Error::new(Kind::Failed, directory.display(), problem));
    }
    let name = format!("libheapshim-{HASH}.so");
    let intact = || private.read(&name, BYTES.len() as u64 + 1).as_deref() == Some(BYTES);
    if !intact() {
        private.write(&name, BYTES, Mode::from_raw_mode(0o600))?;
    }
    if intact() {
        return Ok(private.path().join(name));
    }
    let problem = "libheapshim.so is not there as it was written";
    Err(Error::new(Kind::Failed, directory.display(), problem))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    fn scratch(name: &str) -> PathBuf {
        env::temp_dir().join(format!("heapshim-library-{name}-{}", std::process::id()))
    }

    /// Check that the file is what was embedded, an ELF object, and is made whole again after it was damaged.
    #[test]
    fn unpacked_and_repaired() {
        let directory = scratch("unpacked");
        let path = unpack(&directory).expect("unpacked");
        assert_eq!(fs::read(&path).expect("read"), BYTES);
        assert!(BYTES.starts_with(b"\x7fELF"));
        fs::write(&path, b"damaged").expect("damaged");
        assert_eq!(unpack(&directory).expect("repaired"), path);
        assert_eq!(fs::read(&path).expect("read"), BYTES);
        fs::remove_dir_all(&directory).expect("removed");
    }

    /// Check that a cache directory that others can write to is refused.
    #[test]
    fn shared_directory() {
        let directory = scratch("shared");
        fs::create_dir_all(&directory).expect("made");
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o770)).expect("chmod");
        assert_eq!(unpack(&directory).map_err(|e| e.kind()), Err(Kind::Denied));
        fs::remove_dir_all(&directory).expect("removed");
    }

    /// Check that a path that LD_PRELOAD would cut or expand is passed over.
    #[test]
    fn separators() {
        assert!(loadable(Path::new("/home/ann/.cache/heapshim")));
        for path in ["/home/ann smith/x", "/a:b/x", "/a/$LIB/x", "/a\n/x"] {
            assert!(!loadable(Path::new(path)), "{path}");
        }
    }
}
