//! Debug information that lies in another file than the code.
//!
//! Called by `cache` when a module has none of its own. Looked at, in this order: the directories that the user gave
//! (`--debug-dir`), `/usr/lib/debug/.build-id`, and what `.gnu_debuglink` names: beside the module, in `.debug/` there, and
//! under `/usr/lib/debug`. A file counts only if it has the module's build id, or, where one of the two has none, the
//! checksum in the link: a wrong one would give wrong lines.

use crate::symbolize::elf::{Elf, SharedLink};
use crate::symbolize::open::resolve_in;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Where distributions install debug files.
const SYSTEM: &str = "/usr/lib/debug";

/// Where to look.
#[derive(Clone, Debug, Default)]
pub(crate) struct Places {
    /// `--debug-dir`, in the command's own file system.
    pub(crate) debug_dirs: Vec<PathBuf>,
    /// The target's root directory, where it is another one.
    pub(crate) root: Option<PathBuf>,
}

/// What is looked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted<'a> {
    /// The module's path as the target has it.
    pub(crate) path: &'a Path,
    /// Its build id; empty where it has none.
    pub(crate) build_id: &'a [u8],
    /// The module's own file, where that can be used.
    pub(crate) elf: Option<&'a Elf>,
}

impl Places {
    /// The debug file of a module.
    pub(crate) fn find(&self, wanted: &Wanted<'_>) -> Option<Elf> {
        self.by_build_id(wanted).or_else(|| self.by_link(wanted))
    }

    fn by_build_id(&self, wanted: &Wanted<'_>) -> Option<Elf> {
        let name = build_id_name(wanted.build_id)?;
        let base = wanted.path.file_name().map(PathBuf::from);
        let mut candidates = Vec::new();
        for dir in &self.debug_dirs {
            candidates.push(dir.join(".build-id").join(&name));
            candidates.push(dir.join(&name));
            if let Some(base) = &base {
                candidates.push(dir.join(base));
                candidates.push(dir.join(format!("{}.debug", base.display())));
            }
        }
        let system = Path::new(SYSTEM).join(".build-id").join(&name);
        candidates.push(resolve_in(self.root.as_deref(), &system));
        candidates.push(system);
        candidates
            .iter()
            .filter_map(|path| Elf::open(path).ok())
            .find(|elf| elf.build_id == wanted.build_id && has_lines(elf))
    }

    fn by_link(&self, wanted: &Wanted<'_>) -> Option<Elf> {
        let elf = wanted.elf?;
        let link = elf.debug_link.as_ref()?;
        // A link is a file name; with a directory in it, it would lead anywhere.
        let name = Path::new(link.name.file_name()?);
        let beside = wanted.path.parent().unwrap_or(Path::new("/"));
        let system = Path::new(SYSTEM).join(beside.strip_prefix("/").unwrap_or(beside));
        let mut candidates: Vec<PathBuf> = self.debug_dirs.iter().map(|d| d.join(name)).collect();
        for place in [
            beside.join(name),
            beside.join(".debug").join(name),
            system.join(name),
        ] {
            candidates.push(resolve_in(self.root.as_deref(), &place));
        }
        candidates
            .iter()
            .filter_map(|path| Elf::open(path).ok())
            .filter(has_lines)
            .find(|found| belongs(found, wanted.build_id, link.crc))
    }

    /// The file that `dwz` moved the common parts to, named by a debug file.
    pub(crate) fn find_shared(&self, from: &Elf) -> Option<Elf> {
        let link: &SharedLink = from.shared_link.as_ref()?;
        let directory = from.path.parent().unwrap_or(Path::new("/"));
        let mut candidates = vec![directory.join(&link.path)];
        // Debug files are reached through links in .build-id: the path is relative to where the file really is.
        if let Ok(real) = from.path.canonicalize() {
            candidates.extend(real.parent().map(|parent| parent.join(&link.path)));
        }
        if let Some(name) = build_id_name(&link.build_id) {
            candidates.push(Path::new(SYSTEM).join(".build-id").join(&name));
            candidates.extend(
                self.debug_dirs
                    .iter()
                    .map(|dir| dir.join(".build-id").join(&name)),
            );
        }
        candidates
            .iter()
            .filter_map(|path| Elf::open(path).ok())
            .find(|elf| elf.build_id == link.build_id)
    }
}

/// True where a file has line tables to offer.
pub(crate) fn has_lines(elf: &Elf) -> bool {
    elf.has_section(".debug_info") || elf.has_section(".debug_line")
}

fn belongs(found: &Elf, build_id: &[u8], crc: u32) -> bool {
    if !build_id.is_empty() && !found.build_id.is_empty() {
        return found.build_id == build_id;
    }
    found.crc() == Ok(crc)
}

/// `xx/yyyy….debug`; None for a build id too short to name a file.
fn build_id_name(build_id: &[u8]) -> Option<PathBuf> {
    let (first, rest) = build_id.split_first()?;
    if rest.is_empty() {
        return None;
    }
    let mut name = format!("{first:02x}/");
    for byte in rest {
        let _ = write!(name, "{byte:02x}");
    }
    name.push_str(".debug");
    Some(PathBuf::from(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Check the name that a build id gives, and that too short a one gives none.
    #[test]
    fn build_id_gives_a_name() {
        let name = build_id_name(&[0xbb, 0x04, 0x1e]).unwrap();
        assert_eq!(name, PathBuf::from("bb/041e.debug"));
        assert_eq!(build_id_name(&[0xbb]), None);
        assert_eq!(build_id_name(&[]), None);
    }
}
