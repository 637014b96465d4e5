//! The verdict as GitHub's workflow commands: each line that grew is an annotation on the pull request, at that line.
//!
//! The format (`::error file=…,line=…,title=…::…`) and what must be written out in it are GitHub's, "Workflow commands for GitHub Actions".

use super::text::sentence;
use super::verdict::{Finding, Verdict};
use crate::render::{blocks, signed_size};
use std::path::Path;

/// GitHub shows ten errors of a step, and no more.
const MOST: usize = 10;

/// The commands, a line each: errors where the check failed, else one notice.
#[must_use]
pub fn github(verdict: &Verdict, words: &[String], current_dir: Option<&Path>) -> String {
    let said = data(&sentence(verdict, words));
    if !verdict.failed() {
        return format!("::notice title=heapshim check::{said}\n");
    }
    let lines = verdict.lines.iter().take(MOST - 1);
    let lines = lines.map(|line| annotation(line, current_dir));
    let mut text: String = lines.collect();
    text.push_str(&format!("::error title=heapshim check::{said}\n"));
    text
}

fn annotation(line: &Finding, current_dir: Option<&Path>) -> String {
    let bytes = line.growth.bytes;
    let function = line.function.as_deref().unwrap_or("[no function known]");
    let title = property(&format!("heap grew by {}", signed_size(bytes)));
    let said = data(&format!(
        "{function}: {bytes} bytes in {}, at {}",
        blocks(line.growth.blocks).trim_start_matches('+'),
        line.place
    ));
    let place = match &line.place {
        crate::place::Place::Line(file, number) => {
            let file = property(below(file, current_dir));
            match number {
                0 => format!("file={file},"),
                number => format!("file={file},line={number},"),
            }
        }
        crate::place::Place::Address(..) => String::new(),
    };
    format!("::error {place}title={title}::{said}\n")
}

/// Annotations are put at paths of the repository, which is where a step runs.
fn below<'a>(file: &'a str, current_dir: Option<&Path>) -> &'a str {
    let below = current_dir.and_then(|dir| Path::new(file).strip_prefix(dir).ok()?.to_str());
    below.unwrap_or(file)
}

fn data(text: &str) -> String {
    let text = text.replace('%', "%25");
    text.replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::super::text::tests::{verdict, words};
    use super::*;

    /// Check an annotation for each line, at its path in the repository, and the sentence last.
    #[test]
    fn annotations() {
        let text = github(&verdict(), &words(), Some(Path::new("/home/u/server")));
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines[0],
            "::error file=src/conn.c,line=88,title=heap grew by +64.0 KiB::conn_new<a, b>: 65536 bytes in 16 blocks, \
             at /home/u/server/src/conn.c:88"
        );
        assert_eq!(lines.len(), 3);
        assert!(
            lines[2].starts_with("::error title=heapshim check::./test --all 'a b': 2 lines grew")
        );
    }

    /// Check that no name can begin a command of its own.
    #[test]
    fn hostile_names() {
        let mut verdict = verdict();
        verdict.lines[0].function = Some("f\n::error::x%0A".to_string());
        verdict.lines[0].place = crate::place::Place::Line("/a,b:c.c".to_string(), 1);
        let text = github(&verdict, &words(), None);
        assert_eq!(text.lines().count(), 3);
        assert!(
            text.starts_with("::error file=/a%2Cb%3Ac.c,line=1,"),
            "{text}"
        );
        assert!(text.contains("f%0A::error::x%250A"), "{text}");
    }

    /// What GitHub makes of a command: its properties and its message. As its runner reads them (actions/runner, `ActionCommand`): what is
    /// written out is `%25`, `%0D` and `%0A`, in properties also `%3A` and `%2C`.
    fn read(command: &str) -> (Vec<(String, String)>, String) {
        let data = |text: &str| {
            let text = text.replace("%0D", "\r").replace("%0A", "\n");
            text.replace("%25", "%")
        };
        let property = |text: &str| data(&text.replace("%3A", ":").replace("%2C", ","));
        let rest = command.strip_prefix("::error ").expect("an error");
        let (properties, message) = rest.split_once("::").expect("a message");
        let each = properties.split(',').map(|one| {
            let (name, value) = one.split_once('=').expect("a value");
            (name.to_owned(), property(value))
        });
        (each.collect(), data(message))
    }

    /// Check that GitHub reads back what was meant, whatever a name holds: `%`, ends of lines, `:` and `,`, and what looks as if it were written out.
    #[test]
    fn read_back() {
        for name in [
            "50%,a:b",
            "a\r\nb",
            "::error::",
            "100%25",
            "%0A%2C",
            "a,line=7::",
            "=",
        ] {
            let mut verdict = verdict();
            verdict.lines.truncate(1);
            verdict.lines[0].function = Some(name.to_string());
            verdict.lines[0].place = crate::place::Place::Line(name.to_string(), 3);
            let text = github(&verdict, &words(), None);
            let lines: Vec<&str> = text.split('\n').collect();
            assert!(lines.len() == 3 && lines[2].is_empty(), "{text}");
            assert!(!text.contains('\r'), "{text}");
            let (properties, message) = read(lines[0]);
            let expected = [
                ("file", name),
                ("line", "3"),
                ("title", "heap grew by +64.0 KiB"),
            ];
            let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
            assert_eq!(properties, expected, "{text}");
            let starts = format!("{name}: 65536 bytes in 16 blocks, at ");
            assert!(message.starts_with(&starts), "{message}");
        }
    }
}
