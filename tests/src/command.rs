//! The command under test: built once, with the profile of the tests, and asked for its library as a user would ask.

use crate::place::{environment, workspace};
use serde_json::Value;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

/// The path of the command `heapshim`.
///
/// # Panics
/// Where it does not build.
#[must_use]
pub fn heapshim() -> &'static Path {
    static PATH: OnceLock<Option<PathBuf>> = OnceLock::new();
    let path = PATH.get_or_init(build).as_deref();
    path.expect("the command does not build")
}

fn build() -> Option<PathBuf> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(workspace());
    cargo.args(["build", "-p", "heapshim", "--bin", "heapshim", "--locked"]);
    cargo.args(["--message-format", "json-render-diagnostics"]);
    if !cfg!(debug_assertions) {
        cargo.arg("--release");
    }
    let output = cargo
        .stderr(Stdio::inherit())
        .output()
        .expect("cargo starts");
    let text = String::from_utf8(output.stdout).expect("cargo writes JSON");
    let messages = text
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok());
    let mut executables = messages.filter_map(|message: Value| {
        let path = message["executable"].as_str()?;
        (message["target"]["name"] == "heapshim").then(|| PathBuf::from(path))
    });
    executables.next_back()
}

/// The library that `heapshim lib` names.
///
/// # Panics
/// Where it names none.
#[must_use]
pub fn library() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| {
        let output = talk(&["lib"]);
        let path = String::from_utf8(output.stdout).expect("a path");
        PathBuf::from(path.trim_end_matches('\n'))
    })
}

/// Runs the command with these words and nothing on stdin; it must end with status 0.
///
/// # Panics
/// Where it does not.
pub fn talk<S: AsRef<OsStr> + std::fmt::Debug>(words: &[S]) -> Output {
    let output = command(words).output().expect("the command starts");
    assert!(
        output.status.success(),
        "heapshim {words:?} ended with {}: {}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

/// The command with these words, in the environment of this run.
pub(crate) fn command<S: AsRef<OsStr>>(words: &[S]) -> Command {
    program(heapshim().as_os_str(), words)
}

/// A program with these words, in the environment of this run.
pub(crate) fn program<S: AsRef<OsStr>>(program: &OsStr, words: &[S]) -> Command {
    let mut command = Command::new(program);
    command.args(words).env_clear().envs(environment());
    command.stdin(Stdio::null());
    command
}
