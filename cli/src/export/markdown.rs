//! Markdown for a comment on a pull request: a sentence, a table of the rows that grew most, and what is not in it.

use crate::render::{Labels, Render, View, after, blocks, escape, grouped, lost, signed_size};
use crate::report::{Report, Row};
use std::io::{self, Write};

/// Rows, where the user does not say how many.
const TOP: usize = 10;

/// For pull requests.
#[derive(Clone, Copy, Debug)]
pub struct Markdown;

impl Render for Markdown {
    fn render(&self, report: &Report, view: &View<'_>, out: &mut dyn Write) -> io::Result<()> {
        let (from, to) = (&report.from.moment.name, &report.to.moment.name);
        let (bytes, blocks) = (
            signed_size(report.growth.bytes),
            blocks(report.growth.blocks),
        );
        let (name, moments) = (code(&report.target.name), code(&format!("{from} → {to}")));
        let lost = lost(report.lost_events()).map(|lost| format!("**{lost}**"));
        let lost = after(", ", lost);
        writeln!(out, "**heap {bytes}**, {blocks}: {name}, {moments}{lost}\n")?;
        let top = match view.top {
            None => TOP,
            Some(0) => usize::MAX,
            Some(top) => top,
        };
        let grew: Vec<&Row> = report.rows.iter().filter(|row| row.grew()).collect();
        let shown = &grew[..grew.len().min(top)];
        if !shown.is_empty() {
            writeln!(out, "| growth | blocks | {} | |", report.by.as_str())?;
            writeln!(out, "| ---: | ---: | :--- | :--- |")?;
        }
        for row in shown {
            writeln!(out, "{}", line(row, view))?;
        }
        writeln!(out, "\n{}", rest(report, &grew[shown.len()..]))
    }
}

fn line(row: &Row, view: &View<'_>) -> String {
    let (bytes, blocks) = (signed_size(row.growth.bytes), grouped(row.growth.blocks));
    let function = row.function.as_deref().map(code).unwrap_or_default();
    format!(
        "| {bytes} | {blocks} | {} | {function} |",
        code(&place(row, view))
    )
}

/// Where it is, relative to the repository that the user stands in.
fn place(row: &Row, view: &View<'_>) -> String {
    let path = row.file.as_deref().or(row.module.as_deref());
    let Some(path) = path else {
        return row
            .thread
            .clone()
            .unwrap_or_else(|| "[not known]".to_string());
    };
    let labels = Labels::new([path], view.current_dir);
    let short = labels.of(path);
    match (row.line, row.blamed_frame()) {
        (Some(line), _) => format!("{short}:{line}"),
        (None, Some(frame)) if row.file.is_none() && row.function.is_some() => {
            format!("{short}+{:#x}", frame.address)
        }
        _ => short.to_string(),
    }
}

fn rest(report: &Report, more: &[&Row]) -> String {
    let sum = |rows: &mut dyn Iterator<Item = &Row>| -> i64 { rows.map(|r| r.growth.bytes).sum() };
    let mut parts = Vec::new();
    if !more.is_empty() {
        let bytes = sum(&mut more.iter().copied());
        parts.push(format!("{} more: {}", more.len(), signed_size(bytes)));
    }
    let shrank = report.rows.iter().filter(|row| !row.grew()).count();
    if shrank > 0 {
        let bytes = sum(&mut report.rows.iter().filter(|row| !row.grew()));
        parts.push(format!("{shrank} did not grow: {}", signed_size(bytes)));
    }
    let none = report.unattributed.growth.bytes;
    parts.push(format!("not attributed: {}", signed_size(none)));
    parts.join(" · ")
}

/// The text as code: between more backquotes than it has, and without the bar that would end a cell.
fn code(text: &str) -> String {
    let text = escape(text).replace('|', "\\|");
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest + 1);
    match text.starts_with('`') || text.ends_with('`') {
        true => format!("{fence} {text} {fence}"),
        false => format!("{fence}{text}{fence}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::stacks::tests::report;

    fn rendered(report: &Report, top: Option<usize>) -> Vec<String> {
        let view = View {
            top,
            current_dir: Some(std::path::Path::new("/home/u/server")),
            ..View::default()
        };
        let mut out = Vec::new();
        let written = Markdown.render(report, &view, &mut out);
        written.expect("written to memory");
        let text = String::from_utf8(out).expect("UTF-8");
        text.lines().map(str::to_string).collect()
    }

    /// Check every line of a report of three rows, cut after two.
    #[test]
    fn lines() {
        let mut report = report();
        report.rows.truncate(3);
        let expected = [
            "**heap +109.2 MiB**, +300,008 blocks: `server`, `warm → now`",
            "",
            "| growth | blocks | line | |",
            "| ---: | ---: | :--- | :--- |",
            "| +111.1 MiB | +300,004 | `aiohttp/web_response.py:56` | `__init__` |",
            "| +64.0 KiB | +16 | `src/conn.c:88` | `conn_new` |",
            "",
            "1 more: +12 B · not attributed: +40 B",
        ];
        assert_eq!(rendered(&report, Some(2)), expected);
    }

    /// Check that a name can neither leave its cell nor its code.
    #[test]
    fn hostile_names() {
        assert_eq!(code("a|b"), "`a\\|b`");
        assert_eq!(code("f`g"), "``f`g``");
        assert_eq!(code("`"), "`` ` ``");
        assert_eq!(code("a\nb"), "`a\\nb`");
    }
}
