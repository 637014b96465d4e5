//! Where CPython keeps what a walk needs: offsets by version, each checked against the running interpreter before it is used.
//!
//! Taken by `offsetof` from the headers of 3.7.16, 3.8.18, 3.9.18, 3.10.13, 3.11.2, 3.11.7, 3.12.1 and 3.13.0 (Include/cpython,
//! Include/internal/pycore_frame.h); a minor version keeps them, since extensions are compiled against most of them. What a build may change
//! (debug objects, no GIL, another layout) changes the size of a type that the interpreter itself states: `sizes`.

/// How the frames of a thread hang together, and how the evaluator that runs them is found on the C stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Chain {
    /// 3.7 to 3.9: a list of frame objects, each run by an evaluator of its own that leaves no trace of its place.
    Frames,
    /// 3.10: as before, and each evaluator has a record (`CFrame`) on the C stack, in a list of its own.
    FramesAndRecords,
    /// 3.11: an evaluator runs many frames, out to one marked `is_entry`; its record (`_PyCFrame`) names the innermost.
    Entries,
    /// 3.12: as 3.11, but the outermost of an evaluator's frames is a dummy on the C stack, marked by its owner.
    Dummies,
    /// 3.13: the dummies alone: the thread's state names the innermost frame.
    DummiesAlone,
}

/// The offsets of one version.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout {
    /// The version's number, as the high half of `Py_Version` has it.
    pub(crate) version: u32,
    /// How frames are linked.
    pub(crate) chain: Chain,
    /// PyThreadState: `thread_id`.
    pub(crate) thread_id: u64,
    /// PyThreadState: `frame`, `cframe` or `current_frame`.
    pub(crate) innermost: u64,
    /// PyThreadState: `cframe` (3.10).
    pub(crate) record: u64,
    /// The evaluator's record: its innermost frame, the record of the evaluator outside.
    pub(crate) record_frame: u64,
    pub(crate) record_previous: u64,
    /// Frame: the frame outside, the code object, the instruction (its address from 3.11 on, before that its number).
    pub(crate) previous: u64,
    pub(crate) code: u64,
    pub(crate) instruction: u64,
    /// Which bits of the instruction's word are its own.
    pub(crate) instruction_mask: u64,
    /// Frame: the word that holds the bytes `is_entry` and `owner`, how far up these are, and which bits of the word these two are.
    pub(crate) flags: u64,
    pub(crate) owner_shift: u32,
    pub(crate) flags_mask: u64,
    /// PyCodeObject: `co_filename`, `co_qualname` or `co_name`, `co_firstlineno`, `_co_firsttraceable`, `co_code_adaptive`.
    pub(crate) file: u64,
    pub(crate) name: u64,
    pub(crate) first_line: u64,
    pub(crate) first_traceable: u64,
    pub(crate) bytecode: u64,
    /// PyCodeObject: `co_linetable`, where `line_table` can read it; 0 = it can't.
    pub(crate) line_table: u64,
    /// Bytes of a numbered instruction (before 3.11).
    pub(crate) unit: i32,
    /// Where the characters of a string begin: of an ASCII one, of another.
    pub(crate) ascii: u64,
    pub(crate) compact: u64,
    /// `tp_basicsize` of code, generators, strings, and frame objects.
    pub(crate) sizes: [u64; 4],
}

/// The shift of `is_entry` in the word of flags (3.11).
pub(crate) const ENTRY_SHIFT: u32 = 32;
/// PyObject: `ob_type`; PyTypeObject: `tp_basicsize`.
pub(crate) const OBJECT_TYPE: u64 = 8;
pub(crate) const BASIC_SIZE: u64 = 32;
/// PyASCIIObject: `length`, `state`.
pub(crate) const TEXT_LENGTH: u64 = 16;
pub(crate) const TEXT_STATE: u64 = 32;
/// `_frameowner`: a generator's frame; the dummy on the C stack.
pub(crate) const OWNED_BY_GENERATOR: u64 = 1;
pub(crate) const OWNED_BY_C_STACK: u64 = 3;

const V3_7: Layout = Layout {
    version: 0x0307,
    chain: Chain::Frames,
    thread_id: 176,
    innermost: 24,
    record: 0,
    record_frame: 0,
    record_previous: 0,
    previous: 24,
    code: 32,
    instruction: 104,
    instruction_mask: 0xffff_ffff,
    flags: 0,
    owner_shift: 0,
    flags_mask: 0,
    file: 96,
    name: 104,
    first_line: 36,
    first_traceable: 0,
    bytecode: 0,
    line_table: 0,
    unit: 1,
    ascii: 48,
    compact: 72,
    sizes: [144, 96, 80, 368],
};
const V3_8: Layout = Layout {
    version: 0x0308,
    file: 104,
    name: 112,
    first_line: 40,
    sizes: [176, 96, 80, 368],
    ..V3_7
};
pub(super) const V3_9: Layout = Layout {
    version: 0x0309,
    ..V3_8
};
pub(super) const V3_10: Layout = Layout {
    version: 0x030a,
    chain: Chain::FramesAndRecords,
    record: 48,
    record_previous: 8,
    instruction: 96,
    unit: 2,
    sizes: [176, 88, 80, 360],
    ..V3_9
};
pub(super) const V3_11: Layout = Layout {
    version: 0x030b,
    chain: Chain::Entries,
    thread_id: 152,
    innermost: 56,
    record: 56,
    record_frame: 8,
    record_previous: 16,
    previous: 48,
    code: 32,
    instruction: 56,
    instruction_mask: u64::MAX,
    flags: 64,
    owner_shift: 40,
    flags_mask: 0xffff << ENTRY_SHIFT,
    file: 112,
    name: 128,
    first_line: 72,
    first_traceable: 168,
    bytecode: 184,
    line_table: 136,
    unit: 1,
    ascii: 48,
    compact: 72,
    sizes: [184, 152, 80, 120],
};
pub(super) const V3_12: Layout = Layout {
    version: 0x030c,
    chain: Chain::Dummies,
    thread_id: 136,
    record_frame: 0,
    record_previous: 8,
    previous: 8,
    code: 0,
    owner_shift: 48,
    flags_mask: 0xff << 48,
    first_line: 68,
    first_traceable: 176,
    bytecode: 192,
    ascii: 40,
    compact: 56,
    sizes: [192, 144, 64, 120],
    ..V3_11
};
pub(super) const V3_13: Layout = Layout {
    version: 0x030d,
    chain: Chain::DummiesAlone,
    thread_id: 152,
    innermost: 72,
    first_traceable: 184,
    bytecode: 200,
    sizes: [200, 144, 64, 136],
    ..V3_12
};

const KNOWN: [&Layout; 7] = [&V3_7, &V3_8, &V3_9, &V3_10, &V3_11, &V3_12, &V3_13];

impl Layout {
    /// The layout of a version; None where it is not known.
    pub(crate) fn of(version: u32) -> Option<&'static Layout> {
        KNOWN.into_iter().find(|layout| layout.version == version)
    }
}
