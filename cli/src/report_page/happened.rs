//! What happened in a recording besides events, as the page's timeline shows it: when, of what kind, a few words for the picture and all for the list.

use crate::render::escape;
use crate::trace::{Instant, Instants, What};
use serde_json::{Value, json};
use std::cmp::Reverse;

/// Instants that the page has: nobody looks at more, and each is an element of it.
const MOST: usize = 1_000;
/// Letters of a name that are shown: of a path its end says most.
const LETTERS: usize = 200;

/// As the page reads it: those that there is room for, the program's own marks before all others, then what became of the process; and how many there were besides.
pub(super) fn json(instants: &Instants) -> [Value; 2] {
    let mut shown: Vec<&Instant> = instants.all.iter().collect();
    shown.sort_by_key(|instant| Reverse(weight(instant.what)));
    let not_shown = shown.split_off(shown.len().min(MOST)).len();
    shown.sort_by_key(|instant| instant.ns);
    let left_out = instants.left_out.saturating_add(not_shown as u64);
    [shown.into_iter().map(one).collect(), left_out.into()]
}

fn weight(what: What) -> u8 {
    match what {
        What::Mark => 3,
        What::Exec | What::Fork | What::Child => 2,
        What::Thread => 1,
        What::Load | What::Unload => 0,
    }
}

fn one(instant: &Instant) -> Value {
    let instant = Instant {
        text: shortened(&instant.text),
        ..instant.clone()
    };
    let name = match instant.what {
        // A path, as a rule: what stands after the last slash.
        What::Exec | What::Load | What::Unload => instant.text.rsplit('/').next(),
        _ => Some(&*instant.text),
    };
    let name = escape(name.unwrap_or_default());
    json!([instant.ns, instant.what.word(), name, instant.words()])
}

fn shortened(text: &str) -> String {
    let letters = text.chars().count();
    if letters <= LETTERS {
        return text.to_owned();
    }
    let end = text.chars().skip(letters - LETTERS);
    std::iter::once('…').chain(end).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instant(ns: u64, what: What, text: &str) -> Instant {
        Instant {
            ns,
            what,
            pid: (what == What::Fork).then_some(7),
            text: text.to_owned(),
        }
    }

    /// Check the words of each, a name that would drive a terminal, and one that is too long.
    #[test]
    fn words() {
        let all = vec![
            instant(1, What::Load, "/usr/lib/libfoo.so.3"),
            instant(2, What::Fork, "wor\x1bker"),
            instant(3, What::Mark, &"é".repeat(300)),
        ];
        let [told, left_out] = json(&Instants { all, left_out: 4 });
        assert_eq!(
            told[0],
            json!([1, "load", "libfoo.so.3", "/usr/lib/libfoo.so.3"])
        );
        assert_eq!(
            told[1],
            json!([2, "fork", "wor\\x1bker", "wor\\x1bker (pid 7)"])
        );
        let mark = told[2][3].as_str().expect("a text");
        assert!(mark.starts_with('…') && mark.chars().count() == LETTERS + 1);
        assert_eq!(left_out, 4);
    }

    /// Check that of too many the marks stay, in their places, and that the others are counted.
    #[test]
    fn too_many() {
        let mut all: Vec<Instant> = (0..1_500)
            .map(|ns| instant(ns, What::Load, "/lib/x.so"))
            .collect();
        all.push(instant(1_500, What::Mark, "late"));
        let [told, left_out] = json(&Instants { all, left_out: 10 });
        let told = told.as_array().expect("a list");
        assert_eq!((told.len(), left_out), (MOST, json!(511)));
        assert_eq!(told[MOST - 1], json!([1_500, "mark", "late", "late"]));
        assert_eq!(told[MOST - 2][0], 998);
    }
}
