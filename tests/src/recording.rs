//! A recording of a running target, by a command of its own: begun when `of` returns, ended when a test says so.

use crate::command::{command, talk};
use crate::diff::Diff;
use crate::place::fresh_directory;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::Instant;

/// `heapshim record`, while it runs.
#[derive(Debug)]
pub struct Recording {
    child: Child,
    stderr: BufReader<ChildStderr>,
    file: PathBuf,
    begun: [Instant; 2],
}

/// A recording's file.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// Where it is.
    pub file: PathBuf,
    /// What `record` said of it; empty where it was killed.
    pub said: String,
}

impl Recording {
    /// Begins to record a process, and waits until it does.
    ///
    /// # Panics
    /// Where it does not begin.
    #[must_use]
    pub fn of(pid: u32, options: &[&str]) -> Recording {
        let file = fresh_directory("recording").join("run.heaptrace");
        let pid = pid.to_string();
        let mut words = vec!["record", "-p", &pid, "-o", file.to_str().expect("UTF-8")];
        words.extend(options);
        let mut record: Command = command(&words);
        record.stderr(Stdio::piped());
        let before = Instant::now();
        let mut child = record.spawn().expect("the command starts");
        let mut stderr = BufReader::new(child.stderr.take().expect("a piped stderr"));
        let mut line = String::new();
        stderr.read_line(&mut line).expect("its stderr");
        assert!(line.starts_with("recording "), "{line}");
        Recording {
            child,
            stderr,
            file,
            begun: [before, Instant::now()],
        }
    }

    /// Between which moments it has begun: its own times count from there.
    #[must_use]
    pub fn begun(&self) -> [Instant; 2] {
        self.begun
    }

    /// The process id of its command.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: i32) {
        // SAFETY: kill takes two numbers; the child was not waited for, so the pid is its own.
        let sent = unsafe { libc::kill(self.child.id().cast_signed(), signal) };
        assert_eq!(sent, 0, "the signal was sent");
    }

    /// Stops it, and waits until none of its threads runs.
    ///
    /// # Panics
    /// Where it has ended.
    pub fn stop(&self) {
        self.signal(libc::SIGSTOP);
        let (pid, mut status) = (self.child.id().cast_signed(), 0);
        // SAFETY: the status is ours; a child that has stopped stays one to be waited for.
        let stopped = unsafe { libc::waitpid(pid, &raw mut status, libc::WUNTRACED) };
        assert!(stopped == pid && libc::WIFSTOPPED(status), "{status}");
    }

    /// The file while it grows.
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Ends it as Ctrl-C does.
    #[must_use]
    pub fn end(self) -> Recorded {
        self.signal(libc::SIGINT);
        self.ended()
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// Where it failed.
    #[must_use]
    pub fn ended(mut self) -> Recorded {
        let mut said = String::new();
        self.stderr.read_to_string(&mut said).expect("its stderr");
        let status = self.child.wait().expect("its end");
        assert!(status.success(), "{status}: {said}");
        let file = self.file;
        Recorded { file, said }
    }

    /// Kills it.
    #[must_use]
    pub fn kill(mut self) -> Recorded {
        self.child.kill().expect("killed");
        self.child.wait().expect("its end");
        let (file, said) = (self.file, String::new());
        Recorded { file, said }
    }
}

impl Recorded {
    /// What `heapshim WORD FILE OPTIONS` answers, and what it says beside that.
    #[must_use]
    pub fn ask(&self, word: &str, options: &[&str]) -> (Diff, String) {
        let file = self.file.to_str().expect("UTF-8");
        let mut words = vec![word, file, "--format", "json"];
        words.extend(options);
        let output = talk(&words);
        let answer = String::from_utf8(output.stdout).expect("JSON is UTF-8");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        (Diff::read(&answer), said)
    }

    /// What happened in it besides events, in order: what, which, and the pid where it has one.
    ///
    /// # Panics
    /// Where `timeline` does not answer.
    #[must_use]
    pub fn happened(&self) -> Vec<(String, String, Option<u64>)> {
        let file = self.file.to_str().expect("UTF-8");
        let answer = talk(&["timeline", file, "--format", "json"]).stdout;
        let json: serde_json::Value = serde_json::from_slice(&answer).expect("JSON");
        assert_eq!(json["happened_left_out"], 0);
        let all = json["happened"].as_array().expect("an array");
        let times = all.iter().map(|one| one["at_us"].as_u64().expect("a time"));
        assert!(times.is_sorted(), "{all:#?}");
        let text = |value: &serde_json::Value| value.as_str().expect("a text").to_owned();
        let one =
            |one: &serde_json::Value| (text(&one["kind"]), text(&one["text"]), one["pid"].as_u64());
        all.iter().map(one).collect()
    }

    /// How often this happened in it.
    #[must_use]
    pub fn happened_of(&self, kind: &str) -> usize {
        let all = self.happened();
        all.iter().filter(|(what, _, _)| what == kind).count()
    }

    /// Events in it, by what `record` said.
    #[must_use]
    pub fn events(&self) -> u64 {
        number_before(&self.said, " events")
    }

    /// Events that are not, by what `record` said.
    #[must_use]
    pub fn lost(&self) -> u64 {
        match self.said.contains("none lost") {
            true => 0,
            false => number_before(&self.said, " LOST"),
        }
    }
}

fn number_before(text: &str, word: &str) -> u64 {
    let before = text.split(word).next().unwrap_or_default();
    let digits = before
        .rsplit(' ')
        .next()
        .unwrap_or_default()
        .replace(',', "");
    digits
        .parse()
        .unwrap_or_else(|_| panic!("no number before {word:?} in {text:?}"))
}
