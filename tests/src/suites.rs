//! Other people's test suites: each test ends as it does without the shim, and says the same of each of its cases.
//!
//! Debian packages the tests of GNOME's libraries to be run where they are installed (`/usr/share/installed-tests`, a file a test, whose `Exec=` is its
//! command). Most speak TAP: a line a case. CPython's own (`python -m test`) write a file of cases. Compared are the exit status, and the name and outcome
//! of each case; a test that differs from itself when it is run twice, without the shim or with it, is told, and proves nothing: some of them measure
//! time, and all of them do on a machine that is loaded.

use crate::place::fresh_directory;
use crate::pythons::Python;
use crate::run::{Run, bare};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

/// Where the files lie.
const PLACE: &str = "/usr/share/installed-tests";
/// No test takes as long by far on an idle machine; some wait for a desktop's services, and hang without.
const SECONDS: &str = "900";
/// Where CPython's tests write their cases.
const CASES: &str = "cases.xml";

/// One test of somebody else's.
#[derive(Clone, Debug)]
pub struct OthersTest {
    /// Suite and name.
    pub name: String,
    command: String,
    speaks: Speaks,
}

/// How a test says what became of its cases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Speaks {
    /// On stdout, a line a case.
    Tap,
    /// In a file, an element a case.
    Junit,
}

/// What came of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The same, of so many cases.
    Same(usize),
    /// It does not do the same twice, without the shim or with it: so it differed.
    Unsteady(String),
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
        speaks: Speaks::Tap,
    })
}

/// CPython's own tests of these modules. The soft limit on descriptors is the usual one: where it is the hard limit, too, test_subprocess finds ours
/// among its own.
#[must_use]
pub fn tests_of_python(python: &Python, modules: &[&str]) -> Vec<OthersTest> {
    let path = python.path.display();
    let test = |module: &&str| OthersTest {
        name: format!("python3.{}/{module}", python.minor),
        command: format!("ulimit -Sn 1024; exec {path} -m test --junit-xml {CASES} {module}"),
        speaks: Speaks::Junit,
    };
    modules.iter().map(test).collect()
}

impl OthersTest {
    /// Runs it without the shim and with it; both again where that differs.
    #[must_use]
    pub fn run(&self) -> Verdict {
        self.run_apart(&|| ())
    }

    /// As `run`, and does `clean` after each run: what one has left running is not found by the next.
    #[must_use]
    pub fn run_apart(&self, clean: &dyn Fn()) -> Verdict {
        let cleaned = |result: Result| {
            clean();
            result
        };
        let plain = cleaned(self.run_bare());
        let traced = cleaned(self.run_traced());
        if plain == traced {
            return Verdict::Same(plain.cases.len().max(1));
        }
        let how = difference(&plain, &traced);
        if cleaned(self.run_bare()) != plain || cleaned(self.run_traced()) != traced {
            return Verdict::Unsteady(how);
        }
        Verdict::Differs(how)
    }

    fn run_bare(&self) -> Result {
        let place = fresh_directory("others");
        let (status, stdout, _) = bare(&self.words(&place), b"");
        self.result(status.code(), &stdout, &place)
    }

    fn run_traced(&self) -> Result {
        let place = fresh_directory("others");
        let finished = Run::new(&self.words(&place))
            .quiet()
            .fixed_layout()
            .finish();
        self.result(finished.status.code(), &finished.stdout, &place)
    }

    fn result(&self, status: Option<i32>, stdout: &[u8], place: &Path) -> Result {
        let mut cases = match self.speaks {
            Speaks::Tap => cases_of_tap(&String::from_utf8_lossy(stdout)),
            Speaks::Junit => {
                let text = fs::read_to_string(place.join(CASES)).unwrap_or_default();
                cases_of_junit(&text)
            }
        };
        cases.sort();
        Result { status, cases }
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
fn cases_of_tap(text: &str) -> Vec<String> {
    let cases = text.lines().filter_map(|line| {
        let (said, rest) = ["not ok ", "ok "]
            .iter()
            .find_map(|said| Some((*said, line.strip_prefix(said)?)))?;
        let name = rest.trim_start_matches(|letter: char| letter.is_ascii_digit());
        let name = name.split(" # ").next().unwrap_or(name);
        Some(format!("{said}{}", name.trim()))
    });
    cases.collect()
}

/// `<testcase name="test.test_gc.GCTests.test_list" status="run" time="0.1" result="completed"><skipped>…</skipped></testcase>` is
/// `skipped test.test_gc.GCTests.test_list`.
fn cases_of_junit(text: &str) -> Vec<String> {
    let case = |element: &str| {
        let (tag, rest) = element.split_once('>')?;
        let name = tag.split_once("name=\"")?.1.split('"').next()?;
        let inside = match tag.ends_with('/') {
            true => "",
            false => rest.split("</testcase>").next().unwrap_or(rest),
        };
        let outcomes = ["error", "failure", "skipped"];
        let is_there = |outcome: &&str| inside.contains(&format!("<{outcome}"));
        let outcome = outcomes.into_iter().find(is_there).unwrap_or("ok");
        Some(format!("{outcome} {name}"))
    };
    text.split("<testcase ").skip(1).filter_map(case).collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Check that cases are read by name and outcome, whichever way a test speaks.
    #[test]
    fn cases() {
        let tap = "1..3\nok 1 /a/b # TIME 2\nnot ok 2 /a/c\n# said\nok 3 - d\n";
        assert_eq!(cases_of_tap(tap), ["ok /a/b", "not ok /a/c", "ok - d"]);
        let junit = "<testsuite tests=\"3\"><testcase name=\"a.b\" status=\"run\" />\
            <testcase name=\"a.&lt;c&gt;\" status=\"run\"><skipped>why</skipped></testcase>\
            <testcase status=\"run\" name=\"a.d\"><failure type=\"x\">how</failure></testcase></testsuite>";
        let wanted = ["ok a.b", "skipped a.&lt;c&gt;", "failure a.d"];
        assert_eq!(cases_of_junit(junit), wanted);
    }
}
