//! A command that is not started yet: whether it can be traced, and how much of it would be seen.

use super::debug;
use super::environment::Environment;
use super::finding::Finding;
use super::target;
use crate::launch::{self, allocator};
use crate::model::Module;
use crate::symbolize::Options;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Every check of the command, its libraries included.
#[must_use]
pub fn findings(command: &OsStr, debug_dirs: &[PathBuf]) -> Vec<Finding> {
    let chain = match launch::check(command) {
        Ok(chain) => chain,
        Err(refusal) => return vec![refusal.error.into()],
    };
    let Some(program) = chain.last().cloned() else {
        return Vec::new();
    };
    let mut all = vec![Finding::ok(command.display(), kind(&chain, &program))];
    all.extend(own_allocator(&program));
    all.extend(Environment::own().switched_off(&program));
    let options = Options {
        debug_dirs: debug_dirs.to_vec(),
        ..Options::default()
    };
    // What is relative to our directory is so to nobody else's: only absolute paths are opened.
    let program = std::path::absolute(&program).unwrap_or(program);
    let loaded = loaded(&program);
    all.extend(loaded.missing);
    all.extend(target::python(&program, &loaded.modules));
    all.extend(debug::findings(
        &loaded.modules,
        &program.display().to_string(),
        &options,
    ));
    all
}

fn kind(chain: &[PathBuf], program: &Path) -> String {
    match chain.len() {
        1 => "dynamically linked with glibc: it can be traced".to_owned(),
        _ => format!("a script for {}, which can be traced", program.display()),
    }
}

/// What the program allocates with where that is no library.
pub(super) fn own_allocator(program: &Path) -> Option<Finding> {
    let name = allocator::linked_in(program)?;
    let what = allocator::unseen(name);
    let next = "link it without, or with that allocator as a shared library";
    Some(Finding::problem(program.display(), what, next))
}

/// What the loader would load.
struct Loaded {
    modules: Vec<Module>,
    missing: Vec<Finding>,
}

/// Asks the loader itself, which loads nothing for that but what it says (ld.so --list), and runs none of it.
fn loaded(program: &Path) -> Loaded {
    let mut list = Command::new("/lib64/ld-linux-x86-64.so.2");
    list.arg("--list").arg(program).stdin(Stdio::null());
    list.env_remove("LD_PRELOAD");
    let answer = list
        .output()
        .map(|output| output.stdout)
        .unwrap_or_default();
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let module = |path: PathBuf| Module {
        path: path.display().to_string(),
        build_id: Vec::new(),
        bias: 0,
        start: 0,
        end: 0,
    };
    let paths = answer.lines().filter_map(library);
    let paths = std::iter::once(program.to_path_buf()).chain(paths);
    Loaded {
        modules: paths.map(module).collect(),
        missing: answer.lines().filter_map(not_found).collect(),
    }
}

/// The path in `libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f…)`, and in a line with a path alone.
fn library(line: &str) -> Option<PathBuf> {
    let line = line.trim();
    let path = line.split_once(" => ").map_or(line, |(_, path)| path);
    let path = path.rsplit_once(" (0x").map_or(path, |(path, _)| path);
    path.starts_with('/').then(|| path.into())
}

fn not_found(line: &str) -> Option<Finding> {
    let name = line.trim().strip_suffix(" => not found")?;
    let what = "not found: the program does not start";
    Some(Finding::problem(
        name,
        what,
        "install it, or set LD_LIBRARY_PATH",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Level;

    /// Check that the loader's lines are read: libraries, itself, the kernel's object, and what is not there.
    #[test]
    fn loader_lines() {
        let path = |line| library(line).map(|path| path.display().to_string());
        let libc = "\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f15)";
        assert_eq!(
            path(libc).as_deref(),
            Some("/lib/x86_64-linux-gnu/libc.so.6")
        );
        let loader = "\t/lib64/ld-linux-x86-64.so.2 (0x00007f15)";
        assert_eq!(path(loader).as_deref(), Some("/lib64/ld-linux-x86-64.so.2"));
        assert_eq!(path("\tlinux-vdso.so.1 (0x00007ffd)"), None);
        let gone = "\tlibnone.so.1 => not found";
        assert_eq!(path(gone), None);
        assert_eq!(not_found(gone).expect("missing").object, "libnone.so.1");
    }

    /// Check that a usual program can be traced, with its libraries looked at, and that what is not there stops it.
    #[test]
    fn programs() {
        let usual = findings(OsStr::new("sh"), &[]);
        assert!(
            usual.iter().all(|finding| finding.level < Level::Problem),
            "{usual:?}"
        );
        assert!(
            usual
                .iter()
                .any(|finding| finding.object.contains("libc.so.6"))
        );
        let gone = findings(OsStr::new("/no/such"), &[]);
        assert_eq!((gone.len(), gone[0].level), (1, Level::Problem));
    }

    /// Check that a program is found where it lies, whatever its path is relative to.
    #[test]
    fn relative_paths() {
        let depth = std::env::current_dir().unwrap().ancestors().count() - 1;
        let relative = format!("{}bin/sh", "../".repeat(depth));
        let said = findings(OsStr::new(&relative), &[]);
        assert!(
            said.iter().all(|finding| !finding.what.contains("is gone")),
            "{said:?}"
        );
    }
}
