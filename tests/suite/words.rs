//! The words of the command line: what they do, what they refuse, and with which status.

use heapshim_tests::{Running, Target, environment, heapshim, talk};
use std::io::Read;
use std::process::{Command, Output, Stdio};

fn says(words: &[&str]) -> Output {
    let mut command = Command::new(heapshim());
    command.args(words).env_clear().envs(environment());
    command.stdin(Stdio::null());
    command.output().expect("the command starts")
}

/// Asserts the status and one line on stderr with these words in it, and nothing on stdout.
fn refused(words: &[&str], status: i32, parts: &[&str]) {
    let output = says(words);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(status), "{words:?}: {stderr}");
    assert!(output.stdout.is_empty(), "{words:?}");
    for part in parts {
        assert!(stderr.contains(part), "{words:?}: no {part:?} in {stderr}");
    }
}

fn text(words: &[&str]) -> String {
    String::from_utf8(talk(words).stdout).expect("UTF-8")
}

fn leaking() -> (Running, String) {
    let running = Target::c("leak.c").spawn();
    let pid = running.pid().to_string();
    (running, pid)
}

/// Check that words that make no sense are status 2.
#[test]
fn senseless_words() {
    refused(&["frobnicate"], 2, &["frobnicate"]);
    refused(&["diff", "--by", "colour"], 2, &["colour"]);
    refused(&["diff", "--top", "many"], 2, &["many"]);
    refused(&["run"], 2, &[]);
}

/// Check that a process that is not there or not traced is status 1, and that the next step is named.
#[test]
fn nothing_to_look_at() {
    refused(&["diff", "-p", "1999999999"], 1, &["1999999999"]);
    refused(
        // Like no name of what other tests trace meanwhile.
        &["mark", "-p", "qqqqqqqq"],
        1,
        &["qqqqqqqq", "heapshim run"],
    );
    let untraced = Target::c("leak.c").bare().spawn();
    let pid = untraced.pid().to_string();
    refused(&["mark", "-p", &pid], 1, &[&pid, "heapshim run"]);
}

/// Check that a mark that was never taken is status 1, and named.
#[test]
fn no_such_mark() {
    let (_running, pid) = leaking();
    refused(&["diff", "-p", &pid, "never"], 1, &["never"]);
}

/// Check that a second mark of a name is refused, and taken with `--force`.
#[test]
fn mark_of_the_same_name() {
    let (mut running, pid) = leaking();
    running.mark("twice");
    refused(&["mark", "-p", &pid, "twice"], 1, &["twice", "--force"]);
    running.step(b"go");
    talk(&["mark", "-p", &pid, "twice", "--force"]);
    assert_eq!(running.diff(&["twice", "now"]).growth().bytes, 0);
}

/// Check that `mark` prints the name it chose, and that `diff` without words is from the last mark to now.
#[test]
fn diff_without_words() {
    let (mut running, pid) = leaking();
    running.mark("first");
    running.step(b"go");
    let name = text(&["mark", "-p", &pid]);
    assert!(!name.trim().is_empty());
    assert_eq!(running.diff(&[]).growth().blocks, 0);
    let since = running.diff(&["first"]).growth();
    assert_eq!((since.bytes, since.blocks), (111 + 1009 + 53 - 5003, 4));
    let marks = text(&["marks", "-p", &pid]);
    assert!(
        marks.contains("first") && marks.contains(name.trim()),
        "{marks}"
    );
}

/// Check that two marks in the order in which they were not taken are said to be so, with the next step, and that the right order says nothing of it.
#[test]
fn marks_in_the_wrong_order() {
    let (mut running, pid) = leaking();
    running.mark("early");
    running.step(b"go");
    running.mark("late");
    let table = |from: &str, to: &str| text(&["diff", "-p", &pid, from, to]);
    let right = table("early", "late");
    assert!(!right.contains("was taken before"), "{right}");
    let wrong = table("late", "early");
    let mut lines = wrong.lines();
    let headline = lines.next().expect("a headline");
    assert!(
        headline.contains("   late → early   ") && headline.contains(" back   "),
        "{wrong}"
    );
    let note = "the second mark was taken before the first: what grew from one to the other stands here as shrunk; name the earlier one first";
    assert_eq!(lines.next(), Some(note));
    // What is there in neither order has nothing to be said of.
    assert!(!table("late", "late").contains("was taken before"));
}

/// Check that a mark in a file of the user's is read anywhere, also after the target's end.
#[test]
fn marks_in_files() {
    let (mut running, pid) = leaking();
    let directory = heapshim_tests::fresh_directory("marks");
    let paths = ["a.heapmark", "b.heapmark"].map(|name| directory.join(name).display().to_string());
    talk(&["mark", "-p", &pid, "-o", &paths[0]]);
    running.step(b"go");
    talk(&["mark", "-p", &pid, "-o", &paths[1]]);
    let expected = running.expected();
    assert!(running.finish().0.success());
    let json = text(&["diff", &paths[0], &paths[1], "--format", "json"]);
    heapshim_tests::Diff::read(&json).assert_rows(&expected);
}

/// Check that `ls` lists a traced process by pid and name, and no untraced one.
#[test]
fn ls() {
    let (running, pid) = leaking();
    let bare = Target::c("leak.c").bare().spawn();
    let listed = text(&["ls"]);
    let line = listed
        .lines()
        .find(|line| line.split_whitespace().any(|word| word == pid));
    assert!(line.is_some_and(|line| line.contains("leak")), "{listed}");
    let other = bare.pid().to_string();
    assert!(
        !listed.split_whitespace().any(|word| word == other),
        "{listed}"
    );
    drop(running);
}

/// Check that `--wait` marks, waits for Enter, and reports what grew meanwhile.
#[test]
fn diff_that_waits() {
    let (mut running, pid) = leaking();
    let mut command = Command::new(heapshim());
    command.args(["diff", "-p", &pid, "--wait", "--format", "json"]);
    command.env_clear().envs(environment());
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut waiting = command.spawn().expect("the command starts");
    // It says that it waits once its first mark is taken.
    let mut said = [0; 1];
    let stderr = waiting.stderr.as_mut().expect("a piped stderr");
    stderr
        .read_exact(&mut said)
        .expect("it says what it waits for");
    running.step(b"go");
    drop(
        waiting
            .stdin
            .take()
            .map(|mut stdin| std::io::Write::write_all(&mut stdin, b"\n")),
    );
    let output = waiting.wait_with_output().expect("its end");
    assert!(output.status.success());
    let json = String::from_utf8(output.stdout).expect("UTF-8");
    heapshim_tests::Diff::read(&json).assert_rows(&running.expected());
}

/// Check that a reader that goes away ends the command quietly.
#[test]
fn closed_pipe() {
    let (_running, pid) = leaking();
    let mut command = Command::new(heapshim());
    command.args(["diff", "-p", &pid, "start", "--format", "json"]);
    command.env_clear().envs(environment());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the command starts");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("its end");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

/// Check that `demo` finds its own leak, and nothing else: a session for each request, whenever the marks are taken.
#[test]
fn demo() {
    let shown = text(&["demo"]);
    assert!(shown.contains("heapshim mark warm"), "{shown}");
    assert!(shown.contains("demo_server.rs:"), "{shown}");
    assert!(shown.contains(", +1,000 blocks"), "{shown}");
    assert!(!shown.contains("shrank"), "{shown}");
}

/// Check that filters leave the whole as it is: what they hide is a number of its own.
#[test]
fn filters() {
    let mut running = Target::c("family.c").spawn();
    running.mark("warm");
    running.step(b"go");
    let whole = running.diff(&["warm"]).growth();
    for option in ["--include", "--exclude"] {
        let diff = running.diff_with(&["warm"], &[option, "aligned"]);
        assert_eq!(diff.growth(), whole, "{option}");
        let shown = diff
            .rows()
            .iter()
            .any(|row| row.function() == Some("aligned"));
        assert_eq!(shown, option == "--include", "{}", diff.listing());
    }
}
