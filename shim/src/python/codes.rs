//! From a running frame to what the ledger says of it: the code's entry, and the line of the instruction.
//!
//! Entries are one per content (file, name, first line), so that a program that makes the same function again and again has one. A thread
//! remembers by the code object's address; it may do so as long as the object lives, so the object's block is watched (`watched`), and
//! what was remembered before a watched object went is looked up anew. An object whose end would not be noticed (the allocator it came
//! from is not wrapped) is not remembered at all: its line is looked up at each event.
//!
//! **Why each read is sound.** A running frame holds its code object, which holds its strings and its line table.

use super::chain::Running;
use super::interpreter::Interpreter;
use super::layout::{Chain, OBJECT_TYPE};
use super::peek::{Checked, Peek, Trusted};
use super::text;
use super::watched;
use crate::memory::{PrivateRungs, Table};
use crate::tracer::Tracer;
use heapshim_ledger::codes::{CodeId, CodeInfo, PythonFrame};
use heapshim_ledger::header::LARGEST;
use heapshim_ledger::index::{find_or_insert, mix};
use heapshim_ledger::modules::MAX_TEXT;
use heapshim_ledger::sync::{AtomicU32, AtomicU64, Word, take_index};

/// Sets of two instructions whose lines a thread remembers: 64 KiB, about the instructions that a server's hot paths call from.
const SETS: usize = 1024;
/// Texts that are known by content: a name for each code object, and the files.
const TEXTS: u32 = 2 * LARGEST.codes;

/// Texts of the ledger, by index; and their index by content. Codes by content.
static TEXT: Table<AtomicU64> = Table::new(TEXTS as usize);
static TEXTS_LEN: AtomicU32 = AtomicU32::new(0);
static TEXT_INDEX: PrivateRungs = PrivateRungs::new();
static CODE_INDEX: PrivateRungs = PrivateRungs::new();

/// A thread's memory of instructions. Zeros are a valid, empty one.
#[derive(Debug)]
pub(crate) struct Lines {
    sets: [[Line; 2]; SETS],
    text: [u8; MAX_TEXT],
}

#[derive(Clone, Copy, Debug)]
struct Line {
    code: u64,
    at: u64,
    value: u64,
    /// `code_generation` when it was learnt; 0 = never.
    generation: u64,
}

/// What became of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Resolved {
    /// This is it.
    Known(PythonFrame),
    /// This is it now; the same addresses may mean another next time.
    Passing(PythonFrame),
    /// It is no frame of Python code, or is not known to be alive.
    Nothing,
    /// The ledger has no room for it.
    Full,
}

impl Lines {
    /// The code and line of a running frame. `is_certain` is false in a signal handler: then the code object must be known to live.
    #[inline]
    pub(crate) fn resolve(
        &mut self,
        tracer: &Tracer,
        interpreter: &Interpreter,
        frame: &Running,
        is_certain: bool,
    ) -> Resolved {
        let generation = u64::from(watched::code_generation());
        let set = mix(frame.code ^ frame.at.rotate_left(32)) >> (64 - SETS.trailing_zeros());
        let wanted = |line: &Line| {
            line.at == frame.at && line.code == frame.code && line.generation == generation
        };
        let [newer, older] = self
            .sets
            .get(usize::try_from(set).unwrap_or(0))
            .unwrap_or(&[Line::EMPTY; 2]);
        if wanted(newer) {
            return Resolved::Known(PythonFrame::from_value(newer.value));
        }
        if wanted(older) {
            return Resolved::Known(PythonFrame::from_value(older.value));
        }
        self.look_up(tracer, interpreter, frame, is_certain)
    }

    #[cold]
    #[inline(never)]
    fn look_up(
        &mut self,
        tracer: &Tracer,
        interpreter: &Interpreter,
        frame: &Running,
        is_certain: bool,
    ) -> Resolved {
        // Before anything is read, so that an end from now on makes this stale.
        let generation = watched::code_generation();
        let is_kept =
            interpreter.holds(frame.code) || usize::try_from(frame.code).is_ok_and(watched::watch);
        let of = match is_certain {
            true => Trusted.word(frame.code + OBJECT_TYPE),
            false => Checked::default().word(frame.code.wrapping_add(OBJECT_TYPE)),
        };
        if of != Some(interpreter.code_type) || !(is_certain || is_kept) {
            return Resolved::Nothing;
        }
        let Some(code) = self.code_of(tracer, interpreter, frame.code) else {
            return Resolved::Full;
        };
        let line = interpreter.line(frame.code, offset(interpreter, frame));
        let found = PythonFrame { code, line };
        if is_kept {
            self.remember(frame, found, generation);
            Resolved::Known(found)
        } else {
            Resolved::Passing(found)
        }
    }

    fn remember(&mut self, frame: &Running, found: PythonFrame, generation: u32) {
        let set = mix(frame.code ^ frame.at.rotate_left(32)) >> (64 - SETS.trailing_zeros());
        if let Some([newer, older]) = self.sets.get_mut(usize::try_from(set).unwrap_or(0)) {
            *older = *newer;
            *newer = Line {
                code: frame.code,
                at: frame.at,
                value: found.to_value(),
                generation: generation.into(),
            };
        }
    }

    /// The ledger's entry of a live code object, by content.
    fn code_of(&mut self, tracer: &Tracer, interpreter: &Interpreter, code: u64) -> Option<CodeId> {
        let layout = interpreter.layout;
        let [file, name] = [layout.file, layout.name].map(|offset| Trusted.word(code + offset));
        let info = CodeInfo {
            file: self.text_of(tracer, interpreter, file?)?,
            name: self.text_of(tracer, interpreter, name?)?,
            first_line: Trusted.half(code + layout.first_line)?,
        };
        let hash = mix(mix(info.file) ^ info.name.rotate_left(16)) ^ u64::from(info.first_line);
        let codes = &tracer.writer.codes;
        // Codes begin at 0 and an index slot at 1.
        let same = |slot: u32| codes.get(CodeId(slot - 1)) == Some(info);
        let slot = find_or_insert(&CODE_INDEX, mix(hash), same, || {
            codes.append(&info).map(|id| id.0 + 1)
        })?;
        Some(CodeId(slot - 1))
    }

    /// The ledger's text of a string object, by content; 0, no text, where it is no string.
    fn text_of(&mut self, tracer: &Tracer, interpreter: &Interpreter, object: u64) -> Option<u64> {
        let strings = &tracer.writer.strings;
        let Some(bytes) = text::write(interpreter, object, &mut self.text) else {
            return Some(0);
        };
        let words = bytes.chunks(8).map(|chunk| {
            let mut word = [0u8; 8];
            word.iter_mut()
                .zip(chunk)
                .for_each(|(to, from)| *to = *from);
            u64::from_ne_bytes(word)
        });
        let hash = words.fold(bytes.len() as u64, |hash, word| mix(hash ^ word));
        let text_at = |slot: u32| TEXT.get(slot - 1).map_or(0, Word::peek);
        let same = |slot: u32| strings.is(text_at(slot), bytes);
        let slot = find_or_insert(&TEXT_INDEX, hash, same, || {
            let text = strings.append(bytes);
            let slot = take_index(&TEXTS_LEN, 1, TEXTS).filter(|_| text != 0)?;
            TEXT.get(slot)?.put(text);
            Some(slot + 1)
        });
        Some(slot.map_or(0, text_at))
    }
}

impl Line {
    const EMPTY: Line = Line {
        code: 0,
        at: 0,
        value: 0,
        generation: 0,
    };
}

/// An instruction's offset in bytes from the code's first.
fn offset(interpreter: &Interpreter, frame: &Running) -> i32 {
    let layout = interpreter.layout;
    match layout.chain {
        Chain::Frames | Chain::FramesAndRecords => {
            let [a, b, c, d, ..] = frame.at.to_le_bytes();
            i32::from_le_bytes([a, b, c, d]).wrapping_mul(layout.unit)
        }
        _ => {
            let first = frame.code.wrapping_add(layout.bytecode);
            let bytes = frame.at.wrapping_sub(first).cast_signed();
            i32::try_from(bytes).unwrap_or(-1)
        }
    }
}
