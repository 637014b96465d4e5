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

    /// The innermost frame of a published site.
    #[must_use]
    pub fn frame(&self, id: SiteId) -> Option<FrameId> {
        let frame = self.sites.get(id.0 as usize)?.frame.observe();
        (frame != 0).then_some(FrameId(frame))
    }
}
