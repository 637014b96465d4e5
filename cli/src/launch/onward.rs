//! Whether a process has gone on as another program since its account began: one that cannot be traced (static, setuid), or is not meant to be.
//!
//! Called by `gather`. A program that is traced hands over an account of its own; of any other nothing tells but /proc/PID/exe while it lives: a zombie has
//! none, and exec and exit close the ledger alike. So `child` looks whenever something happens, and once a second; what executes such a
//! program and ends sooner is not noticed.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A file, wherever it is called what.
type Identity = (u64, u64);

/// The program that an account is of.
#[derive(Debug)]
pub(super) struct Image(Option<Identity>);

impl Image {
    /// Of a process that has just handed over its account, in which it is called `exe`. It may be another by now: a path means the same to both where both have
    /// the same root, and there it is believed.
    pub(super) fn of(pid: u32, exe: &Path) -> Image {
        let same_root = identity(&of_process(pid, "root")) == identity(Path::new("/"));
        let by_path = identity(exe).filter(|_| same_root);
        Image(by_path.or_else(|| identity(&of_process(pid, "exe"))))
    }

    /// The program that the process is now, where that is another one.
    pub(super) fn gone_on(&self, pid: u32) -> Option<PathBuf> {
        let link = of_process(pid, "exe");
        let now = identity(&link)?;
        let is_other = self.0.is_some_and(|then| then != now);
        is_other.then(|| fs::read_link(link).ok())?
    }
}

fn of_process(pid: u32, name: &str) -> PathBuf {
    PathBuf::from(format!("/proc/{pid}/{name}"))
}

fn identity(file: &Path) -> Option<Identity> {
    let meta = fs::metadata(file).ok()?;
    Some((meta.dev(), meta.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Check that a process is what it is, that one which is said to be another program has gone on, and that of one which has ended nothing is said.
    #[test]
    fn programs() {
        let own = std::process::id();
        let exe = std::env::current_exe().expect("our own program");
        assert_eq!(Image::of(own, &exe).gone_on(own), None);
        let other = Image::of(own, Path::new("/bin/sh")).gone_on(own);
        assert_eq!(other, Some(exe.clone()));
        let unknown = Image::of(own, Path::new("/no/such/program"));
        assert_eq!(unknown.gone_on(own), None);
        assert_eq!(Image::of(own, &exe).gone_on(u32::MAX), None);
    }
}
