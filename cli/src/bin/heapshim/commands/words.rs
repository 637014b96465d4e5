//! What packages carry besides the command: completions and manual pages, both made of the words of the command line.

use super::output;
use crate::args::Args;
use clap::CommandFactory;
use heapshim_cli::error::Error;
use std::path::Path;

/// Prints completions for a shell.
pub(crate) fn completions(shell: clap_complete::Shell) -> Result<(), Error> {
    let mut bytes = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), "heapshim", &mut bytes);
    output::write_bytes(&bytes, None)
}

/// Writes a manual page for the command and one for each of its commands.
pub(crate) fn man_pages(directory: &Path) -> Result<(), Error> {
    let written = clap_mangen::generate_to(Args::command(), directory);
    written.map_err(|error| Error::io(directory.display(), "not written", error))
}
