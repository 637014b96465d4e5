//! Random trees of real calls, walked at their leaves in both ways: the memo against the full walk on a real stack.
//!
//! Compiled for tests only. Trees are bushy and remembered whole, or slender, up to 60 calls (each of two frames or more) deep,
//! and walked with few places. The frames are those of `calls`, of Rust, of libc, and of the kernel's signal delivery; unlike
//! `worlds`, nothing here is arbitrary but the shape of the tree.

use std::cell::Cell;
use std::ffi::c_void;

use crate::calls::CALLERS;
use crate::testing::{Process, Random, Stack, capture};
use crate::{End, Frame, Memo, walk};

/// How many frames are remembered; walks are up to 8 deeper.
const DEPTH: usize = 96;
/// In bushy trees, one call in so many is a leaf, and all others may have siblings.
const SIBLINGS: usize = 8;

/// A random tree of calls, walked in both ways at its leaves.
struct Tree {
    random: Random,
    level: u64,
    /// Places for frames in most walks.
    limit: usize,
    /// One call in so many has a sibling, and one in so many is a leaf.
    sparse: usize,
    process: Process,
    stack: Stack,
    memo: Box<Memo<DEPTH>>,
    previous: Vec<Frame>,
    end: End,
    checks: u64,
    shared: u64,
    too_deep: u64,
    /// Of too deep walks.
    lookups: u64,
}

thread_local! {
    static TREE: Cell<*mut Tree> = const { Cell::new(std::ptr::null_mut()) };
}

extern "C" fn grow_in_handler(_: libc::c_int) {
    let tree = TREE.get();
    // SAFETY: `grow` has set its tree; what is in it is nobody's at this moment.
    let times = unsafe { (*tree).random.below(3) };
    for _ in 0..times {
        // SAFETY: as above.
        check(unsafe { &mut *tree });
    }
}

extern "C" fn grow(tree: *mut c_void) {
    let pointer = tree.cast::<Tree>();
    // SAFETY: the test passes its tree, and no reference to it lives across a call of `grow`.
    let tree = unsafe { &mut *pointer };
    if tree.random.below(60) == 0 {
        TREE.set(pointer);
        // SAFETY: the test has set the handler.
        unsafe { libc::raise(libc::SIGUSR2) };
        return;
    }
    if tree.sparse > SIBLINGS && tree.random.below(4) == 0 {
        check(tree);
    }
    if tree.level == 0 || tree.random.below(tree.sparse) == 0 {
        for _ in 0..=tree.random.below(2) {
            check(tree);
        }
        return;
    }
    tree.level -= 1;
    let siblings = match tree.random.below(tree.sparse) {
        0..SIBLINGS => tree.random.below(3),
        _ => 0,
    };
    for _ in 0..=siblings {
        // SAFETY: as above.
        let random = unsafe { &mut (*pointer).random };
        let caller = CALLERS[random.below(CALLERS.len())];
        let gap = 16 * random.below(4) as u64;
        // SAFETY: these functions only call what they are given.
        unsafe { caller(grow, pointer.cast(), gap) };
    }
    // SAFETY: as above.
    let tree = unsafe { &mut *pointer };
    tree.level += 1;
    if tree.sparse > SIBLINGS && tree.random.below(4) == 0 {
        check(tree);
    }
}

#[inline(never)]
fn check(tree: &mut Tree) {
    let registers = capture();
    let limit = if tree.random.below(50) == 0 {
        tree.random.below(64)
    } else {
        tree.limit
    };
    let mut full = [Frame::default(); DEPTH + 8];
    let full = &mut full[..limit];
    let expected = walk(registers, &mut tree.process, &mut tree.stack, full);
    let mut out = [Frame::default(); DEPTH + 8];
    let out = &mut out[..limit];
    tree.process.lookups = 0;
    let walked = tree
        .memo
        .walk_to(registers, &mut tree.process, &mut tree.stack, out);
    assert_eq!(walked.end, expected.end);
    assert_eq!(walked.len + walked.shared, expected.len);
    assert_eq!(out[..walked.len], full[..walked.len]);
    let previous = &tree.previous[tree.previous.len() - walked.shared..];
    assert_eq!(previous, &full[walked.len..expected.len]);
    tree.previous.clear();
    tree.previous.extend_from_slice(&full[..expected.len]);
    assert!(walked.shared == 0 || walked.end == tree.end);
    tree.end = walked.end;
    if walked.end == End::TooDeep {
        tree.too_deep += 1;
        tree.lookups += tree.process.lookups as u64;
    }
    tree.checks += 1;
    tree.shared += walked.shared as u64;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(limit: usize, sparse: usize) -> Tree {
        Tree {
            random: Random(1),
            level: 0,
            limit,
            sparse,
            process: Process::new(),
            stack: Stack::of_this_thread(),
            memo: Box::new(Memo::EMPTY),
            previous: Vec::new(),
            end: End::Complete,
            checks: 0,
            shared: 0,
            too_deep: 0,
            lookups: 0,
        }
    }

    fn walks() -> u64 {
        // SAFETY: the handler lives as long as the process, and no other test uses the signal.
        unsafe { libc::signal(libc::SIGUSR2, grow_in_handler as *const () as usize) };
        if cfg!(debug_assertions) {
            40_000
        } else {
            400_000
        }
    }

    /// Check that, in random trees of calls through frames of every kind and signal handlers, each walk with a memo is the full walk.
    #[test]
    fn random_call_trees() {
        let (wanted, mut tree) = (walks(), tree(DEPTH + 8, SIBLINGS));
        while tree.checks < wanted {
            tree.level = 2 + tree.random.below(8) as u64;
            grow((&raw mut tree).cast());
        }
        assert!(
            tree.shared > 10 * tree.checks,
            "{} shared in {}",
            tree.shared,
            tree.checks
        );
    }

    /// Check that this is so where the trees are around and far beyond the limit, and that few such walks need a rule.
    #[test]
    fn trees_deeper_than_the_limit() {
        let (wanted, mut tree) = (walks(), tree(8, 40));
        while tree.checks < wanted {
            tree.limit = 8 + tree.random.below(9);
            for _ in 0..20 {
                tree.level = 3 + tree.random.below(58) as u64;
                grow((&raw mut tree).cast());
            }
        }
        assert!(tree.too_deep > tree.checks / 10 * 9);
        assert!(tree.shared > tree.checks);
        assert!(
            tree.lookups < 6 * tree.too_deep,
            "{} look-ups in {}",
            tree.lookups,
            tree.too_deep
        );
    }
}
