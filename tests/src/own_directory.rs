//! A directory of a process's own, which goes when it is dropped; what a process that was killed has left goes when the next one makes its own.
//!
//! For the suite's programs, and by path for the command's tests and for xtask. Whose a directory is says the number in its name, and as numbers come again, and other
//! containers have others, a lock that the kernel gives back however a process ends. Only what both allow is removed, and only what is of this user.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// What their names begin with, before number and name.
const PREFIX: &str = "heapshim-own-";
/// open(2) follows no link, and opens nothing but a directory.
const DIRECTORY_ITSELF: i32 = libc::O_DIRECTORY | libc::O_NOFOLLOW;

/// A directory, while it is held.
#[derive(Debug)]
pub(crate) struct OwnDirectory {
    path: PathBuf,
    _lock: File,
}

impl OwnDirectory {
    /// An empty one in `base`, which is made where it is not there; `name` is another for each that this process has at a time.
    ///
    /// # Errors
    /// What the system said.
    pub(crate) fn new(base: &Path, name: &str) -> io::Result<OwnDirectory> {
        fs::create_dir_all(base)?;
        let path = base.join(format!("{PREFIX}{}-{name}", std::process::id()));
        // Of another process that had this number.
        let _old = fs::remove_dir_all(&path);
        fs::create_dir(&path)?;
        let lock = itself(&path)?;
        lock.lock()?;
        sweep(base, lock.metadata()?.uid());
        Ok(OwnDirectory { path, _lock: lock })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for OwnDirectory {
    fn drop(&mut self) {
        // What can't be removed is left.
        let _ = fs::remove_dir_all(&self.path);
    }
}

fn itself(path: &Path) -> io::Result<File> {
    File::options()
        .read(true)
        .custom_flags(DIRECTORY_ITSELF)
        .open(path)
}

/// Removes what processes of this user have left that are gone.
fn sweep(base: &Path, user: u32) {
    for entry in fs::read_dir(base).into_iter().flatten().flatten() {
        if entry.file_name().to_str().is_some_and(is_of_nobody) {
            remove_left(&entry.path(), user);
        }
    }
}

/// True of the name of one whose number nobody has. Between its making and its lock nothing else says whose it is.
fn is_of_nobody(name: &str) -> bool {
    let number = name
        .strip_prefix(PREFIX)
        .and_then(|rest| rest.split('-').next());
    let number = number.and_then(|number| number.parse::<u32>().ok());
    number.is_some_and(|number| !Path::new("/proc").join(number.to_string()).exists())
}

fn remove_left(path: &Path, user: u32) {
    let Ok(lock) = itself(path) else {
        return;
    };
    let is_the_users = lock.metadata().is_ok_and(|metadata| metadata.uid() == user);
    if is_the_users && lock.try_lock().is_ok() {
        // What can't be removed is left.
        let _ = fs::remove_dir_all(path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Check that it goes with its holder, and that of others' what is left by processes that are gone goes, and nothing that somebody still holds, by number or by lock.
    #[test]
    fn left_by_others() {
        let base = OwnDirectory::new(&std::env::temp_dir(), "left-by-others").expect("a directory");
        let of = |number: &str| base.path().join(format!("{PREFIX}{number}-name"));
        // The first process of all lives; numbers end below the second.
        let [living, gone, held] = ["1", "4194305", "4194306"].map(of);
        for path in [&living, &gone, &held] {
            fs::create_dir_all(path.join("inside")).expect("made");
        }
        let lock = itself(&held).expect("opened");
        lock.lock().expect("locked");
        let own = OwnDirectory::new(base.path(), "own").expect("a directory");
        let path = own.path().to_path_buf();
        let there = || [&living, &gone, &held, &path].map(|path| path.exists());
        assert_eq!(there(), [true, false, true, true]);
        drop(own);
        assert_eq!(there(), [true, false, true, false]);
        // Not by closing it: what another test starts has it for a moment, too.
        lock.unlock().expect("unlocked");
        drop(OwnDirectory::new(base.path(), "next"));
        assert_eq!(there(), [true, false, false, false]);
    }
}
