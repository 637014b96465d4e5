//! How a target ends: the report is there and exact, and `run` ends as the command did.

use heapshim_tests::{Finished, Run, Target, fresh_directory, skip, write_program};
use std::fs;

fn ended(how: &str) -> Finished {
    let mut words = Target::c("ends.c").words();
    words.push(how.into());
    Run::new(&words).finish()
}

/// Runs ends.c to the end that `how` names; asserts `run`'s status, the report's `exit` and its rows.
fn check(how: &str, status: i32, exit: &serde_json::Value) {
    let finished = ended(how);
    assert_eq!(finished.status.code(), Some(status), "{how}");
    let report = finished.report();
    assert_eq!(&report.json()["target"]["exit"], exit, "{how}");
    for expected in Target::c("ends.c").expected() {
        report.row(&expected.file, expected.line).assert(&expected);
    }
    report.assert_adds_up();
    report.assert_complete();
    assert!(report.exact(), "{how}: {}", report.json()["to"]);
    assert_eq!(finished.marks.len(), 1, "{how}: {:?}", finished.marks);
}

fn code(code: i32) -> serde_json::Value {
    serde_json::json!({ "code": code })
}

fn signal(signal: i32) -> serde_json::Value {
    serde_json::json!({ "signal": signal })
}

/// Check that a return from main is reported.
#[test]
fn returns() {
    check("return", 0, &code(0));
}

/// Check that exit statuses are passed through.
#[test]
fn exits() {
    check("exit", 42, &code(42));
}

/// Check that an end without any clean-up is reported.
#[test]
fn exits_at_once() {
    check("_exit", 23, &code(23));
}

/// Check that abort is reported, as 128 + SIGABRT.
#[test]
fn aborts() {
    check("abort", 128 + libc::SIGABRT, &signal(libc::SIGABRT));
}

/// Check that a segmentation fault is reported.
#[test]
fn faults() {
    check("segv", 128 + libc::SIGSEGV, &signal(libc::SIGSEGV));
}

/// Check that a target that was killed, and could do nothing about it, is reported exactly.
#[test]
fn killed() {
    check("kill", 128 + libc::SIGKILL, &signal(libc::SIGKILL));
}

/// Check that a target that was terminated is reported.
#[test]
fn terminated() {
    check("term", 128 + libc::SIGTERM, &signal(libc::SIGTERM));
}

/// Check that what is allocated by the target's last function is still counted.
#[test]
fn counts_what_exit_handlers_do() {
    let finished = ended("atexit");
    let growth = finished.report().growth();
    let dynamic = finished.report().total().bytes - 111 - 83;
    assert_eq!(growth.bytes, 111 + 83, "{}", finished.report().listing());
    assert_eq!(dynamic, 0, "{}", finished.report().listing());
}

/// Check that signals sent to `run` reach the command, and that its status comes back.
#[test]
fn forwards_signals() {
    for sent in [libc::SIGTERM, libc::SIGINT, libc::SIGHUP, libc::SIGUSR1] {
        let running = Target::c("ends.c")
            .arg("wait")
            .hears_hangups()
            .spawn_under_run(&["--quiet"]);
        assert_eq!(running.said(), "waiting");
        let pid = i32::try_from(running.pid()).expect("a pid");
        // SAFETY: kill takes two numbers; the process is our child and not waited for.
        assert_eq!(unsafe { libc::kill(pid, sent) }, 0);
        assert_eq!(running.finish().0.code(), Some(64 + sent), "signal {sent}");
    }
}

/// Asserts that `run` refuses the command with this status and one line that names it, and that nothing was run.
fn refused(command: &str, status: i32) {
    let finished = Run::new(&[command]).finish();
    let said = String::from_utf8_lossy(&finished.stderr);
    assert_eq!(finished.status.code(), Some(status), "{command}: {said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    let name = command.rsplit('/').next().expect("a name");
    assert!(said.contains(name), "{said} does not name {command}");
    assert!(finished.stdout.is_empty(), "{command} was run");
}

/// Check that a command that is not there is status 127.
#[test]
fn not_found() {
    refused("heapshim-no-such-command", 127);
    refused("/nonexistent/command", 127);
}

/// Check that a file that can't be executed is status 126.
#[test]
fn not_executable() {
    let file = fresh_directory("plain").join("notes.txt");
    fs::write(&file, "not a program").expect("a plain file");
    refused(file.to_str().expect("UTF-8"), 126);
}

/// Builds ends.c with this flag; None where the compiler can't.
fn built(flag: &str) -> Option<String> {
    let built = Target::c("ends.c").opt(flag).try_build().ok()?;
    Some(built.to_str().expect("UTF-8").to_string())
}

/// Check that a static program, which no library can be preloaded into, is refused, and run as it is with `--anyway`.
#[test]
fn static_program() {
    let Some(program) = built("-static") else {
        return skip("a static libc");
    };
    refused(&program, 126);
    let run = Run::new(&[program.as_str(), "exit"]).option("--anyway");
    assert_eq!(run.finish().status.code(), Some(42));
}

/// Check that a 32-bit program is refused.
#[test]
fn other_word_size() {
    match built("-m32") {
        Some(program) => refused(&program, 126),
        None => skip("gcc-multilib"),
    }
}

/// Check that a script is traced through its interpreter, and passes its status on.
#[test]
fn script() {
    let file = fresh_directory("script").join("script");
    write_program(&file, "#!/bin/sh\nexit 3\n");
    let finished = Run::new(&[file]).finish();
    assert_eq!(finished.status.code(), Some(3));
    assert!(finished.report().total().blocks > 0);
}
