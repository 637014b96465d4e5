//! The variables that the shim and the loader read, in our own environment or in that which a process began with.

use super::finding::Finding;
use crate::launch::preloads;
use crate::shell;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// What the name of every unpacked library begins with.
const LIBRARY: &str = "libheapshim";

/// Variables, by name.
#[derive(Clone, Debug, Default)]
pub(super) struct Environment(Vec<(Vec<u8>, Vec<u8>)>);

impl Environment {
    /// Our own, which a command inherits.
    pub(super) fn own() -> Environment {
        let bytes = |text: OsString| text.as_bytes().to_vec();
        Environment(
            std::env::vars_os()
                .map(|(name, value)| (bytes(name), bytes(value)))
                .collect(),
        )
    }

    /// That of /proc/PID/environ.
    pub(super) fn parse(bytes: &[u8]) -> Environment {
        let entries = bytes.split(|&byte| byte == 0);
        let pairs = entries.filter_map(|entry| {
            let at = entry.iter().position(|&byte| byte == b'=')?;
            Some((entry[..at].to_vec(), entry[at + 1..].to_vec()))
        });
        Environment(pairs.collect())
    }

    fn value(&self, name: &str) -> Option<String> {
        let found = self.0.iter().find(|(known, _)| known == name.as_bytes());
        found.map(|(_, value)| String::from_utf8_lossy(value).into_owned())
    }

    /// What is preloaded, ours told apart.
    pub(super) fn preloads(&self) -> (Vec<String>, Vec<String>) {
        let value = self.value("LD_PRELOAD").unwrap_or_default();
        preloads::libraries(value.as_bytes()).partition(|library| is_ours(library))
    }

    /// What switches tracing off for this program: `HEAPSHIM=0`, or a HEAPSHIM_ONLY that does not name it.
    pub(super) fn switched_off(&self, program: &Path) -> Option<Finding> {
        if self.value("HEAPSHIM").as_deref() == Some("0") {
            let what = "0: the library is loaded and does nothing";
            return Some(Finding::problem(
                "HEAPSHIM",
                what,
                "unset HEAPSHIM, and start it again",
            ));
        }
        let only = self.value("HEAPSHIM_ONLY")?;
        let base = program.file_name().unwrap_or_default().to_string_lossy();
        let named = only.split(',').any(|name| name == base);
        (!named).then(|| {
            let what = format!("traces only {}, and not {base}", only.replace(',', ", "));
            let value = shell::word(&format!("HEAPSHIM_ONLY={only},{base}"));
            Finding::problem("HEAPSHIM_ONLY", what, format!("add it: {value}"))
        })
    }

    /// What else is preloaded, and of ours what is odd.
    pub(super) fn preload_notes(&self) -> Vec<Finding> {
        let (ours, others) = self.preloads();
        let twice = ours.first().map(|library| {
            let what = format!("holds {library} already: every program that you start is traced");
            Finding::note("LD_PRELOAD", what, "unset LD_PRELOAD, if that is not meant")
        });
        let behind = (!others.is_empty()).then(|| {
            let what = format!("{} is loaded, too, behind heapshim", others.join(", "));
            Finding::ok("LD_PRELOAD", what)
        });
        twice.into_iter().chain(behind).collect()
    }
}

/// True for the shim of any version.
pub(super) fn is_ours(library: &str) -> bool {
    let name = Path::new(library).file_name().unwrap_or_default();
    name.to_string_lossy().starts_with(LIBRARY)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Level;

    /// Check that each variable that switches tracing off is told, and one that names the program is not.
    #[test]
    fn switches() {
        let off = |text: &str| {
            let environment = Environment::parse(text.as_bytes());
            let found = environment.switched_off(Path::new("/usr/bin/server"));
            found.map(|finding| {
                (
                    finding.level,
                    finding.object,
                    finding.next.unwrap_or_default(),
                )
            })
        };
        assert_eq!(off("HEAPSHIM=1\0PATH=/bin\0"), None);
        assert_eq!(off("HEAPSHIM_ONLY=a,server\0"), None);
        let expected = (
            Level::Problem,
            "HEAPSHIM".into(),
            "unset HEAPSHIM, and start it again".into(),
        );
        assert_eq!(off("A=b\0HEAPSHIM=0\0"), Some(expected));
        let next = "add it: 'HEAPSHIM_ONLY=a b,server'".to_owned();
        let expected = (Level::Problem, "HEAPSHIM_ONLY".into(), next);
        assert_eq!(off("HEAPSHIM_ONLY=a b\0"), Some(expected));
    }

    /// Check that our own library is told apart from others.
    #[test]
    fn preloaded() {
        let value = "LD_PRELOAD=/c/libheapshim-12ab.so:/usr/lib/libjemalloc.so.2\0";
        let environment = Environment::parse(value.as_bytes());
        let (ours, others) = environment.preloads();
        assert_eq!(ours, ["/c/libheapshim-12ab.so"]);
        assert_eq!(others, ["/usr/lib/libjemalloc.so.2"]);
        assert_eq!(environment.preload_notes().len(), 2);
        assert!(Environment::default().preload_notes().is_empty());
    }
}
