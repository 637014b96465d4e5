//! `heapshim check`: leaking and clean programs in four languages, with nothing changed in them, and what each form of the verdict says.

use heapshim_tests::{Target, environment, found, fresh_directory, heapshim, needs};
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

/// A program, its source's name, and the line that leaks.
struct Program {
    words: Vec<String>,
    source: &'static str,
    line: usize,
}

impl Program {
    fn of(target: &Target, source: &'static str) -> Program {
        let text = fs::read_to_string(heapshim_tests::programs().join(source)).expect("a source");
        let is_leak = |line: &str| line.contains("// leak") || line.contains("# leak");
        let words = target.words().into_iter();
        Program {
            words: words
                .map(|word| word.into_string().expect("UTF-8"))
                .collect(),
            line: text.lines().position(is_leak).expect("a leak") + 1,
            source,
        }
    }

    fn c() -> Program {
        Program::of(&Target::c("check.c"), "check.c")
    }

    /// In every language of which there is a compiler here.
    fn all() -> Vec<Program> {
        let mut all = vec![
            Program::c(),
            Program::of(&Target::cpp("check.cpp").opt("-O1"), "check.cpp"),
            Program::of(&Target::rust("check.rs"), "check.rs"),
        ];
        if needs(&["python3"]) {
            all.push(Program::of(&Target::python("check.py"), "check.py"));
        }
        all
    }

    /// Five runs, with one to five repetitions. An interpreter gives back at its end what its modules hold: it is judged by its mark before.
    fn repeated(&self, how: &str) -> Output {
        let options: &[&str] = match self.source {
            "check.py" => &["--repeat", "5", "--between", "start", "end"],
            _ => &["--repeat", "5"],
        };
        self.check(options, &["{}", how])
    }

    /// Three runs of the same, each with one repetition between its marks.
    fn three_runs(&self, how: &str) -> Output {
        let options = ["--repeat", "3", "--between", "steady", "end"];
        self.check(&options, &["7", how])
    }

    /// What it leaks each time, as the verdict has it.
    fn leaked(&self) -> &'static str {
        match self.source {
            "check.py" => "+4.7 KiB",
            _ => "+48 B",
        }
    }

    /// `heapshim check OPTIONS -- PROGRAM ARGUMENTS`.
    fn check(&self, options: &[&str], arguments: &[&str]) -> Output {
        let mut command = Command::new(heapshim());
        command
            .arg("check")
            .args(options)
            .arg("--")
            .args(&self.words)
            .args(arguments);
        command.env_clear().envs(environment()).stdin(Stdio::null());
        command.output().expect("the command starts")
    }

    /// The place of the leak, as the verdict has it.
    fn leak(&self) -> String {
        format!("{}:{}", self.source, self.line)
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The lines of a verdict's table, without its heading.
fn rows(output: &Output) -> Vec<String> {
    let said = said(output);
    let rows = said
        .lines()
        .skip_while(|line| !line.starts_with("      growth "));
    rows.skip(1).map(str::to_string).collect()
}

/// Check that in each language what one repetition leaks is found at its line, and is all that is found: neither warm-up, nor a table that
/// doubles, nor a cache that fills at the second time.
#[test]
fn repetitions_that_leak() {
    for program in Program::all() {
        let output = program.repeated("leaky");
        assert_eq!(output.status.code(), Some(1), "{}", said(&output));
        assert_leak_alone(&program, &output);
    }
}

/// Asserts that the program's leak is the only row, with what it leaks each time.
fn assert_leak_alone(program: &Program, output: &Output) {
    let (said, rows) = (said(output), rows(output));
    assert_eq!(rows.len(), 1, "{said}");
    assert!(rows[0].contains(&program.leak()), "{said}");
    assert!(rows[0].trim_start().starts_with(program.leaked()), "{said}");
}

/// Check that the same programs without the leak pass, with no growth allowed at all.
#[test]
fn repetitions_that_do_not() {
    for program in Program::all() {
        let output = program.repeated("clean");
        assert_eq!(output.status.code(), Some(0), "{}", said(&output));
        assert!(said(&output).contains(": nothing grew with each repetition from 2 to 5;"));
    }
}

/// Check that in each language what every run leaks between its marks is found at its line, and is all that is found: the warm-up before them is not.
#[test]
fn runs_that_leak() {
    for program in Program::all() {
        let output = program.three_runs("leaky");
        assert_eq!(output.status.code(), Some(1), "{}", said(&output));
        assert!(said(&output).contains(": 1 line grew in each of 3 runs, "));
        assert_leak_alone(&program, &output);
    }
}

/// Check that the same programs without the leak pass, and that of their whole runs the same says what they keep.
#[test]
fn runs_that_do_not() {
    for program in Program::all() {
        let output = program.three_runs("clean");
        assert_eq!(output.status.code(), Some(0), "{}", said(&output));
        assert!(said(&output).contains(": nothing grew in each of 3 runs;"));
        assert_eq!(rows(&output).len(), 0, "{}", said(&output));
        let whole = program.check(
            &["--repeat", "3", "--between", "start", "end"],
            &["7", "clean"],
        );
        assert_eq!(whole.status.code(), Some(1), "{}", said(&whole));
        assert!(!said(&whole).contains(&program.leak()), "{}", said(&whole));
    }
}

/// Check that what only the first of several runs keeps, as where it fills a cache on the disk, is no growth of theirs, and is of that run alone.
#[test]
fn growth_of_one_run() {
    let program = Program::c();
    let first_leaks = |directory: &str| {
        let seen = fresh_directory(directory)
            .join("seen")
            .display()
            .to_string();
        let script = format!(
            "how=clean; [ -e {seen} ] || {{ how=leaky; : >{seen}; }}; exec {} 7 $how",
            program.words[0]
        );
        Program {
            words: vec!["sh".to_string(), "-c".to_string(), script],
            ..Program::c()
        }
    };
    let between = ["--between", "steady", "end"];
    let output = first_leaks("runs").check(&[&["--repeat", "3"], &between[..]].concat(), &[]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let output = first_leaks("run").check(&between, &[]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert_leak_alone(&program, &output);
}

/// Check a run from start to end: all that is left counts, and limits hold to the byte.
#[test]
fn limits() {
    let program = Program::c();
    // 4096 of warm-up, 64 of the table, 48 that leak.
    for (options, status) in [
        (&["--max-growth", "4208"][..], 0),
        (&["--max-growth", "4207"], 1),
        (&["--per-line", "4K"], 0),
        (&["--per-line", "4095"], 1),
        (&["--max-growth", "1M", "--per-line", "64"], 1),
        (&[], 1),
    ] {
        let output = program.check(options, &["1", "leaky"]);
        assert_eq!(
            output.status.code(),
            Some(status),
            "{options:?} {}",
            said(&output)
        );
    }
    let output = program.check(&["--per-line", "64"], &["1", "leaky"]);
    assert_eq!(
        said(&output).matches("over the limit of a line").count(),
        1,
        "{}",
        said(&output)
    );
}

/// Check that between two marks of the command's own warm-up is none, and that a mark that it never took is named.
#[test]
fn between_marks() {
    let program = Program::c();
    let output = program.check(&["--between", "warm", "end"], &["1", "leaky"]);
    assert_eq!(rows(&output).len(), 2, "{}", said(&output));
    let output = program.check(
        &["--between", "warm", "exit", "--max-growth", "112"],
        &["1", "leaky"],
    );
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let output = program.check(&["--between", "warm", "served"], &["1", "leaky"]);
    assert_eq!(output.status.code(), Some(1));
    let problem = "it took no mark 'served'; the last that it took: warm, end";
    assert!(said(&output).contains(problem), "{}", said(&output));
    let output = program.check(&["--between", "now", "end"], &["1", "leaky"]);
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
}

/// Check that a command that fails is not judged, that its status is ours, and that the output of one that does not is its own.
#[test]
fn command_that_fails() {
    let program = Program::c();
    let output = program.check(&["--repeat", "3"], &["{}", "clean", "7"]);
    assert_eq!(output.status.code(), Some(7));
    assert_eq!(
        said(&output),
        "heapshim check: run 1 of 3 failed (status 7): not judged\n"
    );
    let missing = Program {
        words: vec!["/nowhere/test".to_string()],
        ..Program::c()
    };
    assert_eq!(missing.check(&[], &[]).status.code(), Some(127));
}

fn file(name: &str, text: &str) -> PathBuf {
    let file = fresh_directory("check").join(name);
    fs::write(&file, text).expect("written");
    file
}

/// Check that LeakSanitizer's suppressions and those by line leave out what they name, say how much, and nothing else.
#[test]
fn suppressions() {
    let program = Program::c();
    let leak = format!("line:check.c:{}", program.line);
    for (text, status) in [
        ("# known\nleak:work\nleak:^main$\n", 0),
        ("leak:check.c\n", 0),
        ("leak:nothing_here\n", 1),
        (&*leak, 1),
    ] {
        let file = file("known.supp", text).display().to_string();
        let output = program.check(&["--suppressions", &file], &["1", "leaky"]);
        assert_eq!(
            output.status.code(),
            Some(status),
            "{text} {}",
            said(&output)
        );
        if text == leak {
            assert!(said(&output).contains(&format!("suppressed by {leak}: +48 B, +1 block")));
            assert_eq!(
                rows(&output).len(),
                3,
                "two lines and a suppression: {}",
                said(&output)
            );
        }
    }
    let file = file("other.supp", "race:work\n").display().to_string();
    let output = program.check(&["--suppressions", &file], &["1", "leaky"]);
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
}

/// Prints of a JUnit file: tests, failures, the case's name, and whether it failed.
const JUNIT: &str = "
import sys, xml.etree.ElementTree as tree
root = tree.parse(sys.argv[1]).getroot()
case = root.find('testsuite/testcase')
failure = case.find('failure')
print(root.get('tests'), root.get('failures'), case.get('name').split('/')[-1], failure is not None and failure.text.strip())
";

/// Check that an XML parser reads the JUnit file of a failure and of a pass, and that the log has the verdict as well.
#[test]
fn junit() {
    if !needs(&["python3"]) {
        return;
    }
    let program = Program::c();
    for (word, start) in [
        ("leaky", "1 1 check 3 leaky growth"),
        ("clean", "1 0 check 3 clean False"),
    ] {
        let file = file("growth.xml", "").display().to_string();
        let options = [
            "--between",
            "warm",
            "end",
            "--max-growth",
            "700",
            "--per-line",
            "143",
            "--format",
            "junit",
            "-o",
            &file,
        ];
        let exclude = ["--exclude", "realloc", "--suppressions"];
        let known = self::file("known.supp", "line:check.c:11\nline:check.c:12\n")
            .display()
            .to_string();
        let options = [&options[..], &exclude[..], &[&known]].concat();
        let output = program.check(&options, &["3", word]);
        assert!(
            said(&output).starts_with("heapshim check: "),
            "{}",
            said(&output)
        );
        let mut python = Command::new(found("python3").expect("just seen"));
        let read = python
            .args(["-c", JUNIT, &file])
            .output()
            .expect("it starts");
        let read = String::from_utf8(read.stdout).expect("UTF-8");
        assert!(read.starts_with(start), "{read}\n{}", said(&output));
    }
}

/// Check GitHub's annotation of the line that leaks, at its path from where the check runs.
#[test]
fn github() {
    let program = Program::c();
    let output = program.check(&["--repeat", "3", "--format", "github"], &["{}", "leaky"]);
    let said = said(&output);
    let lines: Vec<&str> = said.lines().collect();
    let place = format!(
        "programs/check.c,line={},title=heap grew by +48 B::work: 48 bytes in 1 block",
        program.line
    );
    assert!(
        lines[0].starts_with("::error file=") && lines[0].contains(&place),
        "{said}"
    );
    assert!(
        lines[1].starts_with("::error title=heapshim check::"),
        "{said}"
    );
}

/// Check that a shell that runs the test is judged alone, and with what it runs where that is asked.
#[test]
fn whole_tree() {
    let program = Program::c();
    let script = format!("{} 1 leaky; true", program.words[0]);
    let shell = Program {
        words: vec!["/bin/sh".to_string(), "-c".to_string(), script],
        ..Program::c()
    };
    let alone = shell.check(&["--max-growth", "1M"], &[]);
    assert!(!said(&alone).contains(&program.leak()), "{}", said(&alone));
    let merged = shell.check(&["--merge"], &[]);
    assert!(said(&merged).contains(&program.leak()), "{}", said(&merged));
}

/// Check that what was not seen is not said to have no growth: an allocator of the program's own, no account, an account with gaps; and that the
/// environment cannot have samples judged.
#[test]
fn unseen() {
    let program = Program::c();
    let check = |words: &[String], variable: (&str, &str)| {
        let mut command = Command::new(heapshim());
        command
            .args(["check", "--max-growth", "1G", "--"])
            .args(words);
        command.env_clear().envs(environment()).stdin(Stdio::null());
        command
            .env(variable.0, variable.1)
            .output()
            .expect("the command starts")
    };
    let nothing = ("LC_ALL", "C");
    let own = Target::c("own_allocator.c").opt("-s").build();
    let starved = Target::c("starved.c").build();
    let starved = [starved.to_str().expect("UTF-8").to_string(), "40".into()];
    let leaky = [&program.words[..], &["1".into(), "leaky".into()]].concat();
    let own = [own.to_str().expect("UTF-8").to_string()];
    for (words, variable, reason) in [
        (&own[..], nothing, "an allocator is linked into it"),
        (&leaky, ("HEAPSHIM", "0"), "no account"),
        (&starved, nothing, "could not be tracked"),
    ] {
        let output = check(words, variable);
        let said = said(&output);
        assert_eq!(output.status.code(), Some(1), "{words:?} {said}");
        assert!(said.contains(reason), "{words:?} {said}");
    }
    for value in ["off", "64M"] {
        let output = program_with(&program, value);
        assert_eq!(rows(&output).len(), 3, "{value}: {}", said(&output));
    }
}

/// One leaky repetition where the environment asks for samples.
fn program_with(program: &Program, sample: &str) -> Output {
    let mut command = Command::new(heapshim());
    command
        .args(["check", "--"])
        .args(&program.words)
        .args(["1", "leaky"]);
    command.env_clear().envs(environment()).stdin(Stdio::null());
    command
        .env("HEAPSHIM_SAMPLE", sample)
        .output()
        .expect("the command starts")
}
