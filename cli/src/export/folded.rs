//! Folded stacks: a line each, outermost frame first, `main (a.c:7);put (b.c:9) 300`.
//!
//! Since the start, the number is what is alive. Between two marks there are two, alive at the first and at the second: what
//! `difffolded.pl` and `inferno-diff-folded` write, and `flamegraph.pl` and `inferno-flamegraph` draw a differential flamegraph of.
//! Stacks of the same frames are one line.

use super::stacks::{self, has_before, label};
use crate::render::{Render, View};
use crate::report::Report;
use std::collections::BTreeMap;
use std::io::{self, Write};

/// For flamegraph.pl, inferno, speedscope.
#[derive(Clone, Copy, Debug)]
pub struct Folded;

impl Render for Folded {
    fn render(&self, report: &Report, _view: &View<'_>, out: &mut dyn Write) -> io::Result<()> {
        let mut lines: BTreeMap<String, (i64, i64)> = BTreeMap::new();
        for one in stacks::weighed(report) {
            let mut frames: Vec<String> = one.stack.iter().map(folded).collect();
            frames.reverse();
            let (before, after) = lines.entry(frames.join(";")).or_default();
            *before = before.wrapping_add(one.before());
            *after = after.wrapping_add(one.after());
        }
        for (stack, (before, after)) in lines.iter().filter(|(_, both)| **both != (0, 0)) {
            match has_before(report) {
                true => writeln!(out, "{stack} {before} {after}")?,
                false if *after > 0 => writeln!(out, "{stack} {after}")?,
                false => (),
            }
        }
        Ok(())
    }
}

/// A semicolon would be another frame.
fn folded(frame: &crate::symbolize::SymbolFrame) -> String {
    label(frame).replace(';', ":")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::stacks::tests::report;

    fn lines(report: &Report) -> Vec<String> {
        let mut out = Vec::new();
        let written = Folded.render(report, &View::default(), &mut out);
        written.expect("written to memory");
        let text = String::from_utf8(out).expect("UTF-8");
        text.lines().map(str::to_string).collect()
    }

    /// Check both numbers of a stack between two marks, its frames from the outermost on, and a semicolon in a name.
    #[test]
    fn two_marks() {
        let mut report = report();
        let name = |frames: &mut Vec<crate::symbolize::SymbolFrame>| {
            frames[1].function = Some("f<[u8; 4]>".to_string());
        };
        report.rows[1].stack.edit(name);
        let lines = lines(&report);
        let line = "conn_new (conn.c:88);f<[u8: 4]> (util.c:12);malloc (malloc.c:1) 1 65537";
        assert!(lines.iter().any(|found| found == line), "{lines:#?}");
        assert!(lines.iter().any(|found| found == "[not attributed] 0 40"));
    }

    /// Check that there is one number since the start, and no line for what is not alive.
    #[test]
    fn since_the_start() {
        let mut report = report();
        report.from.live = crate::report::Amount::default();
        report.rows.truncate(3);
        report.rows[2].live.bytes = 0;
        let lines = lines(&report);
        assert_eq!(lines.len(), 3, "{lines:#?}");
        assert!(lines.iter().any(|line| line.ends_with(" 65537")));
    }
}
