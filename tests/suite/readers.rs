//! Readers that stop, die, and come back: the target goes on, nothing of theirs stays in it, and what was lost is counted.
//!
//! A reader's lease is ten seconds. Here, while the reader is stopped, it is made a year or nothing in the control page itself, so that no test waits for it, and none passes
//! because it ran out.

use crate::recordings::{ROUND, events};
use heapshim_cli::render::lost;
use heapshim_tests::{ControlPage, Recorded, Recording, Target, fresh_directory, talk, until};
use std::fs;
use std::path::Path;

/// What a control file without events has in memory: its control page and the rings' heads.
const HEADS: u64 = 2 * 4096;
/// After as many waits, each with a look, `run` has left what it was to clear away.
const MOST_WAITS: u64 = 30;

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
    page.until_asked(reader.pid());
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

/// How often a process has waited for something. `run` does before each look at its command, a second at most.
pub(crate) fn waits(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it lives");
    let waits = status.split("\nvoluntary_ctxt_switches:").nth(1);
    let waits = waits.and_then(|rest| rest.split_whitespace().next());
    waits.expect("a count").parse().expect("a number")
}

/// Check that `run` clears away what a reader of its command that was killed has left there, without being asked.
#[test]
fn cleared_by_run() {
    let mut running = Target::c("events.c")
        .opt("-O0")
        .spawn_under_run(&["--quiet"]);
    running.step(b"go");
    let command = running.command();
    let page = ControlPage::of(command);
    let reader = Recording::of(command, &["--lossless"]);
    assert_eq!(running.step(b"m"), "done");
    reader.stop();
    assert!(page.resident() > HEADS);
    let _cut_off = reader.kill();
    let before = waits(running.pid());
    until(running.pid(), "cleared", || {
        let waits = waits(running.pid()) - before;
        let is_cleared = page.resident() <= HEADS;
        assert!(is_cleared || waits < MOST_WAITS, "{waits} waits");
        is_cleared
    });
    assert!(!page.is_asked());
    let next = Recording::of(command, &["--lossless"]);
    assert_eq!(running.step(b"m"), "done");
    assert_eq!(next.end().events(), ROUND);
    assert!(running.finish().0.success());
}

/// Check that a `run --record` that is killed leaves its command to the next reader, and nothing in it.
#[test]
fn killed_run() {
    let file = fresh_directory("recording").join("run.heaptrace");
    let file = file.to_str().expect("UTF-8");
    let target = Target::c("events.c").opt("-O0");
    let mut running = target.spawn_under_run(&["--quiet", "--lossless", "--record", file]);
    running.step(b"go");
    let command = running.command();
    let page = ControlPage::of(command);
    running.kill();
    assert_eq!(running.step(b"m"), "done");
    let next = Recording::of(command, &["--lossless"]);
    assert_eq!(running.step(b"m"), "done");
    let recorded = next.end();
    assert_eq!((recorded.events(), recorded.lost()), (ROUND, 0));
    assert!(page.resident() <= HEADS && !page.is_asked());
}

/// A recording that has lost events, and what is to be said of them.
fn with_losses() -> (Recorded, String) {
    let mut running = events();
    running.step(b"go");
    let reader = Recording::of(running.pid(), &["--free-stacks"]);
    reader.stop();
    assert_eq!(running.step(b"m"), "done");
    reader.signal(libc::SIGCONT);
    let recorded = reader.end();
    let said = lost(recorded.lost()).expect("events were lost");
    (recorded, said)
}

/// What `heapshim WORDS FILE OPTIONS -o` writes, which is what it prints.
fn written(file: &Path, words: &[&str], options: &[&str]) -> String {
    let place = fresh_directory("answer").join("answer");
    let [file, place] = [file, &place].map(|path| path.to_str().expect("UTF-8"));
    let words = [&words[..1], &[file], &words[1..], options, &["-o", place]].concat();
    talk(&words);
    fs::read_to_string(place).expect("an answer")
}

/// Check that every answer to a recording that has lost events says how many: the head of a table, JSON, and what is written to a file, where nobody sees what was said beside it.
#[test]
fn losses_are_said() {
    let (recorded, said) = with_losses();
    let questions: [&[&str]; 8] = [
        &["diff"],
        &["diff", "--freed-by"],
        &["diff", "--sort", "survivors"],
        &["peak"],
        &["temporary"],
        &["lifetimes"],
        &["sizes"],
        &["timeline"],
    ];
    for words in questions {
        let table = written(&recorded.file, words, &[]);
        let head = table.lines().next().expect("a line");
        assert!(head.contains(&said), "{words:?}: {head}");
        assert!(!table.contains("in flight"), "{words:?}: {head}");
        let json = written(&recorded.file, words, &["--format", "json"]);
        let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
        assert_eq!(json["lost_events"], recorded.lost(), "{words:?}");
    }
    for form in ["flamegraph", "speedscope", "massif", "dot", "markdown"] {
        let text = written(&recorded.file, &["export", "--format", form], &[]);
        assert!(text.contains(&said), "{form}: {text}");
    }
    assert!(written(&recorded.file, &["report"], &[]).contains(&said));
    let whole = events().diff(&["start", "now"]);
    assert_eq!(whole.json()["lost_events"], 0);
}
