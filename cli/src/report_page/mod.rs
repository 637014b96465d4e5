//! The report as one page: growth by line, a flamegraph of what grew and of what is alive, and the stacks with their source.
//!
//! Written by `heapshim report`; a [`Render`] like any other form. The page asks nothing of any network, and its policy forbids it to: all that
//! it shows is in it. What came from the target (names, paths, source) is data in base64, which no name can end, and reaches the page as text
//! alone, never as markup; the little that stands in the markup is escaped. The rest is what the scripts beside this file do:
//! `model.js` reads the data, `table.js` has the lines, `freed.js` who freed their blocks, `timeline.js` what was alive when, `happened.js` what happened then, `flame.js` draws.
//!
//! Invariant: Σ over the stacks of the page = the report's growth, and what is alive at its end, `[not attributed]` included.

mod data;
mod freed;
mod happened;
mod timeline;
mod trie;

pub use timeline::Timeline;

use crate::export::xml;
use crate::render::{Render, View, escape, heading};
use crate::report::Report;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::{self, Write};

const TEMPLATE: &str = include_str!("page.html");
const STYLE: &str = include_str!("page.css");
const DARK: &str = include_str!("dark.css");
const SCRIPTS: [&str; 6] = [
    include_str!("model.js"),
    include_str!("freed.js"),
    include_str!("table.js"),
    include_str!("timeline.js"),
    include_str!("happened.js"),
    include_str!("flame.js"),
];

/// What a page weighs at most: it is mailed, and kept with each build. Of a program with long names and deep stacks fewer of them go into it.
const MOST_BYTES: usize = 2_000_000;

/// For browsers.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// Of a recording: what was alive when.
    pub timeline: Option<Timeline>,
}

impl Render for Page {
    fn render(&self, report: &Report, view: &View<'_>, out: &mut dyn Write) -> io::Result<()> {
        out.write_all(&self.within(MOST_BYTES, report, view)?)
    }
}

/// How many stacks to try where so many took so many bytes. The heaviest brought most of the names and frames along: a tenth is left free for that.
fn fewer(stacks: usize, bytes: usize, most_bytes: usize) -> usize {
    let fit = stacks.saturating_mul(most_bytes) / bytes.max(1);
    (fit / 10 * 9).min(stacks.saturating_sub(1))
}

impl Page {
    /// The page with as many stacks as fit.
    fn within(&self, most_bytes: usize, report: &Report, view: &View<'_>) -> io::Result<Vec<u8>> {
        let mut stacks = data::MOST_STACKS.min(report.rows.len() + 1);
        loop {
            let page = self.of_heaviest(stacks, report, view)?;
            if page.len() <= most_bytes || stacks == 0 {
                return Ok(page);
            }
            stacks = fewer(stacks, page.len(), most_bytes);
        }
    }

    /// The page with so many stacks one by one, the heaviest, and the rest as one.
    fn of_heaviest(&self, stacks: usize, report: &Report, view: &View<'_>) -> io::Result<Vec<u8>> {
        let mut data = data::data(report, view, stacks);
        data["timeline"] = self.timeline.as_ref().map(Timeline::json).into();
        let data = packed(&data.to_string())?;
        let pieces = Pieces {
            report,
            data: &data,
        };
        let (mut page, mut rest) = (Vec::new(), TEMPLATE);
        while let Some((before, after)) = rest.split_once("{{") {
            let (name, after) = after.split_once("}}").unwrap_or((after, ""));
            page.extend_from_slice(before.as_bytes());
            pieces.write(name, &mut page)?;
            rest = after;
        }
        page.extend_from_slice(rest.as_bytes());
        Ok(page)
    }
}

/// What the template has places for. No piece is looked through for places of its own: a target may be named `{{data}}`.
struct Pieces<'a> {
    report: &'a Report,
    data: &'a str,
}

impl Pieces<'_> {
    fn write(&self, name: &str, out: &mut dyn Write) -> io::Result<()> {
        match name {
            "title" => write!(out, "{}", xml::text(&title(self.report))),
            "heading" => self.heading(out),
            "version" => write!(out, "{}", env!("CARGO_PKG_VERSION")),
            "style" => write!(out, "{STYLE}"),
            "dark" => write!(out, "{DARK}"),
            "data" => write!(out, "{}", self.data),
            "script" => SCRIPTS
                .iter()
                .try_for_each(|script| write!(out, "{script}")),
            _ => Ok(()),
        }
    }

    /// The lines above the table, as `diff` prints them.
    fn heading(&self, out: &mut dyn Write) -> io::Result<()> {
        let lines = heading(self.report)?;
        lines
            .lines()
            .try_for_each(|line| write!(out, "<p>{}</p>", xml::text(line)))
    }
}

fn title(report: &Report) -> String {
    let (from, to) = (&report.from.moment.name, &report.to.moment.name);
    escape(&format!("{}: growth, {from} → {to}", report.target.name))
}

/// The data as the page reads it.
fn packed(json: &str) -> io::Result<String> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(json.as_bytes())?;
    Ok(STANDARD.encode(gzip.finish()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;
    use crate::frees::{Freed, Freeing};
    use crate::report::{By, Row};
    use std::rc::Rc;

    fn rendered(report: &Report) -> String {
        let mut out = Vec::new();
        let written = Page::default().render(report, &View::default(), &mut out);
        written.expect("written to memory");
        String::from_utf8(out).expect("UTF-8")
    }

    /// Check that no name can leave its place: of the target, of a mark, of a function, of a file.
    #[test]
    fn hostile_names() {
        let hostile = "</script><script>alert(1)</script><!--{{data}}";
        let mut report = fixture::report();
        report.by = By::Stack;
        let plain = rendered(&report);
        report.target.name = hostile.to_string();
        report.to.moment.name = hostile.to_string();
        report.rows[0].file = Some(hostile.to_string());
        report.rows[0].stack.edit(|frames| {
            frames[1].function = Some(hostile.to_string());
            frames[1].file = Some(hostile.to_string());
        });
        let by = Row {
            function: Some(hostile.to_string()),
            ..report.rows[0].clone()
        };
        let freeing = Freeing {
            by,
            blocks: 1,
            bytes: 1,
            blocks_between: 1,
            last_ns: 1,
            allocated_since: 1,
            stopped: true,
        };
        report.rows[0].freed = Some(Rc::new(Freed {
            by: vec![freeing],
            ..Freed::default()
        }));
        let page = rendered(&report);
        let count = |page: &str, text: &str| page.matches(text).count();
        for markup in ["<script", "</script", "<!--", "id=\"data\""] {
            assert_eq!(count(&page, markup), count(&plain, markup), "{markup}");
        }
        assert_eq!(count(&page, "&lt;/script&gt;"), 12);
    }

    /// Check that of stacks that do not fit as many are there as do, and that the rest is there as one.
    #[test]
    fn as_many_as_fit() {
        let report = data::tests::large(3_000);
        let page = |most| Page::default().within(most, &report, &View::default());
        let whole = page(usize::MAX).expect("written to memory");
        assert!(whole.len() > 300_000, "{}", whole.len());
        let cut = page(200_000).expect("written to memory").len();
        assert!((100_000..=200_000).contains(&cut), "{cut}");
        let none = page(0).expect("written to memory");
        let data = data::data(&report, &View::default(), 0).to_string();
        assert!(data.contains("[3001 smaller stacks]"), "{data}");
        assert!(none.len() < 80_000, "{}", none.len());
    }

    /// Check that what is in the page whatever the report is, scripts, style and template, is a twentieth of what it may weigh, and that with all that a recording can add, and no stack, it
    /// is a half: so the least that is tried fits.
    #[test]
    fn least() {
        let fixed = [TEMPLATE, STYLE, DARK].into_iter().chain(SCRIPTS);
        let fixed: usize = fixed.map(str::len).sum();
        assert!(fixed <= MOST_BYTES / 20, "{fixed}");
        let report = data::tests::large(3_000);
        let weighs = |timeline| {
            let page = Page { timeline };
            let page = page.of_heaviest(0, &report, &View::default());
            page.expect("written to memory").len()
        };
        let recorded = weighs(Some(timeline::tests::largest()));
        assert!(recorded <= MOST_BYTES / 2, "{recorded}");
        assert!(recorded > 5 * weighs(None), "the timeline is in it");
    }

    /// Check that every place of the template is filled, and that nothing in the page is fetched from anywhere.
    #[test]
    fn self_contained() {
        // The name of what an element is, not a place.
        let page = rendered(&fixture::report()).replace("http://www.w3.org/2000/svg", "");
        for text in ["{{", "src=", "http:", "https:", "@import", "url("] {
            assert!(!page.contains(text), "{text}");
        }
        assert!(page.contains("default-src 'none'"));
        assert!(page.contains("<p>heap +109.2 MiB (131.2 → 240.4), +300,007 blocks"));
    }
}
