//! The order of rows: `--sort`, and what comes first where that is equal.

use crate::report::{Amount, Row, Sort, Surviving};
use std::cmp::Reverse;

/// What is not known comes last of what is there.
fn known(row: &Row) -> Amount {
    let known = row.survivors.and_then(Surviving::known);
    known.unwrap_or_default()
}

/// Greatest first; what is equal in that, by the other numbers, and then by name: the same diff always prints the same.
pub(super) fn sort(rows: &mut [Row], by: Sort) {
    let first = |row: &Row| match by {
        Sort::Growth => row.growth.bytes,
        Sort::Blocks => row.growth.blocks,
        Sort::Live => row.live.bytes,
        Sort::Total => row.total.bytes,
        Sort::Allocations => row.total.blocks,
        Sort::Survivors => known(row).bytes,
        Sort::Temporary => row.temporary.unwrap_or_default().blocks,
    };
    let numbers = |row: &Row| {
        let growth = row.growth;
        Reverse((
            first(row),
            growth.bytes,
            growth.blocks,
            row.live.bytes,
            row.total.bytes,
        ))
    };
    rows.sort_by(|one, other| {
        numbers(one)
            .cmp(&numbers(other))
            .then_with(|| name(one).cmp(&name(other)))
            .then_with(|| one.stack.cmp(&other.stack))
    });
}

type Name<'r> = (Option<&'r str>, Option<u32>, [Option<&'r str>; 3]);

fn name(row: &Row) -> Name<'_> {
    let others = [&row.function, &row.module, &row.thread];
    let others = others.map(Option::as_deref);
    (row.file.as_deref(), row.line, others)
}
