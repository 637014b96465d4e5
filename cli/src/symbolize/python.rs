//! Frames of Python code, whose names and lines the interpreter itself has given to the shim.
//!
//! Called by `cache`. Nothing is looked up: what is decided here is what a script is called. `co_filename` is whatever the
//! code was compiled from: an absolute path, one that is relative to the directory that the process was started in (the script
//! of the command line, before CPython 3.9), or no file at all (`<frozen importlib._bootstrap>`, `<string>`), which stays as it is.

use crate::model::Code;
use crate::symbolize::{Language, Reason, SymbolFrame};

/// The frame of `code` at `line` (0: the instruction has none), its file made absolute by `directory` where that is given.
pub(super) fn python_frame(code: &Code, line: u32, directory: Option<&str>) -> SymbolFrame {
    let file = directory.map(|directory| absolute(directory, &code.file));
    let file = file.unwrap_or_else(|| code.file.clone());
    let base = code.file.rsplit('/').next().unwrap_or_default();
    SymbolFrame {
        line: (line > 0).then_some(line),
        function: Some(code.name.clone()).filter(|name| !name.is_empty()),
        language: Language::Python,
        reason: (line == 0 || file.is_empty()).then(|| Reason::NoLine(base.to_string())),
        file: Some(file).filter(|file| !file.is_empty()),
        module: None,
        address: 0,
        inlined: false,
        wrapper: false,
    }
}

/// What code was compiled from, made absolute by a directory where it is a relative path; what is in angle brackets is no path.
#[must_use]
pub fn absolute(directory: &str, file: &str) -> String {
    if file.is_empty() || file.starts_with(['/', '<']) || !directory.starts_with('/') {
        return file.to_string();
    }
    let file = file.strip_prefix("./").unwrap_or(file);
    format!("{}/{file}", directory.trim_end_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(file: &str, name: &str) -> Code {
        Code {
            file: file.to_string(),
            name: name.to_string(),
            first_line: 1,
        }
    }

    /// Check which names of sources are made absolute, and by what.
    #[test]
    fn names_of_sources() {
        for (file, directory, expected) in [
            ("/srv/app.py", Some("/home/u"), "/srv/app.py"),
            ("app.py", Some("/home/u"), "/home/u/app.py"),
            ("./app.py", Some("/"), "/app.py"),
            ("../app.py", Some("/home/u"), "/home/u/../app.py"),
            ("app.py", None, "app.py"),
            ("app.py", Some(""), "app.py"),
            ("<string>", Some("/home/u"), "<string>"),
            (
                "<frozen importlib._bootstrap>",
                Some("/"),
                "<frozen importlib._bootstrap>",
            ),
        ] {
            let frame = python_frame(&code(file, "f"), 7, directory);
            assert_eq!(frame.file.as_deref(), Some(expected));
            assert_eq!((frame.line, frame.reason), (Some(7), None));
            assert_eq!(frame.function.as_deref(), Some("f"));
        }
    }

    /// Check that what the ledger does not have is said to be missing, and is neither line 0 nor a file without a name.
    #[test]
    fn missing_parts() {
        let frame = python_frame(&code("/srv/app.py", ""), 0, None);
        assert_eq!((frame.line, frame.function), (None, None));
        assert_eq!(frame.reason, Some(Reason::NoLine("app.py".to_string())));
        let frame = python_frame(&code("", "f"), 3, Some("/home/u"));
        assert_eq!(frame.file, None);
        assert!(frame.reason.is_some());
    }
}
