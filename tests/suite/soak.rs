//! Forty programs and services of the soak; the others run by `cargo xtask soak`.

use heapshim_tests::{Soak, skip, soaks};
use std::io::Write;

/// Prefork and threads, dropped rights, closed descriptors, other allocators, snapshots by fork.
const SERVICES: [&str; 10] = [
    "apache2",
    "haproxy",
    "mariadb",
    "memcached",
    "nginx",
    "openssh",
    "php-fpm",
    "postgresql",
    "redis",
    "tmux",
];
/// Heaps of their own, code made at run time, pools of forked workers.
const INTERPRETERS: [&str; 11] = [
    "bash", "emacs", "java", "jq", "lua", "node", "perl", "python3", "ruby", "tcl", "vim",
];
/// Drivers and the children that they start, one that traces another, allocators that nobody sees.
const BUILDERS: [&str; 8] = [
    "chromium", "g++", "gcc", "gdb", "git", "graphviz", "make", "rustc",
];
/// Threads with buffers of many megabytes, large blocks, libraries.
const TOOLS: [&str; 11] = [
    "bind-tools",
    "coreutils",
    "curl",
    "ffmpeg",
    "imagemagick",
    "openssl",
    "qemu-img",
    "sqlite",
    "tar",
    "xz",
    "zstd",
];

fn check(names: &[&str]) {
    let all = soaks();
    let of = |name: &&str| all.iter().find(|soak| soak.name == **name);
    let chosen = names.iter().map(|name| of(name).expect("a script"));
    let problems: Vec<String> = chosen.filter_map(difference).collect();
    assert!(problems.is_empty(), "{problems:#?}");
}

/// What differs of one with and without the shim. A server's events depend on timing: numbers count where they differ twice, an end that is not the same at once.
fn difference(soak: &Soak) -> Option<String> {
    if let Some(missing) = soak.missing() {
        skip(missing);
        return None;
    }
    let first = soak.run().problems;
    let ended_otherwise = first.iter().any(|one| one.starts_with("exit status"));
    if first.is_empty() || ended_otherwise {
        return (!first.is_empty()).then(|| format!("{}: {first:?}", soak.name));
    }
    // A closed stderr is the caller's choice.
    let _ = writeln!(std::io::stderr(), "{}: once more, for {first:?}", soak.name);
    let second = soak.run().problems;
    (!second.is_empty()).then(|| format!("{}: {first:?}, then {second:?}", soak.name))
}

/// Check that servers end, answer and count under the shim as without it.
#[test]
fn services() {
    check(&SERVICES);
}

/// Check the same of interpreters.
#[test]
fn interpreters() {
    check(&INTERPRETERS);
}

/// Check the same of compilers and what else starts many programs.
#[test]
fn builders() {
    check(&BUILDERS);
}

/// Check the same of tools that do one thing.
#[test]
fn tools() {
    check(&TOOLS);
}
