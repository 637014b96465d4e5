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
use super::layout::{Chain, Layout, V3_9, V3_10, V3_11, V3_12, V3_13};
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
    pass_here(layout, known, at)
}

/// The same, for the one who asks at each event. Each way of hanging together has its own numbers, so that they stand in the instructions.
#[inline(always)]
pub(super) fn pass_here(layout: &Layout, known: &[Running], at: At) -> (usize, At) {
    match layout.chain {
        Chain::Frames => pass_by(&V3_9, known, at, |_, _, next| Some(next)),
        Chain::FramesAndRecords => pass_by(&V3_10, known, at, past_record),
        Chain::Entries => pass_by(&V3_11, known, at, past_record),
        Chain::Dummies => pass_by(&V3_12, known, at, past_dummy),
        Chain::DummiesAlone => pass_by(&V3_13, known, at, past_dummy),
    }
}

/// Out of an evaluator by its record.
#[inline(always)]
fn past_record(layout: &Layout, base: u64, next: At) -> Option<At> {
    let is_it = next.record == base; // before it is read: what was there may be gone
    let record = is_it.then(|| Trusted.known(base, layout.record_previous))?;
    Some(At { record, ..next })
}

/// Out of an evaluator by its dummy.
#[inline(always)]
fn past_dummy(layout: &Layout, base: u64, next: At) -> Option<At> {
    let is_linked = next.frame == base;
    let flags = is_linked.then(|| Trusted.known(base, layout.flags))?;
    let frame = Trusted.known(base, layout.previous);
    let is_dummy = layout.is_dummy(flags & layout.flags_mask);
    is_dummy.then_some(At { frame, ..next })
}

/// `link` steps out of the outermost frame of an evaluator with a base, where that is still the one.
#[inline(always)]
fn pass_by(
    layout: &Layout,
    known: &[Running],
    mut at: At,
    link: impl Fn(&Layout, u64, At) -> Option<At>,
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
            base => link(layout, base, inside),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::python::chain::{Reading, SOMEWHERE, Step};
    use crate::python::layout::{ENTRY_SHIFT, OWNED_BY_C_STACK};
    use heapshim_ledger::sync::{AtomicU64, Word};

    const FRAMES: usize = 5;
    /// The frames, outermost first, that are the outermost of an evaluator which runs many.
    const BASES: [usize; 2] = [0, 2];
    const WORDS: usize = 32;

    type Structure = [AtomicU64; WORDS];

    /// The memory of a thread that runs five frames, in one version's form.
    struct Thread {
        layout: &'static Layout,
        frames: [Structure; FRAMES],
        codes: [Structure; FRAMES],
        dummies: [Structure; FRAMES],
        records: [Structure; FRAMES],
    }

    fn structures() -> [Structure; FRAMES] {
        core::array::from_fn(|_| core::array::from_fn(|_| AtomicU64::new(0)))
    }

    fn address(structure: &Structure) -> u64 {
        structure.as_ptr().expose_provenance() as u64
    }

    fn word(structure: &Structure, offset: u64) -> &AtomicU64 {
        &structure[usize::try_from(offset / 8).expect("small")]
    }

    impl Thread {
        fn new(layout: &'static Layout) -> Thread {
            let [frames, codes, dummies, records] = [(); 4].map(|()| structures());
            Thread {
                layout,
                frames,
                codes,
                dummies,
                records,
            }
        }

        /// Once it stands where it stays.
        fn link_all(&self) {
            (0..FRAMES).for_each(|nth| self.link(nth));
        }

        fn is_base(&self, nth: usize) -> bool {
            let alone = [Chain::Frames, Chain::FramesAndRecords];
            alone.contains(&self.layout.chain) || BASES.contains(&nth)
        }

        fn link(&self, nth: usize) {
            let (layout, frame) = (self.layout, &self.frames[nth]);
            let outside = nth.checked_sub(1);
            let outer = outside.map_or(0, |outer| address(&self.frames[outer]));
            let code = address(&self.codes[nth]);
            word(frame, layout.code).put(code);
            word(frame, layout.previous).put(outer);
            if self.is_base(nth) && layout.has_dummies() {
                let dummy = &self.dummies[nth];
                word(dummy, layout.flags).put(OWNED_BY_C_STACK << layout.owner_shift);
                word(dummy, layout.previous).put(outer);
                word(frame, layout.previous).put(address(dummy));
            }
            if self.is_base(nth) && layout.chain == Chain::Entries {
                word(frame, layout.flags).put(1 << ENTRY_SHIFT);
            }
            let bases = (0..nth).rev().filter(|&base| self.is_base(base));
            let record = bases
                .map(|base| address(&self.records[base]))
                .next()
                .unwrap_or(0);
            word(&self.records[nth], layout.record_previous).put(record);
            word(frame, layout.instruction).put(code + layout.bytecode + 2 * nth as u64);
        }

        fn innermost(&self) -> At {
            let base = (0..FRAMES).rev().find(|&nth| self.is_base(nth));
            let record = match self.layout.chain {
                Chain::Frames => SOMEWHERE,
                Chain::DummiesAlone => 0,
                _ => address(&self.records[base.expect("the outermost is")]),
            };
            let frame = address(&self.frames[FRAMES - 1]);
            At { frame, record }
        }

        /// What a reading notes, outermost first.
        fn noted(&self) -> [Running; FRAMES] {
            let mut noted = [Running::default(); FRAMES];
            let mut reading = Reading::new(&mut noted);
            let mut at = self.innermost();
            while at.frame != 0 {
                let step = reading.step(self.layout, &mut Trusted, at);
                at = match step.expect("all is there") {
                    Step::On(next) => next,
                    Step::Full => At { frame: 0, ..at },
                };
            }
            assert_eq!((reading.len(), reading.is_closed()), (FRAMES, true));
            noted.reverse();
            noted
        }

        fn left(&self, noted: &[Running]) -> usize {
            let (left, at) = pass(self.layout, noted, self.innermost());
            assert_eq!(at.frame == 0, left == 0, "the chain ends with the frames");
            left
        }

        /// Where `pass` comes to once a word is another.
        fn left_with(&self, noted: &[Running], word: &AtomicU64, value: u64) -> usize {
            let before = word.peek();
            word.put(value);
            let left = self.left(noted);
            word.put(before);
            left
        }
    }

    /// Check, in the form of every version, that frames which are just as a reading has noted them are passed over, that those which another word
    /// of is other stop it there, and that bits which are not the frame's own do not.
    #[test]
    fn stops_where_something_differs() {
        for version in 0x0307..=0x030d {
            let layout = Layout::of(version).expect("a known version");
            let thread = Thread::new(layout);
            thread.link_all();
            let noted = thread.noted();
            assert_eq!(thread.left(&noted), 0, "{version:x}");
            for nth in 0..FRAMES {
                let frame = &thread.frames[nth];
                let other = address(&thread.frames[(nth + 2) % FRAMES]);
                let [code, at, previous] = [layout.code, layout.instruction, layout.previous]
                    .map(|offset| word(frame, offset));
                assert_eq!(thread.left_with(&noted, code, other), nth + 1);
                assert_eq!(thread.left_with(&noted, at, at.peek() + 2), nth + 1);
                // The link is the base's, or leads to a frame that is not the next.
                let stop = match nth {
                    _ if thread.is_base(nth) && layout.has_dummies() => nth + 1,
                    0 => continue,
                    _ => nth,
                };
                assert_eq!(thread.left_with(&noted, previous, other), stop);
            }
        }
    }

    /// Check that frames of which the outermost becomes an evaluator's own, or no longer is, stop it, and so does another record or dummy.
    #[test]
    fn stops_at_another_evaluator() {
        for version in [0x030a, 0x030b, 0x030c, 0x030d] {
            let layout = Layout::of(version).expect("a known version");
            let thread = Thread::new(layout);
            thread.link_all();
            let noted = thread.noted();
            let base = BASES[1];
            if layout.chain == Chain::Entries {
                let flags = word(&thread.frames[base], layout.flags);
                assert_eq!(thread.left_with(&noted, flags, 0), base + 1);
                assert_eq!(thread.left_with(&noted, flags, flags.peek() | 7), 0);
            }
            if layout.has_dummies() {
                let flags = word(&thread.dummies[base], layout.flags);
                assert_eq!(thread.left_with(&noted, flags, 0), base + 1);
            } else {
                let inner = &thread.records[if version == 0x030a { base + 1 } else { base }];
                let record = word(inner, layout.record_previous);
                let stop = if version == 0x030a { base + 1 } else { 1 };
                assert_eq!(thread.left_with(&noted, record, 64), stop);
            }
        }
    }
}
