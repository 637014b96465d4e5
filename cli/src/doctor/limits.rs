//! Resource limits that leave the shim little room, or none.
//!
//! What the shim does about each: docs/ARCHITECTURE.md. Sizes of the ledger are asked of the ledger crate, which the shim asks, too.

use super::finding::Finding;
use heapshim_ledger::header::Geometry;
use rustix::process::{Pid, Resource, Rlimit};

/// The shim traces nothing below this (its `LEAST_ADDRESS_SPACE`).
const LEAST_ADDRESS_SPACE: u64 = 1 << 29;
/// The share of the address space that a ledger may take (the shim's `ADDRESS_SHARE`).
const ADDRESS_SHARE: u64 = 16;
/// Fewer descriptors leave a program hardly one beside its streams and our two.
const FEW_DESCRIPTORS: u64 = 8;

/// Limits of a process: bytes of address space, bytes of a file, descriptors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limits {
    address_space: u64,
    file_size: u64,
    descriptors: u64,
}

impl Limits {
    /// Our own, which a command inherits.
    pub(super) fn own() -> Limits {
        Limits::by(|resource| Some(rustix::process::getrlimit(resource)))
    }

    /// Those of a process; where they cannot be read, none.
    pub(super) fn of(pid: u32) -> Limits {
        let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
        let none = Rlimit {
            current: None,
            maximum: None,
        };
        // prlimit would need more rights than reading does: /proc has them for everybody.
        let text = pid.map(|pid| format!("/proc/{}/limits", pid.as_raw_pid()));
        let text = text
            .and_then(|path| std::fs::read_to_string(path).ok())
            .unwrap_or_default();
        Limits::by(|resource| {
            Some(Rlimit {
                current: soft(&text, resource),
                ..none
            })
        })
    }

    fn by(limit: impl Fn(Resource) -> Option<Rlimit>) -> Limits {
        let of = |resource| {
            limit(resource)
                .and_then(|limit| limit.current)
                .unwrap_or(u64::MAX)
        };
        Limits {
            address_space: of(Resource::As),
            file_size: of(Resource::Fsize),
            descriptors: of(Resource::Nofile),
        }
    }

    /// What is too little, or scarce.
    pub(super) fn findings(self) -> Vec<Finding> {
        let space = (self.address_space < LEAST_ADDRESS_SPACE).then(|| {
            let what = "leaves a program less than 512 MiB: it is not traced";
            Finding::problem("ulimit -v", what, "raise it: ulimit -v unlimited")
        });
        let room = self.file_size.min(self.address_space / ADDRESS_SHARE);
        let next = "raise it: ulimit -f unlimited";
        let size = match (Geometry::fit(room), Geometry::fit(u64::MAX)) {
            (None, _) => Some(Finding::problem(
                "ulimit -f",
                "leaves no room for an account",
                next,
            )),
            (some, all) if some.map(|g| g.total_bytes()) != all.map(|g| g.total_bytes()) => {
                let what = "makes the account smaller: rare stacks may be counted in one sum";
                Some(Finding::note("ulimit -f", what, next))
            }
            _ => None,
        };
        let few = (self.descriptors < FEW_DESCRIPTORS).then(|| {
            let what = "the account takes two descriptors, and there are hardly more";
            Finding::note("ulimit -n", what, "raise it: ulimit -n 1024")
        });
        // What a small address space does to the ledger is no second finding.
        let size = size.filter(|_| space.is_none());
        space.into_iter().chain(size).chain(few).collect()
    }
}

/// The soft limit in the text of /proc/PID/limits.
fn soft(text: &str, resource: Resource) -> Option<u64> {
    let name = match resource {
        Resource::As => "Max address space",
        Resource::Fsize => "Max file size",
        _ => "Max open files",
    };
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Level;

    fn levels(address_space: u64, file_size: u64, descriptors: u64) -> Vec<(Level, String)> {
        let limits = Limits {
            address_space,
            file_size,
            descriptors,
        };
        limits
            .findings()
            .into_iter()
            .map(|finding| (finding.level, finding.object))
            .collect()
    }

    /// Check that nothing is said of no limits, and of each limit what it leaves.
    #[test]
    fn each() {
        let none = u64::MAX;
        assert_eq!(levels(none, none, none), []);
        let of = |level, name: &str| vec![(level, name.to_owned())];
        assert_eq!(
            levels((1 << 29) - 1, none, none),
            of(Level::Problem, "ulimit -v")
        );
        assert_eq!(levels(none, 4096, none), of(Level::Problem, "ulimit -f"));
        assert_eq!(levels(none, 1 << 20, none), of(Level::Note, "ulimit -f"));
        assert_eq!(levels(none, none, 6), of(Level::Note, "ulimit -n"));
    }

    /// Check that the limits of a process are those that it has.
    #[test]
    fn of_a_process() {
        assert_eq!(Limits::of(std::process::id()), Limits::own());
        let text = "Max file size             unlimited            unlimited            bytes\n\
                    Max open files            1024                 1048576              files\n";
        assert_eq!(
            (soft(text, Resource::Fsize), soft(text, Resource::Nofile)),
            (None, Some(1024))
        );
    }
}
