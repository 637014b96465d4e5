//! The command with the shim preloaded: what is set in its environment, and nothing else.
//!
//! Called by `run` and `demo`. The child inherits what a shell would have given it: its standard streams, its signal mask and the
//! disposition of SIGPIPE as we found them.

use super::listener::Place;
use super::signals::{self, Mask};
use crate::mode;
use heapshim_ledger::sampling::Mode;
use std::env;
use std::ffi::{OsStr, OsString};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

/// How the shim is to behave.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Where `gather` listens.
    pub socket: Option<Place>,
    /// Frames kept of a stack; None: the shim's default.
    pub depth: Option<u32>,
    /// The command keeps its events from the first on, for us to record.
    pub record: bool,
    /// And of each free its stack.
    pub free_stacks: bool,
    /// How much is recorded; None: each event, or what HEAPSHIM_SAMPLE says.
    pub mode: Option<Mode>,
}

/// The command, to be spawned under the library at `library`; None: as it is, untraced.
#[must_use]
pub fn command(
    words: &[OsString],
    library: Option<&Path>,
    settings: &Settings,
    mask: Option<Mask>,
) -> Command {
    let (program, arguments) = match words {
        [program, arguments @ ..] => (program.as_os_str(), arguments),
        [] => (OsStr::new(""), words),
    };
    let mut command = Command::new(program);
    command.args(arguments);
    if let Some(library) = library {
        command.env("LD_PRELOAD", preload(library, env::var_os("LD_PRELOAD")));
        if let Some(socket) = &settings.socket {
            socket.tell(&mut command);
        }
        if settings.record {
            // Its own children are not ours: they see another's number.
            let frees = if settings.free_stacks { ",frees" } else { "" };
            command.env("HEAPSHIM_RECORD", format!("{}{frees}", std::process::id()));
        }
        if let Some(depth) = settings.depth {
            command.env("HEAPSHIM_DEPTH", depth.to_string());
        }
        if let Some(mode) = settings.mode {
            command.env("HEAPSHIM_SAMPLE", variable(mode));
        }
    }
    let restore = move || signals::restore(mask);
    // SAFETY: between fork and exec `restore` makes two system calls and touches no lock and no heap.
    unsafe { command.pre_exec(restore) };
    command
}

/// What HEAPSHIM_SAMPLE is for a mode.
fn variable(mode: Mode) -> String {
    match mode {
        Mode::Exact => String::new(),
        Mode::Sample(mean) => mode::size(mean),
        Mode::Off => mode::word(mode),
    }
}

/// Ours first: an allocator that is preloaded too is then the one behind us.
fn preload(library: &Path, existing: Option<OsString>) -> OsString {
    let mut value = library.as_os_str().to_owned();
    if let Some(existing) = existing.filter(|existing| !existing.is_empty()) {
        value.push(":");
        value.push(existing);
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Check that what was preloaded already stays, behind us.
    #[test]
    fn preloads() {
        let library = Path::new("/a/b.so");
        assert_eq!(preload(library, None), "/a/b.so");
        assert_eq!(preload(library, Some("".into())), "/a/b.so");
        assert_eq!(
            preload(library, Some("x.so y.so".into())),
            "/a/b.so:x.so y.so"
        );
    }
}
