//! Where `gather` listens: under an abstract name, and at a file, for processes that the name cannot reach.
//!
//! Called by `gather` alone. An abstract name is one network namespace's, and needs no file system: it is reached from another root, and from other mounts.
//! A file is reached from other network namespaces. The shim tries the name, then the file: what has both another network and other mounts without
//! the file can't be heard. The file lies in the directory for temporary files, is not needed once we end, and is removed then; what a `run` that was
//! killed has left there the next one removes.

use crate::error::Error;
use rustix::fs::Mode;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Processes that may be waiting to be accepted: what the kernel allows at most.
const BACKLOG: i32 = 4096;
/// Ends the file's name, which begins as the abstract one does.
const END: &str = ".socket";
const BEGIN: &str = "heapshim-";
/// A file at which nobody listens may be about to be listened at: left alone for so long.
const YOUNG: Duration = Duration::from_secs(60);
/// Names that are looked at for what was left behind: a full directory must not hold us up.
const LOOKED_AT: usize = 10_000;

/// The two places, as the shim is told.
#[derive(Clone, Debug)]
pub struct Place {
    /// The abstract name, without the NUL that it begins with.
    pub name: String,
    /// The file; None where there is no place for one.
    pub file: Option<PathBuf>,
}

impl Place {
    /// Tells it to what the command starts.
    pub(crate) fn tell(&self, command: &mut Command) {
        command.env("HEAPSHIM_SOCKET", &self.name);
        match &self.file {
            Some(file) => command.env("HEAPSHIM_SOCKET_FILE", file),
            None => command.env_remove("HEAPSHIM_SOCKET_FILE"),
        };
    }
}

/// The listening ends.
#[derive(Debug)]
pub(crate) struct Listener {
    place: Place,
    by_name: OwnedFd,
    at_file: Option<OwnedFd>,
}

impl Listener {
    /// Begins to listen, under names that nobody can foresee.
    pub(crate) fn new() -> Result<Listener, Error> {
        let mut random = [0u8; 16];
        let failed = |errno| Error::io("run", "no socket to listen on", errno);
        rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty())
            .map_err(failed)?;
        let name = format!("{BEGIN}{:032x}", u128::from_le_bytes(random));
        let address = SocketAddrUnix::new_abstract_name(name.as_bytes()).map_err(failed)?;
        let by_name = listen(&address).map_err(failed)?;
        let (file, at_file) = in_one_of(&directories(), &format!("{name}{END}")).unzip();
        Ok(Listener {
            place: Place { name, file },
            by_name,
            at_file,
        })
    }

    /// Where it listens.
    pub(crate) fn place(&self) -> &Place {
        &self.place
    }

    /// The end that is reached by name.
    pub(crate) fn by_name(&self) -> &OwnedFd {
        &self.by_name
    }

    /// The end that is reached at the file.
    pub(crate) fn at_file(&self) -> Option<&OwnedFd> {
        self.at_file.as_ref()
    }
}

impl Drop for Listener {
    /// Removes the file.
    fn drop(&mut self) {
        if let Some(file) = &self.place.file {
            // Where it is gone already there is nothing to do.
            let _ = fs::remove_file(file);
        }
    }
}

fn listen(address: &SocketAddrUnix) -> Result<OwnedFd, Errno> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
    rustix::net::bind(&socket, address)?;
    rustix::net::listen(&socket, BACKLOG)?;
    Ok(socket)
}

/// Where the file may lie, the best first: the user's directory for temporary files may be gone, read-only, or have a name too long for a socket.
fn directories() -> Vec<PathBuf> {
    let mut all = vec![std::env::temp_dir(), PathBuf::from("/tmp")];
    all.dedup();
    all
}

/// Listens in the first directory where that is possible, and removes there what others have left.
fn in_one_of(directories: &[PathBuf], name: &str) -> Option<(PathBuf, OwnedFd)> {
    directories.iter().find_map(|directory| {
        sweep(directory);
        let file = directory.join(name);
        let socket = listen_at(&file)?;
        Some((file, socket))
    })
}

/// Listens at a file, which processes that have dropped root's rights may connect to, too: who it is says the kernel (`gather`). None where
/// the directory is not there, not ours to write, or the file's whole name too long (107 bytes, unix(7)).
fn listen_at(file: &Path) -> Option<OwnedFd> {
    if !file.is_absolute() {
        return None;
    }
    let socket = listen(&SocketAddrUnix::new(file).ok()?).ok()?;
    let root = rustix::process::geteuid().is_root();
    let mode = Mode::from_raw_mode(if root { 0o666 } else { 0o600 });
    // Just made: else the umask decides who reaches it.
    let _ = rustix::fs::chmod(file, mode);
    Some(socket)
}

/// Removes our own user's files at which nobody listens any more.
fn sweep(directory: &Path) {
    let entries = fs::read_dir(directory).into_iter().flatten();
    for entry in entries.take(LOOKED_AT).flatten() {
        let name = entry.file_name();
        let named = name
            .to_str()
            .is_some_and(|name| name.starts_with(BEGIN) && name.ends_with(END));
        if named && is_left_behind(&entry.path()) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

fn is_left_behind(file: &Path) -> bool {
    let Ok(metadata) = fs::symlink_metadata(file) else {
        return false;
    };
    let age = metadata
        .modified()
        .ok()
        .and_then(|time| time.elapsed().ok());
    metadata.file_type().is_socket()
        && metadata.uid() == rustix::process::geteuid().as_raw()
        && age.is_some_and(|age| age > YOUNG)
        && nobody_listens(file)
}

fn nobody_listens(file: &Path) -> bool {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let kind = SocketType::SEQPACKET;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, kind, flags, None);
    let refused = |socket: OwnedFd| {
        let address = SocketAddrUnix::new(file).ok()?;
        rustix::net::connect(&socket, &address).err()
    };
    socket.ok().and_then(refused) == Some(Errno::CONNREFUSED)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Scratch;
    use std::time::SystemTime;

    /// Makes a socket's file, some time ago, and says whether it is there after a sweep.
    fn is_kept(name: &str, minutes: u64, listening: bool) -> bool {
        let scratch = Scratch::short(name);
        let directory = scratch.path();
        let file = directory.join("heapshim-0.socket");
        let socket = listen_at(&file).expect("listening");
        let ago = Duration::from_secs(60 * minutes);
        let then = SystemTime::now().checked_sub(ago).expect("a time");
        let times = rustix::fs::Timestamps {
            last_access: timespec(then),
            last_modification: timespec(then),
        };
        let flags = rustix::fs::AtFlags::empty();
        rustix::fs::utimensat(rustix::fs::CWD, &file, &times, flags).expect("dated");
        let _still = listening.then_some(&socket);
        if !listening {
            drop(socket);
        }
        sweep(directory);
        file.exists()
    }

    fn timespec(time: SystemTime) -> rustix::fs::Timespec {
        let since = time
            .duration_since(SystemTime::UNIX_EPOCH)
            .expect("after 1970");
        rustix::fs::Timespec {
            tv_sec: i64::try_from(since.as_secs()).expect("soon"),
            tv_nsec: 0,
        }
    }

    /// Check that of the files of others only those are removed at which nobody listens, and only when they are old enough.
    #[test]
    fn left_behind() {
        assert!(!is_kept("dead", 5, false));
        assert!(is_kept("young", 0, false));
        assert!(is_kept("alive", 5, true));
    }

    /// Check that a directory that is not there, or whose name is too long for a socket, leaves it to the next.
    #[test]
    fn elsewhere() {
        let scratch = Scratch::short("elsewhere");
        let good = scratch.path();
        let long = good.join("l".repeat(100));
        fs::create_dir(&long).expect("made");
        let tried = [good.join("absent"), long, good.to_path_buf()];
        let (file, _socket) = in_one_of(&tried, "heapshim-0.socket").expect("listening");
        assert_eq!(file, good.join("heapshim-0.socket"));
        assert!(in_one_of(&tried[..2], "heapshim-0.socket").is_none());
    }

    /// Check that the file is there while we listen, and gone after it.
    #[test]
    fn removed() {
        let listener = Listener::new().expect("listening");
        let file = listener.place().file.clone().expect("a file");
        let metadata = fs::symlink_metadata(&file).expect("there");
        assert!(metadata.file_type().is_socket());
        drop(listener);
        assert!(!file.exists());
    }
}
