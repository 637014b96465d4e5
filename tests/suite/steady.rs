//! What is kept of a process does not grow with its events, nor with the threads that it has had.

use heapshim_tests::{LedgerSize, Running, Target};

/// Rounds of steady.c after which all its stacks have been met, and those after which nothing may have grown.
const WARM: usize = 4;
const MORE: usize = 12;
/// What our own tables may take more, for addresses and caches that were not used before: less than a KiB for each thread that has come since, and
/// an eighth of a byte an event.
const OWN: i64 = 2 << 20;

fn rounds(running: &mut Running, rounds: usize) {
    for _ in 0..rounds {
        assert_eq!(running.step(b"go"), "done");
    }
}

/// Check that looking at an account leaves it as it was: what nobody has written does not become resident by being read.
#[test]
fn looked_at() {
    let mut running = Target::c("sampled.c").arg("ready").spawn();
    for command in [b"a", b"w", b"f", b"a"] {
        running.step(command);
    }
    let before = LedgerSize::of(running.pid());
    running.mark("one");
    running.diff(&["start", "one"]).assert_adds_up();
    running.diff(&["one", "now"]).assert_adds_up();
    assert_eq!(LedgerSize::of(running.pid()).bytes, before.bytes);
}

/// Check that millions of events on thousands of threads that come and go, sixty-four at a time, leave the ledger as it was after the first ones, and our
/// own tables nearly so. `cargo xtask bench-churn` looks for longer.
#[test]
fn sixty_four_threads() {
    let mut running = Target::c("steady.c").opt("-O2").spawn();
    rounds(&mut running, WARM);
    running.mark("warm");
    let before = LedgerSize::of(running.pid());
    rounds(&mut running, MORE);
    let diff = running.diff(&["warm", "now"]);
    let after = LedgerSize::of(running.pid());
    assert!(!before.has_grown_to(&after), "{before:?} → {after:?}");
    let own = diff.json()["rss_growth"]["heapshim"]
        .as_i64()
        .expect("known");
    assert!(own <= OWN, "{own} bytes more");
    let events = diff
        .rows_in("steady.c")
        .iter()
        .map(|row| row.total().blocks)
        .sum::<i64>();
    assert!(events > 1_000_000, "only {events} blocks");
    diff.assert_adds_up();
    diff.assert_complete();
}
