//! `--include` and `--exclude`: which frames have rows.
//!
//! Called by `rows` with each frame that is charged, and by `check` for its suppressions. A pattern is compared with its file, function and module, paths also by
//! their last part; one that ends in `:56` or `:50-60` with its file and those lines.

use super::Options;
use crate::blame::without_arguments;
use crate::glob::Glob;
use crate::symbolize::SymbolFrame;
use std::ops::RangeInclusive;

/// Both options.
#[derive(Clone, Debug)]
pub(super) struct Filter {
    include: Vec<Pattern>,
    exclude: Vec<Pattern>,
}

/// One pattern.
#[derive(Clone, Debug)]
pub(crate) enum Pattern {
    Name(Glob),
    Lines(Glob, RangeInclusive<u32>),
}

impl Filter {
    pub(super) fn new(options: &Options) -> Filter {
        let patterns = |texts: &[String]| texts.iter().map(|text| Pattern::new(text)).collect();
        Filter {
            include: patterns(&options.include),
            exclude: patterns(&options.exclude),
        }
    }

    /// True for a frame that one of `--include` wants, or that there is no `--include` to want, and no `--exclude` leaves out.
    pub(super) fn passes(&self, frame: &SymbolFrame) -> bool {
        let any = |patterns: &[Pattern]| patterns.iter().any(|pattern| pattern.matches(frame));
        (self.include.is_empty() || any(&self.include)) && !any(&self.exclude)
    }
}

impl Pattern {
    pub(crate) fn new(text: &str) -> Pattern {
        match with_lines(text) {
            Some((file, lines)) => Pattern::Lines(Glob::new(file), lines),
            None => Pattern::Name(Glob::new(text)),
        }
    }

    pub(crate) fn matches(&self, frame: &SymbolFrame) -> bool {
        match self {
            Pattern::Lines(glob, lines) => {
                let names = with_base(frame.file.as_deref());
                let at_line = frame.line.is_some_and(|line| lines.contains(&line));
                at_line && names.into_iter().flatten().any(|name| glob.matches(name))
            }
            Pattern::Name(glob) => {
                let function = frame.function.as_deref();
                let short = function.map(without_arguments);
                let paths = [&frame.file, &frame.module].map(|path| with_base(path.as_deref()));
                let names = paths
                    .into_iter()
                    .flatten()
                    .chain([function, short.as_deref()]);
                names.flatten().any(|name| glob.matches(name))
            }
        }
    }
}

/// A path, and its last part.
fn with_base(path: Option<&str>) -> [Option<&str>; 2] {
    [path, path.and_then(|path| path.rsplit('/').next())]
}

/// The file and the lines of `FILE:LINE` and `FILE:FIRST-LAST`; None for any other text, C++'s `a::b` included.
fn with_lines(text: &str) -> Option<(&str, RangeInclusive<u32>)> {
    let (file, lines) = text.rsplit_once(':')?;
    let (first, last) = lines.split_once('-').unwrap_or((lines, lines));
    let number = |digits: &str| digits.parse().ok().filter(|_| !digits.starts_with('+'));
    (!file.is_empty() && !file.ends_with(':')).then_some((file, number(first)?..=number(last)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{cpp_frame, python_frame};

    fn passes(include: &[&str], exclude: &[&str], frame: &SymbolFrame) -> bool {
        let owned = |texts: &[&str]| texts.iter().map(ToString::to_string).collect();
        let options = Options {
            include: owned(include),
            exclude: owned(exclude),
            ..Options::default()
        };
        Filter::new(&options).passes(frame)
    }

    /// Check patterns with a line, with lines, and what only looks like them.
    #[test]
    fn lines() {
        let frame = python_frame("put", "/lib/aiohttp/web_response.py", 56);
        for pattern in [
            "web_response.py:56",
            "web_response.py:50-60",
            "*/aiohttp/*:56-56",
            "/lib/aiohttp/web_response.py:1-4294967295",
        ] {
            assert!(passes(&[pattern], &[], &frame), "{pattern}");
            assert!(!passes(&[], &[pattern], &frame), "{pattern}");
        }
        for pattern in [
            "web_response.py:57",
            "web_response.py:57-60",
            "web_response.py:60-50",
            "put:56",
            "web_response.py:",
            ":56",
            "web_response.py:5x",
            "web_response.py:+56",
            "web_response.py:99999999999",
        ] {
            assert!(!passes(&[pattern], &[], &frame), "{pattern}");
        }
        let mut frame = cpp_frame("ns::f", "/src/x.cc", 1);
        assert!(passes(&["ns::f"], &[], &frame));
        frame.function = Some("ns::1".to_string());
        assert!(passes(&["ns::1"], &[], &frame));
    }

    /// Check that one of several wanted patterns is enough, and that one unwanted one is too.
    #[test]
    fn several() {
        let frame = python_frame("Cache.put", "/srv/cache.py", 9);
        assert!(passes(&["nothing", "Cache.*"], &[], &frame));
        assert!(!passes(&["Cache.*"], &["nothing", "cache.py:9"], &frame));
        assert!(passes(&[], &[], &frame));
    }
}
