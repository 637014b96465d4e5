//! The verdict as JUnit XML, which CI systems show beside their other tests: one test case, the command.

use super::text::{lines, sentence};
use super::verdict::Verdict;
use crate::export::xml::text as xml;
use std::path::Path;

/// The whole file.
#[must_use]
pub fn junit(verdict: &Verdict, words: &[String], current_dir: Option<&Path>) -> String {
    let failures = u8::from(verdict.failed());
    let name = xml(&words.join(" "));
    let message = xml(&sentence(verdict, words));
    let lines = xml(&lines(verdict, current_dir));
    let inside = match verdict.failed() {
        true => format!("<failure type=\"growth\" message=\"{message}\">\n{lines}</failure>"),
        false => format!("<system-out>{message}\n{lines}</system-out>"),
    };
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <testsuites tests=\"1\" failures=\"{failures}\" errors=\"0\">\n\
         <testsuite name=\"heapshim check\" tests=\"1\" failures=\"{failures}\" errors=\"0\" skipped=\"0\">\n\
         <testcase classname=\"heapshim\" name=\"{name}\">\n{inside}\n</testcase>\n</testsuite>\n</testsuites>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::super::text::tests::{verdict, words};
    use super::*;

    /// Check a failure, in which no name is markup, and a pass.
    #[test]
    fn failure_and_pass() {
        let mut verdict = verdict();
        let file = junit(&verdict, &words(), None);
        assert!(file.contains("failures=\"1\""), "{file}");
        assert!(file.contains("name=\"./test --all a b\">\n<failure type=\"growth\" message=\""));
        assert!(
            file.contains("src/conn.c:88  conn_new&lt;a, b&gt;   over"),
            "{file}"
        );
        verdict.limits.whole = None;
        verdict.lines[0].over = false;
        let file = junit(&verdict, &words(), None);
        assert!(
            file.contains("failures=\"0\"") && file.contains("<system-out>"),
            "{file}"
        );
    }
}
