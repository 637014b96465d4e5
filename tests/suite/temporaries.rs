//! Blocks that their thread's next operation frees, by the account alone: known numbers, and the same as a recording of the same run says, to the block.

use heapshim_tests::{
    Diff, Recorded, Recording, Run, Running, Target, environment, fresh_directory, heapshim,
    line_of as line, needs, pythons, talk,
};
use serde_json::Value;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::process::Command;

const SOURCE: &str = "temporary.c";

/// A line's marker, how many blocks it allocated, and how many of them were temporary.
type Expected = (&'static str, i64, i64);

const ALONE: [Expected; 9] = [
    ("// at once", 100, 100),
    ("// cleared", 100, 100),
    ("// one", 100, 0),
    ("// other", 100, 0),
    ("// outer", 100, 0),
    ("// inner", 100, 100),
    // What realloc gives back is freed by the next operation.
    ("// moved", 100, 100),
    ("// resized", 100, 100),
    ("// before", 1, 0),
];
const THREADS: [Expected; 4] = [
    ("// handed", 1, 0),
    ("// worker", 600, 600),
    // Each is freed by the thread that did not make it, at an address that its own last block had.
    ("// mine", 50, 0),
    ("// swapped", 50, 0),
];

fn assert_temporary(diff: &Diff, expected: &[Expected]) {
    diff.assert_adds_up();
    for (marker, total, temporary) in expected {
        let row = diff.row(SOURCE, line(SOURCE, marker));
        let found = (row.total().blocks, row.json()["temporary_blocks"].as_i64());
        assert_eq!(found, (*total, Some(*temporary)), "{marker}");
    }
}

/// By place, how many blocks were temporary and their bytes.
type Places = BTreeMap<String, [i64; 2]>;

/// By line, or by module where there is none; of a recording's own answer these are what has grown.
fn by_place(diff: &Diff, of: [&str; 2]) -> Places {
    let mut places = Places::new();
    for row in diff.rows() {
        let place = match &row.json["file"] {
            Value::Null => row.json["module"].to_string(),
            file => format!("{file} {}", row.json["line"]),
        };
        let numbers = of.map(|key| row.json[key].as_i64().expect(key));
        let sums = places.entry(place).or_default();
        *sums = [sums[0] + numbers[0], sums[1] + numbers[1]];
    }
    places.retain(|_, numbers| *numbers != [0; 2]);
    places
}

/// Of many hundreds of lines, says those that differ.
fn assert_no_difference(counted: &Places, recorded: &Places) {
    let without = |these: &Places, those: &Places| {
        let differ = these.iter().filter(|at| those.get(at.0) != Some(at.1));
        let lines: Vec<String> = differ.map(|at| format!("{at:?}")).collect();
        lines.join("\n")
    };
    let differ = [(counted, recorded), (recorded, counted)].map(|(one, other)| without(one, other));
    let [one, other] = differ;
    assert!(counted == recorded, "counted:\n{one}\nrecorded:\n{other}");
}

/// Asserts that an account's report has what the recording's two answers have.
fn assert_same(recorded: &Recorded, counted: &Diff) {
    let own = ["temporary_blocks", "temporary_bytes"];
    assert_eq!(recorded.lost(), 0, "{}", recorded.said);
    let (answer, said) = recorded.ask("temporary", &[]);
    assert_eq!(said, "");
    let counted = by_place(counted, own);
    assert_no_difference(
        &counted,
        &by_place(&answer, ["growth_blocks", "growth_bytes"]),
    );
    let diff = recorded.ask("diff", &["--sort", "temporary"]).0;
    assert_no_difference(&counted, &by_place(&diff, own));
}

/// Check that with a filter the rows and what is in none are all that was temporary, and that the table says what is not in it; and that the recording's
/// own answer begins with how much that was, of how much.
#[test]
fn adds_up_under_filters() {
    let (running, recorded) = threads_done();
    let all = known(&running.diff(&["warm", "done"])).expect("known");
    let words = ["--sort", "temporary", "--exclude", "alone"];
    let diff = running.diff_with(&["warm", "done"], &words);
    let shown: Option<i64> = diff
        .rows()
        .iter()
        .map(|row| row.json()["temporary_blocks"].as_i64())
        .sum();
    let shown = shown.expect("known");
    let hidden = diff.json()["unattributed"]["temporary_blocks"].as_i64();
    assert!(shown < all, "{}", diff.listing());
    assert_eq!((hidden, known(&diff)), (Some(all - shown), Some(all)));
    let pid = running.pid().to_string();
    let words = [
        &["diff", "-p", &pid, "warm", "done", "--top", "0"],
        &words[..],
    ]
    .concat();
    let table = String::from_utf8(talk(&words).stdout).expect("UTF-8");
    let elsewhere = format!(" · temporary elsewhere: {} blocks\n", all - shown);
    assert!(table.ends_with(&elsewhere), "{table}");

    let file = recorded.file.display().to_string();
    let answer = String::from_utf8(talk(&["temporary", &file]).stdout).expect("UTF-8");
    let headline = answer.lines().nth(1).expect("a headline");
    assert!(
        headline.ends_with(", were freed by their thread's next operation"),
        "{answer}"
    );
    let blocks = recorded.ask("temporary", &[]).0.growth().blocks;
    let (first, _) = headline.split_once(" of ").expect("how much of how much");
    assert_eq!(first.replace(',', ""), blocks.to_string(), "{answer}");
}

fn known(diff: &Diff) -> Option<i64> {
    diff.json()["temporary_blocks"].as_i64()
}

/// The program before its threads, and what was recorded of it until they had ended.
fn threads_done() -> (Running, Recorded) {
    let mut running = Target::c(SOURCE).opt("-O0").spawn();
    running.mark("warm");
    let recording = Recording::of(running.pid(), &["--lossless"]);
    assert_eq!(running.step(b"go"), "done");
    running.mark("done");
    (running, recording.end())
}

/// Check that what is freed by its thread's next operation is counted and nothing else, in threads with counters of their own and in those that share some; that it is what a
/// recording says; and that it stands in the table, and in marks that are read again.
#[test]
fn known_numbers() {
    let (mut running, recorded) = threads_done();
    let diff = running.diff(&["warm", "done"]);
    assert_temporary(&diff, &ALONE);
    assert_temporary(&diff, &THREADS);
    assert_same(&recorded, &diff);
    let pid = running.pid().to_string();
    let words = ["diff", "-p", &pid, "warm", "done", "--sort", "temporary"];
    let table = String::from_utf8(talk(&words).stdout).expect("UTF-8");
    let at = |what: &str| {
        table
            .find(what)
            .unwrap_or_else(|| panic!("{what}: {table}"))
    };
    assert!(at("temporary   line") < at("          600   "), "{table}");
    assert!(at("          600   ") < at("          100   "), "{table}");
    // From the start there may be more, of what began the program.
    assert!(known(&running.diff(&["start", "done"])) >= known(&diff));
    assert_eq!(known(&running.diff(&["done", "now"])), Some(0));
    let child = running.step(b"go").to_owned();
    let child = child.strip_prefix("child ").expect("its pid").to_owned();
    let words = ["diff", "-p", &child, "start", "now", "--format", "json"];
    let diff = Diff::read(&String::from_utf8(talk(&words).stdout).expect("UTF-8"));
    // Also that it inherits no numbers, and that what its parent had just allocated is not temporary in it.
    assert_temporary(&diff, &[("// child", 1, 1), ("// across", 0, 0)]);
    assert_eq!(running.step(b"go"), "over");
    let last = running.diff(&["done", "now"]);
    assert_temporary(&last, &[("// across", 1, 1)]);
}

/// Check the same of part of a recording, from one instant to another: what was temporary before is not in it.
#[test]
fn part_of_a_recording() {
    let (_running, recorded) = threads_done();
    let blocks = |options: &[&str]| {
        let options = [&["--sort", "temporary"], options].concat();
        known(&recorded.ask("diff", &options).0).expect("known")
    };
    let whole = blocks(&[]);
    assert_eq!(blocks(&["--from", "1h"]), 0);
    let (past, said) = recorded.ask("diff", &["--from", "1h"]);
    assert!(said.contains("1h is past its end, which is at "), "{said}");
    let ends = ["from", "to"].map(|end| past.json()[end]["time"].clone());
    assert_eq!(ends[0], ends[1]);
    assert_eq!(blocks(&["--to", "1h"]), whole);
    for instant in ["1ms", "2ms", "5ms"] {
        let parts = blocks(&["--to", instant]) + blocks(&["--from", instant]);
        assert_eq!(parts, whole, "{instant}");
    }
}

/// Runs a command recorded, and asserts that its account has what the recording has.
fn assert_run(words: &[OsString]) {
    let file = fresh_directory("recording").join("run.heaptrace");
    let run = Run::new(words).stdin(b"go\ngo\n\n").option("--lossless");
    let finished = run.option("--record").option(&file).finish();
    let said = String::from_utf8_lossy(&finished.stderr).into_owned();
    let recorded = Recorded { file, said };
    assert_same(&recorded, finished.report());
    assert!(known(finished.report()) > Some(0));
}

/// Check that account and recording say the same of the whole lives of a program in C++ and of CPython, whose objects are counted as malloc's blocks are.
#[test]
fn whole_lives() {
    assert_run(&Target::cpp("containers.cpp").words());
    let script = "import json; x = [json.dumps([i]) for i in range(3000)]; y = [str(i) for i in range(999) if len(str(i)) > 2]";
    for python in pythons() {
        let words = [python.path.clone().into(), "-c".into(), script.into()];
        assert_run(&words);
    }
}

/// What is said where a command line is refused.
fn refused(words: &[&str]) -> String {
    let mut command = Command::new(heapshim());
    let output = command.env_clear().envs(environment()).args(words).output();
    let output = output.expect("the command starts");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{said}");
    said
}

/// Check that nothing is guessed: of samples, of what the program has copied itself and of several processes nothing is known, and where it is asked for that is said.
#[test]
fn unknown() {
    let mut running = crate::recordings::events();
    running.mark("warm");
    assert_eq!(known(&running.diff(&["warm", "now"])), Some(0));
    let pid = running.pid().to_string();
    let refused_between = |marks: [&str; 2]| {
        let [from, to] = marks;
        let words = ["diff", "-p", &pid, from, to, "--sort", "temporary"];
        let said = refused(&words);
        assert!(said.contains("--sort temporary: "), "{said}");
    };
    assert_eq!(running.step(b"go"), "done");
    assert_eq!(known(&running.diff(&["warm", "now"])), Some(210));
    // Copies that the program itself has made: of what was alive at most, and where it asked for one.
    for copy in ["peak", "middle"] {
        assert_eq!(known(&running.diff(&["warm", copy])), None, "{copy}");
        refused_between(["warm", copy]);
    }
    talk(&["mode", "-p", &pid, "sample=1K"]);
    assert_eq!(running.step(b"m"), "done");
    assert_eq!(known(&running.diff(&["warm", "now"])), None);
    refused_between(["warm", "now"]);
    talk(&["mode", "-p", &pid, "exact"]);
    assert_eq!(known(&running.diff(&["start", "now"])), None, "for ever");
    if needs(&["true"]) {
        let words = ["run", "--merge", "--sort", "temporary", "--", "true"];
        let said = refused(&words);
        assert!(said.contains("--sort temporary: "), "{said}");
    }
}
