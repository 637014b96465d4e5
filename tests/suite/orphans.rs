//! `run` is killed: its target goes on, traced, and so do the children that it makes from then on.

use crate::forks::diff_of;
use heapshim_tests::{Amount, Diff, Run, Running, Target, open_directory};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Kills a `run`, and waits for its end without taking its status.
fn kill(run: &Running) {
    let mut info = std::mem::MaybeUninit::<libc::siginfo_t>::uninit();
    let flags = libc::WEXITED | libc::WNOWAIT;
    // SAFETY: kill takes two numbers; the process is our child and was not waited for.
    let killed = unsafe { libc::kill(run.pid().cast_signed(), libc::SIGKILL) };
    assert_eq!(killed, 0);
    // SAFETY: waitid writes one siginfo_t.
    let waited = unsafe { libc::waitid(libc::P_PID, run.pid(), info.as_mut_ptr(), flags) };
    assert_eq!(waited, 0);
}

/// The account of the process whose pid it has just said.
fn of_speaker(running: &Running) -> Diff {
    let pid = running.said().split(' ').next_back().expect("a pid");
    diff_of(pid)
}

fn sockets(directory: &Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(directory).expect("a directory").flatten();
    entries.map(|entry| entry.path()).collect()
}

/// Has a file look as though it had been there for an hour.
fn age(file: &Path) {
    let path = std::ffi::CString::new(file.as_os_str().as_bytes()).expect("a path");
    let past = libc::timespec {
        tv_sec: 1,
        tv_nsec: 0,
    };
    // SAFETY: reads a path and two times.
    let done = unsafe { libc::utimensat(libc::AT_FDCWD, path.as_ptr(), [past, past].as_ptr(), 0) };
    assert_eq!(done, 0);
}

/// Check that the target of a `run` that was killed, its later children and what they execute are read from outside, exactly; that nobody waits for the
/// dead; and that the next `run` removes what was left.
#[test]
fn of_a_killed_run() {
    let directory = open_directory("orphans");
    let target = Target::c("orphans.c").env("TMPDIR", &directory);
    let mut running = target.spawn_under_run(&["--quiet"]);
    assert!(running.said().starts_with("parent "), "{}", running.said());
    let parent = running.said().to_owned();
    kill(&running);
    let amount = |bytes, blocks| Amount { bytes, blocks };
    assert_eq!(of_speaker(&running).growth(), amount(1010, 10));
    assert!(running.step(b"go").starts_with("child "));
    assert_eq!(of_speaker(&running).growth(), amount(211 - 404, 1 - 4));
    assert!(running.step(b"go").starts_with("program "));
    assert_eq!(of_speaker(&running).growth(), amount(401, 1));
    assert_eq!(running.step(b"go"), parent);
    let diff = of_speaker(&running);
    for expected in running.expected() {
        if expected.growth.is_some() {
            diff.row(&expected.file, expected.line).assert(&expected);
        }
    }
    diff.assert_adds_up();
    diff.assert_complete();
    let left = sockets(&directory);
    assert_eq!(left.len(), 1, "{left:?}");
    age(&left[0]);
    let next = Run::new(&["true"]).env("TMPDIR", &directory).quiet();
    assert!(next.finish().status.success());
    assert!(sockets(&directory).is_empty());
    running.go_on(b"go");
    assert!(running.finish().1.is_empty());
}
