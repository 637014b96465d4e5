//! Objects in a mode that is not exact: nearly all of them record nothing, and cost few instructions, as `light` says of blocks.
//!
//! An object is malloc's where malloc was called for it: then it was counted there. Every block that malloc gives in these modes is noted by its
//! thread, so that none noted since the interpreter was asked is an object of its own arenas. What is to be recorded, and what is unusual, is
//! `objects`', from the beginning: nothing has happened then.

use crate::entry::Entry;
use crate::light;
use crate::real::Block;
use crate::thread::{self, State};
use crate::{loader, rings, sampling, tracer};

/// The calling thread, while the interpreter makes an object.
#[derive(Clone, Copy, Debug)]
pub(super) struct Passing {
    state: &'static State,
    word: u64,
}

impl Passing {
    /// Before the interpreter is asked; None where the event is no usual one. It is in no hook meanwhile, as malloc is called within it.
    #[inline(always)]
    pub(super) fn begin(entry: &Entry) -> Option<Passing> {
        let word = tracer::word();
        if word <= sampling::EXACT
            || loader::is_loader(entry.return_address)
            || rings::is_mode_asked()
        {
            return None;
        }
        let state = thread::leased().filter(|state| state.guard() == 0)?;
        state.countdown.forget();
        Some(Passing { state, word })
    }

    /// Whether nothing is to be recorded of what it has given; then it is counted down.
    #[inline(always)]
    pub(super) fn passes(self, object: Block, size: usize) -> bool {
        let Passing { state, word } = self;
        let is_own = state.countdown.has_noted_nothing() && tracer::word() == word;
        is_own
            && !object.is_null()
            && !super::shadow::holds(object.addr())
            && (sampling::is_off(word) || state.countdown.passes(word, size))
    }
}

/// Whether nothing is to be recorded of an object's end, in such a mode.
#[inline(always)]
pub(super) fn ends_unseen(entry: &Entry, object: Block) -> bool {
    light::is_nothing(entry.return_address, || super::shadow::holds(object.addr()))
}
