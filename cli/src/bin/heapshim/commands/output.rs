//! Where data goes: stdout or `-o FILE`, whole lines, a closed pipe told apart from other failures.

use heapshim_cli::directory;
use heapshim_cli::error::Error;
use std::io::{self, Write};
use std::path::Path;

/// Prints to stdout.
pub(crate) fn print(text: &str) -> Result<(), Error> {
    let mut stdout = io::stdout().lock();
    let written = stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush());
    written.map_err(|error| Error::io("stdout", "not written", error))
}

/// Writes bytes that need not be text to the file, or to stdout.
pub(crate) fn write_bytes(bytes: &[u8], file: Option<&Path>) -> Result<(), Error> {
    let Some(path) = file else {
        let mut stdout = io::stdout().lock();
        let written = stdout.write_all(bytes).and_then(|()| stdout.flush());
        return written.map_err(|error| Error::io("stdout", "not written", error));
    };
    directory::write_file(path, bytes)
}

/// Writes to the file, or to stdout.
pub(crate) fn write(bytes: &[u8], file: Option<&Path>) -> Result<(), Error> {
    match file {
        Some(path) => directory::write_file(path, bytes),
        None => print(&String::from_utf8_lossy(bytes)),
    }
}

/// Talks to the user. Where nobody listens, nothing is lost; `eprintln!` would end us, and with us the command's exit status.
pub(crate) fn say(line: &str) {
    let _unheard = writeln!(io::stderr().lock(), "{line}");
}
