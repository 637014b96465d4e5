//! Tests of the memo's chain (lean walks have their own, in `memo/lean`): each way in which a remembered frame can be stale, forced, and what is shared and asked where none is.
//!
//! Worlds of a few words and rules; random ones are in `worlds`, real stacks in `trees`.

use std::ffi::c_void;

use crate::arch::{Registers, Rule, SAVED};
use crate::calls::on_stack;
use crate::entry::Entry;
use crate::memo::Memo;
use crate::walk::{End, Frame, Memory, Rules, Walked};
use crate::worlds::{BASE, WORDS, World};
use crate::{RuleError, walk};

const DEPTH: usize = 96;

/// A rule on rsp, or on rbp, with rbp saved below the return address.
fn saving_rbp(kind: u64, offset: u64) -> Result<Rule, RuleError> {
    Ok(Rule::from_words([kind | offset << 32, 0])
        .saving(0, false, -16)
        .unwrap())
}

/// A world of three functions: 0 (all on rsp, saves nothing), 1 (CFA = rbp + 16, saves rbp) and 2 (outermost).
fn three() -> World {
    let mut world = World::new(0);
    world.words = [0; WORDS];
    world.rules = [Err(RuleError::NoRule); 32];
    world.rules[0] = Ok(Rule::from_words([1 | 16 << 32, 0]));
    world.rules[1] = saving_rbp(2, 16);
    world.rules[2] = Ok(Rule::OUTERMOST);
    // 0 at BASE returns to 1; 1's frame pointer is at word 6 and it returns to 2; another is at word 10.
    for (at, word) in [
        (1, 17),
        (6, BASE + 200),
        (7, 33),
        (10, BASE + 208),
        (11, 33),
    ] {
        world.words[at] = word;
    }
    world
}

fn both(world: &mut World, memo: &mut Memo<DEPTH>, from: Registers) -> (Walked, Vec<u64>) {
    let mut full = vec![Frame::default(); DEPTH];
    let expected = walk(from, &mut world.rules, &mut &world.words, &mut full);
    let mut out = vec![Frame::default(); DEPTH];
    let walked = memo.walk_by_chain_to(from, &mut world.rules, &mut &world.words, &mut out);
    assert_eq!(
        (walked.len + walked.shared, walked.end),
        (expected.len, expected.end)
    );
    assert_eq!(out[..walked.len], full[..walked.len]);
    (
        walked,
        full[..expected.len]
            .iter()
            .map(|frame| frame.sp - BASE)
            .collect(),
    )
}

/// Check that the same return addresses at the same places with another rbp are another stack.
#[test]
fn stale_frame_pointer() {
    let (mut world, mut memo) = (three(), Memo::EMPTY);
    let at = |bp| Registers::new(1, BASE, [bp, 0, 0, 0, 0, 0]);
    assert_eq!(both(&mut world, &mut memo, at(BASE + 48)).1, [0, 16, 64]);
    assert_eq!(both(&mut world, &mut memo, at(BASE + 48)).0.shared, 3);
    let (walked, stack) = both(&mut world, &mut memo, at(BASE + 80));
    assert_eq!((walked.shared, stack), (0, vec![0, 16, 96]));
}

/// Check that registers that no outer frame uses may differ.
#[test]
fn dead_registers_may_differ() {
    let (mut world, mut memo) = (three(), Memo::EMPTY);
    for rbx in 0..3 {
        let from = Registers::new(1, BASE, [BASE + 48, rbx, rbx, 0, 0, 0]);
        let (walked, _) = both(&mut world, &mut memo, from);
        assert_eq!(walked.shared, if rbx == 0 { 0 } else { 3 });
    }
}

/// Check that a stack used anew, with one return address changed, is seen from the changed frame on; what is outside of the
/// change is shared again.
#[test]
fn reused_stack() {
    let (mut world, mut memo) = (three(), Memo::EMPTY);
    let from = Registers::new(1, BASE, [BASE + 48, 0, 0, 0, 0, 0]);
    both(&mut world, &mut memo, from);
    world.rules[3] = world.rules[1];
    world.words[1] = 49;
    let (walked, _) = both(&mut world, &mut memo, from);
    assert_eq!((walked.len, walked.shared), (2, 1));
    world.words[7] = 0;
    assert_eq!(both(&mut world, &mut memo, from).0.shared, 0);
    assert_eq!(both(&mut world, &mut memo, from).0.shared, 2);
}

/// Three frames on rsp of two words each, function 0 called by function 1 by function 2, and as functions 4 and 5 one that saves rbp in its lower word and
/// one of three words.
fn simple() -> World {
    let mut world = three();
    world.words = [0; WORDS];
    (world.rules[1], world.rules[4]) = (world.rules[0], saving_rbp(1, 16));
    world.rules[5] = Ok(Rule::from_words([1 | 24 << 32, 0]));
    (world.words[1], world.words[3]) = (17, 33);
    world
}

/// Check that a frame that runs on elsewhere in its function, or as another function of its size, is changed where it stands: what is outside of
/// it is shared, no rule is asked for again, and nothing is written.
#[test]
fn runs_on_elsewhere() {
    let (mut world, mut memo) = (simple(), Memo::EMPTY);
    let from = Registers::new(1, BASE, [0; SAVED]);
    for (round, ip) in [17, 18, 2, 17, 18, 2, 17].into_iter().enumerate() {
        world.words[1] = ip;
        let (walked, stack) = both(&mut world, &mut memo, from);
        assert_eq!(stack, [0, 16, 32]);
        let shared = usize::from(round > 0);
        assert_eq!((walked.len, walked.shared), (3 - shared, shared));
        assert_eq!(walked.is_kept, round > 2, "{round}");
    }
    assert_eq!(both(&mut world, &mut memo, from).0.shared, 3);
}

/// Check that the innermost frame is changed where it stands, too, and that new frames are added to it.
#[test]
fn innermost_runs_on_elsewhere() {
    let (mut world, mut memo) = (simple(), Memo::EMPTY);
    let from = |ip, word: u64| Registers::new(ip, BASE + 8 * word, [0; SAVED]);
    for (round, ip) in [1, 2, 3, 1, 2, 3].into_iter().enumerate() {
        let (walked, _) = both(&mut world, &mut memo, from(ip, 0));
        assert_eq!(walked.shared, if round == 0 { 0 } else { 2 });
        assert_eq!(walked.is_kept, round > 2);
    }
    for ip in [17, 18, 17, 18] {
        both(&mut world, &mut memo, from(ip, 2));
        world.words[1] = ip;
        let (walked, stack) = both(&mut world, &mut memo, from(1, 0));
        assert_eq!((walked.len, walked.shared, stack.len()), (1, 2, 3));
        assert!(walked.is_kept);
    }
}

/// Check that a function of the same size that saves a register is another frame where a caller uses that register, and the same where none does.
#[test]
fn elsewhere_with_another_frame_pointer() {
    for is_used in [true, false] {
        let (mut world, mut memo) = (simple(), Memo::EMPTY);
        if is_used {
            (world.rules[1], world.words[7]) = (saving_rbp(2, 16), 33);
            (world.words[8], world.words[9], world.words[13]) = (0, 33, 33);
            world.words[0] = BASE + 96;
        }
        let from = |ip, bp: u64| Registers::new(ip, BASE, [BASE + bp, 0, 0, 0, 0, 0]);
        for _ in 0..3 {
            let (_, plain) = both(&mut world, &mut memo, from(1, 48));
            let (_, saved) = both(&mut world, &mut memo, from(65, 48));
            let (expected, other) = if is_used { (64, 112) } else { (32, 32) };
            assert_eq!((plain[2], saved[2]), (expected, other));
        }
        let (walked, _) = both(&mut world, &mut memo, from(1, 48));
        assert_eq!(walked.is_kept, !is_used);
    }
}

/// Check that a caller of another size is another frame, and so is all outside of it.
#[test]
fn elsewhere_with_another_size() {
    let (mut world, mut memo) = (simple(), Memo::EMPTY);
    world.words[4] = 33;
    let from = Registers::new(1, BASE, [0; SAVED]);
    for round in 0..3 {
        for (ip, outermost) in [(17, 32), (81, 40)] {
            world.words[1] = ip;
            let (walked, stack) = both(&mut world, &mut memo, from);
            assert_eq!(stack, [0, 16, outermost], "{round}");
            assert!(!walked.is_kept && walked.shared == 0);
        }
    }
}

/// Memory in which only 17 stands behind a call.
struct OneCall<'w>(&'w [u64; WORDS]);

impl Memory for OneCall<'_> {
    fn read(&mut self, address: u64) -> Option<u64> {
        (&mut &*self.0).read(address)
    }

    fn caller_above(&mut self, _sp: u64, bp: u64) -> Option<u64> {
        self.read(bp + 8).filter(|ip| *ip == 17)
    }
}

/// Check that what a frame pointer leads to is asked again when it is another address, also of a function that was there before.
#[test]
fn elsewhere_behind_a_frame_pointer() {
    let (mut world, mut memo) = (simple(), Memo::<DEPTH>::EMPTY);
    world.rules[0] = Ok(Rule::FRAME_POINTER);
    let mut walk_from = |world: &mut World, ip, word: u64| {
        let from = Registers::new(ip, BASE + 8 * word, [BASE, 0, 0, 0, 0, 0]);
        let (words, mut out) = (world.words, [Frame::default(); DEPTH]);
        let walked = memo.walk_by_chain_to(from, &mut world.rules, &mut OneCall(&words), &mut out);
        (walked.len + walked.shared, walked.end)
    };
    for _ in 0..3 {
        for (ip, expected) in [(17, (3, End::Complete)), (18, (1, End::NoRule))] {
            assert_eq!(walk_from(&mut world, ip, 2), (2, End::Complete));
            world.words[1] = 17;
            assert_eq!(walk_from(&mut world, 1, 0), (3, End::Complete));
            world.words[1] = ip;
            assert_eq!(walk_from(&mut world, 1, 0), expected);
        }
    }
}

/// Check that no slot beyond the first difference is read: its stack may be gone.
#[test]
fn nothing_is_read_behind_a_difference() {
    let (mut world, mut memo) = (three(), Memo::EMPTY);
    let from = Registers::new(1, BASE, [BASE + 48, 0, 0, 0, 0, 0]);
    both(&mut world, &mut memo, from);
    world.words[1] = 33;
    let (words, mut out) = (world.words, [Frame::default(); DEPTH]);
    let mut read_first_two = |address: u64| {
        assert!(address < BASE + 16, "read {address:#x}");
        (&words).read(address)
    };
    let walked = memo.walk_by_chain_to(from, &mut world.rules, &mut read_first_two, &mut out);
    assert_eq!((walked.len, walked.end), (2, End::Complete));
}

/// Check that a walk that ended early is shared as long as it ends there, and is no longer when a rule has come.
#[test]
fn ended_early() {
    let (mut world, mut memo) = (three(), Memo::EMPTY);
    world.rules[2] = Err(RuleError::NoRule);
    let from = Registers::new(1, BASE, [BASE + 48, 0, 0, 0, 0, 0]);
    both(&mut world, &mut memo, from);
    let (walked, _) = both(&mut world, &mut memo, from);
    assert_eq!((walked.shared, walked.end), (3, End::NoRule));
    world.rules[2] = Ok(Rule::OUTERMOST);
    assert_eq!(both(&mut world, &mut memo, from).0.shared, 0);
}

/// Check that a rule that comes later for the frame where a walk ended early is compared from then on.
#[test]
fn rule_found_later() {
    let (mut world, mut memo) = (three(), Memo::EMPTY);
    world.rules[2] = Err(RuleError::NoRule);
    let from = Registers::new(1, BASE, [BASE + 48, 0, 0, 0, 0, 0]);
    both(&mut world, &mut memo, from);
    world.rules[2] = saving_rbp(2, 16);
    assert_eq!(both(&mut world, &mut memo, from).0.end, End::Complete);
    assert_eq!(both(&mut world, &mut memo, from).0.shared, 3);
    (world.words[6], world.words[27]) = (BASE + 208, 33);
    assert_eq!(both(&mut world, &mut memo, from).0.shared, 0);
}

/// Check that the registers of frames whose callers were forgotten are not used: they may be stale.
#[test]
fn forgotten_callers() {
    let (mut world, mut memo) = (World::new(0), Memo::<DEPTH>::EMPTY);
    (world.words, world.rules) = ([0; WORDS], [Err(RuleError::NoRule); 32]);
    world.words[..120].fill(1);
    world.rules[0] = Ok(Rule::from_words([1 | 8 << 32, 0]));
    world.rules[1] = Ok(Rule::from_words([3 | 8 << 32, 0])); // on rbx
    let mut go = |nth: u64, rbx: u64, word: u64| {
        world.words[80] = word;
        let registers = Registers::new(1, BASE + 8 * nth, [0, BASE + 8 * rbx, 0, 0, 0, 0]);
        let (mut out, mut full) = ([Frame::default(); 16], [Frame::default(); 16]);
        let expected = walk(registers, &mut world.rules, &mut &world.words, &mut full);
        let walked =
            memo.walk_by_chain_to(registers, &mut world.rules, &mut &world.words, &mut out);
        let len = walked.len + walked.shared;
        assert_eq!((len, walked.end), (expected.len, expected.end), "{nth}");
        assert_eq!(out[..walked.len], full[..walked.len], "{nth}");
    };
    (60..=110).rev().for_each(|nth| go(nth, 100, 1));
    (10..=60).rev().for_each(|nth| go(nth, 110, 1));
    (10..=75).for_each(|nth| go(nth, 110, 17));
}

/// Check that a cleared memo shares nothing, and looks up every rule again.
#[test]
fn cleared() {
    let (mut world, mut memo) = (three(), Memo::EMPTY);
    let from = Registers::new(1, BASE, [BASE + 48, 0, 0, 0, 0, 0]);
    both(&mut world, &mut memo, from);
    memo.clear();
    world.rules[1] = Ok(Rule::OUTERMOST);
    let (walked, _) = both(&mut world, &mut memo, from);
    assert_eq!((walked.len, walked.shared), (2, 0));
}

/// Check that zeros are an empty memo.
#[test]
fn zeros_are_empty() {
    // SAFETY: this is what is tested: all fields are numbers, or booleans, of which 0 is one.
    let mut memo: Box<Memo<DEPTH>> = unsafe { Box::<Memo<DEPTH>>::new_zeroed().assume_init() };
    let from = Registers::new(1, BASE, [BASE + 48, 0, 0, 0, 0, 0]);
    assert_eq!(both(&mut three(), &mut memo, from).0.shared, 0);
    assert_eq!(both(&mut three(), &mut memo, from).0.shared, 3);
}

/// A stack of 120 frames of one word each, seen from `nth` frames outside of the innermost, with 16 places: what is written and
/// shared, and how many rules are asked for.
fn recursion(memo: &mut Memo<DEPTH>, nth: u64) -> [usize; 3] {
    let mut asked = 0;
    let mut rules = |_pc, _exact| {
        asked += 1;
        Ok(Rule::from_words([1 | 8 << 32, 0]))
    };
    let stack = BASE..BASE + 8 * 120;
    let mut memory = |address: u64| Some(if stack.contains(&address) { address } else { 0 });
    let (mut out, mut full) = ([Frame::default(); 16], [Frame::default(); 16]);
    let from = Registers::new(BASE + 8 * nth - 8, BASE + 8 * nth, [0; SAVED]);
    memo.forget_rules();
    let expected = walk(
        from,
        &mut Asked(|_, _| Ok(Rule::from_words([1 | 8 << 32, 0]))),
        &mut memory,
        &mut full,
    );
    let walked = memo.walk_by_chain_to(from, &mut Asked(&mut rules), &mut memory, &mut out);
    assert_eq!(
        (walked.len + walked.shared, walked.end),
        (expected.len, expected.end)
    );
    assert_eq!(out[..walked.len], full[..walked.len]);
    [walked.len, walked.shared, asked]
}

struct Asked<F>(F);

impl<F: FnMut(u64, bool) -> Result<Rule, RuleError>> Rules for Asked<F> {
    fn rule(&mut self, pc: u64, exact: bool) -> Result<Rule, RuleError> {
        (self.0)(pc, exact)
    }
}

/// Check that recursion beyond the limit is remembered: nothing is asked again where the depth is the same, one rule for one
/// frame more at either end, none for frames that were seen before; and that the stack's end is found again.
#[test]
fn too_deep() {
    let mut memo = Memo::EMPTY;
    assert_eq!(recursion(&mut memo, 60), [16, 0, 16]);
    assert_eq!(recursion(&mut memo, 60), [0, 16, 0]);
    assert_eq!(recursion(&mut memo, 59), [16, 0, 1]);
    assert_eq!(recursion(&mut memo, 59), [0, 16, 0]);
    assert_eq!(recursion(&mut memo, 60), [16, 0, 0]);
    assert_eq!(recursion(&mut memo, 61), [16, 0, 1]);
    for nth in (0..61).rev() {
        assert_eq!(recursion(&mut memo, nth), [16, 0, 1]);
    }
    // The innermost half of the memo, at least, is still there.
    for nth in 1..=DEPTH as u64 / 2 - 16 {
        assert_eq!(recursion(&mut memo, nth), [16, 0, 0]);
    }
    for nth in DEPTH as u64 / 2..104 {
        recursion(&mut memo, nth);
    }
    assert_eq!(recursion(&mut memo, 104), [16, 0, 1]);
    assert_eq!(recursion(&mut memo, 105), [16, 0, 1]);
    assert_eq!(recursion(&mut memo, 105), [0, 16, 0]);
    assert_eq!(recursion(&mut memo, 110), [0, 11, 0]);
    assert_eq!(recursion(&mut memo, 104), [16, 0, 6]);
}

/// Check how much stack a walk takes, whatever it meets. (The suite's `stack_use` has the budget of a whole hook: 1 KiB on the usual path.)
#[test]
fn stack_use() {
    extern "C" fn ask(argument: *mut c_void) {
        // SAFETY: the test passes these.
        let (world, memo, out) =
            unsafe { &mut *argument.cast::<(World, Memo<DEPTH>, [Entry; DEPTH])>() };
        let from = Registers::new(1, BASE, [BASE + 48, 0, 0, 0, 0, 0]);
        for change in 0..WORDS {
            for limit in [DEPTH, 2, 5, 3] {
                let out = &mut out[..limit];
                let (ip, sp) = (from.ip, from.sp);
                memo.walk(
                    (ip, sp),
                    &from.saved,
                    &mut world.rules,
                    &mut &world.words,
                    out,
                );
            }
            world.words[change] ^= 8;
        }
    }
    // Unoptimised code is in no target: there it only has to end.
    let limit = if cfg!(debug_assertions) { 16384 } else { 1664 };
    for seed in 0..64 {
        let mut all = Box::new((
            World::new(seed),
            Memo::<DEPTH>::EMPTY,
            [Entry::EMPTY; DEPTH],
        ));
        let used = on_stack(ask, (&raw mut *all).cast());
        assert!(used > 64 && used <= limit, "{used} bytes");
    }
}
