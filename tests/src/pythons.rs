//! The CPythons of this machine: Debian's always, others where they are on PATH or below the directories that HEAPSHIM_PYTHONS names.

use crate::needs::{found, skip};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Versions that the shim knows.
const VERSIONS: std::ops::RangeInclusive<u32> = 7..=13;

/// One CPython.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Python {
    /// The program.
    pub path: PathBuf,
    /// 11 for 3.11.
    pub minor: u32,
    /// Built with `--with-pydebug`: other allocators, assertions, and sizes that are not a release's.
    pub debug: bool,
}

impl Python {
    /// The environment in which blocks have the sizes that were asked for: debug builds add to them where nothing else is said.
    #[must_use]
    pub fn plain(&self) -> &'static [(&'static str, &'static str)] {
        match self.debug {
            true => &[("PYTHONMALLOC", "pymalloc")],
            false => &[],
        }
    }
}

/// One of each version that is found, oldest first. A directory of HEAPSHIM_PYTHONS (separated by colons) holds installations: `*/bin/python3`.
///
/// # Panics
/// Where there is none at all: the suite needs Debian's.
#[must_use]
pub fn pythons() -> Vec<Python> {
    let mut pythons = builds();
    pythons.retain(|python| !python.debug);
    assert!(!pythons.is_empty(), "no CPython is on PATH");
    pythons
}

/// As `pythons`, with their debug builds (Debian's `python3-dbg`), which are skipped by name where there are none.
#[must_use]
pub fn builds() -> Vec<Python> {
    let names = |minor| [format!("python3.{minor}"), format!("python3.{minor}-dbg")];
    let named = VERSIONS.flat_map(names).filter_map(|name| found(&name));
    let directories = std::env::var_os("HEAPSHIM_PYTHONS").unwrap_or_default();
    let installed = std::env::split_paths(&directories).flat_map(|place| installations(&place));
    let candidates = found("python3").into_iter().chain(named).chain(installed);
    let mut builds: Vec<Python> = Vec::new();
    for python in candidates.filter_map(|path| python(&path)) {
        let is_same = |known: &Python| (known.minor, known.debug) == (python.minor, python.debug);
        if !builds.iter().any(is_same) {
            builds.push(python);
        }
    }
    builds.sort_by_key(|python| (python.minor, python.debug));
    builds
}

/// Skips the calling test's part on debug builds, by name, where there is none.
pub fn needs_debug_build() {
    if !builds().iter().any(|python| python.debug) {
        skip("python3-dbg");
    }
}

fn installations(directory: &Path) -> Vec<PathBuf> {
    let entries = directory.read_dir().into_iter().flatten().flatten();
    entries
        .map(|entry| entry.path().join("bin/python3"))
        .collect()
}

/// What a program says it is; none for a version manager's launcher, which is a script, and for what the shim does not know.
fn python(path: &Path) -> Option<Python> {
    let mut magic = [0; 4];
    File::open(path).ok()?.read_exact(&mut magic).ok()?;
    let words = "import sys, sysconfig; print(sys.implementation.name, *sys.version_info[:2], sysconfig.get_config_var('Py_GIL_DISABLED') or 0, hasattr(sys, 'gettotalrefcount'))";
    let output = Command::new(path).args(["-I", "-c", words]).output().ok()?;
    let said = String::from_utf8(output.stdout).ok()?;
    let (minor, debug) = said.trim().strip_prefix("cpython 3 ")?.split_once(" 0 ")?;
    let python = Python {
        path: path.to_path_buf(),
        minor: minor.parse().ok()?,
        debug: debug == "True",
    };
    (magic == *b"\x7fELF" && VERSIONS.contains(&python.minor)).then_some(python)
}
