//! A file to be read, in memory where the system has such a place: one for each process and name.

use std::fs;
use std::path::PathBuf;

/// Where a file of this name lies, in a directory of this process.
pub(crate) fn path(name: &str) -> PathBuf {
    let memory = PathBuf::from("/dev/shm");
    let place = if fs::metadata(&memory).is_ok_and(|meta| !meta.permissions().readonly()) {
        memory
    } else {
        std::env::temp_dir()
    };
    let path = place
        .join(format!("heapshim-fuzz-{}", std::process::id()))
        .join(name);
    let directory = path.parent().map(PathBuf::from).unwrap_or_default();
    fs::create_dir_all(directory).expect("a directory to write in");
    path
}

/// Writes the file anew.
pub(crate) fn write(name: &str, bytes: &[u8]) -> PathBuf {
    let path = path(name);
    fs::write(&path, bytes).expect("a file to be read");
    path
}
