//! Where a test works: a directory, the command with an environment that begins and ends there, and small programs to trace.

use serde_json::Value;
use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Output, Stdio};

/// A directory that goes when it is dropped.
#[derive(Debug)]
pub(crate) struct Place(PathBuf);

impl Place {
    /// An empty one; `name` is the test's own.
    pub(crate) fn new(name: &str) -> Place {
        let path = std::env::temp_dir().join(format!("heapshim-bin-{}-{name}", std::process::id()));
        let _old = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).expect("a directory for the test");
        Place(path)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// A path as a word of the command line.
    pub(crate) fn word(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    /// The command with these words: nothing on stdin, stdout and stderr to be read.
    pub(crate) fn command<S: AsRef<OsStr>>(&self, words: &[S]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_heapshim"));
        command.args(words).env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("HOME", &self.0);
        command.env("XDG_CACHE_HOME", self.path("cache"));
        command.env("XDG_STATE_HOME", self.path("state"));
        command.stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub(crate) fn output<S: AsRef<OsStr>>(&self, words: &[S]) -> Output {
        self.command(words).output().expect("the command starts")
    }

    /// What it prints, where it must succeed.
    pub(crate) fn stdout<S: AsRef<OsStr>>(&self, words: &[S]) -> String {
        let output = self.output(words);
        assert!(output.status.success(), "{}", said(&output));
        text(&output.stdout)
    }

    /// What it prints as JSON, where it must succeed.
    pub(crate) fn json<S: AsRef<OsStr>>(&self, words: &[S]) -> Value {
        serde_json::from_str(&self.stdout(words)).expect("JSON")
    }

    /// A file of JSON.
    pub(crate) fn json_file(&self, name: &str) -> Value {
        let text = fs::read_to_string(self.path(name)).expect("a file");
        serde_json::from_str(&text).expect("JSON")
    }

    /// Compiles a C program of this name.
    pub(crate) fn c(&self, name: &str, source: &str) -> String {
        let file = self.path(&format!("{name}.c"));
        fs::write(&file, source).expect("a source");
        let mut compiler = Command::new("cc");
        compiler
            .args(["-g", "-O0", "-o"])
            .args([self.path(name), file]);
        assert!(compiler.status().expect("cc").success(), "{source}");
        self.word(name)
    }

    /// Starts a program under `run` with these options: it must say a line when it is ready.
    pub(crate) fn run(&self, options: &[&str], program: &[&str]) -> Traced {
        let words = [&["run"], options, &["--"], program].concat();
        Traced::start(self.command(&words))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _gone = fs::remove_dir_all(&self.0);
    }
}

/// A program under `run`, or on its own with the library preloaded, that talks line by line.
#[derive(Debug)]
pub(crate) struct Traced {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    /// The first line that it said: by custom, its pid.
    pub(crate) hello: String,
}

impl Traced {
    pub(crate) fn start(mut command: Command) -> Traced {
        command.stdin(Stdio::piped());
        let mut child = command.spawn().expect("the command starts");
        let input = child.stdin.take().expect("its stdin");
        let output = BufReader::new(child.stdout.take().expect("its stdout"));
        let mut traced = Traced {
            child,
            input,
            output,
            hello: String::new(),
        };
        traced.hello = traced.line();
        traced
    }

    /// The next line that it says.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("a line");
        line.trim_end().to_owned()
    }

    /// Closes its stdin and waits: status, the rest of stdout, stderr.
    pub(crate) fn end(self) -> Output {
        drop(self.input);
        let mut rest = Vec::new();
        let mut output = self.output;
        output.read_to_end(&mut rest).expect("the rest");
        let ended = self.child.wait_with_output().expect("its end");
        Output {
            stdout: rest,
            ..ended
        }
    }
}

/// Bytes as text.
pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Everything that an output holds, for a failure's message.
pub(crate) fn said(output: &Output) -> String {
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    format!("{}\n{stdout}\n{stderr}", output.status)
}
