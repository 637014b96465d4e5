//! Words that are wrong: status 2, and the nearest right one.

use crate::place::{Place, text};

/// Check commands, options and values that are one slip away, and what two options do not go together.
#[test]
fn nearest_right_word() {
    let place = Place::new("words");
    let running = place.run(&["--quiet"], &[&place.keeper()]);
    let pid = &running.hello;
    for (words, right) in [
        (&["dif"][..], "'diff'"),
        (&["maks"], "'marks'"),
        (&["diff", "--frmat", "json"], "'--format'"),
        (&["diff", "--format", "jsn"], "'json'"),
        (&["diff", "--by", "lines"], "'line'"),
        (&["run", "--sav", "x", "--", "true"], "'--save'"),
        (&["diff", "--for", "30"], "500ms, 30s, 5m"),
        (&["diff", "--for", "1s", "warm"], "cannot be used with"),
        (&["run", "--depth", "513", "--", "true"], "1..=512"),
        (&["run"], "COMMAND"),
        (
            &["run", "--cumulative", "--by", "stack", "--", "true"],
            "choose --by line, function, file or module",
        ),
        (
            &["diff", "--format", "tracemalloc", "--by", "module"],
            "choose --by line, file or stack",
        ),
        (
            &["diff", "-p", pid, "start", "start"],
            "heapshim diff start now",
        ),
        (&["mark", "now"], "choose another name"),
    ] {
        let output = place.output(words);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{words:?} {said}");
        assert!(said.contains(right), "{words:?} {said}");
        assert!(output.stdout.is_empty(), "{words:?}");
    }
}
