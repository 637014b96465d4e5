//! Which crate may depend on which: the arrows of docs/ARCHITECTURE.md.
//!
//! Read from the manifests' own words, section by section; dependencies of tests may point anywhere but at the shim.

use crate::Complaints;
use std::fs;
use std::path::Path;

/// A package, and the packages of this workspace (and libc) that it may depend on.
const ALLOWED: [(&str, &[&str]); 7] = [
    ("ledger", &[]),
    ("unwind", &[]),
    ("shim", &["heapshim-ledger", "heapshim-unwind", "libc"]),
    ("cli", &["heapshim-ledger", "libc"]),
    ("tests", &["heapshim", "heapshim-ledger", "libc"]),
    ("examples", &[]),
    (
        "fuzz",
        &["heapshim", "heapshim-ledger", "heapshim-unwind", "libc"],
    ),
];
/// What the arrows are about.
const WATCHED: [&str; 6] = [
    "heapshim",
    "heapshim-ledger",
    "heapshim-unwind",
    "heapshim-shim",
    "heapshim-tests",
    "libc",
];

/// Checks every manifest.
pub(crate) fn check(root: &Path) -> Complaints {
    let mut complaints = Complaints::new();
    for (package, allowed) in ALLOWED {
        let manifest = root.join(package).join("Cargo.toml");
        match fs::read_to_string(&manifest) {
            Ok(text) => complaints.extend(check_manifest(package, &text, allowed)),
            Err(error) => complaints.push(format!("{}: {error}", manifest.display())),
        }
    }
    complaints
}

fn check_manifest(package: &str, text: &str, allowed: &[&str]) -> Complaints {
    let mut section = "";
    let mut complaints = Complaints::new();
    for line in text.lines() {
        if let Some(header) = line.strip_prefix('[') {
            section = header.trim_end_matches(']');
            continue;
        }
        let name = line.split(['.', '=', ' ']).next().unwrap_or_default();
        let for_tests = section.ends_with("dev-dependencies");
        let depends = section.ends_with("dependencies") && WATCHED.contains(&name);
        let wrong = if for_tests {
            name == "heapshim-shim"
        } else {
            !allowed.contains(&name)
        };
        if depends && wrong {
            complaints.push(format!("{package} must not depend on {name}"));
        }
    }
    complaints
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Check that a forbidden arrow is found in every kind of section, and that tests may use libc.
    #[test]
    fn finds_arrows() {
        let count = |text: &str| check_manifest("ledger", text, &[]).len();
        assert_eq!(count("[dependencies]\nlibc.workspace = true\n"), 1);
        assert_eq!(
            count("[target.'cfg(unix)'.dependencies]\nlibc = \"0.2\"\n"),
            1
        );
        assert_eq!(count("[dev-dependencies]\nlibc = \"0.2\"\n"), 0);
        assert_eq!(count("[dev-dependencies]\nheapshim-shim = \"1\"\n"), 1);
        assert_eq!(count("[lib]\nname = \"libc\"\n"), 0);
    }
}
