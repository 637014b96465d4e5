//! What a pair takes in a process that has a mark with survivors: each block is then counted in its cohort as well.
//!
//! The mark is taken of the program under callgrind, once it has said that it is ready: a mark is pinned from outside, before the first pair.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

/// The row's name.
pub(super) const NAME: &str = "pinned";

/// Instructions of a whole run of so many pairs: bare, or traced by this library and marked by this command.
pub(super) fn instructions(
    program: &Path,
    pairs: &str,
    traced: Option<(&str, &Path)>,
) -> Option<f64> {
    let mut command = super::callgrind(program, &["--pairs", pairs, "--wait", "1"]);
    if let Some((library, _)) = traced {
        command.env("LD_PRELOAD", library);
    }
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut run = command.stderr(Stdio::piped()).spawn().ok()?;
    let mut said = String::new();
    // Open to the end: it says there what a pair took.
    let mut stdout = BufReader::new(run.stdout.take()?);
    let ready = stdout.read_line(&mut said);
    let marked = match traced {
        Some((_, heapshim)) => mark(heapshim, program, run.id()),
        None => Some(()),
    };
    // It goes on either way, and so ends.
    let told = run.stdin.take()?.write_all(b"\n");
    let ended = run.wait_with_output().ok()?;
    drop(stdout);
    ready.ok().zip(told.ok()).zip(marked)?;
    super::counted(&ended)
}

/// Takes the mark; it is kept beside the program.
fn mark(heapshim: &Path, program: &Path, pid: u32) -> Option<()> {
    let mut command = Command::new(heapshim);
    command.args(["mark", "-p", &pid.to_string(), "--survivors", NAME]);
    command.env("XDG_STATE_HOME", program.parent()?);
    let status = command.stdout(Stdio::null()).status();
    status.ok()?.success().then_some(())
}
