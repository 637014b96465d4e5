//! The columns of numbers, and a row's numbers in them.

use crate::render::text::{grouped, signed_size, size};
use crate::report::{Amount, Report, Row, Sort};

/// The columns of numbers, and how wide they are at least. Where numbers are estimates, what each may be off stands beside it.
pub(super) fn columns(report: &Report) -> impl Iterator<Item = (&'static str, usize)> + use<> {
    let busy = match report.sort {
        Sort::Total => Some(("total", 13)),
        Sort::Allocations => Some(("allocations", 13)),
        Sort::Survivors => Some(("survivors", 13)),
        Sort::Temporary => Some(("temporary", 13)),
        Sort::Growth | Sort::Blocks | Sort::Live => None,
    };
    let error = report.errors.map(|_| ("±", 10));
    let counted = [("growth", 12), ("blocks", 12), ("live", 11)].into_iter();
    counted
        .chain(busy)
        .flat_map(move |column| [Some(column), error])
        .flatten()
}

/// A row's, in their order.
pub(super) fn numbers(report: &Report, row: &Row) -> Vec<String> {
    let errors = row.errors.unwrap_or_default();
    let busy = match report.sort {
        Sort::Total => Some((size(row.total.bytes), size(errors.total.bytes))),
        Sort::Allocations => Some((grouped(row.total.blocks), count(errors.total.blocks))),
        Sort::Survivors => Some((survivors(row), size(0))),
        Sort::Temporary => Some((temporary(row), count(0))),
        Sort::Growth | Sort::Blocks | Sort::Live => None,
    };
    let counted = [
        (signed_size(row.growth.bytes), size(errors.growth.bytes)),
        (grouped(row.growth.blocks), count(errors.growth.blocks)),
        (size(row.live.bytes), size(errors.live.bytes)),
    ];
    let error = |text: String| report.errors.map(|_| format!("±{text}"));
    let all = counted.into_iter().chain(busy);
    all.flat_map(|(number, off)| [Some(number), error(off)])
        .flatten()
        .collect()
}

/// A number that is no difference.
pub(super) fn count(number: i64) -> String {
    grouped(number).trim_start_matches('+').to_owned()
}

/// What survived of a row; None where it is not known.
pub(super) fn survived(row: &Row) -> Option<Amount> {
    row.survivors.unwrap_or_default().known()
}

fn survivors(row: &Row) -> String {
    survived(row).map_or_else(|| "unknown".to_owned(), |amount| size(amount.bytes))
}

/// Blocks: what they cost is calls, not memory.
fn temporary(row: &Row) -> String {
    let known = row.temporary.map(|amount| count(amount.blocks));
    known.unwrap_or_else(|| "unknown".to_owned())
}
