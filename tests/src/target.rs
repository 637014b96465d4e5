//! A target program: how it is built and started, and the hand-shake with it while it runs.
//!
//! Protocol (programs/step.h): the program says a word on stdout, and goes on when it has read a line from stdin; at the end of its
//! stdin it exits. `spawn` has waited for the first word, `step` for the next.

use crate::command::{command, library, talk};
use crate::compile::Compiler;
use crate::diff::Diff;
use crate::expected::{Expected, expected_in};
use crate::hangup::hears_hangups;
use crate::needs::found;
use crate::place::{environment, programs, workspace};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};

/// A program and how to run it.
#[derive(Clone, Debug)]
pub struct Target {
    compiler: Compiler,
    source: PathBuf,
    options: Vec<String>,
    arguments: Vec<String>,
    environment: Vec<(OsString, OsString)>,
    behind: Vec<PathBuf>,
    interpreter: Option<PathBuf>,
    bare: bool,
    hears_hangups: bool,
    built: Option<PathBuf>,
}

impl Target {
    /// A C program of `programs/`.
    #[must_use]
    pub fn c(source: &str) -> Target {
        Target::new(Compiler::C, programs().join(source))
    }

    /// A C++ program of `programs/`.
    #[must_use]
    pub fn cpp(source: &str) -> Target {
        Target::new(Compiler::Cpp, programs().join(source))
    }

    /// A Rust program of `programs/`.
    #[must_use]
    pub fn rust(source: &str) -> Target {
        Target::new(Compiler::Rust, programs().join(source))
    }

    /// A Python program of `programs/`.
    #[must_use]
    pub fn python(source: &str) -> Target {
        Target::new(Compiler::Python, programs().join(source))
    }

    /// One of the examples, each in a directory of its name.
    #[must_use]
    pub fn example(compiler: Compiler, source: &str) -> Target {
        let directory = Path::new(source).with_extension("");
        let examples = workspace().join("examples");
        Target::new(compiler, examples.join(directory).join(source))
    }

    /// A program that cargo has built of this source.
    #[must_use]
    pub fn built(program: &Path, source: &Path) -> Target {
        let mut target = Target::new(Compiler::Rust, source.to_path_buf());
        target.built = Some(program.to_path_buf());
        target
    }

    fn new(compiler: Compiler, source: PathBuf) -> Target {
        Target {
            compiler,
            source,
            options: Vec::new(),
            arguments: Vec::new(),
            environment: Vec::new(),
            behind: Vec::new(),
            interpreter: None,
            bare: false,
            hears_hangups: false,
            built: None,
        }
    }

    /// Compiled by another compiler.
    #[must_use]
    pub fn compiled_by(mut self, compiler: Compiler) -> Target {
        self.compiler = compiler;
        self
    }

    /// One more word for the compiler.
    #[must_use]
    pub fn opt(mut self, option: &str) -> Target {
        self.options.push(option.to_string());
        self
    }

    /// One more word for the program.
    #[must_use]
    pub fn arg(mut self, argument: &str) -> Target {
        self.arguments.push(argument.to_string());
        self
    }

    /// One more variable for the program.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl Into<OsString>) -> Target {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// Run by this CPython; by /usr/bin/python3 where nothing is said.
    #[must_use]
    pub fn by(mut self, python: &Path) -> Target {
        self.interpreter = Some(python.to_path_buf());
        self
    }

    /// A library that is preloaded behind ours.
    #[must_use]
    pub fn behind(mut self, library: &Path) -> Target {
        self.behind.push(library.to_path_buf());
        self
    }

    /// Without the shim.
    #[must_use]
    pub fn bare(mut self) -> Target {
        self.bare = true;
        self
    }

    /// Whoever began the tests: a hangup is heard of by the program, and by what it is started under.
    #[must_use]
    pub fn hears_hangups(mut self) -> Target {
        self.hears_hangups = true;
        self
    }

    /// The program, built.
    #[must_use]
    pub fn build(&self) -> PathBuf {
        let compile = || self.compiler.compile(&self.source, &self.options);
        self.built.clone().unwrap_or_else(compile)
    }

    /// The program, built where this machine has what its options ask for.
    ///
    /// # Errors
    /// The compiler's complaint.
    pub fn try_build(&self) -> Result<PathBuf, String> {
        self.compiler.try_compile(&self.source, &self.options)
    }

    /// What its source says the report must say.
    #[must_use]
    pub fn expected(&self) -> Vec<Expected> {
        expected_in(&self.source)
    }

    /// The words that start it.
    #[must_use]
    pub fn words(&self) -> Vec<OsString> {
        let mut words: Vec<OsString> = Vec::new();
        if self.compiler == Compiler::Python {
            let python = self.interpreter.clone().or_else(|| found("python3"));
            words.push(python.expect("python3 is there").into());
        }
        words.push(self.build().into());
        words.extend(self.arguments.iter().map(OsString::from));
        words
    }

    /// Starts it with the shim preloaded, and waits for its first word.
    ///
    /// # Panics
    /// Where it does not start.
    #[must_use]
    pub fn spawn(self) -> Running {
        let words = self.words();
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).env_clear().envs(environment());
        command.envs(self.environment.iter().cloned());
        let ours = (!self.bare).then(|| library().to_path_buf());
        let preload: Vec<PathBuf> = ours.into_iter().chain(self.behind.clone()).collect();
        if !preload.is_empty() {
            command.env("LD_PRELOAD", join(&preload));
        }
        self.start(command)
    }

    /// Starts it under `heapshim run OPTIONS`, and waits for its first word.
    #[must_use]
    pub fn spawn_under_run(self, options: &[&str]) -> Running {
        let mut words: Vec<OsString> = vec!["run".into()];
        words.extend(options.iter().map(OsString::from));
        words.push("--".into());
        words.extend(self.words());
        let mut run = command(&words);
        run.envs(self.environment.iter().cloned());
        self.start(run)
    }

    fn start(self, mut command: Command) -> Running {
        if self.hears_hangups {
            hears_hangups(&mut command);
        }
        Running::start(command, self.source)
    }
}

fn join(libraries: &[PathBuf]) -> OsString {
    let names: Vec<&OsStr> = libraries.iter().map(|path| path.as_os_str()).collect();
    names.join(OsStr::new(":"))
}

/// A program that runs, and waits for its next line.
#[derive(Debug)]
pub struct Running {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
    source: PathBuf,
    said: String,
}

impl Running {
    fn start(mut command: Command, source: PathBuf) -> Running {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let stdin = child.stdin.take();
        let stdout = BufReader::new(child.stdout.take().expect("a piped stdout"));
        let mut running = Running {
            child,
            stdin,
            stdout,
            source,
            said: String::new(),
        };
        running.listen();
        running
    }

    /// Waits for the program's next word; empty when its stdout has ended.
    pub fn listen(&mut self) -> &str {
        self.said.clear();
        self.stdout
            .read_line(&mut self.said)
            .expect("the program's stdout");
        self.said.truncate(self.said.trim_end().len());
        &self.said
    }

    /// Lets the program go on, and waits for its next word; empty when it said no more.
    pub fn step(&mut self, line: &[u8]) -> String {
        self.go_on(line);
        self.listen().to_string()
    }

    /// Lets the program go on, and waits for nothing.
    pub fn go_on(&mut self, line: &[u8]) {
        let stdin = self.stdin.as_mut().expect("the program still listens");
        // In one write: whoever reads as much as is there must not get half a line, nor be gone before the other half.
        let line = [line, b"\n"].concat();
        stdin.write_all(&line).expect("the program's stdin");
    }

    /// The word that it said last.
    #[must_use]
    pub fn said(&self) -> &str {
        &self.said
    }

    /// The numbers in the word that it said last.
    #[must_use]
    pub fn numbers(&self) -> Vec<i64> {
        let words = self.said.split_whitespace();
        words.filter_map(|word| word.parse().ok()).collect()
    }

    /// True once it has ended.
    ///
    /// # Panics
    /// Where the system does not say.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("a child").is_some()
    }

    /// Its process id: of `heapshim run` where it was started under that.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The process id of the command, where it was started under `heapshim run`.
    ///
    /// # Panics
    /// Where that has no child, or more than one.
    #[must_use]
    pub fn command(&self) -> u32 {
        let run = self.pid();
        let children = fs::read_to_string(format!("/proc/{run}/task/{run}/children"));
        let one = children.expect("its children").trim().parse();
        one.expect("one child")
    }

    /// What its source says the report must say.
    #[must_use]
    pub fn expected(&self) -> Vec<Expected> {
        expected_in(&self.source)
    }

    /// Takes a mark.
    pub fn mark(&self, name: &str) {
        talk(&["mark", "-p", &self.pid().to_string(), name]);
    }

    /// Growth between two marks, every row.
    #[must_use]
    pub fn diff(&self, marks: &[&str]) -> Diff {
        self.diff_with(marks, &[])
    }

    /// Growth between two marks, with more options.
    #[must_use]
    pub fn diff_with(&self, marks: &[&str], options: &[&str]) -> Diff {
        diff_of(self.pid(), marks, options)
    }

    /// The table that a user sees.
    #[must_use]
    pub fn table(&self, marks: &[&str]) -> String {
        let pid = self.pid().to_string();
        let mut words = vec![
            "diff", "-p", &pid, "--top", "0", "--all", "--color", "never",
        ];
        words.extend(marks);
        String::from_utf8(talk(&words).stdout).expect("the table is UTF-8")
    }

    /// Kills it, and waits for its end; where it is `heapshim run`, its command goes on, and can be talked to.
    ///
    /// # Panics
    /// Where it cannot be killed.
    pub fn kill(&mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("its end");
    }

    /// Closes its stdin, reads its stdout to the end and waits for it.
    #[must_use]
    pub fn finish(mut self) -> (ExitStatus, String) {
        self.stdin = None;
        let mut rest = String::new();
        while !self.listen().is_empty() {
            rest.push_str(&self.said);
            rest.push('\n');
        }
        let status = self.child.wait().expect("the program's end");
        (status, rest)
    }
}

/// Growth between two marks of any process.
pub(crate) fn diff_of(pid: u32, marks: &[&str], options: &[&str]) -> Diff {
    let pid = pid.to_string();
    let mut words = vec!["diff", "-p", &pid, "--format", "json"];
    words.extend(options);
    words.extend(marks);
    Diff::read(&String::from_utf8(talk(&words).stdout).expect("JSON is UTF-8"))
}

impl Drop for Running {
    /// Ends the program: without its stdin it goes by itself; a failed test's may not.
    fn drop(&mut self) {
        self.stdin = None;
        if std::thread::panicking() {
            // It may have ended by itself.
            let _ = self.child.kill();
        }
        let _ = self.child.wait();
    }
}
