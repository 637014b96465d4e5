//! The trie of frames: append-only nodes (caller's node, kind, value). Both halves.
//!
//! Writer: any thread. A node is written whole under an index that nobody else has, and becomes visible only when something
//! that names it is published (an `Index` slot or a `Site`, both Release). No thread ever waits for another's node: two
//! threads that add the same frame at once make two nodes, the index keeps one, the other is never named.
//! Reader: follows ids that it found in sites; `parent < id` makes every walk outwards end.

use crate::error::Error;
use crate::layout::{FULL_FRAME, FrameKind, NESTED_FRAME, Node, SectionKind};
use crate::sync::{AtomicU32, Word, take_index};

/// A trie node's id; 0 is the root.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FrameId(pub u32);

/// The root: the empty stack.
pub const ROOT: FrameId = FrameId(0);

/// A node by value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The caller's node.
    pub parent: FrameId,
    /// What `value` means.
    pub kind: FrameKind,
    /// Module id, 0 where the kind has none.
    pub module: u32,
    /// See [`FrameKind`].
    pub value: u64,
}

impl Frame {
    /// A hash in which every bit of the frame counts (the finalizer of MurmurHash3, over the sum of multiplied parts).
    #[inline]
    #[must_use]
    pub fn hash(&self) -> u64 {
        let low = u64::from(self.parent.0) << 32 | u64::from(self.kind_module());
        crate::index::mix(
            self.value.wrapping_mul(0x9e37_79b9_7f4a_7c15)
                ^ low.wrapping_mul(0xff51_afd7_ed55_8ccd),
        )
    }

    #[inline]
    fn kind_module(&self) -> u32 {
        (self.kind as u32) << 24 | (self.module & 0x00ff_ffff)
    }
}

/// The table of nodes.
#[derive(Clone, Copy, Debug)]
pub struct Frames<'a> {
    len: &'a AtomicU32,
    nodes: &'a [Node],
}

impl<'a> Frames<'a> {
    pub(crate) fn new(len: &'a AtomicU32, nodes: &'a [Node]) -> Frames<'a> {
        Frames { len, nodes }
    }

    /// Nodes in use (some of them perhaps not yet named by anything).
    #[must_use]
    pub fn len(&self) -> u32 {
        self.len.observe().min(self.capacity())
    }

    /// True before `begin`.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Nodes that there is room for.
    #[must_use]
    pub fn capacity(&self) -> u32 {
        u32::try_from(self.nodes.len()).unwrap_or(u32::MAX)
    }

    /// Writes the nodes that every ledger begins with: root, full, nested. False where there is no room for them.
    pub(crate) fn begin(&self) -> bool {
        let mark = |kind| Frame {
            parent: ROOT,
            kind,
            module: 0,
            value: 0,
        };
        self.append(mark(FrameKind::Root)) == Some(ROOT)
            && self.append(mark(FrameKind::Full)) == Some(FrameId(FULL_FRAME))
            && self.append(mark(FrameKind::Nested)) == Some(FrameId(NESTED_FRAME))
    }

    /// Adds a node; None when the table is full. The caller publishes the id.
    pub fn append(&self, frame: Frame) -> Option<FrameId> {
        let id = take_index(self.len, 1, self.capacity())?;
        let node = self.nodes.get(id as usize)?;
        node.parent.put(frame.parent.0);
        node.kind_module.put(frame.kind_module());
        node.value.put(frame.value);
        Some(FrameId(id))
    }

    /// True where the node is this frame: the comparison of an index probe.
    #[inline]
    #[must_use]
    pub fn is(&self, id: u32, frame: &Frame) -> bool {
        self.nodes.get(id as usize).is_some_and(|node| {
            node.value.peek() == frame.value
                && node.parent.peek() == frame.parent.0
                && node.kind_module.peek() == frame.kind_module()
        })
    }

    /// Reads a node.
    ///
    /// # Errors
    /// `Index` where there is no such node, `Value` where its parent is not an older node (the root's: itself) or its kind is
    /// not known.
    pub fn get(&self, id: FrameId) -> Result<Frame, Error> {
        let kind = SectionKind::Frames as u32;
        let node = self.nodes.get(id.0 as usize).ok_or(Error::Index {
            kind,
            index: id.0.into(),
            len: self.nodes.len() as u64,
        })?;
        let (parent, kind_module) = (node.parent.peek(), node.kind_module.peek());
        if parent >= id.0.max(1) {
            return Err(Error::Value {
                kind,
                index: id.0.into(),
                found: parent.into(),
            });
        }
        let wrong = Error::Value {
            kind,
            index: id.0.into(),
            found: kind_module.into(),
        };
        let frame_kind = FrameKind::from_number(kind_module >> 24).ok_or(wrong)?;
        Ok(Frame {
            parent: FrameId(parent),
            kind: frame_kind,
            module: kind_module & 0x00ff_ffff,
            value: node.value.peek(),
        })
    }
}

impl FrameKind {
    /// The kind with this number.
    #[must_use]
    pub fn from_number(number: u32) -> Option<FrameKind> {
        use FrameKind::{
            Full, Jit, Native, NativeExact, Nested, Python, Root, Thread, Truncated, Unknown,
        };
        [
            Root,
            Native,
            NativeExact,
            Unknown,
            Python,
            Jit,
            Thread,
            Truncated,
            Full,
            Nested,
        ]
        .into_iter()
        .find(|&kind| kind as u32 == number)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::testing::native;

    fn table(nodes: usize) -> (AtomicU32, Vec<Node>) {
        let nodes = (0..nodes).map(|_| Node::default()).collect();
        (AtomicU32::new(0), nodes)
    }

    /// Check that frames come back as they were given, that a full table refuses one and stays as it is, and that too small a
    /// table cannot begin.
    #[test]
    fn append_until_full() {
        let (len, nodes) = table(5);
        let frames = Frames::new(&len, &nodes);
        assert!(frames.is_empty() && frames.begin());
        let outer = native(ROOT, 0x1234);
        let inner = Frame {
            parent: FrameId(3),
            kind: FrameKind::NativeExact,
            module: 0x00ab_cdef,
            value: u64::MAX,
        };
        assert_eq!(frames.append(outer), Some(FrameId(3)));
        assert_eq!(frames.append(inner), Some(FrameId(4)));
        assert_eq!(frames.append(outer), None);
        assert_eq!((frames.len(), len.peek()), (5, 5));
        assert_eq!(frames.get(FrameId(3)), Ok(outer));
        assert_eq!(frames.get(FrameId(4)), Ok(inner));
        assert!(frames.is(4, &inner) && !frames.is(3, &inner) && !frames.is(5, &inner));
        let (len, nodes) = table(2);
        assert!(!Frames::new(&len, &nodes).begin());
    }

    /// Check that nodes outside the table, of no known kind, or with a parent that is not older are refused, the root's too.
    #[test]
    fn refused() {
        let (len, nodes) = table(4);
        let frames = Frames::new(&len, &nodes);
        assert!(frames.begin());
        frames.append(native(ROOT, 1));
        assert!(matches!(
            frames.get(FrameId(4)),
            Err(Error::Index {
                index: 4,
                len: 4,
                ..
            })
        ));
        assert!(frames.get(FrameId(u32::MAX)).is_err());
        for parent in [3, 4, u32::MAX] {
            nodes[3].parent.put(parent);
            assert!(matches!(
                frames.get(FrameId(3)),
                Err(Error::Value { index: 3, .. })
            ));
        }
        nodes[0].parent.put(3);
        assert!(frames.get(ROOT).is_err());
        nodes[2].kind_module.put(200 << 24);
        assert!(frames.get(FrameId(2)).is_err());
    }

    /// Check that frames that differ in one part only have different hashes.
    #[test]
    fn hash_sees_every_part() {
        let frame = native(FrameId(1), 1);
        let others = [
            native(FrameId(2), 1),
            native(FrameId(1), 2),
            Frame { module: 1, ..frame },
            Frame {
                kind: FrameKind::Unknown,
                ..frame
            },
        ];
        assert!(others.iter().all(|other| other.hash() != frame.hash()));
    }
}
