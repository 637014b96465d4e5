//! Stacks that are left in odd ways: hooks by a jump, and stacks that another lies right below.

use heapshim_tests::{Target, not_allowed, shared_library};

/// Check that a hook that a signal handler jumped out of is over at once: no later event counts as one inside of it. Behind us is an allocator
/// that may be left at any instruction.
#[test]
fn hooks_left_by_jumps() {
    let allocator = shared_library("bump.c", &["-O2"]);
    for option in ["-O0", "-O2"] {
        let target = Target::c("jumps.c").opt(option).opt("-D_FORTIFY_SOURCE=2");
        let mut running = target.arg("200").behind(&allocator).spawn();
        running.step(b"go");
        assert_eq!(running.said(), "jumps 200");
        let diff = running.diff(&["start", "now"]);
        assert_eq!(diff.unattributed("nested_events"), 0);
        let rows = diff.rows_in("jumps.c");
        let after = rows.iter().find(|row| row.total().bytes == 200 * 29);
        let after = after.unwrap_or_else(|| panic!("{}", diff.listing()));
        assert_eq!(after.growth().blocks, 200, "{}", diff.listing());
        diff.assert_adds_up();
        assert!(running.finish().0.success());
    }
}

/// Check that a coroutine's stack right below a thread's, without a guard page between, is not taken for the thread's: nothing is read
/// where it was when it is gone.
#[test]
fn one_below_the_other() {
    let running = Target::c("adjacent.c").spawn();
    assert_eq!(running.said(), "done");
    let diff = running.diff(&["start", "now"]);
    diff.assert_rows(&running.expected());
    assert_eq!(diff.unattributed("truncated_stacks"), 1);
    assert!(running.finish().0.success());
}

/// Check a million frames of recursion, at whose bottom something is allocated: what is charged is the innermost line.
#[test]
fn a_million_frames() {
    let running = Target::c("frames.c").opt("-O2").spawn();
    if running.said() == "no room" {
        return not_allowed("a stack of 1 GiB");
    }
    assert_eq!(running.said(), "done");
    let diff = running.diff(&["start", "now"]);
    diff.assert_rows(&running.expected());
    diff.assert_adds_up();
    assert!(running.finish().0.success());
}
