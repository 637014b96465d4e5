//! Made-up machines: arbitrary words as a stack, arbitrary rules, arbitrary changes; the hardest test of the memo.
//!
//! Compiled for tests only. `memo`'s hand-made cases use the same machine, with words and rules of their own.

use crate::testing::{Random, size};
use crate::{Memory, Registers, Rule, RuleError, Rules, SAVED, Step};

/// Where its stack lies.
pub(crate) const BASE: u64 = 0x10_0000;
/// How many words it has.
pub(crate) const WORDS: usize = 160;
/// The function of the kernel's signal frames, in deep worlds.
const SIGNAL: usize = 31;

/// A made-up machine: a stack of arbitrary words, and arbitrary rules for its 32 functions.
pub(crate) struct World {
    random: Random,
    pub(crate) words: [u64; WORDS],
    pub(crate) rules: [Result<Rule, RuleError>; 32],
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        let mut random = Random(seed);
        let rules = std::array::from_fn(|_| Self::rule(&mut random));
        let mut world = World {
            random,
            words: [0; WORDS],
            rules,
        };
        for at in 0..WORDS {
            world.words[at] = world.word(at);
        }
        world
    }

    fn rule(random: &mut Random) -> Result<Rule, RuleError> {
        match random.below(48) {
            0 => return Ok(Rule::OUTERMOST),
            1 => return Ok(Rule::SIGNAL),
            2 => return Err(RuleError::NoRule),
            3 => return Ok(Rule::UNSUPPORTED),
            4 | 5 => return Ok(Rule::FRAME_POINTER),
            _ => (),
        }
        // The kinds are the low byte, the offset the high half: half of all rules are on rsp.
        let kind = if random.below(2) == 0 {
            1
        } else {
            1 + random.below(10) as u64
        };
        let offset = 8 + 8 * random.below(6) as u64;
        let mut rule = Rule::from_words([kind | offset << 32, 0]);
        for index in 0..SAVED {
            let slot = -16 - 8 * random.below(4) as i64;
            let is_relative = random.below(12) == 0;
            if random.below(3) == 0 {
                rule = rule.saving(index, is_relative, slot).unwrap();
            }
        }
        Ok(rule)
    }

    /// A word that may lie at a place: a return address, an address further up the stack, or neither.
    fn word(&mut self, at: usize) -> u64 {
        match self.random.below(16) {
            0..9 => 16 * self.random.below(32) as u64 + 1,
            9..15 => BASE + 8 * (at + self.random.below(12)) as u64,
            _ => self.random.below(2) as u64 * self.random.next(),
        }
    }

    fn registers(&mut self) -> Registers {
        let saved = std::array::from_fn(|_| self.word(2));
        Registers::new(self.word(0), BASE + 8 * self.random.below(4) as u64, saved)
    }

    /// A world of small frames, for stacks deeper than 40 frames.
    pub(crate) fn deep(seed: u64) -> Self {
        let mut world = World::new(seed);
        for at in 0..world.rules.len() {
            let kind = [1, 1, 1, 1, 1, 1, 1, 2, 2, 5][world.random.below(10)];
            let mut saves = [0u8, 0, 0, 1, 2, 0x21, 0x3f][world.random.below(7)];
            if kind > 1 {
                saves |= 1 << (kind - 2);
            }
            let least = 8 + 8 * u64::from(saves.count_ones());
            let offset = least + 8 * world.random.below(2) as u64;
            let mut rule = Rule::from_words([kind | offset << 32, 0]);
            let saved = (0..SAVED).filter(|index| saves >> index & 1 != 0);
            for (nth, index) in saved.enumerate() {
                let slot = -16 - 8 * nth as i64;
                rule = rule.saving(index, false, slot).unwrap();
            }
            if world.random.below(12) == 0 {
                world.rules[at] = Ok(Rule::FRAME_POINTER);
            } else if world.random.below(20) > 0 {
                world.rules[at] = Ok(rule);
            }
        }
        world.rules[SIGNAL] = Ok(Rule::SIGNAL);
        world.words[WORDS - 8..].fill(0);
        world
    }

    /// A world of frames that are counted from the stack pointer, but for one function's.
    pub(crate) fn lean(seed: u64) -> Self {
        let mut world = World::deep(seed);
        for at in 1..SIGNAL {
            let offset = 8 + 8 * world.random.below(3) as u64;
            let rule = Rule::from_words([1 | offset << 32, 0]);
            let saves = offset > 8 && world.random.below(3) == 0;
            world.rules[at] = match saves {
                true => Ok(rule.saving(0, false, -16).unwrap()),
                false => Ok(rule),
            };
        }
        world.words[WORDS - 12..].fill(0);
        world
    }

    /// The outermost frame of a stack that ends, in a lean world.
    fn bottom(&mut self) -> Registers {
        let ip = 16 * (1 + self.random.below(SIGNAL - 1)) as u64 + 1;
        Registers {
            ip,
            ..self.outermost()
        }
    }

    pub(crate) fn outermost(&mut self) -> Registers {
        let saved = std::array::from_fn(|_| self.word(2));
        Registers::new(self.word(0), BASE + 8 * (WORDS as u64 - 10), saved)
    }

    fn put(&mut self, address: u64, word: u64) {
        if let Some(at) = address.checked_sub(BASE)
            && let Some(place) = self.words.get_mut(size(at / 8))
        {
            *place = word;
        }
    }

    /// Calls a function: most callees' rules lead back to the caller.
    fn call(&mut self, registers: &mut Registers) {
        if registers.sp < BASE + 8 * 40 && self.random.below(4) > 0 || registers.sp < BASE + 8 * 30
        {
            return;
        }
        if self.random.below(150) == 0 {
            return self.interrupt(registers);
        }
        let ip = 16 * self.random.below(32) as u64 + 1;
        let Ok(rule) = self.rules[size(ip / 16)] else {
            return;
        };
        let [bp, ..] = registers.saved;
        let (old, [head, _]) = (*registers, rule.to_words());
        let (kind, offset) = (head & 0xff, head >> 32);
        registers.ip = ip;
        registers.sp -= offset;
        self.put(old.sp - 8, old.ip);
        for index in 0..SAVED {
            if rule.saves() & 1 << index != 0 {
                let slot = rule.slot(index, old.sp, bp);
                self.put(slot, old.saved[index]);
                registers.saved[index] = self.word(2);
            }
        }
        if rule == Rule::FRAME_POINTER {
            registers.saved = std::array::from_fn(|_| self.word(2)); // such code keeps none of them
            registers.saved[0] = old.sp - offset;
        } else if let 2..8 = kind {
            registers.saved[size(kind - 2)] = old.sp - offset;
        }
    }

    /// A signal comes: its frame holds all registers (`rule` knows where).
    fn interrupt(&mut self, registers: &mut Registers) {
        let old = *registers;
        registers.sp -= 8 * 24;
        registers.ip = 16 * SIGNAL as u64 + 1;
        let places = [10, 11, 4, 5, 6, 7, 15, 16];
        let values = old.saved.into_iter().chain([old.sp, old.ip]);
        for (place, value) in places.into_iter().zip(values) {
            self.put(registers.sp + 40 + 8 * place, value);
        }
    }

    /// Returns to the caller, as the rules have it.
    fn leave(&mut self, registers: &mut Registers) {
        let rule = self.rules.rule(registers.ip.wrapping_sub(1), false);
        let mut caller = *registers;
        let step = rule.map(|rule| rule.step(&mut caller, &mut &self.words));
        if let Ok(Ok(Step::Caller)) = step
            && caller.load(u8::MAX, &mut &self.words)
        {
            *registers = caller;
        } else if self.random.below(4) == 0 {
            *registers = self.outermost();
        }
    }

    /// Some calls and returns, a call with other registers, or a change of anything.
    fn go(&mut self, registers: &mut Registers) {
        let times = match self.random.below(8) {
            0 => self.random.below(12),
            _ => 1 + self.random.below(3),
        };
        match self.random.below(40) {
            0..25 => (0..times).for_each(|_| self.call(registers)),
            25..36 => (0..times).for_each(|_| self.leave(registers)),
            36 => registers.saved[self.random.below(SAVED)] = self.word(2),
            37 => {
                let at = self.random.below(WORDS);
                self.words[at] = self.word(at);
            }
            _ => (),
        }
    }

    fn change(&mut self, registers: &mut Registers) {
        for _ in 0..self.random.below(3) {
            let at = self.random.below(WORDS);
            self.words[at] = self.word(at);
        }
        match self.random.below(8) {
            0 => *registers = self.registers(),
            1 => registers.ip = self.word(0),
            2 => registers.saved[self.random.below(SAVED)] = self.word(2),
            _ => (),
        }
    }
}

impl Rules for [Result<Rule, RuleError>; 32] {
    fn rule(&mut self, pc: u64, _exact: bool) -> Result<Rule, RuleError> {
        let function = usize::try_from(pc / 16).ok();
        *function
            .and_then(|at| self.get(at))
            .unwrap_or(&Err(RuleError::NoRule))
    }
}

impl Memory for &[u64; WORDS] {
    fn read(&mut self, address: u64) -> Option<u64> {
        let offset = usize::try_from(address.checked_sub(BASE)?).ok()?;
        self.get(offset / 8).filter(|_| offset % 8 == 0).copied()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::walk::Position;
    use crate::{End, Frame, Memo, walk};

    const DEPTH: usize = 96;

    /// A walk as it was: what the next one may share.
    struct Previous {
        frames: Vec<Frame>,
        end: End,
    }

    impl Previous {
        const NONE: Previous = Previous {
            frames: Vec::new(),
            end: End::Complete,
        };
    }

    /// What the walks of a test came to.
    #[derive(Debug, Default)]
    struct Tally {
        walks: usize,
        shared: usize,
        /// Walks after which the inner frames were where lean walks keep them.
        lean: usize,
        /// Walks that were too deep, of those the ones that shared, and those that asked for no rule.
        too_deep: [usize; 3],
    }

    /// Walks in both ways; the stacks and the shared part must be the same, and no other memory be read.
    fn check<const N: usize>(
        world: &mut World,
        memo: &mut Memo<N>,
        previous: &mut Previous,
        (from, limit): (Registers, usize),
        tally: &mut Tally,
    ) {
        let (words, mut full) = (world.words, vec![Frame::default(); limit]);
        let read = readable(world, from, limit);
        let mut reading = |address: u64| {
            assert!(read.contains(&address), "read {address:#x}");
            (&words).read(address)
        };
        let expected = walk(from, &mut world.rules, &mut reading, &mut full);
        full.truncate(expected.len);
        let mut reading = |address: u64| {
            assert!(read.contains(&address), "read {address:#x}");
            (&words).read(address)
        };
        if world.random.below(2) == 0 {
            memo.forget_rules();
        }
        let by_chain = world.random.below(40);
        let (mut out, mut asked) = (vec![Frame::default(); limit], Asked(&mut world.rules, 0));
        let walked = match by_chain {
            0 => memo.walk_by_chain_to(from, &mut asked, &mut reading, &mut out),
            _ => memo.walk_to(from, &mut asked, &mut reading, &mut out),
        };
        let is_unasked = asked.1 == 0;
        assert_eq!(walked.end, expected.end);
        assert!(walked.shared == 0 || walked.end == previous.end);
        let outer = &previous.frames[previous.frames.len() - walked.shared..];
        assert_eq!([&out[..walked.len], outer].concat(), full);
        for (nth, frame) in full.iter().rev().enumerate() {
            assert!(
                memo.outer(nth)
                    .is_none_or(|remembered| remembered == *frame)
            );
        }
        tally.walks += 1;
        tally.shared += walked.shared;
        tally.lean += usize::from(memo.is_lean());
        if walked.end == End::TooDeep && limit > 0 {
            let counts = [true, walked.shared > 0, is_unasked];
            for (total, count) in tally.too_deep.iter_mut().zip(counts) {
                *total += usize::from(count);
            }
        }
        *previous = Previous {
            frames: full,
            end: walked.end,
        };
    }

    /// What a walk may read: what its steps read, and all slots of the frames whose return address it has read.
    fn readable(world: &mut World, from: Registers, limit: usize) -> HashSet<u64> {
        let (mut read, mut at) = (HashSet::new(), Position::new(from));
        for _ in 0..limit {
            let mut reading = |address: u64| {
                read.insert(address);
                (&world.words).read(address)
            };
            let rule = at.rule(&mut world.rules);
            let stepped = rule.and_then(|rule| at.step(rule, &mut reading));
            let slots = (0..SAVED).filter(|index| at.registers.slots & 1 << index != 0);
            read.extend(slots.map(|index| at.registers.saved[index]));
            // A frame pointer is followed to the two words there: who has read the outer one, and seen that none is a return address, may read the other.
            let [bp, ..] = at.registers.saved;
            if rule == Ok(Rule::FRAME_POINTER) && read.contains(&bp.wrapping_add(8)) {
                read.insert(bp);
            }
            if stepped.is_err() {
                break;
            }
        }
        read
    }

    /// Rules, and how often they were asked for.
    struct Asked<'r>(&'r mut [Result<Rule, RuleError>; 32], usize);

    impl Rules for Asked<'_> {
        fn rule(&mut self, pc: u64, exact: bool) -> Result<Rule, RuleError> {
            self.1 += 1;
            self.0.rule(pc, exact)
        }
    }

    fn worlds() -> u64 {
        if cfg!(debug_assertions) {
            1_000
        } else {
            20_000
        }
    }

    /// Check that arbitrary changes of arbitrary stacks under arbitrary rules never make the memo differ from the full walk.
    #[test]
    fn arbitrary_worlds() {
        let mut tally = Tally::default();
        for seed in 0..worlds() {
            let mut world = World::new(seed);
            let (mut memo, mut previous) = (Memo::<DEPTH>::EMPTY, Previous::NONE);
            let mut registers = world.registers();
            for _ in 0..60 {
                let limit = match world.random.below(50) {
                    0 => world.random.below(12),
                    _ => DEPTH,
                };
                check(
                    &mut world,
                    &mut memo,
                    &mut previous,
                    (registers, limit),
                    &mut tally,
                );
                world.change(&mut registers);
            }
        }
        assert!(tally.shared as u64 > 20 * worlds(), "{tally:?}");
        assert!(2 * tally.lean as u64 > worlds(), "{tally:?}");
    }

    /// Walks of a world's stack as it comes and goes, nearly all to a usual limit: one in `rare` steps begins the stack anew, forgets it or changes it.
    fn come_and_go<const N: usize>(
        world: &mut World,
        begin: fn(&mut World) -> Registers,
        usual: fn(&mut World) -> usize,
        rare: usize,
        tally: &mut Tally,
    ) {
        let (mut memo, mut previous) = (Memo::<N>::EMPTY, Previous::NONE);
        let mut registers = begin(world);
        let usual = usual(world);
        for _ in 0..120 {
            let limit = match world.random.below(60) {
                0 => world.random.below(40),
                _ => usual,
            };
            check(world, &mut memo, &mut previous, (registers, limit), tally);
            match world.random.below(rare) {
                0 => registers = begin(world),
                1 => memo.clear(),
                2 => world.change(&mut registers),
                _ => world.go(&mut registers),
            }
        }
    }

    /// Walks in worlds whose stacks get deeper and less deep around and beyond a small limit.
    fn too_deep<const N: usize>(worlds: u64) -> Tally {
        let mut tally = Tally::default();
        for seed in 0..worlds {
            let usual = |world: &mut World| 1 + world.random.below(16);
            come_and_go::<N>(
                &mut World::deep(seed),
                World::outermost,
                usual,
                300,
                &mut tally,
            );
        }
        tally
    }

    /// Check that lean walks never differ from the full walk, on stacks of code that mostly counts from its stack pointer.
    #[test]
    fn lean_worlds() {
        let mut tally = Tally::default();
        for seed in 0..worlds() / 2 {
            come_and_go::<DEPTH>(
                &mut World::lean(seed),
                World::bottom,
                |_| DEPTH,
                100,
                &mut tally,
            );
        }
        assert!(8 * tally.lean > tally.walks, "{tally:?}");
    }

    /// Check that walks that are too deep never differ from the full walk, and that they are remembered.
    #[test]
    fn deeper_than_the_limit() {
        for tally in [
            too_deep::<DEPTH>(worlds() / 4),
            too_deep::<24>(worlds() / 4),
        ] {
            let [all, shared, unasked] = tally.too_deep;
            assert!(3 * all > tally.walks, "{tally:?}");
            assert!(7 * shared > all && 4 * unasked > all, "{tally:?}");
        }
    }

    /// Check that a memo with places for fewer frames than a walk, or for just as many, is right too.
    #[test]
    fn small_memos() {
        too_deep::<0>(worlds() / 40);
        too_deep::<1>(worlds() / 20);
        too_deep::<2>(worlds() / 20);
        too_deep::<5>(worlds() / 20);
        too_deep::<12>(worlds() / 20);
    }
}
