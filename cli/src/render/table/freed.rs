//! Under a row: which lines freed its blocks, and which of them no longer do.

use super::columns::count;
use crate::frees::{Freed, Freeing};
use crate::render::text::duration;
use crate::report::Report;

/// Lines of a row: more than these are counted.
const SHOWN: usize = 5;

/// `freed by src/cache.c:88  evict: 1,204 blocks until 31.2 s, none since, while 5,310 were allocated: stopped`, a line each; `place` says what a row is of.
pub(super) fn lines(
    freed: &Freed,
    report: &Report,
    place: impl Fn(&Freeing) -> String,
) -> Vec<String> {
    let shown = freed.by.iter().take(SHOWN);
    let mut lines: Vec<String> = shown
        .map(|one| format!("freed by {}: {}", place(one), told(one)))
        .collect();
    let rest = freed.by.get(SHOWN..).unwrap_or(&[]);
    let by_rest: u64 = rest.iter().map(|one| one.blocks).sum();
    let word = report.by.as_str();
    let parts = [
        (by_rest, format!("freed by {} more {word}s", rest.len())),
        (
            freed.unknown_blocks,
            "freed by what is not known".to_owned(),
        ),
        (
            freed.left_out_blocks,
            format!("freed by {word}s beyond what there is room for"),
        ),
    ];
    let parts = parts.into_iter().filter(|(blocks, _)| *blocks > 0);
    lines.extend(parts.map(|(blocks, what)| format!("{what}: {}", of_blocks(blocks))));
    if lines.is_empty() {
        lines.push("none of its blocks was freed".to_owned());
    }
    lines
}

/// What one of them did.
fn told(one: &Freeing) -> String {
    let blocks = of_blocks(one.blocks);
    let last = duration(0, one.last_ns);
    match one.stopped {
        true => format!(
            "{blocks} until {last}, none since, while {} were allocated: stopped",
            number(one.allocated_since)
        ),
        false => format!("{blocks}, the last at {last}"),
    }
}

fn of_blocks(blocks: u64) -> String {
    let plural = if blocks == 1 { "" } else { "s" };
    format!("{} block{plural}", number(blocks))
}

fn number(number: u64) -> String {
    count(i64::try_from(number).unwrap_or(i64::MAX))
}
