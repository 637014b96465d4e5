//! massif's output file: two detailed snapshots, one for each mark, in bytes that the program asked for.
//!
//! Trees begin with the innermost frame, as massif's do. As there, what lies below a threshold is one node with its sum, or a Python server's
//! file would have half a million lines: a thousandth of the whole here, a hundredth there. `ms_print --threshold=0` shows all that is left.
//! The format is read by ms_print and massif-visualizer, and described in neither: it is what massif writes (valgrind 3.19).

use super::stacks::{self, Weighed, has_before, label};
use super::tree::Node;
use crate::render::{Render, View, after, escape, lost};
use crate::report::Report;
use std::io::{self, Write};

/// What is below this part of a snapshot is not told apart.
const THRESHOLD: i64 = 1000;

/// For ms_print and massif-visualizer.
#[derive(Clone, Copy, Debug)]
pub struct Massif;

impl Render for Massif {
    fn render(&self, report: &Report, _view: &View<'_>, out: &mut dyn Write) -> io::Result<()> {
        let command: Vec<String> = report.target.cmdline.iter().map(|w| escape(w)).collect();
        let (from, to) = (&report.from.moment, &report.to.moment);
        writeln!(
            out,
            "desc: heapshim {} -> {}{}",
            escape(&from.name),
            escape(&to.name),
            after(", ", lost(report.lost_events()))
        )?;
        writeln!(out, "cmd: {}", command.join(" "))?;
        writeln!(out, "time_unit: ms")?;
        let tree = tree(&stacks::weighed(report));
        // ms_print has no use for two snapshots at one time.
        let later = (from.unix_ns.abs_diff(to.unix_ns) / 1_000_000).max(1);
        let before = Some(&tree).filter(|_| has_before(report));
        snapshot(out, 0, 0, before.map(|tree| (tree, Mark::First)))?;
        snapshot(out, 1, later, Some((&tree, Mark::Second)))
    }
}

/// Which of a node's two numbers.
#[derive(Clone, Copy)]
enum Mark {
    First,
    Second,
}

impl Mark {
    fn of(self, node: &Node) -> i64 {
        match self {
            Mark::First => node.before,
            Mark::Second => node.after,
        }
    }
}

fn tree(stacks: &[Weighed]) -> Node {
    let mut tree = Node::default();
    for one in stacks {
        let frames = one.stack.iter().map(|frame| {
            let address = frame.address;
            format!("{address:#x}: {}", label(frame))
        });
        tree.add(frames, one.before(), one.after());
    }
    tree
}

fn snapshot(
    out: &mut dyn Write,
    number: u32,
    time: u64,
    tree: Option<(&Node, Mark)>,
) -> io::Result<()> {
    let rule = "#-----------";
    let bytes = tree.map_or(0, |(tree, mark)| mark.of(tree));
    writeln!(
        out,
        "{rule}\nsnapshot={number}\n{rule}\ntime={time}\nmem_heap_B={bytes}"
    )?;
    writeln!(out, "mem_heap_extra_B=0\nmem_stacks_B=0")?;
    match tree {
        None => writeln!(out, "heap_tree=empty"),
        Some((tree, mark)) => {
            writeln!(out, "heap_tree=detailed")?;
            let root = "(heap allocation functions) malloc/new/new[], --alloc-fns, etc.";
            node(out, (0, bytes / THRESHOLD), root, tree, mark)
        }
    }
}

/// A node with its children, the greatest first; `least`: what is told apart.
fn node(
    out: &mut dyn Write,
    (depth, least): (usize, i64),
    label: &str,
    node: &Node,
    mark: Mark,
) -> io::Result<()> {
    let children = node.children.iter().filter(|(_, child)| mark.of(child) > 0);
    let (mut great, small): (Vec<_>, Vec<_>) =
        children.partition(|(_, child)| mark.of(child) >= least);
    great.sort_by_key(|(_, child)| std::cmp::Reverse(mark.of(child)));
    let count = great.len() + usize::from(!small.is_empty());
    writeln!(out, "{:depth$}n{count}: {} {label}", "", mark.of(node))?;
    for (label, child) in great {
        self::node(out, (depth + 1, least), label, child, mark)?;
    }
    if small.is_empty() {
        return Ok(());
    }
    let (places, depth) = (small.len(), depth + 1);
    let bytes: i64 = small.iter().map(|(_, child)| mark.of(child)).sum();
    let places = match places {
        1 => "1 place,".to_string(),
        several => format!("{several} places, all"),
    };
    let text = format!("in {places} below massif's threshold (0.10%)");
    writeln!(out, "{:depth$}n0: {bytes} {text}", "")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::stacks::tests::report;

    /// Check both snapshots of a small report, line by line.
    #[test]
    fn two_snapshots() {
        let mut report = report();
        report.rows.truncate(2);
        report.to.live = report.rows.iter().map(|row| row.live).sum();
        report.unattributed.growth = crate::report::Amount::default();
        let mut out = Vec::new();
        let written = Massif.render(&report, &View::default(), &mut out);
        written.expect("written to memory");
        let expected = include_str!("expected/report.massif");
        assert_eq!(String::from_utf8(out).expect("UTF-8"), expected);
    }

    /// Check that what is below the threshold is one node with its sum, and that nothing is lost by it.
    #[test]
    fn threshold() {
        let mut tree = Node::default();
        for (label, bytes) in [("a", 5_000), ("b", 3), ("c", 2), ("d", 0)] {
            tree.add(std::iter::once(label.to_string()), 0, bytes);
        }
        let mut out = Vec::new();
        node(&mut out, (0, 5_005 / THRESHOLD), "all", &tree, Mark::Second).expect("written");
        let expected =
            "n2: 5005 all\n n0: 5000 a\n n0: 5 in 2 places, all below massif's threshold (0.10%)\n";
        assert_eq!(String::from_utf8(out).expect("UTF-8"), expected);
    }
}
