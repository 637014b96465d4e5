//! Targets that close every descriptor, as daemons and shells do, stay readable; their own numbers do not shift.

use heapshim_tests::Target;

/// Runs descriptors.c; asserts that its next number is 3 before and after, and that its account can still be read from outside.
fn check(how: &str) {
    let mut running = Target::c("descriptors.c").arg(how).spawn();
    running.mark("warm");
    running.step(b"go");
    assert_eq!(running.said(), "3 3", "{how}");
    let diff = running.diff(&["start", "now"]);
    for expected in running.expected() {
        diff.row(&expected.file, expected.line).assert(&expected);
    }
    let since = running.diff(&["warm", "now"]).growth();
    assert_eq!((since.bytes, since.blocks), (43, 1), "{how}");
    assert!(running.finish().0.success(), "{how}");
}

/// Check that a target that leaves its descriptors alone gets 3 from its first open.
#[test]
fn first_open_is_three() {
    check("nothing");
}

/// Check a loop of close over every number.
#[test]
fn close_in_a_loop() {
    check("loop");
}

/// Check close_range to the end of the table.
#[test]
fn close_range() {
    check("range");
}

/// Check closefrom.
#[test]
fn closefrom() {
    check("from");
}

/// Check close of the very descriptors that are ours.
#[test]
fn close_of_ours() {
    check("close");
}

/// Check dup2 over the descriptors that are ours.
#[test]
fn dup2_over_ours() {
    check("dup2");
}

/// Check dup3 over the descriptors that are ours.
#[test]
fn dup3_over_ours() {
    check("dup3");
}

/// Check that a target that asks about every number that it may have finds its own alone, be they few or many, and that
/// its limit is what it was. (Where the hard limit is as low, ours are among them.)
#[test]
fn unseen() {
    for how in ["29", "1024", "4096"] {
        let target = || Target::c("descriptors.c").arg(how);
        let (bare, traced) = (target().bare().spawn(), target().spawn());
        assert_eq!(traced.said(), bare.said(), "{how}");
        let whole = traced.diff(&["start", "now"]);
        assert_eq!(whole.growth(), whole.live_at("to"), "it can be read");
    }
}
