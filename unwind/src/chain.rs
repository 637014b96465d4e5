//! The remembered frames in a row: whether a new walk may enter it, how far it still holds, and its growth at both ends.
//!
//! `memo` walks, this file remembers. The row may be longer than what the last walk showed, which had places for fewer frames; and
//! the stack may go on outside of it. It deliberately takes no steps.
//!
//! ```text
//! entries   0 ..  start            edge              end .. N
//!                 [ground] outermost frame ... innermost
//!                 |---------- the chain -----------|
//!                                  |-- last walk's -|    (and what is inside of a signal, which is not kept)
//! ```
//!
//! **Invariant**: for neighbours `outer, inner`, linked by `Entry::link`, a walk that stands at `inner` with its ip, sp and live registers, and
//! finds in the slots of `inner` what `outer` holds, comes to `outer` with its ip, sp and live registers. This is true of each
//! pair by itself, whenever it was seen: a part of the chain may be used without a look at the rest.

use crate::arch::{ALL, Registers, Rule};
use crate::entry::Entry;
use crate::usual::Simple;
use crate::walk::{End, Memory, Position, Rules};
use crate::words::{Run, Word, Words};

mod growth;

/// No place of any entry.
pub(crate) const NOWHERE: usize = usize::MAX;

/// What comes outside of the outermost entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Beyond {
    /// Nothing: the stack ends.
    Nothing,
    /// What its rule says: all its registers are live, and so are what a plain walk would have. The walk can go on there.
    Unknown,
    /// Frames that were forgotten. Its dead registers may be stale, and no walk can go on there.
    Forgotten,
}

/// How far a chain holds that a walk has entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// To this outermost frame of the walk, which then ends so.
    Frame(usize, End),
    /// To the outermost entry, and the walk has to go on there.
    Outermost,
    /// To this frame, which no longer leads to the one outside of it. No frame inside of it can be entered in this walk.
    Until(usize),
    /// Nobody knows: what is outside of the chain was forgotten, and the walk has more places than the chain has frames.
    Unknown,
}

/// The row of frames. Zeros are a valid, empty one.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Chain<const N: usize> {
    start: usize,
    end: usize,
    /// The outermost frame of the last walk, or `NOWHERE`.
    edge: usize,
    /// Whether `entries[start]` is no frame, but the place of the zero return address that ends the stack.
    has_ground: bool,
    beyond: Beyond,
    entries: [Entry; N],
    /// What `entries` are compared by, outermost first.
    words: Words<N>,
}

impl<const N: usize> Chain<N> {
    pub(crate) const EMPTY: Self = Chain {
        start: 0,
        end: 0,
        edge: 0,
        has_ground: false,
        beyond: Beyond::Nothing,
        entries: [Entry::EMPTY; N],
        words: Words::EMPTY,
    };

    pub(crate) fn clear(&mut self) {
        (self.start, self.end, self.edge) = (0, 0, NOWHERE);
        self.has_ground = false;
        self.beyond = Beyond::Nothing;
        self.words.truncate(0);
    }

    pub(crate) fn end(&self) -> usize {
        self.end
    }

    pub(crate) fn edge(&self) -> usize {
        self.edge
    }

    /// Notes which frame is the outermost of the last walk.
    pub(crate) fn set_edge(&mut self, edge: usize) {
        self.edge = edge;
    }

    pub(crate) fn entry(&self, index: usize) -> Option<&Entry> {
        let entries = self.entries.get(..self.end)?;
        entries.get(index).filter(|_| index >= self.start)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    pub(crate) fn start(&self) -> usize {
        self.start
    }

    /// The remembered frame with this ip and sp. Both walks go up the stack, so `candidates` (frames that are not below the
    /// walk) only falls, and all calls of one walk together take at most as many turns as there are entries.
    #[inline]
    pub(crate) fn find(&self, at: &Position, candidates: &mut usize) -> Option<usize> {
        while *candidates > self.start {
            let index = candidates.wrapping_sub(1);
            let entry = self.entries.get(index)?;
            if entry.sp >= at.registers.sp {
                let is_frame = index > self.start || !self.has_ground;
                let is_same = entry.sp == at.registers.sp && entry.ip == at.registers.ip;
                return (is_same && is_frame && !at.exact).then_some(index);
            }
            *candidates = index;
        }
        None
    }

    /// The entries outside of `candidates`, outermost first; the outermost may be no frame, but then its ip is 0.
    #[inline(always)]
    pub(crate) fn inside(&self, candidates: usize) -> &[Entry] {
        self.entries.get(self.start..candidates).unwrap_or(&[])
    }

    /// The outermost frame, if the chain from `index` on is a whole stack of which a walk with so many places and this frame pointer, if it is known,
    /// shows every frame, as far as registers say.
    #[inline(always)]
    pub(crate) fn whole_from(&self, index: usize, places: usize, bp: Option<u64>) -> Option<usize> {
        let entry = self.entries.get(index)?;
        let is_whole = self.beyond == Beyond::Nothing
            && index.wrapping_sub(self.start) < places
            && entry.agrees_usually(bp);
        let edge = self.start.wrapping_add(usize::from(self.has_ground));
        (is_whole && index >= edge).then_some(edge)
    }

    /// How far the chain holds from `index` outwards, of use to a walk that has places for `places` more frames (at least one).
    #[inline(always)]
    pub(crate) fn compare(&self, index: usize, places: usize, memory: &mut impl Memory) -> Reach {
        let is_too_short = index.wrapping_sub(self.start) < places;
        if is_too_short && self.beyond == Beyond::Forgotten {
            return Reach::Unknown;
        }
        // A walk that is too deep has stepped out of the last frame that it shows.
        let first = if is_too_short {
            self.start
        } else {
            index.wrapping_sub(places)
        };
        if let Some(at) = self.first_difference(first, index, memory) {
            return Reach::Until(at);
        }
        let is_ground = self.has_ground && first == self.start;
        if is_ground || !is_too_short {
            let end = if is_ground {
                End::Complete
            } else {
                End::TooDeep
            };
            Reach::Frame(first.wrapping_add(1), end)
        } else if self.beyond == Beyond::Nothing {
            Reach::Frame(first, End::Complete)
        } else {
            Reach::Outermost
        }
    }

    /// Where frames are compared otherwise than by words alone: as `first_difference`, out to the outermost entry.
    #[inline(never)]
    pub(crate) fn odd_difference(&self, index: usize, memory: &mut impl Memory) -> Option<usize> {
        self.first_difference(self.start, index, memory)
    }

    /// Whether the frames from `index` out to the outermost are compared by words alone.
    #[inline(always)]
    pub(crate) fn has_words_alone(&self, index: usize) -> bool {
        self.entries.get(index).is_some_and(|entry| entry.odd == 0)
    }

    /// How many words lie at the frame at `index` and outside of it.
    #[inline(always)]
    pub(crate) fn words_of(&self, index: usize) -> usize {
        self.entries
            .get(index)
            .map_or(0, |entry| entry.words as usize)
    }

    /// The outermost words.
    #[inline(always)]
    pub(crate) fn run_of(&self, words: usize) -> Run<'_> {
        self.words.outer(words)
    }

    /// The word at a place; of an absurd one, some word.
    #[inline(always)]
    pub(crate) fn word_at(&self, at: usize) -> &Word {
        self.words.at(at)
    }

    /// Notes what stands in a word now.
    #[inline(always)]
    pub(crate) fn set_word(&mut self, at: usize, value: u64) {
        self.words.set_value(at, value);
    }

    /// The frame, of those from `index` outwards, that a word makes lead to its caller. Where each frame has one, it is told from the place.
    #[inline(always)]
    pub(crate) fn frame_of_word(&self, word: usize, index: usize) -> usize {
        let guess = self.start.wrapping_add(word).wrapping_add(1);
        let is_it = self.frame_at(guess).words as usize == word.wrapping_add(1);
        match is_it && guess <= index {
            true => guess,
            false => self.frame_of(word, self.start, index),
        }
    }

    /// Whether no register is live in the caller of the frame at `index`. (Of a stack that is known to its end.)
    #[inline(always)]
    pub(crate) fn is_free_outside(&self, index: usize) -> bool {
        let outer = self.entries.get(index.wrapping_sub(1));
        index <= self.start || outer.is_some_and(Entry::is_free)
    }

    /// The outermost frame, where the last walk is all that is known and saw the whole stack, out to where no registers matter.
    pub(crate) fn whole_edge(&self) -> Option<usize> {
        let edge = self.start.wrapping_add(usize::from(self.has_ground));
        let is_whole = self.beyond == Beyond::Nothing && self.end > edge && self.edge == edge;
        is_whole.then_some(edge)
    }

    /// The frame at `index`; of an absurd one, some frame.
    #[inline(always)]
    pub(crate) fn frame_at(&self, index: usize) -> &Entry {
        &self.entries[index % N]
    }

    /// As `frame_at`, to be changed.
    #[inline(always)]
    pub(crate) fn frame(&mut self, index: usize) -> &mut Entry {
        &mut self.entries[index % N]
    }

    /// The innermost remembered frame, from `index` outwards, that is not inside of `sp`; the outermost one, at `edge`, if there is none.
    #[inline(always)]
    pub(crate) fn outwards_to(&self, sp: u64, index: &mut usize, edge: usize) -> &Entry {
        loop {
            let entry = self.frame_at(*index);
            if entry.sp >= sp || *index <= edge {
                return entry;
            }
            *index = index.wrapping_sub(1);
        }
    }

    /// Whether the words of the frame at `index` and outside of it lie above it, so that words of frames inside of it can follow.
    #[inline(always)]
    pub(crate) fn has_words_above(&self, index: usize) -> bool {
        let here = self.frame_at(index);
        let last = (here.words as usize).wrapping_sub(1);
        let word = self.words.at(last);
        here.words == 0 || word.address() >= here.sp
    }

    /// Adds simple frames (`new`, innermost first) inside of the innermost frame, in which no register is live. There is room.
    #[inline(always)]
    pub(crate) fn add_simples(&mut self, new: &[Simple]) {
        if new.is_empty() {
            return;
        }
        let outer = self.frame_at(self.end.wrapping_sub(1));
        let (mut ip, mut sp) = (outer.ip, outer.sp);
        for frame in new.iter().rev() {
            let words = self.words.add(sp.wrapping_sub(8), ip);
            let end = self.end;
            self.frame(end).set_simple(frame, words);
            (ip, sp, self.end) = (frame.ip, frame.sp, end.wrapping_add(1));
        }
    }

    /// The outermost frame, of those from `edge` inwards, from which on all depend on nothing but their ip and sp, and each is one word (`lean`).
    pub(crate) fn lean_base(&self, edge: usize) -> Option<usize> {
        let mut base = self.end.wrapping_sub(1);
        let last = self.frame_at(base);
        if base < edge || last.odd != 0 || !last.is_free() {
            return None;
        }
        while base > edge && self.leads_leanly(base) {
            base = base.wrapping_sub(1);
        }
        let is_aligned = self.frame_at(base).sp & 7 == 0;
        (is_aligned && self.has_words_above(base)).then_some(base)
    }

    fn leads_leanly(&self, index: usize) -> bool {
        let (here, outer) = (self.frame_at(index), self.frame_at(index.wrapping_sub(1)));
        let step = here.rule.simple_step();
        outer.is_free()
            && here.words == outer.words.wrapping_add(1)
            && step != 0
            && here.sp.wrapping_add(step) == outer.sp
    }

    /// A remembered frame, to be changed.
    #[inline(always)]
    pub(crate) fn frame_mut(&mut self, index: usize) -> Option<&mut Entry> {
        self.entries.get_mut(index)
    }

    /// The `len` frames from `first` inwards, outermost first.
    #[inline(always)]
    pub(crate) fn frames(&self, first: usize, len: usize) -> &[Entry] {
        let last = first.wrapping_add(len);
        self.entries.get(first..last).unwrap_or(&[])
    }

    /// The innermost frame of those from `index` out to the one inside of `first` that no longer leads to its caller.
    #[inline(never)]
    fn first_difference(
        &self,
        first: usize,
        index: usize,
        memory: &mut impl Memory,
    ) -> Option<usize> {
        let mut inner = index;
        loop {
            let entry = self.entries.get(inner)?;
            let odd = entry.odd as usize;
            let outer = first.max(odd.saturating_sub(1));
            let words = self.entries.get(outer)?.words as usize;
            let run = self.words.run(words, entry.words as usize);
            if let Some(at) = memory.first_difference(run) {
                return Some(self.frame_of(words.wrapping_add(at), outer, inner));
            }
            if odd <= first.wrapping_add(1) {
                return None;
            }
            if !self.leads_to_caller(outer, memory) {
                return Some(outer);
            }
            inner = outer.wrapping_sub(1);
        }
    }

    #[cold]
    #[inline(never)]
    fn leads_to_caller(&self, index: usize, memory: &mut impl Memory) -> bool {
        let outer = index
            .checked_sub(1)
            .and_then(|outer| self.entries.get(outer));
        let pair = self.entries.get(index).zip(outer);
        pair.is_some_and(|(inner, outer)| inner.still_leads_to(outer, memory))
    }

    /// The frame, of those from `inner` out to the one inside of `outer`, that has a word.
    #[inline]
    fn frame_of(&self, word: usize, outer: usize, inner: usize) -> usize {
        let first = outer.wrapping_add(1);
        let frames = self.entries.get(first..=inner).unwrap_or(&[]);
        let before = |entry: &Entry| entry.words as usize <= word;
        first
            .wrapping_add(frames.partition_point(before))
            .min(inner)
    }

    /// Writes the frames from `index` out to the one inside of `until`, which are those of the walk that is being made. How many they are.
    #[inline]
    pub(crate) fn pass(&self, index: usize, until: usize, out: Option<&mut [Entry]>) -> usize {
        let passed = self
            .entries
            .get(until.wrapping_add(1)..=index)
            .unwrap_or(&[]);
        for (place, entry) in out.unwrap_or_default().iter_mut().zip(passed.iter().rev()) {
            place.copy_filled(entry);
        }
        passed.len()
    }

    /// A remembered frame, for a walk that stands there.
    #[inline(always)]
    pub(crate) fn get(&self, index: usize) -> Option<&Entry> {
        self.entries.get(index)
    }

    /// The rule of a remembered frame, if it has one.
    #[inline(always)]
    pub(crate) fn rule(&self, index: usize) -> Option<Rule> {
        let entry = self.entries.get(index)?;
        (entry.rule != Rule::UNSUPPORTED).then_some(entry.rule)
    }

    /// Puts a walk at the outermost entry, which is whole, and says by which rule it goes on, which may be found only now.
    pub(crate) fn last_step(
        &mut self,
        at: &mut Position,
        rules: &mut impl Rules,
    ) -> Result<Rule, End> {
        let Some(entry) = self.entries.get_mut(self.start) else {
            return Err(End::Corrupt); // not reached: the walk stands in the chain
        };
        *at = Position::new(entry.registers());
        if entry.rule == Rule::UNSUPPORTED {
            entry.rule = at.rule(rules)?;
        }
        Ok(entry.rule)
    }

    /// Writes the frames from the innermost one to the one at `edge`.
    pub(crate) fn write(&self, edge: usize, out: Option<&mut [Entry]>) {
        let entries = self.entries.get(edge..self.end).unwrap_or(&[]);
        for (place, entry) in out.unwrap_or_default().iter_mut().zip(entries.iter().rev()) {
            place.copy_filled(entry);
        }
    }

    /// Keeps `end` frames, which have so many words.
    #[inline(always)]
    pub(crate) fn cut_to(&mut self, end: usize, words: usize) {
        self.end = end;
        self.words.truncate(words);
    }

    /// Forgets the frames inside of `index`.
    #[inline(always)]
    pub(crate) fn cut(&mut self, index: usize) {
        self.end = index.wrapping_add(1).min(self.end);
        let words = self.entries.get(index).map_or(0, |entry| entry.words);
        self.words.truncate(words as usize);
    }

    /// Begins anew with a walk that ended so, at `last`. Where it was too deep, there is room for the frames outside, which will be
    /// met when the stack shrinks.
    pub(crate) fn begin(&mut self, fresh: &[Entry], plain: &[Entry], end: End, last: &Registers) {
        self.clear();
        let is_kept = |entry: &&Entry| !entry.exact && (end == End::Complete || entry.is_whole());
        let Some(outermost) = fresh.last().filter(is_kept) else {
            return;
        };
        self.beyond = Self::beyond(end == End::Complete);
        if end == End::TooDeep {
            self.start = N.saturating_sub(fresh.len()) / 2;
        }
        self.has_ground = end == End::Complete && !outermost.rule.is_outermost();
        if let (true, Some(place)) = (self.has_ground, self.entries.get_mut(self.start)) {
            *place = Entry::ground(last);
        }
        self.edge = self.start.wrapping_add(usize::from(self.has_ground));
        self.end = self.edge;
        self.add_inner(plain);
    }

    fn beyond(is_whole: bool) -> Beyond {
        if is_whole {
            Beyond::Nothing
        } else {
            Beyond::Unknown
        }
    }

    fn live_in_outermost(&self) -> u8 {
        if self.beyond == Beyond::Nothing {
            0
        } else {
            ALL
        }
    }
}
