//! heapshim and tracemalloc agree, to the byte and the block, on every stack of Python lines, on every CPython of this machine.
//!
//! programs/python_agreement.py is run twice, once under each, and says what it does so that the two runs are the same. Compared
//! is the growth between its two moments, by the whole Python stack and by line. What differs has a cause that is named here:
//! - *C's own memory*: what a library allocates past Python's allocators (`SQLite`'s pages). tracemalloc cannot see it; heapshim
//!   charges it to the Python line that asked for it.
//! - *the look itself*: the program's line at which the two runs differ.

use heapshim_cli::catalog::{Catalog, Word};
use heapshim_cli::model::{Frame, FrameKind, Snapshot};
use heapshim_tests::{
    Amount, Diff, Python, Running, Target, found, fresh_directory, programs, pythons,
};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// As the program has it: inner frames that are compared.
const FRAMES: usize = 23;

const WORKLOADS: [&str; 17] = [
    "json",
    "re",
    "asyncio",
    "decimal",
    "xml",
    "sqlite3",
    "pickle",
    "argparse",
    "collections",
    "csv",
    "datetime",
    "email",
    "threads",
    "classes",
    "exceptions",
    "numbers",
    "text",
];

/// `FILE:LINE`, innermost frame first.
type Stack = Vec<String>;
type Growth = BTreeMap<Stack, Amount>;

fn add(growth: &mut Growth, stack: Stack, bytes: i64, blocks: i64) {
    let amount = growth.entry(stack).or_default();
    amount.bytes += bytes;
    amount.blocks += blocks;
}

/// What tracemalloc had, in the file that the program wrote, with a sign.
fn read(growth: &mut Growth, file: &Path, sign: i64) {
    let text =
        fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    for line in text.lines() {
        let mut words = line.split('\t');
        let mut number = || {
            words
                .next()
                .and_then(|word| word.parse::<i64>().ok())
                .expect("a number")
        };
        let (bytes, blocks) = (number() * sign, number() * sign);
        let stack = words.take(FRAMES).map(str::to_string).collect();
        add(growth, stack, bytes, blocks);
    }
}

fn target(python: &Python, looker: &str, directory: &Path) -> Target {
    let directory = directory.to_str().expect("UTF-8");
    let target = Target::python("python_agreement.py").by(&python.path);
    let target = target.arg(looker).arg(directory).env("PYTHONHASHSEED", "0");
    let target = target.env("HEAPSHIM_DEPTH", "512");
    WORKLOADS
        .iter()
        .fold(target, |target, workload| target.arg(workload))
}

fn tracemallocs(python: &Python) -> Growth {
    let directory = fresh_directory("agreement");
    let running = target(python, "tracemalloc", &directory).bare().spawn();
    assert!(running.finish().0.success(), "{python:?}");
    let mut growth = Growth::new();
    read(&mut growth, &directory.join("after"), 1);
    read(&mut growth, &directory.join("before"), -1);
    growth
}

/// Ours, from the marks that the program took: what Python's allocators gave, and what C's own did.
fn ours(running: &Running) -> [Growth; 2] {
    let catalog = Catalog::of(Some(&running.pid().to_string())).expect("traced");
    let mut growth = [Growth::new(), Growth::new()];
    for (name, sign) in [("after", 1), ("before", -1)] {
        let mark = catalog.get(&Word::Named(name.to_string()));
        let mark = mark.expect("readable").expect("the program took it");
        assert!(mark.snapshot.moment.exact);
        collect(&mark.snapshot, sign, &mut growth);
    }
    growth
}

fn collect(snapshot: &Snapshot, sign: i64, growth: &mut [Growth; 2]) {
    for site in &snapshot.sites {
        let frames = frames(snapshot, site.frame);
        let stack = frames
            .iter()
            .filter_map(|frame| python_line(snapshot, frame));
        let mut stack: Stack = stack.take(FRAMES).collect();
        if stack.is_empty() {
            stack.push("<unknown>:0".to_string());
        }
        let is_cs = frames
            .first()
            .is_some_and(|frame| is_cs_own(snapshot, frame));
        let counters = &site.counters;
        let (bytes, blocks) = (counters.live_bytes() * sign, counters.live_blocks() * sign);
        add(&mut growth[usize::from(is_cs)], stack, bytes, blocks);
    }
}

fn frames(snapshot: &Snapshot, innermost: u32) -> Vec<Frame> {
    let mut frames = Vec::new();
    let mut node = innermost;
    while node != 0 {
        let frame = snapshot.frames[node as usize];
        node = frame.parent;
        frames.push(frame);
    }
    frames
}

fn python_line(snapshot: &Snapshot, frame: &Frame) -> Option<String> {
    let (code, line) = frame.python()?;
    Some(format!("{}:{line}", snapshot.codes[code as usize].file))
}

/// True where neither the interpreter nor an extension module called the allocator: these use Python's.
fn is_cs_own(snapshot: &Snapshot, innermost: &Frame) -> bool {
    let module = innermost
        .module
        .and_then(|id| snapshot.modules.get(id as usize));
    let name = module.and_then(|module| module.path.rsplit('/').next());
    let is_pythons = |name: &str| name.contains("python"); // also `_json.cpython-311-x86_64-linux-gnu.so`
    innermost.kind == FrameKind::Native && !name.is_some_and(is_pythons)
}

/// The lines of the program at which the two runs differ.
fn look() -> Vec<String> {
    let source = programs().join("python_agreement.py");
    let text = fs::read_to_string(&source).expect("the program's source");
    let lines = (1..)
        .zip(text.lines())
        .filter(|(_, line)| line.ends_with("# the look"));
    let lines: Vec<String> = lines
        .map(|(at, _)| format!("{}:{at}", source.display()))
        .collect();
    assert_eq!(lines.len(), 4);
    lines
}

/// Only what grew or shrank, without the look itself.
fn without_look(mut growth: Growth) -> Growth {
    let look = look();
    let is_look = |stack: &Stack| stack.iter().any(|line| look.contains(line));
    growth.retain(|stack, amount| *amount != Amount::default() && !is_look(stack));
    growth
}

fn assert_same(python: &Python, ours: &Growth, theirs: &Growth) {
    let only = |one: &Growth, other: &Growth| -> Vec<String> {
        let differ = one
            .iter()
            .filter(|(stack, amount)| other.get(*stack) != Some(amount));
        let brief = |(stack, amount): (&Stack, &Amount)| {
            format!("{}/{} {}", amount.bytes, amount.blocks, stack.join(" < "))
        };
        differ.map(brief).take(5).collect()
    };
    let (ours_only, theirs_only) = (only(ours, theirs), only(theirs, ours));
    let same = ours_only.is_empty() && theirs_only.is_empty();
    let lists = [ours_only.join("\n"), theirs_only.join("\n")];
    let counts = [ours.len(), theirs.len()];
    assert!(
        same,
        "{python:?} {counts:?}\nheapshim\n{}\ntracemalloc\n{}",
        lists[0], lists[1]
    );
}

/// Check every stack on each CPython, and every line through the command on the system's own: with other builds' debug
/// information, the command takes longer than the program.
#[test]
fn agrees_with_tracemalloc() {
    for python in pythons() {
        let theirs = without_look(tracemallocs(&python));
        assert!(theirs.len() > 400, "{python:?} has {} stacks", theirs.len());
        let running = target(&python, "heapshim", Path::new("/")).spawn();
        assert_eq!(running.said(), "marked", "{python:?}");
        let [pythons_own, cs_own] = ours(&running).map(without_look);
        assert_same(&python, &pythons_own, &theirs);
        if found("python3").as_ref() == Some(&python.path) {
            let diff = running.diff_with(&["before", "after"], &["--blame", "python"]);
            assert_lines(&python, &diff, &[&theirs, &cs_own]);
        }
    }
}

/// Asserts that the command's rows are the sums of these stacks by their innermost line.
fn assert_lines(python: &Python, diff: &Diff, stacks: &[&Growth]) {
    let mut expected = Growth::new();
    for (stack, amount) in stacks.iter().flat_map(|growth| growth.iter()) {
        add(
            &mut expected,
            vec![stack[0].clone()],
            amount.bytes,
            amount.blocks,
        );
    }
    let mut found = Growth::new();
    let rows = diff
        .rows()
        .into_iter()
        .filter(|row| row.json["language"] == "python");
    for row in rows {
        let place = format!(
            "{}:{}",
            row.json["file"].as_str().unwrap_or_default(),
            row.json["line"]
        );
        add(
            &mut found,
            vec![place],
            row.growth().bytes,
            row.growth().blocks,
        );
    }
    let without = |growth: Growth| {
        let mut growth = without_look(growth);
        growth.retain(|stack, _| !stack[0].contains("/python_agreement.py:"));
        growth
    };
    assert_same(python, &without(found), &without(expected));
    diff.assert_adds_up();
}
