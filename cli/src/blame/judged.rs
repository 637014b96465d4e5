//! What the table says of frames, each asked once.
//!
//! Used by `blame` and `diff`. A table has hundreds of patterns, and the frames of an interpreter's loop are in every stack: comparing each
//! anew was half of a Python server's report.

use super::table::{Class, Table};
use crate::symbolize::SymbolFrame;
use std::cell::OnceCell;
use std::ops::Deref;
use std::rc::Rc;

/// The frames of one node, and what one table has said of each so far.
#[derive(Debug)]
pub struct Judged {
    frames: Rc<[SymbolFrame]>,
    said: Box<[Said]>,
}

/// What the table has said of one frame.
#[derive(Debug, Default)]
struct Said {
    class: OnceCell<Class>,
    is_wrapper: OnceCell<bool>,
    is_foreign: OnceCell<bool>,
    is_interpreter: OnceCell<bool>,
}

impl Judged {
    /// These frames, of which nothing has been asked yet.
    #[must_use]
    pub fn new(frames: Rc<[SymbolFrame]>) -> Rc<Judged> {
        let said = frames.iter().map(|_| Said::default()).collect();
        Rc::new(Judged { frames, said })
    }

    /// Its frames, as they were given.
    #[must_use]
    pub fn frames(&self) -> &Rc<[SymbolFrame]> {
        &self.frames
    }

    /// Its frames, innermost first.
    pub fn each(self: &Rc<Judged>) -> impl Iterator<Item = FrameAt> + use<> {
        let node = Rc::clone(self);
        (0..self.frames.len()).map(move |at| FrameAt {
            node: Rc::clone(&node),
            at,
        })
    }
}

/// One frame, where it stands in its node: shared, nothing is copied. Two are equal where the frames are.
#[derive(Clone, Debug)]
pub struct FrameAt {
    node: Rc<Judged>,
    /// Its place among the node's frames.
    at: usize,
}

impl FrameAt {
    /// The node and the place in it: of two frames of nodes that are kept, the same only where they are one.
    #[must_use]
    pub fn identity(&self) -> (*const Judged, usize) {
        (Rc::as_ptr(&self.node), self.at)
    }

    pub(super) fn class(&self, table: &Table) -> Class {
        *self.said().class.get_or_init(|| table.class(self))
    }

    pub(super) fn is_wrapper(&self, table: &Table) -> bool {
        let said = &self.said().is_wrapper;
        *said.get_or_init(|| table.is_wrapper(self))
    }

    pub(super) fn is_foreign(&self, table: &Table) -> bool {
        let said = &self.said().is_foreign;
        *said.get_or_init(|| table.is_foreign(self))
    }

    pub(super) fn is_interpreter(&self, table: &Table) -> bool {
        let said = &self.said().is_interpreter;
        *said.get_or_init(|| table.is_interpreter(self))
    }

    fn said(&self) -> &Said {
        &self.node.said[self.at]
    }
}

impl Deref for FrameAt {
    type Target = SymbolFrame;

    fn deref(&self) -> &SymbolFrame {
        &self.node.frames[self.at]
    }
}

impl PartialEq for FrameAt {
    fn eq(&self, other: &FrameAt) -> bool {
        self.identity() == other.identity() || **self == **other
    }
}

impl Eq for FrameAt {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::c_frame;

    /// Check that each frame is asked about itself, and that equal frames of two nodes are equal.
    #[test]
    fn frames_of_a_node() {
        let frames = || {
            Rc::from([
                c_frame("xmalloc", "/src/x.c", 3),
                c_frame("f", "/src/f.c", 1),
            ])
        };
        let [wrapper, own] = [0, 1].map(|at| Judged::new(frames()).each().nth(at).unwrap());
        let table = Table::default();
        assert_eq!(
            (wrapper.class(&table), own.class(&table)),
            (Class::Plumbing, Class::Own)
        );
        assert!(wrapper.is_wrapper(&table) && !own.is_wrapper(&table));
        let same = Judged::new(frames()).each().next().unwrap();
        assert_eq!(wrapper, same);
        assert_ne!(wrapper.identity(), same.identity());
        assert_ne!(wrapper, own);
    }
}
