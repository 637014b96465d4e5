//! A differential flamegraph as one SVG: it needs nothing but a browser.
//!
//! A box is as wide as what is alive at the second mark under its frame; red has grown since the first, blue has shrunk, white is as it
//! was. A box below is called by nobody that is above it: the root is at the bottom. A click widens a box to the whole width, and one on
//! the root goes back; the tooltip has the exact numbers. What is gone has no width: swap the marks to see it.
//!
//! Drawn here and not by the inferno crate, whose licence (CDDL) is not one to link into what is shipped; `folded` is what inferno reads.

use super::stacks::{self, has_before, label};
use super::tree::Node;
use super::xml;
use crate::render::{Render, View, after, escape, grouped, lost, size};
use crate::report::Report;
use std::io::{self, Write};

/// Width of the picture, in pixels.
const WIDTH: f64 = 1200.0;
/// Height of a box: a line of text of 12 pixels.
const HEIGHT: usize = 17;
/// Room for the title.
const HEAD: usize = 44;
/// A character of the text, about.
const CHARACTER: f64 = 7.0;
/// Boxes narrower than this are not drawn: no eye sees them, and there may be a hundred thousand.
const NARROWEST: f64 = 0.05;
/// The palest tint of what has changed: little growth is growth.
const PALEST: f64 = 215.0;

const SCRIPT: &str = include_str!("flamegraph.js");

/// For browsers.
#[derive(Clone, Copy, Debug)]
pub struct Flamegraph;

impl Render for Flamegraph {
    fn render(&self, report: &Report, _view: &View<'_>, out: &mut dyn Write) -> io::Result<()> {
        let mut root = Node::default();
        for one in stacks::weighed(report) {
            let mut frames: Vec<String> = one.stack.iter().map(label).collect();
            frames.reverse();
            root.add(frames.into_iter(), one.before(), one.after());
        }
        let height = HEAD + (root.height() + 1) * HEIGHT + HEIGHT;
        head(report, height, out)?;
        let picture = Picture {
            pixels: WIDTH / as_float(root.after.max(1)),
            greatest: as_float_unsigned(root.greatest().max(1)),
            bottom: height - HEIGHT,
            compares: has_before(report),
        };
        picture.boxes("all", &root, 0.0, 0, out)?;
        writeln!(out, "<script><![CDATA[\n{SCRIPT}]]></script>\n</svg>")
    }
}

fn head(report: &Report, height: usize, out: &mut dyn Write) -> io::Result<()> {
    let (from, to) = (&report.from.moment.name, &report.to.moment.name);
    let (name, pid) = (&report.target.name, report.target.pid);
    let lost = after("; ", lost(report.lost_events()));
    let title = format!("{name} (pid {pid}): heap alive at {to}, growth since {from}{lost}");
    let title = xml::text(&escape(&title));
    writeln!(
        out,
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" \
         font-family=\"monospace\" font-size=\"12\">\n\
         <title>{title}</title>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n\
         <text x=\"6\" y=\"18\" font-size=\"14\">{title}</text>\n\
         <text x=\"6\" y=\"36\" fill=\"#555\">wide: alive · red: grew · blue: shrank · click: closer · click the root: back</text>"
    )
}

/// What is the same for all boxes.
struct Picture {
    /// Per byte.
    pixels: f64,
    greatest: f64,
    bottom: usize,
    compares: bool,
}

impl Picture {
    fn boxes(
        &self,
        label: &str,
        node: &Node,
        left: f64,
        depth: usize,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        let width = as_float(node.after) * self.pixels;
        if width < NARROWEST && depth > 0 {
            return Ok(());
        }
        self.one(label, node, (left, width), depth, out)?;
        let mut left = left;
        for (label, child) in &node.children {
            self.boxes(label, child, left, depth + 1, out)?;
            left += as_float(child.after) * self.pixels;
        }
        Ok(())
    }

    fn one(
        &self,
        label: &str,
        node: &Node,
        (left, width): (f64, f64),
        depth: usize,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        let top = self.bottom - (depth + 1) * HEIGHT;
        let (fill, tip) = (self.fill(node), xml::text(&self.tip(label, node)));
        let (tall, base) = (HEIGHT - 1, top + 12);
        let shown = xml::text(&fitting(label, width));
        let (name, middle) = (xml::text(label), left + 3.0);
        writeln!(
            out,
            "<g data-depth=\"{depth}\" data-before=\"{}\" data-after=\"{}\" data-name=\"{name}\"><title>{tip}</title>\
             <rect x=\"{left:.2}\" y=\"{top}\" width=\"{width:.2}\" height=\"{tall}\" fill=\"{fill}\" stroke=\"#fff\" stroke-width=\"0.5\"/>\
             <text x=\"{middle:.2}\" y=\"{base}\">{shown}</text></g>",
            node.before, node.after
        )
    }

    fn tip(&self, label: &str, node: &Node) -> String {
        let (alive, exact) = (size(node.after), node.after);
        match self.compares {
            true => {
                let growth = grouped(node.growth());
                format!("{label}: {alive} alive ({exact} B), growth {growth} B")
            }
            false => format!("{label}: {alive} alive ({exact} B)"),
        }
    }

    /// Red, blue or white; the more of the greatest change of all, the deeper.
    fn fill(&self, node: &Node) -> String {
        let share = (as_float(node.growth()) / self.greatest).abs().min(1.0);
        let pale = PALEST * (1.0 - share);
        match node.growth() {
            0 => "rgb(245,245,245)".to_string(),
            1.. => format!("rgb(255,{pale:.0},{pale:.0})"),
            _ => format!("rgb({pale:.0},{pale:.0},255)"),
        }
    }
}

/// As much of the text as a box of this width has room for.
fn fitting(text: &str, width: f64) -> String {
    let room = (width - 6.0) / CHARACTER;
    let fits = |count: usize| as_float_unsigned(count as u64) <= room;
    let count = text.chars().count();
    if fits(count) {
        return text.to_string();
    }
    let kept = (0..count).take_while(|&kept| fits(kept + 2)).count();
    match kept {
        0..3 => String::new(),
        _ => text.chars().take(kept).chain(['…']).collect(),
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "pixels: exact numbers are in the tooltip"
)]
fn as_float(bytes: i64) -> f64 {
    bytes as f64
}

#[expect(
    clippy::cast_precision_loss,
    reason = "pixels: exact numbers are in the tooltip"
)]
fn as_float_unsigned(number: u64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::stacks::tests::report;

    fn rendered(report: &Report) -> String {
        let mut out = Vec::new();
        let written = Flamegraph.render(report, &View::default(), &mut out);
        written.expect("written to memory");
        String::from_utf8(out).expect("UTF-8")
    }

    /// Check the root's numbers, a box's exact ones, that what grew is red and what shrank is blue, and that a name is no markup.
    #[test]
    fn boxes() {
        let mut report = report();
        let gone = &mut report.rows[6];
        gone.live.bytes = 1_000_000;
        gone.stack
            .edit(|frames| frames[0].function = Some("operator<".to_string()));
        report.to.live = report.rows.iter().map(|row| row.live).sum();
        report.unattributed.growth = crate::report::Amount::default();
        let svg = rendered(&report);
        let after: i64 = report.rows.iter().map(|row| row.live.bytes).sum();
        let root = format!("data-after=\"{after}\" data-name=\"all\"");
        assert!(svg.contains(&root), "{svg}");
        let line = |name: &str| svg.lines().find(|line| line.contains(name)).unwrap();
        assert!(line("data-name=\"conn_new").contains("data-before=\"1\" data-after=\"65537\""));
        assert!(line("data-name=\"__init__").contains("fill=\"rgb(255,"));
        assert!(line("data-name=\"operator&lt;").contains(",255)\""));
    }

    /// Check that text is cut to its box, and left out where nothing of it would be read.
    #[test]
    fn text_fits() {
        assert_eq!(fitting("main", 100.0), "main");
        assert_eq!(fitting("a_long_name", 62.0), "a_long_…");
        assert_eq!(fitting("main", 20.0), "");
    }
}
