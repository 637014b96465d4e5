//! The CPythons of this machine: Debian's always, others where they are on PATH or below the directories that HEAPSHIM_PYTHONS names.

use crate::needs::found;
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
}

/// One of each version that is found, oldest first. A directory of HEAPSHIM_PYTHONS (separated by colons) holds installations: `*/bin/python3`.
///
/// # Panics
/// Where there is none at all: the suite needs Debian's.
#[must_use]
pub fn pythons() -> Vec<Python> {
    let named = VERSIONS.filter_map(|minor| found(&format!("python3.{minor}")));
    let directories = std::env::var_os("HEAPSHIM_PYTHONS").unwrap_or_default();
    let installed = std::env::split_paths(&directories).flat_map(|place| installations(&place));
    let candidates = found("python3").into_iter().chain(named).chain(installed);
    let mut pythons: Vec<Python> = Vec::new();
    for python in candidates.filter_map(|path| python(&path)) {
        if !pythons.iter().any(|known| known.minor == python.minor) {
            pythons.push(python);
        }
    }
    pythons.sort_by_key(|python| python.minor);
    assert!(!pythons.is_empty(), "no CPython is on PATH");
    pythons
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
    let words = "import sys, sysconfig; print(sys.implementation.name, *sys.version_info[:2], sysconfig.get_config_var('Py_GIL_DISABLED') or 0)";
    let output = Command::new(path).args(["-I", "-c", words]).output().ok()?;
    let said = String::from_utf8(output.stdout).ok()?;
    let minor = said.trim().strip_prefix("cpython 3 ")?.strip_suffix(" 0")?;
    let minor = minor.parse().ok()?;
    let path = path.to_path_buf();
    (magic == *b"\x7fELF" && VERSIONS.contains(&minor)).then_some(Python { path, minor })
}
