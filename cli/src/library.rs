//! libheapshim.so as a file: the library that this command carries, unpacked where the loader can find it.
//!
//! Called by `run`, `lib` and `demo`. The file lies in the user's cache directory under the hash of its content, so that commands of
//! several versions live side by side and a traced program's children find the very library that their parent was given. What
//! is returned was compared with the embedded bytes, byte by byte, a moment ago, in a directory that only we can write to.
//!
//! What root starts may become another user and then start programs, into which the library is to be loaded with that user's rights:
//! ld.so would complain on their stderr. Root's copy therefore lies where everybody can read it and root alone can write.
//! Not proved: that a sandbox leaves the way to it open.

mod old;

use crate::directory::{Private, Reach, absolute, is_roots, xdg};
use crate::error::{Error, Kind};
use rustix::fs::StatVfsMountFlags;
use std::env;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// The library as it was built with this command.
pub const BYTES: &[u8] = include_bytes!(env!("HEAPSHIM_LIBRARY"));
/// SHA-256 of [`BYTES`], in hexadecimal.
pub const HASH: &str = env!("HEAPSHIM_LIBRARY_HASH");

/// Where root's library lies, which programs of every user are to load.
const SYSTEM_CACHE: &str = "/var/cache/heapshim";

/// Unpacks the library where it is not there yet, and says where it is.
///
/// # Errors
/// `Denied` where the cache directory could be written by others; else why no directory can hold it.
pub fn path() -> Result<PathBuf, Error> {
    let mut last = None;
    for (directory, reach) in candidates() {
        match unpack(&directory, reach) {
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

/// The cache directory (root's: the system's), then one of our own among the temporary files.
fn candidates() -> Vec<(PathBuf, Reach)> {
    let user = rustix::process::geteuid();
    let own = format!("heapshim-{}", user.as_raw());
    let chosen = absolute("XDG_CACHE_HOME").is_some();
    let cache = xdg("XDG_CACHE_HOME", ".cache");
    let places = [
        cache.clone().filter(|_| chosen),
        Some(SYSTEM_CACHE.into()).filter(|_| user.is_root() && systems(SYSTEM_CACHE)),
        cache.filter(|_| !chosen),
        absolute("TMPDIR").map(|path| path.join(&own)),
        Some(Path::new("/tmp").join(&own)),
    ];
    // The directory that its user named, and the system's, are there for others where the user is root.
    let reach = |at: usize| match at {
        0 | 1 if user.is_root() => Reach::Everyone,
        _ => Reach::Owner,
    };
    let places = places.into_iter().enumerate();
    let places = places.filter_map(|(at, path)| Some((path?, reach(at))));
    places.filter(|(path, _)| loadable(path)).collect()
}

/// True where the directory is, or can be made, in one that is root's alone.
fn systems(directory: &str) -> bool {
    Path::new(directory).parent().is_some_and(is_roots)
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

fn unpack(directory: &Path, reach: Reach) -> Result<PathBuf, Error> {
    let private = Private::open_or_make(directory, reach)?;
    let flags = rustix::fs::fstatvfs(private.fd()).map(|stat| stat.f_flag);
    if flags.is_ok_and(|flags| flags.contains(StatVfsMountFlags::NOEXEC)) {
        let problem = "mounted noexec: no program can load a library from it";
        return Err(Error::new(Kind::Failed, directory.display(), problem));
    }
    let name = format!("libheapshim-{HASH}.so");
    let intact = || private.read(&name, BYTES.len() as u64 + 1).as_deref() == Some(BYTES);
    if intact() {
        private.renew(&name, reach);
    } else {
        private.write(&name, BYTES, reach)?;
        old::remove(&private, &name);
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
    use crate::fixture::Scratch;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::time::{Duration, SystemTime};

    /// Check that the file is what was embedded, an ELF object, and is made whole again after it was damaged.
    #[test]
    fn unpacked_and_repaired() {
        let scratch = Scratch::new("library-unpacked");
        let directory = scratch.path().join("cache");
        let path = unpack(&directory, Reach::Owner).expect("unpacked");
        assert_eq!(fs::read(&path).expect("read"), BYTES);
        assert!(BYTES.starts_with(b"\x7fELF"));
        fs::write(&path, b"damaged").expect("damaged");
        assert_eq!(unpack(&directory, Reach::Owner).expect("repaired"), path);
        assert_eq!(fs::read(&path).expect("read"), BYTES);
    }

    /// Check that a cache directory that others can write to is refused.
    #[test]
    fn shared_directory() {
        let scratch = Scratch::new("library-shared");
        let directory = scratch.path().join("cache");
        fs::create_dir_all(&directory).expect("made");
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o770)).expect("chmod");
        let refused = unpack(&directory, Reach::Owner);
        assert_eq!(refused.map_err(|e| e.kind()), Err(Kind::Denied));
    }

    /// Check that a new library drives out an old one that nobody has, and that handing one out makes it young again.
    #[test]
    fn replaces_the_old() {
        let scratch = Scratch::new("library-old");
        let directory = scratch.path().join("cache");
        let path = unpack(&directory, Reach::Everyone).expect("unpacked");
        let age = |path: &Path| {
            let eight_days = SystemTime::now() - Duration::from_secs(8 * 24 * 60 * 60);
            let file = fs::File::open(path).expect("there");
            file.set_modified(eight_days).expect("set back");
        };
        let other = directory.join("libheapshim-0123456789abcdef.so");
        fs::write(&other, b"of another version").expect("written");
        age(&other);
        age(&path);
        unpack(&directory, Reach::Everyone).expect("still there");
        assert!(other.exists());
        let modified = fs::metadata(&path).and_then(|metadata| metadata.modified());
        let since = modified.expect("a time").elapsed().expect("past");
        assert!(since < Duration::from_secs(24 * 60 * 60));
        fs::remove_file(&path).expect("removed");
        unpack(&directory, Reach::Everyone).expect("unpacked");
        assert!(!other.exists() && path.exists());
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
