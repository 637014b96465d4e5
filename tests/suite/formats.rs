//! The documents of the formats are enough: readers that were written from docs/LEDGER.md, docs/MARK.md and docs/TRACE.md alone (`formats/`) say what the command says.

use crate::recordings::events;
use heapshim_tests::{Diff, Recording, Target, fresh_directory, line_of, needs, talk, workspace};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::process::Command;

/// What the reader of a file says.
fn read(file: &Path) -> Value {
    let reader = workspace().join("tests/formats/read.py");
    let mut python = Command::new("python3");
    let output = python.arg("-B").arg(reader).arg(file).output();
    let output = output.expect("python3 starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {said}", file.display());
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// What the command says of two moments.
fn diff(words: &[&str]) -> Diff {
    let words = [&["diff", "--format", "json"], words].concat();
    Diff::read(&String::from_utf8(talk(&words).stdout).expect("UTF-8"))
}

/// Asserts that a reader's totals are those of a report from the start.
fn assert_totals(read: &Value, diff: &Diff) {
    let pair = |of: &Value, name: &str| {
        let number = |unit: &str| of[format!("{name}_{unit}")].clone();
        json!([number("bytes"), number("blocks")])
    };
    let (all, total) = (diff.json(), diff.total());
    assert_eq!(read["live"], pair(all, "growth"));
    assert_eq!(read["temporary"], pair(all, "temporary"));
    assert_eq!(read["total"], json!([total.bytes, total.blocks]));
}

/// Check a ledger in a file, with a mark of the program's own in it, and a mark that carries its symbols.
#[test]
fn account() {
    if !needs(&["python3"]) {
        return;
    }
    let directory = fresh_directory("formats");
    let mut running = Target::c("events.c")
        .opt("-O0")
        .env("HEAPSHIM_DIR", &directory)
        .spawn();
    running.step(b"go");
    let ledger = fs::read_dir(&directory).expect("made").flatten().next();
    let ledger = ledger.expect("a ledger").path();
    let name = ledger.to_str().expect("UTF-8");
    let found = read(&ledger);
    let said = diff(&[name]);
    assert_totals(&found, &said);
    assert_eq!(found["labels"]["main"], said.growth().bytes);
    let middle = diff(&["start", &format!("{name}:middle")]).growth();
    assert_eq!(
        found["marks"],
        json!({"middle": [middle.bytes, middle.blocks]})
    );
    let mark = directory.join("all.heapmark");
    let words = ["mark", "-p", &running.pid().to_string(), "--bundle", "-o"];
    talk(&[&words[..], &[mark.to_str().expect("UTF-8")]].concat());
    let found = read(&mark);
    let said = diff(&["start", mark.to_str().expect("UTF-8")]);
    assert_totals(&found, &said);
    assert_eq!(found["highest"], said.json()["peak_bytes"]);
    assert_eq!(found["labels"]["main"], said.growth().bytes);
    let kept = format!("/events.c:{}", line_of("events.c", "kept[i] = malloc"));
    let lines = found["lines"].as_object().expect("an object");
    let alive = lines.iter().find(|(line, _)| line.ends_with(&kept));
    assert_eq!(alive.expect("the line").1, 25_150);
}

/// Check a recording of more than one chunk, with the stacks of frees and a mark of the program's own.
#[test]
fn recording() {
    if !needs(&["python3", "zstd"]) {
        return;
    }
    let mut running = events();
    let recording = Recording::of(running.pid(), &["--lossless", "--free-stacks"]);
    running.step(b"go");
    running.step(b"m");
    let recorded = recording.end();
    let found = read(&recorded.file);
    let said = recorded.ask("diff", &[]).0;
    assert_eq!(found["events"], recorded.events());
    assert_eq!(found["missing"], 0);
    let growth = said.growth();
    assert_eq!(found["growth"], json!([growth.bytes, growth.blocks]));
    assert_eq!(found["highest"], said.json()["peak_bytes"]);
    assert_eq!(found["notes"], json!(["middle"]));
    assert!(
        found["freed_by"]
            .as_u64()
            .is_some_and(|frees| frees > 150_000)
    );
}
