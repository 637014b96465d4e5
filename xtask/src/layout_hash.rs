//! docs/LEDGER.md carries the hash of ledger/src/layout.rs, and says its version: who changes the layout has had the document in hand.
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

/// How the document's text begins, and how its table has it, of the version that the layout has.
fn versions(layout: &str) -> Option<[String; 2]> {
    let (_, rest) = layout.split_once("pub const VERSION: u32 = ")?;
    let (version, _) = rest.split_once(';')?;
    let of_header = format!("   8  u32  version          {version}");
    Some([format!("Version {version}. "), of_header])
}

/// What the document does not have of what it must.
fn missing(layout: &str, document: &str, line: String) -> Vec<String> {
    let wanted = versions(layout).into_iter().flatten().map(|begin| {
        let is_there = document.lines().any(|has| has.starts_with(&begin));
        (begin, is_there)
    });
    let line_is_there = document.lines().any(|has| has == line);
    wanted
        .chain([(line, line_is_there)])
        .filter_map(|(wanted, is_there)| (!is_there).then_some(wanted))
        .collect()
}

/// Checks the document's lines.
pub(crate) fn check(root: &Path) -> Complaints {
    let [layout, document] =
        [LAYOUT, DOCUMENT].map(|file| fs::read_to_string(root.join(file)).unwrap_or_default());
    let missing = missing(&layout, &document, line(root));
    let complaint = |line: &String| {
        format!(
            "{DOCUMENT}: does not have the line `{line}`: {LAYOUT} has changed; bring the document up to date, then the line"
        )
    };
    missing.iter().map(complaint).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Check that a document which says another version, at either place, or has another hash, lacks that line.
    #[test]
    fn each_line() {
        let layout = "pub const VERSION: u32 = 12;\n";
        let document = "layout hash: a\n\nVersion 12. All\n   8  u32  version          12\n";
        let lacks = |document: &str| missing(layout, document, "layout hash: a".to_owned());
        assert_eq!(lacks(document), [""; 0]);
        assert_eq!(
            lacks(&document.replace("hash: a", "hash: b")),
            ["layout hash: a"]
        );
        assert_eq!(
            lacks(&document.replace("Version 12", "Version 11")),
            ["Version 12. "]
        );
        assert_eq!(
            lacks(&document.replace("  12", "  1")),
            ["   8  u32  version          12"]
        );
    }
}
