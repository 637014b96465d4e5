//! Traced processes: finding them from outside, and holding one to read.
//!
//! A target is recognised by the ledger among its descriptors (`/memfd:heapshim-ledger`), opened through /proc and mapped
//! read-only; nothing stops it and nothing is written to it. A process may hold several ledgers (its parent's, after a fork; those of
//! others, in `run`): its own is the one whose header has its pid, and of those the youngest. Who may look is decided by the kernel
//! (ptrace(2), PTRACE_MODE_READ). Not here: what is inside a ledger (`snapshot`).

use crate::denial;
use crate::error::{Error, Kind};
use crate::launch::allocator;
use crate::mapping::Mapping;
use crate::model::Process;
use crate::nearest::nearest;
use crate::process::{self, Origin};
use crate::shell;
use crate::symbolize::MapFile;
use heapshim_ledger::Reader;
use heapshim_ledger::modules::MAX_TEXT;
use heapshim_ledger::sync::Word;
use rustix::fs::{Mode, OFlags};
use std::cell::OnceCell;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// What the link of a ledger's descriptor says.
const LINK: &[u8] = b"/memfd:heapshim-ledger (deleted)";
/// What it ends in where HEAPSHIM_DIR keeps the ledger in a file.
const KEPT: &[u8] = b".heapledger";

/// More names than this are no help in one line.
const MOST_LISTED: usize = 8;

/// A traced process, its ledger mapped.
#[derive(Debug)]
pub struct Session {
    pid: u32,
    mapping: Mapping,
    /// What its program's file shows: looked at once, however many marks are taken.
    of_file: OnceCell<u32>,
}

impl Session {
    /// Holds a ledger that came another way than through /proc (`run`).
    #[must_use]
    pub fn new(pid: u32, mapping: Mapping) -> Session {
        Session {
            pid,
            mapping,
            of_file: OnceCell::new(),
        }
    }

    /// Opens the account of one process.
    ///
    /// # Errors
    /// `Missing` where there is no such process or it is not traced, `Denied` where it may not be read.
    pub fn attach(pid: u32) -> Result<Session, Error> {
        let object = format!("pid {pid}");
        match find(pid) {
            Ok(Some(session)) => Ok(session),
            Ok(None) => Err(not_traced(object, pid)),
            Err(error) => Err(error),
        }
    }

    /// Its process id, as we see it.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// How errors name it.
    #[must_use]
    pub fn object(&self) -> String {
        format!("pid {}", self.pid)
    }

    /// The ledger, to read.
    ///
    /// # Errors
    /// `Damaged`, with what is wrong.
    pub fn reader(&self) -> Result<Reader<'_>, Error> {
        self.mapping.reader(self.object())
    }

    /// What is to be said of its account: what the library has said, and what its program's file shows. Of one that has ended
    /// the file is not looked for here.
    ///
    /// # Errors
    /// `Damaged`, with what is wrong.
    pub fn complaints(&self) -> Result<u32, Error> {
        let said = self.reader()?.header.complaints.peek();
        let look = || allocator::complaint(&process::path(self.pid, "exe"));
        Ok(said | self.of_file.get_or_init(look))
    }

    /// Where it names the code that it makes at run time. Of one that has ended, the root directory is not known, and taken for ours.
    ///
    /// # Errors
    /// `Damaged`, with what is wrong.
    pub fn made_code(&self) -> Result<MapFile, Error> {
        let reader = self.reader()?;
        let now = process::effective_user(self.pid);
        Ok(MapFile {
            root: Origin::of(self.pid).root.filter(|root| root.exists()),
            pid: reader.header.pid.peek(),
            owners: now.into_iter().chain(self.mapping.owner()).collect(),
            since_unix_ns: reader.header.start_unix_ns.peek(),
        })
    }

    /// Who it is: /proc's words where it still runs, else the ledger's.
    ///
    /// # Errors
    /// `Damaged`, with what is wrong.
    pub fn process(&self) -> Result<Process, Error> {
        let reader = self.reader()?;
        Ok(process::describe(self.pid, recorded(self.pid, &reader)))
    }
}

/// The error for a process that runs without the shim.
fn not_traced(object: String, pid: u32) -> Error {
    let next = format!("start it with `heapshim run`; `heapshim doctor -p {pid}` says more");
    Error::new(Kind::Missing, object, "not traced").next(next)
}

/// Who the ledger says it is.
fn recorded(pid: u32, reader: &Reader<'_>) -> Process {
    let text = |text: u64| {
        let mut out = [0; MAX_TEXT];
        let len = reader.strings.copy(text, &mut out).unwrap_or(0);
        out.get(..len).unwrap_or(&[]).to_vec()
    };
    let exe = String::from_utf8_lossy(&text(reader.header.exe.peek())).into_owned();
    Process {
        pid,
        identity: reader.header.identity.peek(),
        name: Path::new(&exe)
            .file_name()
            .map_or_else(String::new, |name| {
                String::from_utf8_lossy(name.as_bytes()).into_owned()
            }),
        cmdline: process::split_arguments(&text(reader.header.cmdline.peek())),
        directory: String::from_utf8_lossy(&text(reader.header.directory.peek())).into_owned(),
        exe,
        exit: None,
        start_unix_ns: reader.header.start_unix_ns.peek(),
    }
}

/// Who a ledger says that it is of, where its process is not to be asked.
pub(crate) fn recorded_process(reader: &Reader<'_>) -> Process {
    recorded(reader.header.pid.peek(), reader)
}

/// Every traced process that we may read, by pid. Those that may not be read, or end meanwhile, are left out.
#[must_use]
pub fn all() -> Vec<Session> {
    let others = process::all()
        .into_iter()
        .filter(|&pid| pid != std::process::id());
    others.filter_map(|pid| find(pid).ok().flatten()).collect()
}

/// The process that the user means: a pid, the name of a traced process, or (nothing said) the only one.
///
/// # Errors
/// `Missing` where none or several match, with the list.
pub fn resolve(target: Option<&str>) -> Result<Session, Error> {
    if let Some(Ok(pid)) = target.map(str::parse) {
        return Session::attach(pid);
    }
    let all = all();
    let names: Vec<String> = all
        .iter()
        .filter_map(|session| Some(session.process().ok()?.name))
        .collect();
    let wanted = |session: &Session| target.is_none_or(|name| is_called(session, name));
    let mut found: Vec<Session> = all.into_iter().filter(wanted).collect();
    match (found.len(), found.pop()) {
        (1, Some(session)) => Ok(session),
        (0, _) => Err(none(target, &names)),
        (_, last) => Err(several(target, found.iter().chain(&last))),
    }
}

fn is_called(session: &Session, name: &str) -> bool {
    process::is_called(session.pid, name)
        || session.process().is_ok_and(|process| process.name == name)
}

/// Nothing matches; `names` are those of all that are traced.
fn none(target: Option<&str>, names: &[String]) -> Error {
    let start = "start one with `heapshim run -- COMMAND`";
    let Some(name) = target else {
        return Error::new(Kind::Missing, "", "no process is traced").next(start);
    };
    if let Some(pid) = untraced(name) {
        return not_traced(format!("{name} (pid {pid})"), pid);
    }
    let next = match nearest(name, names.iter().map(String::as_str)) {
        Some(right) => format!("did you mean -p {}?", shell::word(right)),
        None if names.is_empty() => start.to_owned(),
        None if names.len() > MOST_LISTED => format!("{start}; `heapshim ls` lists the others"),
        None => format!("{start}; there are: {}", names.join(", ")),
    };
    Error::new(Kind::Missing, name, "no traced process of that name").next(next)
}

/// A process of this name, which is then one that is not traced.
fn untraced(name: &str) -> Option<u32> {
    let mut pids = process::all()
        .into_iter()
        .filter(|&pid| pid != std::process::id());
    pids.find(|&pid| process::is_called(pid, name))
}

fn several<'a>(target: Option<&str>, found: impl Iterator<Item = &'a Session>) -> Error {
    let name = |session: &Session| session.process().map(|process| process.name);
    let list: Vec<String> = found
        .map(|session| format!("{} {}", session.pid, name(session).unwrap_or_default()))
        .collect();
    let problem = format!("{} traced processes: {}", list.len(), list.join(", "));
    Error::new(Kind::Missing, target.unwrap_or_default(), problem).next("choose one with -p PID")
}

/// The process's own ledger among its descriptors; None where it has none.
fn find(pid: u32) -> Result<Option<Session>, Error> {
    let directory = process::path(pid, "fd");
    let entries = fs::read_dir(directory).map_err(|error| refused(pid, error))?;
    let own_pid = process::own_pid(pid);
    let mut best: Option<(u64, Session)> = None;
    let mut problem = None;
    for entry in entries.flatten() {
        let path = entry.path();
        if !fs::read_link(&path).is_ok_and(|link| is_ledger(link.as_os_str().as_bytes())) {
            continue;
        }
        match open(pid, &path) {
            Ok((owner, started, session)) if Some(owner) == own_pid => {
                if best
                    .as_ref()
                    .is_none_or(|(youngest, _)| started > *youngest)
                {
                    best = Some((started, session));
                }
            }
            Ok(_) => {}
            Err(error) => problem = Some(error),
        }
    }
    match (best, problem) {
        (Some((_, session)), _) => Ok(Some(session)),
        (None, Some(error)) => Err(error),
        (None, None) => Ok(None),
    }
}

fn is_ledger(link: &[u8]) -> bool {
    link == LINK || link.ends_with(KEPT)
}

/// Opens one ledger: whose it is by its own word, since when, and itself.
fn open(pid: u32, path: &Path) -> Result<(u32, u64, Session), Error> {
    let object = format!("pid {pid}");
    // The link's text proves nothing yet: without NONBLOCK, the open of a pipe of that name would wait.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let fd =
        rustix::fs::open(path, flags, Mode::empty()).map_err(|errno| refused(pid, errno.into()))?;
    let session = Session::new(pid, Mapping::new(fd, object)?);
    let reader = session.reader()?;
    let (owner, started) = (reader.header.pid.peek(), reader.header.start_boot_ns.peek());
    Ok((owner, started, session))
}

fn refused(pid: u32, error: io::Error) -> Error {
    let object = format!("pid {pid}");
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied => denial::error(pid),
        _ => Error::io(object, "descriptors not read", error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Check that a pid that cannot be, and a process that is not traced, are told apart, each with the next step.
    #[test]
    fn not_there() {
        let error = resolve(Some("4194305")).expect_err("no such pid");
        assert!(error.to_string().contains("no such process"), "{error}");
        let pid = std::process::id();
        let error = Session::attach(pid).expect_err("not traced");
        let next = format!("start it with `heapshim run`; `heapshim doctor -p {pid}` says more");
        let expected = format!("pid {pid}: not traced; {next}");
        assert_eq!(error.to_string(), expected);
        let error = resolve(Some("no-such-name")).expect_err("no such name");
        assert_eq!(error.kind(), Kind::Missing);
    }
}
