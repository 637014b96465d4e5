//! What /proc says of one process. Read by `session`, `snapshot` and `run`; every answer may be missing, since processes end.
//!
//! Deliberately not here: anything about its ledger, and any judgement of who may look.

use crate::model::Process;
use crate::resident::Resident;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::ffi::OsString;
use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Resident memory, by what it is backed with; zeros where it could not be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// All of it (VmRSS).
    pub rss_bytes: u64,
    /// Anonymous maps: heap, stacks (RssAnon).
    pub anon_bytes: u64,
    /// Files (RssFile).
    pub file_bytes: u64,
    /// Shared memory, the ledger included (RssShmem).
    pub shmem_bytes: u64,
    /// By mapping: then `rss_bytes` is its sum, since the kernel's own lags behind (proc(5)).
    pub resident: Option<Resident>,
}

fn read(pid: u32, file: &str) -> Option<String> {
    let bytes = fs::read(path(pid, file)).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// `/proc/PID/FILE`.
#[must_use]
pub fn path(pid: u32, file: &str) -> PathBuf {
    Path::new("/proc").join(pid.to_string()).join(file)
}

/// Every process that is there.
#[must_use]
pub fn all() -> Vec<u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let mut pids: Vec<u32> = entries
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect();
    pids.sort_unstable();
    pids
}

/// True where some process that we may look at has a file of this name mapped, or the name in the environment that it began with.
#[must_use]
pub fn any_has(name: &str) -> bool {
    let holds = |pid: u32, file: &str| {
        let bytes = fs::read(path(pid, file)).unwrap_or_default();
        bytes
            .windows(name.len().max(1))
            .any(|part| part == name.as_bytes())
    };
    let mut pids = all().into_iter();
    pids.any(|pid| holds(pid, "maps") || holds(pid, "environ"))
}

/// Clock ticks from boot to its start: with the pid, this names a process among all since boot.
#[must_use]
pub fn start_ticks(pid: u32) -> Option<u64> {
    let stat = read(pid, "stat")?;
    // The name stands in parentheses and may hold spaces and parentheses itself: count from the last one.
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_ascii_whitespace().nth(19)?.parse().ok()
}

/// Its parent.
#[must_use]
pub fn parent(pid: u32) -> Option<u32> {
    let stat = read(pid, "stat")?;
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// `/proc/PID/comm`.
#[must_use]
pub fn comm(pid: u32) -> Option<String> {
    let name = read(pid, "comm")?.trim_end_matches('\n').to_owned();
    (!name.is_empty()).then_some(name)
}

/// The executable's path.
#[must_use]
pub fn exe(pid: u32) -> Option<String> {
    let link: OsString = fs::read_link(path(pid, "exe")).ok()?.into();
    Some(link.to_string_lossy().into_owned())
}

/// True where the name is what the process calls itself, or that of its executable.
#[must_use]
pub fn is_called(pid: u32, name: &str) -> bool {
    let is_base = |exe: String| Path::new(&exe).file_name().is_some_and(|base| base == name);
    comm(pid).is_some_and(|comm| comm == name) || exe(pid).is_some_and(is_base)
}

/// Its arguments.
#[must_use]
pub fn cmdline(pid: u32) -> Option<Vec<String>> {
    let bytes = fs::read(path(pid, "cmdline")).ok()?;
    (!bytes.is_empty()).then(|| split_arguments(&bytes))
}

/// Arguments that each end with a NUL.
#[must_use]
pub fn split_arguments(bytes: &[u8]) -> Vec<String> {
    let whole = bytes.strip_suffix(b"\0").unwrap_or(bytes);
    let text = |part: &[u8]| String::from_utf8_lossy(part).into_owned();
    whole.split(|&byte| byte == 0).map(text).collect()
}

/// Its pid as it knows it itself: in the innermost of its pid namespaces.
#[must_use]
pub fn own_pid(pid: u32) -> Option<u32> {
    let status = read(pid, "status")?;
    field(&status, "NSpid:")?
        .split_ascii_whitespace()
        .last()?
        .parse()
        .ok()
}

/// The user whose rights it has.
#[must_use]
pub fn effective_user(pid: u32) -> Option<u32> {
    let status = read(pid, "status")?;
    let users = field(&status, "Uid:")?;
    users.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// Resident memory now.
#[must_use]
pub fn memory(pid: u32) -> Memory {
    let status = read(pid, "status").map_or_else(Memory::default, |status| parse_memory(&status));
    let resident = Resident::of(&path(pid, "smaps"));
    Memory {
        rss_bytes: resident.map_or(status.rss_bytes, |resident| resident.total()),
        resident,
        ..status
    }
}

/// The most memory that the program that it runs has had resident (VmHWM), in bytes. Unlike getrusage(2)'s, the number begins anew at exec.
#[must_use]
pub fn most_resident(pid: u32) -> Option<u64> {
    kibibytes(&read(pid, "status")?, "VmHWM:")
}

/// The bytes of a line of kB in a status file.
fn kibibytes(status: &str, name: &str) -> Option<u64> {
    let number = field(status, name)?.split_ascii_whitespace().next()?;
    number.parse::<u64>().ok()?.checked_mul(1024)
}

fn parse_memory(status: &str) -> Memory {
    let bytes = |name| kibibytes(status, name);
    Memory {
        rss_bytes: bytes("VmRSS:").unwrap_or(0),
        anon_bytes: bytes("RssAnon:").unwrap_or(0),
        file_bytes: bytes("RssFile:").unwrap_or(0),
        shmem_bytes: bytes("RssShmem:").unwrap_or(0),
        resident: None,
    }
}

fn field<'a>(status: &'a str, name: &str) -> Option<&'a str> {
    status.lines().find_map(|line| line.strip_prefix(name))
}

/// Where a process's files are to be looked for, and with whose rights.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// Its root directory, where that is not ours.
    pub root: Option<PathBuf>,
    /// Its user and group, where they are not ours.
    pub user: Option<(u32, u32)>,
    /// Its process id, while it runs.
    pub live: Option<u32>,
}

impl Origin {
    /// That of a running process; of one that has ended, nothing is known.
    #[must_use]
    pub fn of(pid: u32) -> Origin {
        let root = path(pid, "root");
        // A mount namespace of its own may have other files at the same paths below the same root.
        let is_ours = place(&root) == place(Path::new("/"))
            && place(&path(pid, "ns/mnt")) == place(Path::new("/proc/self/ns/mnt"));
        Origin {
            root: (!is_ours).then_some(root),
            user: Origin::of_file(&path(pid, "")).user,
            live: Some(pid),
        }
    }

    /// That of a file: its owner's rights are all that what stands in it may claim.
    #[must_use]
    pub fn of_file(path: &Path) -> Origin {
        let owner = fs::metadata(path).map(|metadata| (metadata.uid(), metadata.gid()));
        let us = rustix::process::geteuid().as_raw();
        let user = owner.ok().filter(|(user, _)| *user != us);
        Origin {
            user,
            ..Origin::default()
        }
    }
}

/// What a path leads to.
fn place(directory: &Path) -> Option<(u64, u64)> {
    let metadata = fs::metadata(directory).ok()?;
    Some((metadata.dev(), metadata.ino()))
}

/// A process that was there: tells when it is not any more, also where nobody has waited for it yet.
#[derive(Debug)]
pub struct Alive {
    pid: u32,
    ticks: Option<u64>,
    /// None where the kernel has none (before Linux 5.3), or it had ended by then.
    pidfd: Option<OwnedFd>,
}

impl Alive {
    /// This one, from now on.
    #[must_use]
    pub fn of(pid: u32) -> Alive {
        let ticks = start_ticks(pid);
        let raw = i32::try_from(pid).ok().and_then(Pid::from_raw);
        let pidfd = raw.and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
        Alive { pid, ticks, pidfd }
    }

    /// True once it has ended.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        let Some(pidfd) = &self.pidfd else {
            return self.ticks.is_none() || start_ticks(self.pid) != self.ticks;
        };
        let now = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        poll(&mut [PollFd::new(pidfd, PollFlags::IN)], Some(&now)).is_ok_and(|ready| ready > 0)
    }
}

/// Nanoseconds since the Unix epoch.
#[must_use]
pub fn now_unix_ns() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0, |since| {
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    })
}

/// Fills in what the ledger left open, from /proc: its own words stand where /proc has none (any more).
#[must_use]
pub fn describe(pid: u32, ledger: Process) -> Process {
    let exe = exe(pid).unwrap_or(ledger.exe);
    let base = Path::new(&exe).file_name().map(OsStrExt::as_bytes);
    let base = base.map(|name| String::from_utf8_lossy(name).into_owned());
    Process {
        pid,
        name: comm(pid).or(base).unwrap_or(ledger.name),
        cmdline: cmdline(pid).unwrap_or(ledger.cmdline),
        exe,
        ..ledger
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Check that this very process is described.
    #[test]
    fn this_process() {
        let pid = std::process::id();
        assert!(all().contains(&pid));
        assert!(start_ticks(pid).is_some());
        assert_eq!(own_pid(pid), Some(pid));
        let user = rustix::process::geteuid().as_raw();
        assert_eq!(effective_user(pid), Some(user));
        assert!(comm(pid).is_some());
        assert!(exe(pid).is_some_and(|exe| exe.starts_with('/')));
        assert!(cmdline(pid).is_some());
        assert!(memory(pid).rss_bytes > 0);
    }

    /// Check that a file that is mapped is found by its name, and another is not.
    #[test]
    fn mapped_files() {
        let exe = std::env::current_exe().expect("this test");
        assert!(any_has(
            exe.file_name().expect("a name").to_str().expect("UTF-8")
        ));
        assert!(!any_has(&format!(
            "no-such-{}-{}",
            "library",
            std::process::id()
        )));
    }

    /// Check that the sizes of a status file are read, and that missing or absurd ones count as zero.
    #[test]
    fn status() {
        let memory =
            parse_memory("VmRSS:\t  12 kB\nRssAnon:\t4 kB\nRssFile: 99999999999999999999 kB\n");
        assert_eq!((memory.rss_bytes, memory.anon_bytes), (12288, 4096));
        assert_eq!((memory.file_bytes, memory.shmem_bytes), (0, 0));
    }

    /// Check that arguments are told apart, empty ones included.
    #[test]
    fn arguments() {
        assert_eq!(split_arguments(b"a\0\0b c\0"), ["a", "", "b c"]);
    }
}
