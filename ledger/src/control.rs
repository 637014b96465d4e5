//! The control page: what a command asks of a running process, and what the process takes of it. Events for a reader, the next cohort, another mode.
//!
//! The shim's half and the reader's half of each word. Nobody waits: a request is a word, exchanged by whoever answers it; the shim believes no lease and no
//! flag beyond what it costs to be wrong.

use crate::error::Error;
use crate::extent::Region;
use crate::layout::{COHORTS, Control, RingFlag, SectionKind};
use crate::sampling::Mode;
use crate::sync::Word;

/// The kernel sets this bit of a robust futex whose owner has ended.
pub const OWNER_DIED: u32 = 1 << 30;

/// The control page of a control file.
///
/// # Errors
/// `Section` where there is none.
pub fn page<'a>(region: &Region<'a>) -> Result<&'a Control, Error> {
    region.one(SectionKind::Rings as u32, 0)
}

impl Control {
    /// True while a reader wants events: the one word that each event looks at.
    #[inline(always)]
    #[must_use]
    pub fn wants_events(&self) -> bool {
        self.rings.peek() != 0
    }

    /// The reader's request, all that belongs to it being written (Acquire).
    #[must_use]
    pub fn generation(&self) -> u32 {
        self.rings.observe()
    }

    /// True where nobody stands behind the request any more: the kernel says that its reader has ended, or its lease ran out before `now`. (Without a clock, 0, a
    /// lease is believed.) Asked after `generation`: of a request that was seen, the reader's own thread is seen too, and not one that ended before it.
    #[must_use]
    pub fn is_over(&self, now: u64) -> bool {
        let left = self.lease.peek().wrapping_sub(now).cast_signed();
        self.has_died() || now != 0 && left < 0
    }

    fn has_died(&self) -> bool {
        self.owner.peek() & OWNER_DIED != 0
    }

    /// True where a full ring is to be waited for.
    #[must_use]
    pub fn is_lossless(&self) -> bool {
        self.ring_flags.peek() & RingFlag::Lossless as u32 != 0
    }

    /// True where the stack of each free is wanted.
    #[must_use]
    pub fn wants_free_stacks(&self) -> bool {
        self.ring_flags.peek() & RingFlag::FreeStacks as u32 != 0
    }

    /// Begins a cohort: what is allocated from now on was born in it, or later. None where there is no further one.
    #[must_use]
    pub fn begin_cohort(&self) -> Option<u32> {
        let mut held = self.cohort.peek();
        for _ in 0..COHORTS {
            let next = u32::try_from(held).ok()?.checked_add(1)?;
            if next >= COHORTS {
                return None;
            }
            match self.cohort.claim(held, next.into()) {
                Ok(_) => return Some(next),
                Err(now) => held = now,
            }
        }
        None
    }

    /// Asks for a mode, in place of what was asked for and is not done yet.
    pub fn ask_mode(&self, mode: Mode) {
        self.mode.publish(mode.request());
    }

    /// Takes the mode that was asked for last: whoever takes it is to switch. None where nothing is asked for, or nothing that there is.
    pub fn take_mode(&self) -> Option<Mode> {
        let mut word = self.mode.observe();
        while let Err(now) = self.mode.claim(word, 0) {
            word = now; // asked for anew
        }
        Mode::from_request(word)
    }

    /// The reader's half: asks for events, after lease, flags and cursors were written. Never 0, nor what it was before.
    pub fn ask(&self, before: u32) -> u32 {
        let generation = before.wrapping_add(1).max(1);
        let mut now = self.rings.peek();
        while let Err(other) = self.rings.claim(now, generation) {
            now = other; // the shim has ended an old request meanwhile
        }
        generation
    }

    /// Ends the request of this generation, and of no other: the shim where it is over, the reader when it goes, and whoever comes after one that died.
    pub fn end(&self, generation: u32) -> bool {
        generation != 0 && self.rings.claim(generation, 0).is_ok()
    }
}

#[cfg(all(test, loom))]
mod models {
    use super::*;
    use crate::testing::bounded;
    use loom::sync::Arc;
    use loom::thread;

    /// Check that the end of an expired request never ends the next reader's, whichever comes first, and that whoever sees the next
    /// request sees what it wrote before.
    #[test]
    fn attach_and_expire() {
        bounded(3, || {
            let control = Arc::new(Control::default());
            assert_eq!(control.ask(0), 1);
            let shim = control.clone();
            let shim = thread::spawn(move || {
                let seen = shim.generation();
                let lease = shim.lease.peek();
                (seen, seen == 1 && shim.end(seen), lease)
            });
            control.lease.put(5);
            let asked = control.ask(1);
            let (seen, _, lease) = shim.join().expect("no panic");
            assert_eq!(control.generation(), asked);
            assert!(seen != asked || lease == 5);
        });
    }

    /// Check that whoever sees the request of a reader that comes after one that died does not take it for that one's.
    #[test]
    fn attach_after_a_death() {
        bounded(3, || {
            let control = Arc::new(Control::default());
            assert_eq!(control.ask(0), 1);
            control.owner.put(OWNER_DIED | 7);
            let shim = control.clone();
            let shim = thread::spawn(move || {
                let seen = shim.generation();
                let over = shim.is_over(0);
                (seen, over, over && shim.end(seen))
            });
            control.owner.put(9);
            let asked = control.ask(1);
            let (seen, over, _) = shim.join().expect("no panic");
            assert_eq!(control.generation(), asked);
            assert!(seen != asked || !over);
        });
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::layout::PAGE;
    use crate::testing::{Memory, pages};

    fn control(memory: &Memory) -> &Control {
        page(&memory.region()).expect("a page")
    }

    /// Check that a request is ended by its own generation alone, and that the next one differs.
    #[test]
    fn generations() {
        let memory = pages(PAGE);
        let control = control(&memory);
        assert!(!control.wants_events() && !control.end(0));
        let first = control.ask(u32::MAX);
        assert!(control.wants_events() && !control.end(first + 1));
        let second = control.ask(first);
        assert!(second != first && !control.end(first) && control.end(second));
        assert!(!control.wants_events());
    }

    /// Check when a request is over: by the kernel's word whatever the lease says, by the lease whoever the owner is, without a clock by the kernel's word alone.
    #[test]
    fn over() {
        let memory = pages(PAGE);
        let control = control(&memory);
        control.lease.put(100);
        let of = |owner, now| {
            control.owner.put(owner);
            control.is_over(now)
        };
        for alive in [0, 1, !OWNER_DIED] {
            assert_eq!(
                [0, 99, 100, 101].map(|now| of(alive, now)),
                [false, false, false, true]
            );
        }
        for dead in [OWNER_DIED, OWNER_DIED | 4242, u32::MAX] {
            assert_eq!([0, 99, 101].map(|now| of(dead, now)), [true; 3]);
        }
    }

    /// Check that the last mode asked for is taken once, and that a word that is none is taken away.
    #[test]
    fn modes() {
        let memory = pages(PAGE);
        let control = control(&memory);
        assert_eq!(control.take_mode(), None);
        control.ask_mode(Mode::Sample(9));
        control.ask_mode(Mode::Exact);
        assert_eq!(control.take_mode(), Some(Mode::Exact));
        assert_eq!(control.take_mode(), None);
        control.mode.put(u32::MAX - 2);
        assert_eq!((control.take_mode(), control.mode.peek()), (None, 0));
    }
}
