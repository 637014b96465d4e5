//! Where a row is, told by what stays the same from report to report and from run to run.
//!
//! Used by `check` and `watch`, which follow a line over several reports. The function is no part of it: a line of which two functions
//! are inlined is one line.

use crate::report::Row;
use std::fmt;

/// A place.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Place {
    /// A source line; 0 where the file is known and the line is not.
    Line(String, u32),
    /// An address in a module's file; of no module: at run time.
    Address(Option<String>, u64),
}

impl Place {
    /// The place of a row of lines, or the place that a row of stacks is blamed on.
    #[must_use]
    pub fn of(row: &Row) -> Place {
        match (&row.file, row.line) {
            (Some(file), line) => Place::Line(file.clone(), line.unwrap_or(0)),
            (None, _) => {
                let address = row.blamed_frame().map_or(0, |frame| frame.address);
                Place::Address(row.module.clone(), address)
            }
        }
    }

    /// The source file, where it is known.
    #[must_use]
    pub fn file(&self) -> Option<&str> {
        match self {
            Place::Line(file, _) => Some(file),
            Place::Address(..) => None,
        }
    }

    /// `FILE:LINE`, with the file's name as it is to be shown.
    #[must_use]
    pub fn shown(&self, file: &str) -> String {
        match self {
            Place::Line(_, 0) => file.to_string(),
            Place::Line(_, line) => format!("{file}:{line}"),
            Place::Address(..) => self.to_string(),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Line(file, 0) => f.write_str(file),
            Place::Line(file, line) => write!(f, "{file}:{line}"),
            Place::Address(Some(module), address) => {
                let base = module.rsplit('/').next().unwrap_or(module);
                write!(f, "[{base}+{address:#x}]")
            }
            Place::Address(None, address) => write!(f, "[{address:#x}]"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    /// Check a source line, a line that is not known, and an address of a module.
    #[test]
    fn places() {
        let mut report = fixture::report();
        let conn = "/home/u/server/src/conn.c";
        assert_eq!(
            Place::of(&report.rows[1]),
            Place::Line(conn.to_string(), 88)
        );
        report.rows[1].line = None;
        assert_eq!(Place::of(&report.rows[1]).shown("conn.c"), "conn.c");
        let foo = Place::of(&report.rows[2]);
        assert_eq!(
            (foo.to_string().as_str(), foo.file()),
            ("[libfoo.so.3+0x8f1c2]", None)
        );
    }
}
