//! Patterns over names: `*` any text, `?` one character, `[abc]`, `[0-9]`, `[!x]` one of a set, everything else itself.
//!
//! Used by `blame` (what is passed over) and by `diff` (`--include`, `--exclude`). `*` also matches `/` and `::`: these are
//! names, not paths to expand. The whole name must match. Linear in pattern times name, whatever the pattern is; most names are none of most
//! patterns', and that is seen at the pattern's plain text alone.

/// A pattern, ready to be compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glob {
    parts: Vec<Part>,
    /// How every name that matches begins, and how it ends.
    begins: String,
    ends: String,
    /// The longest plain text between two parts that are not: every name that matches has it.
    holds: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Char(char),
    One,
    Any,
    Set {
        inverted: bool,
        ranges: Vec<(char, char)>,
    },
}

impl Glob {
    /// The pattern that this text is. Any text is one: a `[` that is not closed is itself.
    #[must_use]
    pub fn new(pattern: &str) -> Glob {
        let chars: Vec<char> = pattern.chars().collect();
        let mut parts = Vec::new();
        let mut at = 0;
        while at < chars.len() {
            let (part, next) = part(&chars, at);
            // `**` is `*`.
            if !(part == Part::Any && parts.last() == Some(&Part::Any)) {
                parts.push(part);
            }
            at = next;
        }
        let mut texts: Vec<String> = parts
            .split(|part| !matches!(part, Part::Char(_)))
            .map(text)
            .collect();
        let ends = texts.pop().unwrap_or_default();
        let holds = texts.iter().skip(1).max_by_key(|text| text.len());
        Glob {
            holds: holds.cloned().unwrap_or_default(),
            begins: texts.first().unwrap_or(&ends).clone(),
            ends,
            parts,
        }
    }

    /// True where nothing in it is special: it matches one name.
    #[must_use]
    pub fn is_literal(&self) -> bool {
        self.parts.iter().all(|part| matches!(part, Part::Char(_)))
    }

    /// True where the whole name matches.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        name.starts_with(&self.begins)
            && name.ends_with(&self.ends)
            && memchr::memmem::find(name.as_bytes(), self.holds.as_bytes()).is_some()
            && self.matches_whole(name)
    }

    fn matches_whole(&self, name: &str) -> bool {
        let mut at = 0;
        let mut rest = name.chars();
        // Where to go on when a later part fails: the `*` last passed takes one character more.
        let mut retry: Option<(usize, std::str::Chars<'_>)> = None;
        loop {
            if self.parts.get(at) == Some(&Part::Any) {
                retry = Some((at, rest.clone()));
                at += 1;
                continue;
            }
            let matched = match (self.parts.get(at), rest.next()) {
                (None, None) => return true,
                (Some(part), Some(char)) => part.matches(char),
                _ => false,
            };
            if matched {
                at += 1;
                continue;
            }
            let Some((star, mut from)) = retry.take() else {
                return false;
            };
            if from.next().is_none() {
                return false;
            }
            rest = from.clone();
            retry = Some((star, from));
            at = star + 1;
        }
    }
}

impl Part {
    fn matches(&self, char: char) -> bool {
        match self {
            Part::Char(own) => *own == char,
            Part::One | Part::Any => true,
            Part::Set { inverted, ranges } => {
                let inside = ranges
                    .iter()
                    .any(|&(low, high)| (low..=high).contains(&char));
                inside != *inverted
            }
        }
    }
}

/// The text of parts that are characters.
fn text(parts: &[Part]) -> String {
    let chars = parts.iter().filter_map(|part| match part {
        Part::Char(char) => Some(*char),
        _ => None,
    });
    chars.collect()
}

/// The part that begins at `at`, and where the next one does.
fn part(chars: &[char], at: usize) -> (Part, usize) {
    match chars[at] {
        '*' => (Part::Any, at + 1),
        '?' => (Part::One, at + 1),
        '[' => set(chars, at).unwrap_or((Part::Char('['), at + 1)),
        other => (Part::Char(other), at + 1),
    }
}

fn set(chars: &[char], open: usize) -> Option<(Part, usize)> {
    let inverted = matches!(chars.get(open + 1), Some('!' | '^'));
    let first = open + 1 + usize::from(inverted);
    // `]` as the first member is a member, and `operator new[]` has no members: it stays what it says.
    let close = first
        + 1
        + chars
            .get(first + 1..)?
            .iter()
            .position(|&char| char == ']')?;
    if chars[first] == ']' {
        return None;
    }
    let mut ranges = Vec::new();
    let mut at = first;
    while at < close {
        if at + 2 < close && chars[at + 1] == '-' {
            ranges.push((chars[at], chars[at + 2]));
            at += 3;
        } else {
            ranges.push((chars[at], chars[at]));
            at += 1;
        }
    }
    Some((Part::Set { inverted, ranges }, close + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, name: &str) -> bool {
        Glob::new(pattern).matches(name)
    }

    /// Check literals, one character and any text, at each end and in the middle.
    #[test]
    fn stars_and_marks() {
        assert!(matches("xmalloc", "xmalloc"));
        assert!(!matches("xmalloc", "xmalloc_stats_dump"));
        assert!(matches("libc.so.?", "libc.so.6"));
        assert!(!matches("libc.so.?", "libc.so."));
        assert!(matches("*/bits/*", "/usr/include/bits/x.h"));
        assert!(matches("a*b*c", "a-b-b-c"));
        assert!(!matches("a*b*c", "a-b-b-d"));
        assert!(matches("*", ""));
        assert!(!matches("?", ""));
    }

    /// Check sets, their inversion and ranges.
    #[test]
    fn sets() {
        assert!(matches("hashbrown-[0-9]*", "hashbrown-0.15.2"));
        assert!(!matches("hashbrown-[0-9]*", "hashbrown-mine"));
        assert!(matches("[!a]b", "cb"));
        assert!(!matches("[!a]b", "ab"));
    }

    /// Check that brackets that make no set are themselves: `operator new[]`.
    #[test]
    fn brackets_without_members_are_text() {
        assert!(matches("operator new[]", "operator new[]"));
        assert!(matches("[vdso", "[vdso"));
        assert!(Glob::new("operator new[]").is_literal());
    }

    /// Check that a pattern made to backtrack ends soon.
    #[test]
    fn many_stars_end_soon() {
        let pattern = "*a".repeat(200) + "b";
        assert!(!matches(&pattern, &"a".repeat(5000)));
    }

    /// Check that a look at the plain text never says other than the whole comparison: all patterns and names of a few characters.
    #[test]
    fn plain_text_decides_nothing_else() {
        let words = |letters: &str, len: u32| {
            let letters: Vec<char> = letters.chars().collect();
            let count = letters.len().pow(len);
            (0..count).map(move |mut number| {
                let mut word = String::new();
                for _ in 0..len {
                    word.push(letters[number % letters.len()]);
                    number /= letters.len();
                }
                word
            })
        };
        let names: Vec<String> = (0..5).flat_map(|len| words("abé", len)).collect();
        for pattern in (0..6).flat_map(|len| words("ab*?", len)) {
            let glob = Glob::new(&pattern);
            for name in &names {
                let whole = glob.matches_whole(name);
                assert_eq!(glob.matches(name), whole, "{pattern} {name}");
            }
        }
    }

    /// Check that characters beyond ASCII count as one.
    #[test]
    fn characters_not_bytes() {
        assert!(matches("?", "é"));
        assert!(matches("*é*", "caché/x.c"));
    }
}
