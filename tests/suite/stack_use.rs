//! How much of the target's stack a hook takes: the smallest thread has 16 KiB.

use heapshim_tests::Target;

/// Bytes below the caller that are touched: at a thread's first events, and at later ones.
fn measured(bare: bool) -> (i64, i64) {
    let target = Target::c("stack.c").opt("-O2");
    let target = if bare { target.bare() } else { target };
    let running = target.spawn();
    let [first, warm] = running.numbers()[..] else {
        panic!("{:?} is not two numbers", running.said());
    };
    (first, warm)
}

/// Check that a hook takes no more than 1 KiB of stack beyond what the allocator itself takes.
#[test]
fn warm_events() {
    let (bare, traced) = (measured(true).1, measured(false).1);
    assert!(traced - bare <= 1024, "{traced} bytes, bare {bare}");
}

/// Check that a thread's first events, which set up what it needs and find the rules of its frames, stay below 6 KiB.
#[test]
fn first_events() {
    let (bare, traced) = (measured(true).0, measured(false).0);
    assert!(traced - bare <= 6 * 1024, "{traced} bytes, bare {bare}");
}

/// Check that a thread with 8 KiB of stack left survives its first event, and is charged for it.
#[test]
fn tight_stack() {
    let running = Target::c("stack.c").arg("tight").spawn();
    assert_eq!(running.said(), "0 0");
    let diff = running.diff(&["start", "now"]);
    for expected in running.expected() {
        diff.row(&expected.file, expected.line).assert(&expected);
    }
}
