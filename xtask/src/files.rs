//! Each source file says what it is, and is short enough to be read at once.

use crate::Complaints;
use std::fs;
use std::path::{Path, PathBuf};

/// Lines at which a file must have been split, tests apart.
const MOST_LINES: usize = 600;
/// Where sources lie.
const DIRECTORIES: [&str; 7] = [
    "cli", "shim", "ledger", "unwind", "tests", "examples", "xtask",
];

/// Checks every Rust file of the workspace.
pub(crate) fn check(root: &Path) -> Complaints {
    let mut files = Vec::new();
    for directory in DIRECTORIES {
        collect(&root.join(directory), &mut files);
    }
    files.sort();
    files
        .iter()
        .flat_map(|file| check_file(root, file))
        .collect()
}

fn collect(directory: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        let skipped = path.file_name().is_some_and(|name| name == "target");
        if path.is_dir() && !skipped {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

fn check_file(root: &Path, file: &Path) -> Complaints {
    let name = file.strip_prefix(root).unwrap_or(file).display();
    let Ok(text) = fs::read_to_string(file) else {
        return vec![format!("{name}: not read")];
    };
    let mut complaints = Complaints::new();
    if !text.starts_with("//!") {
        complaints.push(format!("{name}: does not begin with `//!`: say what it is"));
    }
    let lines = text
        .lines()
        .take_while(|line| *line != "#[cfg(test)]")
        .count();
    if lines > MOST_LINES {
        complaints.push(format!(
            "{name}: {lines} lines, at most {MOST_LINES}: split it"
        ));
    }
    complaints
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::own_directory::OwnDirectory;

    /// Check that a file without a header and one that is too long are complained of, and that a module of tests does not count.
    #[test]
    fn complains() {
        let directory = OwnDirectory::new(&std::env::temp_dir(), "tidy").expect("a directory");
        let count = |text: &str| {
            let file = directory.path().join("a.rs");
            fs::write(&file, text).expect("a file");
            check_file(directory.path(), &file).len()
        };
        let long = "//! What.\n".repeat(MOST_LINES);
        assert_eq!(count("fn main() {}\n"), 1);
        assert_eq!(count(&long), 0);
        assert_eq!(count(&format!("{long}fn a() {{}}\n")), 1);
        assert_eq!(count(&format!("{long}#[cfg(test)]\nmod tests {{}}\n")), 0);
    }
}
