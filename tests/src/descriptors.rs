//! Which of a target's descriptors are ours, by what their links say: any user's look at them, with no help from the command.

use std::fs;
use std::path::PathBuf;

/// The descriptors of a process whose files' names have this in them: `heapshim-ledger`, `heapshim-control`.
///
/// # Panics
/// Where the process has gone.
#[must_use]
pub fn descriptors_of(pid: u32, name: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).expect("its descriptors");
    let paths = entries.map(|entry| entry.expect("a descriptor").path());
    let is_it = |path: &PathBuf| {
        path.read_link()
            .is_ok_and(|link| link.to_string_lossy().contains(name))
    };
    paths.filter(is_it).collect()
}
