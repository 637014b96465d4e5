//! A line of doctor's answer: whether it stands in the way, of what it is, what is so, and the next step.

use crate::error::Error;
use std::fmt;

/// Whether it stands in the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// As it should be.
    Ok,
    /// Good to know: less is seen than could be.
    Note,
    /// Stops tracing, or hides what it is for.
    Problem,
}

impl Level {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Level::Ok => "ok",
            Level::Note => "note",
            Level::Problem => "problem",
        }
    }
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Whether it stands in the way.
    pub level: Level,
    /// A file, a process, a variable.
    pub object: String,
    /// What is so, in words that follow "object: ".
    pub what: String,
    /// What to do about it.
    pub next: Option<String>,
}

impl Finding {
    /// As it should be.
    pub(super) fn ok(object: impl fmt::Display, what: impl Into<String>) -> Finding {
        Finding {
            level: Level::Ok,
            object: object.to_string(),
            what: what.into(),
            next: None,
        }
    }

    /// Good to know.
    pub(super) fn note(
        object: impl fmt::Display,
        what: impl Into<String>,
        next: impl Into<String>,
    ) -> Finding {
        Finding {
            level: Level::Note,
            next: Some(next.into()),
            ..Finding::ok(object, what)
        }
    }

    /// Stops tracing.
    pub(super) fn problem(
        object: impl fmt::Display,
        what: impl Into<String>,
        next: impl Into<String>,
    ) -> Finding {
        Finding {
            level: Level::Problem,
            ..Finding::note(object, what, next)
        }
    }
}

/// What `run` or `diff` would end with.
impl From<Error> for Finding {
    fn from(error: Error) -> Finding {
        Finding {
            level: Level::Problem,
            object: error.object().to_owned(),
            what: error.problem(),
            next: error.step().map(str::to_owned),
        }
    }
}
