//! Each key of `heapshim top` that its manual or its help names, pressed once.

use crate::tops::look_with;
use heapshim_tests::{Target, Tmux, workspace};
use std::fs;

/// What a key did: the screen, and on it the line that is chosen.
type Seen<'a> = (&'a [String], &'a str);

/// A key as the manual names it, as tmux does, what is there once it was obeyed and was not before, and keys that lead back.
struct Key {
    named: &'static str,
    pressed: &'static str,
    done: fn(Seen<'_>) -> bool,
    back: &'static [&'static str],
}

const fn key(named: &'static str, pressed: &'static str, done: fn(Seen<'_>) -> bool) -> Key {
    Key {
        named,
        pressed,
        done,
        back: &[],
    }
}

const fn leading_back(key: Key, back: &'static [&'static str]) -> Key {
    Key { back, ..key }
}

/// Every key, in an order in which each finds what it needs.
const EVERY_KEY: [Key; 23] = [
    key("↓", "Down", |seen| is_rung(seen, 1)),
    key("j", "j", |seen| is_rung(seen, 2)),
    key("k", "k", |seen| is_rung(seen, 1)),
    key("↑", "Up", |seen| is_rung(seen, 0)),
    key("PgDn", "PageDown", |seen| is_rung(seen, 10)),
    key("PgUp", "PageUp", |seen| is_rung(seen, 0)),
    key("End", "End", |(screen, chosen)| {
        let rows = screen[5..23].iter().rev();
        chosen != rung(0)
            && rows
                .into_iter()
                .find(|row| !row.is_empty())
                .is_some_and(|row| place_in(row) == chosen)
    }),
    key("Home", "Home", |seen| is_rung(seen, 0)),
    key("Enter", "Enter", |seen| has(seen, "│> deep")),
    key("]", "]", |seen| {
        has(seen, "heaviest stack") && !has(seen, "│> deep")
    }),
    leading_back(key("[", "[", |seen| has(seen, "│> deep")), &["Enter"]),
    key("s", "s", |seen| has(seen, "(by rate)")),
    key("g", "g", |seen| has(seen, "function (by rate)")),
    leading_back(key("/", "/", |seen| has(seen, "filter: ▏")), &["Escape"]),
    key("m", "m", |seen| has(seen, "since mark-1")),
    key("M", "M", |seen| {
        has(seen, "since mark-2") && has(seen, "survivors")
    }),
    key("0", "0", |seen| has(seen, "since start")),
    key("w", "w", |seen| has(seen, "written: ladder-")),
    leading_back(
        key("p", "p", |seen| has(seen, "traced processes")),
        &["Escape"],
    ),
    leading_back(
        key("Space", "Space", |seen| has(seen, "standing still")),
        &["Space"],
    ),
    key("?", "?", |seen| has(seen, "(any key closes)")),
    // Closes the help.
    key("Esc", "Escape", |seen| !has(seen, "(any key closes)")),
    key("q", "q", |seen| has(seen, "ended ")),
];

fn has((screen, _): Seen<'_>, text: &str) -> bool {
    screen.iter().any(|line| line.contains(text))
}

/// `ladder.c:13`, of a line of the list: `programs/ladder.c:13  deep`.
fn place_in(row: &str) -> &str {
    let from = row.find("ladder.c:").map_or("", |at| &row[at..]);
    from.split([' ', '\x1b']).next().unwrap_or_default()
}

fn rung(number: usize) -> String {
    format!(
        "ladder.c:{}",
        heapshim_tests::line_of("ladder.c", &format!("// rung {number}"))
    )
}

fn is_rung((_, chosen): Seen<'_>, number: usize) -> bool {
    chosen == rung(number)
}

/// Check each key that the manual or the help names, one by one, and that none is named that is not checked here.
#[test]
fn every_key() {
    let Some(tmux) = Tmux::open(80, 24) else {
        return;
    };
    let mut known: Vec<&str> = EVERY_KEY.iter().map(|key| key.named).collect();
    known.sort_unstable();
    assert_eq!(keys_of_the_manual(), known);

    let running = Target::c("ladder.c").opt("-O0").spawn();
    let look = look_with(&tmux, &running, "NO_COLOR=1");
    tmux.wait(|screen| screen.iter().any(|line| line.contains(&rung(12))));
    for key in &EVERY_KEY {
        tmux.keys(&[key.pressed]);
        let done = |screen: &[String]| {
            let chosen = tmux.reversed();
            (key.done)((screen, place_in(&chosen)))
        };
        let screen = tmux.wait(done);
        if key.named == "?" {
            assert_eq!(keys_of_the_help(&screen), known);
        }
        if !key.back.is_empty() {
            tmux.keys(key.back);
            tmux.wait(|screen| !done(screen));
        }
    }
    look.ended(0);
}

/// The first column of the table of docs/TOP.md, and the key that the table explains in passing.
fn keys_of_the_manual() -> Vec<String> {
    let text = fs::read_to_string(workspace().join("docs/TOP.md")).expect("the manual");
    let rows = text.lines().filter_map(|line| line.strip_prefix("| "));
    let rows: Vec<&str> = rows.skip(2).collect();
    let cells = rows.iter().filter_map(|row| row.split(" | ").next());
    let mut keys: Vec<String> = cells.flat_map(words).collect();
    keys.extend(
        rows.iter()
            .filter(|row| row.contains("Esc:"))
            .map(|_| "Esc".to_string()),
    );
    keys.sort_unstable();
    keys
}

/// What the help names, from its key column and, behind it, from what is said in passing.
fn keys_of_the_help(screen: &[String]) -> Vec<String> {
    let lines = screen.iter().filter_map(|line| line.strip_prefix('│'));
    let lines: Vec<&str> = lines
        .take_while(|line| !line.trim_matches(['│', ' ']).is_empty())
        .collect();
    let mut keys: Vec<String> = lines
        .iter()
        .filter_map(|line| line.split("  ").next())
        .flat_map(words)
        .collect();
    for (said, named) in [
        ("(also k, j)", "k j"),
        ("[ ] scroll", "[ ]"),
        ("Esc: all", "Esc"),
        ("? ", "?"),
    ] {
        let is_said = screen.iter().any(|line| line.contains(said));
        keys.extend(words(named).filter(|_| is_said));
    }
    keys.sort_unstable();
    keys
}

fn words(text: &str) -> impl Iterator<Item = String> {
    let all = text.split([' ', ',', '·']).filter(|word| !word.is_empty());
    all.map(str::to_string).collect::<Vec<_>>().into_iter()
}
