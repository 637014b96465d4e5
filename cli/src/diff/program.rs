//! Which program a snapshot is of, as `blame` needs it: its executable, and the source that its `main` is in.
//!
//! Called by `diff`, once. `main` is looked for where it must be: at the outer end of the main thread's stacks, behind nothing but
//! what starts a program. So a few nodes are symbolized, however many the snapshot has.

use crate::blame::{Class, Program, Table};
use crate::model::Snapshot;
use crate::symbolize::{SymbolFrame, Symbolizer};

/// Nodes that are looked at: what starts a program is about ten frames deep, in each of a few ways.
const MOST_NODES: usize = 256;

pub(super) fn program(snapshot: &Snapshot, symbolizer: &mut Symbolizer) -> Program {
    Program {
        exe: snapshot.process.exe.clone(),
        main: main_source(snapshot, symbolizer),
    }
}

/// The source of `main`, where it has one. A parent's number is lower than its child's: one pass sees every stack from its
/// outer end.
fn main_source(snapshot: &Snapshot, symbolizer: &mut Symbolizer) -> Option<String> {
    let table = Table::default();
    let mut starts = vec![false; snapshot.frames.len()];
    *starts.first_mut()? = true;
    let mut looked_at = 0;
    for (node, frame) in snapshot.frames.iter().enumerate().skip(1) {
        if !starts[frame.parent as usize] {
            continue;
        }
        looked_at += 1;
        if looked_at > MOST_NODES {
            return None;
        }
        let frames = symbolizer.node(snapshot, u32::try_from(node).ok()?);
        if let Some(main) = frames.iter().find(|frame| is_main(frame)) {
            return main.file.clone();
        }
        starts[node] = frames.iter().all(|frame| starts_programs(&table, frame));
    }
    None
}

fn is_main(frame: &SymbolFrame) -> bool {
    let name = frame.function.as_deref().unwrap_or_default();
    frame.file.is_some() && (name == "main" || name.ends_with("::main"))
}

/// True for what calls `main`: the C library, and the `main` that a Rust program's own is called by, which has no source.
fn starts_programs(table: &Table, frame: &SymbolFrame) -> bool {
    let is_entry = matches!(frame.function.as_deref(), Some("_start" | "main"));
    is_entry || table.class(frame) == Class::Plumbing
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{c_frame, snapshot};
    use crate::symbolize;

    /// Check that `main` is found at the outer end of a stack, and nowhere else.
    #[test]
    fn main_is_at_the_outer_end() {
        let snapshot = snapshot(1);
        let source = |outer: &str, inner: &str| {
            let mut symbolizer = Symbolizer::new(symbolize::Options::default());
            let module = &snapshot.modules[0];
            symbolizer.teach(module, 0x1100, &[c_frame(outer, "/src/outer.c", 1)]);
            symbolizer.teach(module, 0x1200, &[c_frame(inner, "/src/inner.c", 1)]);
            program(&snapshot, &mut symbolizer).main
        };
        assert_eq!(source("main", "f").as_deref(), Some("/src/outer.c"));
        assert_eq!(source("mine::main", "f").as_deref(), Some("/src/outer.c"));
        assert_eq!(source("xmalloc", "main").as_deref(), Some("/src/inner.c"));
        assert_eq!(source("thread", "main"), None);
        assert_eq!(source("domain", "f"), None);
    }
}
