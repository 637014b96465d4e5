//! Suppressions: growth that the user knows of.
//!
//! LeakSanitizer's files are read as they are: `leak:PATTERN` leaves out each stack of which a frame's function, file or module has the
//! pattern in it (`*` is any text, `^` and `$` the two ends); `#` begins a comment. Ours as well: `line:PATTERN` leaves out lines, by the
//! patterns of `--exclude` (`line:conn.c:88`, `line:src/*.c:80-95`).

use crate::diff::Pattern;
use crate::error::{Error, Kind};
use crate::report::{Amount, Row};
use crate::symbolize::SymbolFrame;

/// All of them, with what each left out.
#[derive(Clone, Debug, Default)]
pub struct Suppressions(Vec<Suppression>);

#[derive(Clone, Debug)]
struct Suppression {
    text: String,
    rule: Rule,
    used: Amount,
}

#[derive(Clone, Debug)]
enum Rule {
    Leak(Template),
    Line(Pattern),
}

/// A pattern of LeakSanitizer's.
#[derive(Clone, Debug)]
struct Template {
    /// What stands between the stars, in its order.
    pieces: Vec<String>,
    from_start: bool,
    to_end: bool,
}

impl Suppressions {
    /// Reads them; `object` names the file in errors.
    ///
    /// # Errors
    /// `Usage` for a line of another kind, with its number.
    pub fn parse(text: &str, object: &str) -> Result<Suppressions, Error> {
        let lines = (1..).zip(text.lines().map(str::trim));
        let mut all = Vec::new();
        for (number, line) in lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#')) {
            let rule = match line.split_once(':') {
                Some(("leak", pattern)) if !pattern.is_empty() => {
                    Rule::Leak(Template::new(pattern))
                }
                Some(("line", pattern)) if !pattern.is_empty() => Rule::Line(Pattern::new(pattern)),
                _ => {
                    let object = format!("{object}:{number}");
                    let problem = format!("'{line}' is no suppression");
                    let next = "write leak:PATTERN or line:FILE:LINE";
                    return Err(Error::new(Kind::Usage, object, problem).next(next));
                }
            };
            all.push(Suppression {
                text: line.to_string(),
                rule,
                used: Amount::default(),
            });
        }
        Ok(Suppressions(all))
    }

    /// True where there are none: then nobody needs whole stacks.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// True where a stack is suppressed; the first that matches is charged with what it left out.
    pub fn take(&mut self, row: &Row) -> bool {
        let found = self.0.iter_mut().find(|one| one.rule.matches(row));
        if let Some(one) = found {
            one.used += row.growth;
            return true;
        }
        false
    }

    /// Those that left something out, and how much over all runs.
    #[must_use]
    pub fn used(&self) -> Vec<(String, Amount)> {
        let used = self.0.iter().filter(|one| one.used != Amount::default());
        used.map(|one| (one.text.clone(), one.used)).collect()
    }
}

impl Rule {
    fn matches(&self, row: &Row) -> bool {
        match self {
            Rule::Leak(template) => row.stack.iter().any(|frame| template.matches_frame(frame)),
            Rule::Line(pattern) => row
                .blamed_frame()
                .is_some_and(|frame| pattern.matches(frame)),
        }
    }
}

impl Template {
    fn new(pattern: &str) -> Template {
        let inner = pattern.strip_prefix('^');
        let from_start = inner.is_some();
        let inner = inner.unwrap_or(pattern);
        let to_end = inner.ends_with('$');
        let inner = inner.strip_suffix('$').unwrap_or(inner);
        Template {
            pieces: inner.split('*').map(str::to_string).collect(),
            from_start,
            to_end,
        }
    }

    fn matches_frame(&self, frame: &SymbolFrame) -> bool {
        let names = [&frame.function, &frame.file, &frame.module];
        let mut names = names.into_iter().flatten();
        names.any(|name| self.matches(name))
    }

    /// True where the pieces follow each other in the name, the first at its start and the last at its end where that is asked.
    fn matches(&self, name: &str) -> bool {
        let [first, between @ .., last] = &*self.pieces else {
            let whole = self.pieces.first().map_or("", String::as_str);
            return match (self.from_start, self.to_end) {
                (true, true) => name == whole,
                (true, false) => name.starts_with(whole),
                (false, true) => name.ends_with(whole),
                (false, false) => name.contains(whole),
            };
        };
        let after = |rest: &str, piece: &str| {
            let at = rest.find(piece)?;
            rest.get(at + piece.len()..).map(str::to_string)
        };
        let rest = match self.from_start {
            true => name.strip_prefix(first.as_str()).map(str::to_string),
            false => after(name, first),
        };
        let rest = between
            .iter()
            .fold(rest, |rest, piece| after(&rest?, piece));
        rest.is_some_and(|rest| match self.to_end {
            true => rest.ends_with(last.as_str()),
            false => rest.contains(last.as_str()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    fn matches(pattern: &str, name: &str) -> bool {
        Template::new(pattern).matches(name)
    }

    /// Check patterns as LeakSanitizer has them: anywhere, stars, both ends.
    #[test]
    fn templates() {
        for (pattern, name) in [
            ("init", "libfoo_init_once"),
            ("^foo", "foo_init"),
            ("init$", "foo_init"),
            ("^foo$", "foo"),
            ("foo*once", "xfoo_init_oncex"),
            ("^foo*once$", "foo_init_once"),
            ("^a*b*c$", "a-bb-c"),
            ("*", "anything"),
            ("/libfoo.so", "/usr/lib/libfoo.so.3"),
            ("a*aa$", "aaaa"),
        ] {
            assert!(matches(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [
            ("^foo", "xfoo"),
            ("init$", "init_once"),
            ("^foo$", "foo1"),
            ("once*foo", "foo_init_once"),
            ("^foo*once$", "foo_init_oncex"),
            ("^ab*ba$", "aba"),
        ] {
            assert!(!matches(pattern, name), "{pattern} {name}");
        }
    }

    /// Check which stacks are suppressed: by any frame's function, file or module, or by the blamed line alone; and what is counted.
    #[test]
    fn stacks_and_lines() {
        let report = fixture::report();
        let conn = &report.rows[1];
        let taken = |text: &str| Suppressions::parse(text, "s").expect("sound").take(conn);
        for text in [
            "leak:^malloc$",
            "leak:util.c",
            "# a comment\n\n  leak:/usr/bin/server\n",
            "line:conn.c:88",
            "line:src/conn.c:80-95\nleak:nothing",
            "line:conn_new",
        ] {
            assert_eq!(taken(text), !text.contains("src/conn.c:80"), "{text}");
        }
        for text in ["leak:conn.cc", "line:conn.c:89", "line:util.c:12", ""] {
            assert!(!taken(text), "{text}");
        }
        let mut all = Suppressions::parse("leak:malloc\nleak:conn", "s").expect("sound");
        assert!(all.take(conn) && all.take(conn));
        assert_eq!(
            all.used(),
            [("leak:malloc".to_string(), fixture::amount(131_072, 32))]
        );
    }

    /// Check that a line of another kind is refused, with its number.
    #[test]
    fn other_lines() {
        for text in ["leak:a\nrace:b", "\nleak:", "# c\nconn.c:88"] {
            let error = Suppressions::parse(text, "known.supp").expect_err("refused");
            assert!(error.to_string().starts_with("known.supp:2: '"), "{error}");
            assert_eq!(error.kind(), Kind::Usage);
        }
    }
}
