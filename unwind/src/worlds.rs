//! Made-up machines: arbitrary words as a stack, arbitrary rules, arbitrary changes; the hardest test of the memo.
//!
//! Compiled for tests only. `memo`'s hand-made cases use the same machine, with words and rules of their own.

use crate::testing::Random;
use crate::{Memory, Registers, Rule, RuleError, Rules, SAVED};

/// Where its stack lies.
pub(crate) const BASE: u64 = 0x10_0000;
/// How many words it has.
pub(crate) const WORDS: usize = 96;

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
    use super::*;
    use crate::{Frame, Memo, walk};

    const DEPTH: usize = 96;

    /// Walks in both ways; the stacks and the shared part must be the same. Returns how much was shared.
    fn check_world(
        world: &mut World,
        memo: &mut Memo<DEPTH>,
        previous: &mut Vec<Frame>,
        from: Registers,
    ) -> usize {
        let limit = if world.random.below(50) == 0 {
            world.random.below(12)
        } else {
            DEPTH
        };
        let mut full = vec![Frame::default(); limit];
        let expected = walk(from, &mut world.rules, &mut &world.words, &mut full);
        full.truncate(expected.len);
        let mut out = vec![Frame::default(); limit];
        let walked = memo.walk(from, &mut world.rules, &mut &world.words, &mut out);
        let outer = &previous[previous.len() - walked.shared..];
        assert_eq!(walked.end, expected.end);
        assert_eq!([&out[..walked.len], outer].concat(), full);
        for (nth, frame) in full.iter().rev().enumerate() {
            assert!(
                memo.outer(nth)
                    .is_none_or(|remembered| remembered == *frame)
            );
        }
        *previous = full;
        walked.shared
    }

    /// Check that arbitrary changes of arbitrary stacks under arbitrary rules never make the memo differ from the full walk.
    #[test]
    fn arbitrary_worlds() {
        let worlds = if cfg!(debug_assertions) {
            1_000
        } else {
            20_000
        };
        let mut shared = 0;
        for seed in 0..worlds {
            let mut world = World::new(seed);
            let mut memo = Memo::EMPTY;
            let mut previous = Vec::new();
            let mut registers = world.registers();
            for _ in 0..60 {
                shared += check_world(&mut world, &mut memo, &mut previous, registers);
                world.change(&mut registers);
            }
        }
        assert!(
            shared as u64 > 20 * worlds,
            "{shared} shared in {worlds} worlds"
        );
    }
}
