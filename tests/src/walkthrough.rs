//! A walk-through: a README whose fenced `console` blocks are what a reader types and sees, run as they stand.
//!
//! A block's info string may name a terminal (```` ```console server ````); blocks without a name share one. In a block, `$ ` begins a command
//! for the shell, `⏎` is Enter for the program that runs there, `^D` ends its input; all other lines are what is printed. Everything must be
//! printed as it stands, save what cannot be the same twice, by the rules of [`settled`].
//!
//! The terminals are shells in a process namespace of their own, so that "the only traced process" is the reader's.

use crate::command::heapshim;
use crate::place::{environment, fresh_directory};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// What a shell is asked to print when a command has ended: no program prints it.
const DONE: &str = "\u{1e}";
/// With this variable set, READMEs are rewritten to what was printed: after a change of the table, then read the difference.
const REWRITE: &str = "HEAPSHIM_REWRITE";

#[derive(Clone, Debug, PartialEq, Eq)]
enum Input {
    Command(String),
    Enter,
    End,
}

/// Something typed, and what is printed then.
#[derive(Debug)]
struct Step {
    terminal: String,
    input: Input,
    expected: Vec<String>,
    /// The line of the README that it stands on, from 0.
    at: usize,
}

/// A README and the files beside it.
#[derive(Debug)]
pub struct Walkthrough {
    readme: PathBuf,
    text: String,
    steps: Vec<Step>,
}

impl Walkthrough {
    /// Reads the README of a directory.
    ///
    /// # Panics
    /// Where it has no steps.
    #[must_use]
    pub fn read(directory: &Path) -> Walkthrough {
        let readme = directory.join("README.md");
        let text = fs::read_to_string(&readme).expect("a README");
        let steps = parse(&text);
        assert!(!steps.is_empty(), "{}: no steps", readme.display());
        Walkthrough {
            readme,
            text,
            steps,
        }
    }

    /// Runs every step in a copy of the directory; None where no process namespace can be made.
    ///
    /// # Panics
    /// Where something else is printed than stands there.
    pub fn run(&self) -> Option<()> {
        let directory = copy_beside(&self.readme);
        let names: Vec<&str> = self
            .steps
            .iter()
            .map(|step| step.terminal.as_str())
            .collect();
        let mut terminals = Terminals::open(&directory, &names)?;
        let mut printed = Vec::new();
        for (at, step) in self.steps.iter().enumerate() {
            let later = self.steps[at + 1..]
                .iter()
                .find(|later| later.terminal == step.terminal);
            let listens = later.is_some_and(|later| !matches!(later.input, Input::Command(_)));
            printed.push(terminals.step(step, listens));
        }
        terminals.end();
        if std::env::var_os(REWRITE).is_some() {
            fs::write(&self.readme, self.rewritten(&printed)).expect("rewritten");
            return Some(());
        }
        for (step, printed) in self.steps.iter().zip(&printed) {
            let place = format!("{}:{}", self.readme.display(), step.at + 1);
            let (expected, found) = (settled(&step.expected), settled(printed));
            let whole = printed.join("\n");
            assert_eq!(found, expected, "{place}: {:?}\n{whole}", step.input);
        }
        Some(())
    }

    fn rewritten(&self, printed: &[Vec<String>]) -> String {
        let mut lines: Vec<&str> = self.text.lines().collect();
        for (step, printed) in self.steps.iter().zip(printed).rev() {
            let begin = step.at + 1;
            lines.splice(
                begin..begin + step.expected.len(),
                printed.iter().map(String::as_str),
            );
        }
        lines.join("\n") + "\n"
    }
}

fn parse(text: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut terminal: Option<String> = None;
    for (at, line) in text.lines().enumerate() {
        let Some(name) = &terminal else {
            terminal = line
                .strip_prefix("```console")
                .map(|name| name.trim().to_owned());
            continue;
        };
        let input = match line {
            "```" => {
                terminal = None;
                continue;
            }
            "⏎" => Some(Input::Enter),
            "^D" => Some(Input::End),
            _ => line
                .strip_prefix("$ ")
                .map(|code| Input::Command(code.to_owned())),
        };
        match (input, steps.last_mut()) {
            (Some(input), _) => steps.push(Step {
                terminal: name.clone(),
                input,
                expected: Vec::new(),
                at,
            }),
            (None, Some(last)) => last.expected.push(line.to_owned()),
            (None, None) => panic!("line {}: printed before anything was typed", at + 1),
        }
    }
    steps
}

/// The files beside a README, in a directory of their own.
fn copy_beside(readme: &Path) -> PathBuf {
    let copy = fresh_directory("walk");
    let source = readme.parent().expect("a README lies in a directory");
    for entry in fs::read_dir(source).expect("listed").flatten() {
        fs::copy(entry.path(), copy.join(entry.file_name())).expect("copied");
    }
    copy
}

/// Shells that read what is typed from a pipe, and print into one.
#[derive(Debug)]
struct Terminals {
    host: Child,
    open: BTreeMap<String, (Option<File>, BufReader<File>)>,
}

impl Terminals {
    fn open(directory: &Path, names: &[&str]) -> Option<Terminals> {
        let unshare = alone()?;
        let pipes = fresh_directory("pipes");
        let mut names: Vec<&str> = names.to_vec();
        names.sort_unstable();
        names.dedup();
        let pipe = |name: &str, end: &str| pipes.join(format!("terminal-{name}.{end}"));
        let mut script = String::new();
        for name in &names {
            let [input, output] = ["in", "out"].map(|end| pipe(name, end));
            let made = Command::new("mkfifo").args([&input, &output]).status();
            assert!(made.expect("mkfifo").success());
            let (input, output) = (input.display(), output.display());
            script.push_str(&format!("bash <'{input}' >'{output}' 2>&1 &\n"));
        }
        script.push_str("wait\n");
        let mut host = Command::new("unshare");
        host.args(&unshare).args(["sh", "-c", &script]);
        host.current_dir(directory).env_clear().envs(environment());
        // A namespace begins its pids anew: its marks must not meet those of another.
        host.env("XDG_STATE_HOME", pipes.join("state"))
            .env("PATH", path());
        let host = host.stdin(Stdio::null()).spawn().expect("unshare");
        let open = names.iter().map(|name| {
            let input = File::options().write(true).open(pipe(name, "in"));
            let output = File::open(pipe(name, "out")).expect("a terminal");
            let ends = (Some(input.expect("a terminal")), BufReader::new(output));
            ((*name).to_owned(), ends)
        });
        Some(Terminals {
            open: open.collect(),
            host,
        })
    }

    /// Types, and reads what is printed: to its end, or as many lines as are expected of a program that goes on.
    fn step(&mut self, step: &Step, listens: bool) -> Vec<String> {
        let (input, output) = self.open.get_mut(&step.terminal).expect("a terminal");
        let mut say = |text: &str| {
            let input = input.as_mut().expect("not ended yet");
            input.write_all(text.as_bytes()).expect("typed");
        };
        match &step.input {
            // Should the program not start, or end too early, the terminal ends with it: nobody waits for its next word.
            Input::Command(code) if listens => say(&format!("{code}; exit\n")),
            Input::Command(code) => say(&format!("{code}\n")),
            Input::Enter => say("\n"),
            Input::End => *input = None,
        }
        match (&step.input, listens) {
            (Input::End, _) => lines_of(output, |_| false),
            (Input::Command(_), false) => {
                let input = input.as_mut().expect("not ended yet");
                writeln!(input, "printf '{DONE}\\n'").expect("typed");
                let mut lines = lines_of(output, |line| line.ends_with(DONE));
                // A last line without its end stands before the word.
                let last = lines.pop().unwrap_or_default();
                let rest = last.trim_end_matches(DONE).to_owned();
                lines.extend(Some(rest).filter(|rest| !rest.is_empty()));
                lines
            }
            _ => {
                let mut left = step.expected.len();
                lines_of(output, |_| {
                    left = left.saturating_sub(1);
                    left == 0
                })
            }
        }
    }

    fn end(mut self) {
        self.open.clear();
        assert!(self.host.wait().expect("the host's end").success());
    }
}

/// Lines up to the one that is the last, or to the end.
fn lines_of(output: &mut impl BufRead, mut is_last: impl FnMut(&str) -> bool) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    while output.read_line(&mut line).expect("what is printed") > 0 {
        let whole = line.trim_end_matches('\n').to_owned();
        let last = is_last(&whole);
        lines.push(whole);
        line.clear();
        if last {
            break;
        }
    }
    lines
}

/// The words for `unshare` that make a process namespace here, if any do: in it, the only traced process is the test's.
#[must_use]
pub fn alone() -> Option<Vec<&'static str>> {
    let root = fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0);
    let user: &[&str] = match root {
        true => &[],
        false => &["--user", "--map-root-user"],
    };
    let words = [user, &["--pid", "--fork", "--mount-proc"]].concat();
    let made = Command::new("unshare").args(&words).arg("true").status();
    made.is_ok_and(|status| status.success()).then_some(words)
}

/// The command, the compiler, then the system's programs: a version manager's launcher is another program of that name.
fn path() -> OsString {
    let command = heapshim().parent().expect("a directory").to_path_buf();
    let sysroot = Command::new("rustc").args(["--print", "sysroot"]).output();
    let sysroot = sysroot.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    let compiler = PathBuf::from(sysroot.unwrap_or_default()).join("bin");
    let system = ["/usr/bin", "/bin"].map(PathBuf::from);
    let given = std::env::var_os("PATH").unwrap_or_default();
    let all = [command, compiler].into_iter().chain(system);
    std::env::join_paths(all.chain(std::env::split_paths(&given))).expect("a PATH")
}

/// What is printed without what cannot be the same twice: process ids; in a report's first line the time between the marks; in its
/// second, what was alive before (the run-time libraries' own start-up), and resident memory.
fn settled(lines: &[String]) -> Vec<String> {
    lines.iter().map(|line| settle(line)).collect()
}

fn settle(line: &str) -> String {
    let mut line = line.to_owned();
    if let Some((before, rest)) = line.split_once("(pid ") {
        let rest = rest.trim_start_matches(|c: char| c.is_ascii_digit());
        line = format!("{before}(pid N{rest}");
    }
    let mut parts: Vec<&str> = line.split("   ").collect();
    if parts.len() == 4 && parts[1].contains(" → ") {
        parts[2] = "TIME";
        line = parts.join("   ");
    }
    if line.starts_with("heap ") {
        let (before, rest) = line.split_once(" (").unwrap_or((&line, ""));
        let (_, rest) = rest.split_once(')').unwrap_or(("", rest));
        let blocks = rest.split(" · RSS").next().unwrap_or_default();
        line = format!("{before}{blocks}");
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Check that a README's blocks become steps with their terminals, and that text outside of them is none.
    #[test]
    fn steps() {
        let text = "# A\n$ no\n```console server\n$ run\nready\n⏎\nserved\n^D\n```\n```\n$ no\n```\n```console\n$ two\n```\n";
        let steps = parse(text);
        let of = |at: usize| (&*steps[at].terminal, &steps[at].input, steps[at].at);
        assert_eq!(of(0), ("server", &Input::Command("run".to_owned()), 3));
        assert_eq!(steps[0].expected, ["ready"]);
        assert_eq!(of(1), ("server", &Input::Enter, 5));
        assert_eq!(of(2), ("server", &Input::End, 7));
        assert_eq!(of(3), ("", &Input::Command("two".to_owned()), 13));
        assert_eq!(steps.len(), 4);
    }

    /// Check that only what cannot be the same twice is taken out: the figures of a row and of the growth stay.
    #[test]
    fn rules() {
        assert_eq!(
            settle("a (pid 17)   warm → now   9 ms   exact"),
            "a (pid N)   warm → now   TIME   exact"
        );
        let heap = "heap +401.9 KiB (401.9 → 803.7), +200 blocks · RSS +508.0 KiB: heap 400.0";
        assert_eq!(settle(heap), "heap +401.9 KiB, +200 blocks");
        let row =
            "  +400.3 KiB        +100  800.6 KiB   sessions.c:22  session_open   (via xmalloc)";
        assert_eq!(settle(row), row);
    }
}
