//! Other people's test suites: each test ends as it does without the shim, and says the same of each of its cases.
//!
//! Debian packages the tests of GNOME's libraries to be run where they are installed (`/usr/share/installed-tests`, a file a test, whose `Exec=` is its
//! command). Most speak TAP: a line a case. Compared are the exit status and those lines, without their numbers; a test that differs from itself
//! when it is run twice without the shim is told, and proves nothing.

use crate::place::fresh_directory;
use crate::run::{Run, bare};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

/// Where the files lie.
const PLACE: &str = "/usr/share/installed-tests";
/// No test takes as long by far; some wait for a desktop's services, and hang without.
const SECONDS: &str = "300";

/// One test of somebody else's.
#[derive(Clone, Debug)]
pub struct OthersTest {
    /// Suite and name.
    pub name: String,
    command: String,
}

/// What came of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The same, of so many cases.
    Same(usize),
    /// Without the shim it does not do the same twice.
    Unsteady,
    /// What differs.
    Differs(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Result {
    status: Option<i32>,
    cases: Vec<String>,
}

/// The tests of an installed suite, by name; none where it is not installed.
#[must_use]
pub fn tests_of(suite: &str) -> Vec<OthersTest> {
    let entries = fs::read_dir(Path::new(PLACE).join(suite)).into_iter();
    let paths = entries.flatten().flatten().map(|entry| entry.path());
    let mut all: Vec<OthersTest> = paths.filter_map(|path| read(suite, &path)).collect();
    all.sort_by(|one, other| one.name.cmp(&other.name));
    all
}

fn read(suite: &str, path: &Path) -> Option<OthersTest> {
    let stem = path
        .file_name()?
        .to_str()?
        .strip_suffix(".test")?
        .to_owned();
    let text = fs::read_to_string(path).ok()?;
    let command = text.lines().find_map(|line| line.strip_prefix("Exec="))?;
    Some(OthersTest {
        name: format!("{suite}/{stem}"),
        command: command.to_owned(),
    })
}

impl OthersTest {
    /// Runs it without the shim and with it; again without where that differs.
    #[must_use]
    pub fn run(&self) -> Verdict {
        let plain = self.run_bare();
        let traced = self.run_traced();
        if plain == traced {
            return Verdict::Same(plain.cases.len().max(1));
        }
        if self.run_bare() != plain {
            return Verdict::Unsteady;
        }
        Verdict::Differs(difference(&plain, &traced))
    }

    fn run_bare(&self) -> Result {
        let (status, stdout, _) = bare(&self.words(&fresh_directory("others")), b"");
        result(status.code(), &stdout)
    }

    fn run_traced(&self) -> Result {
        let run = Run::new(&self.words(&fresh_directory("others"))).quiet();
        let finished = run.fixed_layout().finish();
        result(finished.status.code(), &finished.stdout)
    }

    /// In a directory of its own, which the tests leave files in.
    fn words(&self, place: &Path) -> Vec<OsString> {
        let script = "cd \"$1\" && exec timeout \"$2\" sh -c \"$3\"";
        let words = ["/bin/sh", "-c", script, "sh"].map(OsString::from);
        let rest = [
            PathBuf::from(place).into(),
            SECONDS.into(),
            OsString::from(&self.command),
        ];
        words.into_iter().chain(rest).collect()
    }
}

/// `ok 3 /timer/basic # TIME 2` is `ok /timer/basic`: numbers and remarks are no results.
fn result(status: Option<i32>, stdout: &[u8]) -> Result {
    let text = String::from_utf8_lossy(stdout);
    let cases = text.lines().filter_map(|line| {
        let (said, rest) = ["not ok ", "ok "]
            .iter()
            .find_map(|said| Some((*said, line.strip_prefix(said)?)))?;
        let name = rest.trim_start_matches(|letter: char| letter.is_ascii_digit());
        let name = name.split(" # ").next().unwrap_or(name);
        Some(format!("{said}{}", name.trim()))
    });
    let cases = cases.collect();
    Result { status, cases }
}

fn difference(plain: &Result, traced: &Result) -> String {
    let only = |one: &Result, other: &Result| -> Vec<String> {
        let lacks = |case: &&String| !other.cases.contains(case);
        one.cases.iter().filter(lacks).cloned().collect()
    };
    format!(
        "exit {:?}, traced {:?}; only without the shim: {:?}; only with it: {:?}",
        plain.status,
        traced.status,
        only(plain, traced),
        only(traced, plain)
    )
}
