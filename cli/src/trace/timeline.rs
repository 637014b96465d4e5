//! A trace as steps of equal length: how much was alive at the end of each, how much at most within it, and what came and went.
//!
//! A chunk that lies within one step is answered by its head and its sums; only the few that lie across an end are read event by event. Memory: the steps.

use super::file::Chunk;
use super::read::Trace;
use super::sums::charge;
use crate::error::Error;
use crate::model::Counters;

/// One step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// Nanoseconds from the trace's beginning.
    pub from_ns: u64,
    /// Where the next one begins.
    pub to_ns: u64,
    /// Bytes alive at its end.
    pub live_bytes: i64,
    /// Blocks alive at its end.
    pub live_blocks: i64,
    /// The most bytes that were alive within it, its beginning included.
    pub highest_bytes: i64,
    /// What was allocated and freed within it.
    pub moved: Counters,
}

/// So many steps, from the trace's beginning to its end; the last has what is later than that, too.
///
/// # Errors
/// `Damaged` where the file is.
pub fn timeline(trace: &mut Trace, steps: u32) -> Result<Vec<Step>, Error> {
    let mut filled = Filled::new(trace.length_ns(), steps, trace.base()?.0);
    let chunks: Vec<_> = trace.events().copied().collect();
    let within_one =
        |chunk: &Chunk| filled.step_of(chunk.head.from_ns) == filled.step_of(chunk.head.to_ns);
    let within_one: Vec<bool> = chunks.iter().map(within_one).collect();
    let mut rest = &chunks[..];
    for alike in within_one.chunk_by(|one, next| one == next) {
        let (these, others) = rest.split_at(alike.len());
        rest = others;
        if alike.first() == Some(&true) {
            for chunk in these {
                filled.go_to(chunk.head.from_ns);
                filled.rises(chunk.head.crest);
                for (_, sum) in trace.sums(chunk)? {
                    filled.moves(&sum);
                }
            }
            continue;
        }
        trace.visit(these, |happening| {
            filled.go_to(happening.ns);
            let mut one = Counters::default();
            charge(&mut one, happening);
            filled.moves(&one);
            filled.rises(0);
            true
        })?;
    }
    Ok(filled.finish())
}

/// The steps up to the one that is being filled, and what is alive.
#[derive(Debug)]
struct Filled {
    steps: Vec<Step>,
    at: usize,
    width_ns: u64,
    live_bytes: i64,
    live_blocks: i64,
}

impl Filled {
    fn new(length_ns: u64, steps: u32, base: Vec<Counters>) -> Filled {
        let count = u64::from(steps.max(1));
        let width_ns = length_ns.div_ceil(count).max(1);
        let step = |number: u64| Step {
            from_ns: number.saturating_mul(width_ns),
            to_ns: (number + 1).saturating_mul(width_ns),
            ..Step::default()
        };
        let mut filled = Filled {
            steps: (0..count).map(step).collect(),
            at: 0,
            width_ns,
            live_bytes: 0,
            live_blocks: 0,
        };
        for site in base {
            filled.counts(&site);
        }
        filled.begin();
        filled
    }

    fn step_of(&self, ns: u64) -> usize {
        let number = usize::try_from(ns / self.width_ns).unwrap_or(usize::MAX);
        number.min(self.steps.len() - 1)
    }

    /// Goes on to the step of this time; times that go back stay where they are.
    fn go_to(&mut self, ns: u64) {
        for _ in self.at..self.step_of(ns) {
            self.end();
            self.at += 1;
            self.begin();
        }
    }

    fn begin(&mut self) {
        let live = self.live_bytes;
        self.with(|step| step.highest_bytes = live);
    }

    fn end(&mut self) {
        let (bytes, blocks) = (self.live_bytes, self.live_blocks);
        self.with(|step| (step.live_bytes, step.live_blocks) = (bytes, blocks));
    }

    fn with(&mut self, change: impl FnOnce(&mut Step)) {
        if let Some(step) = self.steps.get_mut(self.at) {
            change(step);
        }
    }

    /// Events that come to this.
    fn moves(&mut self, sum: &Counters) {
        self.counts(sum);
        self.with(|step| step.moved.add(sum));
    }

    fn counts(&mut self, sum: &Counters) {
        self.live_bytes = self.live_bytes.wrapping_add(sum.live_bytes());
        self.live_blocks = self.live_blocks.wrapping_add(sum.live_blocks());
    }

    /// So many bytes more than now were alive.
    fn rises(&mut self, by: i64) {
        let high = self.live_bytes.wrapping_add(by);
        self.with(|step| step.highest_bytes = step.highest_bytes.max(high));
    }

    fn finish(mut self) -> Vec<Step> {
        self.go_to(u64::MAX);
        self.end();
        self.steps
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(allocated: u64, freed: u64) -> Counters {
        Counters {
            allocated_bytes: allocated,
            allocated_blocks: u64::from(allocated > 0),
            freed_bytes: freed,
            freed_blocks: u64::from(freed > 0),
        }
    }

    /// Check that steps in which nothing happens have what was alive before, that a rise within a step is its highest moment and no later one's, and that
    /// what is beyond the end is the last's.
    #[test]
    fn steps() {
        let mut filled = Filled::new(40, 4, vec![bytes(100, 30)]);
        for (ns, sum) in [(0, bytes(50, 0)), (9, bytes(0, 60)), (31, bytes(5, 0))] {
            filled.go_to(ns);
            filled.moves(&sum);
            filled.rises(0);
        }
        filled.go_to(1000);
        filled.moves(&bytes(1, 0));
        let steps = filled.finish();
        let told = steps.iter().map(|step| {
            let moved = step.moved;
            let blocks = (moved.allocated_blocks, moved.freed_blocks);
            (step.from_ns, step.highest_bytes, step.live_bytes, blocks)
        });
        let expected = [
            (0, 120, 60, (1, 1)),
            (10, 60, 60, (0, 0)),
            (20, 60, 60, (0, 0)),
            (30, 65, 66, (2, 0)),
        ];
        assert!(told.eq(expected), "{steps:?}");
        assert_eq!(steps[3].to_ns, 40);
    }

    /// Check that a trace without length, and one longer than any, have their steps.
    #[test]
    fn lengths() {
        for length in [0, 1, u64::MAX] {
            let mut filled = Filled::new(length, 3, Vec::new());
            filled.go_to(length / 2);
            filled.moves(&bytes(7, 0));
            let steps = filled.finish();
            assert_eq!((steps.len(), steps[2].live_bytes), (3, 7));
        }
    }
}
