//! Stacks that go on outside of what is kept of them: where they are cut.
//!
//! If the innermost frames were kept, as many as there may be, then in a recursion whose frames differ from level to level (a parser's, a tree's) each stack would
//! begin with another frame than its neighbours, and share no node with them: 512 new nodes an event, which fill the ledger's trie within thousands of events. So the cut is
//! anchored: of the outer half of these frames one is chosen by where it stands on the thread's stack, and what is outside of it is left out. Stacks that contain
//! the same frames choose the same one, and the choice moves on only when its frame leaves the half: with `n` frames in it about `2 / n` times a level, so that a
//! recursion takes a few nodes a level, whatever its frames are.
//!
//! It deliberately has no part in how deep is walked: the memo compares all frames that there are places for.

use super::{Scratch, outer_end};
use crate::tracer::Tracer;
use heapshim_ledger::frames::FrameId;
use heapshim_ledger::index::mix;
use heapshim_unwind::Walked;

/// One in so many of the frames that there are places for may be left out, from the outermost on: half. Of fewer the choice would move more often; with more, little would be shown.
const LEFT_OUT: usize = 2;
/// The least depth at which stacks are cut so. Whoever asks for fewer frames wants just so many, and a level of a recursion takes no more nodes than that.
pub(super) const ANCHORED: usize = 256;

impl Scratch {
    /// The node of a walk that found more frames than there are places for.
    #[cold]
    #[inline(never)]
    pub(super) fn intern_deep(&mut self, tracer: &Tracer, walked: &Walked) -> Option<FrameId> {
        let frames = walked.shared + walked.len;
        let outer = frames / LEFT_OUT;
        if walked.shared > outer {
            // The frames that the choice is made of are the last walk's, and so is the choice.
            let last = FrameId(*self.nodes.get(walked.shared - 1)?);
            return self.intern_from(tracer, walked, last, walked.shared);
        }
        let anchor = self.anchor(walked, outer);
        let outermost = outer_end(tracer, FrameId(self.label), walked.end)?;
        self.nodes.get_mut(..anchor)?.fill(outermost.0);
        self.intern_from(tracer, walked, outermost, anchor)
    }

    /// Interns the frames from a place on below `parent`, outermost first.
    fn intern_from(
        &mut self,
        tracer: &Tracer,
        walked: &Walked,
        mut parent: FrameId,
        first: usize,
    ) -> Option<FrameId> {
        for place in first..walked.shared + walked.len {
            let frame = self.native(walked, place)?;
            parent = self.intern(tracer, parent, frame.address, frame.exact)?;
            *self.nodes.get_mut(place)? = parent.0;
        }
        Some(parent)
    }

    /// The outermost frame that is kept, of the outermost `outer` ones and the one inside of them. Counted from the stack's top, so that threads that do the same choose the same.
    fn anchor(&self, walked: &Walked, outer: usize) -> usize {
        let top = self.bounds.top();
        let rank = |place: &usize| {
            let frame = self.native(walked, *place);
            frame.map_or(u64::MAX, |frame| mix(top.wrapping_sub(frame.sp)))
        };
        (0..=outer).min_by_key(rank).unwrap_or(0)
    }
}
