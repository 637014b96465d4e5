//! Waiting for what a process does to memory or files, where it says no word: as long as it lives, and no longer.

use std::fs;
use std::thread;

/// Waits until it is so. `pid` is the process that makes it so, a child of ours or one that its parent has not waited for yet.
///
/// # Panics
/// Where the process has ended, and it is not so.
pub fn until(pid: u32, what: &str, mut is_so: impl FnMut() -> bool) {
    loop {
        // Before the look: what it did last counts.
        let has_ended = has_ended(pid);
        if is_so() {
            return;
        }
        assert!(!has_ended, "pid {pid} has ended, and not: {what}");
        thread::yield_now();
    }
}

/// True of one that is gone, and of one that waits for its parent to hear of it.
fn has_ended(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name before it may have anything in it.
    let state = stat.rsplit_once(") ").map(|(_, rest)| rest.as_bytes()[0]);
    state.is_none_or(|state| matches!(state, b'Z' | b'X'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::catch_unwind;
    use std::process::{Command, Stdio};

    /// Check that a wait ends with what it waits for, and fails with the process's end: before anybody has waited for it, and after.
    #[test]
    fn no_longer_than_it_lives() {
        let mut cat = Command::new("cat");
        let mut child = cat.stdin(Stdio::piped()).spawn().expect("cat");
        let pid = child.id();
        let mut looks = 0;
        until(pid, "a third look", || {
            looks += 1;
            looks == 3
        });
        drop(child.stdin.take());
        let never = || catch_unwind(|| until(pid, "never", || false)).is_err();
        assert!(never());
        child.wait().expect("its end");
        assert!(never());
        until(pid, "it is so", || true);
    }
}
