//! The table: what people read.
//!
//! Three parts: two header lines, the rows, and a closing line that accounts for what is not shown. The rows, 'more', 'shrank',
//! 'not attributed' and 'left out' add up to the growth in the header, to the rounding.

mod closing;
mod columns;
mod distribution;
mod freed;
mod header;
mod layout;

use super::{Render, View};
use crate::report::{Report, Row, Sort};
use columns::survived;
use layout::Layout;
pub(super) use layout::{NO_THREAD, address_in};
use std::io::{self, Write};

/// Rows, where the user does not say how many.
const TOP: usize = 10;

/// For people.
#[derive(Clone, Copy, Debug)]
pub struct Table;

impl Render for Table {
    fn render(&self, report: &Report, view: &View<'_>, out: &mut dyn Write) -> io::Result<()> {
        let shown = shown(report, view);
        header::headline(report, out)?;
        header::notes(report, out)?;
        header::totals(report, out)?;
        writeln!(out)?;
        let layout = Layout::new(report, &shown, view);
        if !shown.is_empty() {
            layout.heading(out)?;
        }
        for row in &shown {
            layout.row(row, out)?;
        }
        let closing = closing::closing(report, &shown);
        writeln!(out, "{:1$}{closing}", "", layout.indent())
    }
}

/// The lines above the table: whose growth, between which moments, what to know of it, and how much in all.
///
/// # Errors
/// None: it is written to memory.
pub(crate) fn heading(report: &Report) -> io::Result<String> {
    let mut text = Vec::new();
    header::headline(report, &mut text)?;
    header::notes(report, &mut text)?;
    header::totals(report, &mut text)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// The rows that are printed.
fn shown<'a>(report: &'a Report, view: &View<'_>) -> Vec<&'a Row> {
    let top = match view.top {
        None => TOP,
        Some(0) => usize::MAX,
        Some(top) => top,
    };
    let wanted = |row: &&Row| {
        let has_blocks = row.distribution.is_some() && row.total.blocks > 0;
        row.grew() || view.all && row.shrank() || is_busy(row, report.sort) || has_blocks
    };
    report.rows.iter().filter(wanted).take(top).collect()
}

/// A row that did not grow may still be what the user sorts for.
fn is_busy(row: &Row, sort: Sort) -> bool {
    match sort {
        Sort::Growth | Sort::Blocks => false,
        Sort::Live => row.live.bytes > 0 && !row.shrank(),
        Sort::Total | Sort::Allocations => row.total.blocks > 0 && !row.shrank(),
        // Also where more of what was there before has gone.
        Sort::Survivors => survived(row).is_none_or(|amount| amount.blocks > 0),
        Sort::Temporary => row.temporary.is_some_and(|amount| amount.blocks > 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;
    use crate::render::{SourceLines, Stacks};
    use crate::report::{Amount, By};

    /// The lines of the contract's example.
    struct Example;

    impl SourceLines for Example {
        fn line(&self, file: &str, line: u32) -> Option<String> {
            let text = match (file.rsplit('/').next()?, line) {
                ("web_response.py", 56) => "        self._headers = CIMultiDict()",
                ("conn.c", 88) => "\tc->buf = xmalloc(4096);\r",
                _ => return None,
            };
            Some(text.to_string())
        }
    }

    fn example() -> View<'static> {
        View {
            sources: &Example,
            ..View::default()
        }
    }

    fn rendered(report: &Report, view: &View<'_>) -> String {
        let mut out = Vec::new();
        Table.render(report, view, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    /// Check the contract's example, byte by byte.
    #[test]
    fn bytes_of_the_contract() {
        let view = View {
            top: Some(3),
            width: Some(123),
            ..example()
        };
        assert_eq!(
            rendered(&fixture::report(), &view),
            include_str!("expected/table.txt")
        );
    }

    /// Check that lines are cut to the width, and that no line ends in a blank.
    #[test]
    fn lines_fit_the_width() {
        for width in [80, 60, 40, 20] {
            let view = View {
                width: Some(width),
                stacks: Stacks::All,
                all: true,
                ..example()
            };
            let text = rendered(&fixture::report(), &view);
            for line in text.lines() {
                assert!(!line.ends_with(' '), "{line:?}");
            }
            let rows = text.lines().filter(|line| line.contains(" c->buf"));
            assert!(rows.into_iter().all(|line| line.chars().count() <= width));
        }
    }

    /// Check that without a terminal a source line is cut at 160 columns, and what programs look for is not: places and names.
    #[test]
    fn only_sources_are_cut_in_files() {
        struct Minified;
        impl SourceLines for Minified {
            fn line(&self, _: &str, _: u32) -> Option<String> {
                Some("x".repeat(1 << 20))
            }
        }
        let mut report = fixture::report();
        let long = "f".repeat(300);
        report.rows[0].function = Some(long.clone());
        let stack = &mut report.rows[0].stack;
        stack.edit(|frames| frames[1].function = Some(long.clone()));
        let view = View {
            stacks: Stacks::All,
            sources: &Minified,
            ..View::default()
        };
        let text = rendered(&report, &view);
        let columns = |line: &str| line.chars().count();
        let sources: Vec<&str> = text.lines().filter(|line| line.contains("xxx")).collect();
        assert!(sources.len() > 2 && sources.iter().all(|line| columns(line) == 160));
        assert_eq!(text.matches(&long).count(), 2);
    }

    /// Check that a zero has no sign, in rows as in the closing line's `0 B`, and stands under the numbers that have one.
    #[test]
    fn zeros_have_no_sign() {
        let mut report = fixture::report();
        report.rows[1].growth = fixture::amount(64 << 10, 0);
        let text = rendered(&report, &example());
        let row = "   +64.0 KiB           0   64.0 KiB   src/conn.c:88";
        assert!(text.contains(row), "{text}");
    }

    /// Check that with --all the rows that shrank are shown, and no longer counted as hidden.
    #[test]
    fn all_shows_what_shrank() {
        let view = View {
            all: true,
            top: Some(0),
            ..example()
        };
        let text = rendered(&fixture::report(), &view);
        assert!(text.contains("src/gone.c:5  gone"), "{text}");
        assert!(text.ends_with("   not attributed: 0 B\n"), "{text}");
    }

    /// Check that a stack stands under its row, with the charged frame marked.
    #[test]
    fn stacks_stand_under_rows() {
        let view = View {
            stacks: Stacks::All,
            ..example()
        };
        let text = rendered(&fixture::report(), &view);
        assert!(text.contains("    > src/conn.c:88  conn_new\n"), "{text}");
        assert!(text.contains("      src/util.c:12  xmalloc\n"), "{text}");
    }

    /// Check that hostile names, paths and source lines cannot drive a terminal.
    #[test]
    fn nothing_hostile_reaches_the_terminal() {
        struct Hostile;
        impl SourceLines for Hostile {
            fn line(&self, _: &str, _: u32) -> Option<String> {
                Some("x = \"\u{1b}]0;owned\u{7}\";".to_string())
            }
        }
        let mut report = fixture::report();
        report.target.name = "se\u{1b}[2Jrver".to_string();
        report.to.moment.name = "no\nw".to_string();
        for row in &mut report.rows {
            row.file = Some("/a/\u{9b}31m.c".to_string());
            row.function = Some("f\u{202e}g\r".to_string());
            row.via = Some("v\u{8}".to_string());
            row.stack.edit(|frames| {
                for frame in frames {
                    frame.module = Some("/lib/\u{1b}c.so".to_string());
                    frame.file = None;
                }
            });
        }
        for by in [By::Line, By::Function, By::File, By::Module, By::Stack] {
            report.by = by;
            let view = View {
                stacks: Stacks::All,
                sources: &Hostile,
                ..View::default()
            };
            let text = rendered(&report, &view);
            let lines = text.split('\n').map(str::to_string);
            assert!(
                !lines
                    .flat_map(|l| l.chars().collect::<Vec<_>>())
                    .any(char::is_control)
            );
        }
    }

    /// Check that colours are there when they are asked for, and do not count as columns.
    #[test]
    fn colours_only_when_asked() {
        let view = View {
            color: true,
            ..example()
        };
        let text = rendered(&fixture::report(), &view);
        assert!(
            text.contains("\x1b[1msrc/conn.c:88\x1b[0m  conn_new"),
            "{text}"
        );
        let plain: String = text
            .replace("\x1b[1m", "")
            .replace("\x1b[2m", "")
            .replace("\x1b[31m", "")
            .replace("\x1b[0m", "");
        assert_eq!(plain, rendered(&fixture::report(), &example()));
    }

    /// Check that sorting by what was allocated shows it, also for rows that did not grow.
    #[test]
    fn allocations_have_a_column() {
        let mut report = fixture::report();
        report.sort = Sort::Allocations;
        report.rows[2].growth = Amount::default();
        report.rows[2].total = fixture::amount(1 << 20, 1_000_000);
        let text = rendered(&report, &example());
        assert!(text.contains("       live  allocations   line\n"), "{text}");
        assert!(text.contains("   +1,000,000   [libfoo"), "{text}");
    }
}
