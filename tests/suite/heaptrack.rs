//! The oracle for lines: heaptrack, which sees the same program with the same input, names the same innermost lines.
//!
//! Compared is, of the innermost line outside the allocator (`--blame innermost`), how many allocations it made, as `heaptrack_print` has
//! it; how many bytes, and how many bytes and blocks are live at the end, as its trace has it (`heaptrack_print` rounds bytes, and prints
//! how often a line that leaks was run, not how many blocks it left); and the sums of all. Four differences have names. heaptrack finds
//! no line for some addresses of which the debug information has one, and has their function alone: those are added to the line that we
//! find in that function. It charges the line in a class's own `operator new`, which is an allocator to us, who charge its caller. The
//! C++ library has a pool for exceptions, which heaptrack has it free at the end. Its own library brings that pool into
//! programs of other languages.

use heapshim_tests::{
    Amount, Diff, HeaptrackLines, Held, Package, Run, Target, Where, as_long_as_ours, environment,
    fresh_directory, needs, programs,
};
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

/// Runs the program under heaptrack: what heaptrack_print says of it, and the trace itself.
pub(crate) fn heaptracked(words: &[OsString], input: &[u8]) -> (String, HeaptrackLines) {
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
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let mut unpack = Command::new("zstd");
    let unpack = unpack.arg("-dcq").arg(file.with_extension("zst"));
    let trace = unpack.output().expect("zstd starts").stdout;
    (text, HeaptrackLines::read(&String::from_utf8_lossy(&trace)))
}

/// What our lines hold, by place.
type Lines = BTreeMap<String, Held>;

/// The same of ours, and the line of each function that has but one.
fn counted(report: &Diff) -> (Lines, BTreeMap<String, String>) {
    let (mut held, mut lines) = (Lines::new(), BTreeMap::new());
    for row in report.rows() {
        if let (Some(file), Some(line)) = (row.file_name(), row.json["line"].as_u64()) {
            let place = place(file, &line.to_string());
            let sum = held.entry(place.clone()).or_default();
            sum.total += row.total();
            sum.live += row.growth();
            let function = row.json["function"].as_str().unwrap_or_default();
            lines.insert(function.to_string(), place);
        }
    }
    (held, lines)
}

/// Our line of a function that heaptrack has found no line of.
fn line_of<'a>(function: &str, lines: &'a BTreeMap<String, String>) -> Option<&'a String> {
    let is_it = |name: &&String| function == **name || function.starts_with(&format!("{name}("));
    lines.keys().find(is_it).map(|name| &lines[name])
}

/// Adds what heaptrack has by function alone to the line that we have of it.
fn lined(section: Section, lines: &BTreeMap<String, String>) -> Counts {
    let mut counts = section.by_line;
    for (function, number) in section.by_function {
        if let Some(line) = line_of(&function, lines) {
            *counts.entry(line.clone()).or_default() += number;
        }
    }
    counts
}

/// The same of the trace.
fn lined_trace(trace: &HeaptrackLines, lines: &BTreeMap<String, String>) -> Lines {
    let mut found = Lines::new();
    for (at, held) in &trace.0 {
        let place = match at {
            Where::Line(file, line) => Some(place(file, &line.to_string())),
            Where::Function(name) => line_of(name, lines).cloned(),
        };
        if let Some(place) = place {
            let sum = found.entry(place).or_default();
            sum.total += held.total;
            sum.live += held.live;
        }
    }
    found
}

/// One of the numbers of each line.
fn measured(lines: &Lines, measure: Measure) -> Counts {
    let each = lines.iter();
    each.map(|(place, held)| (place.clone(), measure(held)))
        .collect()
}

/// The lines of the greatest counts: as many as are asked for, and all that are as great as the last.
fn top(counts: &Counts) -> Vec<(String, i64)> {
    let mut all: Vec<(String, i64)> = counts.clone().into_iter().filter(|one| one.1 > 0).collect();
    all.sort_by_key(|(place, count)| (std::cmp::Reverse(*count), place.clone()));
    let last = all.get(TOP - 1).map_or(1, |one| one.1);
    all.retain(|one| one.1 >= last);
    all
}

/// The C++ library's pool for exceptions, one block: heaptrack has the library free it at the end.
pub(crate) const POOL: Amount = Amount {
    bytes: 72_704,
    blocks: 1,
};

/// Who has brought the C++ library, and its pool, into the program.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
enum Library {
    /// The program: the pool is live at its end.
    #[default]
    Own,
    /// heaptrack's own library: without it there is none.
    Brought,
}

/// How the two differ on one program.
#[derive(Default)]
struct Named {
    /// Lines that must be there to compare.
    least: usize,
    /// Whose the C++ library is.
    library: Library,
    /// The line in a class's own operator, and the line that uses it.
    operator: Option<(String, String)>,
}

impl Named {
    /// What heaptrack alone has allocated.
    fn brought(&self) -> Amount {
        match self.library {
            Library::Own => Amount::default(),
            Library::Brought => POOL,
        }
    }

    /// What we alone have as live.
    fn kept(&self) -> Amount {
        match self.library {
            Library::Own => POOL,
            Library::Brought => Amount::default(),
        }
    }

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
    let (text, trace) = heaptracked(&words, INPUT);
    let options = ["--blame", "innermost", "--by", "stack"];
    let run = options
        .into_iter()
        .fold(Run::new(&words).stdin(INPUT), Run::option);
    let finished = run.finish();
    let report = finished.report();
    let number = report.total().blocks + named.brought().blocks;
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
    let calls = top(&measured(&ours, |held| held.total.blocks));
    assert_eq!(
        calls,
        top(&named.apply(lined(theirs, &lines))),
        "allocations of {words:?}"
    );
    assert!(calls.len() >= named.least, "{words:?} shows too little");
    assert_same_held(report, &ours, &trace, &lines, named);
}

/// One of the numbers of a line.
type Measure = fn(&Held) -> i64;

/// What no text of heaptrack's has exactly.
const MEASURES: [(&str, Measure); 3] = [
    ("bytes allocated", |held| held.total.bytes),
    ("bytes live at the end", |held| held.live.bytes),
    ("blocks live at the end", |held| held.live.blocks),
];

fn assert_same_held(
    report: &Diff,
    ours: &Lines,
    trace: &HeaptrackLines,
    lines: &BTreeMap<String, String>,
    named: &Named,
) {
    let mut all = Held::default();
    for held in trace.0.values() {
        all.total += held.total;
        all.live += held.live;
    }
    all.live += named.kept();
    let mut total = report.total();
    total += named.brought();
    assert_eq!(total, all.total, "all that was allocated");
    assert_eq!(report.growth(), all.live, "all that is live at the end");
    let theirs = lined_trace(trace, lines);
    for (what, measure) in MEASURES {
        let theirs = named.apply(measured(&theirs, measure));
        assert_eq!(top(&measured(ours, measure)), top(&theirs), "{what}");
    }
}

pub(crate) fn needs_heaptrack() -> bool {
    needs(&["heaptrack", "heaptrack_print", "zstd"])
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
    let program = as_long_as_ours(&package.copied().built("pulldown-cmark", "dev"));
    let file = files[0].to_str().expect("UTF-8");
    let named = Named {
        least: 3,
        library: Library::Brought,
        ..Named::default()
    };
    compare(&program, &[file], &named);
}
