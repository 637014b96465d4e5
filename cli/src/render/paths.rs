//! Source paths as a reader wants them: short, and never the same for two files.
//!
//! Called by `table`, and by `export` and `check` for files of other tools. A path below the current directory is shown relative to it; of any other the last two parts, and more
//! where another path among those shown would look the same.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// `src/conn.c` says where to look; `conn.c` alone often does not.
const PARTS: usize = 2;

/// What each path is shown as.
#[derive(Debug)]
pub(crate) struct Labels(BTreeMap<String, String>);

impl Labels {
    /// Labels for all paths that are shown together.
    pub(crate) fn new<'a>(
        paths: impl IntoIterator<Item = &'a str>,
        current_dir: Option<&Path>,
    ) -> Labels {
        let paths: BTreeSet<&str> = paths.into_iter().collect();
        let mut labels = BTreeMap::new();
        let mut open: BTreeMap<&str, usize> = paths.iter().map(|&path| (path, PARTS)).collect();
        loop {
            let mut owners: BTreeMap<String, Vec<&str>> = BTreeMap::new();
            for (&path, &parts) in &open {
                owners
                    .entry(label(path, parts, current_dir))
                    .or_default()
                    .push(path);
            }
            let clashing: Vec<&str> = owners
                .values()
                .filter(|paths| paths.len() > 1)
                .flatten()
                .copied()
                .filter(|path| is_cut(path, open[path], current_dir))
                .collect();
            if clashing.is_empty() {
                for (label, paths) in owners {
                    labels.extend(paths.into_iter().map(|p| (p.to_string(), label.clone())));
                }
                return Labels(labels);
            }
            for path in clashing {
                if let Some(parts) = open.get_mut(path) {
                    *parts += 1;
                }
            }
        }
    }

    /// What the path is shown as; itself where it was not given to `new`.
    pub(crate) fn of<'a>(&'a self, path: &'a str) -> &'a str {
        self.0.get(path).map_or(path, String::as_str)
    }
}

fn below<'a>(path: &'a str, current_dir: Option<&Path>) -> Option<&'a str> {
    // `/` as the current directory would make every path relative.
    let dir = current_dir.filter(|dir| dir.parent().is_some())?;
    Path::new(path).strip_prefix(dir).ok()?.to_str()
}

fn label(path: &str, parts: usize, current_dir: Option<&Path>) -> String {
    below(path, current_dir).map_or_else(|| tail(path, parts).to_string(), str::to_string)
}

/// True where a longer label could be made.
fn is_cut(path: &str, parts: usize, current_dir: Option<&Path>) -> bool {
    below(path, current_dir).is_none() && tail(path, parts).len() < path.len()
}

/// The last parts of a path, without the slash before them; the whole of it where that is no longer.
fn tail(path: &str, parts: usize) -> &str {
    let slashes = path.rmatch_indices('/').nth(parts - 1);
    match slashes {
        Some((at, _)) if at > 0 => &path[at + 1..],
        _ => path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(paths: &[&str], current_dir: Option<&str>) -> Vec<String> {
        let labels = Labels::new(paths.iter().copied(), current_dir.map(Path::new));
        paths
            .iter()
            .map(|path| labels.of(path).to_string())
            .collect()
    }

    /// Check that two parts are shown, and short paths whole.
    #[test]
    fn two_parts() {
        assert_eq!(
            labels(
                &["/usr/lib/python3/aiohttp/web_response.py", "/x.c", "/a/x.c"],
                None
            ),
            ["aiohttp/web_response.py", "/x.c", "/a/x.c"]
        );
    }

    /// Check that what is below the current directory is relative to it, with all its parts.
    #[test]
    fn relative_to_the_current_directory() {
        assert_eq!(
            labels(
                &["/p/src/net/conn.c", "/q/src/net/conn.c", "/pp/x/y.c"],
                Some("/p")
            ),
            ["src/net/conn.c", "net/conn.c", "x/y.c"]
        );
        assert_eq!(labels(&["/a/b/c.c"], Some("/")), ["b/c.c"]);
    }

    /// Check that two files never look the same, and that the others stay short.
    #[test]
    fn unambiguous() {
        assert_eq!(
            labels(
                &["/p/one/src/x.c", "/p/two/src/x.c", "/p/one/src/y.c"],
                None
            ),
            ["one/src/x.c", "two/src/x.c", "src/y.c"]
        );
        assert_eq!(
            labels(&["/p/src/x.c", "/q/p/src/x.c"], None),
            ["/p/src/x.c", "p/src/x.c"]
        );
        assert_eq!(
            labels(&["/p/src/x.c", "/q/src/x.c"], Some("/p")),
            ["src/x.c", "/q/src/x.c"]
        );
    }
}
