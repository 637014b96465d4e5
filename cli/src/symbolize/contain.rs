//! A panic while one module is read ends that module's answer, and nothing else.
//!
//! Used by `cache` around everything that reads a file of the target's: sections, debug information, names. We return errors where
//! we can see them coming; the readers of DWARF and of mangled names are large, and the files may be hostile. What panicked is not
//! printed: the frame's reason says that it failed, and the report goes on.
//!
//! This takes `panic = "unwind"`, which the workspace's profiles keep for the command. Not contained: a stack that overflows, and
//! memory that runs out; sizes and depths are bounded where they are read.

use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

thread_local! {
    static CONTAINED: Cell<bool> = const { Cell::new(false) };
}

/// What the work yields; None where it panicked.
///
/// What the work borrows is used again after a panic. That is sound for what `cache` hands in: a module that panicked while it was
/// opened is never seen, and one that is opened only fills cells, each whole or still empty.
pub(super) fn contained<T>(work: impl FnOnce() -> T) -> Option<T> {
    static QUIET: Once = Once::new();
    QUIET.call_once(be_quiet);
    let before = CONTAINED.replace(true);
    let done = panic::catch_unwind(AssertUnwindSafe(|| {
        #[cfg(test)]
        tests::panic_if_due();
        work()
    }));
    CONTAINED.set(before);
    done.ok()
}

/// Panics elsewhere are as loud as before.
fn be_quiet() {
    let loud = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if !CONTAINED.get() {
            loud(info);
        }
    }));
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use std::process::Command;

    thread_local! {
        static DUE: Cell<Option<u32>> = const { Cell::new(None) };
    }

    /// Has the piece of work panic that comes after so many others on this thread.
    pub(in crate::symbolize) fn panic_after(others: u32) {
        DUE.set(Some(others));
    }

    pub(super) fn panic_if_due() {
        let due = DUE.get();
        DUE.set(due.and_then(|left| left.checked_sub(1)));
        assert!(due != Some(0), "injected");
    }

    /// Check that a panic gives None, once, and that what comes after works.
    #[test]
    fn caught() {
        panic_after(1);
        assert_eq!(contained(|| 1), Some(1));
        assert_eq!(contained(|| 2), None);
        assert_eq!(contained(|| 3), Some(3));
    }

    /// Check that what is contained prints nothing, by running the test above with its output open, and that other panics do.
    #[test]
    fn quiet() {
        let test = |name: &str| {
            let exe = std::env::current_exe().expect("this test");
            let mut command = Command::new(exe);
            command.args(["--exact", name, "--nocapture"]);
            let output = command.env("HEAPSHIM_TEST_LOUD", "1").output();
            let output = output.expect("it starts");
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            (output.status.success(), said)
        };
        let (passed, said) = test("symbolize::contain::tests::caught");
        assert!(passed && !said.contains("panicked"), "{said}");
        let (passed, said) = test("symbolize::contain::tests::loud_elsewhere");
        assert!(!passed && said.contains("on purpose"), "{said}");
    }

    /// Check that after a contained panic one that is not contained is printed: fails, when `quiet` runs it.
    #[test]
    fn loud_elsewhere() {
        panic_after(0);
        assert_eq!(contained(|| ()), None);
        assert!(
            std::env::var_os("HEAPSHIM_TEST_LOUD").is_none(),
            "on purpose"
        );
    }
}
