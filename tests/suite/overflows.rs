//! A program that survives its stack's overflow, by a handler of its own on a stack of its own: it does so under the shim, which uses more of that stack than malloc.

use heapshim_tests::{Diff, Run, Target, shared_library};

/// What overflow.c says of itself: jumps; blocks that malloc gave at the bottom, and times that it was asked; the same in the recursion; whether the handler is its own.
struct Said([i64; 6]);

impl Said {
    fn of(stdout: &[u8]) -> Said {
        let text = String::from_utf8_lossy(stdout);
        let numbers = text
            .split_whitespace()
            .map(|word| word.parse().expect("a number"));
        let numbers: Vec<i64> = numbers.collect();
        Said(numbers.try_into().unwrap_or_else(|_| panic!("{text}")))
    }
}

/// Asserts that as many blocks are charged as malloc gave, and at most as many more as it was left in.
fn assert_between(diff: &Diff, function: &str, size: i64, given: i64, asked: i64) {
    let rows = diff.rows_in("overflow.c");
    let row = rows.iter().find(|row| row.function() == Some(function));
    let total = row
        .unwrap_or_else(|| panic!("no {function}: {}", diff.listing()))
        .total();
    assert_eq!(total.bytes, size * total.blocks, "{function}");
    assert!(
        (given..=asked).contains(&total.blocks),
        "{function}: {} of {given} to {asked}",
        total.blocks
    );
}

/// Check that the handler is reached wherever the stack ends in a hook, also in a thread's first event; that it stays the program's; and that afterwards nothing
/// is missing, and no event counts as one inside another. Behind us is an allocator that may be left at any instruction.
#[test]
fn caught() {
    let allocator = shared_library("bump.c", &["-O2"]);
    let target = Target::c("overflow.c");
    let bare = target.clone().bare().behind(&allocator).spawn();
    let bare = Said::of(bare.said().as_bytes());
    let finished = Run::new(&target.words())
        .env("LD_PRELOAD", allocator)
        .stdin(b"go\n")
        .finish();
    assert!(finished.status.success(), "{finished:?}");
    let Said([jumps, given, asked, frames_given, frames_asked, own]) = Said::of(&finished.stdout);
    assert_eq!((own, bare.0[5]), (1, 1), "the handler is the program's");
    // Malloc alone needs a few of the 32 bytes by which the stack's end comes nearer; each hook is reached in many places.
    assert!(jumps > bare.0[0] + 40, "{jumps} jumps, bare {}", bare.0[0]);
    let diff = finished.report();
    for expected in target.expected().iter().filter(|row| row.growth.is_some()) {
        diff.row(&expected.file, expected.line).assert(expected);
    }
    assert_between(diff, "bottom", 37, given, asked);
    assert_between(diff, "recurse", 43, frames_given, frames_asked);
    assert_eq!(diff.unattributed("nested_events"), 0);
    diff.assert_adds_up();
}
