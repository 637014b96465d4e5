//! What the page knows of a recording: what was alive at each step of it, what happened besides, and which part is compared.

use super::happened;
use crate::error::Error;
use crate::trace::{self, Instants, Moment, Step, Trace};
use serde_json::{Value, json};

/// Steps of the whole: about one for each three columns of a wide page.
const STEPS: u32 = 400;

/// A recording, step by step.
#[derive(Clone, Debug)]
pub struct Timeline {
    steps: Vec<Step>,
    happened: Instants,
    /// The two instants, in nanoseconds from the beginning.
    between: [u64; 2],
}

impl Timeline {
    /// That of a recording of which two instants are compared.
    ///
    /// # Errors
    /// `Damaged` where the file is.
    pub fn of(trace: &mut Trace, first: &Moment, last: &Moment) -> Result<Timeline, Error> {
        let length = trace.length_ns();
        Ok(Timeline {
            steps: trace::timeline(trace, STEPS)?,
            happened: trace.happened()?,
            between: [first.ns.min(length), last.ns.min(length)],
        })
    }

    /// In columns, as the stacks are.
    pub(super) fn json(&self) -> Value {
        let live: Vec<i64> = self.steps.iter().map(|step| step.live_bytes).collect();
        let highest: Vec<i64> = self.steps.iter().map(|step| step.highest_bytes).collect();
        let [happened, left_out] = happened::json(&self.happened);
        json!({
            "step_ns": self.steps.first().map_or(0, |step| step.to_ns - step.from_ns),
            "live": live,
            "highest": highest,
            "happened": happened,
            "happened_left_out": left_out,
            "between": self.between,
        })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::fixture::Random;
    use crate::trace::{Instant, What};

    /// As large as one can be: more happened than is shown, under names that are longer, in letters of three bytes that nothing packs well.
    pub(in crate::report_page) fn largest() -> Timeline {
        let mut random = Random(7);
        let mut number = || (random.next() << 31 | random.next()).cast_signed();
        let steps = (0..STEPS).map(|_| Step {
            live_bytes: number(),
            highest_bytes: number(),
            ..Step::default()
        });
        let steps = steps.collect();
        let mut random = Random(8);
        let mut letter = || {
            let number = u32::try_from(0x4e00 + random.below(0x5000)).expect("small");
            char::from_u32(number).expect("a letter")
        };
        let happened = (0..2_000).map(|ns| Instant {
            ns,
            what: What::Load,
            pid: None,
            text: (0..300).map(|_| letter()).collect(),
        });
        Timeline {
            steps,
            happened: Instants {
                all: happened.collect(),
                left_out: 0,
            },
            between: [0, 1],
        }
    }
}
