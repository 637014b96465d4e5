//! The right answer, read from the program's own source.
//!
//! A comment on a line says what the report must say of that line, bytes/blocks:
//! `// row: growth=111/3 live=148/4 total=111/3 function=in_loop`. What it leaves out may be anything; in Python it is `# row:`. So no line number is written
//! down twice, and a reader of the program sees what it is for.

use crate::diff::Amount;
use std::fs;
use std::path::Path;

/// What one line's row must say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    /// The source's file name.
    pub file: String,
    /// The line's number, from 1.
    pub line: u64,
    /// Growth between the two marks.
    pub growth: Option<Amount>,
    /// Live at the second mark.
    pub live: Option<Amount>,
    /// Allocated between the two marks.
    pub total: Option<Amount>,
    /// The function that the line is in, without its parameters.
    pub function: Option<String>,
    /// What the line called to get its memory.
    pub via: Option<String>,
}

impl Expected {
    /// True where a report need not have a row for the line: nothing need be allocated there, nor grow.
    #[must_use]
    pub fn may_be_absent(&self) -> bool {
        let none = Amount::default();
        [self.growth, self.total]
            .into_iter()
            .flatten()
            .all(|amount| amount == none)
    }
}

/// Every `row:` comment of a source file. One that stands alone is about the line below it.
///
/// # Panics
/// Where the file can't be read or a comment is malformed.
#[must_use]
pub fn expected_in(source: &Path) -> Vec<Expected> {
    let text = fs::read_to_string(source).expect("the program's source");
    let file = source
        .file_name()
        .expect("a source has a name")
        .to_string_lossy();
    let numbered = (1..).zip(text.lines());
    numbered
        .filter_map(|(line, text)| {
            let marks = ["// row:", "# row:"].iter();
            let (before, comment) = marks.filter_map(|mark| text.split_once(mark)).next()?;
            let below = u64::from(before.trim().is_empty());
            Some(parse(&file, line + below, comment))
        })
        .collect()
}

fn parse(file: &str, line: u64, comment: &str) -> Expected {
    let mut expected = Expected {
        file: file.to_string(),
        line,
        growth: None,
        live: None,
        total: None,
        function: None,
        via: None,
    };
    for word in comment.split_whitespace() {
        match word.split_once('=') {
            Some(("growth", amount)) => expected.growth = Some(parse_amount(amount)),
            Some(("live", amount)) => expected.live = Some(parse_amount(amount)),
            Some(("total", amount)) => expected.total = Some(parse_amount(amount)),
            Some(("function", name)) => expected.function = Some(name.to_string()),
            Some(("via", name)) => expected.via = Some(name.to_string()),
            _ => panic!("{file}:{line}: {word:?} is no part of a row"),
        }
    }
    expected
}

fn parse_amount(text: &str) -> Amount {
    let parsed = text
        .split_once('/')
        .and_then(|(bytes, blocks)| Some((bytes.parse().ok()?, blocks.parse().ok()?)));
    let (bytes, blocks) = parsed.unwrap_or_else(|| panic!("{text:?} is not bytes/blocks"));
    Amount { bytes, blocks }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Check that a comment's words become the row that it describes.
    #[test]
    fn reads_a_comment() {
        let row = parse("a.c", 3, "growth=-37/-1 total=0/0 function=Shelf::fill");
        assert_eq!((row.file.as_str(), row.line), ("a.c", 3));
        assert_eq!(
            row.growth,
            Some(Amount {
                bytes: -37,
                blocks: -1
            })
        );
        assert_eq!(row.total, Some(Amount::default()));
        assert_eq!(
            (row.live, row.function.as_deref()),
            (None, Some("Shelf::fill"))
        );
        assert!(!row.may_be_absent());
    }
}
