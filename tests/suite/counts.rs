//! The second oracle: a counting preload agrees with the account of real programs, process by process.
//!
//! Each command runs three times: bare, under the counting preload, and under `heapshim run`. Under it, output and status are those of
//! the bare run, and its account is that of the counting run: allocations, frees and live bytes at the very end of each process.

use heapshim_tests::{
    Counts, OBJECTS_LEFT_OUT, Run, Target, bare, counted, found, fresh_directory, needs, total_of,
};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

/// A directory with something to work on: 3,000 lines of text, a C and a C++ file, a script, a repository.
struct Work {
    directory: PathBuf,
}

impl Work {
    fn new() -> Work {
        let directory = fresh_directory("work");
        let lines =
            (0..3000u32).map(|n| format!("line {} of {n}\n", n.wrapping_mul(2_654_435_761) % 9973));
        let text: String = lines.collect();
        fs::write(directory.join("text"), text).expect("a file to work on");
        Work { directory }
    }

    fn file(&mut self, name: &str, content: &str) {
        fs::write(self.directory.join(name), content).expect("a file to work on");
    }

    fn words(&self, words: &[&str]) -> Vec<OsString> {
        let program = found(words[0]).expect("the program was asked for by `needs`");
        let arguments = words[1..].iter();
        let arguments =
            arguments.map(|word| word.replace('@', self.directory.to_str().expect("UTF-8")));
        let rest = arguments.map(OsString::from);
        std::iter::once(program.into()).chain(rest).collect()
    }
}

/// How far two accounts of one program may differ; a test that allows any says why.
#[derive(Clone, Copy, Default)]
struct Tolerance {
    /// Allocations, and frees.
    blocks: i64,
    /// Live bytes.
    bytes: i64,
}

/// Not at all.
const EXACT: Tolerance = Tolerance {
    blocks: 0,
    bytes: 0,
};
/// gcc's collector keeps page tables of 32 KiB, one for each 16 MiB of addresses that its own mappings lie in: with other libraries
/// loaded they lie elsewhere, and cross another number of such borders.
const PAGE_TABLES: Tolerance = Tolerance {
    blocks: 6,
    bytes: 6 * 32_768,
};
/// The loader's table of thread-local storage, one for each thread's stack that is kept, has an entry of 16 bytes for each library
/// that has such storage: the shim is one more.
const THREADS: Tolerance = Tolerance {
    blocks: 0,
    bytes: 16 * 16,
};
/// bash keeps process ids as text (PPID), which may have a digit more in one run than in the other.
const PROCESS_IDS: Tolerance = Tolerance {
    blocks: 0,
    bytes: 4,
};
/// gdb reads symbols, and node collects and compiles, on as many threads as there are processors: what each of them allocates
/// depends on when it runs.
const RACES: Tolerance = Tolerance {
    blocks: 400,
    bytes: 1 << 20,
};

/// Asserts that the accounts agree; gives the events seen.
fn compare(name: &str, counted: &[Counts], traced: &[Counts], tolerance: Tolerance) -> i64 {
    let exes =
        |counts: &[Counts]| -> Vec<String> { counts.iter().map(|one| one.exe.clone()).collect() };
    assert_eq!(exes(counted), exes(traced), "{name}: other processes");
    for (one, other) in counted.iter().zip(traced) {
        let agree = (one.allocations - other.allocations).abs() <= tolerance.blocks
            && (one.frees - other.frees).abs() <= tolerance.blocks
            && (one.live_bytes - other.live_bytes).abs() <= tolerance.bytes;
        assert!(agree, "{name}:\ncounted {one:?}\ntraced  {other:?}");
    }
    traced.iter().map(|one| one.allocations + one.frees).sum()
}

/// Runs a command three times and compares; `least` is the number of events below which a tracer must have slept.
fn check(words: &[OsString], input: &[u8], least: i64, tolerance: Tolerance) {
    let name = Path::new(&words[0])
        .file_name()
        .expect("a name")
        .to_string_lossy()
        .into_owned();
    let (status, stdout, stderr) = bare(words, input);
    let counts = counted(words, input);
    let traced = Run::new(words)
        .stdin(input)
        .quiet()
        .fixed_layout()
        .env("COUNT_DIR", fresh_directory("count"))
        .env(OBJECTS_LEFT_OUT.0, OBJECTS_LEFT_OUT.1)
        .finish();
    assert_eq!(traced.status.code(), status.code(), "{name}: status");
    assert!(traced.stdout == stdout, "{name}: stdout differs");
    assert_eq!(
        String::from_utf8_lossy(&traced.stderr),
        String::from_utf8_lossy(&stderr),
        "{name}: stderr"
    );
    let mut accounts: Vec<Counts> = traced.accounts().iter().map(total_of).collect();
    accounts.sort();
    let events = compare(&name, &counts, &accounts, tolerance);
    assert!(
        events >= least,
        "{name}: only {events} events of at least {least}"
    );
}

/// The usual case: exact, nothing on stdin.
fn agrees(words: &[&str], least: i64) {
    agrees_on(&Work::new(), words, b"", least);
}

fn agrees_on(work: &Work, words: &[&str], input: &[u8], least: i64) {
    agrees_within(EXACT, work, words, input, least);
}

fn agrees_within(tolerance: Tolerance, work: &Work, words: &[&str], input: &[u8], least: i64) {
    if needs(&words[..1]) {
        check(&work.words(words), input, least, tolerance);
    }
}

/// Check awk, with an array of 3,000 strings.
#[test]
fn awk() {
    let program = "{ seen[$2 $4] = $0 } END { n = 0; for (k in seen) n++; print n }";
    agrees(&["awk", program, "@/text"], 200);
}

/// Check sed, with a group in its pattern.
#[test]
fn sed() {
    agrees(
        &["sed", "-n", r"s/line \([0-9]*\)5 /<\1>/p", "@/text"],
        6000,
    );
}

/// Check grep, with a pattern that its automaton must be built for.
#[test]
fn grep() {
    agrees(&["grep", "-E", "(1|22)+3 of [0-9]*7", "@/text"], 600);
}

/// Check sort on one thread.
#[test]
fn sort() {
    agrees(&["sort", "--parallel=1", "-k2,2n", "@/text"], 250);
}

/// Check find over a tree that the system has.
#[test]
fn find() {
    agrees(&["find", "/usr/include", "-name", "std*.h"], 2000);
}

/// Check tar, writing to a pipe.
#[test]
fn tar() {
    agrees(&["tar", "cf", "-", "-C", "@", "text"], 250);
}

/// Check zstd, whose few blocks are large.
#[test]
fn zstd() {
    agrees_within(
        THREADS,
        &Work::new(),
        &["zstd", "-q", "-c", "@/text"],
        b"",
        100,
    );
}

/// Check xz, whose dictionary is 100 MB.
#[test]
fn xz() {
    agrees(&["xz", "-c", "@/text"], 200);
}

/// Check jq on an object of 2,000 keys.
#[test]
fn jq() {
    let program = "[range(2000)] | map({key: tostring, value: .}) | from_entries | length";
    agrees(&["jq", "-n", program], 30000);
}

/// Check sqlite3 on a script from its stdin.
#[test]
fn sqlite3() {
    let script = b"create table t(n integer primary key, word text);
        with recursive c(n) as (select 1 union all select n + 1 from c where n < 5000)
        insert into t select n, 'word' || (n * 7919 % 5003) from c;
        create index i on t(word);
        select substr(word, 1, 5), count(*), group_concat(n) from t group by 1 order by 1;";
    agrees_on(&Work::new(), &["sqlite3"], script, 10000);
}

/// Check perl, growing the strings of a hash.
#[test]
fn perl() {
    let program = r#"my %h; $h{$_ % 701} .= "x$_" for 1..20000; print scalar(keys %h), "\n""#;
    agrees(&["perl", "-e", program], 10000);
}

/// Check python3, whose blocks above 512 bytes are malloc's; `python_objects` is about the others.
#[test]
fn python3() {
    let program = r#"import json; print(len(json.dumps([{"n": i, "s": "x" * (i % 900)} for i in range(3000)])))"#;
    agrees(&["python3", "-c", program], 6000);
}

/// Check bash with an array, a substitution, a pipe and subshells: six processes, most of them forked.
#[test]
fn bash() {
    let script = "a=(); for i in {1..500}; do a+=(\"x$i\"); done; echo ${#a[@]}; echo $(echo sub; true) | cat; (exit 3)";
    agrees_within(
        PROCESS_IDS,
        &Work::new(),
        &["bash", "-c", script],
        b"",
        40000,
    );
}

/// Check make with two recipes.
#[test]
fn make() {
    let mut work = Work::new();
    work.file(
        "Makefile",
        "all: one two\none:\n\t@echo one\ntwo: one\n\t@echo two; true\n",
    );
    agrees_on(&work, &["make", "-s", "-C", "@"], b"", 2000);
}

/// Check openssl, which makes its tables at start.
#[test]
fn openssl() {
    agrees(&["openssl", "dgst", "-sha256", "@/text"], 8000);
}

/// Check curl, reading a file.
#[test]
fn curl() {
    agrees(&["curl", "-s", "file://@/text"], 7000);
}

/// Check Tcl on a script from its stdin; its small objects come out of blocks of its own.
#[test]
fn tclsh() {
    let script = b"for {set i 0} {$i < 2000} {incr i} {set a($i) [string repeat x $i]}\nputs [array size a]\n";
    agrees_on(&Work::new(), &["tclsh"], script, 300);
}

/// Check bc on a number of a thousand digits.
#[test]
fn bc() {
    agrees_on(&Work::new(), &["bc"], b"2^3000\nscale=300\nsqrt(2)\n", 300);
}

/// Check diff of two files that share nothing.
#[test]
fn diff() {
    let mut work = Work::new();
    work.file("other", "one\ntwo\n");
    agrees_on(&work, &["diff", "@/text", "@/other"], b"", 300);
}

/// Check gcc: its driver, the compiler and the assembler.
#[test]
fn gcc() {
    let mut work = Work::new();
    work.file("a.c", "#include <stdio.h>\n#include <stdlib.h>\nint main(void) { return puts(\"a\") < 0 ? EXIT_FAILURE : 0; }\n");
    agrees_within(
        PAGE_TABLES,
        &work,
        &["gcc", "-c", "@/a.c", "-o", "@/a.o"],
        b"",
        20000,
    );
}

/// Check g++ on the headers of the standard library: 400,000 events.
#[test]
fn gxx() {
    let mut work = Work::new();
    work.file("a.cpp", "#include <map>\n#include <string>\nint main() { std::map<std::string, int> m; m[\"a\"] = 1; return (int)m.size(); }\n");
    agrees_within(
        PAGE_TABLES,
        &work,
        &["g++", "-c", "@/a.cpp", "-o", "@/a.o"],
        b"",
        300_000,
    );
}

/// Check gdb, reading the symbols of a program.
#[test]
fn gdb() {
    if needs(&["gdb"]) {
        let program = Target::c("leak.c").build();
        let program = program.to_str().expect("UTF-8");
        agrees_within(
            RACES,
            &Work::new(),
            &["gdb", "-nx", "-batch", "-ex", "info line main", program],
            b"",
            20000,
        );
    }
}

/// Check git on a repository of 40 commits.
#[test]
fn git() {
    if !needs(&["git"]) {
        return;
    }
    let work = Work::new();
    let script = "git init -q . && for n in $(seq 40); do echo $n >> counted && git add counted && \
        git -c user.name=a -c user.email=a@b.c commit -q -m \"commit $n\"; done";
    let mut shell: Vec<OsString> = ["sh", "-c"].map(OsString::from).into();
    shell.push(format!("cd {} && {script}", work.directory.display()).into());
    let (status, _, said) = bare(&shell, b"");
    assert!(status.success(), "{}", String::from_utf8_lossy(&said));
    agrees_on(&work, &["git", "-C", "@", "log", "--stat", "-p"], b"", 2000);
}

/// Check node, to within what its threads race for.
#[test]
fn node() {
    let program = "console.log([...Array(1000).keys()].map(String).join('').length)";
    agrees_within(RACES, &Work::new(), &["node", "-e", program], b"", 30000);
}
