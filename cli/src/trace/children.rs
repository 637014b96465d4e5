//! Children of the process that is recorded, known by their accounts: a ledger names the account that it was forked from.
//!
//! `run` is handed the ledger of each (`launch`); `record` looks once a second, with [`Looked`], so that who lives shorter is not seen there. A child
//! that has no account (it never allocates, or is not traced) is not seen in either case.

use crate::process;
use crate::session::Session;
use heapshim_ledger::sync::Word;
use std::collections::BTreeMap;
use std::fs;

/// Accounts that are opened at one look: some 100 µs each, in which the rings fill.
const AT_ONCE: usize = 16;

/// A process that may be a child of another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Child {
    /// Its pid, as we see it.
    pub(super) pid: u32,
    /// Its parent's.
    pub(super) parent: u32,
    /// The account that it was forked from; 0: its account began with its program.
    pub(super) forked_from: u64,
    /// CLOCK_BOOTTIME when its account began.
    pub(super) began_boot_ns: u64,
    /// What it is called.
    pub(super) name: String,
}

impl Child {
    /// That whose account this is; None where it makes no sense.
    #[must_use]
    pub fn of(session: &Session) -> Option<Child> {
        let reader = session.reader().ok()?;
        let header = &reader.header;
        Some(Child {
            pid: session.pid(),
            // It may have lost its parent since, or be in another pid namespace.
            parent: process::parent(session.pid()).unwrap_or_else(|| header.parent_pid.peek()),
            forked_from: header.forked_from.peek(),
            began_boot_ns: header.start_boot_ns.peek(),
            name: session.process().ok()?.name,
        })
    }
}

/// What tells one process, and the program that it is, from others.
type Identity = (Option<u64>, Option<String>);

/// The children of a process that were looked at.
#[derive(Debug, Default)]
pub(super) struct Looked {
    known: BTreeMap<u32, Identity>,
    /// The last one: the next look begins behind it, so that many that have no account keep no other from being seen.
    last: u32,
}

impl Looked {
    /// Those that have begun an account, or a program, since the last look.
    pub(super) fn new_children(&mut self, parent: u32) -> Vec<Child> {
        let mut now = children(parent);
        self.known.retain(|pid, _| now.binary_search(pid).is_ok());
        let behind = now.partition_point(|&pid| pid <= self.last);
        now.rotate_left(behind);
        let identity = |pid| (process::start_ticks(pid), process::exe(pid));
        let unknown: Vec<(u32, Identity)> = now
            .into_iter()
            .map(|pid| (pid, identity(pid)))
            .filter(|(pid, identity)| self.known.get(pid) != Some(identity))
            .take(AT_ONCE)
            .collect();
        let mut new = Vec::new();
        for (pid, identity) in unknown {
            self.last = pid;
            if let Some(child) = Session::attach(pid).ok().as_ref().and_then(Child::of) {
                self.known.insert(pid, identity);
                new.push(child);
            }
        }
        new
    }
}

/// The children of a process's threads, in order.
fn children(pid: u32) -> Vec<u32> {
    let tasks = fs::read_dir(process::path(pid, "task"));
    let lists = tasks.into_iter().flatten().flatten();
    let lists = lists.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    let mut all: Vec<u32> = lists
        .flat_map(|list| {
            let pids = list.split_ascii_whitespace().map(str::parse);
            pids.flatten().collect::<Vec<u32>>()
        })
        .collect();
    all.sort_unstable();
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    /// Check that a child is found among those of its parent's threads while it is there, and that one without an account is none that is new.
    #[test]
    fn own_child() {
        let mut child = Command::new("cat")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("started");
        let us = std::process::id();
        assert!(children(us).contains(&child.id()));
        // Other tests have traced children meanwhile.
        let new = Looked::default().new_children(us);
        assert!(new.iter().all(|new| new.pid != child.id()), "{new:?}");
        drop(child.stdin.take());
        child.wait().expect("ended");
        assert!(!children(us).contains(&child.id()));
    }
}
