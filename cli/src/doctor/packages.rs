//! Which package brings the debug information of a file: Debian's names.
//!
//! dpkg is asked who owns the file; where there is no dpkg, or it does not know the file, nobody does. Debian and Ubuntu keep lines apart
//! in `NAME-dbgsym`, in an archive of their own; glibc's are in the main one.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The package that each of these files belongs to, of those that belong to one.
pub(super) fn owners(files: &[PathBuf]) -> HashMap<PathBuf, String> {
    if files.is_empty() {
        return HashMap::new();
    }
    // On merged-/usr systems a file is registered under the path that it was packaged with.
    let asked = files.iter().flat_map(|file| spellings(file));
    let mut dpkg = Command::new("dpkg-query");
    dpkg.arg("--search").args(asked).stdin(Stdio::null());
    dpkg.env("LC_ALL", "C").env_remove("LD_PRELOAD");
    let answer = dpkg
        .output()
        .map(|output| output.stdout)
        .unwrap_or_default();
    let answer = String::from_utf8_lossy(&answer);
    let known: HashMap<&str, &str> = answer.lines().filter_map(owner).collect();
    let found = files.iter().filter_map(|file| {
        let package = spellings(file)
            .iter()
            .find_map(|path| known.get(path.to_str()?).copied())?;
        Some((file.clone(), package.to_owned()))
    });
    found.collect()
}

/// The file as it is, and without `/usr`.
fn spellings(file: &Path) -> Vec<PathBuf> {
    let real = file.canonicalize().unwrap_or_else(|_| file.to_path_buf());
    let short = real
        .strip_prefix("/usr")
        .map(|rest| Path::new("/").join(rest));
    [file.to_path_buf(), real]
        .into_iter()
        .chain(short)
        .collect()
}

/// `libc6:amd64: /lib/x86_64-linux-gnu/libc.so.6`
fn owner(line: &str) -> Option<(&str, &str)> {
    let (packages, path) = line.split_once(": ")?;
    let package = packages.split([',', ':']).next()?;
    (!package.contains(' ')).then_some((path, package))
}

/// What to install for the lines of a package's files.
pub(super) fn debug_package(package: &str) -> String {
    match package {
        "libc6" => "install libc6-dbg".to_owned(),
        other => format!("install {other}-dbgsym, from your distribution's debug archive"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Check that an answer of dpkg's is read, with architectures and diversions in it.
    #[test]
    fn answers() {
        let line = "libc6:amd64: /lib/x86_64-linux-gnu/libc.so.6";
        assert_eq!(
            owner(line),
            Some(("/lib/x86_64-linux-gnu/libc.so.6", "libc6"))
        );
        assert_eq!(owner("dash: /bin/dash"), Some(("/bin/dash", "dash")));
        assert_eq!(owner("diversion by dash from: /bin/sh"), None);
        assert_eq!(debug_package("libc6"), "install libc6-dbg");
    }

    /// Check that a file that no package has is nobody's.
    #[test]
    fn nobodys() {
        assert!(owners(&[PathBuf::from("/no/such/file")]).is_empty());
        assert!(owners(&[]).is_empty());
    }
}
