//! The verdict for people: one sentence, and the lines that grew.

use super::verdict::{Finding, Repeat, Verdict};
use crate::render::{Labels, blocks, escape, grouped, signed_size, size};
use crate::shell;
use std::path::Path;

/// Lines that are printed: a gate that says no does not have to list a thousand.
pub(super) const MOST: usize = 50;

/// The words of a command in one line.
fn command(words: &[String]) -> String {
    let words: Vec<String> = words
        .iter()
        .map(|word| escape(&shell::word(word)))
        .collect();
    words.join(" ")
}

/// `./test: 2 lines grew in each of 5 runs, +1.1 KiB in all; allowed: 0 B`.
#[must_use]
pub fn sentence(verdict: &Verdict, words: &[String]) -> String {
    let command = command(words);
    let when = match verdict.repeat {
        Repeat::Runs(0 | 1) => String::new(),
        Repeat::Runs(runs) => format!(" in each of {runs} runs"),
        Repeat::Repetitions(most) => format!(" with each repetition from 2 to {most}"),
    };
    let grew = match verdict.lines.len() {
        0 if verdict.not_attributed.bytes > 0 => format!("the heap grew{when}"),
        0 => format!("nothing grew{when}"),
        1 => format!("1 line grew{when}"),
        several => format!("{several} lines grew{when}"),
    };
    let all = match verdict.growth.bytes {
        0 => String::new(),
        bytes => format!(", {} in all", signed_size(bytes)),
    };
    format!("{command}: {grew}{all}; allowed: {}", allowed(verdict))
}

fn allowed(verdict: &Verdict) -> String {
    match (verdict.limits.whole, verdict.limits.line) {
        (Some(whole), Some(line)) => format!("{}, {} a line", size(whole), size(line)),
        (Some(whole), None) => size(whole),
        (None, Some(line)) => format!("{} a line", size(line)),
        (None, None) => "any amount".to_string(),
    }
}

/// The sentence, the lines that grew, and what was suppressed.
#[must_use]
pub fn text(verdict: &Verdict, words: &[String], current_dir: Option<&Path>) -> String {
    let mut text = format!("heapshim check: {}\n", sentence(verdict, words));
    text.push_str(&lines(verdict, current_dir));
    for (rule, amount) in &verdict.suppressed {
        let (bytes, blocks) = (signed_size(amount.bytes), blocks(amount.blocks));
        text.push_str(&format!(
            "suppressed by {}: {bytes}, {blocks}\n",
            escape(rule)
        ));
    }
    text
}

/// The lines that grew, one a line; empty where none did.
pub(super) fn lines(verdict: &Verdict, current_dir: Option<&Path>) -> String {
    let files = verdict.lines.iter().filter_map(|line| line.place.file());
    let labels = Labels::new(files, current_dir);
    let mut text = String::new();
    if !verdict.lines.is_empty() || verdict.not_attributed.bytes > 0 {
        text.push_str("      growth      blocks   line\n");
    }
    for line in verdict.lines.iter().take(MOST) {
        text.push_str(&row(line, &labels));
    }
    let more = verdict.lines.get(MOST..).unwrap_or_default();
    if !more.is_empty() {
        let bytes: i64 = more.iter().map(|line| line.growth.bytes).sum();
        let (bytes, count) = (signed_size(bytes), more.len());
        text.push_str(&format!("{bytes:>12}{:12}   {count} more lines\n", ""));
    }
    if verdict.not_attributed.bytes > 0 {
        let amount = verdict.not_attributed;
        let (bytes, blocks) = (signed_size(amount.bytes), grouped(amount.blocks));
        text.push_str(&format!("{bytes:>12}{blocks:>12}   [not attributed]\n"));
    }
    text
}

fn row(line: &Finding, labels: &Labels) -> String {
    let (bytes, blocks) = (signed_size(line.growth.bytes), grouped(line.growth.blocks));
    let file = line.place.file().map_or("", |file| labels.of(file));
    let place = escape(&line.place.shown(file));
    let function = line.function.as_deref();
    let function = function.map_or_else(String::new, |name| format!("  {}", escape(name)));
    let over = if line.over {
        "   over the limit of a line"
    } else {
        ""
    };
    format!("{bytes:>12}{blocks:>12}   {place}{function}{over}\n")
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::check::Limits;
    use crate::fixture::amount;
    use crate::place::Place;

    /// Two lines that grew, one of them over its limit.
    pub(in crate::check) fn verdict() -> Verdict {
        let line = |line, bytes, over| Finding {
            place: Place::Line("/home/u/server/src/conn.c".to_string(), line),
            function: Some("conn_new<a, b>".to_string()),
            growth: amount(bytes, 16),
            over,
        };
        Verdict {
            lines: vec![line(88, 65_536, true), line(9, 12, false)],
            not_attributed: amount(40, 1),
            growth: amount(65_588, 33),
            limits: Limits {
                whole: Some(0),
                line: Some(4096),
            },
            repeat: Repeat::Runs(5),
            suppressed: vec![("leak:init".to_string(), amount(1024, 1))],
        }
    }

    pub(in crate::check) fn words() -> Vec<String> {
        ["./test", "--all", "a b"].map(str::to_string).to_vec()
    }

    /// Check every line of the text.
    #[test]
    fn whole_text() {
        let text = text(&verdict(), &words(), Some(Path::new("/home/u/server")));
        let expected = "\
heapshim check: ./test --all 'a b': 2 lines grew in each of 5 runs, +64.1 KiB in all; allowed: 0 B, 4.0 KiB a line
      growth      blocks   line
   +64.0 KiB         +16   src/conn.c:88  conn_new<a, b>   over the limit of a line
       +12 B         +16   src/conn.c:9  conn_new<a, b>
       +40 B          +1   [not attributed]
suppressed by leak:init: +1.0 KiB, +1 block
";
        assert_eq!(text, expected);
    }

    /// Check the sentence where nothing grew, after one run and after several repetitions.
    #[test]
    fn sentences() {
        let mut verdict = verdict();
        verdict.lines.clear();
        (verdict.growth, verdict.not_attributed) = (amount(0, 0), amount(0, 0));
        (verdict.limits.line, verdict.repeat) = (None, Repeat::Runs(1));
        let said = |verdict: &Verdict| sentence(verdict, &["./test".to_string()]);
        assert_eq!(said(&verdict), "./test: nothing grew; allowed: 0 B");
        verdict.repeat = Repeat::Repetitions(5);
        let expected = "./test: nothing grew with each repetition from 2 to 5; allowed: 0 B";
        assert_eq!(said(&verdict), expected);
    }
}
