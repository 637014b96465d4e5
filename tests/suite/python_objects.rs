//! Every object of a CPython is counted once, at the size that was asked for, on every CPython of this machine.
//!
//! programs/python_objects.py makes objects of known sizes, each kind at a line of its own, and prints what that comes to. Compared are
//! blocks, bytes and frees of all stacks whose innermost Python frame is such a line: nothing else allocates there.

use heapshim_cli::model::{Counters, Snapshot};
use heapshim_cli::store::read_file;
use heapshim_tests::{
    Finished, Python, Run, Target, Verdict, bare, builds, found, needs_debug_build, programs, skip,
    tests_of_python,
};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

/// How an interpreter is started, and what its allocators add to an object.
#[derive(Clone, Copy, Debug)]
struct Way {
    options: &'static [&'static str],
    environment: &'static [(&'static str, &'static str)],
    /// Added to an object that pymalloc serves, to one that goes to malloc, and the largest that pymalloc serves.
    added: [u32; 3],
}

/// pymalloc serves 512 bytes; the rest is malloc's as it is.
const PLAIN: [u32; 3] = [0, 0, 512];

impl Way {
    const fn new(options: &'static [&'static str]) -> Way {
        Way {
            options,
            environment: &[],
            added: PLAIN,
        }
    }

    const fn malloc(name: &'static [(&'static str, &'static str)]) -> Way {
        Way {
            options: &[],
            environment: name,
            added: PLAIN,
        }
    }

    /// A debug allocator's header and trailer take `words` words (four up to 3.7, which ends with a serial number). Objects that pymalloc serves are
    /// noted as they are asked for, in front of it; malloc sees one more for each allocator that it comes through.
    fn added(self, python: &Python) -> [u32; 3] {
        let debug = if python.minor <= 7 { 32 } else { 24 };
        let name = self.environment.first().map_or("", |(_, value)| value);
        match name {
            "malloc_debug" => [debug, debug, 0],
            "debug" | "pymalloc_debug" => [0, 2 * debug, 512 - debug],
            _ if python.debug && !["malloc", "pymalloc"].contains(&name) => {
                [0, 2 * debug, 512 - debug]
            }
            _ if self.options == ["-X", "dev"] => [0, 2 * debug, 512 - debug],
            _ => self.added,
        }
    }
}

/// Line of the program → blocks, bytes, blocks freed.
type Lines = BTreeMap<u32, (u64, u64, u64)>;

fn run(python: &Python, way: Way, word: &str) -> Finished {
    let mut words: Vec<OsString> = vec![python.path.clone().into()];
    words.extend(way.options.iter().map(OsString::from));
    words.push(programs().join("python_objects.py").into());
    words.extend(way.added(python).map(|number| number.to_string().into()));
    words.push(word.into());
    let mut run = Run::new(&words).quiet();
    for (name, value) in way.environment {
        run = run.env(name, *value);
    }
    let finished = run.finish();
    assert!(
        finished.status.success(),
        "{python:?} {way:?}: {finished:?}"
    );
    finished
}

fn snapshots(finished: &Finished) -> Vec<Snapshot> {
    let read = |path: &PathBuf| {
        read_file(path)
            .expect("a mark that was just written")
            .snapshot
    };
    finished.marks.iter().map(read).collect()
}

fn expected(finished: &Finished) -> Lines {
    let text = String::from_utf8(finished.stdout.clone()).expect("numbers");
    let mut lines = Lines::new();
    for line in text.lines() {
        let numbers: Vec<u64> = line
            .split(' ')
            .map(|word| word.parse().expect("a number"))
            .collect();
        let number = u32::try_from(numbers[0]).expect("a line");
        lines.insert(number, (numbers[1], numbers[2], numbers[3]));
    }
    lines
}

/// The line of the program that a stack's innermost Python frame runs.
fn line_of(snapshot: &Snapshot, mut node: u32) -> Option<u32> {
    while node != 0 {
        let frame = &snapshot.frames[node as usize];
        if let Some((code, line)) = frame.python() {
            let file = &snapshot.codes[code as usize].file;
            return file.ends_with("python_objects.py").then_some(line);
        }
        node = frame.parent;
    }
    None
}

/// What the account says of these lines.
fn counted(snapshot: &Snapshot, wanted: &Lines) -> Lines {
    let mut lines = Lines::new();
    for site in &snapshot.sites {
        let line = line_of(snapshot, site.frame).filter(|line| wanted.contains_key(line));
        if let Some(line) = line {
            let Counters {
                allocated_blocks,
                allocated_bytes,
                freed_blocks,
                ..
            } = site.counters;
            let entry = lines.entry(line).or_default();
            entry.0 += allocated_blocks;
            entry.1 += allocated_bytes;
            entry.2 += freed_blocks;
        }
    }
    lines
}

/// No block is freed more often than it was made, and none was missed.
fn assert_sound(snapshot: &Snapshot, what: &str) {
    for site in &snapshot.sites {
        let counters = site.counters;
        assert!(
            counters.freed_blocks <= counters.allocated_blocks
                && counters.freed_bytes <= counters.allocated_bytes,
            "{what}: {counters:?}"
        );
    }
    assert_eq!(
        (
            snapshot.losses.foreign_frees,
            snapshot.losses.untracked_blocks
        ),
        (0, 0),
        "{what}"
    );
    assert_eq!(snapshot.complaints, 0, "{what}");
}

fn check(python: &Python, way: Way, word: &str) {
    let finished = run(python, way, word);
    let wanted = expected(&finished);
    assert!(wanted.len() >= 2, "{finished:?}");
    let what = format!("{python:?} {way:?} {word}");
    let all = snapshots(&finished);
    let [snapshot] = &all[..] else {
        panic!("{what}: {} processes", all.len());
    };
    assert_eq!(counted(snapshot, &wanted), wanted, "{what}");
    assert_sound(snapshot, &what);
}

fn check_all(ways: &[Way]) {
    for python in builds() {
        for way in ways {
            check(&python, *way, "");
        }
    }
}

/// Check instances, tuples, bytes around pymalloc's limit and lists that outgrow it.
#[test]
fn counted_once() {
    needs_debug_build();
    check_all(&[Way::new(&[])]);
}

/// Check interpreters that ignore the environment, and that import nothing of the site.
#[test]
fn with_options() {
    check_all(&[Way::new(&["-I"]), Way::new(&["-E", "-S"])]);
}

/// Check that tracemalloc, which wraps what is wrapped and unwraps it, changes nothing when it has stopped.
#[test]
fn after_tracemalloc() {
    for python in builds() {
        check(&python, Way::new(&[]), "traced");
    }
}

/// Check the allocators that a user can ask for: the interpreter sets them after it was wrapped.
#[test]
fn other_allocators() {
    check_all(&[
        Way::malloc(&[("PYTHONMALLOC", "malloc")]),
        Way::malloc(&[("PYTHONMALLOC", "pymalloc")]),
    ]);
}

/// Check the debug allocators, which add to each object, and go twice through themselves to malloc.
#[test]
fn debug_allocators() {
    check_all(&[
        Way::malloc(&[("PYTHONMALLOC", "debug")]),
        Way::malloc(&[("PYTHONMALLOC", "pymalloc_debug")]),
        Way::malloc(&[("PYTHONMALLOC", "malloc_debug")]),
        Way::new(&["-X", "dev"]),
    ]);
}

/// Check objects that many threads make.
#[test]
fn in_threads() {
    for python in builds() {
        check(&python, Way::new(&[]), "threads");
    }
}

/// Check a forked child: it frees objects of its parent's at their lines, and its own account has only what it made.
#[test]
fn in_a_child() {
    for python in builds() {
        let finished = run(&python, Way::new(&[]), "fork");
        let wanted = expected(&finished);
        let all = snapshots(&finished);
        let mut accounts: Vec<Lines> = all.iter().map(|one| counted(one, &wanted)).collect();
        accounts.sort();
        let freed_there: Lines = wanted.keys().map(|line| (*line, (0, 0, 50))).collect();
        assert_eq!(accounts, [freed_there, wanted], "3.{}", python.minor);
    }
}

/// Check that it can be switched off: then pymalloc's objects are not seen, and nothing else changes.
#[test]
fn switched_off() {
    const OFF: Way = Way::malloc(&[("HEAPSHIM_PYTHON", "off")]);
    for python in builds() {
        let finished = run(&python, OFF, "");
        let wanted = expected(&finished);
        let all = snapshots(&finished);
        assert_eq!(counted(&all[0], &wanted), Lines::new());
        assert!(all[0].codes.is_empty());
    }
}

/// CPython's own tests of memory, threads, frames, descriptors and processes, with the least number of cases that each has in any version. (What takes
/// minutes is run by `cargo xtask suites`.)
const ITS_OWN: [(&str, usize); 12] = [
    ("test_gc", 30),
    ("test_generators", 20),
    ("test_coroutines", 50),
    ("test_asyncgen", 20),
    ("test_tracemalloc", 40),
    ("test_threading", 80),
    ("test_threading_local", 10),
    ("test_context", 20),
    ("test_frame", 10),
    ("test_ctypes", 300),
    ("test_embed", 1),
    ("test_subprocess", 150),
];

/// Check that each case of CPython's own tests ends as it does without the shim.
#[test]
fn its_own_tests() {
    let path = found("python3").expect("the suite needs it");
    let python = builds().into_iter().find(|python| python.path == path);
    let import = ["-c", "import test.test_gc, test.test_generators"];
    let words = [path.into_os_string()].into_iter();
    let words: Vec<OsString> = words.chain(import.map(OsString::from)).collect();
    let Some(python) = python.filter(|_| bare(&words, b"").0.success()) else {
        return skip("CPython's testsuite");
    };
    let modules = ITS_OWN.map(|(module, _)| module);
    for (test, (_, least)) in tests_of_python(&python, &modules).iter().zip(ITS_OWN) {
        match test.run() {
            Verdict::Same(cases) => assert!(cases >= least, "{}: {cases} cases", test.name),
            // It differs from itself, too, as tests that measure time do on a loaded machine: that proves nothing.
            Verdict::Unsteady(_) => {}
            Verdict::Differs(how) => panic!("{}: {how}", test.name),
        }
    }
}

/// The system's libpython, for programs that load it.
fn libpython() -> Option<PathBuf> {
    let entries = std::fs::read_dir("/usr/lib/x86_64-linux-gnu")
        .into_iter()
        .flatten()
        .flatten();
    let mut paths = entries.map(|entry| entry.path());
    let is_it = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("libpython3.") && name.ends_with(".so.1.0")
    };
    let found = paths.find(is_it);
    if found.is_none() {
        skip("libpython3");
    }
    found
}

/// The program makes 1,000 objects and an iterator in each of three rounds.
fn check_embedded(environment: &[(&str, &str)], word: &str) {
    let Some(library) = libpython() else {
        return;
    };
    let mut target = Target::c("python_embedded.c").opt("-ldl");
    target = target.arg(library.to_str().expect("UTF-8")).arg(word);
    let mut run = Run::new(&target.words()).quiet();
    for (name, value) in environment {
        run = run.env(name, *value);
    }
    let finished = run.finish();
    assert!(finished.status.success(), "{finished:?}");
    for snapshot in snapshots(&finished) {
        let sites = snapshot
            .sites
            .iter()
            .filter(|site| name_of(&snapshot, site.frame) == Some("make"));
        let blocks: u64 = sites
            .clone()
            .map(|site| site.counters.allocated_blocks)
            .sum();
        let freed: u64 = sites.map(|site| site.counters.freed_blocks).sum();
        assert_eq!(
            (blocks, freed),
            (3 * 1001, 3 * 1001),
            "{environment:?} {word}"
        );
        assert_sound(&snapshot, word);
    }
}

/// The name of a stack's innermost Python function.
fn name_of(snapshot: &Snapshot, mut node: u32) -> Option<&str> {
    while node != 0 {
        let frame = &snapshot.frames[node as usize];
        if let Some((code, _)) = frame.python() {
            return Some(&snapshot.codes[code as usize].name);
        }
        node = frame.parent;
    }
    None
}

/// Check a C program that loads an interpreter, starts and ends it three times, and unloads nothing.
#[test]
fn embedded() {
    check_embedded(&[], "");
}

/// Check it with the debug allocators: the interpreter sets them at each start.
#[test]
fn embedded_with_debug_allocators() {
    check_embedded(&[("PYTHONMALLOC", "debug")], "");
}

/// Check one whose interpreter is loaded anew, and so begins with allocators of its own, at each start.
#[test]
fn reloaded() {
    check_embedded(&[], "unload");
}

/// Check that the allocators of a free-threaded build are left alone and that this is said, and that those of the same program with a GIL are not.
#[test]
fn free_threaded() {
    for (option, expected, notes) in [("-DFREE", "left alone", 1), ("-DHAS_GIL", "replaced", 0)] {
        let target = Target::c("free_threaded.c").opt("-rdynamic").opt(option);
        let running = target.spawn();
        assert_eq!(running.said(), expected);
        let diff = running.diff(&["start", "now"]);
        let said = diff.json()["notes"].as_array().cloned().unwrap_or_default();
        let said = said.iter().filter_map(|note| note.as_str());
        let of_python = said.filter(|note| note.contains("this build of Python is not known"));
        assert_eq!(of_python.count(), notes, "{option}");
        let objects: i64 = if notes == 0 { 10_000 } else { 0 };
        assert_eq!(diff.growth().bytes, objects, "{}", diff.listing());
    }
}
