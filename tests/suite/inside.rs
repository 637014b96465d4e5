//! Marks that the target takes itself.

use heapshim_tests::{Diff, Run, Target, needs};

/// Check that a program that is linked without the shim marks itself under it, and that only what lies between counts.
#[test]
fn from_c() {
    let running = Target::c("inside.c").spawn();
    assert_eq!(running.said(), "active");
    running
        .diff(&["one", "two"])
        .assert_rows(&running.expected());
}

/// Check that the same program runs without the shim, where the functions are not there.
#[test]
fn bare() {
    let running = Target::c("inside.c").bare().spawn();
    assert_eq!(running.said(), "bare");
    assert!(running.finish().0.success());
}

/// Check that marks from Python are found by name, and that a block that lives between them is counted.
#[test]
fn from_python() {
    if !needs(&["python3"]) {
        return;
    }
    let mut running = Target::python("inside.py").spawn();
    running.step(b"go");
    let diff = running.diff(&["before", "after"]);
    let bytes = diff.growth().bytes;
    // A bytearray of this size is one block of malloc; the objects around it are small and few.
    assert!((1_000_001..1_010_000).contains(&bytes), "{bytes}");
    diff.assert_adds_up();
}

/// Check that marks that the target took outlive it: `run --save` keeps them with the process's account.
#[test]
fn after_the_end() {
    let finished = Run::new(&[Target::c("inside.c").build()])
        .stdin(b"go\n")
        .finish();
    assert!(finished.status.success());
    let report: &Diff = finished.report();
    assert_eq!(report.growth().bytes, 37 + 41 + 43);
    assert_eq!(report.growth().blocks, 3);
}
