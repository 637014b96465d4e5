//! Names of code that was made at run time: `/tmp/perf-PID.map`.
//!
//! Called by `session` when a snapshot has been taken: code moves and is thrown away, so that names are kept with the moment that
//! they were true at. V8 (`--perf-basic-prof`), Java (`jcmd PID Compiler.perfmap`, perf-map-agent), LuaJIT, PHP and CPython
//! (`-X perf`) write the file, a line a piece of code: `START SIZE NAME`, both numbers hexadecimal. The runtime appends; where two
//! pieces overlap, the later line is true (`backwards`). What the names say is taken apart by `words`.
//!
//! The file is hostile: anybody may make one in /tmp. Only a regular file counts, that no link led to, of the target's own user, and
//! changed since the target began: pids come again. Its lines are read from the end, and no further than needed; what is kept is bounded.
//!
//! Not here: code of a forked child that its parent has made (it is named in the parent's file).

mod backwards;
mod words;

use crate::model::{Frame, FrameKind, Snapshot};
use crate::symbolize::{Language, Reason, SymbolFrame, absolute, resolve_in};
use backwards::Backwards;
use rustix::fs::{Mode, OFlags};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Most bytes of the file that are looked at, from its end: a day's server of V8 writes some MiB; a second's reading.
const MAX_FILE: u64 = 256 << 20;

/// Most bytes of all names together; what is over stays without one.
const MAX_NAMES: usize = 64 << 20;

/// Nanoseconds by which a file's time may lie before the account's beginning: it is that of the kernel's last tick.
const TICK: i128 = 1_000_000_000;

/// Where a process names its code, and whose word counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MapFile {
    /// Its root directory, where that is not ours.
    pub root: Option<PathBuf>,
    /// Its pid, as it knows it itself.
    pub pid: u32,
    /// The users that it is, or was when it began.
    pub owners: Vec<u32>,
    /// When it began, in nanoseconds since the epoch.
    pub since_unix_ns: u64,
}

impl MapFile {
    /// Gives the snapshot's made code its names, as far as they are known now.
    pub fn name(&self, snapshot: &mut Snapshot) {
        let wanted = snapshot.frames.iter().filter(|frame| is_made(frame));
        snapshot.jit = self.names(&wanted.map(|frame| frame.value).collect());
    }

    /// The names of made code at these return addresses, as far as they are known now.
    pub(crate) fn names(&self, wanted: &BTreeSet<u64>) -> BTreeMap<u64, String> {
        let file = if wanted.is_empty() { None } else { self.open() };
        file.map_or_else(BTreeMap::new, |file| {
            names(Backwards::new(file, MAX_FILE), wanted)
        })
    }

    fn open(&self) -> Option<File> {
        let name = format!("perf-{}.map", self.pid);
        let path = resolve_in(self.root.as_deref(), Path::new("/tmp")).join(name);
        // A link is refused, and a pipe does not wait for its other end.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = File::from(rustix::fs::open(path, flags, Mode::empty()).ok()?);
        let meta = file.metadata().ok()?;
        let changed = i128::from(meta.mtime()) * 1_000_000_000 + i128::from(meta.mtime_nsec());
        let is_theirs = meta.is_file()
            && self.owners.contains(&meta.uid())
            && changed + TICK >= i128::from(self.since_unix_ns);
        is_theirs.then_some(file)
    }
}

/// True for what may be code that was made: it lies in no module.
fn is_made(frame: &Frame) -> bool {
    frame.kind == FrameKind::Unknown
}

/// The name of each of these return addresses that has one.
fn names(lines: Backwards, wanted: &BTreeSet<u64>) -> BTreeMap<u64, String> {
    let mut open = wanted.clone();
    let mut named = BTreeMap::new();
    let mut room = MAX_NAMES;
    for line in lines {
        if open.is_empty() {
            break;
        }
        let Some((start, end, name)) = parse(&line) else {
            continue;
        };
        // A return address is that of the byte after the call, which may be the last instruction.
        let covered: Vec<u64> = open.range(start + 1..=end).copied().collect();
        for address in covered {
            open.remove(&address);
            if let Some(left) = room.checked_sub(name.len()) {
                room = left;
                named.insert(address, name.clone());
            }
        }
    }
    named
}

/// `7f4a28007280 338 JS:*leak /srv/app.js:2:14`: where the code begins, where it ends, its name. Java writes the numbers with 0x.
fn parse(line: &[u8]) -> Option<(u64, u64, String)> {
    let line = String::from_utf8_lossy(line);
    let mut words = line.splitn(3, ' ');
    let mut number = || {
        let word = words.next()?;
        u64::from_str_radix(word.strip_prefix("0x").unwrap_or(word), 16).ok()
    };
    let (start, size) = (number()?, number()?);
    let name = words.next()?.trim();
    let end = start.checked_add(size)?;
    (!name.is_empty() && size > 0).then(|| (start, end, name.to_string()))
}

/// The frame of code at `address` that is called `name` in a map, its file made absolute by `directory` where that is given.
pub(super) fn jit_frame(name: &str, address: u64, directory: Option<&str>) -> SymbolFrame {
    let parts = words::parts(name);
    let made =
        |file: String| directory.map_or(file.clone(), |directory| absolute(directory, &file));
    let line = parts.line.filter(|_| parts.file.is_some());
    SymbolFrame {
        file: parts.file.map(made),
        line,
        function: Some(parts.function),
        module: None,
        address,
        language: Language::Jit,
        reason: line
            .is_none()
            .then(|| Reason::NoLine("the perf map".to_string())),
        inlined: false,
        wrapper: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{Scratch, snapshot};
    use rustix::fs::FileType;
    use std::os::unix::fs::symlink;

    /// The names that a map of these bytes gives these addresses.
    fn named(test: &str, bytes: &[u8], addresses: &[u64]) -> Vec<(u64, String)> {
        let scratch = Scratch::new(test);
        let file = File::open(scratch.write("map", bytes)).unwrap();
        let wanted = addresses.iter().copied().collect();
        names(Backwards::new(file, MAX_FILE), &wanted)
            .into_iter()
            .collect()
    }

    fn pairs(expected: &[(u64, &str)]) -> Vec<(u64, String)> {
        expected
            .iter()
            .map(|&(at, name)| (at, name.to_string()))
            .collect()
    }

    /// Check both ends of a piece of code: a return address is that of the byte before it, and may lie just past the end.
    #[test]
    fn ends_of_a_piece() {
        let found = named(
            "jit-ends",
            b"1000 10 f\n",
            &[0xfff, 0x1000, 0x1001, 0x1010, 0x1011],
        );
        assert_eq!(found, pairs(&[(0x1001, "f"), (0x1010, "f")]));
    }

    /// Check that of pieces that overlap the later line is true, as far as it reaches.
    #[test]
    fn later_lines_are_true() {
        let map = b"1000 100 old\n1080 100 newer\n1040 10 newest\n";
        let found = named("jit-later", map, &[0x1010, 0x1045, 0x1090, 0x1170]);
        let expected = [
            (0x1010, "old"),
            (0x1045, "newest"),
            (0x1090, "newer"),
            (0x1170, "newer"),
        ];
        assert_eq!(found, pairs(&expected));
    }

    /// Check that what is no line of a map is passed over: cut, without a name, absurd, not UTF-8, and one that is still being written.
    #[test]
    fn rubbish() {
        let map =
            b"\n1000\n1000 10\n1000 10 \nzz 10 f\n1000 zz f\n1000 0 f\nffffffffffffffff 10 f\n\
            ffffffffffffff00 ff\xff f\n0x2000 0x10 caf\xe9\n-1 10 f\n 1000 10 f\n1000 10 half";
        let found = named("jit-rubbish", map, &[0x1008, 0x2008, u64::MAX, 0, 1]);
        assert_eq!(found, pairs(&[(0x2008, "caf\u{fffd}")]));
    }

    /// Check that names without end do not fill the memory: a map that names each address with 60 KiB.
    #[test]
    fn names_are_bounded() {
        let name = "x".repeat(60 << 10);
        let mut map = format!("1 7fffffffffffffff {name}\n").into_bytes();
        map.extend_from_slice(b"1000 10 f\n");
        let addresses: Vec<u64> = (0x1001..0x1801).collect();
        let found = named("jit-bounded", &map, &addresses);
        let bytes: usize = found.iter().map(|(_, name)| name.len()).sum();
        assert!(
            bytes <= MAX_NAMES && bytes > MAX_NAMES - (60 << 10),
            "{bytes}"
        );
        assert_eq!(found[0], (0x1001, "f".to_string()));
    }

    /// A root with a map of pid 7 in its /tmp, by `make`; what names it gives the fixture's process, one frame of which lies at 0x1008.
    fn from_map(test: &str, change: impl FnOnce(&mut MapFile), make: impl FnOnce(&Path)) -> usize {
        let scratch = Scratch::new(test);
        std::fs::create_dir(scratch.path().join("tmp")).unwrap();
        make(&scratch.path().join("tmp/perf-7.map"));
        let mut file = MapFile {
            root: Some(scratch.path().to_path_buf()),
            pid: 7,
            owners: vec![rustix::process::geteuid().as_raw()],
            since_unix_ns: 0,
        };
        change(&mut file);
        let mut snapshot = snapshot(1);
        (snapshot.frames[3].kind, snapshot.frames[3].value) = (FrameKind::Unknown, 0x1008);
        file.name(&mut snapshot);
        snapshot.jit.len()
    }

    fn write(path: &Path) {
        std::fs::write(path, "1000 10 f\n").unwrap();
    }

    /// Check that a map of the target's own is read, and one of another user, or from before it began, is not.
    #[test]
    fn whose_map() {
        assert_eq!(from_map("jit-own", |_| (), write), 1);
        assert_eq!(
            from_map("jit-other", |file| file.owners = vec![4_000_000], write),
            0
        );
        assert_eq!(
            from_map("jit-old", |file| file.since_unix_ns = u64::MAX, write),
            0
        );
        assert_eq!(from_map("jit-pid", |file| file.pid = 8, write), 0);
    }

    /// Check that a link, a directory, a pipe without a writer and a socket are no maps, and that none of them is waited for.
    #[test]
    fn no_regular_file() {
        let link = |path: &Path| {
            write(&path.with_extension("real"));
            symlink(path.with_extension("real"), path).unwrap();
        };
        assert_eq!(from_map("jit-link", |_| (), link), 0);
        assert_eq!(
            from_map(
                "jit-directory",
                |_| (),
                |path| std::fs::create_dir(path).unwrap()
            ),
            0
        );
        // A socket that is bound would have to have a short name.
        let node = |kind, path: &Path| {
            let mode = Mode::RUSR | Mode::WUSR;
            rustix::fs::mknodat(rustix::fs::CWD, path, kind, mode, 0).unwrap();
        };
        let pipe = |path: &Path| node(FileType::Fifo, path);
        assert_eq!(from_map("jit-pipe", |_| (), pipe), 0);
        let socket = |path: &Path| node(FileType::Socket, path);
        assert_eq!(from_map("jit-socket", |_| (), socket), 0);
    }

    /// Check the frame that a name makes, with a place and without.
    #[test]
    fn frames() {
        let frame = jit_frame("JS:*leak app.js:2:14", 0x1008, Some("/srv"));
        assert_eq!(
            (frame.file.as_deref(), frame.line),
            (Some("/srv/app.js"), Some(2))
        );
        assert_eq!(
            (frame.function.as_deref(), frame.reason),
            (Some("leak"), None)
        );
        let frame = jit_frame("Interpreter", 0x1008, Some("/srv"));
        assert_eq!(
            (frame.file, frame.line, frame.address),
            (None, None, 0x1008)
        );
        assert_eq!(
            frame.reason,
            Some(Reason::NoLine("the perf map".to_string()))
        );
    }
}
