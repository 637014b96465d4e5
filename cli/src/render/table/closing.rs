//! The line below the table, which accounts for what is not in it.
//!
//! With the rows shown it adds up to the growth in the header: nothing is left out silently.

use crate::render::text::{grouped, signed_size};
use crate::report::{Amount, Report, Row, Sort, Unattributed};
use std::collections::HashSet;

/// `3 more lines: +1.2 KiB · 5 lines shrank: -2.0 MiB · not attributed: 0 B`
pub(super) fn closing(report: &Report, shown: &[&Row]) -> String {
    let shown: HashSet<*const Row> = shown.iter().map(|&row| std::ptr::from_ref(row)).collect();
    let is_hidden = |row: &&Row| !shown.contains(&std::ptr::from_ref(*row));
    let hidden: Vec<&Row> = report.rows.iter().filter(is_hidden).collect();
    let word = report.by.as_str();
    let mut parts = Vec::new();
    if report.cumulative {
        return cumulative(hidden.len(), word);
    }
    if report.distribution.is_some() {
        return of_blocks(&hidden, report);
    }
    if let Some((count, bytes)) = sum(&hidden, Row::grew) {
        parts.push(format!("{count} more {word}{}: {bytes}", plural(count)));
    }
    if let Some((count, bytes)) = sum(&hidden, Row::shrank) {
        parts.push(format!("{count} {word}{} shrank: {bytes}", plural(count)));
    }
    parts.push(format!(
        "not attributed: {}",
        not_attributed(&report.unattributed)
    ));
    let excluded = report.unattributed.excluded;
    if excluded != Amount::default() {
        parts.push(format!("left out: {}", signed_size(excluded.bytes)));
    }
    parts.extend(temporary_elsewhere(report, &shown));
    parts.join(" · ")
}

/// `temporary elsewhere: 50 blocks`: where rows are sorted by that, what is in none that is shown.
fn temporary_elsewhere(report: &Report, shown: &HashSet<*const Row>) -> Option<String> {
    let all = report
        .temporary
        .filter(|_| report.sort == Sort::Temporary)?;
    let rows = report.rows.iter();
    let rows = rows.filter(|&row| shown.contains(&std::ptr::from_ref(row)));
    let here: i64 = rows.filter_map(|row| Some(row.temporary?.blocks)).sum();
    let elsewhere = Some(all.blocks.wrapping_sub(here)).filter(|&blocks| blocks != 0)?;
    Some(format!(
        "temporary elsewhere: {}",
        cause(elsewhere, "blocks")
    ))
}

/// `3 more lines: 1,204 blocks · in no line: 0 blocks`: where rows are of all blocks that were allocated, not of those that stayed.
fn of_blocks(hidden: &[&Row], report: &Report) -> String {
    let word = report.by.as_str();
    let blocks = |count: i64| cause(count, "blocks");
    let others = blocks(report.unattributed.total.blocks);
    let rest = format!("in no {word}: {others}");
    let count = hidden.len();
    if count == 0 {
        return rest;
    }
    let total: i64 = hidden.iter().map(|row| row.total.blocks).sum();
    format!(
        "{count} more {word}{}: {} · {rest}",
        plural(count),
        blocks(total)
    )
}

/// Rows that share blocks have no sum.
fn cumulative(hidden: usize, word: &str) -> String {
    let more = match hidden {
        0 => String::new(),
        count => format!("{count} more {word}{} · ", plural(count)),
    };
    format!("{more}cumulative: a block counts in each {word} of its stack")
}

/// How many rows of a kind are hidden, and what they come to; None where there are none.
fn sum(hidden: &[&Row], kind: impl Fn(&Row) -> bool) -> Option<(usize, String)> {
    let of_kind = || hidden.iter().filter(|row| kind(row));
    let growth: Amount = of_kind().map(|row| row.growth).sum();
    let count = of_kind().count();
    (count > 0).then(|| (count, signed_size(growth.bytes)))
}

fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}

/// The number, and what there is to say of it where it is not zero.
fn not_attributed(none: &Unattributed) -> String {
    let bytes = none.growth.bytes.wrapping_sub(none.excluded.bytes);
    let counted = [
        (
            none.truncated_stacks,
            ["truncated stack", "truncated stacks"],
        ),
        (none.nested_events, ["nested event", "nested events"]),
        (
            none.overflow_events,
            ["event past a limit", "events past a limit"],
        ),
    ];
    let counted = counted.iter().filter(|_| bytes != 0);
    // Said also beside 0 B: nobody knows how large they were.
    let untracked = (
        none.untracked_blocks,
        ["block not tracked", "blocks not tracked"],
    );
    let causes: Vec<String> = counted
        .chain([&untracked])
        .filter(|(count, _)| *count > 0)
        .map(|(count, [one, many])| cause(*count, if *count == 1 { one } else { many }))
        .collect();
    if causes.is_empty() {
        return signed_size(bytes);
    }
    format!("{} ({})", signed_size(bytes), causes.join(", "))
}

fn cause(count: i64, word: &str) -> String {
    format!("{} {word}", grouped(count).trim_start_matches('+'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    /// Check the contract's line: what is hidden, what shrank, what is in no row.
    #[test]
    fn hidden_rows_are_counted() {
        let report = fixture::report();
        let shown: Vec<&Row> = report.rows.iter().take(3).collect();
        assert_eq!(
            closing(&report, &shown),
            "3 more lines: +1.2 KiB · 5 lines shrank: -2.0 MiB · not attributed: 0 B"
        );
        let shown: Vec<&Row> = report.rows.iter().take(5).collect();
        assert!(closing(&report, &shown).starts_with("1 more line: +410 B · "));
        let shown: Vec<&Row> = report.rows.iter().collect();
        assert_eq!(closing(&report, &shown), "not attributed: 0 B");
    }

    /// Check that rows that do not add up are not added up.
    #[test]
    fn cumulative_rows_have_no_sum() {
        let mut report = fixture::report();
        report.cumulative = true;
        let shown: Vec<&Row> = report.rows.iter().skip(1).collect();
        let line = closing(&report, &shown);
        let expected = "1 more line · cumulative: a block counts in each line of its stack";
        assert_eq!(line, expected);
    }

    /// Check that blocks that nobody knows the size of are said, though no byte is missing.
    #[test]
    fn untracked_blocks_are_said() {
        let mut report = fixture::report();
        report.rows.clear();
        report.unattributed.nested_events = 7;
        report.unattributed.untracked_blocks = 1;
        let line = closing(&report, &[]);
        assert_eq!(line, "not attributed: 0 B (1 block not tracked)");
        report.unattributed.untracked_blocks = 4096;
        let line = closing(&report, &[]);
        assert_eq!(line, "not attributed: 0 B (4,096 blocks not tracked)");
    }

    /// Check that what is not attributed or left out says why.
    #[test]
    fn what_is_in_no_row_is_said() {
        let mut report = fixture::report();
        report.rows.clear();
        report.unattributed.growth = fixture::amount(5 << 10, 3);
        report.unattributed.excluded = fixture::amount(1 << 10, 1);
        report.unattributed.truncated_stacks = 2000;
        report.unattributed.nested_events = 1;
        assert_eq!(
            closing(&report, &[]),
            "not attributed: +4.0 KiB (2,000 truncated stacks, 1 nested event) · left out: +1.0 KiB"
        );
    }
}
