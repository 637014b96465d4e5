//! The terminal while it is ours: raw, on its second screen, and given back as it was whatever ends us.
//!
//! Given back when a `Screen` is dropped (an end, an error), by the hook of panics before a panic prints its words, and before a signal that
//! ends us is let do so (`events`). SIGKILL alone leaves a terminal as it is: `reset` helps then.

use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::cursor::Show;
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use ratatui::{Frame, Terminal};
use std::io::{self, BufWriter, Stdout};
use std::panic;

/// Room for all of a drawing, which is then one write: what comes in parts is seen in parts.
const DRAWING: usize = 256 << 10;

/// The terminal, ours until it is dropped.
pub(super) struct Screen(Terminal<CrosstermBackend<BufWriter<Stdout>>>);

impl Screen {
    pub(super) fn enter() -> io::Result<Screen> {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            leave();
            before(panic);
        }));
        enable_raw_mode()?;
        // From here on a failure has something to give back.
        let entered = execute!(io::stdout(), EnterAlternateScreen);
        let output = BufWriter::with_capacity(DRAWING, io::stdout());
        let terminal = entered.and_then(|()| Terminal::new(CrosstermBackend::new(output)));
        terminal.map(Screen).inspect_err(|_| leave())
    }

    pub(super) fn draw(&mut self, draw: impl FnOnce(&mut Frame<'_>)) -> io::Result<()> {
        self.0.draw(draw).map(|_| ())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        leave();
    }
}

/// Of a terminal that has gone, nothing can be given back: what fails here is nobody's to hear.
fn leave() {
    let _gone = execute!(io::stdout(), LeaveAlternateScreen, Show);
    let _gone = disable_raw_mode();
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::io::Read;
    use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
    use std::process::Command;
    use std::{env, ptr};

    /// Set in the process that is to panic.
    const PANICS: &str = "HEAPSHIM_TEST_PANICS";
    const FIRST_SCREEN: &str = "\x1b[?1049l";

    /// Both ends of a new terminal.
    fn terminal() -> [OwnedFd; 2] {
        let mut ends = [-1; 2];
        let [ours, theirs] = &mut ends;
        // SAFETY: two numbers that it writes; no name, settings or size are asked for.
        let made =
            unsafe { libc::openpty(ours, theirs, ptr::null_mut(), ptr::null(), ptr::null()) };
        assert_eq!(made, 0, "a terminal");
        // SAFETY: two new descriptors, that nobody else has.
        ends.map(|end| unsafe { OwnedFd::from_raw_fd(end) })
    }

    /// Which modes a terminal is in.
    fn modes(terminal: &OwnedFd) -> [libc::tcflag_t; 4] {
        // SAFETY: all zeroes are settings; they are then written.
        let mut modes: libc::termios = unsafe { std::mem::zeroed() };
        // SAFETY: a descriptor that is open, and settings of our own.
        let read = unsafe { libc::tcgetattr(terminal.as_raw_fd(), &raw mut modes) };
        assert_eq!(read, 0, "settings");
        [modes.c_iflag, modes.c_oflag, modes.c_cflag, modes.c_lflag]
    }

    /// Check that a panic finds the first screen and the modes that were there, before it prints its words.
    #[test]
    fn panic() {
        if env::var_os(PANICS).is_some() {
            let _screen = Screen::enter().expect("a terminal");
            panic!("on purpose");
        }
        let [ours, theirs] = terminal();
        let before = modes(&theirs);
        let end = || theirs.try_clone().expect("a descriptor");
        let name = concat!(module_path!(), "::panic");
        let name = name.split_once("::").expect("a path").1;
        let mut child = Command::new(env::current_exe().expect("this program"))
            .args(["--exact", name, "--nocapture"])
            .env(PANICS, "1")
            .stdin(end())
            .stdout(end())
            .stderr(end())
            .spawn()
            .expect("it starts");
        let status = child.wait().expect("its end");
        assert_eq!((status.success(), modes(&theirs)), (false, before));
        drop(theirs);
        // Where the other end is closed, the last of it is followed by an error.
        let (mut printed, mut bytes) = (Vec::new(), [0; 4096]);
        let mut terminal = File::from(ours);
        while let Ok(count @ 1..) = terminal.read(&mut bytes) {
            printed.extend_from_slice(&bytes[..count]);
        }
        let printed = String::from_utf8_lossy(&printed);
        let (_, after) = printed.split_once(FIRST_SCREEN).expect("left");
        assert!(after.contains("on purpose"), "{printed}");
    }
}
