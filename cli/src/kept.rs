//! A ledger that HEAPSHIM_DIR kept in a file: the account up to the last event, however its process ended, on any machine.
//!
//! Read by `store` for paths that end in `.heapledger`, and by `catalog` for marks that the program took itself, which lie in it. The file is copied, not mapped: it may be truncated meanwhile, by whoever owns it. It
//! may still be written, so the copy is repeated until two are alike: then it is one instant. Not here: a live process, which is
//! found and mapped by `session`.

use crate::error::{Error, Kind};
use crate::mapping::{MAX_BYTES, Mapping};
use crate::mark::Mark;
use crate::model::Snapshot;
use crate::process::Memory;
use crate::session;
use crate::snapshot;
use rustix::fs::{OFlags, SeekFrom};
use std::fs::File;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::time::UNIX_EPOCH;

/// What such a file's name ends in.
pub const EXTENSION: &str = "heapledger";
/// What the moment is called that a file holds.
const NAME: &str = "kept";
/// Copies of a ledger that is being written, until it is taken as it is.
const TRIES: usize = 4;
/// Bytes that are read at once.
const CHUNK: usize = 1 << 16;

/// True where a path names such a file.
#[must_use]
pub fn is_ledger(path: &Path) -> bool {
    path.extension()
        .is_some_and(|extension| extension == EXTENSION)
}

/// The account as the file has it now, without memory sizes: those the file does not know.
///
/// # Errors
/// What the system said; `Damaged` where it holds no ledger.
pub fn read(path: &Path) -> Result<Mark, Error> {
    let copied = copied(path)?;
    let reader = copied.mapping.reader(path.display())?;
    let process = session::recorded_process(&reader);
    let mut snapshot = snapshot::take_with_births(&reader, process, NAME, Memory::default())?;
    snapshot.moment.exact &= copied.settled;
    snapshot.moment.unix_ns = copied.changed_unix_ns.unwrap_or(snapshot.moment.unix_ns);
    Ok(mark(snapshot))
}

/// The account at the newest mark of this name that the program took itself.
///
/// # Errors
/// As `read`; `Missing` where there is no such mark.
pub fn read_inside(path: &Path, name: &str) -> Result<Mark, Error> {
    let copied = copied(path)?;
    let reader = copied.mapping.reader(path.display())?;
    let marks = snapshot::inside_marks(&reader);
    let found = marks.iter().rfind(|(_, moment)| moment.name == name);
    let process = session::recorded_process(&reader);
    let inside = found.map(|(number, _)| snapshot::inside(&reader, process, *number));
    if let Some(mut snapshot) = inside.transpose()?.flatten() {
        snapshot.moment.exact &= copied.settled;
        return Ok(mark(snapshot));
    }
    let names: Vec<&str> = marks.iter().map(|(_, moment)| &*moment.name).collect();
    let next = match names.is_empty() {
        true => "its program took none itself (heapshim_mark)".to_owned(),
        false => format!("there are: {}", names.join(", ")),
    };
    let problem = format!("no mark '{name}'");
    Err(Error::new(Kind::Missing, path.display(), problem).next(next))
}

fn mark(snapshot: Snapshot) -> Mark {
    let memory = Memory {
        rss_bytes: snapshot.moment.rss_bytes,
        ..Memory::default()
    };
    Mark {
        snapshot,
        memory,
        bundle: None,
    }
}

/// A file's bytes, and what is known of them.
struct Copied {
    mapping: Mapping,
    /// False where it was written all the while.
    settled: bool,
    changed_unix_ns: Option<u64>,
}

fn copied(path: &Path) -> Result<Copied, Error> {
    let failed = |error| {
        let next = "a process that runs with HEAPSHIM_DIR=/DIRECTORY makes one";
        Error::io(path.display(), "not read", error).next(next)
    };
    let mut options = File::options();
    // Without NONBLOCK the open of a named pipe would wait for a writer.
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let file = options.read(true).custom_flags(flags).open(path);
    let file = file.map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    if !metadata.is_file() || metadata.len() == 0 || metadata.len() > MAX_BYTES {
        let problem = "no account: no regular file of a size that one can have";
        return Err(Error::new(Kind::Damaged, path.display(), problem));
    }
    let object = path.display().to_string();
    let mut copy = Copy::new(metadata.len(), &object)?;
    let settled = copy.settle(&file).map_err(failed)?;
    let changed = file.metadata().and_then(|metadata| metadata.modified());
    let since = changed
        .ok()
        .and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    Ok(Copied {
        mapping: copy.mapping,
        settled,
        changed_unix_ns: since.and_then(|since| u64::try_from(since.as_nanos()).ok()),
    })
}

/// A file's bytes in memory of our own.
struct Copy {
    mapping: Mapping,
    bytes: u64,
}

impl Copy {
    fn new(bytes: u64, object: &str) -> Result<Copy, Error> {
        let mapping = Mapping::blank(bytes, object)?;
        Ok(Copy { mapping, bytes })
    }

    /// Copies until a copy changes nothing; false where that did not come.
    fn settle(&mut self, file: &File) -> std::io::Result<bool> {
        self.pass(file)?;
        for _ in 0..TRIES {
            if !self.pass(file)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// One copy, without the holes; true where it changed anything.
    fn pass(&mut self, file: &File) -> std::io::Result<bool> {
        let mut chunk = [0u8; CHUNK];
        let (mut at, mut changed) = (0, false);
        while at < self.bytes {
            at = data_from(file, at).unwrap_or(self.bytes);
            let left = usize::try_from(self.bytes.saturating_sub(at)).unwrap_or(0);
            let Some(place) = chunk
                .get_mut(..left.min(CHUNK))
                .filter(|place| !place.is_empty())
            else {
                break;
            };
            let read = file.read_at(place, at)?;
            if read == 0 {
                break;
            }
            changed |= self.mapping.fill(at, chunk.get(..read).unwrap_or(&[]));
            at += read as u64;
        }
        Ok(changed)
    }
}

/// Where the next byte lies that is no hole; None behind the last. Where the disk knows no holes, here.
fn data_from(file: &File, at: u64) -> Option<u64> {
    match rustix::fs::seek(file, SeekFrom::Data(at)) {
        Ok(next) => Some(next.max(at)),
        Err(rustix::io::Errno::NXIO) => None,
        Err(_) => Some(at),
    }
}
