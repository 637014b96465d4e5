//! Readers that stop, die, and come back: the target goes on, nothing of theirs stays in it, and what was lost is counted.
//!
//! A reader's lease is ten seconds. Here, while the reader is stopped, it is made a year or nothing in the control page itself, so that no test waits for it, and none passes
//! because it ran out.

use crate::recordings::{ROUND, events};
use heapshim_tests::{ControlPage, Recording, talk};

/// What a control file without events has in memory: its control page and the rings' heads.
const HEADS: u64 = 2 * 4096;

/// Check that a target which waits for a reader that is to lose nothing goes on when that is killed: by the kernel's word, since its lease runs for another year.
#[test]
fn waiting_for_the_dead() {
    let mut running = events();
    running.step(b"go");
    let page = ControlPage::of(running.pid());
    let reader = Recording::of(running.pid(), &["--lossless"]);
    reader.stop();
    running.go_on(b"m");
    page.until_full();
    page.prolong();
    assert!(page.is_asked() && !page.has_died());
    let _cut_off = reader.kill();
    assert!(page.has_died());
    assert_eq!(running.listen(), "done");
    assert!(!page.is_asked());
    let next = Recording::of(running.pid(), &["--lossless"]);
    assert!(!page.has_died());
    assert_eq!(running.step(b"m"), "done");
    let recorded = next.end();
    assert_eq!((recorded.events(), recorded.lost()), (ROUND, 0));
    assert!(!page.has_died());
}

/// Check that a reader which was stopped for longer than its lease asks again, has what happens from then on, and counts what it has missed.
#[test]
fn stopped_for_too_long() {
    let mut running = events();
    running.step(b"go");
    let page = ControlPage::of(running.pid());
    let reader = Recording::of(running.pid(), &["--lossless"]);
    reader.stop();
    page.expire();
    assert_eq!(running.step(b"m"), "done");
    assert!(!page.is_asked());
    reader.signal(libc::SIGCONT);
    page.until_asked();
    assert_eq!(running.step(b"m"), "done");
    let recorded = reader.end();
    assert_eq!((recorded.events(), recorded.lost()), (ROUND, ROUND));
}

/// Check that a reader leaves no page of the rings in the target's memory: when it ends, and when it is killed and somebody looks at the process.
#[test]
fn nothing_stays() {
    let mut running = events();
    running.step(b"go");
    let page = ControlPage::of(running.pid());
    let pid = running.pid().to_string();
    let looks: [Option<&[&str]>; 4] = [
        None,
        Some(&["ls"]),
        Some(&["mark", "seen", "-p", &pid]),
        Some(&["diff", "seen", "now", "-p", &pid]),
    ];
    for look in looks {
        let reader = Recording::of(running.pid(), &["--lossless"]);
        assert_eq!(running.step(b"m"), "done");
        reader.stop();
        assert!(page.resident() > HEADS, "{look:?}");
        let Some(words) = look else {
            reader.signal(libc::SIGCONT);
            assert_eq!(reader.end().lost(), 0);
            assert!(page.resident() <= HEADS);
            continue;
        };
        let _cut_off = reader.kill();
        assert!(talk(words).status.success());
        assert!(page.resident() <= HEADS, "{words:?}");
        assert!(!page.is_asked(), "{words:?}");
    }
    assert!(running.finish().0.success());
}
