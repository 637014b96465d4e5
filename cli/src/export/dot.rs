//! The growth as a graph for Graphviz: a box a function, an arrow from whoever calls to whoever is called.
//!
//! A box says what grew in the function itself and with all that it calls; an arrow, what grew through that call. A function that is in a
//! stack twice has its bytes once. The attributes `growth_bytes` and `self_bytes` have the exact numbers (`dot -Tjson` shows them).
//! Functions through which little went are left out, and counted in the title.

use super::stacks::{self, base, name};
use crate::render::{Render, View, after, escape, lost, signed_size};
use crate::report::Report;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

/// Boxes, where the user does not say how many: what Graphviz lays out within a second, and a reader can take in.
const TOP: usize = 60;

/// For Graphviz.
#[derive(Clone, Copy, Debug)]
pub struct Dot;

/// A function, told by its name and file.
type Function = (String, String);

#[derive(Default)]
struct Graph {
    /// In the function itself, and with all that it calls.
    functions: BTreeMap<Function, (i64, i64)>,
    calls: BTreeMap<(Function, Function), i64>,
}

impl Render for Dot {
    fn render(&self, report: &Report, view: &View<'_>, out: &mut dyn Write) -> io::Result<()> {
        let graph = Graph::of(report);
        let shown = graph.greatest(view.top.unwrap_or(TOP));
        let numbers: BTreeMap<&Function, usize> = shown.iter().copied().zip(1..).collect();
        writeln!(out, "digraph growth {{")?;
        writeln!(
            out,
            "  label={};",
            quoted(&title(report, &graph, shown.len()))
        )?;
        writeln!(
            out,
            "  labelloc=t; node [shape=box, fontname=\"sans-serif\"];"
        )?;
        for function in &shown {
            let (own, all) = graph.functions[*function];
            let text = quoted(&text(function, own, all));
            let color = color(all);
            let number = numbers[*function];
            writeln!(
                out,
                "  f{number} [label={text}, color=\"{color}\", growth_bytes={all}, self_bytes={own}];"
            )?;
        }
        for ((caller, callee), bytes) in &graph.calls {
            if let (Some(from), Some(to)) = (numbers.get(caller), numbers.get(callee)) {
                let (label, color) = (signed_size(*bytes), color(*bytes));
                writeln!(
                    out,
                    "  f{from} -> f{to} [label=\"{label}\", color=\"{color}\", growth_bytes={bytes}];"
                )?;
            }
        }
        writeln!(out, "}}")
    }
}

impl Graph {
    fn of(report: &Report) -> Graph {
        let mut graph = Graph::default();
        let stacks = stacks::weighed(report).into_iter();
        for one in stacks.filter(|one| one.growth.bytes != 0) {
            let function = |frame: &crate::symbolize::SymbolFrame| {
                let file = frame.file.as_deref().or(frame.module.as_deref());
                (name(frame), file.unwrap_or_default().to_string())
            };
            let frames: Vec<Function> = one.stack.iter().map(function).collect();
            graph.add(&frames, one.growth.bytes);
        }
        graph
    }

    /// Adds a stack, innermost frame first.
    fn add(&mut self, frames: &[Function], bytes: i64) {
        if let Some(innermost) = frames.first() {
            self.functions.entry(innermost.clone()).or_default().0 += bytes;
        }
        for function in frames.iter().collect::<BTreeSet<_>>() {
            self.functions.entry(function.clone()).or_default().1 += bytes;
        }
        let calls = frames.windows(2).map(|pair| (&pair[1], &pair[0]));
        for (caller, callee) in calls.collect::<BTreeSet<_>>() {
            let call = (caller.clone(), callee.clone());
            *self.calls.entry(call).or_default() += bytes;
        }
    }

    /// The functions through which most went; 0: all.
    fn greatest(&self, top: usize) -> Vec<&Function> {
        let mut all: Vec<&Function> = self.functions.keys().collect();
        all.sort_by_key(|function| std::cmp::Reverse(self.functions[*function].1.unsigned_abs()));
        all.truncate(if top == 0 { usize::MAX } else { top });
        all
    }
}

fn title(report: &Report, graph: &Graph, shown: usize) -> String {
    let (from, to) = (&report.from.moment.name, &report.to.moment.name);
    let (name, growth) = (&report.target.name, signed_size(report.growth.bytes));
    let all = graph.functions.len();
    let (name, from, to) = (escape(name), escape(from), escape(to));
    let lost = after("; ", lost(report.lost_events()));
    format!("{name}: {from} → {to}, heap {growth}{lost}\n{shown} of {all} functions")
}

fn text((name, file): &Function, own: i64, all: i64) -> String {
    let (own, all) = (signed_size(own), signed_size(all));
    format!("{name}\n{}\n{own} of {all}", escape(base(file)))
}

fn color(bytes: i64) -> &'static str {
    match bytes {
        0 => "gray",
        1.. => "red",
        _ => "blue",
    }
}

/// A string of Graphviz's: quotes and backslashes written out, lines ended as it ends them.
fn quoted(text: &str) -> String {
    let text = text.replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{}\"", text.replace('\n', "\\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::stacks::tests::report;

    fn rendered(report: &Report, top: Option<usize>) -> String {
        let view = View {
            top,
            ..View::default()
        };
        let mut out = Vec::new();
        Dot.render(report, &view, &mut out)
            .expect("written to memory");
        String::from_utf8(out).expect("UTF-8")
    }

    /// Check a function that calls itself, a call, and what is left out.
    #[test]
    fn graph() {
        let function = |name: &str| (name.to_string(), "/a.c".to_string());
        let mut graph = Graph::default();
        let recursive = ["leaf", "walk", "walk", "main"].map(function);
        graph.add(&recursive, 100);
        graph.add(&[function("main")], -30);
        assert_eq!(graph.functions[&function("leaf")], (100, 100));
        assert_eq!(graph.functions[&function("walk")], (0, 100));
        assert_eq!(graph.functions[&function("main")], (-30, 70));
        assert_eq!(graph.calls[&(function("walk"), function("walk"))], 100);
        assert_eq!(graph.greatest(1).len(), 1);
        assert_eq!(graph.greatest(0).len(), 3);
    }

    /// Check that a name with quotes and backslashes stays a name.
    #[test]
    fn hostile_names() {
        let mut report = report();
        report.rows[2].stack.edit(|frames| {
            frames[0].function = Some("a\"] f9 [label=\"\\".to_string());
        });
        let text = rendered(&report, Some(0));
        assert!(text.contains(r#"[label="a\"] f9 [label=\"\\\n"#), "{text}");
        assert!(text.contains("self_bytes=65536") || text.contains("growth_bytes=65536"));
    }
}
