//! `heapshim` alone: the commands that one needs first.

use super::output::print;
use heapshim_cli::error::Error;

const TEXT: &str = "\
heapshim: which source lines grew between two moments of a running program

  heapshim demo                     see a leak found, in five seconds
  heapshim run -- COMMAND …         run a command, and print what it still held when it ended
  heapshim mark warm                … meanwhile, from another terminal: take a mark of it,
  heapshim diff warm                    and later print what has grown since

More: heapshim --help
";

/// Prints them.
pub(crate) fn run() -> Result<(), Error> {
    print(TEXT)
}
