//! Daemons: forked twice, in a session of their own, in the root directory, with every descriptor closed. Their accounts are kept all the same.

use crate::forks::lines_of;
use heapshim_tests::{Diff, Run, Target, fresh_directory, talk};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

/// A process that nobody else ends.
struct Daemon(i32);

impl Daemon {
    fn said(stdout: &[u8]) -> Daemon {
        let said = String::from_utf8_lossy(stdout);
        Daemon(said.trim().parse().expect("a pid"))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // SAFETY: kill takes two numbers. The daemon does nothing but wait for this.
        unsafe { libc::kill(self.0, libc::SIGKILL) };
    }
}

/// Asserts that just one of these accounts is the daemon's: its block, and nothing of what came before.
fn assert_one(accounts: &[Diff]) {
    let target = Target::c("daemon.c");
    let expected = &target.expected()[0];
    let own: Vec<_> = accounts
        .iter()
        .filter(|diff| diff.find(&expected.file, expected.line).is_some())
        .collect();
    assert_eq!(own.len(), 1, "of {} accounts", accounts.len());
    own[0].row(&expected.file, expected.line).assert(expected);
    assert_eq!(own[0].growth().bytes, 43, "{}", own[0].listing());
    own[0].assert_adds_up();
    own[0].assert_complete();
}

/// Check that `run` keeps a mark of a daemon that it leaves running, where it was told by a relative path to.
#[test]
fn under_run() {
    let directory = fresh_directory("daemon");
    let program = Target::c("daemon.c").build();
    let mut run = Command::new(heapshim_tests::heapshim());
    run.env_clear().envs(heapshim_tests::environment());
    run.current_dir(&directory).stdin(Stdio::null());
    run.args(["run", "--quiet", "--save", "kept", "--"]);
    let output = run.arg(program).output().expect("run starts");
    let _daemon = Daemon::said(&output.stdout);
    assert!(output.status.success(), "{output:?}");
    let entries = fs::read_dir(directory.join("kept")).expect("the marks");
    let marks = entries.flatten().map(|entry| entry.path());
    let marks = marks.filter(|path| path.extension().is_some_and(|end| end == "heapmark"));
    let accounts: Vec<Diff> = marks.map(|mark| lines_of(&mark)).collect();
    assert_one(&accounts);
}

/// Check that its account is in HEAPSHIM_DIR after it was killed.
#[test]
fn in_a_directory() {
    let directory = fresh_directory("daemon-dir");
    let run = Run::new(&[Target::c("daemon.c").build()]).env("HEAPSHIM_DIR", &directory);
    let finished = run.quiet().finish();
    drop(Daemon::said(&finished.stdout));
    let entries = fs::read_dir(&directory).expect("the ledgers");
    let accounts: Vec<Diff> = entries
        .flatten()
        .map(|entry| of_ledger(&entry.path()))
        .collect();
    assert_one(&accounts);
}

fn of_ledger(file: &Path) -> Diff {
    let file = file.to_str().expect("UTF-8");
    let output = talk(&["diff", file, "--format", "json"]);
    Diff::read(&String::from_utf8(output.stdout).expect("UTF-8"))
}
