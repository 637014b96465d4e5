//! Directories of our own, and files that are there whole or not at all.
//!
//! Used by `library` (whose file is preloaded into the user's programs) and `store` (whose files tell what a program does).
//! A directory is used through its descriptor, so that what was checked is what is written to. Invariants: a [`Private`] is a
//! real directory, owned by the effective user, writable by nobody else (readable by others where [`Reach`] says so); a file in it appears by rename, synced and complete.
//! Not here: what lies in the files.

use crate::error::{Error, Kind};
use rustix::fs::{AtFlags, Mode, OFlags, Stat};
use rustix::io::Errno;
use std::env;
use std::fs::{DirBuilder, File};
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::SystemTime;

/// A directory that only we can write to.
#[derive(Debug)]
pub struct Private {
    path: PathBuf,
    fd: OwnedFd,
}

/// Who may read a directory's files. Nobody but their owner ever writes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// The owner: modes 0700 and 0600.
    Owner,
    /// Every user: modes 0755 and 0644, whatever the umask is.
    Everyone,
}

impl Reach {
    fn directory_mode(self) -> u32 {
        match self {
            Reach::Owner => 0o700,
            Reach::Everyone => 0o755,
        }
    }

    fn file_mode(self) -> Mode {
        Mode::from_raw_mode(match self {
            Reach::Owner => 0o600,
            Reach::Everyone => 0o644,
        })
    }
}

/// `$variable/heapshim` where the variable is an absolute path (the XDG base directory specification ignores others), else
/// `$HOME/default/heapshim`; None without either.
#[must_use]
pub fn xdg(variable: &str, default: &str) -> Option<PathBuf> {
    let base = absolute(variable).or_else(|| Some(absolute("HOME")?.join(default)))?;
    Some(base.join("heapshim"))
}

/// The path that a variable holds, where it is an absolute one.
#[must_use]
pub fn absolute(variable: &str) -> Option<PathBuf> {
    let path = env::var_os(variable).map(PathBuf::from);
    path.filter(|path| path.is_absolute())
}

/// True for a directory that everybody can reach and root alone can change: itself and each above it belongs to root, is no link,
/// and is writable by its owner alone.
#[must_use]
pub fn is_roots(path: &Path) -> bool {
    path.is_absolute()
        && path.ancestors().all(|directory| {
            directory.symlink_metadata().is_ok_and(|found| {
                let closed = found.mode() & 0o022 == 0 && found.mode() & 0o005 == 0o005;
                found.is_dir() && found.uid() == 0 && closed
            })
        })
}

impl Private {
    /// Opens the directory, and makes it (with those above it) where it is not there.
    ///
    /// # Errors
    /// `Denied` where somebody else owns it or could write to it, or it is a link; else what the system said.
    pub fn open_or_make(path: &Path, reach: Reach) -> Result<Private, Error> {
        let mode = reach.directory_mode();
        let made = DirBuilder::new().recursive(true).mode(mode).create(path);
        made.map_err(|error| Error::io(path.display(), "directory not made", error))?;
        let private = Private::open(path)?;
        if reach == Reach::Everyone {
            let opened = rustix::fs::fchmod(&private.fd, Mode::from_raw_mode(mode));
            opened.map_err(|errno| Error::io(path.display(), "directory not opened", errno))?;
        }
        Ok(private)
    }

    /// Opens the directory where it is there.
    ///
    /// # Errors
    /// As [`Private::open_or_make`].
    pub fn open(path: &Path) -> Result<Private, Error> {
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = rustix::fs::open(path, flags, Mode::empty()).map_err(|errno| match errno {
            Errno::NOTDIR | Errno::LOOP => insecure(path, "not a directory of its own"),
            _ => Error::io(path.display(), "directory not opened", errno),
        })?;
        let stat = rustix::fs::fstat(&fd)
            .map_err(|errno| Error::io(path.display(), "directory not read", errno))?;
        if stat.st_uid != rustix::process::geteuid().as_raw() {
            return Err(insecure(path, "it belongs to another user"));
        }
        if others_write(&stat) {
            return Err(insecure(path, "others can write to it"));
        }
        let path = path.to_path_buf();
        Ok(Private { path, fd })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The descriptor, for questions about the file system.
    #[must_use]
    pub fn fd(&self) -> &OwnedFd {
        &self.fd
    }

    /// Reads a regular file of ours; None where there is none of that name that could be trusted.
    #[must_use]
    pub fn read(&self, name: &str, max_bytes: u64) -> Option<Vec<u8>> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let fd = rustix::fs::openat(&self.fd, name, flags, Mode::empty()).ok()?;
        let stat = rustix::fs::fstat(&fd).ok()?;
        let size = u64::try_from(stat.st_size).ok()?;
        let ours = stat.st_uid == rustix::process::geteuid().as_raw() && !others_write(&stat);
        if !ours || size > max_bytes || stat.st_mode & libc::S_IFMT != libc::S_IFREG {
            return None;
        }
        let mut bytes = Vec::new();
        File::from(fd)
            .take(max_bytes)
            .read_to_end(&mut bytes)
            .ok()?;
        Some(bytes)
    }

    /// Writes a file: whole under its name, or not there (an older one of that name then stays).
    ///
    /// # Errors
    /// What the system said, with the path.
    pub fn write(&self, name: &str, bytes: &[u8], reach: Reach) -> Result<(), Error> {
        self.write_through(name, &[bytes], reach, |file| file.sync_all())
    }

    /// As [`Private::write`], without waiting for the disk: for what is worth little where the machine goes down.
    ///
    /// # Errors
    /// What the system said, with the path.
    pub fn write_lossy(&self, name: &str, bytes: &[u8], reach: Reach) -> Result<(), Error> {
        self.write_pieces_lossy(name, &[bytes], reach)
    }

    /// As [`Private::write_lossy`], of bytes in pieces that follow each other.
    ///
    /// # Errors
    /// What the system said, with the path.
    pub fn write_pieces_lossy(
        &self,
        name: &str,
        pieces: &[impl AsRef<[u8]>],
        reach: Reach,
    ) -> Result<(), Error> {
        self.write_through(name, pieces, reach, |_| Ok(()))
    }

    fn write_through(
        &self,
        name: &str,
        pieces: &[impl AsRef<[u8]>],
        reach: Reach,
        sync: fn(&File) -> std::io::Result<()>,
    ) -> Result<(), Error> {
        let temporary = temporary_name(name);
        let written = self.write_new(&temporary, pieces, reach);
        let result = written.and_then(|file| sync(&file)).and_then(|()| {
            rustix::fs::renameat(&self.fd, temporary.as_str(), &self.fd, name)
                .map_err(std::io::Error::from)
        });
        result.map_err(|error| {
            self.remove(&temporary);
            next_step(Error::io(
                self.path.join(name).display(),
                "not written",
                error,
            ))
        })
    }

    /// Notes that a file of ours is in use now, and for whom.
    pub fn renew(&self, name: &str, reach: Reach) {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        if let Ok(fd) = rustix::fs::openat(&self.fd, name, flags, Mode::empty()) {
            let _readable = rustix::fs::fchmod(&fd, reach.file_mode());
            let _noted = File::from(fd).set_modified(SystemTime::now());
        }
    }

    /// Removes a file, where it is there.
    pub fn remove(&self, name: &str) {
        let _gone = rustix::fs::unlinkat(&self.fd, name, AtFlags::empty());
    }

    fn write_new(
        &self,
        name: &str,
        pieces: &[impl AsRef<[u8]>],
        reach: Reach,
    ) -> std::io::Result<File> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let owner = Reach::Owner.file_mode();
        let mut file = File::from(rustix::fs::openat(&self.fd, name, flags, owner)?);
        for piece in pieces {
            file.write_all(piece.as_ref())?;
        }
        rustix::fs::fchmod(&file, reach.file_mode())?;
        Ok(file)
    }
}

/// Writes a file anywhere, owner-only: whole under its name, or not there. What is no regular file (a pipe, a device) is
/// written to as it is.
///
/// # Errors
/// What the system said, with the path.
pub fn write_file(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let failed = |error: std::io::Error| next_step(Error::io(path.display(), "not written", error));
    if path.metadata().is_ok_and(|found| !found.is_file()) {
        let mut file = File::options().write(true).open(path).map_err(failed)?;
        return file.write_all(bytes).map_err(failed);
    }
    let name = path.file_name().ok_or_else(|| {
        Error::new(Kind::Usage, path.display(), "not a file name").next("name a file to write to")
    })?;
    let temporary = path.with_file_name(temporary_name(&name.to_string_lossy()));
    let written = write_synced(&temporary, bytes).and_then(|()| std::fs::rename(&temporary, path));
    written.map_err(|error| {
        let _gone = std::fs::remove_file(&temporary);
        failed(error)
    })
}

fn write_synced(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let mut file = File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// A name that no other writer uses at this moment: ours by pid, and among our threads by number.
fn temporary_name(name: &str) -> String {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    format!(".{name}.{}-{number}.new", std::process::id())
}

fn others_write(stat: &Stat) -> bool {
    stat.st_mode & 0o022 != 0
}

fn insecure(path: &Path, why: &str) -> Error {
    Error::new(Kind::Denied, path.display(), format!("not used: {why}"))
        .next("remove it, or make it a directory of your own with mode 0700")
}

/// Adds the next step where one is plain: a full disk, a directory that is not there or not ours.
fn next_step(error: Error) -> Error {
    use std::error::Error as _;
    let cause = error
        .source()
        .and_then(|source| source.downcast_ref::<std::io::Error>());
    let code = cause.and_then(std::io::Error::raw_os_error);
    match code {
        Some(libc::ENOSPC | libc::EDQUOT) => {
            error.next("nothing was kept; make room, or write elsewhere with -o")
        }
        Some(libc::ENOENT | libc::ENOTDIR) => error.next("make its directory first"),
        Some(libc::EACCES | libc::EPERM | libc::EROFS) => error.next("write elsewhere with -o"),
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Scratch;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    /// Check that a directory that others can write to, a link and a file are refused, each with the next step.
    #[test]
    fn refused() {
        let scratch = Scratch::new("directory-refused");
        let base = scratch.path();
        let wide = base.join("wide");
        fs::create_dir(&wide).expect("made");
        fs::set_permissions(&wide, fs::Permissions::from_mode(0o777)).expect("chmod");
        let link = base.join("link");
        symlink(base, &link).expect("link");
        fs::write(base.join("file"), b"").expect("file");
        for path in [wide, link] {
            let error = Private::open_or_make(&path, Reach::Owner).expect_err("refused");
            assert_eq!(error.kind(), Kind::Denied);
            assert!(error.to_string().contains("mode 0700"), "{error}");
        }
        assert!(Private::open_or_make(&base.join("file"), Reach::Owner).is_err());
    }

    /// Check that a file is written whole, owner-only, replaces an older one, and leaves no temporary behind.
    #[test]
    fn whole_files() {
        let scratch = Scratch::new("directory-whole");
        let base = scratch.path();
        let private = Private::open_or_make(&base.join("a/b"), Reach::Owner).expect("made");
        for bytes in [&b"one"[..], b"two"] {
            private.write("name", bytes, Reach::Owner).expect("written");
            assert_eq!(private.read("name", 100).as_deref(), Some(bytes));
        }
        assert_eq!(private.read("name", 2), None);
        assert_eq!(private.read("other", 2), None);
        let path = base.join("a/b/name");
        write_file(&path, b"three").expect("written");
        assert_eq!(fs::read(&path).expect("read"), b"three");
        let mode = fs::metadata(&path).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(fs::read_dir(base.join("a/b")).expect("listed").count(), 1);
    }

    /// Check that what everyone is to reach gets exactly the modes for it, also where it was there with others.
    #[test]
    fn reach() {
        let scratch = Scratch::new("directory-reach");
        let base = scratch.path();
        let path = base.join("shared");
        let mode = |name: &str| {
            let metadata = fs::metadata(path.join(name)).expect("there");
            metadata.permissions().mode() & 0o7777
        };
        let private = Private::open_or_make(&path, Reach::Owner).expect("made");
        private.write("name", b"x", Reach::Owner).expect("written");
        assert_eq!((mode(""), mode("name")), (0o700, 0o600));
        let private = Private::open_or_make(&path, Reach::Everyone).expect("opened");
        assert_eq!((mode(""), mode("name")), (0o755, 0o600));
        private.renew("name", Reach::Everyone);
        assert_eq!(mode("name"), 0o644);
        private.renew("other", Reach::Everyone);
        assert!(!path.join("other").exists());
    }

    /// Check that a directory is root's alone only where every one above it is, too.
    #[test]
    fn roots() {
        let scratch = Scratch::new("directory-roots");
        let base = scratch.path();
        let inside = base.join("inside");
        fs::create_dir(&inside).expect("made");
        for (directory, mode) in [(base, 0o777), (&inside, 0o755)] {
            fs::set_permissions(directory, fs::Permissions::from_mode(mode)).expect("chmod");
        }
        assert!(is_roots(Path::new("/")) && !is_roots(Path::new("usr")));
        assert!(!is_roots(base) && !is_roots(&inside));
        assert!(!is_roots(Path::new("/no/such")) && !is_roots(Path::new("/etc/passwd")));
    }

    /// Check that a full disk gives an error with the next step.
    #[test]
    fn disk_full() {
        let error = write_file(Path::new("/dev/full"), b"x").expect_err("full");
        assert!(error.to_string().contains("make room"), "{error}");
    }
}
