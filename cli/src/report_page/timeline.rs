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
