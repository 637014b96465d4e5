//! What a report is printed to, as far as its looks depend on that: colours and columns.
//!
//! Asked by the commands before they render; the renderers are told the answer and never ask themselves.

use rustix::termios::tcgetwinsize;
use std::env;
use std::io::IsTerminal;
use std::os::fd::AsFd;

/// `--color`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Color {
    /// On a terminal, unless `NO_COLOR` is set (no-color.org).
    Auto,
    /// Everywhere.
    Always,
    /// Nowhere.
    Never,
}

/// A stream or file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stream {
    /// With terminal colours.
    pub color: bool,
    /// Columns of the terminal; None: it is none.
    pub width: Option<usize>,
}

impl Stream {
    /// One of our standard streams.
    #[must_use]
    pub fn of(stream: &(impl AsFd + IsTerminal), color: Color) -> Stream {
        if !stream.is_terminal() {
            return Stream::file(color);
        }
        let plain = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let columns = tcgetwinsize(stream).map_or(0, |size| size.ws_col);
        Stream {
            color: color == Color::Always || color == Color::Auto && !plain,
            width: Some(usize::from(columns)).filter(|&columns| columns > 0),
        }
    }

    /// A file, a pipe: no terminal.
    #[must_use]
    pub fn file(color: Color) -> Stream {
        Stream {
            color: color == Color::Always,
            width: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::os::fd::{FromRawFd, OwnedFd};

    /// Both ends of a terminal of so many columns. (libc's: rustix's would be a feature of its own, and a second build of it.)
    fn terminal(columns: u16) -> [File; 2] {
        let size = libc::winsize {
            ws_row: 24,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        let (mut ends, none) = ([-1; 2], std::ptr::null_mut());
        let [ours, theirs] = &mut ends;
        // SAFETY: both numbers and the size live through the call, and null asks for neither a name nor other settings.
        let failed = unsafe { libc::openpty(ours, theirs, none, none.cast(), &raw const size) };
        assert_eq!(failed, 0);
        // SAFETY: just made, and owned by nobody else.
        ends.map(|end| unsafe { OwnedFd::from_raw_fd(end) }.into())
    }

    /// Check that a terminal has columns and colours unless they are not wanted, and that a file has neither unless they are.
    #[test]
    fn terminals_and_files() {
        let [_ours, theirs] = terminal(71);
        assert_eq!(Stream::of(&theirs, Color::Never).width, Some(71));
        assert!(Stream::of(&theirs, Color::Always).color);
        assert!(!Stream::of(&theirs, Color::Never).color);
        let [_ours, theirs] = terminal(0);
        assert_eq!(Stream::of(&theirs, Color::Auto).width, None);
        let file = File::open("/dev/null").expect("opened");
        let stream = Stream::of(&file, Color::Auto);
        assert_eq!((stream.color, stream.width), (false, None));
        assert!(Stream::of(&file, Color::Always).color);
    }
}
