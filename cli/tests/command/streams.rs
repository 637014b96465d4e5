//! Where output goes, and what happens where it cannot go there.

use crate::place::{Place, said, text};
use std::fs::File;
use std::io::{PipeWriter, pipe};

/// A pipe that nobody reads.
fn closed() -> PipeWriter {
    let (reader, writer) = pipe().expect("a pipe");
    drop(reader);
    writer
}

fn full() -> File {
    let mut options = File::options();
    options.write(true).open("/dev/full").expect("/dev/full")
}

/// Check that a report that cannot be written leaves the command its status, and is one line on stderr where that is open.
#[test]
fn full_disk() {
    let place = Place::new("full");
    let words = ["run", "-o", "/dev/full", "--", "sh", "-c", "exit 3"];
    let output = place.output(&words);
    assert_eq!(output.status.code(), Some(3), "{}", said(&output));
    let line = text(&output.stderr);
    assert!(
        line.starts_with("heapshim: /dev/full: not written: "),
        "{line}"
    );
    assert!(
        line.ends_with("make room, or write elsewhere with -o\n"),
        "{line}"
    );
    assert_eq!(line.lines().count(), 1);

    let mut to_stderr = place.command(&["run", "--", "sh", "-c", "exit 3"]);
    let status = to_stderr.stderr(full()).status().expect("run");
    assert_eq!(status.code(), Some(3));

    let mut to_stdout = place.command(&["lib"]);
    let output = to_stdout.stdout(full()).output().expect("lib");
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).starts_with("heapshim: stdout: not written: "));
}

/// Check that a reader who has gone is no failure: nothing on stderr, status 0; the command's own status where it was `run`'s report.
#[test]
fn closed_pipes() {
    let place = Place::new("closed");
    let program = place.keeper();
    let mut running = place.run(&[], &[&program]);
    assert_eq!(running.ask("one"), "kept");
    let pid = running.hello.clone();
    let table = ["diff", "-p", &pid, "start"];
    let json = ["diff", "-p", &pid, "start", "--format", "json"];
    for words in [&table[..], &json, &["ls"], &["lib"], &[]] {
        let mut command = place.command(words);
        let output = command.stdout(closed()).output().expect("it starts");
        assert_eq!(text(&output.stderr), "", "{words:?}");
        assert_eq!(output.status.code(), Some(0), "{words:?}");
    }
    let mut run = place.command(&["run", "--", "sh", "-c", "exit 3"]);
    let status = run.stderr(closed()).status().expect("run");
    assert_eq!(status.code(), Some(3));
}

/// Check that with `-o` the report is in the file alone, whole, and replaces what was there.
#[test]
fn report_in_a_file() {
    let place = Place::new("file");
    let program = place.keeper();
    let file = place.word("report.txt");
    std::fs::write(&file, "x".repeat(1 << 16)).expect("written");
    let mut running = place.run(&["-o", &file], &[&program]);
    assert_eq!(running.ask("one"), "kept");
    let pid = running.hello.clone();
    let diff = place.word("diff.txt");
    assert_eq!(
        place.stdout(&["diff", "-p", &pid, "start", "-o", &diff]),
        ""
    );
    let ended = running.end();
    assert_eq!(ended.status.code(), Some(5), "{}", said(&ended));
    assert_eq!(
        (text(&ended.stdout), text(&ended.stderr)),
        (String::new(), String::new())
    );
    for (file, moments) in [(&file, "start → exit"), (&diff, "start → now")] {
        let report = std::fs::read_to_string(file).expect("a report");
        assert!(
            report.starts_with(&format!("keeper (pid {pid})   {moments}")),
            "{report}"
        );
        assert!(
            report.contains("heap +1009 B (0 → 1009), +1 block"),
            "{report}"
        );
        assert!(report.contains("kept = malloc(1009);"), "{report}");
    }
}

/// Check colours on a terminal, unless `NO_COLOR` or `--color never` says otherwise, and none in a pipe; `--color always` wins.
#[test]
fn colours() {
    let place = Place::new("colours");
    let mut running = place.run(&["--quiet"], &[&place.keeper()]);
    assert_eq!(running.ask("one"), "kept");
    let diff = format!("heapshim diff -p {} start", running.hello);
    let coloured = |line: &str| {
        let output = place.shell(line);
        assert!(output.status.success(), "{line}: {}", said(&output));
        let text = text(&output.stdout);
        assert!(text.contains("kept = malloc(1009);"), "{text}");
        text.contains('\x1b')
    };
    if !place.shell("script -V").status.success() {
        return crate::place::skip("script");
    }
    let terminal = |line: &str| coloured(&format!("script -qec '{line}' /dev/null"));
    assert!(terminal(&diff));
    assert!(!terminal(&format!("NO_COLOR=1 {diff}")));
    assert!(terminal(&format!("NO_COLOR=1 {diff} --color always")));
    assert!(!terminal(&format!("{diff} --color never")));
    assert!(!coloured(&diff));
    assert!(coloured(&format!("{diff} --color always")));
}

/// Check that with `--quiet` a traced command's streams are its own alone, also where its tree had other processes.
#[test]
fn quiet() {
    let place = Place::new("quiet");
    let output = place.output(&[
        "run",
        "--quiet",
        "--",
        "sh",
        "-c",
        "sh -c true; echo out; echo err >&2; exit 3",
    ]);
    assert_eq!(output.status.code(), Some(3));
    assert_eq!(
        (text(&output.stdout), text(&output.stderr)),
        ("out\n".into(), "err\n".into())
    );
}
