//! `heapshim watch`: a program whose lines grow, fill up and rise and fall, step by step as the test says, and what is said of each.

use heapshim_tests::{Target, environment, heapshim};
use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

/// Snapshots, the first included.
const SNAPSHOTS: usize = 21;

/// What `watch` with these words says of the program after twenty steps.
fn watched(words: &[&str]) -> String {
    let mut running = Target::c("watch.c").spawn();
    let pid = running.pid().to_string();
    let mut command = Command::new(heapshim());
    command.args(["watch", "-p", &pid, "--wait"]).args(words);
    command.env_clear().envs(environment());
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut watching = command.spawn().expect("the command starts");
    let mut input = watching.stdin.take().expect("a piped stdin");
    let mut said = BufReader::new(watching.stderr.take().expect("a piped stderr"));
    for number in 1..=SNAPSHOTS {
        let mut line = String::new();
        said.read_line(&mut line)
            .expect("it says that it has taken one");
        assert!(line.starts_with(&format!("snapshot {number}: ")), "{line}");
        if number < SNAPSHOTS {
            assert_eq!(running.step(b"go"), "ready");
            input.write_all(b"\n").expect("it listens");
        }
    }
    drop(input);
    let output = watching.wait_with_output().expect("its end");
    assert!(output.status.success());
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// Check that programs get the same: an object a line, the heap first, each line's trend with its exact rate.
#[test]
fn as_json() {
    let text = watched(&["--format", "json"]);
    let all: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).expect("an object"))
        .collect();
    assert_eq!(
        (&all[0]["kind"], &all[0]["snapshots"]),
        (&"heap".into(), &SNAPSHOTS.into())
    );
    let line = |function: &str| {
        let mut lines = all.iter();
        let line = lines.find(|line| line["function"] == function);
        line.unwrap_or_else(|| panic!("no {function} in\n{text}"))
    };
    let leak = line("leaks");
    assert_eq!(
        (&leak["trend"], &leak["growth_bytes"]),
        (&"grows".into(), &4000.into())
    );
    assert_eq!(
        (&leak["rate_bytes"], &leak["per"]),
        (&200.0.into(), &"step".into())
    );
    assert!(leak["file"].as_str().expect("a file").ends_with("/watch.c"));
    assert_eq!(line("rises_and_falls")["trend"], "saw-tooth");
    let lines: i64 = all[1..]
        .iter()
        .filter_map(|line| line["growth_bytes"].as_i64())
        .sum();
    assert_eq!(all[0]["growth_bytes"], lines);
}

/// Check that each line is called what it is, with its exact rate, and that growth is divided by the user's count.
#[test]
fn classes() {
    let text = watched(&["--per", "100:request"]);
    assert!(
        text.contains(&format!("   {SNAPSHOTS} snapshots\n")),
        "{text}"
    );
    let row = |function: &str| {
        let line = text.lines().find(|line| line.ends_with(function));
        let line = line.unwrap_or_else(|| panic!("no {function} in\n{text}"));
        line.split_whitespace()
            .map(str::to_string)
            .collect::<Vec<_>>()
    };
    // Five blocks of 40 bytes at each of twenty steps: a hundred requests.
    assert_eq!(
        row("  leaks")[..6],
        ["grows", "+200", "B/step", "99.9%", "+3.9", "KiB"],
        "{text}"
    );
    assert!(
        text.contains("95 %: +200 B/step to +200 B/step\n"),
        "{text}"
    );
    assert!(text.contains("40.0 B × 1.00 per request\n"), "{text}");
    assert_eq!(row("  warms")[0], "plateau", "{text}");
    assert_eq!(row("  rises_and_falls")[0], "saw-tooth", "{text}");
    assert_eq!(row("  drains")[0], "shrinks", "{text}");
}

/// Check that the process's end ends the watch, with what was seen until then.
#[test]
fn end_of_the_process() {
    let running = Target::c("watch.c").spawn();
    let pid = running.pid().to_string();
    let mut command = Command::new(heapshim());
    command
        .args(["watch", "-p", &pid, "--wait"])
        .env_clear()
        .envs(environment());
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut watching = command.spawn().expect("the command starts");
    let mut said = BufReader::new(watching.stderr.take().expect("a piped stderr"));
    let mut line = String::new();
    said.read_line(&mut line).expect("the first snapshot");
    assert!(running.finish().0.success());
    let mut input = watching.stdin.take().expect("a piped stdin");
    input.write_all(b"\n").expect("it listens");
    let output = watching.wait_with_output().expect("its end");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(
        output.status.success() && text.contains("   1 snapshots\n"),
        "{text}"
    );
    assert!(text.contains("too few snapshots"), "{text}");
}
