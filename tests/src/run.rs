//! `heapshim run -- CMD`, and what is left when it has ended.

use crate::command::{command, heapshim, program, talk};
use crate::diff::Diff;
use crate::place::{environment, fresh_directory};
use std::ffi::OsString;
use std::fs;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

/// A command to be run under the shim.
#[derive(Debug)]
pub struct Run {
    words: Vec<OsString>,
    launcher: Vec<OsString>,
    options: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    stdin: Vec<u8>,
    directory: PathBuf,
    quiet: bool,
    fixed_layout: bool,
}

/// It has ended.
#[derive(Debug)]
pub struct Finished {
    /// How `heapshim run` ended.
    pub status: ExitStatus,
    /// What the command printed.
    pub stdout: Vec<u8>,
    /// What command and `run` said on stderr.
    pub stderr: Vec<u8>,
    /// The report on the command's own process, where there is one.
    pub report: Option<Diff>,
    /// The kept marks, by name.
    pub marks: Vec<PathBuf>,
}

impl Run {
    /// Runs these words.
    #[must_use]
    pub fn new<S: Into<OsString> + Clone>(words: &[S]) -> Run {
        Run {
            words: words.iter().cloned().map(Into::into).collect(),
            launcher: Vec::new(),
            options: Vec::new(),
            environment: Vec::new(),
            stdin: Vec::new(),
            directory: fresh_directory("run"),
            quiet: false,
            fixed_layout: false,
        }
    }

    /// One more option of `heapshim run`.
    #[must_use]
    pub fn option(mut self, option: impl Into<OsString>) -> Run {
        self.options.push(option.into());
        self
    }

    /// Has another program start `heapshim run`: these words, which ours are added to.
    #[must_use]
    pub fn started_by(mut self, launcher: &[&str]) -> Run {
        self.launcher = launcher.iter().map(OsString::from).collect();
        self
    }

    /// One more variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl Into<OsString>) -> Run {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// What the command reads from its stdin.
    #[must_use]
    pub fn stdin(mut self, bytes: &[u8]) -> Run {
        self.stdin = bytes.to_vec();
        self
    }

    /// Without a report: only marks are kept.
    #[must_use]
    pub fn quiet(mut self) -> Run {
        self.quiet = true;
        self
    }

    /// With the same addresses in each run.
    #[must_use]
    pub fn fixed_layout(mut self) -> Run {
        self.fixed_layout = true;
        self
    }

    /// Runs to the end: the report as JSON in a file of its own, a mark of each process kept.
    ///
    /// # Panics
    /// Where `heapshim run` does not start.
    #[must_use]
    pub fn finish(self) -> Finished {
        let (report, marks) = (self.directory.join("report"), self.directory.join("marks"));
        let mut words: Vec<OsString> = vec!["run".into()];
        words.extend(self.options.iter().cloned());
        if self.quiet {
            words.push("--quiet".into());
        } else {
            words.extend(["--format".into(), "json".into()]);
            words.extend(["-o".into(), report.clone().into()]);
        }
        words.extend(["--save".into(), marks.clone().into(), "--".into()]);
        words.extend(self.words.iter().cloned());
        let mut run = match self.launcher.split_first() {
            Some((launcher, first)) => {
                let first = first.iter().cloned().chain([heapshim().into()]);
                program(launcher, &first.chain(words).collect::<Vec<_>>())
            }
            None => command(&words),
        };
        run.envs(self.environment);
        if self.fixed_layout {
            fix_layout(&mut run);
        }
        let (status, stdout, stderr) = feed(run, &self.stdin);
        Finished {
            status,
            stdout,
            stderr,
            report: fs::read_to_string(report)
                .ok()
                .map(|text| Diff::read(&text)),
            marks: list(&marks),
        }
    }
}

/// Has the command and what it starts loaded at the same addresses each time: some programs hash addresses.
pub(crate) fn fix_layout(command: &mut Command) {
    let fix = || {
        // SAFETY: personality takes a number.
        let done = unsafe { libc::personality(libc::ADDR_NO_RANDOMIZE as libc::c_ulong) };
        if done < 0 {
            Err(std::io::Error::last_os_error())
        } else {
            Ok(())
        }
    };
    // SAFETY: between fork and exec, `fix` makes one system call.
    unsafe { command.pre_exec(fix) };
}

/// Runs a command with these bytes on its stdin: its status, stdout and stderr. A command need not read them.
pub(crate) fn feed(mut command: Command, input: &[u8]) -> (ExitStatus, Vec<u8>, Vec<u8>) {
    command.stdin(Stdio::piped());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let mut stdin = child.stdin.take().expect("a piped stdin");
    let input = input.to_vec();
    let writer = std::thread::spawn(move || {
        // A command that ends before it has read all of it is no failure.
        let _ = stdin.write_all(&input);
    });
    let output = child.wait_with_output().expect("the command's output");
    writer.join().expect("the writer does not panic");
    (output.status, output.stdout, output.stderr)
}

fn list(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten();
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.retain(|path| {
        path.extension()
            .is_some_and(|extension| extension == "heapmark")
    });
    paths.sort();
    paths
}

impl Finished {
    /// The report.
    ///
    /// # Panics
    /// Where there is none.
    #[must_use]
    pub fn report(&self) -> &Diff {
        let none = || panic!("no report: {}", String::from_utf8_lossy(&self.stderr));
        self.report.as_ref().unwrap_or_else(none)
    }

    /// The account of each process from its start to its end, by the kept marks.
    #[must_use]
    pub fn accounts(&self) -> Vec<Diff> {
        self.marks.iter().map(|mark| account(mark)).collect()
    }
}

/// The account of a mark file, from the process's start.
fn account(mark: &Path) -> Diff {
    let mark = mark.to_str().expect("a mark's path is UTF-8");
    let words = ["diff", "start", mark, "--format", "json", "--by", "stack"];
    Diff::read(&String::from_utf8(talk(&words).stdout).expect("JSON is UTF-8"))
}

/// Runs a command with nothing preloaded, in the environment and the address space layout of the other runs: its status, stdout, stderr.
#[must_use]
pub fn bare(words: &[OsString], input: &[u8]) -> (ExitStatus, Vec<u8>, Vec<u8>) {
    let mut run = Command::new(&words[0]);
    run.args(&words[1..]).env_clear().envs(environment());
    fix_layout(&mut run);
    feed(run, input)
}
