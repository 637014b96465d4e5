//! From a running frame to what the ledger says of it: the code's entry, and the line of the instruction.
//!
//! Entries are one per content (file, name, first line), so that a program that makes the same function again and again has one. A thread
//! remembers by the code object's address; it may do so as long as the object lives, so the object's block is watched (`watched`), and
//! what was remembered before a watched object went is looked up anew. An object whose end would not be noticed (the allocator it came
//! from is not wrapped) is not remembered at all: its line is looked up at each event.
//!
//! **Why each read is sound.** A running frame holds its code object, which holds its strings and its line table. One that is being left may have given it up
//! (3.11): whoever else frees then finds a code object that nobody holds, whose own block goes last, and reads nothing more of it.

use super::chain::{Running, UNKNOWN};
use super::interpreter::Interpreter;
use super::layout::{Chain, OBJECT_TYPE};
use super::line_table::LinePlace;
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
/// Code objects that a thread remembers, as a power of two: 24 KiB, about those that are met between two look-ups of the same one.
const CODES: usize = 512;
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
    codes: [Code; CODES],
    text: [u8; MAX_TEXT],
}

#[derive(Clone, Copy, Debug)]
struct Line {
    code: u64,
    at: u64,
    value: u64,
    /// `watched::generation_of` the code from before it was learnt; 0 = never.
    generation: u32,
}

/// A code object that was looked up: so far only at other instructions, and in a signal handler maybe no more.
#[derive(Clone, Copy, Debug)]
struct Code {
    code: u64,
    /// As in [`Line`].
    generation: u32,
    id: CodeId,
    place: LinePlace,
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
    /// Looks up a frame that is at another instruction now. True where it is the same to the ledger.
    #[inline(always)]
    pub(crate) fn renew(&self, frame: &mut Running) -> bool {
        let before = frame.value;
        frame.generation = watched::generation_of(frame.code);
        frame.value = self.known(frame).unwrap_or(UNKNOWN);
        frame.value != UNKNOWN && frame.value == before
    }

    /// The code and line of a running frame. `is_certain` is false in a signal handler: then the code object must be known to live.
    #[inline]
    pub(crate) fn resolve(
        &mut self,
        tracer: &Tracer,
        interpreter: &Interpreter,
        frame: &mut Running,
        is_certain: bool,
    ) -> Resolved {
        // Before anything is read, so that an end from now on makes this stale.
        frame.generation = watched::generation_of(frame.code);
        let found = match self.known(frame) {
            Some(value) => Resolved::Known(PythonFrame::from_value(value)),
            None => self.look_up(tracer, interpreter, frame, is_certain),
        };
        frame.value = match found {
            Resolved::Known(found) => found.to_value(),
            _ => UNKNOWN,
        };
        found
    }

    /// What is remembered of a frame's instruction.
    #[inline(always)]
    fn known(&self, frame: &Running) -> Option<u64> {
        let set = self.sets.get(set_of(frame))?;
        let wanted = |line: &&Line| {
            line.at == frame.at && line.code == frame.code && line.generation == frame.generation
        };
        set.iter().find(wanted).map(|line| line.value)
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
        let nth = usize::try_from(spread(frame.code) >> (64 - CODES.trailing_zeros()));
        let nth = nth.unwrap_or(0);
        let known = self.codes.get_mut(nth);
        if let Some(code) = known.filter(|known| known.is_of(frame)) {
            let found = code.frame(interpreter, frame);
            self.remember(frame, found);
            return Resolved::Known(found);
        }
        let is_kept =
            interpreter.holds(frame.code) || usize::try_from(frame.code).is_ok_and(watched::watch);
        let of = match is_certain {
            true => Trusted.word(frame.code + OBJECT_TYPE),
            false => Checked::default().word(frame.code.wrapping_add(OBJECT_TYPE)),
        };
        if of != Some(interpreter.code_type)
            || !(is_certain || is_kept)
            || is_ending(interpreter, frame.code)
        {
            return Resolved::Nothing;
        }
        let Some(id) = self.code_of(tracer, interpreter, frame.code) else {
            return Resolved::Full;
        };
        let mut code = Code::new(frame, id);
        let found = code.frame(interpreter, frame);
        if !is_kept {
            return Resolved::Passing(found);
        }
        if let Some(known) = self.codes.get_mut(nth) {
            *known = code;
        }
        self.remember(frame, found);
        Resolved::Known(found)
    }

    fn remember(&mut self, frame: &Running, found: PythonFrame) {
        if let Some([newer, older]) = self.sets.get_mut(set_of(frame)) {
            *older = *newer;
            *newer = Line {
                code: frame.code,
                at: frame.at,
                value: found.to_value(),
                generation: frame.generation,
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

impl Code {
    fn new(frame: &Running, id: CodeId) -> Code {
        Code {
            code: frame.code,
            generation: frame.generation,
            id,
            place: LinePlace::default(),
        }
    }

    fn is_of(&self, frame: &Running) -> bool {
        (self.code, self.generation) == (frame.code, frame.generation)
    }

    /// What a frame that runs this code is in the ledger: its line as `PyCode_Addr2Line` gives it.
    fn frame(&mut self, interpreter: &Interpreter, frame: &Running) -> PythonFrame {
        let offset = offset(interpreter, frame);
        let line = self.line(interpreter, offset);
        PythonFrame {
            code: self.id,
            line: line.unwrap_or_else(|| interpreter.line(self.code, offset)),
        }
    }

    /// The line, where the table can be read. An instruction before the first one (a frame that has not begun) is asked of the interpreter.
    fn line(&mut self, interpreter: &Interpreter, offset: i32) -> Option<u32> {
        let layout = interpreter.layout;
        let instruction = u32::try_from(offset)
            .ok()
            .filter(|_| layout.line_table != 0)?;
        let table = Trusted.word(self.code + layout.line_table)?;
        let first_line = Trusted.half(self.code + layout.first_line)?;
        self.place.line(table, first_line, instruction)
    }
}

/// True where nobody holds the code object any more, in the versions in which a frame that is being left still stands in the chain.
fn is_ending(interpreter: &Interpreter, code: u64) -> bool {
    interpreter.layout.chain == Chain::Entries && Trusted.word(code) == Some(0)
}

/// The set of a frame's instruction.
#[inline(always)]
fn set_of(frame: &Running) -> usize {
    let spread = spread(frame.code.rotate_left(20) ^ frame.at);
    usize::try_from(spread >> (64 - SETS.trailing_zeros())).unwrap_or(0)
}

#[inline(always)]
fn spread(key: u64) -> u64 {
    key.wrapping_mul(0x9e37_79b9_7f4a_7c15) // Knuth's multiplicative hash, 2^64 by the golden ratio
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
