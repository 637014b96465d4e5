//! Libraries of other versions of this command, which nobody needs any more.
//!
//! Called by `library` when it has unpacked a new one. A library stays while a process has it loaded, while one was started with it in
//! its environment (it may load it into its next child), and for a week after it was last handed out: a shell that exported
//! LD_PRELOAD shows neither. Not here: the one that was just unpacked.

use crate::directory::Private;
use crate::process;
use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// How long a library stays after it was last handed out.
const KEPT: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// Removes what is old and unused from the directory, `current` aside.
pub(super) fn remove(private: &Private, current: &str) {
    remove_if(private, current, SystemTime::now(), |name| {
        !process::any_has(name)
    });
}

fn remove_if(private: &Private, current: &str, now: SystemTime, unused: impl Fn(&str) -> bool) {
    let entries = fs::read_dir(private.path()).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let old = |name: &String| {
        is_library(name) && name != current && age(&private.path().join(name), now) > Some(KEPT)
    };
    for name in names.filter(old).filter(|name| unused(name)) {
        private.remove(&name);
    }
}

/// A library of some version, or what is left of one that was being written when the machine went down.
fn is_library(name: &str) -> bool {
    let name = name.strip_prefix('.').unwrap_or(name);
    name.starts_with("libheapshim-") && (name.ends_with(".so") || name.ends_with(".new"))
}

/// None where it is not known, or lies in the future.
fn age(path: &Path, now: SystemTime) -> Option<Duration> {
    let modified = fs::symlink_metadata(path).ok()?.modified().ok()?;
    now.duration_since(modified).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Scratch;

    /// Check that only libraries go, only old ones, only unused ones, and never the current one.
    #[test]
    fn only_what_nobody_needs() {
        let scratch = Scratch::new("library-old");
        let kept = ["libheapshim-used.so", "libheapshim-now.so", "other.so"];
        let gone = ["libheapshim-a.so", ".libheapshim-b.so.7-0.new"];
        for name in kept.iter().chain(&gone) {
            scratch.write(name, b"x");
        }
        let private = Private::open(scratch.path()).expect("ours");
        let left = |days: u64| {
            let now = SystemTime::now() + Duration::from_secs(days * 24 * 60 * 60);
            let unused = |name: &str| name != "libheapshim-used.so";
            remove_if(&private, "libheapshim-now.so", now, unused);
            fs::read_dir(scratch.path()).expect("listed").count()
        };
        assert_eq!(left(6), 5);
        assert_eq!(left(8), 3);
        assert!(kept.iter().all(|name| scratch.path().join(name).exists()));
    }
}
