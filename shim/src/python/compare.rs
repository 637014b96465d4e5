//! The live chain of frames beside the remembered one, in place: which frames still mean what they meant.
//!
//! **Why what is equal is the same.** A remembered frame is taken as it is where the live one lies at the same address and has the same code, flags
//! and instruction, and its links lead to the next remembered frame: directly, or where it is the outermost of an evaluator through the same
//! record or dummy. Then all that the walk would read anew is equal, by induction outwards to the chain's end; that a frame is complete follows
//! from its code, flags and instruction. Where a frame that is left out (one that is being set up) lies between two others, the links don't
//! meet, and the outer part is entered anew. What a code object's address *means* may have changed: see `watched`; then `at` is overwritten, which
//! no live frame equals.
//!
//! Three of four events find every frame just as the last one left it (`pass`); the others find one or two at another instruction (`still`).

use super::chain::{At, Running, Words};
use super::codes::Lines;
use super::layout::{Chain, Layout};
use super::peek::Trusted;

/// Compares remembered frames, innermost last, with the live chain, and brings them up to date: from where `pass` has come to. How many outermost
/// ones mean the same as before; or, where the chain goes another way, how many were not looked at.
#[inline(never)]
pub(super) fn compare(
    layout: &Layout,
    lines: &Lines,
    known: &mut [Running],
    (mut left, mut at): (usize, At),
) -> Result<usize, usize> {
    let mut same = known.len();
    while let Some(nth) = left.checked_sub(1) {
        let running = known.get_mut(nth).ok_or(nth)?;
        if running.frame != at.frame {
            return Err(nth);
        }
        let (next, is_same) = still(layout, lines, running, at.record).ok_or(nth)?;
        if !is_same {
            same = nth;
        }
        (left, at) = pass(layout, known.get(..nth).unwrap_or(&[]), next);
    }
    match at.frame {
        0 => Ok(same),
        _ => Err(0),
    }
}

/// Passes over the frames, from the innermost on, that are just as they were: how many are left, and where the live chain stands then.
#[inline(never)]
pub(super) fn pass(layout: &Layout, known: &[Running], at: At) -> (usize, At) {
    match layout.chain {
        Chain::Frames => pass_by(layout, known, at, |_, next| Some(next)),
        Chain::FramesAndRecords | Chain::Entries => pass_by(layout, known, at, |base, next| {
            let is_it = next.record == base; // before it is read: what was there may be gone
            let record = is_it.then(|| Trusted.known(base, layout.record_previous))?;
            Some(At { record, ..next })
        }),
        Chain::Dummies | Chain::DummiesAlone => pass_by(layout, known, at, |base, next| {
            let is_linked = next.frame == base;
            let flags = is_linked.then(|| Trusted.known(base, layout.flags))?;
            let frame = Trusted.known(base, layout.previous);
            let is_dummy = layout.is_dummy(flags & layout.flags_mask);
            is_dummy.then_some(At { frame, ..next })
        }),
    }
}

/// `link` steps out of the outermost frame of an evaluator with a base, where that is still the one.
#[inline(always)]
fn pass_by(
    layout: &Layout,
    known: &[Running],
    mut at: At,
    link: impl Fn(u64, At) -> Option<At>,
) -> (usize, At) {
    let offsets = [
        layout.code,
        layout.instruction,
        layout.flags,
        layout.previous,
    ];
    let mut left = known.len();
    for running in known.iter().rev() {
        if running.frame != at.frame {
            break;
        }
        let [code, instruction, flags, frame] =
            offsets.map(|offset| Trusted.known(running.frame, offset));
        let is_same = code == running.code
            && instruction & layout.instruction_mask == running.at
            && flags & layout.flags_mask == running.flags;
        let inside = At { frame, ..at };
        let next = match running.base {
            _ if !is_same => None,
            0 => Some(inside),
            base => link(base, inside),
        };
        let Some(next) = next else {
            break;
        };
        at = next;
        left -= 1;
    }
    (left, at)
}

/// Compares one remembered frame: the next one outwards, and whether it means the same as before. None where it is another kind of frame.
#[inline(always)]
fn still(layout: &Layout, lines: &Lines, running: &mut Running, record: u64) -> Option<(At, bool)> {
    let words = layout.words(&mut Trusted, running.frame)?;
    if words.flags != running.flags {
        return None;
    }
    let mut is_same = true;
    if words.at != running.at || words.code != running.code {
        if !layout.is_complete(&mut Trusted, &words)? {
            return None;
        }
        (running.code, running.at) = (words.code, words.at);
        is_same = lines.renew(running);
    }
    let frame = words.previous;
    let next = match running.base {
        0 => At { frame, record },
        base => outside(layout, &words, record, base)?,
    };
    Some((next, is_same))
}

/// Out of the outermost frame that an evaluator runs, if its base is still that one.
#[inline(always)]
fn outside(layout: &Layout, words: &Words, record: u64, known: u64) -> Option<At> {
    if !layout.has_dummies() {
        let (base, next) = layout.outwards(&mut Trusted, words, record)?;
        return (base == known).then_some(next);
    }
    let dummy = layout.words(&mut Trusted, known)?;
    let frame = dummy.previous;
    (words.previous == known && layout.is_dummy(dummy.flags)).then_some(At { frame, record })
}
