//! How far it is from a return address's slot to its caller's: what the lean walk asks of a frame (`memo::lean`), a word for each call site.
//!
//! A compiler's threads come through thousands of call sites by turns, and of a rule (`recent`) it takes four words to know the one number that a lean frame has.

/// Places: a word each, 32 KiB, resident where they are used, and in full once they were cleared.
const PLACES: usize = 4096;
/// Above these bits of a word is the address, below them an eighth of the step: no address of a process has more than 48 bits.
const STEP_BITS: u32 = 16;

/// A cache of steps, the latest of each place. Zeros are an empty one.
#[derive(Debug)]
#[repr(C, align(64))]
pub(crate) struct Steps([u64; PLACES]);

impl Steps {
    pub(crate) const EMPTY: Steps = Steps([0; PLACES]);

    pub(crate) fn clear(&mut self) {
        self.0.fill(0);
    }

    /// What was put here for a return address; 0 for a rule that says more than a step.
    #[inline(always)]
    pub(crate) fn of(&self, ip: u64) -> Option<u64> {
        let word = self.0.get(Self::place(ip))?;
        (word >> STEP_BITS == ip).then_some((word & ((1 << STEP_BITS) - 1)) << 3)
    }

    /// Remembers a step, a multiple of 8, unless it or the address has more bits than there are.
    pub(crate) fn put(&mut self, ip: u64, step: u64) {
        let word = ip << STEP_BITS | step >> 3;
        let fits = word >> STEP_BITS == ip && step >> 3 < 1 << STEP_BITS;
        if let (Some(place), true) = (self.0.get_mut(Self::place(ip)), fits) {
            *place = word;
        }
    }

    /// As `Recent::set`.
    #[inline(always)]
    fn place(ip: u64) -> usize {
        let [a, b, c, d, ..] = ip.to_le_bytes();
        let spread = u32::from_le_bytes([a, b, c, d]).wrapping_mul(0x9e37_79b9);
        usize::try_from(spread >> (u32::BITS - PLACES.trailing_zeros())).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Check that a step comes back for its own address alone, that what has no room is not kept, and that an address with more bits than a word has room for is none.
    #[test]
    fn put_and_found() {
        let mut steps = Steps::EMPTY;
        let ip = 0x7f12_3456_789a;
        assert_eq!(steps.of(ip), None);
        steps.put(ip, 48);
        assert_eq!(steps.of(ip), Some(48));
        assert_eq!(steps.of(ip | 1 << 60), None);
        assert_eq!(steps.of(ip ^ 1 << 40), None, "in the same place");
        steps.put(ip | 1 << 60, 16);
        assert_eq!(steps.of(ip | 1 << 60), None);
        assert_eq!(steps.of(ip), Some(48));
        steps.put(ip, 8 << STEP_BITS);
        assert_eq!(steps.of(ip), Some(48), "too large to be kept");
        steps.put(ip, 0);
        assert_eq!(steps.of(ip), Some(0));
        steps.clear();
        assert_eq!(steps.of(ip), None);
    }
}
