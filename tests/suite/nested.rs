//! Events inside others: a signal handler that allocates wherever it interrupted the shim.

use heapshim_tests::{Run, Target, shared_library};

/// Check that a handler's blocks and those of the hook that it interrupted are exact, to the byte and in their own lines, after each instruction of the hooks.
#[test]
fn after_each_instruction() {
    let allocator = shared_library("bump.c", &["-O2"]);
    let target = Target::c("nested.c");
    let finished = Run::new(&target.words())
        .env("LD_PRELOAD", allocator)
        .stdin(b"go\n")
        .finish();
    assert!(finished.status.success(), "{finished:?}");
    let said = String::from_utf8_lossy(&finished.stdout);
    let traps: i64 = said.trim().parse().expect("a number");
    let diff = finished.report();
    let rows = diff.rows_in("nested.c");
    let row = |function| {
        let found = rows.iter().find(|row| row.function() == Some(function));
        found.unwrap_or_else(|| panic!("no {function}: {}", diff.listing()))
    };
    for expected in target.expected() {
        if expected.growth.is_some() {
            row("churn").assert(&expected);
        }
    }
    let handled = row("handle");
    let (total, growth) = (handled.total(), handled.growth());
    assert_eq!((total.bytes, total.blocks), (29 * traps, traps));
    assert_eq!((growth.bytes, growth.blocks), (0, 0));
    // A pair of hooks has hundreds of instructions, inside nearly all of which the guard is held.
    let nested = diff.unattributed("nested_events");
    assert!(nested > 100 * 20, "{nested} of {traps}");
    diff.assert_adds_up();
}
