//! A program that is off from its start is passed by in a jump; switched on, it has a whole account from then on. Behind the shim: each allocator.

use crate::allocators::others;
use crate::modes::{said, switched};
use crate::sampled::lines;
use heapshim_tests::{Amount, Diff, Target, talk};

fn off(target: Target) -> Target {
    target.env("HEAPSHIM_SAMPLE", "off").arg("ready")
}

/// The program over each allocator that there is.
fn over_each() -> Vec<Target> {
    let target = Target::c("sampled.c");
    let others = others()
        .into_iter()
        .map(|library| target.clone().behind(&library));
    [target.clone()].into_iter().chain(others).collect()
}

fn assert_nothing(diff: &Diff) {
    assert!(diff.rows().is_empty(), "{}", diff.listing());
    assert_eq!(diff.unattributed("foreign_frees"), 0);
    assert_eq!(diff.unattributed("nested_events"), 0);
}

fn assert_one(diff: &Diff) {
    for (line, one) in lines() {
        let row = diff.row("sampled.c", line);
        assert_eq!((row.growth(), row.live()), (one, one), "{}", row.brief());
    }
    assert_eq!(diff.unattributed("foreign_frees"), 0);
    assert_eq!(diff.unattributed("nested_events"), 0);
}

/// Check that of blocks that were allocated, resized and freed while it was off nothing is known, that each function which allocates takes up another mode, and that from there all is
/// counted, and given back, to the byte: beside blocks from before, which nobody misses.
#[test]
fn switched_on() {
    for target in over_each() {
        for first in [b"a", b"g", b"w"] {
            let mut running = off(target.clone()).spawn();
            for command in [b"a", b"w", b"g", b"f", b"a", b"t"] {
                running.step(command);
            }
            assert_nothing(&running.diff(&["start", "now"]));
            switched(&mut running, "exact", first);
            running.step(b"f");
            running.step(b"a");
            assert_one(&running.diff(&["start", "now"]));
            switched(&mut running, "off", b"w");
            running.step(b"f");
            let diff = running.diff(&["start", "now"]);
            for (line, _) in lines() {
                assert_eq!(diff.row("sampled.c", line).live(), Amount::default());
            }
        }
    }
}

/// Check that a forked child of it is off, too, and knows of no block; and that its parent is switched without it.
#[test]
fn forked() {
    let mut running = off(Target::c("sampled.c")).spawn();
    running.step(b"a");
    let word = running.step(b"k");
    let child = word.strip_prefix("child ").expect("a child");
    assert_eq!(said(child, &[]), "off");
    let words = ["diff", "-p", child, "--format", "json", "start", "now"];
    assert_nothing(&Diff::read(
        &String::from_utf8(talk(&words).stdout).expect("UTF-8"),
    ));
    running.step(b"go");
    switched(&mut running, "exact", b"g");
    running.step(b"f");
    running.step(b"a");
    assert_one(&running.diff(&["start", "now"]));
}

/// Check that a program which is sampled gives back what it had, over each allocator, in the same page as blocks that were passed over.
#[test]
fn sampled() {
    for target in over_each() {
        let target = target.env("HEAPSHIM_SAMPLE_SEED", "7");
        let mut running = target.env("HEAPSHIM_SAMPLE", "4K").arg("ready").spawn();
        for command in [b"a", b"w", b"g"] {
            running.step(command);
        }
        for (line, one) in lines() {
            let diff = running.diff(&["start", "now"]);
            let total = diff.row("sampled.c", line).total();
            let off = (total.bytes - one.bytes).abs();
            assert!(off < one.bytes / 4, "{}", diff.listing());
        }
        running.step(b"f");
        let diff = running.diff(&["start", "now"]);
        for (line, _) in lines() {
            let row = diff.row("sampled.c", line);
            assert_eq!(row.live(), Amount::default(), "{}", row.brief());
        }
        assert_eq!(diff.unattributed("nested_events"), 0);
    }
}
