//! The processor's clock as nanoseconds: by what both clocks said at the last two looks.
//!
//! Events carry ticks, since nothing else can be asked in a hook. Between two looks (a millisecond apart, as a rule) time is taken to run evenly, so no
//! frequency need be known, and one that changes, or a sleep of the machine, does no harm.

use rustix::time::{ClockId, clock_gettime};

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

/// From one look to the next.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    begin_ns: u64,
    before: Look,
    now: Look,
}

impl Clock {
    /// Counts from this look on.
    pub(super) fn new(begin: Look) -> Clock {
        Clock {
            begin_ns: begin.ns,
            before: begin,
            now: begin,
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
        self.before = std::mem::replace(&mut self.now, now);
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

    /// When it was so many ticks, in nanoseconds from the beginning; without a time, now.
    pub(super) fn ns(&self, ticks: u64) -> u64 {
        let (from, to) = (self.before, self.now);
        let span = to.ticks.saturating_sub(from.ticks).max(1);
        let part = ticks.saturating_sub(from.ticks).min(span);
        let ns = share(to.ns.saturating_sub(from.ns), part, span);
        let ns = from.ns.saturating_add(ns);
        match ticks {
            0 => self.now_ns(),
            _ => ns.saturating_sub(self.begin_ns),
        }
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

    /// Check that time runs evenly between two looks, whatever the frequency was before, and never outside of them.
    #[test]
    fn between_looks() {
        let mut clock = Clock::new(look(1_000, 50));
        clock.look_at(look(4_000, 1_050));
        let ns = [1, 1_000, 2_500, 4_000, 9_000].map(|ticks| clock.ns(ticks));
        assert_eq!(ns, [0, 0, 500, 1_000, 1_000]);
        clock.look_at(look(5_000, 4_050));
        assert_eq!(
            (clock.ns(4_500), clock.ns(0), clock.now_ns()),
            (2_500, 4_000, 4_000)
        );
    }

    /// Check that clocks that stand still or go back give a time all the same.
    #[test]
    fn broken_clocks() {
        let mut clock = Clock::new(look(10, 100));
        clock.look_at(look(10, 100));
        assert_eq!(clock.ns(11), 0);
        clock.look_at(look(5, 90));
        assert_eq!(clock.ns(7), 0);
        // Looks hours apart, whose product is no u64.
        let mut clock = Clock::new(look(0, 0));
        clock.look_at(look(1 << 45, 1 << 44));
        assert_eq!(clock.ns((1 << 45) - 2), (1 << 44) - 1);
        let late = Clock::ticks_in(look(0, 0), look(60_000_000, 20_000_000), 1000);
        assert_eq!(late, 60_000_000 + 4000);
        assert_eq!(Clock::ticks_in(look(9, 9), look(5, 5), 10), 5 + 100);
    }
}
