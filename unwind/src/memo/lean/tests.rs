//! Tests of the lean walk: each way in which a slot can be stale, forced, and what is kept where the walk gives up. Random ones are in `worlds`.

use super::{REST, SHORT_REST};
use crate::arch::Rule;
use crate::testing::size;
use crate::walk::Memory;
use crate::worlds::{BASE, WORDS, World};
use crate::{End, Frame, Memo, Registers, RuleError, walk};

const DEPTH: usize = 96;

/// A rule on the stack pointer.
fn simple(size: u64) -> Result<Rule, RuleError> {
    Ok(Rule::from_words([1 | size << 32, 0]))
}

/// Functions 0 and 1 have frames of two words, 2 of three, 3 is the outermost, 4 has a frame pointer and 5 saves its caller's.
fn world() -> World {
    let mut world = World::new(0);
    world.words = [0; WORDS];
    world.rules = [Err(RuleError::NoRule); 32];
    world.rules[..4].copy_from_slice(&[simple(16), simple(16), simple(24), Ok(Rule::OUTERMOST)]);
    let saving = |kind: u64| {
        let rule = Rule::from_words([kind | 16 << 32, 0]);
        Ok(rule.saving(0, false, -16).unwrap())
    };
    (world.rules[4], world.rules[5]) = (saving(2), saving(1));
    world
}

/// A return address in a function.
fn ip(function: u64) -> u64 {
    16 * function + 1
}

/// Writes a stack of frames that begins at a word, the return addresses of these functions, and says where the innermost one runs.
fn write(world: &mut World, first: usize, functions: &[u64]) -> Registers {
    let mut at = first;
    for pair in functions.windows(2) {
        at += if pair[0] == 2 { 3 } else { 2 };
        world.words[at - 1] = ip(pair[1]);
    }
    Registers::new(ip(functions[0]), BASE + 8 * first as u64, [0; crate::SAVED])
}

/// Walks in both ways, which must agree; how many frames were shared, and whether inner frames are kept here now.
fn both(world: &mut World, memo: &mut Memo<DEPTH>, from: Registers) -> (usize, bool) {
    let mut full = vec![Frame::default(); DEPTH];
    let expected = walk(from, &mut world.rules, &mut &world.words, &mut full);
    assert_eq!(expected.end, End::Complete);
    let mut out = vec![Frame::default(); DEPTH];
    let walked = memo.walk_to(from, &mut world.rules, &mut &world.words, &mut out);
    assert_eq!(walked.len + walked.shared, expected.len);
    assert_eq!(out[..walked.len], full[..walked.len]);
    for nth in 0..expected.len {
        let frame = full[expected.len - 1 - nth];
        assert_eq!(memo.outer(nth), Some(frame));
    }
    (walked.shared, memo.is_lean())
}

/// Check that the second walk is lean, and shares all frames of a stack that has not changed.
#[test]
fn same_stack() {
    let (mut world, mut memo) = (world(), Memo::EMPTY);
    let from = write(&mut world, 4, &[0, 1, 2, 0, 3]);
    assert_eq!(both(&mut world, &mut memo, from), (0, false));
    assert_eq!(both(&mut world, &mut memo, from), (5, true));
    assert_eq!(both(&mut world, &mut memo, from), (5, true));
}

/// Check that a frame that runs on elsewhere, as another function of its size, changes where it stands, and that those outside of it are shared.
#[test]
fn elsewhere_with_the_same_size() {
    let (mut world, mut memo) = (world(), Memo::EMPTY);
    for (functions, shared) in [
        ([0, 1, 2, 0, 3], 0),
        ([0, 0, 2, 0, 3], 3),
        ([1, 0, 2, 0, 3], 4),
        ([1, 1, 2, 1, 3], 1),
    ] {
        let from = write(&mut world, 4, &functions);
        assert_eq!(both(&mut world, &mut memo, from).0, shared);
    }
    assert!(memo.is_lean());
}

/// Check that a frame that has another size now has all inside of it taken for new, and that the walk is lean where it meets the remembered stack again.
#[test]
fn elsewhere_with_another_size() {
    let (mut world, mut memo) = (world(), Memo::EMPTY);
    // The middle frames take six words in all, in either order.
    let one = [0, 0, 2, 1, 0, 3];
    let other = [0, 2, 0, 1, 0, 3];
    let from = write(&mut world, 4, &one);
    both(&mut world, &mut memo, from);
    assert_eq!(both(&mut world, &mut memo, from), (6, true));
    for functions in [other, one, other] {
        let from = write(&mut world, 4, &functions);
        assert_eq!(both(&mut world, &mut memo, from), (3, true));
    }
}

/// Check that frames that have returned are forgotten, and that new ones are found inside of the rest.
#[test]
fn deeper_and_less_deep() {
    let (mut world, mut memo) = (world(), Memo::EMPTY);
    let deep = write(&mut world, 4, &[0, 1, 0, 1, 2, 3]);
    both(&mut world, &mut memo, deep);
    assert_eq!(both(&mut world, &mut memo, deep), (6, true));
    let flat = Registers::new(ip(0), BASE + 64, [0; crate::SAVED]);
    assert_eq!(both(&mut world, &mut memo, flat), (4, true));
    assert_eq!(both(&mut world, &mut memo, deep), (4, true));
}

/// Check that a frame pointer that an outer frame needs is asked for at each walk: lean frames inside of it stay, and the walk is none of theirs.
#[test]
fn frame_pointer_outside() {
    let (mut world, mut memo) = (world(), Memo::EMPTY);
    // 0 at word 4, 5 at 6 saves rbp at word 6, 4 at word 8 counts from it: its frame ends at word 14 or 16.
    let mut at = |world: &mut World, pointer: u64| {
        world.words[5] = ip(5);
        (world.words[6], world.words[7]) = (BASE + 8 * pointer, ip(4));
        world.words[size(pointer) + 1] = ip(3);
        let from = Registers::new(ip(0), BASE + 32, [0; crate::SAVED]);
        both(world, &mut memo, from)
    };
    assert_eq!(at(&mut world, 12), (0, false));
    assert_eq!(at(&mut world, 12), (4, true));
    assert_eq!(at(&mut world, 14), (0, false));
}

/// Check that a new frame that is not lean ends it, that the walk is right, and that it is tried again after a while: a longer one each time that it did not pay, and a
/// short one where it did.
#[test]
fn not_lean_for_a_while() {
    let (mut world, mut memo) = (world(), Memo::EMPTY);
    let lean = write(&mut world, 8, &[0, 1, 2, 0, 3]);
    both(&mut world, &mut memo, lean);
    assert_eq!(both(&mut world, &mut memo, lean), (5, true));
    // A frame with a frame pointer, which is at word 6, calls from inside of them.
    world.words[7] = ip(0);
    let framed = Registers::new(ip(4), BASE + 32, [BASE + 48, 0, 0, 0, 0, 0]);
    let mut rests_for = |rest: u32, paid: u32| {
        assert_eq!(both(&mut world, &mut memo, framed), (5, false));
        for _ in 1..rest {
            assert_eq!(both(&mut world, &mut memo, lean), (5, false));
        }
        for _ in 0..paid {
            assert_eq!(both(&mut world, &mut memo, lean), (5, true));
        }
    };
    let mut rest = SHORT_REST;
    while rest < REST {
        rests_for(rest, 1);
        rest *= 2;
    }
    rests_for(REST, REST - 1);
    rests_for(REST, REST);
    rests_for(SHORT_REST, 1);
}

/// Memory of which only the innermost words are known at once.
struct Far<'w>(&'w [u64; WORDS], u64);

impl Memory for Far<'_> {
    fn read(&mut self, address: u64) -> Option<u64> {
        self.0.read(address)
    }

    fn read_near(&mut self, address: u64) -> Option<u64> {
        self.0.read(address).filter(|_| address < self.1)
    }
}

/// Check that where a walk turns out not to be lean after a frame was changed, that frame is not taken for one of the last walk's.
#[test]
fn gives_up_after_a_change() {
    let (mut world, mut memo) = (world(), Memo::EMPTY);
    let from = write(&mut world, 4, &[0, 1, 1, 0, 0, 3]);
    both(&mut world, &mut memo, from);
    assert_eq!(both(&mut world, &mut memo, from), (6, true));
    // The second frame runs on elsewhere; what is outside of it must be asked for.
    let from = write(&mut world, 4, &[0, 0, 1, 0, 0, 3]);
    let mut out = vec![Frame::default(); DEPTH];
    let mut memory = Far(&world.words, BASE + 8 * 7);
    let walked = memo.walk_to(from, &mut world.rules, &mut memory, &mut out);
    assert!(!memo.is_lean());
    assert_eq!(walked.len + walked.shared, 6);
    assert!(walked.shared <= 4);
}

/// Check that no slot is read that the plain walk would not read: outside of a frame that leads elsewhere there may be nothing.
#[test]
fn reads_nothing_behind_a_difference() {
    let (mut world, mut memo) = (world(), Memo::<DEPTH>::EMPTY);
    let from = write(&mut world, 4, &[0, 0, 0, 0, 0, 0, 3]);
    both(&mut world, &mut memo, from);
    both(&mut world, &mut memo, from);
    assert!(memo.is_lean());
    world.words[7] = ip(3); // the stack ends at the third frame
    let words = world.words;
    let mut near = |address: u64| {
        assert!(address < BASE + 8 * 9, "read {address:#x}");
        (&words).read(address)
    };
    let mut out = vec![Frame::default(); DEPTH];
    let walked = memo.walk_to(from, &mut world.rules, &mut near, &mut out);
    assert_eq!((walked.len, walked.end), (3, End::Complete));
}

/// Check that a walk with places for fewer frames is not lean, whichever of them it has.
#[test]
fn fewer_places() {
    let (mut world, mut memo) = (world(), Memo::<DEPTH>::EMPTY);
    let from = write(&mut world, 4, &[0, 1, 2, 0, 3]);
    both(&mut world, &mut memo, from);
    both(&mut world, &mut memo, from);
    for places in 0..5 {
        let mut rules = world.rules;
        let from = (from.ip, from.sp);
        let lean = memo.walk_lean(from, places, &mut rules, &mut &world.words);
        assert_eq!(lean, None);
    }
    assert_eq!(both(&mut world, &mut memo, from), (5, true));
}
