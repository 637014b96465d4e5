//! The rules of the call sites that a thread came through last, by return address: most look-ups end here, in memory that no other
//! thread touches. Kept by `memo`, for the frames that it has not remembered.

use crate::arch::{Registers, Rule, SAVED};
use crate::steps::Steps;
use crate::walk::{End, Position, Rules};

/// Sets of two places: the call sites of a hot loop, some times over; 32 KiB, resident where they are used, and in full once they were cleared. With one place a set, two
/// of a dozen hot call sites evicted each other as often as not.
const SETS: usize = 512;

/// What is known of a call site.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(crate) struct Known {
    ip: u64,
    /// How far above its stack pointer the caller's is, where that is all that its rule says (`Rule::simple_step`); else 0.
    pub(crate) step: u64,
    pub(crate) rule: Rule,
}

/// A cache of rules, the latest of each set in front. Zeros are an empty one.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Recent {
    sets: [[Known; 2]; SETS],
    steps: Steps,
}

impl Recent {
    pub(crate) const EMPTY: Recent = Recent {
        sets: [[Known {
            ip: 0,
            step: 0,
            rule: Rule::UNSUPPORTED,
        }; 2]; SETS],
        steps: Steps::EMPTY,
    };

    pub(crate) fn clear(&mut self) {
        let all = self.sets.as_flattened_mut();
        all.iter_mut().for_each(|known| known.ip = 0);
        self.steps.clear();
    }

    /// The rule for the frame where a walk stands, if it is here.
    #[inline(always)]
    pub(crate) fn find(&self, at: &Position) -> Option<Rule> {
        let known = self.of(at.registers.ip);
        known
            .filter(|known| known.ip != 0 && !at.exact)
            .map(|known| known.rule)
    }

    /// What is known of a return address other than 0, if it is here.
    #[inline(always)]
    pub(crate) fn of(&self, ip: u64) -> Option<&Known> {
        let [newer, older] = self.sets.get(Self::set(ip))?;
        if newer.ip == ip {
            return Some(newer);
        }
        (older.ip == ip).then_some(older)
    }

    /// How far above the stack pointer of a frame that runs on at `ip` its caller's is, where that is all that its rule says; else 0.
    #[inline(always)]
    pub(crate) fn step(&mut self, ip: u64, rules: &mut impl Rules) -> u64 {
        match self.steps.of(ip) {
            Some(step) => step,
            None => self.look_up_step(ip, rules),
        }
    }

    #[cold]
    #[inline(never)]
    fn look_up_step(&mut self, ip: u64, rules: &mut impl Rules) -> u64 {
        let Some(rule) = self.rule_of(ip, rules) else {
            return 0;
        };
        let step = rule.simple_step();
        self.steps.put(ip, step);
        step
    }

    /// The rule of a return address, if there is one.
    pub(crate) fn rule_of(&mut self, ip: u64, rules: &mut impl Rules) -> Option<Rule> {
        if let Some(known) = self.of(ip) {
            return Some(known.rule);
        }
        let at = Position::new(Registers::new(ip, 0, [0; SAVED]));
        self.look_up(&at, rules).ok()
    }

    /// The rule for the frame where a walk stands, which is here from now on.
    #[inline(never)]
    pub(crate) fn look_up(&mut self, at: &Position, rules: &mut impl Rules) -> Result<Rule, End> {
        let (ip, rule) = (at.registers.ip, at.rule(rules)?);
        if let (Some([newer, older]), false) = (self.sets.get_mut(Self::set(ip)), at.exact) {
            let step = rule.simple_step();
            *older = *newer;
            *newer = Known { ip, step, rule };
        }
        Ok(rule)
    }

    /// The rule for the frame where a walk stands, wherever it is.
    pub(crate) fn rule(&mut self, at: &Position, rules: &mut impl Rules) -> Result<Rule, End> {
        match self.find(at) {
            Some(rule) => Ok(rule),
            None => self.look_up(at, rules),
        }
    }

    /// The highest bits of a product by 2^32 over the golden ratio (Knuth, TAOCP vol. 3, 6.4) differ for neighbouring addresses. What is left out of
    /// an address is the same for all of an object's code.
    #[inline(always)]
    fn set(ip: u64) -> usize {
        let [a, b, c, d, ..] = ip.to_le_bytes();
        let spread = u32::from_le_bytes([a, b, c, d]).wrapping_mul(0x9e37_79b9);
        usize::try_from(spread >> (u32::BITS - SETS.trailing_zeros())).unwrap_or(0)
    }
}
