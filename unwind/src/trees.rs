//! Random trees of real calls, walked at their leaves in both ways: the memo against the full walk on a real stack.
//!
//! Compiled for tests only. The frames are those of `calls`, of Rust, of libc, and of the kernel's signal delivery; unlike
//! `worlds`, nothing here is arbitrary but the shape of the tree.

use std::cell::Cell;
use std::ffi::c_void;

use crate::calls::CALLERS;
use crate::testing::{Process, Random, Stack, capture};
use crate::{Frame, Memo, walk};

/// How many frames are remembered; walks are up to 8 deeper.
const DEPTH: usize = 96;

/// A random tree of calls, walked in both ways at its leaves.
struct Tree {
    random: Random,
    level: u64,
    process: Process,
    stack: Stack,
    memo: Box<Memo<DEPTH>>,
    previous: Vec<Frame>,
    checks: u64,
    shared: u64,
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
    if tree.level == 0 || tree.random.below(8) == 0 {
        for _ in 0..=tree.random.below(2) {
            check(tree);
        }
        return;
    }
    tree.level -= 1;
    for _ in 0..=tree.random.below(3) {
        // SAFETY: as above.
        let random = unsafe { &mut (*pointer).random };
        let caller = CALLERS[random.below(CALLERS.len())];
        let gap = 16 * random.below(4) as u64;
        // SAFETY: these functions only call what they are given.
        unsafe { caller(grow, pointer.cast(), gap) };
    }
    // SAFETY: as above.
    unsafe { (*pointer).level += 1 };
}

#[inline(never)]
fn check(tree: &mut Tree) {
    let registers = capture();
    let limit = if tree.random.below(50) == 0 {
        tree.random.below(64)
    } else {
        DEPTH + 8
    };
    let mut full = [Frame::default(); DEPTH + 8];
    let full = &mut full[..limit];
    let expected = walk(registers, &mut tree.process, &mut tree.stack, full);
    let mut out = [Frame::default(); DEPTH + 8];
    let out = &mut out[..limit];
    let walked = tree
        .memo
        .walk(registers, &mut tree.process, &mut tree.stack, out);
    assert_eq!(walked.end, expected.end);
    assert_eq!(walked.len + walked.shared, expected.len);
    assert_eq!(out[..walked.len], full[..walked.len]);
    let previous = &tree.previous[tree.previous.len() - walked.shared..];
    assert_eq!(previous, &full[walked.len..expected.len]);
    tree.previous.clear();
    tree.previous.extend_from_slice(&full[..expected.len]);
    tree.checks += 1;
    tree.shared += walked.shared as u64;
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Check that, in random trees of calls through frames of every kind and signal handlers, each walk with a memo is the full walk.
    #[test]
    fn random_call_trees() {
        // SAFETY: the handler lives as long as the process, and no other test uses the signal.
        unsafe { libc::signal(libc::SIGUSR2, grow_in_handler as *const () as usize) };
        let mut tree = Tree {
            random: Random(1),
            level: 0,
            process: Process::new(),
            stack: Stack::of_this_thread(),
            memo: Box::new(Memo::EMPTY),
            previous: Vec::new(),
            checks: 0,
            shared: 0,
        };
        let wanted = if cfg!(debug_assertions) {
            40_000
        } else {
            400_000
        };
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
}
