//! valgrind and heaptrack agree with the account of 18 real programs: allocations and their bytes, frees, and what is live at the end.
//!
//! A difference has a name here, and no margin. heaptrack's own allocation is taken off where its trace is read.

use heapshim_tests::{Run, Usage, found, fresh_directory, needs};
use std::ffi::OsString;
use std::fs;

/// What an oracle does not see.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Blind {
    /// Nothing.
    No,
    /// heaptrack stops at its own exit handler. Frees in destructors of libraries that were loaded before its own come later.
    LateFrees,
}

/// Runs a program three times; `@` in its words is a file of 3,000 lines.
fn agrees(words: &[&str], input: &[u8]) {
    agrees_but(Blind::No, words, input);
}

fn agrees_but(blind: Blind, words: &[&str], input: &[u8]) {
    if !needs(&[words[0], "valgrind", "heaptrack", "zstd"]) {
        return;
    }
    let words = with_file(words);
    let run = Run::new(&words)
        .stdin(input)
        .fixed_layout()
        .option("--by")
        .option("stack");
    let ours = Usage::of(run.finish().report());
    assert_eq!(
        ours,
        Usage::by_valgrind(&words, input),
        "{words:?}: valgrind's on the right"
    );
    let mut theirs = Usage::by_heaptrack(&words, input);
    if blind == Blind::LateFrees {
        assert!(
            theirs.frees < ours.frees,
            "{words:?}: nothing is late any more: {theirs:?}"
        );
        (theirs.frees, theirs.live_bytes) = (ours.frees, ours.live_bytes);
    }
    assert_eq!(ours, theirs, "{words:?}: heaptrack's on the right");
}

fn with_file(words: &[&str]) -> Vec<OsString> {
    let file = fresh_directory("oracle").join("text");
    let lines =
        (0..3000u32).map(|n| format!("line {} of {n}\n", n.wrapping_mul(2_654_435_761) % 9973));
    fs::write(&file, lines.collect::<String>()).expect("a file to work on");
    let program = found(words[0]).expect("the program was asked for by `needs`");
    let rest = words[1..]
        .iter()
        .map(|word| word.replace('@', &file.to_string_lossy()).into());
    std::iter::once(program.into()).chain(rest).collect()
}

/// Check awk, with an array of 3,000 strings.
#[test]
fn awk() {
    agrees(
        &[
            "mawk",
            "{ seen[$2 $4] = $0 } END { for (k in seen) n++; print n }",
            "@",
        ],
        b"",
    );
}

/// Check sed, with a group in its pattern.
#[test]
fn sed() {
    agrees(&["sed", "-n", r"s/line \([0-9]*\)5 /<\1>/p", "@"], b"");
}

/// Check grep, with a pattern that its automaton must be built for.
#[test]
fn grep() {
    agrees(&["grep", "-E", "(1|22)+3 of [0-9]*7", "@"], b"");
}

/// Check sort on one thread.
#[test]
fn sort() {
    agrees(&["sort", "--parallel=1", "-k2,2n", "@"], b"");
}

/// Check find over a tree that the system has.
#[test]
fn find() {
    agrees(&["find", "/usr/include/linux", "-name", "std*.h"], b"");
}

/// Check tar, writing to a pipe.
#[test]
fn tar() {
    agrees(&["tar", "cPf", "-", "@"], b"");
}

/// Check xz on one thread.
#[test]
fn xz() {
    agrees(&["xz", "-T1", "-1", "-c", "@"], b"");
}

/// Check jq on an object of 200 keys.
#[test]
fn jq() {
    agrees(
        &[
            "jq",
            "-n",
            "[range(200)] | map({key: tostring, value: .}) | from_entries | length",
        ],
        b"",
    );
}

/// Check sqlite3 on a table of its own making.
#[test]
fn sqlite3() {
    let query = "with recursive c(n) as (select 1 union all select n + 1 from c where n < 500) select sum(n * 7919 % 5003) from c";
    agrees(&["sqlite3", ":memory:", query], b"");
}

/// Check openssl, which makes its tables at start.
#[test]
fn openssl() {
    agrees(&["openssl", "dgst", "-sha256", "@"], b"");
}

/// Check diff of two files that share nothing.
#[test]
fn diff() {
    agrees(&["diff", "@", "/etc/passwd"], b"");
}

/// Check bc on a number of a hundred digits.
#[test]
fn bc() {
    agrees(&["bc", "-q"], b"2^300\nscale=30\nsqrt(2)\nquit\n");
}

/// Check curl, reading a file.
#[test]
fn curl() {
    agrees_but(Blind::LateFrees, &["curl", "-s", "file://@"], b"");
}

/// Check ls with names of users and groups.
#[test]
fn ls() {
    agrees(&["ls", "-l", "/usr/lib"], b"");
}

/// Check uniq, with counts.
#[test]
fn uniq() {
    agrees(&["uniq", "-c", "@"], b"");
}

/// Check du over a tree that the system has.
#[test]
fn du() {
    agrees(&["du", "-s", "/usr/include/linux"], b"");
}

/// Check objdump on the headers of a program.
#[test]
fn objdump() {
    agrees(&["objdump", "-h", "/usr/bin/env"], b"");
}

/// Check readelf on all of a program.
#[test]
fn readelf() {
    agrees(&["readelf", "-a", "/usr/bin/env"], b"");
}
