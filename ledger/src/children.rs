//! From a trie node and a frame below it to that frame's node: private memory of the writer.
//!
//! Each node has a list of its first children, newest first, and what comes after these is found by hash (`index`). Most nodes have few
//! children, and a program that begins makes thousands of nodes in a row: their records lie side by side, so that only as many pages are touched as
//! are filled. By hash alone, each new node was on a page of its own: a third of what `python3 -c pass` took longer was page faults for that.
//!
//! Lists only grow at their head and a full one stays as it is, so two threads that add one frame meet: the second to exchange
//! the head fails, and looks again. Nobody waits.
//!
//! Who names a stack goes from node to node, and with many stacks each record is a line of memory that no cache has. So a node's record says of its two newest
//! children by itself who they are (id and tag), and no other than the wanted one is looked at: the next record's address is known as soon as this one is there, and
//! the ledger's node, which proves the match, is fetched meanwhile.
//!
//! ```text
//! node 7: newest ─▶ 12, 9      node 9: next ─▶ 8      node 8: next ─▶ 0      at most LISTED; the others' ids stand in the index
//! ```

use crate::frames::{Frame, FrameId, Frames};
use crate::header::LARGEST;
use crate::index::{Rungs, find_or_insert};
use crate::sync::{AtomicU32, AtomicU64, Word};
use core::hint::select_unpredictable;

/// Children in a list. Each that is passed over costs as much as a whole look-up by hash costs twice: 95 of 100 nodes of a Python program that
/// begins have no more.
const LISTED: usize = 8;

/// Bits of a node's id in a word that names it. What is above them is its tag: bits of the frame, to pass over others without looking at them.
const ID_BITS: u32 = 21;
const ID_MASK: u32 = (1 << ID_BITS) - 1;
const _: () = assert!(LARGEST.frames <= 1 << ID_BITS);

/// What is kept of a node beside what the ledger says of it. Zeros: a node with no children. No record lies in two lines of memory.
#[derive(Debug, Default)]
#[repr(C, align(16))]
pub struct Kin {
    /// The newest child that is listed, and above it the one before: tag and id each; 0 = none. Any thread exchanges both at once (Release, pairs with the Acquire of
    /// `find_or_insert`) and thereby publishes the child.
    newest: AtomicU64,
    /// The next older child of the same parent: its tag and id. Written by whoever made the node, before it is published.
    next: AtomicU32,
    /// The site whose stack ends here; 0 = none yet. Its user's.
    pub site: AtomicU32,
}

/// The trie with what is needed to find its nodes from their parents.
#[derive(Debug)]
pub struct Children<'a, R> {
    /// The ledger's table.
    pub frames: &'a Frames<'a>,
    /// A record for each of its nodes.
    pub kin: &'a [Kin],
    /// The ids of those that are in no list.
    pub rungs: &'a R,
}

/// What a look at a list came to.
enum Found {
    /// The frame's node.
    Node(u32),
    /// It is not there, and there is room for it.
    Room,
    /// It is not there.
    Full,
}

impl<R: Rungs> Children<'_, R> {
    /// The node of a frame, made where there is none. None where there is no room.
    #[inline(always)]
    pub fn find_or_insert(&self, frame: &Frame) -> Option<FrameId> {
        let newest = self.of(frame.parent.0)?.newest.observe();
        let tag = tag(frame);
        let [first, second] = words(newest);
        // Which of the two is as good as random where stacks turn off, and a branch that is guessed wrong waits for the record.
        let word = select_unpredictable(first & !ID_MASK == tag, first, second);
        match self.is(word, frame, tag) {
            true => Some(FrameId(word & ID_MASK)),
            false => self.insert(frame, tag),
        }
    }

    /// As `find_or_insert`, of a frame that is perhaps none of the two newest.
    #[inline(never)]
    fn insert(&self, frame: &Frame, tag: u32) -> Option<FrameId> {
        let head = &self.of(frame.parent.0)?.newest;
        let mut new = None;
        loop {
            let newest = head.observe();
            match self.find(newest, frame, tag)? {
                Found::Node(id) => return Some(FrameId(id)),
                Found::Full => return self.by_hash(frame, new),
                Found::Room => (),
            }
            let id = match new {
                Some(id) => id,
                None => self.frames.append(*frame)?,
            };
            new = Some(id);
            let [first, _] = words(newest);
            self.of(id.0)?.next.put(first);
            let both = u64::from(first) << u32::BITS | u64::from(tag | id.0);
            if head.claim(newest, both).is_ok() {
                return Some(id);
            }
        }
    }

    fn find(&self, newest: u64, frame: &Frame, tag: u32) -> Option<Found> {
        let [mut word, _] = words(newest);
        for _ in 0..LISTED {
            if word == 0 {
                return Some(Found::Room);
            }
            if self.is(word, frame, tag) {
                return Some(Found::Node(word & ID_MASK));
            }
            word = self.of(word & ID_MASK)?.next.peek();
        }
        Some(Found::Full)
    }

    /// True where a word names the frame's node; 0 names none.
    #[inline(always)]
    fn is(&self, word: u32, frame: &Frame, tag: u32) -> bool {
        word & !ID_MASK == tag && word != 0 && self.frames.is(word & ID_MASK, frame)
    }

    /// `new` is a node that was made for the list, which another thread has filled meanwhile.
    fn by_hash(&self, frame: &Frame, new: Option<FrameId>) -> Option<FrameId> {
        let same = |id: u32| self.frames.is(id, frame);
        let make = || new.or_else(|| self.frames.append(*frame)).map(|id| id.0);
        find_or_insert(self.rungs, frame.hash(), same, make).map(FrameId)
    }

    #[inline(always)]
    fn of(&self, id: u32) -> Option<&Kin> {
        self.kin.get(id as usize)
    }
}

/// The words of the two newest children, the newest first.
#[inline(always)]
fn words(newest: u64) -> [u32; 2] {
    [newest, newest >> u32::BITS].map(|word| u32::try_from(word & 0xffff_ffff).unwrap_or(0))
}

/// The frame's own bits, above an id's place. Children of one node differ in their value's low half, or in the code object's id in its high one.
#[inline(always)]
fn tag(frame: &Frame) -> u32 {
    let [low, high] = [frame.value, frame.value >> 32].map(|half| half & 0xffff_ffff);
    let folded = low ^ high.rotate_left(16) ^ u64::from(frame.module) << 20;
    let spread = folded.wrapping_mul(0x9e37_79b9); // Knuth's multiplicative hash, 2^32 by the golden ratio
    u32::try_from(spread & 0xffff_ffff).unwrap_or(0) & !ID_MASK
}

#[cfg(all(test, loom))]
mod models {
    use super::*;
    use crate::frames::ROOT;
    use crate::layout::Node;
    use crate::testing::{Ladder, bounded, native};
    use loom::sync::Arc;
    use loom::thread;

    struct Trie {
        len: AtomicU32,
        nodes: Vec<Node>,
        kin: Vec<Kin>,
        ladder: Ladder,
    }

    impl Trie {
        /// A trie whose root has `listed` children already.
        fn with(listed: u64) -> Arc<Trie> {
            let room = 3 + LISTED + 2;
            let trie = Trie {
                len: AtomicU32::new(0),
                nodes: (0..room).map(|_| Node::default()).collect(),
                kin: (0..room).map(|_| Kin::default()).collect(),
                ladder: Ladder::with_free(8),
            };
            assert!(Frames::new(&trie.len, &trie.nodes).begin());
            for value in 0..listed {
                trie.insert(100 + value);
            }
            Arc::new(trie)
        }

        fn insert(&self, value: u64) -> FrameId {
            let children = Children {
                frames: &Frames::new(&self.len, &self.nodes),
                kin: &self.kin,
                rungs: &self.ladder,
            };
            let frame = native(ROOT, value);
            let id = children.find_or_insert(&frame).expect("there is room");
            assert_eq!(children.frames.get(id), Ok(frame), "whole for its finder");
            id
        }
    }

    fn race(listed: u64, one: u64, other: u64) {
        let trie = Trie::with(listed);
        let threads = [one, other].map(|value| {
            let trie = trie.clone();
            thread::spawn(move || trie.insert(value))
        });
        let ids = threads.map(|thread| thread.join().expect("no panic"));
        assert_eq!(ids[0] == ids[1], one == other);
        assert_eq!([trie.insert(one), trie.insert(other)], ids);
    }

    /// Check that two threads that add one frame to an empty list meet at one node.
    #[test]
    fn same_frame() {
        bounded(2, || race(0, 5, 5));
    }

    /// Check that two threads that add different frames both find theirs again.
    #[test]
    fn different_frames() {
        bounded(2, || race(0, 5, 6));
    }

    /// Check that of two threads that race for a list's last place one goes to the index, and both frames are found.
    #[test]
    fn last_place() {
        bounded(2, || race(LISTED as u64 - 1, 5, 6));
    }

    /// Check that two threads that add one frame while the list becomes full meet at one node.
    #[test]
    fn same_frame_last_place() {
        bounded(2, || race(LISTED as u64 - 1, 5, 5));
        bounded(2, || race(LISTED as u64, 5, 5));
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::frames::ROOT;
    use crate::layout::{FrameKind, Node};
    use crate::testing::{Ladder, Random, native};
    use std::collections::HashMap;

    const NODES: usize = 60_000;
    const THREADS: usize = 4;

    struct Trie {
        len: AtomicU32,
        nodes: Vec<Node>,
        kin: Vec<Kin>,
        ladder: Ladder,
    }

    impl Trie {
        fn new(nodes: usize) -> Trie {
            let trie = Trie {
                len: AtomicU32::new(0),
                nodes: (0..nodes).map(|_| Node::default()).collect(),
                kin: (0..nodes).map(|_| Kin::default()).collect(),
                ladder: Ladder::default(),
            };
            assert!(Frames::new(&trie.len, &trie.nodes).begin());
            trie
        }

        fn insert(&self, frame: &Frame) -> Option<FrameId> {
            let children = Children {
                frames: &Frames::new(&self.len, &self.nodes),
                kin: &self.kin,
                rungs: &self.ladder,
            };
            children.find_or_insert(frame)
        }
    }

    /// Check that four threads that add the same 10,000 stacks, some below nodes of a thousand children, agree on every node, and that each
    /// node is the frame that was asked for.
    #[test]
    fn four_threads() {
        let mut random = Random(3);
        let widths = [1, 2, 7, 1000];
        let stacks: Vec<[u64; 4]> = (0..10_000)
            .map(|_| widths.map(|width| random.below(width) as u64))
            .collect();
        let trie = Trie::new(NODES * THREADS);
        let intern = |stack: &[u64; 4]| {
            stack.iter().fold(ROOT, |parent, &value| {
                let found = trie.insert(&native(parent, value));
                found.expect("there is room")
            })
        };
        let intern_all = |start: usize| {
            let mut ids = vec![ROOT; stacks.len()];
            for at in (start..stacks.len()).chain(0..start) {
                ids[at] = intern(&stacks[at]);
            }
            ids
        };
        let found: Vec<Vec<FrameId>> = std::thread::scope(|scope| {
            let intern_all = &intern_all;
            let threads = (0..THREADS).map(|nth| scope.spawn(move || intern_all(nth * 2_500)));
            let threads: Vec<_> = threads.collect();
            let joined = threads.into_iter().map(|thread| thread.join());
            joined.map(|ids| ids.expect("no panic")).collect()
        });
        assert!(found.iter().all(|ids| *ids == found[0]));
        let frames = Frames::new(&trie.len, &trie.nodes);
        let mut by_stack = HashMap::new();
        for (stack, &id) in stacks.iter().zip(&found[0]) {
            assert_eq!(*by_stack.entry(stack).or_insert(id), id);
            let mut at = id;
            for &value in stack.iter().rev() {
                let frame = frames.get(at).expect("a node");
                assert_eq!(frame.value, value);
                at = frame.parent;
            }
            assert_eq!(at, ROOT);
        }
        let ids: std::collections::HashSet<_> = by_stack.values().collect();
        assert_eq!(ids.len(), by_stack.len(), "a node for each stack");
    }

    /// Check that frames which differ in one part only are told apart below one node, in the list and past it, and that a full table refuses.
    #[test]
    fn every_part() {
        let frames: Vec<Frame> = (0..LISTED as u64)
            .flat_map(|nth| {
                let frame = native(ROOT, nth << 32 | 0x1234);
                let exact = FrameKind::NativeExact;
                [
                    frame,
                    Frame { module: 7, ..frame },
                    Frame {
                        kind: exact,
                        ..frame
                    },
                ]
            })
            .collect();
        let trie = Trie::new(3 + frames.len());
        let ids: Vec<_> = frames.iter().map(|frame| trie.insert(frame)).collect();
        assert!(ids.iter().all(Option::is_some));
        let again: Vec<_> = frames.iter().map(|frame| trie.insert(frame)).collect();
        assert_eq!(ids, again);
        assert_eq!(trie.len.peek() as usize, 3 + frames.len(), "each once");
        assert_eq!(trie.insert(&native(ROOT, 9)), None);
        assert_eq!(trie.insert(&frames[5]), ids[5]);
    }
}
