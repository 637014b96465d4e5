//! Source lines, for the table.
//!
//! The path comes from the target's debug information, and the reader may be root: a file is opened with the rights of the target's
//! user, or `dwarf` would be a way to print one's administrator's secrets. Only regular files are opened, only so
//! much of them is read, and a line that cannot be had is simply not shown.

use crate::bundle::SourceLine;
use crate::symbolize::{Options, open_as, resolve_in};
use std::cell::RefCell;
use std::collections::HashMap;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Generated sources are larger than one expects; this is larger still.
const MAX_SOURCE: u64 = 16 << 20;

/// Where source lines come from.
pub trait SourceLines {
    /// The line, counted from 1, as it stands in the file.
    fn line(&self, file: &str, line: u32) -> Option<String>;
}

/// No source lines.
#[derive(Clone, Copy, Debug)]
pub struct NoSources;

impl SourceLines for NoSources {
    fn line(&self, _: &str, _: u32) -> Option<String> {
        None
    }
}

/// Source lines from files.
#[derive(Debug)]
pub struct Sources {
    moved: Vec<(String, String)>,
    root: Option<PathBuf>,
    reader: Option<(u32, u32)>,
    embedded: Option<(&'static str, &'static str)>,
    carried: HashMap<(String, u32), String>,
    files: RefCell<HashMap<String, Option<Vec<u8>>>>,
}

impl Sources {
    /// Sources where `options` say. `reader` is the user and group that the target runs as, where that is not who we are:
    /// then only what these could read is shown.
    #[must_use]
    pub fn new(options: &Options, reader: Option<(u32, u32)>) -> Sources {
        Sources {
            moved: options.source_dirs.clone(),
            root: options.root.clone().filter(|root| root.is_dir()),
            reader,
            embedded: None,
            carried: HashMap::new(),
            files: RefCell::default(),
        }
    }

    /// Takes the files whose paths end so from this text: what a command carries need not be installed.
    pub fn embed(&mut self, end: &'static str, text: &'static str) {
        self.embedded = Some((end, text));
    }

    /// Takes these lines from here, whatever lies at their paths: they are from when the mark that carries them was taken.
    pub fn carry(&mut self, lines: &[SourceLine]) {
        let lines = lines.iter();
        self.carried
            .extend(lines.map(|line| ((line.file.clone(), line.line), line.text.clone())));
    }

    /// Where a file may lie: where the user said, in the target's root.
    fn candidates(&self, file: &str) -> Vec<PathBuf> {
        let file = Path::new(file);
        let moved = self.moved.iter().filter_map(|(from, to)| {
            // Programs built with -ffile-prefix-map=DIR=. name their files by no directory at all.
            let rest = match from.as_str() {
                "." => Some(file).filter(|file| file.is_relative()),
                from => file.strip_prefix(from).ok(),
            };
            Some(Path::new(to).join(rest?))
        });
        // A relative name is relative to a directory that is not ours.
        let own = file
            .is_absolute()
            .then(|| resolve_in(self.root.as_deref(), file));
        moved.chain(own).collect()
    }

    fn read(&self, file: &str) -> Option<Vec<u8>> {
        self.candidates(file)
            .iter()
            .find_map(|path| self.read_file(path))
    }

    fn read_file(&self, path: &Path) -> Option<Vec<u8>> {
        let file = open_as(self.reader, path).ok()?;
        let mut text = Vec::new();
        file.take(MAX_SOURCE).read_to_end(&mut text).ok()?;
        Some(text)
    }
}

impl SourceLines for Sources {
    fn line(&self, file: &str, line: u32) -> Option<String> {
        if let Some(text) = self.carried.get(&(file.to_string(), line)) {
            return Some(text.clone());
        }
        let mut files = self.files.borrow_mut();
        let text = files
            .entry(file.to_string())
            .or_insert_with(|| match self.embedded {
                Some((end, text)) if file.ends_with(end) => Some(text.into()),
                _ => self.read(file),
            });
        let at = usize::try_from(line).ok()?.checked_sub(1)?;
        let found = text.as_ref()?.split(|&byte| byte == b'\n').nth(at)?;
        Some(String::from_utf8_lossy(found).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Scratch;
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    /// Check the first and the last line, and that there is none beyond.
    #[test]
    fn lines_count_from_one() {
        let scratch = Scratch::new("sources-lines");
        let file = scratch.write("x.c", b"one\n\ttwo\n");
        let file = file.to_str().unwrap();
        let sources = Sources::new(&Options::default(), None);
        assert_eq!(sources.line(file, 1).unwrap(), "one");
        assert_eq!(sources.line(file, 2).unwrap(), "\ttwo");
        assert_eq!(sources.line(file, 0), None);
        assert_eq!(sources.line(file, 9), None);
        assert_eq!(sources.line("relative.c", 1), None);
        assert_eq!(sources.line("/dev/zero", 1), None);
    }

    /// Check that a file that is carried is taken from there, whatever lies at its path, and no other is.
    #[test]
    fn embedded_source() {
        let scratch = Scratch::new("sources-embedded");
        let file = scratch.write("x.c", b"of the disk\n");
        let mut sources = Sources::new(&Options::default(), None);
        sources.embed("there/x.c", "carried\n");
        assert_eq!(sources.line("/not/there/x.c", 1).unwrap(), "carried");
        assert_eq!(
            sources.line(file.to_str().unwrap(), 1).unwrap(),
            "of the disk"
        );
    }

    /// Check that a line that a mark carries wins over the file, and that the others are the file's.
    #[test]
    fn carried_lines() {
        let scratch = Scratch::new("sources-carried");
        let file = scratch.write("x.c", b"one\ntwo\n");
        let file = file.to_str().unwrap();
        let mut sources = Sources::new(&Options::default(), None);
        sources.carry(&[SourceLine {
            file: file.to_string(),
            line: 1,
            text: "as it was".to_string(),
        }]);
        assert_eq!(sources.line(file, 1).unwrap(), "as it was");
        assert_eq!(sources.line(file, 2).unwrap(), "two");
    }

    /// Check that sources are found where the user says that they are now, by whole parts of the path.
    #[test]
    fn moved_sources() {
        let scratch = Scratch::new("sources-moved");
        scratch.write("x.c", b"here\n");
        let to = scratch.path().to_str().unwrap().to_string();
        let options = Options {
            source_dirs: vec![("/build/p".to_string(), to)],
            ..Options::default()
        };
        let sources = Sources::new(&options, None);
        assert_eq!(sources.line("/build/p/x.c", 1).unwrap(), "here");
        assert_eq!(sources.line("/build/pp/x.c", 1), None);
        assert_eq!(sources.line("x.c", 1), None);
    }

    /// Check that `.` stands for the directory of names that have none, and for no absolute one.
    #[test]
    fn moved_relative_sources() {
        let scratch = Scratch::new("sources-relative");
        scratch.write("x.c", b"here\n");
        let to = scratch.path().to_str().unwrap().to_string();
        let options = Options {
            source_dirs: vec![(".".to_string(), to)],
            ..Options::default()
        };
        let sources = Sources::new(&options, None);
        assert_eq!(sources.line("x.c", 1).unwrap(), "here");
        assert_eq!(sources.line("/nowhere/x.c", 1), None);
    }

    /// Check that what the target's user may not read is not shown, however much the reader may.
    #[test]
    fn other_users_secrets_are_not_shown() {
        let scratch = Scratch::new("sources-secret");
        let file = scratch.write("secret", b"secret\n");
        let name = file.to_str().unwrap();
        std::fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
        let stranger = Some((4_000_000, 4_000_000));
        let line = |reader| Sources::new(&Options::default(), reader).line(name, 1);
        assert_eq!(line(stranger), None);
        assert_eq!(line(None).unwrap(), "secret");
    }
}
