//! What a test leaves running: adopted by this program, and ended before the next run. Some of GNOME's tests start a message bus, CPython's a resource
//! tracker, and go without them.
//!
//! Every child of this process is ended, whoever started it: so this belongs to a program that runs one test at a time, and not to the library.

use std::fs;

/// From now on whoever loses its parent below us is our child.
pub(crate) fn adopt() {
    // SAFETY: takes numbers.
    let adopting = unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1) };
    assert_eq!(adopting, 0, "Linux 3.4 knows it");
}

/// Ends every child: what we started ourselves has been waited for. Theirs are ours as soon as they are gone.
pub(crate) fn end_all() {
    loop {
        let children = children();
        if children.is_empty() {
            return;
        }
        children.into_iter().for_each(end);
    }
}

fn end(child: libc::pid_t) {
    // SAFETY: takes numbers; a child that nobody has waited for keeps its pid.
    unsafe { libc::kill(child, libc::SIGKILL) };
    // SAFETY: nothing is written where there is no place.
    unsafe { libc::waitpid(child, std::ptr::null_mut(), 0) };
}

/// The children of each of our threads.
fn children() -> Vec<libc::pid_t> {
    let threads = fs::read_dir("/proc/self/task").expect("our threads");
    let lists = threads
        .flatten()
        .map(|thread| fs::read_to_string(thread.path().join("children")));
    let words: String = lists.flatten().collect();
    let words = words.split_whitespace();
    words.filter_map(|word| word.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::process::{Command, Stdio};

    /// Check that what a program leaves running is ended with what that has started, also what began a session of its own: the pipe that they
    /// all hold ends. (The only test of this binary: it ends every child.)
    #[test]
    fn nothing_is_left() {
        adopt();
        let script = "(sleep 1000 & exec sleep 1000) & setsid sleep 1000 & exec echo begun";
        let mut shell = Command::new("sh")
            .args(["-c", script])
            .stdout(Stdio::piped())
            .spawn()
            .expect("a shell");
        assert!(shell.wait().expect("it ends").success());
        assert!(!children().is_empty());
        end_all();
        assert!(children().is_empty());
        let mut said = String::new();
        let mut pipe = shell.stdout.take().expect("piped");
        pipe.read_to_string(&mut said).expect("it ends");
        assert_eq!(said, "begun\n");
    }
}
