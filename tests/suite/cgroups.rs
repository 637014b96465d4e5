//! Memory limits of control groups: the target has what it would have without us but for our tables, and when the kernel kills it, its account is there.

use heapshim_tests::{Run, Target, not_allowed};
use std::fs;
use std::path::{Path, PathBuf};

/// A control group of this test's own, with a limit of memory.
struct Group(PathBuf);

impl Group {
    /// None where the system has no such groups, or lets us make none (a container, or not root): nothing is tested there.
    fn with(bytes: u64, name: &str) -> Option<Group> {
        let (place, limit, swap) = below_ours()?;
        let place = place.join(format!("heapshim-{}-{name}", std::process::id()));
        fs::create_dir(&place).ok()?;
        let group = Group(place);
        fs::write(group.0.join(limit), bytes.to_string()).ok()?;
        // What would go to the swap instead is not there on most machines; where it is, it is taken away.
        let (file, value) = swap;
        let _ = fs::write(group.0.join(file), value);
        Some(group)
    }

    /// The words that run a program in it.
    fn words(&self, program: &Path, rest: &str) -> [String; 3] {
        let script = format!(
            "echo $$ >{}/cgroup.procs && exec {} {rest}",
            self.0.display(),
            program.display()
        );
        ["sh".to_string(), "-c".to_string(), script]
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Whoever was in it has been waited for.
        let _ = fs::remove_dir(&self.0);
    }
}

/// Our own group's directory, the file that limits memory, and the one that limits swap, with its value: version 1, else 2.
fn below_ours() -> Option<(PathBuf, &'static str, (&'static str, &'static str))> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let of = |controller: &str| {
        let mut lines = groups.lines().filter_map(|line| line.split_once(':'));
        lines.find_map(|(_, rest)| rest.strip_prefix(controller)?.strip_prefix(":/"))
    };
    let first = of("memory").map(|path| {
        let place = Path::new("/sys/fs/cgroup/memory").join(path);
        (place, "memory.limit_in_bytes", ("memory.swappiness", "0"))
    });
    let second = || {
        let place = Path::new("/sys/fs/cgroup").join(of("")?);
        Some((place, "memory.max", ("memory.swap.max", "0")))
    };
    first.or_else(second)
}

/// Check that a program which the kernel kills at its group's limit has an account up to its last event, to the block.
#[test]
fn killed_at_the_limit() {
    let program = Target::c("eats.c").opt("-O1").build();
    let Some(group) = Group::with(64 << 20, "killed") else {
        not_allowed("control groups");
        return;
    };
    let finished = Run::new(&group.words(&program, "")).finish();
    assert_eq!(finished.status.code(), Some(128 + libc::SIGKILL));
    let touched = i64::try_from(finished.stdout.len()).expect("a number of blocks");
    let report = finished.report();
    let growth = report.growth();
    assert!(touched > 100, "{touched} blocks");
    // The last block is killed while it is touched, or while it is said that it was.
    assert!(
        [touched, touched + 1].contains(&growth.blocks),
        "{touched} blocks: {growth:?}"
    );
    assert_eq!(growth.bytes, 65537 * growth.blocks);
    assert_eq!(report.row("eats.c", 12).growth(), growth);
    assert_eq!(report.json()["target"]["exit"]["signal"], 9);
}

/// Check that 4,096 stacks are accounted for in a group of 8 MiB: of our tables only what is touched counts.
#[test]
fn little_memory() {
    let program = Target::c("sites.c").opt("-O1").build();
    let Some(group) = Group::with(8 << 20, "little") else {
        not_allowed("control groups");
        return;
    };
    let finished = Run::new(&group.words(&program, "12 quietly")).finish();
    assert!(finished.status.success(), "{finished:?}");
    let report = finished.report();
    assert_eq!(report.growth().bytes, 37 << 12, "{}", report.listing());
    report.assert_complete();
}
