//! Opens files that the target named: modules, debug files, sources.
//!
//! Called by `elf`, `separate` and the source reader of `render`. The names come from another process and its debug
//! information, so a name may lead to a pipe that never ends, to a device, or through a symbolic link that means something
//! else in the target's mount namespace. Only regular files are opened, and links are followed inside the root given.
//!
//! Not here: whether the target's user may read the file (`render::sources` asks that).

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Component, Path, PathBuf};

/// As many as the kernel follows.
const MAX_LINKS: u32 = 40;

/// Opens a regular file for reading; anything else (pipe, device, directory) is refused before it could block.
///
/// # Errors
/// What the system says, or `InvalidInput` where it is no regular file.
pub fn open_regular(path: &Path) -> io::Result<File> {
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

fn not_regular() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")
}

/// Where `path`, as a process whose root directory is `root` means it, lies for us.
///
/// Symbolic links are followed inside the root: an absolute link of a container must not lead into our own file system.
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
    root.join(done)
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

    /// Check that with no root a path is left as it is.
    #[test]
    fn no_root_changes_nothing() {
        assert_eq!(
            resolve_in(None, Path::new("/a/../b")),
            PathBuf::from("/a/../b")
        );
    }
}
