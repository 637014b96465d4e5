//! The processor's clock as nanoseconds: by what both clocks said at the looks before and after.
//!
//! Events carry ticks, since nothing else can be asked in a hook. Between two looks (a millisecond apart, as a rule) time is taken to run evenly, so no
//! frequency need be known, and one that changes, or a sleep of the machine, does no harm. A reader that is behind takes events from before its last look: the looks
//! that they lie between are still known.

use rustix::time::{ClockId, clock_gettime};
use std::collections::VecDeque;

/// Looks of which the best counts.
const LOOKS: u32 = 4;

/// Both clocks at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Look {
    /// The processor's.
    pub(super) ticks: u64,
    /// CLOCK_BOOTTIME in nanoseconds.
    pub(super) ns: u64,
}

impl Look {
    /// Looks at both.
    pub(super) fn now() -> Look {
        Look::at(ClockId::Boottime)
    }

    /// Looks at the processor's and another one, several times: between the two looks of the best one no other program has run.
    fn at(clock: ClockId) -> Look {
        let look = |_| {
            let (before, ns) = (ticks(), nanoseconds(clock));
            let after = ticks();
            (after.wrapping_sub(before), Look { ticks: before, ns })
        };
        let best = (0..LOOKS).map(look).min_by_key(|(apart, _)| *apart);
        best.map_or_else(
            || Look {
                ticks: ticks(),
                ns: nanoseconds(clock),
            },
            |(_, look)| look,
        )
    }
}

/// The processor's clock.
pub(super) fn ticks() -> u64 {
    // SAFETY: reads a counter.
    unsafe { std::arch::x86_64::_rdtsc() }
}

fn nanoseconds(clock: ClockId) -> u64 {
    let time = clock_gettime(clock);
    let nanoseconds = time.tv_sec.saturating_mul(1_000_000_000) + time.tv_nsec;
    u64::try_from(nanoseconds).unwrap_or(0)
}

/// Looks that are kept. A full ring is read in eight passes, each with a look (`drain`): what is older was held up by a place that nobody wrote, and has the time of the oldest.
const KEPT: usize = 32;

/// The last looks.
#[derive(Clone, Debug)]
pub(super) struct Clock {
    begin_ns: u64,
    now: Look,
    /// From the oldest on, `now` among them: at least one.
    looks: VecDeque<Look>,
}

impl Clock {
    /// Counts from this look on.
    pub(super) fn new(begin: Look) -> Clock {
        Clock {
            begin_ns: begin.ns,
            now: begin,
            looks: VecDeque::from([begin]),
        }
    }

    /// The beginning, in nanoseconds since the Unix epoch: by what the clocks say now.
    pub(super) fn begin_unix_ns(&self) -> u64 {
        let (boot, unix) = (Look::now(), Look::at(ClockId::Realtime));
        // The processor's clock says how far apart the two looks were; a frequency is known by the machine's life so far.
        let per_ns = (boot.ticks / boot.ns.max(1)).max(1);
        let apart = unix.ticks.wrapping_sub(boot.ticks) / per_ns;
        let since = boot.ns.saturating_sub(self.begin_ns).saturating_add(apart);
        unix.ns.saturating_sub(since)
    }

    /// Looks again.
    pub(super) fn look(&mut self) -> Look {
        self.look_at(Look::now())
    }

    fn look_at(&mut self, now: Look) -> Look {
        if self.looks.len() == KEPT {
            self.looks.pop_front();
        }
        self.looks.push_back(now);
        self.now = now;
        now
    }

    /// Nanoseconds from the beginning to the last look.
    pub(super) fn now_ns(&self) -> u64 {
        self.now.ns.saturating_sub(self.begin_ns)
    }

    /// When it was so many nanoseconds by CLOCK_BOOTTIME, from the beginning; None where that was before.
    pub(super) fn since_begin(&self, boot_ns: u64) -> Option<u64> {
        boot_ns.checked_sub(self.begin_ns)
    }

    /// Times of events, which are nearly in order.
    pub(super) fn times(&self) -> Times<'_> {
        Times {
            clock: self,
            between: [self.now; 2],
        }
    }

    /// The looks before and after; outside of all the two that are nearest.
    fn around(&self, ticks: u64) -> [Look; 2] {
        let after = self.looks.partition_point(|look| look.ticks < ticks);
        let after = after.clamp(1, self.looks.len().max(2) - 1);
        [after - 1, after].map(|at| self.looks.get(at).copied().unwrap_or(self.now))
    }

    /// The processor's clock so many nanoseconds from now: by the time since the first look, at least a millisecond of it.
    pub(super) fn ticks_in(first: Look, now: Look, ns: u64) -> u64 {
        let (ticks, passed) = (
            now.ticks - first.ticks.min(now.ticks),
            now.ns - first.ns.min(now.ns),
        );
        // A processor of at most 10 GHz, where too little time has passed to know better.
        let per_ns = if passed < 1_000_000 {
            10
        } else {
            (ticks / passed).max(1) + 1
        };
        now.ticks.saturating_add(ns.saturating_mul(per_ns))
    }
}

/// Turns ticks into times; most lie between the same two looks as those before.
#[derive(Debug)]
pub(super) struct Times<'a> {
    clock: &'a Clock,
    between: [Look; 2],
}

impl Times<'_> {
    /// When it was so many ticks, in nanoseconds from the beginning; without a time, now.
    pub(super) fn ns(&mut self, ticks: u64) -> u64 {
        if ticks == 0 {
            return self.clock.now_ns();
        }
        let [from, to] = self.between;
        if ticks < from.ticks || ticks > to.ticks {
            self.between = self.clock.around(ticks);
        }
        let [from, to] = self.between;
        let span = to.ticks.saturating_sub(from.ticks).max(1);
        let part = ticks.saturating_sub(from.ticks).min(span);
        let ns = share(to.ns.saturating_sub(from.ns), part, span);
        from.ns
            .saturating_add(ns)
            .saturating_sub(self.clock.begin_ns)
    }
}

/// `whole × part / span`, where the part is not larger than the span.
fn share(whole: u64, part: u64, span: u64) -> u64 {
    match whole.checked_mul(part) {
        Some(product) => product / span,
        // Looks that lie seconds apart: four times as slow.
        None => {
            let shared = u128::from(whole) * u128::from(part) / u128::from(span);
            u64::try_from(shared).unwrap_or(whole)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(ticks: u64, ns: u64) -> Look {
        Look { ticks, ns }
    }

    fn ns(clock: &Clock, ticks: u64) -> u64 {
        clock.times().ns(ticks)
    }

    /// Check that time runs evenly between two looks, whatever the frequency was before, and never outside of them.
    #[test]
    fn between_looks() {
        let mut clock = Clock::new(look(1_000, 50));
        assert_eq!([1, 1_000, 2_500].map(|ticks| ns(&clock, ticks)), [0; 3]);
        clock.look_at(look(4_000, 1_050));
        let all = [1, 1_000, 2_500, 4_000, 9_000].map(|ticks| ns(&clock, ticks));
        assert_eq!(all, [0, 0, 500, 1_000, 1_000]);
        clock.look_at(look(5_000, 4_050));
        assert_eq!(
            (ns(&clock, 4_500), ns(&clock, 0), clock.now_ns()),
            (2_500, 4_000, 4_000)
        );
    }

    /// Check that an event that is read passes after it happened has its own time, in whichever order they are asked for, as long as its looks are kept; and the oldest look's then.
    #[test]
    fn reader_behind() {
        let mut clock = Clock::new(look(1_000, 0));
        for number in 1..=100 {
            // Each as long as the one before, by a clock that changes its pace.
            clock.look_at(look(1_000 + number * 1_000, number * 100 + number % 2 * 50));
        }
        let mut times = clock.times();
        let [even, odd] = [90_500, 91_500].map(|ticks| times.ns(ticks));
        assert_eq!([even, odd], [8_975, 9_075]);
        assert_eq!(
            [100_500, 90_500, 0].map(|ticks| times.ns(ticks)),
            [9_975, 8_975, 10_000]
        );
        let oldest = (101 - KEPT) as u64;
        assert_eq!(times.ns(2_000), oldest * 100 + oldest % 2 * 50);
    }

    /// Check that clocks that stand still or go back give a time all the same.
    #[test]
    fn broken_clocks() {
        let mut clock = Clock::new(look(10, 100));
        clock.look_at(look(10, 100));
        assert_eq!(ns(&clock, 11), 0);
        clock.look_at(look(5, 90));
        assert_eq!(ns(&clock, 7), 0);
        // Looks hours apart, whose product is no u64.
        let mut clock = Clock::new(look(0, 0));
        clock.look_at(look(1 << 45, 1 << 44));
        assert_eq!(ns(&clock, (1 << 45) - 2), (1 << 44) - 1);
        let late = Clock::ticks_in(look(0, 0), look(60_000_000, 20_000_000), 1000);
        assert_eq!(late, 60_000_000 + 4000);
        assert_eq!(Clock::ticks_in(look(9, 9), look(5, 5), 10), 5 + 100);
    }
}
