//! The library that remembers its last walk has the same account as one that remembers nothing: each stack of a program's life, to the block and the byte.
//!
//! The other library is built here, of the same source (feature `memoless`). Programs are such as do the same each time, loaded at the same addresses.
//! `HEAPSHIM_MEMOLESS=20` has them do twenty times as much.

use crate::walks::stacks_of;
use heapshim_cli::kept;
use heapshim_tests::{
    Stack, Stacks, Target, assert_same_stacks, bare, found, fresh_directory, library, needs, talk,
};
use serde_json::Value;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The library that remembers nothing.
fn memoless() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("memoless");
        let mut cargo = Command::new(env!("CARGO"));
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shim/Cargo.toml");
        cargo.args(["build", "--quiet", "--offline", "--locked", "--lib"]);
        cargo.args(["--profile", "shim", "--features", "freestanding,memoless"]);
        cargo.args(["--target", "x86_64-unknown-linux-gnu"]);
        cargo.arg("--manifest-path").arg(manifest);
        cargo.arg("--target-dir").arg(&target);
        cargo.env_remove("CARGO_TARGET_DIR").env_remove("RUSTFLAGS");
        assert!(cargo.status().expect("cargo starts").success());
        target.join("x86_64-unknown-linux-gnu/shim/libheapshim.so")
    })
}

/// How much more than in CI programs are to do.
fn times() -> u32 {
    let wanted = std::env::var("HEAPSHIM_MEMOLESS").ok();
    wanted.map_or(1, |times| times.parse().expect("a number"))
}

/// What a program's life comes to under a library, which lies where the other does: some programs keep their environment.
fn account(library: &Path, directory: &Path, words: &[OsString], input: &[u8]) -> Stacks {
    let preload = directory.join("a.so");
    fs::copy(library, &preload).expect("a copy of the library");
    let variable = |name: &str, value: &OsStr| {
        let mut variable = OsString::from(name);
        variable.push(value);
        variable
    };
    let mut all = vec![
        found("env").expect("coreutils").into(),
        variable("LD_PRELOAD=", preload.as_os_str()),
        variable("HEAPSHIM_DIR=", directory.as_os_str()),
    ];
    all.extend(words.iter().cloned());
    let (status, _, stderr) = bare(&all, input);
    let said = String::from_utf8_lossy(&stderr);
    assert!(status.success(), "{words:?}: {said}");
    let files = fs::read_dir(directory).expect("it").flatten();
    let ledger = files.map(|file| file.path()).find(|path| {
        path.extension()
            .is_some_and(|extension| extension == kept::EXTENSION)
    });
    let ledger = ledger.unwrap_or_else(|| panic!("{words:?}: no account"));
    let snapshot = kept::read(&ledger).expect("an account").snapshot;
    fs::remove_file(&ledger).expect("removed");
    stacks_of(&snapshot)
}

/// Checks one program, which allocates `least` times at least.
fn check(words: &[OsString], input: &[u8], least: u64) {
    let directory = fresh_directory("memoless");
    let remembering = account(library(), &directory, words, input);
    let forgetting = account(memoless(), &directory, words, input);
    let show = |stack: &Stack| format!("{stack:x?}");
    let what = words[0].to_string_lossy();
    assert_same_stacks(&what, &remembering, &forgetting, show);
    let events: u64 = remembering.values().map(|amount| amount.0).sum();
    assert!(events >= least, "{what}: {events} allocations");
}

fn check_words(words: &[&str], input: &[u8], least: u64) {
    if needs(&words[..1]) {
        let program = found(words[0]).expect("`needs` has found it");
        let rest = words[1..].iter().map(OsString::from);
        let words: Vec<OsString> = std::iter::once(program.into()).chain(rest).collect();
        check(&words, input, least);
    }
}

/// What a live process says of its walks: how many, of which so many ended at what was remembered, and so many at nothing.
fn walks(library: &Path) -> [u64; 3] {
    let mut running = Target::c("watch.c")
        .env("LD_PRELOAD", library)
        .bare()
        .spawn();
    for _ in 0..300 {
        running.step(b"go");
    }
    let listed = talk(&["ls", "--format", "json"]).stdout;
    let listed: Value = serde_json::from_slice(&listed).expect("JSON");
    let processes = listed.as_array().or(listed["processes"].as_array());
    let mut processes = processes.expect("a list").iter();
    let its = |process: &&Value| process["pid"] == running.pid();
    let process = processes.find(its).expect("it is listed");
    ["walks", "memo_hits", "memo_misses"].map(|key| process[key].as_u64().expect("a number"))
}

/// Check that the one library remembers nearly all of a program's walks and the other none, and that both say so.
#[test]
fn hits() {
    let [walks_with, hits, misses] = walks(library());
    assert_eq!(hits + misses, walks_with);
    assert!(hits > walks_with * 9 / 10, "{hits} of {walks_with}");
    assert!(walks_with > 1500, "{walks_with}");
    assert_eq!(walks(memoless()), [walks_with, 0, walks_with]);
}

/// Check sqlite3.
#[test]
fn sqlite3() {
    let rows = 3000 * times();
    let script = format!(
        "create table t(n integer primary key, word text);
        with recursive c(n) as (select 1 union all select n + 1 from c where n < {rows})
        insert into t select n, 'word' || (n * 7919 % 503) from c;
        create index i on t(word);
        select substr(word, 1, 5), count(*) from t group by 1 order by 2;"
    );
    let least = 5_000 * u64::from(times());
    check_words(&["sqlite3"], script.as_bytes(), least);
}

/// Check a large program of C++. (Not a compiler: GCC's collector has a table by address, and the two libraries are not of the same size.)
#[test]
fn cmake() {
    let script = fresh_directory("memoless-script").join("script.cmake");
    let text = format!(
        "set(all \"\")
foreach(n RANGE {})
  string(REGEX REPLACE \"([0-9])\" \"<\\\\1>\" word \"word-${{n}}\")
  list(APPEND all \"${{word}}\")
endforeach()
list(SORT all)
list(LENGTH all count)
message(\"${{count}}\")
",
        300 * times()
    );
    fs::write(&script, text).expect("a script");
    let least = 20_000 * u64::from(times());
    check_words(
        &["cmake", "-P", script.to_str().expect("UTF-8")],
        b"",
        least,
    );
}

/// Check jq, which descends into what it reads.
#[test]
fn jq() {
    let program = format!(
        "[range({})|{{key: tostring, value: [range(. % 9)|{{a: ., b: [tostring]}}]}}]|from_entries|[.. | strings]|length",
        500 * times()
    );
    let least = 20_000 * u64::from(times());
    check_words(&["jq", "-n", &program], b"", least);
}

/// Check Python's own stacks, its frames and its objects.
#[test]
fn python3() {
    let program = format!(
        "import json, re
def deep(n):
    return [n, str(n)] if n == 0 else [deep(n - 1), str(n)]
for round in range({}):
    text = json.dumps([deep(n % 30) for n in range(60)])
    json.loads(text)
    re.sub('[0-9]+', lambda found: found.group() + 'x', text)
",
        4 * times()
    );
    let least = 50_000 * u64::from(times());
    check_words(&["/usr/bin/python3", "-c", &program], b"", least);
}

/// Check perl.
#[test]
fn perl() {
    let program = format!(
        r#"sub f {{ my $n = shift; return $n ? f($n - 1) . "x" : "" }} my %h;
        for (1..{}) {{ $h{{$_ % 71}} .= f($_ % 40); $h{{$_ % 7}} = [split //, "word$_"] }} print scalar(keys %h)"#,
        3000 * times()
    );
    let least = 20_000 * u64::from(times());
    check_words(&["perl", "-e", &program], b"", least);
}

/// Check frames of every layout that are left by returns, longjmp and signals, and stacks that come and go at the same addresses.
#[test]
fn shapes() {
    for option in ["-O0", "-O2"] {
        check(&Target::c("wander.c").opt(option).words(), b"", 10_000);
        check(&Target::cpp("calls.cpp").opt(option).words(), b"", 100);
    }
    let coroutines = Target::c("coroutines.c").opt("-O1");
    check(&coroutines.words(), b"go\ngo\n", 9);
}
