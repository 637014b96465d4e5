//! `heapshim doctor`: what would stop tracing a command or looking at a process, and what to do about it.

use super::output::print;
use crate::args::{Doctor as Args, ListFormat};
use heapshim_cli::doctor::{self, Finding, Level};
use heapshim_cli::error::Error;
use heapshim_cli::render::{self, Stream, escape};
use heapshim_cli::shell;
use serde_json::{Value, json};
use std::io;

/// Columns before the words of a finding.
const INDENT: usize = 9;
/// A narrower terminal is written to as if it had this many columns.
const LEAST_WIDTH: usize = 40;

/// Prints every finding; status 1 where one stops tracing.
pub(crate) fn run(args: &Args) -> Result<u8, Error> {
    let (findings, then) = look(args)?;
    let stopped = findings
        .iter()
        .any(|finding| finding.level == Level::Problem);
    if args.format == ListFormat::Json {
        let findings: Vec<Value> = findings.iter().map(value).collect();
        print(&format!(
            "{:#}\n",
            json!({"schema": 1, "findings": findings})
        ))?;
    } else {
        let width = Stream::of(&io::stdout(), render::Color::Never).width;
        let lines: String = findings
            .iter()
            .map(|finding| line(finding, width))
            .collect();
        print(&lines)?;
        if !stopped {
            print(&format!("\nNothing stands in the way:\n  {then}\n"))?;
        }
    }
    Ok(u8::from(stopped))
}

/// What was found, and the command that comes next.
fn look(args: &Args) -> Result<(Vec<Finding>, String), Error> {
    let mut findings = doctor::machine();
    if let Some(target) = &args.target {
        let pid = doctor::find(target)?;
        findings.extend(doctor::target(pid, &args.debug_dir));
        return Ok((findings, format!("heapshim diff -p {pid}")));
    }
    let Some(program) = args.words.first() else {
        return Ok((findings, "heapshim run -- COMMAND".to_owned()));
    };
    findings.extend(doctor::program(program, &args.debug_dir));
    let words: Vec<String> = args
        .words
        .iter()
        .map(|word| shell::word(&word.to_string_lossy()))
        .collect();
    Ok((findings, format!("heapshim run -- {}", words.join(" "))))
}

/// One line, folded at a terminal's edge.
fn line(finding: &Finding, width: Option<usize>) -> String {
    let mut text = format!("{}: {}", finding.object, finding.what);
    if let Some(next) = &finding.next {
        text.push_str("; ");
        text.push_str(next);
    }
    let text = escape(&text);
    let room = width.map(|width| width.max(LEAST_WIDTH) - INDENT);
    let folded = fold(&text, room).join(&format!("\n{:INDENT$}", ""));
    format!("{:<INDENT$}{folded}\n", finding.level.as_str())
}

/// The text in lines of at most so many characters, parted at blanks. A longer word stays whole.
fn fold(text: &str, room: Option<usize>) -> Vec<String> {
    let Some(room) = room else {
        return vec![text.to_owned()];
    };
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(last) if last.chars().count() + 1 + word.chars().count() <= room => {
                last.push(' ');
                last.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

fn value(finding: &Finding) -> Value {
    json!({
        "level": finding.level.as_str(),
        "object": finding.object,
        "what": finding.what,
        "next": finding.next,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Check that lines end at blanks before the edge, that a long word stays whole, and that no terminal means no folding.
    #[test]
    fn folding() {
        assert_eq!(fold("one two three", Some(7)), ["one two", "three"]);
        assert_eq!(
            fold("one twothreefour five", Some(8)),
            ["one", "twothreefour", "five"]
        );
        assert_eq!(fold("one two three", None), ["one two three"]);
        assert_eq!(fold("äöü äöü", Some(7)), ["äöü äöü"]);
    }
}
