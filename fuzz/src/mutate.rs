//! Mutations from a seed, the same on every machine: what the tests run without a fuzzer.

/// Bytes that often mean something.
const MARKED: [u8; 8] = [0, 1, 3, 0x7f, 0x80, 0xfe, 0xff, b'\n'];

/// Makes one input of others.
#[derive(Clone, Copy, Debug)]
pub struct Mutator(u64);

impl Mutator {
    /// From a seed, which is not 0.
    #[must_use]
    pub fn new(seed: u64) -> Mutator {
        Mutator(seed.max(1))
    }

    /// Marsaglia's xorshift, below a bound.
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 16).unwrap_or(0) % bound.max(1)
    }

    /// One of the inputs, changed in one to eight places.
    pub fn next(&mut self, inputs: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = inputs
            .get(self.below(inputs.len()))
            .cloned()
            .unwrap_or_default();
        for _ in 0..=self.below(8) {
            self.change(&mut bytes, inputs);
        }
        bytes
    }

    fn change(&mut self, bytes: &mut Vec<u8>, inputs: &[Vec<u8>]) {
        let at = self.below(bytes.len() + 1);
        let marked = MARKED.get(self.below(MARKED.len())).copied().unwrap_or(0);
        let bit = 1u8 << self.below(8);
        match self.below(6) {
            0 => bytes
                .iter_mut()
                .skip(at)
                .take(1)
                .for_each(|byte| *byte ^= bit),
            1 => bytes
                .iter_mut()
                .skip(at)
                .take(1)
                .for_each(|byte| *byte = marked),
            2 => bytes.insert(at, marked),
            3 => drop(bytes.drain(at..(at + self.below(9)).min(bytes.len()))),
            4 => bytes.truncate(at),
            _ => self.splice(bytes, at, inputs),
        }
    }

    /// A piece of another input, in its place.
    fn splice(&mut self, bytes: &mut Vec<u8>, at: usize, inputs: &[Vec<u8>]) {
        let other = inputs
            .get(self.below(inputs.len()))
            .map_or(&[][..], Vec::as_slice);
        let (from, len) = (self.below(other.len()), self.below(32));
        let piece = other.get(from..).unwrap_or(&[]).iter().take(len).copied();
        bytes.splice(at..at, piece);
    }
}
