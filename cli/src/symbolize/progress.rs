//! Says on a terminal that a large file is being read, and takes it back.
//!
//! Used by `dwarf`. A report of a browser takes seconds the first time: a user who sees nothing ends it. Where stderr is no terminal
//! nothing is written, ever.

use std::io::{self, IsTerminal, Write};

/// Files with less debug information than this are read before one has read the line.
const LARGE: u64 = 32 << 20;

/// Who is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Progress {
    /// Nobody.
    #[default]
    Silent,
    /// The user, on stderr.
    Terminal,
}

impl Progress {
    /// Where stderr is a terminal, its user.
    #[must_use]
    pub fn of_stderr() -> Progress {
        match io::stderr().is_terminal() {
            true => Progress::Terminal,
            false => Progress::Silent,
        }
    }

    /// Begins to read so many bytes of debug information; the line stays until what is returned is dropped.
    pub(crate) fn begin(self, name: &str, bytes: u64) -> Line {
        let is_shown = self == Progress::Terminal && bytes >= LARGE;
        let line = Line {
            name: crate::render::escape(name),
            bytes,
            done: 0,
            is_shown,
        };
        line.show();
        line
    }
}

/// A line on the terminal.
#[derive(Debug)]
pub(crate) struct Line {
    name: String,
    bytes: u64,
    done: u64,
    is_shown: bool,
}

impl Line {
    /// So many more bytes were read.
    pub(crate) fn add(&mut self, bytes: u64) {
        self.done += bytes;
        self.show();
    }

    fn show(&self) {
        if self.is_shown {
            write(&self.text());
        }
    }

    fn text(&self) -> String {
        let mib = |bytes: u64| bytes >> 20;
        let (done, bytes) = (mib(self.done), mib(self.bytes));
        let name = &self.name;
        format!("\r\x1b[Kreading the debug information of {name}: {done} of {bytes} MiB")
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if self.is_shown {
            write("\r\x1b[K");
        }
    }
}

/// A terminal that has gone is not a reason to stop.
fn write(text: &str) {
    let mut stderr = io::stderr().lock();
    let _shown = stderr
        .write_all(text.as_bytes())
        .and_then(|()| stderr.flush());
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Check the line, and that a small file and a silent reader have none.
    #[test]
    fn only_large_files_are_worth_a_line() {
        let mut line = Progress::Silent.begin("libfoo.so", 512 << 20);
        assert!(!line.is_shown);
        line.add(100 << 20);
        let expected = "\r\x1b[Kreading the debug information of libfoo.so: 100 of 512 MiB";
        assert_eq!(line.text(), expected);
        assert!(!Progress::Terminal.begin("small", LARGE - 1).is_shown);
    }
}
