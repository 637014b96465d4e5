//! docs/LEDGER.md carries the hash of ledger/src/layout.rs: who changes the layout has had the document in hand.
//!
//! SHA-256 of the file's bytes, as `sha256sum` prints it; the program is asked, so that nothing is compiled for one line.

use crate::Complaints;
use std::fs;
use std::path::Path;
use std::process::Command;

const LAYOUT: &str = "ledger/src/layout.rs";
const DOCUMENT: &str = "docs/LEDGER.md";

/// The line that the document must have.
pub(crate) fn line(root: &Path) -> String {
    let output = Command::new("sha256sum").arg(root.join(LAYOUT)).output();
    let printed = output.map(|output| output.stdout).unwrap_or_default();
    let printed = String::from_utf8_lossy(&printed).into_owned();
    format!(
        "layout hash: {}",
        printed.split(' ').next().unwrap_or_default()
    )
}

/// Checks the document's line.
pub(crate) fn check(root: &Path) -> Complaints {
    let text = fs::read_to_string(root.join(DOCUMENT)).unwrap_or_default();
    let line = line(root);
    if text.lines().any(|has| has == line) {
        return Complaints::new();
    }
    vec![format!(
        "{DOCUMENT}: does not have the line `{line}`: {LAYOUT} has changed; bring the document up to date, then the line"
    )]
}
