//! How the row grows: inwards by the frames that a walk has found, outwards by those that it went on to, and what makes room for them.
//!
//! It deliberately compares nothing. Each frame is linked to its caller, and its words are noted, before anybody looks at it.

use super::{Beyond, Chain, NOWHERE};
use crate::arch::Registers;
use crate::entry::Entry;
use crate::walk::End;

impl<const N: usize> Chain<N> {
    /// Adds the inner frames of a walk that entered at the innermost entry (`plain`, innermost first, none of them interrupted by a signal).
    #[inline]
    pub(crate) fn add_inner(&mut self, plain: &[Entry]) {
        if !self.has_room_inside(plain.len()) && !self.make_room_inside(plain.len()) {
            return self.clear();
        }
        let left = plain.len().wrapping_sub(self.add_usual(plain));
        if left != 0 {
            self.add_others(plain.get(..left).unwrap_or(&[]));
        }
    }

    /// Adds frames from the outermost on as long as their rules are usual, and no register is live but the frame pointer. How many they are.
    #[inline(always)]
    fn add_usual(&mut self, plain: &[Entry]) -> usize {
        if self.end == self.start {
            return 0;
        }
        let places = self.end.wrapping_sub(1)..self.end.wrapping_add(plain.len());
        let Some([outer, inner @ ..]) = self.entries.get_mut(places) else {
            return 0;
        };
        let (Some(mut at), odd) = (outer.usual(), outer.odd) else {
            return 0;
        };
        let (mut words, mut added) = (self.words.pusher(), 0usize);
        let mut count = words.count();
        let mut frames = inner.iter_mut().zip(plain.iter().rev());
        while let Some((place, entry)) = frames.next()
            && entry.rule.is_usual()
            && words.push(at.sp.wrapping_sub(8), at.ip)
        {
            let is_compared = at.is_live && entry.rule.saves_frame_pointer();
            if is_compared && !words.push(entry.rule.frame_pointer_slot(at.sp), at.bp) {
                break;
            }
            count = words.count();
            at = place.link_usual(entry, at, (count, odd));
            added = added.wrapping_add(1);
        }
        self.words.grow_to(count);
        self.end = self.end.wrapping_add(added);
        added
    }

    #[inline(never)]
    fn add_others(&mut self, plain: &[Entry]) {
        let live_if_outermost = self.live_in_outermost();
        for entry in plain.iter().rev() {
            let Some((outer, inner)) = self.entries.split_at_mut_checked(self.end) else {
                return self.clear();
            };
            let Some(place) = inner.first_mut() else {
                return self.clear();
            };
            place.copy_filled(entry);
            let outer = outer.last().filter(|_| self.end > self.start);
            place.link(outer, live_if_outermost);
            place.note_words(outer, self.end, &mut self.words);
            self.end = self.end.wrapping_add(1);
        }
    }

    /// Adds what a walk found that went on at the outermost entry: the frames outside of it (`fresh`, innermost first), and how and
    /// where it ended. Frames outside of a signal are not kept.
    pub(crate) fn add_outer(&mut self, fresh: &[Entry], end: End, last: &Registers) {
        let plain = fresh.split(|entry| entry.exact).next().unwrap_or_default();
        let is_all = plain.len() == fresh.len();
        let is_whole = end == End::Complete && is_all;
        let outermost = plain.last().or(self.entry(self.start));
        if !is_whole && !outermost.is_some_and(Entry::is_whole) {
            return self.clear();
        }
        let has_ground = is_whole && outermost.is_some_and(|entry| !entry.rule.is_outermost());
        let needed = plain.len().wrapping_add(usize::from(has_ground));
        if self.start < needed && !self.make_room_outside(needed) {
            return self.clear();
        }
        let (inner, start) = (self.start, self.start.wrapping_sub(needed));
        (self.start, self.has_ground, self.beyond) = (start, has_ground, Self::beyond(is_whole));
        let ground = has_ground.then(|| Entry::ground(last));
        let outwards = ground.iter().chain(plain.iter().rev());
        for (place, entry) in self.entries.iter_mut().skip(start).zip(outwards) {
            *place = *entry;
        }
        self.edge = if is_all {
            start.wrapping_add(usize::from(has_ground))
        } else {
            NOWHERE
        };
        self.link(start.wrapping_add(usize::from(has_ground)), inner);
        self.note_words();
    }

    /// Links the frames from `from` to `to` to their callers.
    fn link(&mut self, from: usize, to: usize) {
        let live_if_outermost = self.live_in_outermost();
        for index in from..=to {
            let Some((outer, inner)) = self.entries.split_at_mut_checked(index) else {
                return;
            };
            if let Some(entry) = inner.first_mut() {
                let outer = outer.last().filter(|_| index > self.start);
                entry.link(outer, live_if_outermost);
            }
        }
    }

    /// Makes all words anew.
    fn note_words(&mut self) {
        self.words.truncate(0);
        for index in self.start..self.end {
            let Some((outer, inner)) = self.entries.split_at_mut_checked(index) else {
                return;
            };
            if let Some(entry) = inner.first_mut() {
                let outer = outer.last().filter(|_| index > self.start);
                entry.note_words(outer, index, &mut self.words);
            }
        }
    }

    /// Whether `count` more frames fit in.
    #[inline(always)]
    pub(crate) fn has_room_inside(&self, count: usize) -> bool {
        N.saturating_sub(self.end) >= count
    }

    /// Moves the chain outwards, to the beginning, so that `count` inner frames fit in. Where they would not, it forgets outer frames until
    /// half is free, but not the last walk's and the one outside of them. False if that cannot be.
    #[cold]
    #[inline(never)]
    fn make_room_inside(&mut self, count: usize) -> bool {
        let len = self.end.wrapping_sub(self.start);
        let mut kept = len;
        if len.wrapping_add(count) > N {
            let walk = self.end.saturating_sub(self.edge);
            let wanted = walk.wrapping_add(count).wrapping_add(1);
            kept = wanted.max(N / 2).min(N).saturating_sub(count).min(len);
            self.has_ground = false;
            self.beyond = Beyond::Forgotten;
        }
        self.move_to(0, kept);
        kept > 0
    }

    /// Moves the chain to the middle, so that `count` outer entries fit in. False if there is no room.
    #[cold]
    #[inline(never)]
    fn make_room_outside(&mut self, count: usize) -> bool {
        let len = self.end.wrapping_sub(self.start);
        let Some(free) = N.checked_sub(len.wrapping_add(count)) else {
            return false;
        };
        self.move_to((free / 2).wrapping_add(count), len);
        true
    }

    /// Moves the `kept` innermost entries, so that they begin at `to`.
    fn move_to(&mut self, to: usize, kept: usize) {
        let from = self.end.wrapping_sub(kept);
        let mut move_one = |place: usize| {
            let entry = self.entries.get(from.wrapping_add(place)).copied();
            if let (Some(entry), Some(to)) = (entry, self.entries.get_mut(to.wrapping_add(place))) {
                *to = entry;
            }
        };
        if to <= from {
            (0..kept).for_each(&mut move_one);
        } else {
            (0..kept).rev().for_each(&mut move_one);
        }
        self.edge = match self.edge.checked_sub(from) {
            Some(place) if place < kept => to.wrapping_add(place),
            _ => NOWHERE,
        };
        (self.start, self.end) = (to, to.wrapping_add(kept));
        self.note_words();
    }
}
