//! Debug information that lies in another file than the code.
//!
//! Called by `module` when a module has none of its own. Looked at, in this order: the directories that the user gave
//! (`--debug-dir`), `/usr/lib/debug/.build-id`, and what `.gnu_debuglink` names: beside the module, in `.debug/` there, and
//! under `/usr/lib/debug`. A file counts only if it has the module's build id, or, where one of the two has none, the
//! checksum in the link: a wrong one would give wrong lines. What was refused is told, since its owner thinks it is the right one.

use crate::symbolize::elf::{Elf, OpenError, SharedLink};
use crate::symbolize::live::Live;
use crate::symbolize::open::resolve_in;
use crate::symbolize::progress::Progress;
use std::fmt::Write as _;
use std::path::{Component, Path, PathBuf};

/// Where distributions install debug files.
const SYSTEM: &str = "/usr/lib/debug";

/// Where to look.
#[derive(Clone, Debug, Default)]
pub(crate) struct Places {
    /// `--debug-dir`, in the command's own file system.
    pub(crate) debug_dirs: Vec<PathBuf>,
    /// The target's root directory, where it is another one.
    pub(crate) root: Option<PathBuf>,
    /// Whose rights the target's names are opened with; None: ours.
    pub(crate) reader: Option<(u32, u32)>,
    /// The target, where it still runs.
    pub(crate) live: Option<Live>,
    /// Who is told of large files.
    pub(crate) progress: Progress,
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

/// What a search came to.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// The debug file.
    pub(crate) elf: Option<Elf>,
    /// The name of one that has the right name and is of another build, where there was no other.
    pub(crate) refused: Option<String>,
}

impl Found {
    /// The first candidate with lines that belongs.
    fn first(places: &Places, candidates: &[PathBuf], belongs: impl Fn(&Elf) -> bool) -> Found {
        let mut found = Found::default();
        let opened = candidates.iter().filter_map(|path| places.open(path).ok());
        for elf in opened.filter(has_lines) {
            if belongs(&elf) {
                found.elf = Some(elf);
                return found;
            }
            let name = elf.path.file_name().map(|name| name.to_string_lossy());
            found.refused = found.refused.or(name.map(std::borrow::Cow::into_owned));
        }
        found
    }
}

impl Places {
    /// Opens a file that the target named, with its user's rights; one in a directory that our own user named, with ours.
    pub(crate) fn open(&self, path: &Path) -> Result<Elf, OpenError> {
        let climbs = path.components().any(|part| part == Component::ParentDir);
        let ours = self.debug_dirs.iter().any(|dir| path.starts_with(dir));
        let reader = self.reader.filter(|_| climbs || !ours);
        Elf::open_as(reader, path)
    }

    /// The debug file of a module.
    pub(crate) fn find(&self, wanted: &Wanted<'_>) -> Found {
        let named = self.by_build_id(wanted);
        if named.elf.is_some() {
            return named;
        }
        let linked = self.by_link(wanted);
        Found {
            refused: linked.refused.or(named.refused),
            elf: linked.elf,
        }
    }

    fn by_build_id(&self, wanted: &Wanted<'_>) -> Found {
        let Some(name) = build_id_name(wanted.build_id) else {
            return Found::default();
        };
        let mut candidates = Vec::new();
        for dir in &self.debug_dirs {
            candidates.push(dir.join(".build-id").join(&name));
            candidates.push(dir.join(&name));
            if let Some(base) = wanted.path.file_name().map(Path::new) {
                candidates.push(dir.join(base));
                candidates.push(dir.join(format!("{}.debug", base.display())));
            }
        }
        let system = Path::new(SYSTEM).join(".build-id").join(&name);
        candidates.push(resolve_in(self.root.as_deref(), &system));
        candidates.push(system);
        Found::first(self, &candidates, |elf| elf.build_id == wanted.build_id)
    }

    fn by_link(&self, wanted: &Wanted<'_>) -> Found {
        let link = wanted.elf.and_then(|elf| elf.debug_link.as_ref());
        // A link is a file name; with a directory in it, it would lead anywhere.
        let name = link.and_then(|link| link.name.file_name());
        let (Some(link), Some(name)) = (link, name) else {
            return Found::default();
        };
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
        Found::first(self, &candidates, |found| {
            belongs(found, wanted.build_id, link.crc)
        })
    }

    /// The file that `dwz` moved the common parts to, named by a debug file.
    pub(crate) fn find_shared(&self, from: &Elf, link: &SharedLink) -> Option<Elf> {
        let directory = from.path.parent().unwrap_or(Path::new("/"));
        // Debug files are reached through links in .build-id: the path is relative to where the file really is.
        let real = from.path.canonicalize().ok();
        let real = real.as_deref().and_then(Path::parent);
        let mut candidates: Vec<PathBuf> = match link.path.is_absolute() {
            true => vec![
                resolve_in(self.root.as_deref(), &link.path),
                link.path.clone(),
            ],
            false => [Some(directory), real]
                .into_iter()
                .flatten()
                .map(|directory| directory.join(&link.path))
                .collect(),
        };
        let name = build_id_name(&link.build_id);
        for dir in &self.debug_dirs {
            candidates.extend(link.path.file_name().map(|name| dir.join(name)));
            candidates.extend(name.as_ref().map(|name| dir.join(".build-id").join(name)));
        }
        if let Some(name) = name {
            let system = Path::new(SYSTEM).join(".build-id").join(name);
            candidates.push(resolve_in(self.root.as_deref(), &system));
            candidates.push(system);
        }
        candidates
            .iter()
            .filter_map(|path| self.open(path).ok())
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
    use crate::fixture::Scratch;
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    /// Check the name that a build id gives, and that too short a one gives none.
    #[test]
    fn build_id_gives_a_name() {
        let name = build_id_name(&[0xbb, 0x04, 0x1e]).unwrap();
        assert_eq!(name, PathBuf::from("bb/041e.debug"));
        assert_eq!(build_id_name(&[0xbb]), None);
        assert_eq!(build_id_name(&[]), None);
    }

    /// Check that a file that only root may read is opened where our own user named its directory, and not where another user's process named it, also
    /// by a way that leads through that directory and out again; what anybody may read is opened.
    #[test]
    fn with_whose_rights() {
        let scratch = Scratch::new("separate-rights");
        let ours = scratch.path().join("ours");
        std::fs::create_dir(&ours).unwrap();
        let program = std::fs::read("/proc/self/exe").unwrap();
        let (secret, named) = (scratch.write("secret", &program), ours.join("debug"));
        std::fs::copy(&secret, &named).unwrap();
        for file in [&secret, &named] {
            std::fs::set_permissions(file, Permissions::from_mode(0o600)).unwrap();
        }
        let of = |reader| Places {
            debug_dirs: vec![ours.clone()],
            reader,
            ..Places::default()
        };
        let nobody = of(Some((65534, 65534)));
        assert!(nobody.open(&named).is_ok());
        assert!(nobody.open(Path::new("/usr/bin/env")).is_ok());
        for path in [secret.clone(), ours.join("../secret")] {
            let refused = nobody.open(&path);
            assert!(matches!(refused, Err(OpenError::Damaged(_))), "{path:?}");
            assert!(of(None).open(&path).is_ok(), "{path:?}");
        }
    }
}
