//! Each entry of a ledger as the model's value: what the target has written, or has not yet, becomes something that can be believed.
//!
//! Called by `snapshot` for each that there is. Nothing here fails: what makes no sense is empty, or unknown.

use crate::model::{Code, Counters, Frame, FrameKind, Losses, Module, Site};
use heapshim_ledger::Reader;
use heapshim_ledger::codes::{CodeId, CodeInfo, PythonFrame};
use heapshim_ledger::counters::Total;
use heapshim_ledger::layout::FrameKind as Kinds;
use heapshim_ledger::modules::{MAX_TEXT, ModuleId};
use heapshim_ledger::sites::SiteId;

/// More labels of threads than a shim makes.
const MOST_LABELS: usize = 64;

/// A site and its counters.
pub(super) fn site(reader: &Reader<'_>, id: SiteId, total: Total) -> Site {
    let counters = Counters::from(total);
    // Frame 0: not published, then nothing has been charged to it yet.
    let frame = reader.sites.frame(id).map_or(0, |frame| frame.0);
    Site { frame, counters }
}

/// A node; what names a module or code that is not there is unknown.
pub(super) fn frame(node: &heapshim_ledger::frames::Frame, modules: usize, codes: usize) -> Frame {
    let known = (node.module as usize) < modules;
    let python = PythonFrame::from_value(node.value);
    let (kind, module) = match node.kind {
        Kinds::Native if known => (FrameKind::Native, Some(node.module)),
        Kinds::NativeExact if known => (FrameKind::NativeExact, Some(node.module)),
        Kinds::Python if (python.code.0 as usize) < codes => (FrameKind::Python, None),
        Kinds::Native | Kinds::NativeExact | Kinds::Unknown | Kinds::Python | Kinds::Jit => {
            (FrameKind::Unknown, None)
        }
        Kinds::Root => (FrameKind::Root, None),
        Kinds::Truncated => (FrameKind::Truncated, None),
        Kinds::Full => (FrameKind::Full, None),
        Kinds::Nested => (FrameKind::Nested, None),
        Kinds::Thread => (FrameKind::Thread, None),
    };
    Frame {
        parent: node.parent.0,
        kind,
        module,
        value: node.value,
    }
}

/// A thread's label, its text among `threads`: two nodes may have the same. A hostile target's thousands are one.
pub(super) fn label(
    reader: &Reader<'_>,
    node: &heapshim_ledger::frames::Frame,
    threads: &mut Vec<String>,
) -> Frame {
    let full = threads.len() >= MOST_LABELS;
    let text = text(reader, node.value);
    let held = threads.iter().position(|held| full || *held == text);
    let index = held.unwrap_or_else(|| {
        threads.push(text);
        threads.len() - 1
    });
    Frame {
        value: index as u64,
        ..frame(node, 0, 0)
    }
}

impl From<Total> for Counters {
    fn from(total: Total) -> Counters {
        Counters {
            allocated_bytes: total.allocated_bytes,
            allocated_blocks: total.allocated_blocks,
            freed_bytes: total.freed_bytes,
            freed_blocks: total.freed_blocks,
        }
    }
}

/// A module; one without a path where it is not published (no node of ours can name it then).
pub(super) fn module(reader: &Reader<'_>, id: ModuleId) -> Module {
    let Some(info) = reader.modules.get(id) else {
        return Module {
            path: String::new(),
            build_id: Vec::new(),
            bias: 0,
            start: 0,
            end: 0,
        };
    };
    let build_id = info
        .build_id
        .get(..info.build_id_len as usize)
        .unwrap_or(&[]);
    Module {
        path: text(reader, info.path),
        build_id: build_id.to_vec(),
        bias: info.bias,
        start: info.start,
        end: info.end,
    }
}

/// Code; without a name where it is not published (no node names it then).
pub(super) fn code(reader: &Reader<'_>, id: CodeId) -> Code {
    let info = reader.codes.get(id).unwrap_or(CodeInfo {
        file: 0,
        name: 0,
        first_line: 0,
    });
    Code {
        file: text(reader, info.file),
        name: text(reader, info.name),
        first_line: info.first_line,
    }
}

/// A text of the ledger; empty where it makes no sense.
pub(crate) fn text(reader: &Reader<'_>, text: u64) -> String {
    let mut bytes = [0; MAX_TEXT];
    let len = reader.strings.copy(text, &mut bytes).unwrap_or(0);
    String::from_utf8_lossy(bytes.get(..len).unwrap_or(&[])).into_owned()
}

/// What the account lacks.
pub(super) fn losses(reader: &Reader<'_>) -> Losses {
    let losses = reader.threads.losses();
    Losses {
        nested_events: losses.nested,
        truncated_stacks: losses.truncated,
        overflow_events: losses.overflow,
        foreign_frees: losses.foreign_frees,
        untracked_blocks: losses.untracked,
        walks: losses.walks,
    }
}
