//! What the command could not do: one line that names the object, what failed, and the next step.
//!
//! Made by every stage, printed by `main` alone, which also turns the kind into an exit status. An unresolved address is no
//! error (it is data with a reason), and neither is anything that the report can say in a number of its own.

use std::error::Error as StdError;
use std::fmt;
use std::io;

/// What sort of failure it is: this decides the exit status, never the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The words of the command line do not go together.
    Usage,
    /// What was asked for is not there.
    Missing,
    /// It is there and belongs to somebody else.
    Denied,
    /// It is there and is not what it should be.
    Damaged,
    /// The system refused something that should have worked.
    Failed,
    /// The reader of our output has gone: no failure of ours.
    Closed,
}

/// A failure, with everything that its line says.
#[derive(Debug)]
pub struct Error {
    kind: Kind,
    object: String,
    problem: String,
    next: Option<String>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// A failure of `object`: `problem` says what it is, in words that follow "object: ". Where nothing in particular was asked for, `object`
    /// is empty and `problem` stands by itself.
    pub fn new(kind: Kind, object: impl fmt::Display, problem: impl Into<String>) -> Error {
        Error {
            kind,
            object: object.to_string(),
            problem: problem.into(),
            next: None,
            source: None,
        }
    }

    /// An input or output failure, told apart by what the system said.
    pub fn io(object: impl fmt::Display, action: &str, source: impl Into<io::Error>) -> Error {
        let source = source.into();
        let kind = match source.kind() {
            io::ErrorKind::NotFound => Kind::Missing,
            io::ErrorKind::PermissionDenied => Kind::Denied,
            io::ErrorKind::BrokenPipe => Kind::Closed,
            _ => Kind::Failed,
        };
        Error::new(kind, object, action).because(source)
    }

    /// Adds the step that the user can take next.
    #[must_use]
    pub fn next(mut self, step: impl Into<String>) -> Error {
        self.next = Some(step.into());
        self
    }

    /// Adds what caused it.
    #[must_use]
    pub fn because(mut self, source: impl StdError + Send + Sync + 'static) -> Error {
        self.source = Some(Box::new(source));
        self
    }

    /// What it is about.
    #[must_use]
    pub fn object(&self) -> &str {
        &self.object
    }

    /// What is wrong, with its cause.
    #[must_use]
    pub fn problem(&self) -> String {
        match &self.source {
            Some(source) => format!("{}: {}", self.problem, plain(&source.to_string())),
            None => self.problem.clone(),
        }
    }

    /// The step that the user can take next.
    #[must_use]
    pub fn step(&self) -> Option<&str> {
        self.next.as_deref()
    }

    /// What sort of failure it is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = match self.object.as_str() {
            "" => self.problem(),
            object => format!("{object}: {}", self.problem()),
        };
        if let Some(next) = &self.next {
            line.push_str("; ");
            line.push_str(next);
        }
        // One line whatever a name holds: a file name may contain a newline or an escape sequence.
        f.write_str(&line.replace(char::is_control, "?"))
    }
}

/// What the system said, without the number that std adds to it.
fn plain(cause: &str) -> String {
    let number = cause.rfind(" (os error ").filter(|_| cause.ends_with(')'));
    cause[..number.unwrap_or(cause.len())].to_owned()
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Check that the line names object, problem, cause and next step, in one line also for a hostile name.
    #[test]
    fn line() {
        let error = Error::io(
            "a\nb",
            "not read",
            io::Error::from_raw_os_error(libc::EACCES),
        )
        .next("do this");
        assert_eq!(
            error.to_string(),
            "a?b: not read: Permission denied; do this"
        );
        assert_eq!(error.kind(), Kind::Denied);
        let error = Error::new(Kind::Missing, "", "no process is traced");
        assert_eq!(error.to_string(), "no process is traced");
    }

    /// Check that a closed pipe is told apart from other failures.
    #[test]
    fn closed_pipe() {
        let error = Error::io("stdout", "not written", io::ErrorKind::BrokenPipe);
        assert_eq!(error.kind(), Kind::Closed);
    }
}
