//! The READMEs of the examples: every command runs as it stands there, and prints what stands there.

use heapshim_tests::{Walkthrough, needs, not_allowed, workspace};

fn walk(example: &str, programs: &[&str]) {
    if !needs(programs) {
        return;
    }
    let directory = workspace().join("examples").join(example);
    if Walkthrough::read(&directory).run().is_none() {
        not_allowed("a process namespace of one's own");
    }
}

/// Check the walk through sessions that are never closed, in C.
#[test]
fn sessions() {
    walk("sessions", &["cc", "bash", "unshare", "mkfifo"]);
}

/// Check the walk through a cache that never finds anything, in C++.
#[test]
fn cache() {
    walk("cache", &["c++", "bash", "unshare", "mkfifo"]);
}

/// Check the walk through observers that nobody takes away, in Rust.
#[test]
fn observers() {
    walk("observers", &["rustc", "bash", "unshare", "mkfifo"]);
}

/// Check the walk through a history without end, in Python.
#[test]
fn history() {
    walk("history", &["python3", "bash", "unshare", "mkfifo"]);
}
