//! A process that runs: whether it can be looked at, is traced, and if not, why not.
//!
//! Whether, `Session::attach` decides; what follows its answer explains it from /proc, as far as that is open to us.

use super::debug;
use super::environment::{self, Environment};
use super::finding::Finding;
use super::limits::Limits;
use super::program;
use crate::complaint;
use crate::denial;
use crate::error::{Error, Kind};
use crate::launch::image;
use crate::library;
use crate::model::Module;
use crate::process::{self, Origin};
use crate::session::Session;
use crate::shell;
use crate::snapshot;
use crate::symbolize::Options;
use crate::symptom;
use heapshim_ledger::layout::Complaint;
use heapshim_ledger::sync::Word;
use std::fs;
use std::path::{Path, PathBuf};

/// The process that is meant: a pid, or the name of any process, traced or not.
///
/// # Errors
/// `Missing` where none or several match.
pub fn find(target: &str) -> Result<u32, Error> {
    if let Ok(pid) = target.parse() {
        return Ok(pid);
    }
    let us = std::process::id();
    let pids = process::all().into_iter();
    let found: Vec<u32> = pids
        .filter(|&pid| pid != us && process::is_called(pid, target))
        .collect();
    match found[..] {
        [pid] => Ok(pid),
        [] => {
            Err(Error::new(Kind::Missing, target, "no process of that name").next("give its pid"))
        }
        _ => {
            let list: Vec<String> = found.iter().map(u32::to_string).collect();
            let problem = format!("{} processes of that name: {}", list.len(), list.join(", "));
            Err(Error::new(Kind::Missing, target, problem).next("give a pid"))
        }
    }
}

/// Every check of the process.
#[must_use]
pub fn findings(pid: u32, debug_dirs: &[PathBuf]) -> Vec<Finding> {
    match Session::attach(pid) {
        Ok(session) => traced(&session, debug_dirs),
        Err(error) if error.kind() == Kind::Missing && process::start_ticks(pid).is_some() => {
            untraced(pid)
        }
        Err(error) => vec![error.into()],
    }
}

fn object(pid: u32) -> String {
    let name = process::comm(pid).unwrap_or_default();
    format!("pid {pid} ({})", crate::render::escape(&name))
}

fn traced(session: &Session, debug_dirs: &[PathBuf]) -> Vec<Finding> {
    let pid = session.pid();
    let mut all = vec![Finding::ok(object(pid), "traced")];
    let (reader, who) = match (session.reader(), session.process()) {
        (Ok(reader), Ok(process)) => (reader, process),
        (Err(error), _) | (_, Err(error)) => return vec![error.into()],
    };
    let exe = PathBuf::from(&who.exe);
    let notes = complaint::notes(reader.header.complaints.peek());
    all.extend(
        notes
            .iter()
            .map(|note| Finding::note(object(pid), note.what, note.next)),
    );
    all.extend(other_library(pid));
    let named = program::own_allocator(&process::path(pid, "exe"));
    let is_named = named.is_some();
    all.extend(named.map(|finding| Finding {
        object: who.exe.clone(),
        ..finding
    }));
    all.extend(surroundings(pid));
    let origin = Origin::of(pid);
    let options = Options {
        debug_dirs: debug_dirs.to_vec(),
        root: origin.root,
        reader: origin.user,
        live: Some(pid),
        ..Options::default()
    };
    let snapshot = match snapshot::take(&reader, who, "now", process::memory(pid)) {
        Ok(snapshot) => snapshot,
        Err(error) => return vec![error.into()],
    };
    let supposed = symptom::note(&snapshot).filter(|_| !is_named);
    all.extend(supposed.map(|note| Finding::note(object(pid), note.what, note.next)));
    let modules = snapshot.modules;
    let files =
        |module: &Module| module.path.starts_with('/') && !environment::is_ours(&module.path);
    let mut modules: Vec<Module> = modules.into_iter().filter(files).collect();
    modules.sort_by(|a, b| (&a.path, &a.build_id).cmp(&(&b.path, &b.build_id)));
    modules.dedup_by(|a, b| (&a.path, &a.build_id) == (&b.path, &b.build_id));
    // The library has looked at the interpreter itself: its word comes before what names suggest.
    if reader.header.complaints.peek() & Complaint::Python as u32 == 0 {
        all.extend(python(&exe, &modules));
    }
    all.extend(debug::findings(
        &modules,
        &exe.display().to_string(),
        &options,
    ));
    all
}

/// It has no ledger: the first of the reasons that there can be, then what else is so.
fn untraced(pid: u32) -> Vec<Finding> {
    let mut all = vec![why_untraced(pid)];
    all.extend(Limits::of(pid).findings());
    all.extend(surroundings(pid));
    all
}

fn why_untraced(pid: u32) -> Finding {
    let Ok(environ) = fs::read(process::path(pid, "environ")) else {
        return denial::error(pid).into();
    };
    let (environment, exe) = (Environment::parse(&environ), process::path(pid, "exe"));
    let program = PathBuf::from(process::exe(pid).unwrap_or_default());
    if let Some(obstacle) = image::obstacle(&exe) {
        let what = format!("not traced: {} is {}", program.display(), obstacle.what);
        return Finding::problem(object(pid), what, obstacle.next);
    }
    let (ours, _) = environment.preloads();
    if let Some(library) = ours.first() {
        return not_begun(pid, library, &environment, &program);
    }
    let what = "not traced: it was started without heapshim";
    let start = format!("start it with `{}`", restart(pid));
    Finding::problem(object(pid), what, start)
}

/// The library was preloaded, and there is no ledger all the same.
fn not_begun(pid: u32, library: &str, environment: &Environment, program: &Path) -> Finding {
    if let Some(off) = environment.switched_off(program) {
        let what = format!(
            "not traced: {} is set in its environment: {}",
            off.object, off.what
        );
        return Finding {
            object: object(pid),
            what,
            ..off
        };
    }
    let maps = fs::read_to_string(process::path(pid, "maps")).unwrap_or_default();
    if maps.lines().any(|line| {
        line.split_ascii_whitespace()
            .nth(5)
            .is_some_and(environment::is_ours)
    }) {
        let what = "not traced: the library is loaded and could not begin (limits, a sandbox)";
        let next = "start it with HEAPSHIM_LOG=FILE in its environment: the file then says why";
        return Finding::problem(object(pid), what, next);
    }
    let seen = process::path(pid, "root").join(library.trim_start_matches('/'));
    let (what, next) = match seen.exists() {
        true => (
            "not traced: the loader passed over LD_PRELOAD (setuid, capabilities, a start that drops it)",
            "start it with its own user's rights",
        ),
        false => (
            "not traced: the library cannot be reached where it runs (another root, a container)",
            "set XDG_CACHE_HOME to a directory that it can read, and start it again",
        ),
    };
    Finding::problem(object(pid), what, next)
}

fn restart(pid: u32) -> String {
    let words = process::cmdline(pid).unwrap_or_default();
    let words: Vec<String> = words.iter().map(|word| shell::word(word)).collect();
    format!("heapshim run -- {}", words.join(" "))
}

/// The library of another version of heapshim, whose account this one can read all the same.
fn other_library(pid: u32) -> Option<Finding> {
    let maps = fs::read_to_string(process::path(pid, "maps")).ok()?;
    let mut libraries = maps
        .lines()
        .filter_map(|line| line.split_ascii_whitespace().nth(5));
    let ours = libraries.find(|path| environment::is_ours(path))?;
    (!ours.contains(library::HASH)).then(|| {
        let what = format!("traced by another build of heapshim ({ours})");
        Finding::note(object(pid), what, "start it again, if something looks odd")
    })
}

/// Namespaces, and a filter.
fn surroundings(pid: u32) -> Vec<Finding> {
    let status = fs::read_to_string(process::path(pid, "status")).unwrap_or_default();
    let value = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        Some(line.trim().to_owned())
    };
    let elsewhere = |kind: &str| {
        let theirs = fs::read_link(process::path(pid, kind)).ok();
        theirs.is_some() && theirs != fs::read_link(Path::new("/proc/self").join(kind)).ok()
    };
    let pids = elsewhere("ns/pid").then(|| {
        let own = process::own_pid(pid).unwrap_or(0);
        Finding::ok(
            object(pid),
            format!("in a pid namespace of its own, as pid {own}"),
        )
    });
    let files = elsewhere("ns/mnt").then(|| {
        Finding::ok(
            object(pid),
            "in a mount namespace of its own: its files are read through /proc",
        )
    });
    let filtered = value("Seccomp:").is_some_and(|mode| mode == "2").then(|| {
        let what = "has a seccomp filter: children that it forks from now on are not traced";
        Finding::note(
            object(pid),
            what,
            "trace them with the filter switched off, if they matter",
        )
    });
    [pids, files, filtered].into_iter().flatten().collect()
}

/// What is seen of a Python interpreter.
pub(super) fn python(program: &Path, modules: &[Module]) -> Option<Finding> {
    let files = modules.iter().map(|module| Path::new(&module.path));
    // /usr/bin/python3 is a link to the version.
    let real = program.canonicalize().unwrap_or_default();
    let version = files.chain([program, &real]).find_map(python_version)?;
    let known = (7..=13).contains(&version);
    let object = format!("Python 3.{version}");
    Some(match known {
        true => Finding::ok(object, "a known interpreter: Python's own lines are shown"),
        false => {
            let what = "not a known interpreter: its native lines are shown, not Python's";
            Finding::note(object, what, "use CPython 3.7 to 3.13")
        }
    })
}

/// The minor version in `python3.11`, `libpython3.11.so.1.0`, `libpython3.7m.so`.
fn python_version(file: &Path) -> Option<u32> {
    let name = file.file_name()?.to_str()?;
    let rest = name
        .strip_prefix("lib")
        .unwrap_or(name)
        .strip_prefix("python3.")?;
    let end = rest
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(rest.len());
    rest[..end].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Level;

    /// Check the versions in names of interpreters and their libraries, and that other files have none.
    #[test]
    fn python_versions() {
        let version = |name: &str| python_version(Path::new(name));
        assert_eq!(version("/usr/bin/python3.11"), Some(11));
        assert_eq!(version("/x/libpython3.7m.so.1.0"), Some(7));
        assert_eq!(version("/x/libpython3.so"), None);
        assert_eq!(version("/usr/bin/python3"), None);
        assert_eq!(version("/bin/sh"), None);
    }

    /// Check that this test, which is not traced, is said to be started without heapshim, with the command that would.
    #[test]
    fn this_process() {
        let found = findings(std::process::id(), &[]);
        assert_eq!(found[0].level, Level::Problem);
        assert_eq!(found[0].what, "not traced: it was started without heapshim");
        let next = found[0].next.as_deref().expect("a next step");
        assert!(
            next.starts_with("start it with `heapshim run -- "),
            "{next}"
        );
    }

    /// Check that a process that is not there is said to be gone, and that a name is looked up among all processes.
    #[test]
    fn finding_it() {
        assert_eq!(findings(4_194_305, &[])[0].what, "no such process");
        assert_eq!(find("17").expect("a pid"), 17);
        let error = find("no-such-process-anywhere").expect_err("no process");
        assert_eq!(error.kind(), Kind::Missing);
    }
}
