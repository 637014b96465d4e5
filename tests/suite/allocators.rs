//! Whichever allocator is behind the shim, the account is the same: glibc's, or one that is preloaded behind it or linked.

use heapshim_tests::{Run, Target, fresh_directory, go, needs, programs, skip, talk};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Other allocators, by the names of their libraries on Debian and of their packages.
const OTHERS: [(&str, &str); 3] = [
    ("libjemalloc.so.2", "libjemalloc2"),
    ("libtcmalloc_minimal.so.4", "libtcmalloc-minimal4"),
    ("libmimalloc.so.2", "libmimalloc2.0"),
];

fn library(name: &str) -> Option<PathBuf> {
    let directories = [
        "/usr/lib/x86_64-linux-gnu",
        "/usr/lib/aarch64-linux-gnu",
        "/usr/lib64",
        "/usr/lib",
    ];
    let paths = directories.map(|directory| Path::new(directory).join(name));
    paths.into_iter().find(|path| path.exists())
}

/// Asserts the rows of a program that knows its answer: over one allocator, or in another environment.
pub(crate) fn check(target: Target) {
    let mut running = target.spawn();
    running.mark("warm");
    running.step(b"go");
    let diff = running.diff(&["warm", "now"]);
    diff.assert_rows(&running.expected());
    diff.assert_complete();
    assert!(running.finish().0.success());
}

/// The libraries of those that there are.
pub(crate) fn others() -> Vec<PathBuf> {
    let found = OTHERS.into_iter().map(|(name, package)| {
        let library = library(name);
        if library.is_none() {
            skip(package);
        }
        library
    });
    found.flatten().collect()
}

/// Asserts a program's rows over each of the other allocators.
fn check_each(target: &Target) {
    for library in others() {
        check(target.clone().behind(&library));
    }
}

/// Check C over each.
#[test]
fn c() {
    check_each(&Target::c("leak.c"));
}

/// Check C++ over each: these allocators have operators of their own, which never call malloc.
#[test]
fn cpp() {
    check_each(&Target::cpp("operators.cpp"));
}

/// Check an operator that throws. Not over mimalloc, whose C build ends the program instead, with and without the shim.
#[test]
fn cpp_that_throws() {
    for (name, package) in &OTHERS[..2] {
        match library(name) {
            Some(library) => check(Target::cpp("throws.cpp").behind(&library)),
            None => skip(package),
        }
    }
}

/// Check Rust over each.
#[test]
fn rust() {
    if needs(&["rustc"]) {
        check_each(&Target::rust("leak.rs").opt("-Copt-level=2"));
    }
}

/// Check threads over each.
#[test]
fn threads() {
    for library in others() {
        let mut running = Target::c("waves.c").behind(&library).spawn();
        running.mark("warm");
        running.step(b"go");
        let diff = running.diff(&["warm", "now"]);
        for expected in running.expected() {
            diff.row(&expected.file, expected.line).assert(&expected);
        }
    }
}

/// Check jemalloc's own interface over glibc, which lacks it, and over jemalloc.
#[test]
fn extended_interface() {
    check(Target::c("extended.c"));
    match library(OTHERS[0].0) {
        Some(library) => check(Target::c("extended.c").behind(&library)),
        None => skip(OTHERS[0].1),
    }
}

/// Check a program that is linked with its allocator.
#[test]
fn linked() {
    match library(OTHERS[0].0) {
        Some(library) => {
            let link = library.to_str().expect("UTF-8");
            check(Target::c("leak.c").opt("-Wl,--no-as-needed").opt(link));
            check(
                Target::cpp("operators.cpp")
                    .opt("-Wl,--no-as-needed")
                    .opt(link),
            );
        }
        None => skip(OTHERS[0].1),
    }
}

/// What a report begins with where the program has an allocator that is not seen.
const OWN: &str =
    "this program has an allocator of its own linked in: what it allocates with that is not seen";

/// Check that real programs with allocators of their own say so: a browser (PartitionAlloc), and a compiler that exports jemalloc itself.
#[test]
fn own_in_the_wild() {
    let rustc = Command::new("rustc").args(["--print", "sysroot"]).output();
    let rustc = rustc.expect("the compiler that built this");
    let sysroot = String::from_utf8(rustc.stdout).expect("UTF-8");
    let rustc = format!("{}/bin/rustc", sysroot.trim());
    let words = [&rustc, "--version"];
    let chromium = "/usr/lib/chromium/chromium";
    if !std::path::Path::new(chromium).exists() {
        return skip("chromium");
    }
    for words in [words, [chromium, "--version"]] {
        let finished = Run::new(&words).finish();
        assert!(finished.status.success(), "{words:?}");
        let notes = finished.report().json()["notes"].to_string();
        assert!(notes.contains(OWN), "{words:?} {notes}");
    }
}

/// Check that the C code of a Go program is accounted to the block, on the stacks that Go calls C on, and that its own allocator is named.
#[test]
fn gos_own() {
    let Some(go) = go() else {
        return;
    };
    let directory = fresh_directory("cgo");
    let (source, program) = (programs().join("cgo.go"), directory.join("cgo"));
    let mut compiler = Command::new(go);
    compiler.arg("build").arg("-o").arg(&program).arg(&source);
    compiler
        .env("GO111MODULE", "off")
        .env("GOCACHE", directory.join("cache"));
    let built = compiler.output().expect("go starts");
    assert!(built.status.success(), "{built:?}");
    let mut running = Target::built(&program, &source).spawn();
    running.step(b"go");
    let diff = running.diff(&["start", "now"]);
    diff.assert_rows(&running.expected());
    diff.assert_adds_up();
    assert_eq!(diff.unattributed("nested_events"), 0);
    let notes = diff.json()["notes"].to_string();
    assert!(notes.contains(OWN), "{notes}");
    assert!(running.finish().0.success());
}

/// Check that a stripped program with an allocator of its own says so in every report, whoever asks, and in `ls` and `doctor`.
#[test]
fn own() {
    let target = Target::c("own_allocator.c").opt("-s");
    let mut running = target.clone().spawn();
    running.mark("warm");
    running.step(b"go");
    let table = running.table(&["warm", "now"]);
    assert_eq!(
        table.lines().nth(1).map(|line| line.split(';').next()),
        Some(Some(OWN)),
        "{table}"
    );
    let diff = running.diff(&["start", "warm"]);
    let notes = diff.json()["notes"].as_array().expect("notes").clone();
    assert!(
        notes[0].as_str().is_some_and(|note| note.starts_with(OWN)),
        "{notes:?}"
    );
    let listed = String::from_utf8(talk(&["ls"]).stdout).expect("UTF-8");
    let pid = running.pid().to_string();
    let line = listed
        .lines()
        .find(|line| line.trim_start().starts_with(&pid));
    assert!(line.is_some_and(|line| line.contains(OWN)), "{listed}");
    assert!(running.finish().0.success());
    let finished = Run::new(&target.words()).stdin(b"go\ngo\n").finish();
    let notes = finished.report().json()["notes"].to_string();
    assert!(notes.contains(OWN), "{notes}");
    let usual = Target::c("leak.c").opt("-s").spawn();
    assert!(!usual.table(&["start", "now"]).contains(OWN));
}

/// What is said of an allocator that nothing names.
const SUPPOSED: &str = "it hardly calls malloc, yet has much anonymous memory";

/// Check that a stripped program whose allocator prints nothing is told by its memory, once it has some, by reports and by `doctor`; and
/// that neither a program which has as much from malloc is, nor one which has said whose allocator it is.
#[test]
fn own_by_symptom() {
    let mut running = Target::c("own_allocator.c")
        .opt("-s")
        .opt("-DQUIET")
        .spawn();
    running.mark("warm");
    assert!(!running.table(&["start", "warm"]).contains(SUPPOSED));
    running.step(b"go");
    let table = running.table(&["warm", "now"]);
    let note = table.lines().nth(1).expect("a note");
    assert!(note.starts_with(SUPPOSED), "{table}");
    let notes = running.diff(&["start", "now"]).json()["notes"].to_string();
    assert!(notes.contains(SUPPOSED), "{notes}");
    let pid = running.pid().to_string();
    let found = String::from_utf8(talk(&["doctor", "-p", &pid]).stdout).expect("UTF-8");
    assert!(found.contains(SUPPOSED), "{found}");
    let mut named = Target::c("own_allocator.c").opt("-s").spawn();
    named.step(b"go");
    let table = named.table(&["start", "now"]);
    assert!(table.contains(OWN) && !table.contains(SUPPOSED), "{table}");
    let mut large = Target::c("rss.c").spawn();
    large.step(b"h");
    let table = large.table(&["start", "now"]);
    assert!(!table.contains(SUPPOSED), "{table}");
}
