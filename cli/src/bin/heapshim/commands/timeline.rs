//! `heapshim timeline`: how much was alive, step by step of a recording.

use super::{output, recorded};
use crate::args::{ListFormat, Timeline as Args};
use heapshim_cli::error::Error;
use heapshim_cli::render::{duration, grouped, lost, size};
use heapshim_cli::trace::{self, Instants, Step, Trace};
use serde_json::Value;
use std::fmt::Write as _;

/// Columns of the longest bar: what 80 leave.
const BAR: i128 = 18;
/// Lines on what happened: a screen of them.
const MOST_HAPPENED: usize = 40;

/// Prints the steps to stdout, or to `-o FILE`.
pub(crate) fn run(args: &Args) -> Result<(), Error> {
    let mut trace = recorded::open(&args.trace)?;
    let steps = trace::timeline(&mut trace, args.steps)?;
    let instants = trace.happened()?;
    let text = match args.format {
        ListFormat::Table => lacks(&trace) + &table(&steps) + &happened(&instants),
        ListFormat::Json => json(&steps, &trace, &instants),
    };
    output::write(text.as_bytes(), args.output.as_deref())
}

/// What the recording has not, above its steps: they may be kept in a file.
fn lacks(trace: &Trace) -> String {
    let lost = lost(trace.lost());
    let lost = lost.map_or(String::new(), |lost| {
        format!("{lost}: numbers are off by as many\n")
    });
    let cut = match trace.is_cut() {
        true => "cut off: the recording goes as far as its last whole second\n",
        false => "",
    };
    lost + cut
}

fn table(steps: &[Step]) -> String {
    let mut text = String::from("     from        live     highest   allocated       freed\n");
    let most = steps.iter().map(|step| step.highest_bytes).max();
    for step in steps {
        let bar = bar(step.highest_bytes, most.unwrap_or(0));
        let line = format!(
            "{:>9}  {:>10}  {:>10}  {:>10}  {:>10}  {bar}",
            duration(0, step.from_ns),
            size(step.live_bytes),
            size(step.highest_bytes),
            count(step.moved.allocated_blocks),
            count(step.moved.freed_blocks),
        );
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text
}

/// A line for each; nothing where nothing happened.
fn happened(instants: &Instants) -> String {
    let mut text = String::new();
    for instant in instants.all.iter().take(MOST_HAPPENED) {
        let (when, what) = (duration(0, instant.ns), instant.what.word());
        let _ = writeln!(text, "{when:>9}  {what:<6}  {}", instant.words());
    }
    let not_shown = instants.all.len().saturating_sub(MOST_HAPPENED);
    if not_shown > 0 {
        let _ = writeln!(
            text,
            "           and {not_shown} more: --format json has them"
        );
    }
    if instants.left_out > 0 {
        let left_out = instants.left_out;
        let _ = writeln!(text, "           and {left_out} that were not recorded");
    }
    match text.is_empty() {
        true => text,
        false => format!("\n       at  happened\n{text}"),
    }
}

fn count(blocks: u64) -> String {
    let text = grouped(i64::try_from(blocks).unwrap_or(i64::MAX));
    text.trim_start_matches('+').to_owned()
}

/// As long as this part of the most; nothing where a forked child has freed more than it has.
fn bar(bytes: i64, most: i64) -> String {
    let columns = i128::from(bytes.max(0)) * BAR / i128::from(most.max(1));
    "#".repeat(usize::try_from(columns).unwrap_or(0))
}

/// One step a line, every number as it is.
fn json(steps: &[Step], trace: &Trace, instants: &Instants) -> String {
    let mut text = format!(
        "{{\"schema\": 1,\n \"length_ns\": {}, \"lost_events\": {}, \"cut\": {},\n \"steps\": [",
        trace.length_ns(),
        trace.lost(),
        trace.is_cut()
    );
    for (at, step) in steps.iter().enumerate() {
        let comma = if at == 0 { "" } else { "," };
        let moved = step.moved;
        let _ = write!(
            text,
            "{comma}\n  {{\"from_ns\": {}, \"to_ns\": {}, \"live_bytes\": {}, \"live_blocks\": {}, \"highest_bytes\": {}, \
             \"allocated_bytes\": {}, \"allocated_blocks\": {}, \"freed_bytes\": {}, \"freed_blocks\": {}}}",
            step.from_ns,
            step.to_ns,
            step.live_bytes,
            step.live_blocks,
            step.highest_bytes,
            moved.allocated_bytes,
            moved.allocated_blocks,
            moved.freed_bytes,
            moved.freed_blocks,
        );
    }
    text.push_str("\n ],\n \"happened\": [");
    for (at, instant) in instants.all.iter().enumerate() {
        let comma = if at == 0 { "" } else { "," };
        let at_us = instant.ns / 1000;
        let (kind, what) = (instant.what.word(), Value::from(&*instant.text));
        let _ = write!(
            text,
            "{comma}\n  {{\"at_us\": {at_us}, \"kind\": \"{kind}\", \"text\": {what}"
        );
        if let Some(pid) = instant.pid {
            let _ = write!(text, ", \"pid\": {pid}");
        }
        text.push('}');
    }
    let left_out = instants.left_out;
    let _ = writeln!(text, "\n ],\n \"happened_left_out\": {left_out}}}");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Check that the longest bar is the highest step's, and that no amount makes another.
    #[test]
    fn bars() {
        let lengths = [0, 50, 100, -7, i64::MAX].map(|bytes| bar(bytes, 100.max(bytes)).len());
        assert_eq!(lengths, [0, 9, 18, 0, 18]);
        assert_eq!(bar(0, 0), "");
    }
}
