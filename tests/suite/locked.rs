//! mlockall: what a target locks is its own memory, whoever is preloaded into it.

use heapshim_tests::{Running, Target, not_allowed};

/// The shim's code and data, which are locked with the program's, and the pages of its tables that are touched, in KiB.
const OURS: i64 = 3 << 10;

fn started(words: &[&str], bare: bool) -> Running {
    let target = words
        .iter()
        .fold(Target::c("locked.c"), |target, word| target.arg(word));
    if bare { target.bare() } else { target }.spawn()
}

/// Runs locked.c with and without the shim: the same answer of mlockall; no more is locked or resident than the shim's own pages come to.
fn check(words: &[&str]) {
    let (mut bare, mut traced) = (started(words, true), started(words, false));
    loop {
        let (left, right) = (bare.numbers(), traced.numbers());
        let (said, traced_said) = (bare.said().to_owned(), traced.said().to_owned());
        assert_eq!(left.first(), right.first(), "{said}; traced: {traced_said}");
        let more = left.iter().zip(&right).any(|(l, r)| r - l > OURS);
        assert!(!more, "{words:?}: {said} KiB; traced: {traced_said}");
        if said.is_empty() {
            assert_eq!(traced_said, "", "refused without the shim");
            return;
        }
        if said.starts_with("done") {
            break;
        }
        bare.step(b"go");
        traced.step(b"go");
    }
    let diff = traced.diff(&["start", "now"]);
    diff.assert_rows(&traced.expected());
    diff.assert_complete();
    assert_eq!(diff.unattributed("untracked_blocks"), 0);
}

fn is_root() -> bool {
    // SAFETY: takes no arguments.
    unsafe { libc::geteuid() == 0 }
}

/// Check each of mlockall's flags. A user who may lock little is refused as without the shim.
#[test]
fn by_flags() {
    for flags in 1..=7 {
        check(&[&flags.to_string()]);
    }
}

/// Check a user whose limit has room for the program, but not for the tables, and one whose limit has no room for either. The limit is the kernel's
/// usual one: not every root may raise it.
#[test]
fn within_a_limit() {
    if is_root() {
        for flags in ["1", "5"] {
            check(&[flags, "8388608"]);
            check(&[flags, "1000000"]);
        }
    } else {
        not_allowed("other users' limits of locked memory");
    }
}

/// Check that a flag that does not exist is refused.
#[test]
fn senseless_flag() {
    let running = started(&["8"], false);
    assert_eq!(running.numbers()[0], i64::from(libc::EINVAL));
}
