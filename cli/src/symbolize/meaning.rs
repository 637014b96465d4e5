//! What nodes mean, numbered: the same frames have the same number, however many nodes, addresses and processes they are met at.
//!
//! Used by `cache`, which keeps numbers rather than frames, and by `diff`, which asks what it needs to know of some frames once a number:
//! a Python server's stacks have millions of nodes and a few thousand meanings. Numbers are of one symbolizer's.

use crate::symbolize::SymbolFrame;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasher, Hash, Hasher, RandomState};
use std::rc::Rc;

/// The number of a meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MeaningId(u32);

impl MeaningId {
    /// Its place in a list of what is known of each.
    #[must_use]
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// All meanings that have been met.
#[derive(Debug, Default)]
pub(super) struct Meanings {
    all: Vec<Rc<[SymbolFrame]>>,
    ids: HashMap<Hashed, MeaningId>,
    /// The standard library's, not a faster one: names are the target's to choose, and must not be chosen so that they collide.
    hasher: RandomState,
}

/// Frames with their hash: a table that grows asks for it again, and some of the texts are long.
#[derive(Debug, PartialEq, Eq)]
struct Hashed {
    hash: u64,
    frames: Rc<[SymbolFrame]>,
}

impl Hash for Hashed {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

impl Meanings {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// The number of these frames.
    pub(super) fn id(&mut self, frames: Rc<[SymbolFrame]>) -> MeaningId {
        let hash = self.hasher.hash_one(&frames);
        let known = self.ids.entry(Hashed { hash, frames });
        // Fewer than there are nodes, whose numbers are as wide.
        let next = MeaningId(u32::try_from(self.all.len()).unwrap_or(u32::MAX));
        match known {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(new) => {
                self.all.push(Rc::clone(&new.key().frames));
                *new.insert(next)
            }
        }
    }

    /// The frames of a number; none for one of another symbolizer's.
    pub(super) fn frames(&self, id: MeaningId) -> Rc<[SymbolFrame]> {
        self.all.get(id.index()).cloned().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::c_frame;

    /// Check that equal frames have one number, whoever made them, and others another.
    #[test]
    fn equal_frames_are_one() {
        let mut meanings = Meanings::default();
        let frames = |line| Rc::from([c_frame("f", "/src/f.c", line)]);
        let one = meanings.id(frames(1));
        assert_eq!(meanings.id(frames(1)), one);
        let two = meanings.id(frames(2));
        assert_ne!(two, one);
        assert_eq!(meanings.frames(two)[0].line, Some(2));
        assert!(Meanings::default().frames(two).is_empty());
    }
}
