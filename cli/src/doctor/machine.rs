//! This system, as far as tracing anything at all depends on it: memfds, a place for the library, a place for marks, /proc.

use super::environment::Environment;
use super::finding::Finding;
use super::limits::Limits;
use crate::library;
use crate::store;
use rustix::fs::{MemfdFlags, SealFlags};
use rustix::io::Errno;
use rustix::mm::{Advice, madvise};
use std::fs;

/// Every check of this system, and of what a command inherits from us.
#[must_use]
pub fn findings() -> Vec<Finding> {
    let mut all = vec![memory(), library(), marks()];
    all.extend(forks());
    all.extend(hidden_processes());
    all.extend(Environment::own().preload_notes());
    all.extend(Limits::own().findings());
    all
}

/// Accounts are memfds: sealed, so that a reader can trust their size.
fn memory() -> Finding {
    match sealed_memfd() {
        Ok(()) => Finding::ok(
            "this system",
            "accounts can be kept (memfd_create and its seals work)",
        ),
        Err(errno) => {
            let what = format!(
                "no account can be kept: memfd_create failed: {}",
                words(errno)
            );
            let next = "use Linux 3.17 or newer, and a sandbox that allows memfd_create";
            Finding::problem("this system", what, next)
        }
    }
}

fn sealed_memfd() -> Result<(), Errno> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let fd = rustix::fs::memfd_create("heapshim-doctor", flags)?;
    rustix::fs::ftruncate(&fd, 4096)?;
    rustix::fs::fcntl_add_seals(&fd, SealFlags::SHRINK | SealFlags::GROW)
}

/// A forked child knows that it is one by a page that the kernel wipes for it; where that cannot be had, nothing is traced.
fn forks() -> Option<Finding> {
    // SAFETY: of no bytes the kernel only says whether it knows the advice.
    let known = unsafe { madvise(std::ptr::null_mut(), 0, Advice::LinuxWipeOnFork) };
    known.err().map(|errno| {
        let why = words(errno);
        let what = format!("nothing can be traced: madvise(MADV_WIPEONFORK) failed: {why}");
        let next = "use Linux 4.14 or newer, and a sandbox that allows it";
        Finding::problem("this system", what, next)
    })
}

fn words(errno: Errno) -> String {
    let text = std::io::Error::from(errno).to_string();
    text.split(" (os error")
        .next()
        .unwrap_or_default()
        .to_owned()
}

fn library() -> Finding {
    match library::path() {
        Ok(path) => {
            let place = path.parent().unwrap_or(&path).display();
            Finding::ok("the library", format!("can be loaded from {place}"))
        }
        Err(error) => error.into(),
    }
}

fn marks() -> Finding {
    match store::place() {
        Ok(path) => Finding::ok("marks", format!("can be kept in {}", path.display())),
        Err(error) => Finding {
            level: super::Level::Note,
            ..error.into()
        },
    }
}

/// /proc that shows nobody another user's processes.
fn hidden_processes() -> Option<Finding> {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let us = rustix::process::geteuid();
    (hides(&mounts) && !us.is_root()).then(|| {
        let what = "mounted with hidepid: processes of other users are not listed";
        Finding::note("/proc", what, "run heapshim as root to see them")
    })
}

fn hides(mounts: &str) -> bool {
    let mut proc = mounts
        .lines()
        .filter(|line| line.split(' ').nth(1) == Some("/proc"));
    proc.any(|line| {
        let options = line.split(' ').nth(3).unwrap_or_default();
        let mut values = options
            .split(',')
            .filter_map(|option| option.strip_prefix("hidepid="));
        values.any(|value| !matches!(value, "0" | "off"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Level;

    /// Check that this machine, on which the tests run, can keep accounts and has a library and a place for marks.
    #[test]
    fn this_machine() {
        assert_eq!(memory().level, Level::Ok);
        assert!(forks().is_none());
        assert_eq!(library().level, Level::Ok);
    }

    /// Check which options of /proc hide processes.
    #[test]
    fn hidepid() {
        let line =
            |options: &str| format!("sysfs /sys sysfs rw 0 0\nproc /proc proc {options} 0 0\n");
        assert!(hides(&line("rw,hidepid=2")) && hides(&line("rw,hidepid=invisible,gid=4")));
        assert!(!hides(&line("rw,nosuid")) && !hides(&line("rw,hidepid=0")));
        assert!(!hides("proc /other proc rw,hidepid=2 0 0\n"));
    }
}
