//! The rules of the call sites that a thread came through last, by return address: most look-ups end here, in memory that no other
//! thread touches. Kept by `memo`, for the frames that it has not remembered.

use crate::arch::Rule;
use crate::walk::{End, Position, Rules};

/// Places: the call sites of a hot loop, twice over; 12 KiB.
const PLACES: usize = 512;

/// A cache of rules; one place for an address, whoever comes last stays. Zeros are an empty one.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Recent([(u64, Rule); PLACES]);

impl Recent {
    pub(crate) const EMPTY: Recent = Recent([(0, Rule::UNSUPPORTED); PLACES]);

    pub(crate) fn clear(&mut self) {
        self.0.iter_mut().for_each(|(ip, _)| *ip = 0);
    }

    /// The rule for the frame where a walk stands, if it is here.
    #[inline(always)]
    pub(crate) fn find(&self, at: &Position) -> Option<Rule> {
        let ip = at.registers.ip;
        let (known, rule) = self.0.get(Self::place(ip))?;
        (*known == ip && ip != 0 && !at.exact).then_some(*rule)
    }

    /// The rule for a return address other than 0, if it is here.
    #[inline(always)]
    pub(crate) fn of(&self, ip: u64) -> Option<Rule> {
        let (known, rule) = self.0.get(Self::place(ip))?;
        (*known == ip).then_some(*rule)
    }

    /// The rule for the frame where a walk stands, which is here from now on.
    #[inline(never)]
    pub(crate) fn look_up(&mut self, at: &Position, rules: &mut impl Rules) -> Result<Rule, End> {
        let rule = at.rule(rules)?;
        if let (Some(place), false) = (self.0.get_mut(Self::place(at.registers.ip)), at.exact) {
            *place = (at.registers.ip, rule);
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

    /// The highest bits of a product by 2^64 over the golden ratio (Knuth, TAOCP vol. 3, 6.4) differ for neighbouring addresses.
    #[inline(always)]
    fn place(ip: u64) -> usize {
        let spread = ip.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        usize::try_from(spread >> (u64::BITS - PLACES.trailing_zeros())).unwrap_or(0)
    }
}
