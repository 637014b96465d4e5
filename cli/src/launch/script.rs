//! What a script's first line names: its interpreter, and behind `env` the program that is meant.
//!
//! Called by `executable`. The kernel reads the line (execve(2)): the interpreter's path, then all the rest as one argument. `env` looks its
//! own argument up in PATH, which is how most scripts name theirs: what is traced is that program.

use super::image::Obstacle;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// Bytes that the kernel reads of a `#!` line.
const MAX_LINE: usize = 256;

/// What a `#!` line asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// The interpreter.
    pub(super) interpreter: PathBuf,
    /// The program that `env` is to look for, where the interpreter is that.
    pub(super) program: Option<OsString>,
}

/// The `#!` line that a file begins with.
pub(super) fn line(head: &[u8]) -> Option<Line> {
    let rest = head.strip_prefix(b"#!")?;
    let rest = rest.get(..MAX_LINE).unwrap_or(rest);
    let rest = rest.split(|&byte| byte == b'\n').next()?.trim_ascii();
    let end = rest.iter().position(u8::is_ascii_whitespace);
    let (word, argument) = rest.split_at(end.unwrap_or(rest.len()));
    let interpreter = PathBuf::from(OsStr::from_bytes(word));
    let is_env = interpreter.file_name() == Some(OsStr::new("env"));
    let program = is_env.then(|| of_env(argument.trim_ascii())).flatten();
    (!word.is_empty()).then_some(Line {
        interpreter,
        program,
    })
}

/// The program in `env`'s argument: with -S it is split as a shell would, options and variables come first.
fn of_env(argument: &[u8]) -> Option<OsString> {
    let split = argument.strip_prefix(b"-S");
    let words = match split.or_else(|| argument.strip_prefix(b"--split-string=")) {
        Some(rest) => shlex::bytes::split(rest)?,
        None => vec![argument.to_vec()],
    };
    let mut words = words.into_iter();
    let program = words.find(|word| !word.starts_with(b"-") && !word.contains(&b'='))?;
    (!program.is_empty()).then(|| OsString::from_vec(program))
}

/// What to say of an interpreter that is not there, or is no program.
pub(super) fn missing(interpreter: &Path) -> Obstacle {
    let path = interpreter.display();
    let what = match interpreter.exists() {
        true => format!("its interpreter {path} is not executable"),
        false => format!("its interpreter {path} is not there"),
    };
    Obstacle::new(what, "correct the script's first line, or install it")
}

/// What to say of a program that `env` does not find.
pub(super) fn not_in_path(program: &OsStr) -> Obstacle {
    let what = format!("its interpreter {} is not in PATH", program.display());
    Obstacle::new(what, "install it, or add its directory to PATH")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Check what a first line names, with and without `env`, its options and its variables.
    #[test]
    fn lines() {
        let named = |text: &str| {
            let line = line(text.as_bytes())?;
            let program = line.program.map(|name| name.into_string().unwrap());
            Some((line.interpreter.display().to_string(), program))
        };
        let env = |name: &str| Some(("/usr/bin/env".to_owned(), Some(name.to_owned())));
        assert_eq!(named("#! /bin/sh -e\n"), Some(("/bin/sh".into(), None)));
        assert_eq!(named("#!/usr/bin/env python3\nx"), env("python3"));
        assert_eq!(named("#!/usr/bin/env -S A=1 perl -w\n"), env("perl"));
        assert_eq!(named("#!/usr/bin/env -S -i 'my prog'\n"), env("my prog"));
        let nothing = Some(("/usr/bin/env".to_owned(), None));
        assert_eq!(named("#!/usr/bin/env\n"), nothing);
        assert_eq!((named("#!\n"), named("echo")), (None, None));
        let long = format!("#!/{}\n", "x".repeat(2 * MAX_LINE));
        let cut = named(&long).expect("a line").0;
        assert_eq!(cut.len(), MAX_LINE);
    }
}
