//! Stacks folded into a tree: each node has what passes through it.
//!
//! Made by `flamegraph` from the outermost frame on, by `massif` from the innermost. Children are in the order of their labels, so that
//! the same growth always makes the same file.

use std::collections::BTreeMap;

/// What passes through a frame.
#[derive(Debug, Default)]
pub(super) struct Node {
    /// Bytes alive at the first mark.
    pub(super) before: i64,
    /// Bytes alive at the second.
    pub(super) after: i64,
    pub(super) children: BTreeMap<String, Node>,
}

impl Node {
    /// Adds a stack, whose frames are given from the root on.
    pub(super) fn add(&mut self, path: impl Iterator<Item = String>, before: i64, after: i64) {
        let mut node = self;
        node.weigh(before, after);
        for label in path {
            node = node.children.entry(label).or_default();
            node.weigh(before, after);
        }
    }

    fn weigh(&mut self, before: i64, after: i64) {
        self.before = self.before.wrapping_add(before);
        self.after = self.after.wrapping_add(after);
    }

    /// What it grew by.
    pub(super) fn growth(&self) -> i64 {
        self.after.wrapping_sub(self.before)
    }

    /// Frames above it, at most.
    pub(super) fn height(&self) -> usize {
        let above = self.children.values().map(Node::height).max();
        above.map_or(0, |above| above + 1)
    }

    /// The greatest growth or shrinkage of it and of all that is above it.
    pub(super) fn greatest(&self) -> u64 {
        let above = self.children.values().map(Node::greatest).max();
        above.unwrap_or(0).max(self.growth().unsigned_abs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Check that what two stacks share is one node with the sum, at every depth.
    #[test]
    fn shared_frames() {
        let mut root = Node::default();
        let path = |text: &str| text.split(' ').map(str::to_string).collect::<Vec<_>>();
        root.add(path("main serve put").into_iter(), 10, 30);
        root.add(path("main serve").into_iter(), 4, 1);
        root.add(path("main init").into_iter(), 0, 5);
        let main = &root.children["main"];
        assert_eq!((root.before, root.after, root.height()), (14, 36, 3));
        assert_eq!((main.before, main.after, main.children.len()), (14, 36, 2));
        assert_eq!(main.children["serve"].growth(), 17);
        assert_eq!(root.greatest(), 22);
    }
}
