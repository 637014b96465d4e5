//! The words that must still stand in memory for remembered frames to lead to one another: one array, compared in one go.
//!
//! `chain` fills it beside its frames, outermost first; [`Memory::first_difference`](crate::Memory::first_difference) compares a part of it.
//! It deliberately knows no frames.
//!
//! **Invariant**: addresses are multiples of 8 and fall from each word to the next. So who has seen that the first and the last word of
//! a [`Run`] may be read knows it of all between them: the shim compares without asking for each.

/// A word and where it stands.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Word {
    address: u64,
    pub(crate) value: u64,
}

impl Word {
    pub(crate) const fn new(address: u64, value: u64) -> Word {
        Word { address, value }
    }

    /// A multiple of 8.
    #[inline(always)]
    pub fn address(&self) -> u64 {
        self.address
    }

    /// What stood there.
    #[inline(always)]
    pub fn value(&self) -> u64 {
        self.value
    }
}

/// Neighbouring words of a memo, outermost first. Addresses are multiples of 8 and fall.
#[derive(Clone, Copy, Debug)]
pub struct Run<'w>(&'w [Word]);

impl<'w> Run<'w> {
    /// Of words that are as the invariant says.
    #[inline(always)]
    pub(crate) fn new(words: &'w [Word]) -> Run<'w> {
        Run(words)
    }

    /// The words.
    #[inline(always)]
    pub fn words(self) -> &'w [Word] {
        self.0
    }
}

/// Room for two words a frame of `N`. Zeros are an empty one.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Words<const N: usize> {
    len: usize,
    words: [[Word; 2]; N],
}

impl<const N: usize> Words<N> {
    pub(crate) const EMPTY: Self = Words {
        len: 0,
        words: [[Word {
            address: 0,
            value: 0,
        }; 2]; N],
    };

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Adds a word inside of all others. False where it is not inside of them, or there is no room.
    #[inline(always)]
    pub(crate) fn push(&mut self, address: u64, value: u64) -> bool {
        let (known, free) = self.words.as_flattened_mut().split_at_mut(self.len);
        let is_inside = known.last().is_none_or(|last| address < last.address);
        let Some(place) = free.first_mut().filter(|_| is_inside && address & 7 == 0) else {
            return false;
        };
        *place = Word { address, value };
        self.len = self.len.wrapping_add(1);
        true
    }

    /// Adds a word of which it is known that it is inside of all others, that its address is a multiple of 8, and that there is room. How many there are then.
    #[inline(always)]
    pub(crate) fn add(&mut self, address: u64, value: u64) -> u32 {
        if let Some(place) = self.words.as_flattened_mut().get_mut(self.len) {
            *place = Word { address, value };
            self.len = self.len.wrapping_add(1);
        }
        u32::try_from(self.len).unwrap_or(0)
    }

    /// Adds words inside of all others, one after the other.
    #[inline(always)]
    pub(crate) fn pusher(&mut self) -> Pusher<'_> {
        let (known, free) = self.words.as_flattened_mut().split_at_mut(self.len);
        Pusher {
            last: known.last().map_or(u64::MAX, |last| last.address),
            free: free.iter_mut(),
            count: u32::try_from(self.len).unwrap_or(0),
        }
    }

    /// Counts what a pusher has added.
    #[inline(always)]
    pub(crate) fn grow_to(&mut self, count: u32) {
        self.len = self.words.as_flattened().len().min(count as usize);
    }

    /// The word at a place; of an absurd one, some word.
    #[inline(always)]
    pub(crate) fn at(&self, place: usize) -> &Word {
        let [first, second] = &self.words[place / 2 % N];
        if place & 1 == 0 { first } else { second }
    }

    /// Another value stands there now.
    #[inline(always)]
    pub(crate) fn set_value(&mut self, at: usize, value: u64) {
        if let Some(word) = self.words.as_flattened_mut().get_mut(at) {
            word.value = value;
        }
    }

    /// Forgets the words inside of the first `len`.
    #[inline(always)]
    pub(crate) fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// The `len` outermost words; none where there are no such words.
    #[inline(always)]
    pub(crate) fn outer(&self, len: usize) -> Run<'_> {
        Run(self.words.as_flattened().get(..len).unwrap_or(&[]))
    }

    /// The words from one place to another; none where there are no such words.
    #[inline(always)]
    pub(crate) fn run(&self, from: usize, to: usize) -> Run<'_> {
        let known = self.words.as_flattened().get(..self.len);
        Run(known.and_then(|known| known.get(from..to)).unwrap_or(&[]))
    }
}

/// As [`Words::push`], with its state in registers. What it adds counts from `Words::grow_to` on.
#[derive(Debug)]
pub(crate) struct Pusher<'w> {
    last: u64,
    free: core::slice::IterMut<'w, Word>,
    count: u32,
}

impl Pusher<'_> {
    /// Adds a word inside of all others. False where it is not inside of them, or there is no room.
    #[inline(always)]
    pub(crate) fn push(&mut self, address: u64, value: u64) -> bool {
        if address >= self.last || address & 7 != 0 {
            return false;
        }
        let Some(place) = self.free.next() else {
            return false;
        };
        *place = Word { address, value };
        self.last = address;
        self.count = self.count.wrapping_add(1);
        true
    }

    /// How many words there are.
    #[inline(always)]
    pub(crate) fn count(&self) -> u32 {
        self.count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Check that only words inside of all others are taken, and as many as there is room for.
    #[test]
    fn addresses_fall() {
        let mut words = Words::<2>::EMPTY;
        assert!(words.push(0x1000, 1));
        assert!(!words.push(0x1000, 2) && !words.push(0x1008, 2) && !words.push(0xff9, 2));
        assert!(words.push(0xff0, 2) && words.push(0xfe8, 3) && words.push(8, 4));
        assert!(!words.push(0, 5), "no room");
        assert!(!words.pusher().push(0, 5), "no room");
        words.truncate(3);
        let mut pusher = words.pusher();
        assert!(!pusher.push(0xfe8, 4) && !pusher.push(0xfe1, 4) && pusher.push(0xfe0, 4));
        assert_eq!(pusher.count(), 4);
        assert_eq!(words.len(), 3, "not counted yet");
        assert_eq!((words.len(), words.run(2, 4).words().len()), (3, 0));
        let values = |run: Run<'_>| run.words().iter().map(Word::value).collect::<Vec<_>>();
        assert_eq!(values(words.run(1, 3)), [2, 3]);
    }
}
