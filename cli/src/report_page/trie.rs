//! Stacks as a tree of frames: what they share is there once.
//!
//! Filled by `data`, heaviest stack first. Read in preorder, where a node's depth alone says whose child it is: small numbers, which
//! compress well.

use std::collections::HashMap;

/// A node; 0 is the root, which is no frame.
pub(super) type Node = u32;

/// The tree.
#[derive(Debug)]
pub(super) struct Trie {
    by_frame: HashMap<(Node, u32), Node>,
    children: Vec<Vec<Node>>,
    frames: Vec<u32>,
}

/// The tree in preorder, root first.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Preorder {
    /// The root's is 0.
    pub(super) depths: Vec<u32>,
    /// The root's says nothing.
    pub(super) frames: Vec<u32>,
    /// Where a node has got to.
    pub(super) places: Vec<u32>,
}

impl Trie {
    pub(super) fn new() -> Trie {
        Trie {
            by_frame: HashMap::new(),
            children: vec![Vec::new()],
            frames: vec![0],
        }
    }

    /// The node of a stack, whose frames are given from the outermost on.
    pub(super) fn node(&mut self, stack: impl IntoIterator<Item = u32>) -> Node {
        let mut node = 0;
        for frame in stack {
            node = self.child(node, frame);
        }
        node
    }

    fn child(&mut self, parent: Node, frame: u32) -> Node {
        let next = Node::try_from(self.frames.len()).unwrap_or(Node::MAX);
        let node = *self.by_frame.entry((parent, frame)).or_insert(next);
        if node == next {
            self.children[parent as usize].push(next);
            self.children.push(Vec::new());
            self.frames.push(frame);
        }
        node
    }

    /// In preorder, without recursion: stacks are deep.
    pub(super) fn preorder(&self) -> Preorder {
        let count = self.frames.len();
        let mut order = Preorder {
            depths: Vec::with_capacity(count),
            frames: Vec::with_capacity(count),
            places: vec![0; count],
        };
        let mut open: Vec<(Node, u32)> = vec![(0, 0)];
        while let Some((node, depth)) = open.pop() {
            order.places[node as usize] = u32::try_from(order.depths.len()).unwrap_or(u32::MAX);
            order.depths.push(depth);
            order.frames.push(self.frames[node as usize]);
            let children = self.children[node as usize].iter().rev();
            open.extend(children.map(|&child| (child, depth + 1)));
        }
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Check that shared frames are one node, and the order: children as they came, each before its next sibling.
    #[test]
    fn preorder() {
        let mut trie = Trie::new();
        let first = trie.node([7, 8]);
        let second = trie.node([9]);
        let third = trie.node([7, 5]);
        assert_eq!(trie.node([7, 8]), first);
        let order = trie.preorder();
        assert_eq!(order.depths, [0, 1, 2, 2, 1]);
        assert_eq!(order.frames, [0, 7, 8, 5, 9]);
        let place = |node: Node| order.places[node as usize];
        assert_eq!((place(first), place(second), place(third)), (2, 4, 3));
    }
}
