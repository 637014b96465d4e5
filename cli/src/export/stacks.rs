//! The stacks of a report with what they hold, and how their frames are named: what all forms of stacks begin with.
//!
//! Invariant: Σ growth, Σ live and Σ total over `weighed` are the report's own, `[not attributed]` included.

use crate::render::escape;
use crate::report::{Amount, Report};
use crate::symbolize::{Reason, Stack, SymbolFrame};

/// A stack, innermost frame first, and what it came to.
#[derive(Debug)]
pub(crate) struct Weighed {
    pub(crate) stack: Stack,
    pub(crate) growth: Amount,
    pub(crate) live: Amount,
    pub(crate) total: Amount,
}

impl Weighed {
    /// Bytes alive at the first mark, for forms that have nothing below zero.
    pub(super) fn before(&self) -> i64 {
        self.live.bytes.wrapping_sub(self.growth.bytes).max(0)
    }

    /// Bytes alive at the second mark, likewise.
    pub(super) fn after(&self) -> i64 {
        self.live.bytes.max(0)
    }
}

/// Every stack of the report, as it sorts them, and last what no stack is known of.
pub(crate) fn weighed(report: &Report) -> Vec<Weighed> {
    let rows = report.rows.iter().map(|row| Weighed {
        stack: row.stack.clone(),
        growth: row.growth,
        live: row.live,
        total: row.total,
    });
    let rest = Some(not_attributed(report))
        .filter(|rest| [rest.growth, rest.live, rest.total] != [Amount::default(); 3]);
    rows.chain(rest).collect()
}

fn not_attributed(report: &Report) -> Weighed {
    let in_rows: Amount = report.rows.iter().map(|row| row.live).sum();
    let name = match report.filtered {
        true => "[left out or not attributed]",
        false => "[not attributed]",
    };
    let frame = SymbolFrame {
        function: Some(name.to_string()),
        ..SymbolFrame::unresolved(Reason::Full, 0)
    };
    Weighed {
        stack: vec![frame].into(),
        growth: report.unattributed.growth,
        live: [report.to.live, -in_rows].into_iter().sum(),
        total: report.unattributed.total,
    }
}

/// Bytes that forms without negative numbers cannot show, at either mark: a forked child frees what its parent allocated.
#[must_use]
pub fn below_zero(report: &Report) -> i64 {
    let below = |stack: Weighed| {
        let before = stack.live.bytes.wrapping_sub(stack.growth.bytes);
        before.min(0).wrapping_add(stack.live.bytes.min(0))
    };
    weighed(report).into_iter().map(below).sum()
}

/// True where there is a first mark to compare with: nothing was alive at the start.
pub(super) fn has_before(report: &Report) -> bool {
    report.from.live != Amount::default()
}

/// The function, or where there is none what is known instead.
pub(super) fn name(frame: &SymbolFrame) -> String {
    match (&frame.function, &frame.reason) {
        (Some(function), _) => escape(function),
        (None, Some(reason)) if reason.is_mark() => format!("[{}]", escape(&reason.to_string())),
        (None, _) => match &frame.module {
            Some(module) => format!("[{}+{:#x}]", escape(base(module)), frame.address),
            None => format!("[{:#x}]", frame.address),
        },
    }
}

/// The function with its line: `put (cache.cc:9)`.
pub(crate) fn label(frame: &SymbolFrame) -> String {
    match (&frame.file, frame.line) {
        (Some(file), Some(line)) => format!("{} ({}:{line})", name(frame), escape(base(file))),
        (Some(file), None) => format!("{} ({})", name(frame), escape(base(file))),
        (None, _) => name(frame),
    }
}

/// A path's last part.
pub(super) fn base(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::fixture;

    /// The fixture, one block of 40 bytes unattributed, and a row that freed what others allocated.
    pub(crate) fn report() -> Report {
        let mut report = fixture::report();
        for row in &mut report.rows {
            row.live.bytes = row.live.bytes.max(row.growth.bytes.max(0)) + 1;
        }
        report.unattributed.growth = fixture::amount(40, 1);
        report.growth += fixture::amount(40, 1);
        let live: Amount = report.rows.iter().map(|row| row.live).sum();
        report.to.live = [live, fixture::amount(40, 1)].into_iter().sum();
        report.from.live = [report.to.live, -report.growth].into_iter().sum();
        report
    }

    /// Check that all stacks together are the report's growth and what was alive at its end.
    #[test]
    fn stacks_add_up() {
        let report = report();
        let all = weighed(&report);
        assert_eq!(
            all.iter().map(|one| one.growth).sum::<Amount>(),
            report.growth
        );
        assert_eq!(
            all.iter().map(|one| one.live).sum::<Amount>(),
            report.to.live
        );
        assert_eq!(
            label(all.last().unwrap().stack.get(0).unwrap()),
            "[not attributed]"
        );
    }

    /// Check what cannot be shown below zero: a row with less than nothing at its end, and one with less than nothing before.
    #[test]
    fn less_than_nothing() {
        let mut report = fixture::report();
        report.rows.truncate(2);
        (report.unattributed.growth, report.to.live) = (Amount::default(), Amount::default());
        report.rows[0].live.bytes = -100;
        report.rows[0].growth.bytes = -100;
        report.rows[1].live.bytes = 5;
        report.rows[1].growth.bytes = 12;
        report.to.live = report.rows.iter().map(|row| row.live).sum();
        assert_eq!(below_zero(&report), -107);
    }

    /// Check names of frames: a function with its line, an address, what ends a stack, and text that would drive a terminal.
    #[test]
    fn names() {
        let known = fixture::c_frame("put\x1b", "/src/cache.c", 9);
        assert_eq!(label(&known), "put\\x1b (cache.c:9)");
        let mut stripped = fixture::module_frame("f", "/usr/lib/libfoo.so.3");
        assert_eq!(label(&stripped), "f");
        stripped.function = None;
        assert_eq!(label(&stripped), "[libfoo.so.3+0x8f1c2]");
        let cut = SymbolFrame::unresolved(Reason::Truncated(1), 0);
        assert_eq!(label(&cut), "[stack cut short: deeper than --depth]");
        let jit = SymbolFrame::unresolved(Reason::UnknownModule, 0x7f00);
        assert_eq!(label(&jit), "[0x7f00]");
    }
}
