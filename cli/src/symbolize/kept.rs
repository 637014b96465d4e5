//! Answers kept from one run to the next: one file a build id, in the user's cache directory.
//!
//! Used by `cache`. Reading a browser's line tables takes seconds; the same addresses are asked for again by the next `diff`. A file is
//! only ever used for the build id that stands in it, under a checksum, and for the version that wrote it; what is damaged is as if it was not there, and nothing
//! that goes wrong here is an error. Only answers that are whole are kept, from files that only we or root can have made (`OpenModule::may_be_kept`): a hostile
//! program that claims libc's build id must not teach us what libc's lines are.
//!
//! Bounded: one file by its size, all of them by theirs, the least recently used going first.

use crate::directory::{Private, Reach, absolute, xdg};
use crate::mark::bytes::{Reader, Short, Writer};
use crate::model::{FrameKind, Module};
use crate::symbolize::module::base_name;
use crate::symbolize::records::{self, Record};
use crate::symbolize::{Reason, SymbolFrame};
use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, SystemTime};

/// Raised whenever the same file would be answered for otherwise.
const VERSION: u32 = 2;

const MAGIC: &[u8; 8] = b"HEAPSYMS";

/// Another release may say it in other words.
const RELEASE: &str = env!("CARGO_PKG_VERSION");

/// Largest file: about 200,000 addresses.
const MAX_FILE: u64 = 32 << 20;

/// Most bytes of all files together.
const MAX_ALL: u64 = 256 << 20;

/// A file that is used is noted as young once a day.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

const EXTENSION: &str = "symbols";

/// Where root's answers lie, beside its library.
const SYSTEM_CACHE: &str = "/var/cache/heapshim";

/// What stands at the addresses of one module.
pub(super) type Answers = HashMap<(u64, FrameKind), Rc<[SymbolFrame]>>;

/// The directory of all answers.
#[derive(Debug)]
pub(super) struct Kept(Option<Private>);

/// Where answers are kept: in the user's cache directory; None where that is another user's (`sudo` keeps HOME, and must not leave
/// root's directories in it).
#[must_use]
pub fn kept_directory() -> Option<PathBuf> {
    let is_root = rustix::process::geteuid().is_root();
    let cache = match absolute("XDG_CACHE_HOME") {
        None if is_root => Some(SYSTEM_CACHE.into()),
        _ => xdg("XDG_CACHE_HOME", ".cache"),
    };
    let cache = cache.filter(|path| is_ours(path))?;
    Some(cache.join("symbols"))
}

/// True where the directory, or the nearest above it that is there, belongs to us.
fn is_ours(path: &Path) -> bool {
    let us = rustix::process::geteuid().as_raw();
    let mut owners = path.ancestors().filter_map(|path| path.metadata().ok());
    owners.next().is_some_and(|metadata| metadata.uid() == us)
}

impl Kept {
    pub(super) fn new(directory: Option<&Path>) -> Kept {
        Kept(directory.and_then(|path| Private::open_or_make(path, Reach::Owner).ok()))
    }

    /// What was kept of a module.
    pub(super) fn load(&self, module: &Module) -> Answers {
        self.read(module).unwrap_or_default()
    }

    fn read(&self, module: &Module) -> Option<Answers> {
        let (directory, name) = (self.0.as_ref()?, name(&module.build_id)?);
        let bytes = directory.read(&name, MAX_FILE)?;
        let answers = decode(&bytes, module).ok()?;
        let path = directory.path().join(&name);
        if age(&path).is_some_and(|age| age > DAY) {
            directory.renew(&name, Reach::Owner);
        }
        Some(answers)
    }

    /// Keeps the answers of a module, all of them.
    pub(super) fn save(&self, build_id: &[u8], answers: &Answers) {
        if let (Some(directory), Some(name)) = (&self.0, name(build_id)) {
            let bytes = encode(build_id, answers);
            if bytes.len() as u64 <= MAX_FILE {
                let _kept = directory.write_lossy(&name, &bytes, Reach::Owner);
                prune(directory, MAX_ALL);
            }
        }
    }
}

/// None for a module that has none, which another would be taken for.
fn name(build_id: &[u8]) -> Option<String> {
    let mut name = String::new();
    for byte in build_id {
        let _ = write!(name, "{byte:02x}");
    }
    (!name.is_empty()).then(|| format!("{name}.{EXTENSION}"))
}

fn encode(build_id: &[u8], answers: &Answers) -> Vec<u8> {
    let mut list: Vec<Record> = answers
        .iter()
        .map(|(&(value, kind), frames)| Record {
            module: 0,
            kind,
            value,
            frames: Rc::clone(frames),
        })
        .collect();
    list.sort_by_key(|record| (record.value, record.kind == FrameKind::NativeExact));
    let mut body = Writer::default();
    body.blob(RELEASE.as_bytes());
    body.blob(build_id);
    records::write(&mut body, &list);
    let mut out = Writer::default();
    out.bytes(MAGIC);
    out.u32(VERSION);
    out.u32(crc32fast::hash(body.as_slice()));
    out.bytes(body.as_slice());
    out.into_vec()
}

/// The answers for a module; `Short` for whatever was not written for it by this version.
fn decode(bytes: &[u8], module: &Module) -> Result<Answers, Short> {
    let mut head = Reader::new(bytes);
    let is_ours = head.bytes(MAGIC.len())? == MAGIC && head.u32()? == VERSION;
    let sum = head.u32()?;
    let body = head.bytes(head.left())?;
    if !is_ours || crc32fast::hash(body) != sum {
        return Err(Short);
    }
    let mut body = Reader::new(body);
    let is_for_us = body.blob()? == RELEASE.as_bytes() && body.blob()? == module.build_id;
    if !is_for_us {
        return Err(Short);
    }
    let list = records::read(body)?;
    let each = list.into_iter();
    Ok(each
        .map(|record| ((record.value, record.kind), renamed(&record.frames, module)))
        .collect())
}

/// The same build may lie at another path by now.
fn renamed(frames: &[SymbolFrame], module: &Module) -> Rc<[SymbolFrame]> {
    let rename = |frame: &SymbolFrame| SymbolFrame {
        module: Some(module.path.clone()),
        reason: frame
            .reason
            .as_ref()
            .map(|_| Reason::NoLine(base_name(&module.path))),
        ..frame.clone()
    };
    frames.iter().map(rename).collect()
}

/// None where it is not known, or lies in the future.
fn age(path: &Path) -> Option<Duration> {
    let modified = fs::symlink_metadata(path).ok()?.modified().ok()?;
    SystemTime::now().duration_since(modified).ok()
}

/// Removes the least recently used files until all together have at most so many bytes.
fn prune(directory: &Private, most: u64) {
    let entries = fs::read_dir(directory.path())
        .into_iter()
        .flatten()
        .flatten();
    let file = |entry: fs::DirEntry| {
        let name = entry.file_name().into_string().ok()?;
        let metadata = entry.metadata().ok()?;
        Some((metadata.modified().ok()?, metadata.len(), name))
    };
    let mut files: Vec<(SystemTime, u64, String)> = entries.filter_map(file).collect();
    files.sort();
    let mut all: u64 = files.iter().map(|(_, size, _)| size).sum();
    for (_, size, name) in files {
        if all <= most {
            return;
        }
        directory.remove(&name);
        all -= size;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{Scratch, c_frame};

    fn module(build_id: &[u8]) -> Module {
        Module {
            path: "/lib/a.so".to_string(),
            build_id: build_id.to_vec(),
            bias: 0,
            start: 0,
            end: 0,
        }
    }

    fn answers(function: &str) -> Answers {
        let mut frame = c_frame(function, "/src/a.c", 3);
        frame.module = Some("/old/b.so".to_string());
        let none = SymbolFrame {
            line: None,
            reason: Some(Reason::NoLine("b.so".to_string())),
            ..frame.clone()
        };
        Answers::from([
            ((0x1000, FrameKind::Native), Rc::from([frame])),
            ((0x1000, FrameKind::NativeExact), Rc::from([none])),
        ])
    }

    /// Check that answers come back for the same build id, under the path that the module has now, and for no other build id.
    #[test]
    fn only_for_the_same_build() {
        let scratch = Scratch::new("kept-same");
        let kept = Kept::new(Some(&scratch.path().join("symbols")));
        kept.save(&[1, 2], &answers("f"));
        let found = kept.load(&module(&[1, 2]));
        let frame = &found[&(0x1000, FrameKind::Native)][0];
        assert_eq!(frame.module.as_deref(), Some("/lib/a.so"));
        assert_eq!((frame.line, frame.address), (Some(3), 0x1000));
        let exact = &found[&(0x1000, FrameKind::NativeExact)][0];
        assert_eq!(exact.reason, Some(Reason::NoLine("a.so".to_string())));
        assert!(kept.load(&module(&[1, 3])).is_empty());
        let (from, to) = ("symbols/0102.symbols", "symbols/0103.symbols");
        fs::rename(scratch.path().join(from), scratch.path().join(to)).unwrap();
        assert!(kept.load(&module(&[1, 3])).is_empty());
    }

    /// Check that what has no build id is not kept, and that no directory is no error.
    #[test]
    fn nothing_to_tell_it_by() {
        let scratch = Scratch::new("kept-none");
        let kept = Kept::new(Some(scratch.path()));
        kept.save(&[], &answers("f"));
        assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 0);
        let file = scratch.write("file", b"");
        for kept in [Kept::new(None), Kept::new(Some(&file))] {
            kept.save(&[1], &answers("f"));
            assert!(kept.load(&module(&[1])).is_empty());
        }
    }

    /// Check that a file with any byte changed, or cut anywhere, is as if it was not there, and that the next answers replace it.
    #[test]
    fn damaged_files_are_not_used() {
        let scratch = Scratch::new("kept-damaged");
        let kept = Kept::new(Some(scratch.path()));
        kept.save(&[1, 2], &answers("f"));
        let path = scratch.path().join("0102.symbols");
        let whole = fs::read(&path).unwrap();
        let found = || kept.load(&module(&[1, 2])).len();
        assert_eq!(found(), 2);
        for at in 0..whole.len() {
            fs::write(&path, &whole[..at]).unwrap();
            assert_eq!(found(), 0, "cut at {at}");
            let mut changed = whole.clone();
            changed[at] ^= 0x10;
            fs::write(&path, changed).unwrap();
            assert_eq!(found(), 0, "byte {at}");
        }
        kept.save(&[1, 2], &answers("g"));
        let found = kept.load(&module(&[1, 2]));
        let frame = &found[&(0x1000, FrameKind::Native)][0];
        assert_eq!(frame.function.as_deref(), Some("g"));
    }

    /// Check that files that together are too large go, the oldest first, and no more of them than must.
    #[test]
    fn the_oldest_go() {
        let scratch = Scratch::new("kept-prune");
        let now = SystemTime::now();
        for (name, days) in [("a", 3), ("b", 1), ("c", 2)] {
            let path = scratch.write(name, &[0; 100]);
            let file = fs::File::options().write(true).open(path).unwrap();
            file.set_modified(now - days * DAY).unwrap();
        }
        let private = Private::open(scratch.path()).unwrap();
        let left = |most| {
            prune(&private, most);
            let names = ["a", "b", "c"];
            names.map(|name| scratch.path().join(name).exists())
        };
        assert_eq!(left(300), [true, true, true]);
        assert_eq!(left(299), [false, true, true]);
        assert_eq!(left(100), [false, true, false]);
    }
}
