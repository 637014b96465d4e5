//! Programs that are started under a seccomp filter, as a service manager or a container's runtime does: one that ends them for a call that tracing takes
//! must not end them for our sake.

use heapshim_tests::{Amount, Run, Target, fresh_directory};
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::process::Command;

/// x86-64's numbers of calls that only tracing makes, and of one that nobody does.
const MEMFD_CREATE: u32 = 319;
const FTRUNCATE: u32 = 77;
const GETPPID: u32 = 110;
const SENDMSG: u32 = 46;
const FALLOCATE: u32 = 285;
const PTRACE: u32 = 101;

const GROWN: Amount = Amount {
    bytes: 37,
    blocks: 1,
};

/// lonely.c under a filter that answers so to this call.
fn filtered(action: &str, number: u32) -> [OsString; 4] {
    let [launcher, program] = ["forbidden.c", "lonely.c"].map(|source| Target::c(source).build());
    let number = number.to_string();
    [
        launcher.into(),
        action.into(),
        number.into(),
        program.into(),
    ]
}

/// What lonely.c grew by, started under a filter; None where it has no account. It ends as it would, and has no child of ours.
fn grown(action: &str, number: u32) -> Option<Amount> {
    let words = filtered(action, number);
    let finished = Run::new(&words).env("HEAPSHIM_ONLY", "lonely").finish();
    let said = String::from_utf8_lossy(&finished.stderr).into_owned();
    assert_eq!(finished.status.code(), Some(7), "{action} {number}: {said}");
    assert_eq!(finished.stdout, b"alone\n", "{action} {number}");
    if finished.report.is_none() {
        assert!(said.contains("no account"), "{action} {number}: {said}");
    }
    finished.report.map(|report| report.growth())
}

/// Check that a program which would be ended for a call of ours is not traced and lives, whichever call it is, and that this is said.
#[test]
fn deadly() {
    for number in [MEMFD_CREATE, FTRUNCATE, GETPPID, SENDMSG] {
        assert_eq!(grown("kill", number), None, "{number}");
    }
}

/// Check that a filter which ends a program for what nobody does, or for what this account does not take, costs it nothing of its account.
#[test]
fn harmless() {
    for number in [PTRACE, FALLOCATE] {
        assert_eq!(grown("kill", number), Some(GROWN), "{number}");
    }
}

/// Check that where a call is refused, not deadly, as in containers, the program is traced unless it cannot be.
#[test]
fn refused() {
    assert_eq!(grown("refuse", PTRACE), Some(GROWN));
    assert_eq!(grown("refuse", GETPPID), Some(GROWN));
    assert_eq!(grown("refuse", MEMFD_CREATE), None);
}

/// Check that the reason is in the log, once a process, in a file of its user's alone; and that no link is followed to write it, nor a pipe waited for.
#[test]
fn logged() {
    let place = fresh_directory("logged");
    let (log, link, pipe) = (place.join("log"), place.join("link"), place.join("pipe"));
    let aim = place.join("aim");
    symlink(&aim, &link).expect("a link");
    let made = Command::new("mkfifo").arg(&pipe).status();
    assert!(made.expect("mkfifo").success());
    for file in [&log, &link, &pipe] {
        let words = filtered("kill", MEMFD_CREATE);
        let finished = Run::new(&words)
            .env("HEAPSHIM_LOG", file)
            .env("HEAPSHIM_ONLY", "lonely");
        assert_eq!(
            finished.finish().status.code(),
            Some(7),
            "{}",
            file.display()
        );
    }
    let said = fs::read_to_string(&log).expect("a log");
    let why = "heapshim: a seccomp filter would end it for that: this process is not traced\n";
    assert_eq!(said, why);
    assert_eq!(log.metadata().expect("a file").mode() & 0o7777, 0o600);
    assert!(!aim.exists(), "written through a link");
}
