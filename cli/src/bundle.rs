//! What a mark carries so that it reads anywhere: what its addresses mean, and the source lines of their places.
//!
//! Made by `mark --bundle` and `run --save DIR --bundle`, on the machine and, for a running process, at the time at which the files are there;
//! used by `subject`. Everything that any report of the mark may show is in it, whatever its `--by`, `--blame` and `--stacks` are.

use crate::model::{FrameKind, Snapshot};
use crate::render::SourceLines;
use crate::symbolize::records::Record;
use crate::symbolize::{SymbolFrame, Symbolizer};
use std::collections::{BTreeMap, BTreeSet};

/// Longer lines are generated, and no screen shows them.
const MAX_LINE: usize = 512;

/// What a mark carries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bundle {
    /// What its addresses mean.
    pub records: Vec<Record>,
    /// How the sources of these places read.
    pub lines: Vec<SourceLine>,
}

/// One line of a source file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceLine {
    /// The file, as frames name it.
    pub file: String,
    /// The line, counted from 1.
    pub line: u32,
    /// Its text.
    pub text: String,
}

impl Bundle {
    /// All that is known of the stacks of a snapshot.
    #[must_use]
    pub fn new(
        snapshot: &Snapshot,
        symbolizer: &mut Symbolizer,
        sources: &impl SourceLines,
    ) -> Bundle {
        let mut records = BTreeMap::new();
        let mut places = BTreeSet::new();
        for node in used(snapshot) {
            let frames = symbolizer.node(snapshot, node);
            places.extend(frames.iter().filter_map(place));
            let Some(frame) = snapshot.frames.get(node as usize) else {
                continue;
            };
            if let (FrameKind::Native | FrameKind::NativeExact, Some(module)) =
                (frame.kind, frame.module)
            {
                let is_exact = frame.kind == FrameKind::NativeExact;
                records.insert((module, frame.value, is_exact), (frame.kind, frames));
            }
        }
        let records = records.into_iter();
        let record = |((module, value, _), (kind, frames))| Record {
            module,
            kind,
            value,
            frames,
        };
        let lines = places.into_iter().filter_map(|(file, line)| {
            let text = sources.line(&file, line)?;
            let text = text.chars().take(MAX_LINE).collect();
            Some(SourceLine { file, line, text })
        });
        Bundle {
            records: records.map(record).collect(),
            lines: lines.collect(),
        }
    }
}

/// The nodes of every stack that has allocated.
fn used(snapshot: &Snapshot) -> BTreeSet<u32> {
    let mut used = BTreeSet::new();
    let has_allocated = |site: &&crate::model::Site| {
        let counters = site.counters;
        counters.allocated_blocks != 0 || counters.freed_blocks != 0
    };
    for site in snapshot.sites.iter().filter(has_allocated) {
        // Where one node is known, so are all further out.
        let new = snapshot
            .nodes(site.frame)
            .take_while(|node| !used.contains(node));
        let new: Vec<u32> = new.collect();
        used.extend(new);
    }
    used
}

fn place(frame: &SymbolFrame) -> Option<(String, u32)> {
    Some((frame.file.clone()?, frame.line?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{c_frame, snapshot};
    use crate::symbolize::Options;

    /// One line for every place.
    struct Lines;

    impl SourceLines for Lines {
        fn line(&self, file: &str, line: u32) -> Option<String> {
            (line != 8).then(|| format!("{file}:{line}"))
        }
    }

    /// Check that every frame of a stack that has allocated is carried, inner and outer, once, and none of another; each with its
    /// line where that can be read; and that another symbolizer says the same with no file.
    #[test]
    fn carries_what_is_used() {
        let mut snapshot = snapshot(1);
        snapshot.sites[2].counters.allocated_blocks = 1;
        snapshot.sites[3].counters.freed_blocks = 1;
        let mut symbolizer = Symbolizer::new(Options::default());
        let modules = snapshot.modules.clone();
        symbolizer.teach(&modules[0], 0x1100, &[c_frame("main", "/src/m.c", 7)]);
        symbolizer.teach(&modules[0], 0x1200, &[c_frame("put", "/src/m.c", 8)]);
        let bundle = Bundle::new(&snapshot, &mut symbolizer, &Lines);
        let values: Vec<_> = bundle.records.iter().map(|r| (r.module, r.value)).collect();
        assert_eq!(values, [(0, 0x1100), (0, 0x1200), (1, 0x9000)]);
        let texts: Vec<_> = bundle.lines.iter().map(|line| &*line.text).collect();
        assert_eq!(texts, ["/src/m.c:7"]);
        let mut elsewhere = Symbolizer::new(Options::default());
        elsewhere.carry(&snapshot, &bundle.records);
        for node in 1..7 {
            let said = elsewhere.node(&snapshot, node);
            assert_eq!(said, symbolizer.node(&snapshot, node), "{node}");
        }
        assert_eq!(
            elsewhere.node(&snapshot, 3)[0].function.as_deref(),
            Some("put")
        );
    }
}
