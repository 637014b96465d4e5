//! What a pair takes in a process that somebody does something to from outside: a mark with survivors is taken, so that each block is counted in its cohort
//! as well; or each event is recorded.
//!
//! Begun with the program under callgrind, once it has said that it is ready, before the first pair. The events of a run fit into the ring, so that nobody waits for its reader.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// What is done.
#[derive(Clone, Copy)]
pub(super) enum FromOutside {
    Pinned,
    Recorded,
}

impl FromOutside {
    pub(super) const ALL: [FromOutside; 2] = [FromOutside::Pinned, FromOutside::Recorded];

    /// The row's name.
    pub(super) fn name(self) -> &'static str {
        match self {
            FromOutside::Pinned => "pinned",
            FromOutside::Recorded => "recorded",
        }
    }

    /// Instructions of a whole run of so many pairs: bare, or traced by this library and with this command.
    pub(super) fn instructions(
        self,
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
        let begun = traced.map(|(_, heapshim)| self.begin(heapshim, program, run.id()));
        // It goes on either way, and so ends.
        let told = run.stdin.take()?.write_all(b"\n");
        let ended = run.wait_with_output().ok()?;
        drop(stdout);
        if let Some(mut recorder) = begun.map_or(Some(None), |begun| begun.map(Some))? {
            recorder.wait().ok().filter(|status| status.success())?;
        }
        ready.ok().zip(told.ok())?;
        super::counted(&ended)
    }

    /// Begins it; gives who is at it, or was. What is written is kept beside the program.
    fn begin(self, heapshim: &Path, program: &Path, pid: u32) -> Option<Child> {
        let place = program.parent()?;
        let mut command = Command::new(heapshim);
        command.env("XDG_STATE_HOME", place);
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        let pid = pid.to_string();
        match self {
            FromOutside::Pinned => command.args(["mark", "-p", &pid, "--survivors", self.name()]),
            FromOutside::Recorded => {
                let file = place.join("recorded.heaptrace");
                let _gone = std::fs::remove_file(&file);
                command.args(["record", "-p", &pid, "-o"]).arg(file)
            }
        };
        let mut child = command.spawn().ok()?;
        let mut stderr = BufReader::new(child.stderr.take()?);
        match self {
            FromOutside::Pinned => {
                child.wait().ok()?;
            }
            FromOutside::Recorded => {
                let mut line = String::new();
                stderr.read_line(&mut line).ok()?;
                line.starts_with("recording ").then_some(())?;
                // To its end, which is the recorder's.
                std::thread::spawn(move || stderr.read_to_end(&mut Vec::new()));
            }
        }
        Some(child)
    }
}
