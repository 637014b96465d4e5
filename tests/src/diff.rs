//! What `diff --format json` says, read back: the contract's schema 1, with the questions that tests ask of it.

use crate::expected::Expected;
use serde_json::Value;

/// Bytes and blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Amount {
    /// Bytes that the program asked for.
    pub bytes: i64,
    /// Blocks.
    pub blocks: i64,
}

/// A report.
#[derive(Clone, Debug)]
pub struct Diff {
    json: Value,
}

/// One row of it.
#[derive(Clone, Debug)]
pub struct Row {
    /// As it was printed.
    pub json: Value,
}

impl std::ops::AddAssign for Amount {
    fn add_assign(&mut self, other: Amount) {
        self.bytes += other.bytes;
        self.blocks += other.blocks;
    }
}

impl Diff {
    /// Reads a report.
    ///
    /// # Panics
    /// Where it is not schema 1.
    #[must_use]
    pub fn read(text: &str) -> Diff {
        let json: Value = serde_json::from_str(text)
            .unwrap_or_else(|error| panic!("no JSON ({error}): {text:?}"));
        assert_eq!(json["schema"], 1, "{text}");
        Diff { json }
    }

    /// The report as it was printed.
    #[must_use]
    pub fn json(&self) -> &Value {
        &self.json
    }

    /// Every row.
    #[must_use]
    pub fn rows(&self) -> Vec<Row> {
        let rows = self.json["rows"].as_array().expect("rows");
        rows.iter().map(|json| Row { json: json.clone() }).collect()
    }

    /// The row of a line, if there is one. `file` is the source's name without directories.
    #[must_use]
    pub fn find(&self, file: &str, line: u64) -> Option<Row> {
        let mut rows = self.rows_in(file);
        rows.retain(|row| row.json["line"] == line);
        assert!(rows.len() < 2, "{file}:{line} has two rows: {rows:#?}");
        rows.pop()
    }

    /// The row of a line.
    ///
    /// # Panics
    /// Where there is none.
    #[must_use]
    pub fn row(&self, file: &str, line: u64) -> Row {
        let none = || panic!("no row for {file}:{line} in\n{}", self.listing());
        self.find(file, line).unwrap_or_else(none)
    }

    /// The rows of a file.
    #[must_use]
    pub fn rows_in(&self, file: &str) -> Vec<Row> {
        let mut rows = self.rows();
        rows.retain(|row| row.file_name() == Some(file));
        rows
    }

    /// Growth of everything between the two marks.
    #[must_use]
    pub fn growth(&self) -> Amount {
        amount(&self.json, "growth")
    }

    /// A number of `unattributed`.
    #[must_use]
    pub fn unattributed(&self, name: &str) -> i64 {
        number(&self.json["unattributed"], name)
    }

    /// What was allocated between the two marks, in rows and in none.
    #[must_use]
    pub fn total(&self) -> Amount {
        let in_none = amount(&self.json["unattributed"], "total");
        sum(self.rows().iter().map(Row::total).chain([in_none]))
    }

    /// Live bytes and blocks at the end `to` or `from`.
    #[must_use]
    pub fn live_at(&self, end: &str) -> Amount {
        amount(&self.json[end], "live")
    }

    /// True where both marks were taken with no event in flight.
    #[must_use]
    pub fn exact(&self) -> bool {
        self.json["from"]["exact"] == true && self.json["to"]["exact"] == true
    }

    /// Asserts that the rows, with what is not attributed, add up to the whole, and the whole to the difference of its ends.
    ///
    /// # Panics
    /// Where they do not.
    pub fn assert_adds_up(&self) {
        let rows = sum(self.rows().iter().map(Row::growth));
        let rest = amount(&self.json["unattributed"], "growth");
        let all = sum([rows, rest].into_iter());
        assert_eq!(
            all,
            self.growth(),
            "rows do not add up:\n{}",
            self.listing()
        );
        let (from, to) = (self.live_at("from"), self.live_at("to"));
        assert_eq!(from.bytes + all.bytes, to.bytes, "ends do not add up");
        assert_eq!(from.blocks + all.blocks, to.blocks, "ends do not add up");
    }

    /// Asserts that nothing was lost: no stack truncated, no event nested or overflown, no block freed that was never seen.
    ///
    /// # Panics
    /// Where something was.
    pub fn assert_complete(&self) {
        let lost = &self.json["unattributed"];
        for name in [
            "truncated_stacks",
            "nested_events",
            "overflow_events",
            "foreign_frees",
        ] {
            assert_eq!(lost[name], 0, "{name}: {lost}");
        }
    }

    /// Asserts that the program's lines say exactly what its source says they must, and that no other line of it has a row.
    ///
    /// # Panics
    /// Where they differ.
    pub fn assert_rows(&self, expected: &[Expected]) {
        for one in expected {
            match self.find(&one.file, one.line) {
                Some(row) => row.assert(one),
                None if one.may_be_absent() => {}
                None => panic!("no row for {one:?} in\n{}", self.listing()),
            }
        }
        let file = &expected.first().expect("a source with expected rows").file;
        let zero = Amount::default();
        for row in self.rows_in(file) {
            if (row.growth(), row.total()) == (zero, zero) {
                continue;
            }
            let known = expected.iter().any(|one| row.json["line"] == one.line);
            assert!(
                known,
                "a row that the source does not know: {}",
                row.brief()
            );
        }
        self.assert_adds_up();
    }

    /// The rows in short, for a failed test's message.
    #[must_use]
    pub fn listing(&self) -> String {
        let lines: Vec<String> = self.rows().iter().map(Row::brief).collect();
        format!(
            "{}\nunattributed {}",
            lines.join("\n"),
            self.json["unattributed"]
        )
    }
}

impl Row {
    /// The file's name without directories.
    #[must_use]
    pub fn file_name(&self) -> Option<&str> {
        self.json["file"].as_str()?.rsplit('/').next()
    }

    /// The row as it stands in the report.
    #[must_use]
    pub fn json(&self) -> &Value {
        &self.json
    }

    /// Growth between the two marks.
    #[must_use]
    pub fn growth(&self) -> Amount {
        amount(&self.json, "growth")
    }

    /// Live at the second mark.
    #[must_use]
    pub fn live(&self) -> Amount {
        amount(&self.json, "live")
    }

    /// Allocated between the two marks.
    #[must_use]
    pub fn total(&self) -> Amount {
        amount(&self.json, "total")
    }

    /// The function without its parameters.
    #[must_use]
    pub fn function(&self) -> Option<&str> {
        self.json["function"].as_str()?.split('(').next()
    }

    /// The row in one line.
    #[must_use]
    pub fn brief(&self) -> String {
        let (growth, live, total) = (self.growth(), self.live(), self.total());
        format!(
            "{}:{} {} in {} via {}: growth {}/{} live {}/{} total {}/{}",
            self.json["file"],
            self.json["line"],
            self.json["function"],
            self.json["module"],
            self.json["via"],
            growth.bytes,
            growth.blocks,
            live.bytes,
            live.blocks,
            total.bytes,
            total.blocks
        )
    }

    /// Asserts that the row is as its line's comment says, and that the blamed frame is one of its stack.
    ///
    /// # Panics
    /// Where it is not.
    pub fn assert(&self, expected: &Expected) {
        let checks = [
            ("growth", expected.growth, self.growth()),
            ("live", expected.live, self.live()),
            ("total", expected.total, self.total()),
        ];
        for (name, expected_amount, amount) in checks {
            let right = expected_amount.is_none_or(|expected| expected == amount);
            assert!(right, "{name} of {} should be {expected:?}", self.brief());
        }
        let function = expected.function.as_deref();
        let right = function.is_none() || function == self.function();
        assert!(right, "{} should be in {function:?}", self.brief());
        let via = expected.via.as_deref();
        let right = via.is_none() || via == self.json["via"].as_str();
        assert!(right, "{} should be via {via:?}", self.brief());
        let stack = self.json["stack"].as_array().expect("a stack");
        let blamed = stack
            .iter()
            .any(|frame| frame["file"] == self.json["file"] && frame["line"] == self.json["line"]);
        assert!(
            blamed,
            "{} is not a frame of its stack {stack:#?}",
            self.brief()
        );
    }
}

fn number(json: &Value, name: &str) -> i64 {
    json[name]
        .as_i64()
        .unwrap_or_else(|| panic!("no number {name} in {json}"))
}

fn amount(json: &Value, name: &str) -> Amount {
    Amount {
        bytes: number(json, &format!("{name}_bytes")),
        blocks: number(json, &format!("{name}_blocks")),
    }
}

fn sum(amounts: impl Iterator<Item = Amount>) -> Amount {
    amounts.fold(Amount::default(), |sum, one| Amount {
        bytes: sum.bytes + one.bytes,
        blocks: sum.blocks + one.blocks,
    })
}
