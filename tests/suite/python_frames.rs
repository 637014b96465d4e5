//! Python's frames in stacks agree with the interpreter's own view, on every CPython of this machine.
//!
//! programs/python_frames.py asks for large blocks at random places of random programs, and notes what `sys._getframe` says there. Compared is
//! the whole account of these blocks: how many blocks and bytes each Python stack (file, line, qualified name) allocated.

use heapshim_cli::model::{FrameKind, Site, Snapshot};
use heapshim_cli::store::read_file;
use heapshim_tests::{
    Compiler, Python, Run, Target, assert_same_stacks, builds, found, fresh_directory, needs,
    programs, shared_library,
};
use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::Command;

/// The least size of the blocks that are compared; nothing else in these programs asks for as much.
const LARGE: u64 = 1_000_000;

/// Frames of the shim's own in the stack of a block that Python's allocator gets from malloc: they count for the depth, and are not shown.
const HIDDEN: usize = 2;

/// File, line and name, innermost frame first.
pub(crate) type Stack = Vec<(String, u64, String)>;
/// Blocks and bytes by stack.
pub(crate) type Stacks = BTreeMap<Stack, (u64, u64)>;

fn is_large(site: &Site) -> bool {
    let counters = site.counters;
    counters.allocated_blocks > 0 && counters.allocated_bytes / counters.allocated_blocks >= LARGE
}

/// The Python frames of the sites that allocated large blocks.
fn large_blocks(snapshot: &Snapshot) -> Stacks {
    let mut stacks = Stacks::new();
    for site in snapshot.sites.iter().filter(|site| is_large(site)) {
        let (stack, _, _) = frames_of(snapshot, site.frame);
        let entry = stacks.entry(stack).or_default();
        entry.0 += site.counters.allocated_blocks;
        entry.1 += site.counters.allocated_bytes;
    }
    stacks
}

/// A stack's Python frames, how many others there are, and whether it was cut.
pub(crate) fn frames_of(snapshot: &Snapshot, innermost: u32) -> (Stack, usize, bool) {
    let (mut stack, mut native, mut is_cut) = (Stack::new(), 0, false);
    let mut node = innermost;
    while node != 0 {
        let frame = &snapshot.frames[node as usize];
        match (frame.python(), frame.kind) {
            (Some((code, line)), _) => {
                let code = &snapshot.codes[code as usize];
                stack.push((code.file.clone(), line.into(), code.name.clone()));
            }
            (None, FrameKind::Truncated) => is_cut = true,
            (None, FrameKind::Native | FrameKind::NativeExact | FrameKind::Unknown) => native += 1,
            // The thread's label.
            (None, _) => {}
        }
        node = frame.parent;
    }
    (stack, native, is_cut)
}

/// What the program noted.
fn noted(file: &Path) -> Stacks {
    let text = fs::read_to_string(file).expect("the program's notes");
    let notes: Vec<(u64, u64, Stack)> = serde_json::from_str(&text).expect("JSON as it says");
    let mut stacks = Stacks::new();
    for (blocks, bytes, stack) in notes {
        let entry = stacks.entry(stack).or_default();
        entry.0 += blocks;
        entry.1 += bytes;
    }
    stacks
}

fn assert_same(what: &str, found: &Stacks, expected: &Stacks) {
    assert_same_stacks(what, found, expected, |stack| format!("{stack:?}"));
}

/// Runs a program with FILE as its last word, and gives its account and its notes.
pub(crate) fn run(
    python: &Python,
    words: &[&str],
    environment: &[(&str, &str)],
) -> (Snapshot, std::path::PathBuf) {
    let file = fresh_directory("frames").join("seen.json");
    let mut all: Vec<OsString> = vec![python.path.clone().into()];
    all.extend(words.iter().map(OsString::from));
    all.push(file.clone().into());
    let mut run = Run::new(&all).quiet();
    for (name, value) in environment.iter().chain(python.plain()) {
        run = run.env(name, *value);
    }
    let finished = run.finish();
    assert!(finished.status.success(), "{python:?}: {finished:?}");
    let [mark] = &finished.marks[..] else {
        panic!("{python:?}: {} processes", finished.marks.len());
    };
    let snapshot = read_file(mark)
        .expect("a mark that was just written")
        .snapshot;
    (snapshot, file)
}

pub(crate) fn program(name: &str) -> String {
    let path = programs().join(name);
    path.to_str().expect("a UTF-8 path").to_string()
}

fn check_random(seed: &str, count: &str) {
    for python in builds() {
        let words = [&program("python_frames.py"), seed, count];
        let (snapshot, file) = run(&python, &words, &[("HEAPSHIM_DEPTH", "512")]);
        let expected = noted(&file);
        assert!(expected.len() > 200, "only {} stacks", expected.len());
        let what = format!("{python:?} seed {seed}");
        assert_same(&what, &large_blocks(&snapshot), &expected);
        assert_eq!(snapshot.losses.nested_events, 0, "{what}");
    }
}

/// Check random programs: generators, coroutines, asyncio, exceptions, recursion, threads, callbacks from C, allocations without the GIL, code that
/// is made and collected, and the same C stack under different lines.
#[test]
fn random_programs() {
    check_random("1", "60");
    check_random("2", "60");
}

/// Check that stacks in sub-interpreters are those of their own frames, also in two that run on two threads at once, each with a GIL of its own.
#[test]
fn sub_interpreters() {
    for python in builds() {
        let (snapshot, file) = run(&python, &[&program("python_inner.py")], &[]);
        let what = format!("{python:?}");
        assert_same(&what, &large_blocks(&snapshot), &noted(&file));
    }
}

/// Check that of stacks deeper than the depth that is kept the innermost frames are right, whatever the depth: as many as that in all, Python's and
/// native ones, and the mark that something is missing.
#[test]
fn deep_recursion() {
    for (python, depth) in builds()
        .iter()
        .flat_map(|python| [(python, 128), (python, 7)])
    {
        let text = depth.to_string();
        let words = [&program("python_deep.py")[..]];
        let (snapshot, file) = run(python, &words, &[("HEAPSHIM_DEPTH", &text)]);
        let expected = noted(&file);
        let sites = snapshot.sites.iter().filter(|site| is_large(site));
        let mut blocks = 0;
        for site in sites {
            let (stack, native, is_cut) = frames_of(&snapshot, site.frame);
            assert!(is_cut, "3.{}: {stack:?}", python.minor);
            let shown = stack.len() + native;
            assert!(
                shown == depth || shown == depth - HIDDEN,
                "3.{}: {stack:?}",
                python.minor
            );
            let like = expected
                .iter()
                .filter(|(whole, _)| whole.starts_with(&stack));
            assert!(like.count() > 0, "3.{}: {stack:?}", python.minor);
            blocks += site.counters.allocated_blocks;
        }
        let total: u64 = expected.values().map(|(blocks, _)| blocks).sum();
        assert_eq!(blocks, total, "3.{}", python.minor);
    }
}

/// Functions that a file exports: address, size, name.
fn exported(file: &str) -> Vec<(u64, u64, String)> {
    let output = Command::new("nm")
        .args(["-D", "-S", "--defined-only", file])
        .output();
    let text = String::from_utf8(output.expect("nm runs").stdout).expect("names are UTF-8");
    let symbol = |line: &str| {
        let mut words = line.split_whitespace();
        let mut number = || u64::from_str_radix(words.next()?, 16).ok();
        let (address, size) = (number()?, number()?);
        Some((address, size, words.nth(1)?.to_string()))
    };
    text.lines().filter_map(symbol).collect()
}

/// The names of a stack, innermost first: Python's, and of native frames those that are exported.
fn names(snapshot: &Snapshot, innermost: u32) -> Vec<String> {
    let mut exports: HashMap<u32, Vec<(u64, u64, String)>> = HashMap::new();
    let (mut names, mut node) = (Vec::new(), innermost);
    while node != 0 {
        let frame = &snapshot.frames[node as usize];
        let native = frame.module.filter(|_| frame.kind == FrameKind::Native);
        if let Some((code, _)) = frame.python() {
            names.push(snapshot.codes[code as usize].name.clone());
        } else if let Some(module) = native {
            let path = &snapshot.modules[module as usize].path;
            let functions = exports.entry(module).or_insert_with(|| exported(path));
            let at = frame.value - 1;
            let name = functions
                .iter()
                .find(|(start, size, _)| (*start..start + size).contains(&at));
            names.extend(name.map(|(_, _, name)| name.clone()));
        }
        node = frame.parent;
    }
    names
}

/// Check the true order: an allocation's C code inside of its Python line, C code that called Python between the two Python functions, and no
/// evaluator left.
#[test]
fn true_order() {
    if !needs(&["nm"]) {
        return;
    }
    for python in builds() {
        let (snapshot, _) = run(&python, &[&program("python_order.py")], &[]);
        let site = snapshot
            .sites
            .iter()
            .find(|site| site.counters.allocated_bytes == 3_000_002);
        let names = names(&snapshot, site.expect("the block").frame);
        let place = |name: &str| {
            let found = names.iter().position(|found| found.ends_with(name));
            found.unwrap_or_else(|| panic!("3.{}: no {name} in {names:?}", python.minor))
        };
        let order = [
            "PyByteArray_Resize",
            "__del__",
            "PyObject_CallFinalizerFromDealloc",
            "out",
            "<module>",
        ];
        assert!(
            order.iter().map(|name| place(name)).is_sorted(),
            "3.{}: {names:?}",
            python.minor
        );
        assert!(
            !names.iter().any(|name| name.contains("EvalFrameDefault")),
            "3.{}: {names:?}",
            python.minor
        );
    }
}

/// Check that the stacks of a program with an interpreter that is not known are native, and that this is said.
#[test]
fn unknown_interpreter() {
    let running = Target::c("no_python.c").opt("-rdynamic").spawn();
    let diff = running.diff(&["start", "now"]);
    let row = diff.find("no_python.c", 9).expect("the block's line");
    assert_eq!(row.json["growth_bytes"], 4096, "{row:?}");
    let notes = diff.json()["notes"].as_array().expect("notes");
    let said = notes.iter().filter_map(|note| note.as_str());
    let of_python = said.filter(|note| note.contains("this build of Python is not known"));
    assert_eq!(of_python.count(), 1, "{notes:?}");
}

/// How often an interpreter ends with its threads at work: which thread is where then is chance.
const ENDS: usize = 4;

/// Check that threads which allocate without the GIL while the interpreter ends, and has their states deleted under them, have their own stack, or from
/// then on none of Python's, and never another; and that the program ends well.
#[test]
fn ending_under_threads() {
    let library = shared_library("churn.c", &[]);
    let words = [
        program("python_ending.py"),
        library.to_str().expect("UTF-8").to_string(),
    ];
    let words = words.each_ref().map(String::as_str);
    for python in builds().iter().flat_map(|python| [python; ENDS]) {
        let (snapshot, file) = run(python, &words, &[]);
        let (found, expected) = (large_blocks(&snapshot), noted(&file));
        let without: Stack = Stack::new();
        let others = found
            .keys()
            .filter(|stack| **stack != without && !expected.contains_key(*stack));
        assert_eq!(
            others.collect::<Vec<_>>(),
            Vec::<&Stack>::new(),
            "{python:?}"
        );
        let blocks = |stack: &Stack| found.get(stack).map_or(0, |(blocks, _)| *blocks);
        assert!(
            expected.keys().all(|stack| blocks(stack) >= 100),
            "{found:?}"
        );
    }
}

/// Check that a thread which is in the middle of an allocation while the interpreter deletes its state, and gives its memory to others, has none of Python's
/// frames, and none from then on. (Without the question after its state was read, the program dies of what it reads there, or has another's frames before
/// 3.9; without the one before, a thread that is held has its frames, as it has read them by then.)
#[test]
fn ended_under_threads() {
    let library = shared_library("held.c", &[]);
    let words = [
        program("python_ended.py"),
        library.to_str().expect("UTF-8").to_string(),
    ];
    let words = words.each_ref().map(String::as_str);
    for python in builds() {
        let (snapshot, file) = run(&python, &words, &[]);
        let (found, expected) = (large_blocks(&snapshot), noted(&file));
        assert_eq!(expected.len(), 4, "three threads' own stacks, and none");
        assert_same(&format!("{python:?}"), &found, &expected);
    }
}

/// The options that Debian's headers and libpython need.
fn embedding() -> Vec<String> {
    let config = found("python3-config").expect("`needs` has found it");
    let words = ["--embed", "--includes", "--ldflags"];
    let output = Command::new(config).args(words).output();
    let text = String::from_utf8(output.expect("it runs").stdout).expect("UTF-8");
    // The harness names libraries before the source.
    let first = std::iter::once("-Wl,--no-as-needed");
    first
        .chain(text.split_whitespace())
        .map(String::from)
        .collect()
}

/// Check that an interpreter that is embedded, ends, and begins again has its frames while it lives and in its last moments, and none before and
/// after.
#[test]
fn embedded_twice() {
    if !needs(&["python3-config"]) {
        return;
    }
    let program = Compiler::C.compile(&programs().join("embedded.c"), &embedding());
    let finished = Run::new(&[program]).quiet().finish();
    assert!(finished.status.success(), "{finished:?}");
    let mark = read_file(&finished.marks[0]).expect("a mark that was just written");
    let stack = |frames: &[(u64, &str)]| -> Stack {
        let frame = |(line, name): &(u64, &str)| ("<string>".into(), *line, name.to_string());
        frames.iter().map(frame).collect()
    };
    let expected = [
        (stack(&[]), (4, 6_800_000)),
        (stack(&[(1, "f"), (2, "<module>")]), (2, 3_600_002)),
        (stack(&[(2, "last")]), (2, 3_200_002)),
        (stack(&[(5, "Ending.__del__")]), (2, 3_400_002)),
    ];
    let found = large_blocks(&mark.snapshot);
    assert_same("embedded", &found, &Stacks::from(expected));
}
