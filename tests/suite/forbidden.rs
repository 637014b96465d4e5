//! Programs that are started under a seccomp filter, as a service manager or a container's runtime does: one that ends them for a call that tracing takes
//! must not end them for our sake.

use heapshim_tests::{Amount, Run, Target};

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

/// What lonely.c grew by, started under a filter; None where it has no account. It ends as it would, and has no child of ours.
fn grown(action: &str, number: u32) -> Option<Amount> {
    let (launcher, program) = (
        Target::c("forbidden.c").build(),
        Target::c("lonely.c").build(),
    );
    let (name, number) = (program.file_name().expect("a name"), number.to_string());
    let words = [
        launcher.as_os_str(),
        action.as_ref(),
        number.as_ref(),
        program.as_os_str(),
    ];
    let finished = Run::new(&words).env("HEAPSHIM_ONLY", name).finish();
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
