//! The usual walk: a few simple frames are new, and outside of them is all that the last walk saw of the stack, but that some frames run on elsewhere.
//!
//! `memo` begins with it, and goes on where it ends. Nothing of it is changed before the walk stands at a remembered frame. A function that has called one function and now calls another is the same frame at another ip.
//! Where the rule of the new ip leads from that frame to its caller just as the old one's did, the frame is changed where it stands in the `chain`,
//! and the comparison goes on outside of it: nothing is written twice. Each such change keeps the chain's invariant by itself, so the
//! walk can be left at any point for `memo`'s general one.
//!
//! It deliberately knows no other frames than those whose caller's stack pointer is theirs plus a number (`Known::step`).

use crate::arch::{Rule, SAVED};
use crate::chain::Chain;
use crate::entry::Entry;
use crate::fresh::Inner;
use crate::recent::{Known, Recent};
use crate::walk::{End, Memory, Walked};

/// New frames that a usual walk takes: more than most calls between two events; the general walk takes any number.
const MOST: usize = 16;

/// A new frame, whose rule is simple.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(crate) struct Simple {
    pub(crate) ip: u64,
    pub(crate) sp: u64,
    pub(crate) rule: Rule,
}

/// The new frames of a walk, innermost first. Zeros are as good as any.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Simples([Simple; MOST]);

impl Simples {
    pub(crate) const EMPTY: Simples = Simples(
        [Simple {
            ip: 0,
            sp: 0,
            rule: Rule::UNSUPPORTED,
        }; MOST],
    );

    /// Writes the first `len` of them.
    #[cold]
    #[inline(never)]
    pub(crate) fn write(&self, len: usize, out: &mut [Entry]) {
        for (place, new) in out.iter_mut().zip(self.0.iter().take(len)) {
            place.fill_simple(new.ip, new.sp, new.rule);
        }
    }
}

/// What a usual walk came to.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Usual {
    /// To the stack's end.
    Done(Walked),
    /// The walk is not a usual one; nothing has happened.
    Not,
    /// So many new frames have led to the remembered frame with this index, and the chain holds out to the second one.
    Stopped(Inner, usize, usize),
}

/// Where simple frames have led.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Stand {
    /// At the remembered frame with this index, which runs on where it did.
    Same(usize),
    /// At the one with this index, which runs on elsewhere.
    Elsewhere(usize, Rule),
    /// At no remembered frame.
    Nowhere,
}

impl Inner {
    /// At a hook's caller.
    pub(crate) fn at((ip, sp): (u64, u64), saved: &[u64; SAVED], candidates: usize) -> Inner {
        let [bp, ..] = *saved;
        Inner {
            ip,
            sp,
            bp: Some(bp),
            len: 0,
            candidates,
        }
    }
}

impl<const N: usize> Chain<N> {
    /// Walks, where the last walk saw the whole stack: `edge` is its outermost frame.
    #[inline(always)]
    pub(crate) fn walk_usually(
        &mut self,
        (mut ip, mut sp, bp): (u64, u64, u64),
        (edge, places): (usize, usize),
        (recent, new): (&Recent, &mut Simples),
        memory: &mut impl Memory,
    ) -> Usual {
        let (mut index, mut len, mut saves) = (self.end().wrapping_sub(1), 0usize, false);
        // A walk that has no place for a frame does not step out of it.
        let room = new.0.get_mut(..places.min(MOST)).unwrap_or_default();
        let elsewhere = loop {
            let here = self.outwards_to(sp, &mut index, edge);
            if here.sp == sp && here.ip == ip {
                break None;
            }
            let Some(known) = recent.of(ip).filter(|known| known.step != 0) else {
                return Usual::Not;
            };
            if here.sp == sp && (known.rule == here.rule || self.could_run(index, known)) {
                break Some(known.rule);
            }
            let caller = sp.wrapping_add(known.step);
            let Some(place) = room.get_mut(len) else {
                return Usual::Not;
            };
            let Some(to) = memory.read_near(caller.wrapping_sub(8)) else {
                return Usual::Not;
            };
            let rule = known.rule;
            *place = Simple { ip, sp, rule };
            saves |= rule.saves_frame_pointer();
            (ip, sp, len) = (to, caller, len.wrapping_add(1));
        };
        let bp = if saves { None } else { Some(bp) };
        let frames = index.wrapping_sub(edge).wrapping_add(len);
        let has_room = frames < places && index.wrapping_add(len) < N - 1;
        if index < edge || !has_room || !self.may_enter(index, len, bp) {
            return Usual::Not;
        }
        let words = self.enter_at(index, ip, elsewhere);
        let inner = index.wrapping_add(usize::from(elsewhere.is_none()));
        match self.follow(index, words, recent, memory) {
            Ok(outermost) => {
                self.add_simples(new.0.get(..len).unwrap_or(&[]));
                let outermost = outermost.min(inner);
                Usual::Done(Walked {
                    len: frames
                        .wrapping_add(edge)
                        .wrapping_add(1)
                        .wrapping_sub(outermost),
                    shared: outermost.wrapping_sub(edge),
                    end: End::Complete,
                    is_kept: true,
                })
            }
            Err(until) => {
                let candidates = index.wrapping_add(1);
                let at = Inner {
                    ip,
                    sp,
                    bp,
                    len,
                    candidates,
                };
                Usual::Stopped(at, index, until)
            }
        }
    }

    /// As `Entry::could_run`.
    #[inline(never)]
    fn could_run(&self, index: usize, known: &Known) -> bool {
        let is_free = self.is_free_outside(index);
        self.frame_at(index).could_run(known, is_free)
    }

    /// Whether a walk that has come to the frame at `index` through `len` new ones goes on as the remembered one did, and simple frames can follow.
    #[inline(always)]
    fn may_enter(&self, index: usize, len: usize, bp: Option<u64>) -> bool {
        let here = self.frame_at(index);
        if len == 0 {
            return here.odd == 0 && here.agrees_usually(bp);
        }
        here.odd == 0 && here.is_free() && self.has_words_above(index)
    }

    /// Forgets the frames inside of the one at `index`, which may run on elsewhere. How many words are left.
    #[inline(always)]
    fn enter_at(&mut self, index: usize, ip: u64, elsewhere: Option<Rule>) -> usize {
        let here = self.frame(index);
        let words = here.words as usize;
        if let Some(rule) = elsewhere {
            here.run_on(ip, rule);
        }
        self.cut_to(index.wrapping_add(1), words);
        words
    }

    /// Compares the chain from `index`, with its `words`, out to its end with memory, and changes the frames that run on elsewhere. The outermost of these, or `index` + 1; or, where
    /// the stack is another from there on, the frame that no longer leads to its caller, as an error.
    #[inline(always)]
    pub(crate) fn follow(
        &mut self,
        index: usize,
        mut words: usize,
        recent: &Recent,
        memory: &mut impl Memory,
    ) -> Result<usize, usize> {
        let mut outermost = index.wrapping_add(1);
        while let Some(at) = memory.first_difference(self.run_of(words)) {
            (outermost, words) = self.follow_from(at, index, recent, memory)?;
        }
        Ok(outermost)
    }

    /// Changes the frame whose ip stands in the word at `at`, and those outside of it one by one as long as each runs on elsewhere.
    #[inline(never)]
    fn follow_from(
        &mut self,
        mut at: usize,
        index: usize,
        recent: &Recent,
        memory: &mut impl Memory,
    ) -> Result<(usize, usize), usize> {
        let mut found = memory.read_near(self.word_at(at).address());
        loop {
            let inner = self.frame_of_word(at, index);
            let outer = inner.wrapping_sub(1);
            self.change(at, (inner, outer), found, recent)
                .ok_or(inner)?;
            let Some(next) = at.checked_sub(1) else {
                return Ok((outer, at));
            };
            let word = self.word_at(next);
            found = memory.read_near(word.address());
            if found == Some(word.value()) {
                return Ok((outer, at));
            }
            at = next;
        }
    }

    /// The frame at `outer`, whose ip stands in the word at `at`, runs on at what was found there now. `None` where that is another frame, and where
    /// that the frame at `inner` leads there is not only asked of its words: a frame pointer's caller is.
    #[inline(always)]
    fn change(
        &mut self,
        at: usize,
        (inner, outer): (usize, usize),
        found: Option<u64>,
        recent: &Recent,
    ) -> Option<()> {
        let ip = found.filter(|ip| *ip != 0)?;
        let known = recent.of(ip)?;
        let (rule, entry) = (known.rule, self.frame_at(outer));
        let is_ip = entry.sp.wrapping_sub(8) == self.word_at(at).address() && entry.ip != 0;
        let leads_on = rule.is_usual() && rule == entry.rule || self.could_run(outer, known);
        if !is_ip || !leads_on || !self.frame_at(inner).rule.is_usual() {
            return None;
        }
        self.frame(outer).run_on(ip, rule);
        self.set_word(at, ip);
        Some(())
    }
}
