//! Sites: stacks that have allocated, by dense id. Both halves.
//!
//! Writer: any thread takes the next id, stores the frame (Release): that publishes the site, and with it the nodes of its stack.
//! Reader: a frame of 0 means 'not published yet'; its counters are then still zero, since a site is charged only after.

use crate::frames::FrameId;
use crate::layout::{FULL_FRAME, Site};
use crate::sync::{AtomicU32, Word, take_index};

/// A site's id; 0 is none, [`crate::layout::OVERFLOW_SITE`] the one that takes what has no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SiteId(pub u32);

/// The table of sites.
#[derive(Clone, Copy, Debug)]
pub struct Sites<'a> {
    len: &'a AtomicU32,
    sites: &'a [Site],
}

impl<'a> Sites<'a> {
    pub(crate) fn new(len: &'a AtomicU32, sites: &'a [Site]) -> Sites<'a> {
        Sites { len, sites }
    }

    /// Ids taken (the last of them perhaps not yet published).
    #[must_use]
    pub fn len(&self) -> u32 {
        self.len.observe().min(self.capacity())
    }

    /// True before `begin`.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Sites that there is room for.
    #[must_use]
    pub fn capacity(&self) -> u32 {
        u32::try_from(self.sites.len()).unwrap_or(u32::MAX)
    }

    /// Takes id 0, which is no site, and the overflow site.
    pub(crate) fn begin(&self) -> bool {
        take_index(self.len, 1, self.capacity()) == Some(0)
            && self.append(FrameId(FULL_FRAME)) == Some(SiteId(1))
    }

    /// Adds and publishes a site; None when the table is full.
    pub fn append(&self, frame: FrameId) -> Option<SiteId> {
        let id = take_index(self.len, 1, self.capacity())?;
        self.sites.get(id as usize)?.frame.publish(frame.0);
        Some(SiteId(id))
    }

    /// The innermost frame of a published site; None where it is not published, or there is none.
    #[must_use]
    pub fn frame(&self, id: SiteId) -> Option<FrameId> {
        let frame = self.sites.get(id.0 as usize)?.frame.observe();
        (frame != 0).then_some(FrameId(frame))
    }
}

#[cfg(all(test, loom))]
mod models {
    use super::*;
    use crate::frames::{Frames, ROOT};
    use crate::index::{find_or_insert, mix};
    use crate::layout::Node;
    use crate::testing::{Ladder, bounded, native};
    use loom::sync::Arc;
    use loom::thread;

    /// Frames, sites and their two indices, as the shim composes them.
    struct Interner {
        frames_len: AtomicU32,
        nodes: Vec<Node>,
        sites_len: AtomicU32,
        sites: Vec<Site>,
        by_frame: Ladder,
        by_stack: Ladder,
    }

    impl Interner {
        fn new() -> Arc<Interner> {
            let interner = Interner {
                frames_len: AtomicU32::new(0),
                nodes: (0..8).map(|_| Node::default()).collect(),
                sites_len: AtomicU32::new(0),
                sites: (0..4).map(|_| Site::default()).collect(),
                by_frame: Ladder::with_free(8),
                by_stack: Ladder::with_free(8),
            };
            assert!(interner.frames().begin() && interner.sites().begin());
            Arc::new(interner)
        }

        fn frames(&self) -> Frames<'_> {
            Frames::new(&self.frames_len, &self.nodes)
        }

        fn sites(&self) -> Sites<'_> {
            Sites::new(&self.sites_len, &self.sites)
        }

        /// The site of a stack, outermost frame first.
        fn intern(&self, stack: &[u64]) -> Option<SiteId> {
            let (frames, sites) = (self.frames(), self.sites());
            let node = stack.iter().try_fold(ROOT, |parent, &value| {
                let frame = native(parent, value);
                let make = || frames.append(frame).map(|id| id.0);
                let same = |id| frames.is(id, &frame);
                find_or_insert(&self.by_frame, frame.hash(), same, make).map(FrameId)
            })?;
            let same = |id| sites.frame(SiteId(id)) == Some(node);
            let make = || sites.append(node).map(|id| id.0);
            find_or_insert(&self.by_stack, mix(node.0.into()), same, make).map(SiteId)
        }

        /// The values of a site's stack, outermost first; None where the site is not published.
        fn stack(&self, site: u32) -> Option<Vec<u64>> {
            let mut at = self.sites().frame(SiteId(site))?;
            let mut values = Vec::new();
            while at != ROOT {
                let frame = self.frames().get(at).expect("a site's node is whole");
                values.insert(0, frame.value);
                at = frame.parent;
            }
            Some(values)
        }
    }

    fn two_writers(one: &'static [u64], other: &'static [u64]) {
        let interner = Interner::new();
        let writers = [one, other].map(|stack| {
            let interner = interner.clone();
            thread::spawn(move || interner.intern(stack).expect("there is room"))
        });
        for site in 2..4 {
            if let Some(stack) = interner.stack(site) {
                assert!(stack == one || stack == other, "{stack:?}");
            }
        }
        let ids = writers.map(|writer| writer.join().expect("no panic"));
        assert_eq!(ids[0] == ids[1], one == other);
        assert_eq!(interner.stack(ids[0].0).as_deref(), Some(one));
        assert_eq!(interner.stack(ids[1].0).as_deref(), Some(other));
    }

    /// Check that two threads that intern one stack get one site, and that a reader that sees a site sees its whole stack.
    #[test]
    fn same_stack() {
        bounded(2, || two_writers(&[7], &[7]));
    }

    /// Check that two threads of which one is further in than the other share the outer node and get a site each, whole for a
    /// reader.
    #[test]
    fn shared_outer_frame() {
        bounded(2, || two_writers(&[7], &[7, 8]));
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    /// Check that a site is found under its id, that id 0 and ids not given out are none, and that a full table refuses a site
    /// and stays as it is.
    #[test]
    fn append_until_full() {
        let sites: [Site; 4] = Default::default();
        let len = AtomicU32::new(0);
        let table = Sites::new(&len, &sites);
        assert!(table.is_empty() && table.begin());
        assert_eq!(table.append(FrameId(7)), Some(SiteId(2)));
        assert_eq!(table.frame(SiteId(0)), None);
        assert_eq!(table.frame(SiteId(1)), Some(FrameId(FULL_FRAME)));
        assert_eq!(table.frame(SiteId(2)), Some(FrameId(7)));
        assert_eq!(table.frame(SiteId(3)), None);
        assert_eq!(table.frame(SiteId(u32::MAX)), None);
        assert_eq!(table.append(FrameId(8)), Some(SiteId(3)));
        assert_eq!(table.append(FrameId(9)), None);
        assert_eq!((table.len(), len.peek()), (4, 4));
        assert_eq!(table.frame(SiteId(3)), Some(FrameId(8)));
    }
}
