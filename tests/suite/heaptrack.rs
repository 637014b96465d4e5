//! The oracle for lines: heaptrack, which sees the same program with the same input, names the same innermost lines.
//!
//! Compared is what both define alike: how many allocations the innermost line outside the allocator made (`--blame innermost`), and
//! how many there were in all. (What is live at the end is not: heaptrack has the C and C++ libraries free at exit what they keep, and
//! prints how often a line that leaks was run, not how many blocks it left.) Three differences have names: heaptrack_print finds no
//! line for some addresses of which the debug information has one, and prints their function alone: those are added to the line that
//! we find in that function. It shows the line in a class's own `operator new`, which is an allocator to us, who charge its caller.
//! Its library brings the C++ library into programs of other languages, with one block.

use heapshim_tests::{Diff, Package, Run, Target, environment, fresh_directory, needs, programs};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Lines that are compared.
const TOP: usize = 10;

/// Each target goes on twice, and no other program reads it.
const INPUT: &[u8] = b"go\ngo\n";

/// What was allocated at a line.
type Counts = BTreeMap<String, i64>;

/// `file:line` without directories that differ: heaptrack shows a path as the debug information has it.
fn place(file: &str, line: &str) -> String {
    let name = file.rsplit('/').next().unwrap_or(file);
    format!("{name}:{line}")
}

/// What a section of heaptrack_print's text says.
#[derive(Debug, Default)]
struct Section {
    by_line: Counts,
    /// Of functions of which it finds no line.
    by_function: Counts,
}

/// The section with this heading: of each group its count, its function and its line.
fn section(text: &str, heading: &str, verb: &str) -> Section {
    let from = text.find(heading);
    let from = from.unwrap_or_else(|| panic!("no {heading} in {text}"));
    let mut found = Section::default();
    let (mut calls, mut function) = (None, String::new());
    for line in text[from..].lines().skip(1) {
        if line.starts_with("total runtime") {
            break;
        }
        if let Some(number) = count(line, verb) {
            (calls, function) = (Some(number), String::new());
        } else if let Some(number) = calls {
            if function.is_empty() {
                function = line.to_string();
            } else if let Some(at) = line.strip_prefix("  at ") {
                let (file, line) = at.rsplit_once(':').unwrap_or((at, "0"));
                *found.by_line.entry(place(file, line)).or_default() += number;
                calls = None;
            } else {
                *found.by_function.entry(function.clone()).or_default() += number;
                calls = None;
            }
        }
    }
    found
}

/// The number of a group's first line: `4000 calls to allocation functions with …`.
fn count(line: &str, verb: &str) -> Option<i64> {
    let (before, _) = line.split_once(verb)?;
    before.rsplit(' ').next()?.parse().ok()
}

/// Runs the program under heaptrack: what heaptrack_print says of it.
fn heaptracked(words: &[OsString], input: &[u8]) -> String {
    let directory = fresh_directory("heaptrack");
    let (file, lines) = (directory.join("trace"), directory.join("input"));
    std::fs::write(&lines, input).expect("an input");
    let mut command = Command::new("heaptrack");
    command
        .arg("-o")
        .arg(&file)
        .args(words)
        .env_clear()
        .envs(environment());
    command.stdin(std::fs::File::open(lines).expect("an input"));
    let output = command.output().expect("heaptrack starts");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let mut print = Command::new("heaptrack_print");
    print.arg("-f").arg(file.with_extension("zst"));
    print.args(["-a", "1", "-p", "0", "-T", "0", "-n", "100000", "-s", "1"]);
    print.args(["-t", "0", "--disable-builtin-suppressions"]);
    let output = print.output().expect("heaptrack_print starts");
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// The same of ours, and the line of each function that has but one.
fn counted(report: &Diff) -> (Counts, BTreeMap<String, String>) {
    let (mut counts, mut lines) = (Counts::new(), BTreeMap::new());
    for row in report.rows() {
        if let (Some(file), Some(line)) = (row.file_name(), row.json["line"].as_u64()) {
            let place = place(file, &line.to_string());
            *counts.entry(place.clone()).or_default() += row.total().blocks;
            let function = row.json["function"].as_str().unwrap_or_default();
            lines.insert(function.to_string(), place);
        }
    }
    (counts, lines)
}

/// Adds what heaptrack has by function alone to the line that we have of it.
fn lined(section: Section, lines: &BTreeMap<String, String>) -> Counts {
    let mut counts = section.by_line;
    for (function, number) in section.by_function {
        let is_it =
            |name: &&String| function == **name || function.starts_with(&format!("{name}("));
        if let Some(name) = lines.keys().find(is_it) {
            *counts.entry(lines[name].clone()).or_default() += number;
        }
    }
    counts
}

/// The lines of the greatest counts: as many as are asked for, and all that are as great as the last.
fn top(counts: &Counts) -> Vec<(String, i64)> {
    let mut all: Vec<(String, i64)> = counts.clone().into_iter().filter(|one| one.1 > 0).collect();
    all.sort_by_key(|(place, count)| (std::cmp::Reverse(*count), place.clone()));
    let last = all.get(TOP - 1).map_or(1, |one| one.1);
    all.retain(|one| one.1 >= last);
    all
}

/// How the two differ on one program.
#[derive(Default)]
struct Named {
    /// Lines that must be there to compare.
    least: usize,
    /// Blocks that heaptrack's own library brings.
    brought: i64,
    /// The line in a class's own operator, and the line that uses it.
    operator: Option<(String, String)>,
}

impl Named {
    fn apply(&self, mut counts: Counts) -> Counts {
        if let Some((inside, caller)) = &self.operator
            && let Some(number) = counts.remove(inside)
        {
            *counts.entry(caller.clone()).or_default() += number;
        }
        counts
    }
}

/// Runs the program under each and compares; `named` is how they differ.
fn compare(program: &Path, words: &[&str], named: &Named) {
    let words: Vec<OsString> = std::iter::once(program.into())
        .chain(words.iter().map(OsString::from))
        .collect();
    let text = heaptracked(&words, INPUT);
    let options = ["--blame", "innermost", "--by", "stack"];
    let run = options
        .into_iter()
        .fold(Run::new(&words).stdin(INPUT), Run::option);
    let finished = run.finish();
    let report = finished.report();
    let number = report.total().blocks + named.brought;
    let all = format!("calls to allocation functions: {number} (");
    let theirs = text
        .lines()
        .find(|line| line.starts_with("calls to allocation"));
    assert!(text.contains(&all), "{words:?}: {all} is {theirs:?}");
    let theirs = section(
        &text,
        "MOST CALLS TO ALLOCATION FUNCTIONS",
        " calls to allocation",
    );
    let (ours, lines) = counted(report);
    assert_eq!(
        top(&ours),
        top(&named.apply(lined(theirs, &lines))),
        "allocations of {words:?}"
    );
    assert!(
        top(&ours).len() >= named.least,
        "{words:?} shows too little"
    );
}

fn needs_heaptrack() -> bool {
    needs(&["heaptrack", "heaptrack_print"])
}

fn with_files(words: &[(&str, &str)]) -> Vec<PathBuf> {
    let directory = fresh_directory("input");
    let write = |&(name, content): &(&str, &str)| {
        let path = directory.join(name);
        std::fs::write(&path, content).expect("a file to work on");
        path
    };
    words.iter().map(write).collect()
}

/// Check hunspell, a program of C++.
#[test]
fn cpp() {
    let (true, Some(package)) = (needs_heaptrack(), Package::fetched("hunspell-sys-0.3.1")) else {
        return;
    };
    let words: String = (0..500_u32)
        .map(|n| format!("word{}/A\n", n * 7919 % 9973))
        .collect();
    let text: String = (0..9_u32).map(|n| format!("wrod{n}\n")).collect();
    let files = with_files(&[
        (
            "a.aff",
            "SET UTF-8\nTRY esianrtolcdugmphbyfvkw\nSFX A Y 1\nSFX A 0 s .\n",
        ),
        ("a.dic", &format!("500\n{words}")),
        ("text", &text),
    ]);
    let files: Vec<&str> = files.iter().filter_map(|file| file.to_str()).collect();
    let sources = [
        "-O0",
        "-DHUNSPELL_STATIC",
        "-I@/vendor/src/hunspell",
        "@/vendor/src/hunspell/*.cxx",
    ];
    let program = package.compiled(
        "c++",
        &[&sources[..], &["@/vendor/src/tools/example.cxx"]].concat(),
    );
    let named = Named {
        least: TOP,
        ..Named::default()
    };
    compare(&program, &files, &named);
}

/// Check the containers of C++, of which each line is known.
#[test]
fn containers() {
    if needs_heaptrack() && needs(&["c++"]) {
        let program = Target::cpp("containers.cpp").opt("-std=c++17").build();
        let text = std::fs::read_to_string(programs().join("containers.cpp")).expect("a source");
        let line = |marker: &str| {
            let found = text.lines().position(|line| line.contains(marker));
            format!("containers.cpp:{}", found.expect(marker) + 1)
        };
        let named = Named {
            least: TOP,
            operator: Some((line("return std::malloc(size)"), line("keep(new Message)"))),
            ..Named::default()
        };
        compare(&program, &[], &named);
    }
}

/// Check pulldown-cmark, a program of Rust.
#[test]
fn rust() {
    let (true, Some(package)) = (needs_heaptrack(), Package::fetched("pulldown-cmark-0.13.6"))
    else {
        return;
    };
    let text =
        "# Chapter\n\nWith *words* and `code` and [a link](/x).\n\n- one\n- two\n\n".repeat(20);
    let files = with_files(&[("text.md", &text)]);
    let program = package.copied().built("pulldown-cmark", "dev");
    let file = files[0].to_str().expect("UTF-8");
    let named = Named {
        least: 3,
        brought: 1,
        ..Named::default()
    };
    compare(&program, &[file], &named);
}
