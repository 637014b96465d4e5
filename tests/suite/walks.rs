//! The walk agrees frame by frame with libgcc's unwinder, on every allocation of real programs and of stacks of many shapes.
//!
//! The oracle is preloaded behind the shim, so that it sees the stack of the same allocations; its own frames and the shim's are taken
//! off. Compared is the whole account: how many blocks and bytes each stack allocated. Frames are module and address, not names; Python's
//! frames have their own test.

use heapshim_cli::model::{FrameKind, Snapshot};
use heapshim_cli::store::read_file;
use heapshim_tests::{
    OBJECTS_LEFT_OUT, Run, Stack, Stacks, Target, assert_same_stacks, found, fresh_directory,
    needs, shared_library, walks_in,
};
use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

/// Frames that are kept of a stack: fewer than some have.
const DEPTH: usize = 128;

/// The account of a mark by stack. A stack that was cut or that is the overflow site's ends where its frames end.
pub(crate) fn stacks_of(snapshot: &Snapshot) -> Stacks {
    let mut stacks = Stacks::new();
    for site in &snapshot.sites {
        if site.counters.allocated_blocks > 0 {
            let entry = stacks.entry(stack_of(snapshot, site.frame)).or_default();
            entry.0 += site.counters.allocated_blocks;
            entry.1 += site.counters.allocated_bytes;
        }
    }
    stacks
}

fn stack_of(snapshot: &Snapshot, innermost: u32) -> Stack {
    let mut stack = Stack::new();
    let mut node = innermost;
    while node != 0 {
        let frame = &snapshot.frames[node as usize];
        match (frame.kind, frame.module) {
            (FrameKind::Native | FrameKind::NativeExact, Some(module)) => {
                let path = &snapshot.modules[module as usize].path;
                stack.push((file_name(path), frame.value));
            }
            (FrameKind::Truncated | FrameKind::Thread, _) => {}
            (kind, _) => stack.push((format!("{kind:?}"), frame.value)),
        }
        node = frame.parent;
    }
    stack
}

fn file_name(path: &str) -> String {
    path.rsplit('/').next().unwrap_or(path).to_string()
}

/// What the oracle saw, in the shim's terms: the executable by its name, no more frames than the shim keeps.
fn oracle_stacks(file: &Path, executable: &str) -> Stacks {
    let ours = |module: &str| module.contains("libheapshim") || module.ends_with("/oracle");
    let mut stacks = Stacks::new();
    for (stack, (blocks, bytes)) in walks_in(file, ours) {
        let named = stack.into_iter().take(DEPTH).map(|(module, address)| {
            let name = if module.is_empty() {
                executable
            } else {
                &module
            };
            (file_name(name), address)
        });
        let entry = stacks.entry(named.collect()).or_default();
        entry.0 += blocks;
        entry.1 += bytes;
    }
    stacks
}

fn oracle() -> PathBuf {
    shared_library("oracle.c", &["-O2"])
}

/// The oracle's file of each process that wrote just one: a process that executed another program has two.
fn files_by_pid(directory: &Path) -> HashMap<u32, PathBuf> {
    let entries = fs::read_dir(directory).expect("the oracle's directory");
    let paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    let pid = |path: &Path| path.file_stem()?.to_str()?.parse().ok();
    let mut files = HashMap::new();
    for path in &paths {
        let pid = pid(path).expect("PID.N");
        if paths
            .iter()
            .filter(|other| other.file_stem() == path.file_stem())
            .count()
            == 1
        {
            files.insert(pid, path.clone());
        }
    }
    files
}

/// Runs a command under both and compares each process that both followed from its start; there must be `least` stacks in all.
fn check(words: &[OsString], input: &[u8], least: usize) {
    let directory = fresh_directory("oracle");
    let finished = Run::new(words)
        .stdin(input)
        .quiet()
        .env("LD_PRELOAD", oracle())
        .env("ORACLE_DIR", &directory)
        .env(OBJECTS_LEFT_OUT.0, OBJECTS_LEFT_OUT.1)
        .option("--depth")
        .option(DEPTH.to_string())
        .finish();
    let name = words[0].to_string_lossy();
    assert!(finished.status.success(), "{name}: {finished:?}");
    let files = files_by_pid(&directory);
    let mut stacks = 0;
    for path in &finished.marks {
        let snapshot = read_file(path)
            .expect("a mark that was just written")
            .snapshot;
        if let Some(file) = files.get(&snapshot.process.pid) {
            let exe = &snapshot.process.exe;
            let walked = stacks_of(&snapshot);
            let hex = |stack: &Stack| format!("{stack:x?}");
            assert_same_stacks(exe, &walked, &oracle_stacks(file, exe), hex);
            stacks += walked.len();
        }
    }
    assert!(stacks >= least, "{name}: only {stacks} stacks");
}

fn check_words(words: &[&str], input: &[u8], least: usize) {
    if needs(&words[..1]) {
        let program = found(words[0]).expect("`needs` has found it");
        let rest = words[1..].iter().map(OsString::from);
        let words: Vec<OsString> = std::iter::once(program.into()).chain(rest).collect();
        check(&words, input, least);
    }
}

/// Check stacks of many shapes, unoptimised.
#[test]
fn shapes_unoptimised() {
    check(&Target::cpp("calls.cpp").opt("-O0").words(), b"", 100);
}

/// Check them optimised, without frame pointers.
#[test]
fn shapes_without_frame_pointers() {
    let target = Target::cpp("calls.cpp")
        .opt("-O2")
        .opt("-fomit-frame-pointer");
    check(&target.words(), b"", 100);
}

/// Check them optimised, with frame pointers.
#[test]
fn shapes_with_frame_pointers() {
    let target = Target::cpp("calls.cpp")
        .opt("-O2")
        .opt("-fno-omit-frame-pointer");
    check(&target.words(), b"", 100);
}

/// Check random walks through frames of every layout, left by returns, longjmp and signals: 18,000 stacks, so that what the memo
/// remembers is wrong in every way in which it can be.
#[test]
fn wandering_unoptimised() {
    check(&Target::c("wander.c").opt("-O0").words(), b"", 10000);
}

/// Check them optimised, without frame pointers.
#[test]
fn wandering_without_frame_pointers() {
    let target = Target::c("wander.c").opt("-O2").opt("-fomit-frame-pointer");
    check(&target.words(), b"", 10000);
}

/// Check them optimised, with frame pointers.
#[test]
fn wandering_with_frame_pointers() {
    let target = Target::c("wander.c")
        .opt("-O2")
        .opt("-fno-omit-frame-pointer");
    check(&target.words(), b"", 10000);
}

/// Check coroutines' stacks, which come and go at the same addresses.
#[test]
fn coroutines() {
    check(
        &Target::c("coroutines.c").opt("-O1").words(),
        b"go\ngo\n",
        9,
    );
}

/// Check a program of 4,096 stacks.
#[test]
fn many_stacks() {
    check(
        &Target::c("sites.c").arg("12").arg("quietly").words(),
        b"",
        4096,
    );
}

/// Check Rust, whose standard library has no frame pointers.
#[test]
fn rust() {
    if needs(&["rustc"]) {
        check(&Target::rust("leak.rs").words(), b"go\ngo\n", 10);
    }
}

/// Check sqlite3 on a script.
#[test]
fn sqlite3() {
    let script = b"create table t(n integer primary key, word text);
        with recursive c(n) as (select 1 union all select n + 1 from c where n < 500)
        insert into t select n, 'word' || (n * 7919 % 503) from c;
        select substr(word, 1, 5), count(*) from t group by 1 order by 2;";
    check_words(&["sqlite3"], script, 300);
}

/// Check git, which starts others.
#[test]
fn git() {
    check_words(&["git", "help", "-a"], b"", 100);
}

/// Check perl.
#[test]
fn perl() {
    let program = r#"my %h; $h{$_ % 71} .= "x$_" for 1..2000; print join(",", sort keys %h), "\n""#;
    check_words(&["perl", "-e", program], b"", 200);
}

/// Check xz.
#[test]
fn xz() {
    check_words(&["xz", "-c"], b"a line to compress\n", 15);
}

/// Check python3.
#[test]
fn python3() {
    check_words(
        &[
            "python3",
            "-c",
            "import json; print(json.dumps(list(range(1000))))",
        ],
        b"",
        300,
    );
}

/// Check gcc with the compiler and the assembler that it starts.
#[test]
fn gcc() {
    let directory = fresh_directory("walk");
    let source = directory.join("a.c");
    fs::write(
        &source,
        "#include <stdlib.h>\nint main(void) { return EXIT_SUCCESS; }\n",
    )
    .expect("a source");
    let object = directory.join("a.o");
    let words = [
        "gcc",
        "-c",
        source.to_str().expect("UTF-8"),
        "-o",
        object.to_str().expect("UTF-8"),
    ];
    check_words(&words, b"", 1000);
}

/// Check bash, with subshells that are compared no further than their fork.
#[test]
fn bash() {
    let script = "a=(); for i in {1..50}; do a+=(\"x$i\"); done; echo ${#a[@]}; f() { local x=$1; echo ${x^^}; }; f word";
    check_words(&["bash", "-c", script], b"", 200);
}
