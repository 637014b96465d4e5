//! No allocation on a hook's path: an allocator behind the shim sees just the events that it would see without it.

use heapshim_tests::{Counts, Target, counting_preload, counts_in, fresh_directory, needs};

/// Runs a target to its end with the counting preload, behind the shim or without it.
fn seen(target: &Target, bare: bool) -> Vec<Counts> {
    seen_by("-Wl,--hash-style=gnu", target, bare)
}

/// The same with a preload whose symbols are found by this kind of table.
fn seen_by(style: &str, target: &Target, bare: bool) -> Vec<Counts> {
    let directory = fresh_directory("behind");
    let target = target.clone().env("COUNT_DIR", &directory);
    let target = target.behind(&counting_preload(&[style]));
    let mut running = if bare { target.bare() } else { target }.spawn();
    while !running.step(b"go").is_empty() {}
    assert!(running.finish().0.success());
    counts_in(&directory)
}

/// Asserts that both see the same, and that they saw something.
fn check(target: &Target) {
    let (bare, behind) = (seen(target, true), seen(target, false));
    assert!(bare[0].allocations > 0, "{bare:?}");
    assert_eq!(bare, behind);
}

/// The same for a program with threads. The loader's table of thread-local storage, one for each stack that is kept, is longer by
/// an entry where one more library is loaded: so of the bytes only the blocks are compared.
fn check_threads(target: &Target) {
    let blocks = |all: Vec<Counts>| -> Vec<_> {
        all.into_iter()
            .map(|one| (one.exe, one.allocations, one.frees))
            .collect()
    };
    assert_eq!(blocks(seen(target, true)), blocks(seen(target, false)));
}

/// Check C, with every function of the family.
#[test]
fn malloc_family() {
    check(&Target::c("family.c").arg("old"));
}

/// Check that an allocator whose symbols only a System V hash table names is not passed by.
#[test]
fn by_the_older_table() {
    let by = |bare| seen_by("-Wl,--hash-style=sysv", &Target::c("leak.c"), bare);
    let (bare, behind) = (by(true), by(false));
    assert!(bare[0].allocations > 0, "{bare:?}");
    assert_eq!(bare, behind);
}

/// Check C++, with operators and exceptions.
#[test]
fn operators() {
    check(&Target::cpp("operators.cpp"));
}

/// Check threads that come and go.
#[test]
fn threads() {
    check_threads(&Target::c("waves.c"));
    check_threads(&Target::c("keys.c"));
}

/// Check Rust's standard library.
#[test]
fn rust() {
    if needs(&["rustc"]) {
        check(&Target::rust("leak.rs"));
    }
}

/// Check a child that was forked.
#[test]
fn forks() {
    check(&Target::c("forks.c").arg("exec"));
}
