//! Marks that are kept: found by name, and gone after a week.

use crate::place::{Place, text};
use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, SystemTime};

/// Sets a directory's time back by so many days.
fn age(directory: &Path, days: u64) {
    let then = SystemTime::now() - Duration::from_secs(days * 24 * 60 * 60);
    let opened = File::open(directory).expect("a directory");
    opened.set_modified(then).expect("set back");
}

/// Check that `marks --prune` removes those of processes that ended more than a week ago, and no others.
#[test]
fn prune() {
    let place = Place::new("prune");
    let program = place.keeper();
    let running = place.run(&["--quiet"], &[&program]);
    place.stdout(&["mark", "-p", &running.hello, "warm"]);
    let state = place.path("state/heapshim");
    let mut listed = fs::read_dir(&state).expect("the state directory").flatten();
    let own = listed.next().expect("a process").path();
    let [old, young] = ["4194304-7", "4194303-7"].map(|name| state.join(name));
    for directory in [&old, &young] {
        fs::create_dir(directory).expect("made");
        fs::copy(own.join("warm.heapmark"), directory.join("warm.heapmark")).expect("copied");
    }
    age(&own, 8);
    age(&old, 8);
    age(&young, 6);
    let said = place.stdout(&["marks", "--prune"]);
    assert_eq!(said, "removed the marks of 1 ended process\n");
    assert!(own.exists() && young.exists() && !old.exists());
    let said = place.stdout(&["marks", "--prune"]);
    assert_eq!(said, "removed the marks of 0 ended processes\n");
    // What was seen alive a moment ago has a week from now.
    let modified = fs::metadata(&own).and_then(|own| own.modified());
    let since = modified.expect("a time").elapsed().expect("past");
    assert!(since < Duration::from_secs(24 * 60 * 60));
    assert!(
        place
            .stdout(&["marks", "-p", &running.hello])
            .contains("warm")
    );
}

/// Check that a mark that is not there is status 1, with the next step: take it, or choose one that is.
#[test]
fn unknown() {
    let place = Place::new("unknown-mark");
    let program = place.keeper();
    let running = place.run(&["--quiet"], &[&program]);
    let pid = &running.hello;
    let refused = |words: &[&str]| {
        let output = place.output(words);
        assert_eq!(output.status.code(), Some(1), "{words:?}");
        assert!(output.stdout.is_empty());
        text(&output.stderr)
    };
    let never = ["diff", "-p", pid, "never"];
    let last = ["diff", "-p", pid, "last"];
    assert_eq!(
        refused(&never),
        format!(
            "heapshim: pid {pid}: no mark 'never'; take one with `heapshim mark -p {pid} never`\n"
        )
    );
    assert_eq!(
        refused(&last),
        format!("heapshim: pid {pid}: no mark 'last'; take one with `heapshim mark -p {pid}`\n")
    );
    place.stdout(&["mark", "-p", pid, "warm"]);
    assert_eq!(
        refused(&never),
        format!("heapshim: pid {pid}: no mark 'never'; there are: start, warm, now\n")
    );
    let file = place.word("none.heapmark");
    let line = refused(&["diff", "start", &file]);
    assert!(
        line.starts_with(&format!("heapshim: {file}: not read: ")),
        "{line}"
    );
    assert!(
        line.contains("`heapshim mark -o FILE` writes one"),
        "{line}"
    );
}
