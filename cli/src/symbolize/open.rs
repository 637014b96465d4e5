//! Opens files that the target named: modules, debug files, sources.
//!
//! Called by `elf`, `module`, `separate`, `split` and the source reader of `render`. The names come from another process and its debug
//! information, so a name may lead to a pipe that never ends, to a device, or through a symbolic link that means something
//! else in the target's mount namespace. Only regular files are opened, and links are followed inside the root given.
//!
//! Whether the target's user may read the file says the kernel (`rights`).

use crate::symbolize::rights::Rights;
use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Component, Path, PathBuf};

/// As many as the kernel follows.
const MAX_LINKS: u32 = 40;

/// Opens a regular file for reading; anything else (pipe, device, directory) is refused before it could block.
///
/// # Errors
/// What the system says, or `InvalidInput` where it is no regular file.
fn open_regular(path: &Path) -> io::Result<File> {
    if !path.metadata()?.is_file() {
        return Err(not_regular());
    }
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(path)?;
    // Asked again of what was opened: the path may have changed in between.
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(not_regular())
    }
}

/// As `open_regular`, with the rights of `reader` (user and group), who named the file; None: our own.
///
/// # Errors
/// As `open_regular`; `PermissionDenied` also where we can neither take these rights nor are sure that they suffice.
pub fn open_as(reader: Option<(u32, u32)>, path: &Path) -> io::Result<File> {
    let Some(reader) = reader else {
        return open_regular(path);
    };
    let rights = Rights::of(reader);
    let file = open_regular(path)?;
    match rights.is_some() || is_everybodys(&file)? {
        true => Ok(file),
        false => Err(io::ErrorKind::PermissionDenied.into()),
    }
}

/// True for what anybody may read who gets there: we are not root, and have got there with our own rights.
fn is_everybodys(file: &File) -> io::Result<bool> {
    Ok(file.metadata()?.mode() & 0o004 != 0)
}

fn not_regular() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")
}

/// Where `path`, as a process whose root directory is `root` means it, lies for us.
///
/// Symbolic links are followed inside the root: an absolute link of a container must not lead into our own file system. What is one
/// file from there and from here is reached from here: a service with a `/tmp` of its own has our libraries.
#[must_use]
pub fn resolve_in(root: Option<&Path>, path: &Path) -> PathBuf {
    let Some(root) = root else {
        return path.to_path_buf();
    };
    let mut done = PathBuf::new();
    let mut todo: Vec<OsString> = parts(path);
    let mut links = 0;
    while let Some(part) = todo.pop() {
        if part == ".." {
            done.pop();
            continue;
        }
        let target = root.join(done.join(&part)).read_link().ok();
        match target {
            Some(target) if links < MAX_LINKS => {
                links += 1;
                if target.is_absolute() {
                    done.clear();
                }
                todo.extend(parts(&target));
            }
            _ => done.push(&part),
        }
    }
    let found = root.join(done);
    match is_same(&found, path) {
        true => path.to_path_buf(),
        false => found,
    }
}

fn is_same(one: &Path, other: &Path) -> bool {
    let place = |path: &Path| {
        let found = path.metadata().ok()?;
        Some((found.dev(), found.ino()))
    };
    let one = place(one);
    one.is_some() && one == place(other)
}

/// The names in a path, last one first; `..` kept, everything else that is not a name dropped.
fn parts(path: &Path) -> Vec<OsString> {
    let mut names: Vec<OsString> = path
        .components()
        .filter_map(|component| match component {
            Component::Normal(name) => Some(name.to_os_string()),
            Component::ParentDir => Some(OsString::from("..")),
            _ => None,
        })
        .collect();
    names.reverse();
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Scratch;
    use std::os::unix::fs::symlink;

    /// Check that a directory and a device are refused, and a file is not.
    #[test]
    fn only_regular_files_open() {
        assert!(open_regular(Path::new("/dev/null")).is_err());
        assert!(open_regular(Path::new("/")).is_err());
        assert!(open_regular(Path::new("/proc/self/maps")).is_ok());
    }

    /// Check that an absolute link inside a root stays inside it.
    #[test]
    fn absolute_link_stays_in_root() {
        let scratch = Scratch::new("open-absolute");
        let root = scratch.path();
        std::fs::create_dir_all(root.join("usr/lib")).unwrap();
        symlink("/usr/lib", root.join("lib")).unwrap();
        assert_eq!(
            resolve_in(Some(root), Path::new("/lib/libx.so")),
            root.join("usr/lib/libx.so")
        );
    }

    /// Check that `..` cannot climb out of the root, and that links in a circle end.
    #[test]
    fn root_cannot_be_left() {
        let scratch = Scratch::new("open-climb");
        let root = scratch.path();
        symlink("../../../etc", root.join("up")).unwrap();
        symlink("round", root.join("round")).unwrap();
        assert_eq!(
            resolve_in(Some(root), Path::new("/up/passwd")),
            root.join("etc/passwd")
        );
        assert_eq!(
            resolve_in(Some(root), Path::new("/round")),
            root.join("round")
        );
    }

    /// Check that a file that is the same from here is reached from here.
    #[test]
    fn same_file_is_reached_from_here() {
        let scratch = Scratch::new("open-same");
        let file = scratch.write("x", b"x");
        assert_eq!(resolve_in(Some(Path::new("/")), &file), file);
        let inside = scratch.path().join(file.strip_prefix("/").unwrap());
        std::fs::create_dir_all(inside.parent().unwrap()).unwrap();
        std::fs::write(&inside, b"another").unwrap();
        assert_eq!(resolve_in(Some(scratch.path()), &file), inside);
        std::fs::remove_file(&inside).unwrap();
        std::fs::hard_link(&file, &inside).unwrap();
        assert_eq!(resolve_in(Some(scratch.path()), &file), file);
    }

    /// Check that with no root a path is left as it is.
    #[test]
    fn no_root_changes_nothing() {
        assert_eq!(
            resolve_in(None, Path::new("/a/../b")),
            PathBuf::from("/a/../b")
        );
    }
}
