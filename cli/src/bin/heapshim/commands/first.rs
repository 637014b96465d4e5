//! `heapshim` alone: the commands that one needs first.

use super::output::print;
use heapshim_cli::error::Error;

const TEXT: &str = "\
heapshim: which source lines grew between two moments of a running program

  heapshim demo             see a leak found, in five seconds
  heapshim run -- COMMAND   run a command; when it ends, see what it still held

and, while it runs, from another terminal:

  heapshim mark warm        take a mark
  heapshim diff warm        see what has grown since

Does it not work? heapshim doctor COMMAND     More: heapshim --help
";

/// Prints them.
pub(crate) fn run() -> Result<(), Error> {
    print(TEXT)
}
