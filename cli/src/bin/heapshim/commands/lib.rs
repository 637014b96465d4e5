//! `heapshim lib`: where the library lies.

use super::output::print;
use heapshim_cli::error::Error;
use heapshim_cli::library;

/// Unpacks it where needed and prints its path.
pub(crate) fn run() -> Result<(), Error> {
    print(&format!("{}\n", library::path()?.display()))
}
