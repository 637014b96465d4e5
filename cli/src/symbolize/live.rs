//! A target that still runs: its files though they are deleted or replaced, and its memory.
//!
//! Called by `module`. A mapped file is kept by its mappings: `/proc/PID/exe` is the executable for whoever may look at the process, and
//! `/proc/PID/map_files` has every file, for root alone. Where neither opens, the names that a module exports are still in the
//! target's memory (`image`). Whether a file is the one that was loaded is judged by its build id, not here.

use crate::model::Module;
use crate::process;
use crate::symbolize::image::{self, Image};
use std::cell::OnceCell;
use std::fs::{self, File};
use std::path::PathBuf;

/// What the kernel puts behind the path of a file that has no name any more.
const DELETED: &str = " (deleted)";

/// A running process.
#[derive(Clone, Debug)]
pub(crate) struct Live {
    pid: u32,
    maps: OnceCell<Vec<Mapped>>,
}

/// One line of `/proc/PID/maps`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Mapped {
    start: u64,
    end: u64,
    path: String,
}

impl Live {
    pub(crate) fn new(pid: u32) -> Live {
        let maps = OnceCell::new();
        Live { pid, maps }
    }

    /// Other ways to the file that was loaded, best first.
    pub(crate) fn files(&self, module: &Module) -> Vec<PathBuf> {
        let exe = process::exe(self.pid);
        let is_exe = exe.is_some_and(|exe| exe.trim_end_matches(DELETED) == module.path);
        let exe = is_exe.then(|| process::path(self.pid, "exe"));
        let mapped = self.mapped(module).map(|line| {
            let name = format!("map_files/{:x}-{:x}", line.start, line.end);
            process::path(self.pid, &name)
        });
        exe.into_iter().chain(mapped).collect()
    }

    /// True where the file that is mapped has no name any more: what lies at its path is another one.
    pub(crate) fn is_deleted(&self, module: &Module) -> bool {
        self.mapped(module)
            .is_some_and(|line| line.path.ends_with(DELETED))
    }

    /// The module as it lies in the target's memory.
    pub(crate) fn image(&self, module: &Module) -> Option<Image> {
        let line = self.mapped(module)?;
        let memory = File::open(process::path(self.pid, "mem")).ok()?;
        Image::read(&memory, line.start, module.end)
    }

    /// The first mapping of a module, if it is still loaded where it was. The loader's path may be a link to the file that is
    /// mapped, so what has a build id is told by that.
    fn mapped(&self, module: &Module) -> Option<&Mapped> {
        let maps = self.maps.get_or_init(|| read_maps(self.pid));
        let found = maps
            .iter()
            .find(|line| (line.start..line.end).contains(&module.start))?;
        let path = found.path.trim_end_matches(DELETED);
        let is_same = || {
            let real = fs::canonicalize(&module.path);
            path == module.path || real.is_ok_and(|real| real.to_string_lossy() == path)
        };
        (!module.build_id.is_empty() || is_same()).then_some(found)
    }
}

/// The kernel's own object as it lies in this process: on one machine every process has the same.
pub(crate) fn own_vdso() -> Option<Image> {
    let maps = read_maps(std::process::id());
    let line = maps.iter().find(|line| line.path == image::VDSO)?;
    let memory = File::open("/proc/self/mem").ok()?;
    Image::read(&memory, line.start, line.end)
}

fn read_maps(pid: u32) -> Vec<Mapped> {
    let bytes = fs::read(process::path(pid, "maps")).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    text.lines().filter_map(parse).collect()
}

/// `7f00-7f01 r--p 00000000 fe:00 123   /path with spaces (deleted)`
fn parse(line: &str) -> Option<Mapped> {
    let (range, rest) = line.split_once(' ')?;
    let (start, end) = range.split_once('-')?;
    let name = rest.find(['/', '[']).map_or("", |at| &rest[at..]);
    Some(Mapped {
        start: u64::from_str_radix(start, 16).ok()?,
        end: u64::from_str_radix(end, 16).ok()?,
        path: name.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Check that a line is taken apart, that a path may have spaces, and that rubbish is none.
    #[test]
    fn lines_of_maps() {
        let line = "7f00-7fa0 r-xp 00001000 fe:00 12   /a b/c.so (deleted)";
        let parsed = parse(line).unwrap();
        assert_eq!((parsed.start, parsed.end), (0x7f00, 0x7fa0));
        assert_eq!(parsed.path, "/a b/c.so (deleted)");
        assert_eq!(parse("7f00-7fa0 rw-p 0 00:00 0").unwrap().path, "");
        assert_eq!(parse("rubbish"), None);
    }

    /// Check that the kernel's object has an identity and the name of a function that every program calls.
    #[test]
    fn vdso_is_read() {
        let image = own_vdso().unwrap();
        assert!(!image.build_id.is_empty());
        let names: Vec<_> = (0..0x4000)
            .filter_map(|address| image.symbols.find(address))
            .collect();
        assert!(names.iter().any(|name| name.ends_with("clock_gettime")));
    }
}
