//! A terminal for programs that draw on one: tmux, with a server of its own that nobody else's sessions are on.
//!
//! Keys are sent as words, the screen is read as text. What a program draws comes when it comes: `wait` looks until it is there, with no
//! limit but the test runner's, and fails at once where the terminal has gone, or where what was typed has ended and has left something else. That it has
//! ended the shell says by the terminal's title, which comes the same way as what was drawn before it.

use crate::hangup::hears_hangups;
use crate::needs::{found, needs};
use crate::place::{environment, fresh_directory};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// A terminal with a shell in it.
#[derive(Debug)]
pub struct Tmux {
    server: String,
    directory: PathBuf,
    /// Lines that were typed.
    lines: AtomicU32,
}

impl Tmux {
    /// A terminal of this size; None where there is no tmux, and the test is skipped by name.
    ///
    /// # Panics
    /// Where it does not start.
    #[must_use]
    pub fn open(width: u32, height: u32) -> Option<Tmux> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        if !needs(&["tmux"]) {
            return None;
        }
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let tmux = Tmux {
            server: format!("heapshim-{}-{number}", std::process::id()),
            directory: fresh_directory("tmux"),
            lines: AtomicU32::new(0),
        };
        let (width, height) = (width.to_string(), height.to_string());
        let directory = tmux.directory.display().to_string();
        tmux.ask(&[
            "new-session",
            "-d",
            "-x",
            &width,
            "-y",
            &height,
            "-c",
            &directory,
            "sh",
        ]);
        Some(tmux)
    }

    /// Where its shell is.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Types a line.
    pub fn line(&self, text: &str) {
        let number = self.lines.fetch_add(1, Ordering::Relaxed) + 1;
        let text = format!("{text}; printf '\\033]2;{}\\007'", ended(number));
        self.ask(&["send-keys", "-l", &text]);
        self.keys(&["Enter"]);
    }

    /// Presses keys, by tmux's names.
    pub fn keys(&self, keys: &[&str]) {
        self.ask(&[&["send-keys"], keys].concat());
    }

    /// Gives it another size.
    pub fn resize(&self, width: u32, height: u32) {
        let (width, height) = (width.to_string(), height.to_string());
        self.ask(&["resize-window", "-x", &width, "-y", &height]);
    }

    /// What is on it, line by line.
    #[must_use]
    pub fn screen(&self) -> Vec<String> {
        self.titled_screen().1
    }

    /// Its title, and what was on it then or later.
    fn titled_screen(&self) -> (String, Vec<String>) {
        let title = ["display-message", "-p", "#{pane_title}", ";"];
        let output = self.ask(&[&title[..], &["capture-pane", "-p"]].concat());
        let text = String::from_utf8_lossy(&output.stdout);
        let mut lines = text.lines().map(str::to_string);
        (lines.next().unwrap_or_default(), lines.collect())
    }

    /// The same with its colours, as escape sequences.
    #[must_use]
    pub fn colored(&self) -> String {
        let output = self.ask(&["capture-pane", "-p", "-e"]);
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// The line with something shown in reverse, with its colours: the row that is chosen, in a list that lies over the rest that list's, which
    /// is the last. Empty where there is none.
    #[must_use]
    pub fn reversed(&self) -> String {
        // Either is written, by what was shown before it.
        let is_reversed = |line: &&str| line.contains("\x1b[7m") || line.contains("\x1b[0;7m");
        let screen = self.colored();
        let line = screen.lines().rfind(is_reversed);
        line.unwrap_or_default().to_string()
    }

    /// True while a program draws on the second screen, which its end is to take away.
    #[must_use]
    pub fn is_on_second_screen(&self) -> bool {
        let output = self.ask(&["display-message", "-p", "#{alternate_on}"]);
        output.stdout.starts_with(b"1")
    }

    /// Looks until the screen is as it should be, and returns it.
    ///
    /// # Panics
    /// Where it is not, and what was typed last has ended.
    pub fn wait(&self, as_it_should: impl Fn(&[String]) -> bool) -> Vec<String> {
        let last = ended(self.lines.load(Ordering::Relaxed));
        loop {
            let (title, screen) = self.titled_screen();
            if as_it_should(&screen) {
                return screen;
            }
            assert!(title != last, "it has ended: {screen:#?}");
        }
    }

    /// Looks until the text is there.
    pub fn wait_for(&self, text: &str) -> Vec<String> {
        self.wait(|screen| screen.iter().any(|line| line.contains(text)))
    }

    fn ask(&self, words: &[&str]) -> Output {
        let output = self.command(words);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "tmux {words:?}: {said}");
        output
    }

    fn command(&self, words: &[&str]) -> Output {
        let mut tmux = Command::new(found("tmux").expect("tmux is there"));
        tmux.args(["-u", "-f", "/dev/null", "-L", &self.server]);
        tmux.args(words).env_clear().envs(environment());
        // Its server is asked first by one of us, and what runs in it is ended by hangups.
        hears_hangups(&mut tmux);
        tmux.stdin(Stdio::null()).output().expect("tmux starts")
    }
}

/// The terminal's title when as many lines that were typed have ended.
fn ended(lines: u32) -> String {
    format!("ended {lines}")
}

impl Drop for Tmux {
    /// The server's end ends what runs in it.
    fn drop(&mut self) {
        let _ = self.command(&["kill-server"]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    /// Check that a wait sees what a program has left, and fails where it has ended without: the first that was typed, and a later one.
    #[test]
    fn nobody_left_to_wait_for() {
        let Some(tmux) = Tmux::open(80, 24) else {
            return;
        };
        for word in ["first", "second"] {
            tmux.line(&format!("echo {word} | tr a-z A-Z"));
            tmux.wait_for(&word.to_uppercase());
            let never = AssertUnwindSafe(|| tmux.wait_for("never drawn"));
            assert!(catch_unwind(never).is_err());
        }
    }
}
