//! Where marks of processes are kept between two commands: one directory per process under the user's state directory.
//!
//! Used by `catalog` and `run`. The directory's name is pid and start time, so that a pid used again never finds another's marks; a
//! mark taken before an exec has another identity inside and is passed over likewise. Files are owner-only and appear whole. Not
//! here: marks that the target keeps in its ledger.

use crate::directory::{Private, Reach, xdg};
use crate::error::{Error, Kind};
use crate::kept;
use crate::mark::{self, Mark, Packed};
use crate::model::Process;
use crate::process;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// How long the marks of a process that has ended are kept.
pub const KEPT: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// What a mark file's name ends in.
pub const EXTENSION: &str = "heapmark";
/// Longest name of a mark: as in the ledger.
const MAX_NAME: usize = heapshim_ledger::layout::MARK_NAME;
/// Words that mean a moment of their own.
const RESERVED: [&str; 5] = ["start", "now", "exit", "last", "peak"];

/// The marks of one process.
#[derive(Debug)]
pub struct Store {
    directory: PathBuf,
}

impl Store {
    /// The place for the marks of the process with this pid and start time; nothing is made yet.
    ///
    /// # Errors
    /// `Failed` where there is neither a state directory nor a home.
    pub fn new(pid: u32, start_ticks: u64) -> Result<Store, Error> {
        let directory = root()?.join(format!("{pid}-{start_ticks}"));
        Ok(Store { directory })
    }

    /// The marks of a process that has ended: the newest that had this pid.
    ///
    /// # Errors
    /// `Failed` as for [`Store::new`].
    pub fn of_ended(pid: u32) -> Result<Option<Store>, Error> {
        let newest = processes(&root()?)
            .into_iter()
            .filter(|(owner, _, _)| *owner == pid)
            .max_by_key(|(_, _, path)| changed(path));
        Ok(newest.map(|(_, _, directory)| Store { directory }))
    }

    /// True where a mark has been kept for this process.
    #[must_use]
    pub fn exists(&self) -> bool {
        self.directory.is_dir()
    }

    /// Keeps a mark under its name; one of the same name is replaced only with `force`, or where it is of another image of the
    /// process (before an exec). `exit` is a name here: `run` gives it.
    ///
    /// # Errors
    /// `Failed` where the name is taken or cannot be one, else what the system said.
    pub fn save(&self, mark: &Mark, force: bool) -> Result<PathBuf, Error> {
        let name = &mark.snapshot.moment.name;
        self.make_room(name, &mark.snapshot.process, force)?;
        self.put(name, |private, file| {
            private.write(file, &mark::encode(mark), Reach::Owner)
        })
    }

    /// The same, of a mark of a running process that is written already. The disk is not waited for: what such a mark is compared with is gone with the machine, and one
    /// that was cut says so.
    ///
    /// # Errors
    /// As `save`.
    pub fn save_packed(&self, packed: Packed, force: bool) -> Result<PathBuf, Error> {
        let name = packed.mark.snapshot.moment.name.clone();
        self.make_room(&name, &packed.mark.snapshot.process, force)?;
        self.put(&name, |private, file| {
            private.write_pieces_lossy(file, &packed.into_pieces(), Reach::Owner)
        })
    }

    fn make_room(&self, name: &str, process: &Process, force: bool) -> Result<(), Error> {
        match force {
            true => Ok(()),
            false => self.check_free(name, process),
        }
    }

    /// Has a file of the mark of this name written.
    fn put(
        &self,
        name: &str,
        write: impl FnOnce(&Private, &str) -> Result<(), Error>,
    ) -> Result<PathBuf, Error> {
        if let Some(root) = self.directory.parent() {
            Private::open_or_make(root, Reach::Owner)?;
        }
        let private = Private::open_or_make(&self.directory, Reach::Owner)?;
        let file = file_name(name);
        write(&private, &file)?;
        Ok(private.path().join(file))
    }

    /// Refuses a name that a mark of this process has.
    ///
    /// # Errors
    /// `Failed`.
    pub fn check_free(&self, name: &str, process: &Process) -> Result<(), Error> {
        let old = self.load(name);
        if !old.is_ok_and(|old| old.snapshot.process.identity == process.identity) {
            return Ok(());
        }
        let problem = format!("pid {} has a mark of that name", process.pid);
        let error = Error::new(Kind::Failed, name, problem);
        Err(error.next("take another name, or replace it with --force"))
    }

    /// Reads the mark of that name.
    ///
    /// # Errors
    /// `Missing` where there is none, `Damaged` where it is none.
    pub fn load(&self, name: &str) -> Result<Mark, Error> {
        let path = self.directory.join(file_name(name));
        let missing = || Error::new(Kind::Missing, name, "no such mark");
        let private = Private::open(&self.directory).map_err(|_| missing())?;
        let bytes = private
            .read(&file_name(name), mark::MAX_BYTES)
            .ok_or_else(missing)?;
        mark::decode(&bytes, path.display())
    }

    /// The names that are kept, in no order.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.directory)
            .into_iter()
            .flatten()
            .flatten();
        let name = |path: PathBuf| {
            let is_mark = path
                .extension()
                .is_some_and(|extension| extension == EXTENSION);
            is_mark.then(|| Some(path.file_stem()?.to_str()?.to_owned()))?
        };
        let names = entries.filter_map(|entry| name(entry.path()));
        names.filter(|name| !name.starts_with('.')).collect()
    }
}

/// Reads a mark file from anywhere, or a ledger that was kept in a file as it is now.
///
/// # Errors
/// What the system said; `Damaged` where it holds no mark.
pub fn read_file(path: &Path) -> Result<Mark, Error> {
    use std::io::Read;
    use std::os::unix::fs::OpenOptionsExt;
    if kept::is_ledger(path) {
        return kept::read(path);
    }
    let failed = |error| {
        Error::io(path.display(), "not read", error)
            .next("`heapshim mark -o FILE` writes one, `heapshim run --save DIR` several")
    };
    let mut options = fs::File::options();
    // Without O_NONBLOCK the open of a named pipe would wait for a writer.
    options.read(true).custom_flags(libc::O_NONBLOCK);
    let file = options.open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    if !metadata.is_file() || metadata.len() > mark::MAX_BYTES {
        let problem = "not a mark: no regular file of a mark's size";
        return Err(Error::new(Kind::Damaged, path.display(), problem));
    }
    let mut bytes = Vec::new();
    file.take(mark::MAX_BYTES)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    mark::decode(&bytes, path.display())
}

/// Removes the marks of processes that ended more than [`KEPT`] ago; how many processes. A directory's time says when its
/// process was last seen alive: it is set here for those that are.
///
/// # Errors
/// `Failed` as for [`Store::new`].
pub fn prune(now: SystemTime) -> Result<usize, Error> {
    let alive = |pid: u32, ticks: u64| process::start_ticks(pid) == Some(ticks);
    Ok(prune_in(&root()?, now, alive))
}

fn prune_in(root: &Path, now: SystemTime, alive: impl Fn(u32, u64) -> bool) -> usize {
    let old = |path: &Path| {
        changed(path).is_some_and(|then| now.duration_since(then).is_ok_and(|age| age > KEPT))
    };
    let (running, ended): (Vec<_>, Vec<_>) = processes(root)
        .into_iter()
        .partition(|(pid, ticks, _)| alive(*pid, *ticks));
    for (_, _, path) in running {
        let _seen = fs::File::open(path).and_then(|directory| directory.set_modified(now));
    }
    let gone = ended.iter().filter(|(_, _, path)| old(path));
    gone.filter(|(_, _, path)| fs::remove_dir_all(path).is_ok())
        .count()
}

/// Says why a word cannot be the name of a mark.
///
/// # Errors
/// `Usage`, with the rule that it breaks.
pub fn check_name(name: &str) -> Result<(), Error> {
    let problem = if RESERVED.contains(&name) {
        "this word means a moment of its own"
    } else if name.is_empty() || name.len() > MAX_NAME {
        "a mark's name has 1 to 64 bytes"
    } else if name.contains(|c: char| c == '/' || c.is_control()) || name.starts_with(['.', '-']) {
        "a mark's name holds no '/' or control character and does not begin with '.' or '-'"
    } else if name.ends_with(".heapmark") {
        "a name is not a file: write to a file with -o FILE"
    } else {
        return Ok(());
    };
    Err(Error::new(Kind::Usage, format!("mark '{name}'"), problem).next("choose another name"))
}

fn file_name(name: &str) -> String {
    format!("{name}.{EXTENSION}")
}

fn root() -> Result<PathBuf, Error> {
    xdg("XDG_STATE_HOME", ".local/state").ok_or_else(|| {
        Error::new(
            Kind::Failed,
            "heapshim",
            "no place for marks: HOME is not set",
        )
        .next("set XDG_STATE_HOME, or write to a file with -o")
    })
}

/// The directory of all marks, made where it is not there.
///
/// # Errors
/// As [`Store::save`].
pub fn place() -> Result<PathBuf, Error> {
    let private = Private::open_or_make(&root()?, Reach::Owner)?;
    Ok(private.path().to_path_buf())
}

/// The directories of all processes: pid, start time, path.
fn processes(root: &Path) -> Vec<(u32, u64, PathBuf)> {
    let entries = fs::read_dir(root).into_iter().flatten().flatten();
    let parse = |entry: fs::DirEntry| {
        let name = entry.file_name();
        let (pid, ticks) = name.to_str()?.split_once('-')?;
        Some((pid.parse().ok()?, ticks.parse().ok()?, entry.path()))
    };
    entries.filter_map(parse).collect()
}

fn changed(path: &Path) -> Option<SystemTime> {
    fs::metadata(path)
        .and_then(|metadata| metadata.modified())
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Scratch;
    use crate::model::{Frame, Losses, Moment, Snapshot};
    use crate::process::Memory;

    fn mark(name: &str, identity: u64) -> Mark {
        let text = || "x".to_owned();
        let process = Process {
            pid: 1,
            identity,
            name: text(),
            exe: text(),
            cmdline: vec![],
            directory: String::new(),
            exit: None,
            start_unix_ns: 0,
        };
        let moment = Moment {
            name: name.to_owned(),
            unix_ns: 1,
            rss_bytes: 0,
            resident: None,
            exact: true,
            in_flight: 0,
            lost_events: 0,
        };
        let snapshot = Snapshot {
            process,
            moment,
            modules: vec![],
            codes: vec![],
            threads: vec![],
            frames: vec![Frame::ROOT],
            jit: std::collections::BTreeMap::new(),
            sites: vec![],
            peak: None,
            births: crate::births::Births::default(),
            temporaries: None,
            losses: Losses::default(),
            complaints: 0,
            sampling: crate::model::Sampling::default(),
        };
        Mark {
            snapshot,
            memory: Memory::default(),
            bundle: None,
        }
    }

    /// A store in a directory that goes with the test.
    fn scratch(name: &str) -> (Scratch, Store) {
        let scratch = Scratch::new(name);
        let directory = scratch.path().join("1-1");
        (scratch, Store { directory })
    }

    /// Check that a mark is kept and found, that a second of its name needs `force`, and that one of an earlier image does not.
    #[test]
    fn same_name() {
        let (_scratch, store) = scratch("same");
        assert!(!store.exists() && store.load("a").is_err());
        let path = store.save(&mark("a", 1), false).expect("saved");
        assert_eq!(store.load("a").expect("loaded"), mark("a", 1));
        assert_eq!(read_file(&path).expect("read"), mark("a", 1));
        let error = store.save(&mark("a", 1), false).expect_err("taken");
        assert!(error.to_string().contains("--force"), "{error}");
        store.save(&mark("a", 1), true).expect("forced");
        store.save(&mark("a", 2), false).expect("another image");
        assert_eq!(store.names(), ["a"]);
    }

    /// Check that marks are kept while their process runs and for a week after, and that nothing else is removed.
    #[test]
    fn pruned_after_a_week() {
        let (_scratch, Store { directory: root }) = scratch("prune");
        for name in ["1-1", "2-2", "other"] {
            fs::create_dir_all(root.join(name)).expect("made");
        }
        let alive = |pid, _| pid == 1;
        let days = |count: u64| SystemTime::now() + Duration::from_secs(count * 24 * 60 * 60);
        assert_eq!(prune_in(&root, days(6), alive), 0);
        assert_eq!(prune_in(&root, days(8), alive), 1);
        assert_eq!(prune_in(&root, days(14), |_, _| false), 0);
        assert_eq!(prune_in(&root, days(16), |_, _| false), 1);
        assert!(root.join("other").is_dir());
    }

    /// Check that reserved words, paths and file names are no names of marks.
    #[test]
    fn names() {
        for name in [
            "start",
            "now",
            "exit",
            "last",
            "",
            "a/b",
            ".a",
            "-a",
            "a\n",
            "a.heapmark",
            &"x".repeat(65),
        ] {
            assert_eq!(
                check_name(name).map_err(|error| error.kind()),
                Err(Kind::Usage),
                "{name}"
            );
        }
        for name in ["warm", "after 1,000", "ä", "v1.2"] {
            assert!(check_name(name).is_ok(), "{name}");
        }
    }

    /// Check that a directory, a device and a missing file are errors, and none of them hangs.
    #[test]
    fn no_files() {
        for path in ["/", "/dev/zero", "/no/such"] {
            assert!(read_file(Path::new(path)).is_err());
        }
    }
}
