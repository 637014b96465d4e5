//! Where a test works: a directory, the command with an environment that begins and ends there, and small programs to trace.

use crate::own_directory::OwnDirectory;
use serde_json::Value;
use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Output, Stdio};

const KEEPER: &str = r#"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
static void *volatile kept;
/* No stdio: its buffer would still be alive while the line is being read. */
static void say(const char *line, size_t length) {
    if (write(1, line, length) != (ssize_t)length) _exit(6);
}
static void note(int number) {
    char line[] = "signal 00\n";
    line[7] += number / 10;
    line[8] += number % 10;
    say(line, 10);
}
int main(void) {
    char line[64];
    struct sigaction action = {.sa_handler = note, .sa_flags = SA_RESTART};
    int numbers[] = {SIGTERM, SIGHUP, SIGUSR1, SIGUSR2};
    for (int i = 0; i < 4; i++) sigaction(numbers[i], &action, 0);
    say(line, snprintf(line, sizeof line, "%d\n", getpid()));
    while (read(0, line, sizeof line) > 0) {
        kept = malloc(1009);
        say("kept\n", 5);
    }
    return 5;
}
"#;

/// A directory that goes when it is dropped.
#[derive(Debug)]
pub(crate) struct Place(OwnDirectory);

impl Place {
    /// An empty one; `name` is the test's own. In /tmp, whatever TMPDIR says, and with these rights, whatever they are for who began the tests: some of its programs are other
    /// users'.
    pub(crate) fn new(name: &str) -> Place {
        rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
        Place(OwnDirectory::new(Path::new("/tmp"), name).expect("a directory for the test"))
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
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
        command.env("HOME", self.0.path());
        command.env("XDG_CACHE_HOME", self.path("cache"));
        command.env("XDG_STATE_HOME", self.path("state"));
        command.stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// A program as it is, in the environment of this place: nothing is preloaded.
    pub(crate) fn program(&self, path: &str) -> Command {
        let mut program = Command::new(path);
        program.env_clear().env("HOME", self.0.path());
        program.stdout(Stdio::piped()).stderr(Stdio::piped());
        program
    }

    /// The command as another user than root runs it: a copy of it, which that user can reach. Takes root.
    pub(crate) fn as_nobody(&self, words: &[&str]) -> Output {
        let copy = self.word("heapshim");
        if !Path::new(&copy).exists() {
            install(env!("CARGO_BIN_EXE_heapshim"), &copy);
        }
        let as_user = ["--reuid=65534", "--regid=65534", "--clear-groups", &copy];
        let mut setpriv = Command::new("setpriv");
        setpriv.args(as_user).args(words).env_clear();
        setpriv
            .env("PATH", "/usr/bin:/bin")
            .env("XDG_CACHE_HOME", self.path("nobody"));
        setpriv.stdin(Stdio::null()).output().expect("setpriv")
    }

    /// A script for a shell that sees no process but its own: "the only traced process" is then what the script started. None where no
    /// such namespace can be made.
    pub(crate) fn alone(&self, script: &str) -> Option<Output> {
        let root = fs::metadata("/proc/self")
            .is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0);
        let user = if root { "" } else { "--user --map-root-user" };
        let unshare = format!("unshare {user} --pid --fork --mount-proc sh");
        let possible = self.shell(&format!("{unshare} -c true")).status.success();
        fs::write(self.path("script.sh"), script).expect("a script");
        possible.then(|| self.shell(&format!("exec {unshare} script.sh")))
    }

    /// A line for a shell, in this directory, that finds the command by its name.
    pub(crate) fn shell(&self, line: &str) -> Output {
        self.shell_command(line).output().expect("sh")
    }

    /// The same, to be started.
    pub(crate) fn shell_command(&self, line: &str) -> Command {
        let command = self.command::<&str>(&[]);
        let directory = Path::new(env!("CARGO_BIN_EXE_heapshim"))
            .parent()
            .expect("a directory");
        let path = std::env::var_os("PATH").unwrap_or_default();
        let path = std::env::join_paths(
            [directory.to_path_buf()]
                .into_iter()
                .chain(std::env::split_paths(&path)),
        );
        let mut shell = Command::new("sh");
        shell
            .args(["-c", line])
            .current_dir(self.0.path())
            .env_clear();
        shell.envs(
            command
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        );
        shell
            .env("PATH", path.expect("a PATH"))
            .stdin(Stdio::null());
        shell.stdout(Stdio::piped()).stderr(Stdio::piped());
        shell
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

    /// A script of this name that can be run.
    pub(crate) fn script(&self, name: &str, text: &str) -> String {
        let draft = self.word("draft");
        fs::write(&draft, text).expect("a draft");
        install(&draft, &self.word(name));
        self.word(name)
    }

    /// The program that most tests trace. It says its pid; for each line of its stdin it keeps one block of 1009 bytes and says
    /// `kept`; for each signal it says which. It ends with status 5, and gives nothing back.
    pub(crate) fn keeper(&self) -> String {
        self.keeper_named("keeper")
    }

    /// The same under another name, for a test that finds it by that: keepers of other tests run beside it.
    pub(crate) fn keeper_named(&self, name: &str) -> String {
        self.c(name, KEEPER)
    }

    /// Starts a program under `run` with these options: it must say a line when it is ready.
    pub(crate) fn run(&self, options: &[&str], program: &[&str]) -> Traced {
        let words = [&["run"], options, &["--"], program].concat();
        Traced::start(self.command(&words))
    }
}

/// A program under `run`, or on its own with the library preloaded, that talks line by line.
#[derive(Debug)]
pub(crate) struct Traced {
    child: Child,
    /// None once it is closed.
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    /// The first line that it said: by custom, its pid.
    pub(crate) hello: String,
}

impl Traced {
    /// Starts a program that says a line when it is ready.
    pub(crate) fn start(command: Command) -> Traced {
        let mut traced = Traced::silent(command);
        traced.hello = traced.line();
        traced
    }

    /// Starts a program that says nothing on stdout yet.
    pub(crate) fn silent(mut command: Command) -> Traced {
        command.stdin(Stdio::piped());
        let mut child = command.spawn().expect("the command starts");
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().expect("its stdout"));
        Traced {
            child,
            input,
            output,
            hello: String::new(),
        }
    }

    /// The next line that it says.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("a line");
        line.trim_end().to_owned()
    }

    /// Says a line to it and waits for its answer.
    pub(crate) fn ask(&mut self, line: &str) -> String {
        self.say(line);
        self.line()
    }

    /// Says a line to it, in one write: a program that reads its stdin raw would take two for two lines.
    pub(crate) fn say(&mut self, line: &str) {
        let line = format!("{line}\n");
        let input = self.input.as_mut().expect("its stdin");
        input.write_all(line.as_bytes()).expect("it listens");
    }

    /// The process that was started: `run` itself, where it runs under that.
    pub(crate) fn own_pid(&self) -> u32 {
        self.child.id()
    }

    /// The next line of its stderr.
    pub(crate) fn talk(&mut self) -> String {
        let mut line = Vec::new();
        let stderr = self.child.stderr.as_mut().expect("its stderr");
        // Byte by byte: whatever follows is left for `end`.
        let mut byte = [0];
        while stderr.read(&mut byte).expect("it talks") == 1 && byte != *b"\n" {
            line.extend(byte);
        }
        text(&line)
    }

    /// Closes its stdin and waits: status, the rest of stdout, stderr.
    pub(crate) fn end(mut self) -> Output {
        self.input = None;
        self.ended()
    }

    /// Waits with its stdin open: something else ends it.
    pub(crate) fn ended(mut self) -> Output {
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        self.output.read_to_end(&mut stdout).expect("the rest");
        let talk = self.child.stderr.as_mut().expect("its stderr");
        talk.read_to_end(&mut stderr).expect("the rest");
        Output {
            status: self.child.wait().expect("its end"),
            stdout,
            stderr,
        }
    }
}

impl Drop for Traced {
    /// Ends it: without its stdin it goes by itself, a failed test's may not. A `run` that went on would make its directories anew when they are removed.
    fn drop(&mut self) {
        self.input = None;
        drop(self.child.stderr.take());
        if std::thread::panicking() {
            // It may have ended by itself.
            let _ = self.child.kill();
        }
        let _ = self.child.wait();
    }
}

/// Copies a program that is to be run. By another process: what another test starts may hold for a moment what we have open to write, and a file that is open to be
/// written cannot be run.
fn install(from: &str, to: &str) {
    let installed = Command::new("install")
        .args(["-m", "755", from, to])
        .status();
    assert!(installed.expect("install").success(), "{to}");
}

/// Says that the calling test cannot be made here, and what is not installed; with CI=true, where everything is installed, that is a failure.
pub(crate) fn skip(needs: &str) {
    let in_ci = std::env::var_os("CI").is_some_and(|value| value == "true");
    assert!(!in_ci, "{needs}: missing, and in CI nothing may be");
    eprintln!("skipped: {needs} is missing");
}

/// Says that this machine gives the calling test no right to do this: nothing that could be installed would help. CI is root, and may.
pub(crate) fn not_allowed(what: &str) {
    let in_ci = std::env::var_os("CI").is_some_and(|value| value == "true");
    // SAFETY: takes nothing, and cannot fail.
    let root = unsafe { libc::geteuid() } == 0;
    assert!(!(in_ci && root), "{what}: not allowed, and root in CI is");
    eprintln!("skipped: {what}: not allowed here");
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

/// The workspace's directory.
pub(crate) fn workspace() -> &'static Path {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().expect("the package lies in the workspace")
}
