//! speedscope's own JSON: a profile for what grew, what shrank, what is alive and what was allocated, each in bytes.
//!
//! Its schema has no negative weights: what shrank is a profile of its own, with its size.

use super::stacks::{self, Weighed, name};
use crate::render::{Render, View, after, lost};
use crate::report::Report;
use crate::symbolize::SymbolFrame;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::io::{self, Write};

const SCHEMA: &str = "https://www.speedscope.app/file-format-schema.json";

/// For www.speedscope.app.
#[derive(Clone, Copy, Debug)]
pub struct Speedscope;

impl Render for Speedscope {
    fn render(&self, report: &Report, _view: &View<'_>, out: &mut dyn Write) -> io::Result<()> {
        let stacks = stacks::weighed(report);
        let mut frames = Frames::default();
        let indices: Vec<Vec<usize>> = stacks.iter().map(|one| frames.of(one)).collect();
        let (from, to) = (&report.from.moment.name, &report.to.moment.name);
        let lost = after(", ", lost(report.lost_events()));
        let profile = |name: String, weight: fn(&Weighed) -> i64| {
            let weighed = stacks.iter().map(weight).zip(&indices);
            profile(&name, weighed.filter(|(weight, _)| *weight > 0))
        };
        let whole = json!({
            "$schema": SCHEMA,
            "exporter": format!("heapshim {}", env!("CARGO_PKG_VERSION")),
            "name": format!("{} (pid {}) {from} -> {to}{lost}", report.target.name, report.target.pid),
            "activeProfileIndex": 0,
            "shared": {"frames": frames.list},
            "profiles": [
                profile(format!("grew {from} -> {to}"), |one| one.growth.bytes),
                profile(format!("shrank {from} -> {to}"), |one| one.growth.bytes.saturating_neg()),
                profile(format!("live at {to}"), |one| one.live.bytes),
                profile(format!("allocated {from} -> {to}"), |one| one.total.bytes),
            ],
        });
        writeln!(out, "{whole}")
    }
}

fn profile<'a>(name: &str, stacks: impl Iterator<Item = (i64, &'a Vec<usize>)>) -> Value {
    let (weights, samples): (Vec<i64>, Vec<&Vec<usize>>) = stacks.unzip();
    let end: i64 = weights.iter().sum();
    json!({
        "type": "sampled", "name": name, "unit": "bytes",
        "startValue": 0, "endValue": end, "samples": samples, "weights": weights,
    })
}

/// Frames by what is shown of them.
#[derive(Default)]
struct Frames {
    list: Vec<Value>,
    known: HashMap<(String, Option<String>, Option<u32>), usize>,
}

impl Frames {
    /// A stack's frames, outermost first.
    fn of(&mut self, one: &Weighed) -> Vec<usize> {
        let mut all: Vec<usize> = one.stack.iter().map(|frame| self.index(frame)).collect();
        all.reverse();
        all
    }

    fn index(&mut self, frame: &SymbolFrame) -> usize {
        let key = (name(frame), frame.file.clone(), frame.line);
        let next = self.list.len();
        *self
            .known
            .entry(key)
            .or_insert_with_key(|(name, file, line)| {
                let mut one = json!({"name": name});
                if let Some(file) = file {
                    one["file"] = json!(file);
                }
                if let Some(line) = line {
                    one["line"] = json!(line);
                }
                self.list.push(one);
                next
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::stacks::tests::report;

    fn rendered(report: &Report) -> Value {
        let mut out = Vec::new();
        let written = Speedscope.render(report, &View::default(), &mut out);
        written.expect("written to memory");
        serde_json::from_slice(&out).expect("JSON")
    }

    /// Check that the profiles add up to the report: growth is what grew less what shrank, and live is what is alive.
    #[test]
    fn profiles_add_up() {
        let report = report();
        let value = rendered(&report);
        let end = |at: usize| value["profiles"][at]["endValue"].as_i64().unwrap();
        assert_eq!(end(0) - end(1), report.growth.bytes);
        assert_eq!(end(2), report.to.live.bytes);
        let total = report.rows.iter().map(|row| row.total.bytes).sum::<i64>();
        assert_eq!(end(3), total);
        for profile in value["profiles"].as_array().unwrap() {
            let weights = profile["weights"].as_array().unwrap();
            let sum: i64 = weights.iter().map(|weight| weight.as_i64().unwrap()).sum();
            assert_eq!(profile["endValue"], sum);
            assert_eq!(profile["samples"].as_array().unwrap().len(), weights.len());
        }
    }

    /// Check that stacks begin with the outermost frame, and that every number is that of a frame.
    #[test]
    fn frames() {
        let value = rendered(&report());
        let list = value["shared"]["frames"].as_array().unwrap();
        let name = |index: &Value| {
            let at = usize::try_from(index.as_u64().unwrap()).unwrap();
            list[at]["name"].as_str().unwrap()
        };
        let stack = value["profiles"][0]["samples"][1].as_array().unwrap();
        let names: Vec<&str> = stack.iter().map(name).collect();
        assert_eq!(names, ["conn_new", "xmalloc", "malloc"]);
        assert_eq!(
            list[0],
            json!({"name": "malloc", "file": "/usr/src/malloc.c", "line": 1})
        );
    }
}
