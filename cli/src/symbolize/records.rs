//! Answers of the symbolizer as bytes: what stands at which address.
//!
//! Written and read by `mark` (`--bundle`: the marks of a program read where its files are not) and by `kept` (the cache on disk). Each text is there
//! once. The bytes may be hostile: every length is checked before memory is taken for it, and so is what all the texts come to once
//! each frame has its own.

use crate::mark::bytes::{Reader, Short, Writer};
use crate::model::FrameKind;
use crate::symbolize::{Language, Reason, SymbolFrame};
use std::collections::HashMap;
use std::rc::Rc;

/// What stands at one address of one module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The module, by its place in the snapshot that this belongs to; 0 where one module is meant anyway.
    pub module: u32,
    /// A return address, or an exact one.
    pub kind: FrameKind,
    /// The address.
    pub value: u64,
    /// The frames there, innermost first.
    pub frames: Rc<[SymbolFrame]>,
}

/// Most frames of one record: as many as a lookup gives.
const MAX_FRAMES: usize = 513;

/// Most bytes of text in all frames together, as they are in memory: a few texts that very many frames name would else fill it. A browser's marks have 300 MiB.
const MAX_TEXT: usize = 1 << 30;

/// A frame's bytes: nine numbers.
const FRAME: usize = 36;

/// What may hold of a frame, one bit each.
const INLINED: u32 = 1;
const WRAPPER: u32 = 2;

/// The number of each language is its place here.
const LANGUAGES: [Language; 6] = [
    Language::Unknown,
    Language::C,
    Language::Cpp,
    Language::Rust,
    Language::Python,
    Language::Jit,
];

/// The records as bytes: the texts, then the records.
pub(crate) fn write(out: &mut Writer, records: &[Record]) {
    let mut texts = Texts::default();
    let mut body = Writer::default();
    body.len(records.len());
    for record in records {
        body.u32(record.module);
        body.u32((record.kind == FrameKind::NativeExact).into());
        body.u64(record.value);
        body.len(record.frames.len());
        for frame in record.frames.iter() {
            write_frame(&mut body, frame, &mut texts);
        }
    }
    out.len(texts.list.len());
    texts.list.iter().for_each(|text| out.blob(text.as_bytes()));
    out.bytes(body.as_slice());
}

/// The records that these bytes hold, which end with them.
pub(crate) fn read(mut bytes: Reader<'_>) -> Result<Vec<Record>, Short> {
    let count = bytes.count(4)?;
    let texts: Result<Vec<String>, Short> = (0..count).map(|_| bytes.text()).collect();
    let mut reading = Reading {
        texts: texts?,
        left: MAX_TEXT,
    };
    let count = bytes.count(20)?;
    let records: Result<Vec<Record>, Short> =
        (0..count).map(|_| reading.record(&mut bytes)).collect();
    match bytes.left() {
        0 => records,
        _ => Err(Short),
    }
}

/// Texts while they are gathered.
#[derive(Default)]
struct Texts<'a> {
    list: Vec<&'a str>,
    places: HashMap<&'a str, u32>,
}

impl<'a> Texts<'a> {
    /// Its place, counted from 1; 0 for none.
    fn place(&mut self, text: Option<&'a str>) -> u32 {
        let Some(text) = text else {
            return 0;
        };
        *self.places.entry(text).or_insert_with(|| {
            self.list.push(text);
            u32::try_from(self.list.len()).unwrap_or(0)
        })
    }
}

fn write_frame<'a>(out: &mut Writer, frame: &'a SymbolFrame, texts: &mut Texts<'a>) {
    out.u32(texts.place(frame.file.as_deref()));
    out.u32(frame.line.unwrap_or(0));
    out.u32(texts.place(frame.function.as_deref()));
    out.u32(texts.place(frame.module.as_deref()));
    let language = LANGUAGES.iter().position(|&one| one == frame.language);
    out.len(language.unwrap_or(0));
    out.u32(u32::from(frame.inlined) * INLINED + u32::from(frame.wrapper) * WRAPPER);
    let (number, first, second) = reason(frame.reason.as_ref());
    out.u32(number);
    out.u32(texts.place(first));
    out.u32(texts.place(second));
}

/// A reason's number and its texts. What ends a stack never stands at an address, and is not kept.
fn reason(reason: Option<&Reason>) -> (u32, Option<&str>, Option<&str>) {
    match reason {
        None => (0, None, None),
        Some(Reason::NoDebugInformation(module)) => (1, Some(module), None),
        Some(Reason::WrongDebugFile(module, file)) => (2, Some(module), Some(file)),
        Some(Reason::Stripped(module)) => (3, Some(module), None),
        Some(Reason::NoLine(module)) => (4, Some(module), None),
        Some(Reason::FileMissing(module)) => (5, Some(module), None),
        Some(Reason::BuildIdMismatch(module)) => (6, Some(module), None),
        Some(Reason::Unreadable(module, why)) => (7, Some(module), Some(why)),
        Some(Reason::Kernel(module)) => (8, Some(module), None),
        Some(Reason::UnknownModule | Reason::Truncated(_) | Reason::Nested | Reason::Full) => {
            (9, None, None)
        }
    }
}

fn reason_of(number: u32, first: Option<String>, second: Option<String>) -> Option<Reason> {
    let (first, second) = (first.unwrap_or_default(), second.unwrap_or_default());
    match number {
        0 => None,
        1 => Some(Reason::NoDebugInformation(first)),
        2 => Some(Reason::WrongDebugFile(first, second)),
        3 => Some(Reason::Stripped(first)),
        4 => Some(Reason::NoLine(first)),
        5 => Some(Reason::FileMissing(first)),
        6 => Some(Reason::BuildIdMismatch(first)),
        7 => Some(Reason::Unreadable(first, second)),
        8 => Some(Reason::Kernel(first)),
        _ => Some(Reason::UnknownModule),
    }
}

/// Texts, and how many more bytes of them may be copied.
struct Reading {
    texts: Vec<String>,
    left: usize,
}

impl Reading {
    fn record(&mut self, bytes: &mut Reader<'_>) -> Result<Record, Short> {
        let (module, exact, value) = (bytes.u32()?, bytes.u32()?, bytes.u64()?);
        let count = bytes.count(FRAME)?;
        if count > MAX_FRAMES {
            return Err(Short);
        }
        let frames: Result<Rc<[SymbolFrame]>, Short> =
            (0..count).map(|_| self.frame(bytes, value)).collect();
        Ok(Record {
            module,
            kind: match exact {
                0 => FrameKind::Native,
                _ => FrameKind::NativeExact,
            },
            value,
            frames: frames?,
        })
    }

    fn frame(&mut self, bytes: &mut Reader<'_>, address: u64) -> Result<SymbolFrame, Short> {
        let file = self.text(bytes.u32()?)?;
        let line = Some(bytes.u32()?).filter(|&line| line > 0);
        let (function, module) = (self.text(bytes.u32()?)?, self.text(bytes.u32()?)?);
        let language = LANGUAGES.get(bytes.u32()? as usize).copied();
        let flags = bytes.u32()?;
        let number = bytes.u32()?;
        let (first, second) = (self.text(bytes.u32()?)?, self.text(bytes.u32()?)?);
        Ok(SymbolFrame {
            file,
            line,
            function,
            module,
            address,
            language: language.unwrap_or(Language::Unknown),
            reason: reason_of(number, first, second),
            inlined: flags & INLINED != 0,
            wrapper: flags & WRAPPER != 0,
        })
    }

    fn text(&mut self, place: u32) -> Result<Option<String>, Short> {
        let Some(at) = (place as usize).checked_sub(1) else {
            return Ok(None);
        };
        let text = self.texts.get(at).ok_or(Short)?;
        self.left = self.left.checked_sub(text.len()).ok_or(Short)?;
        Ok(Some(text.clone()))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::fixture::{c_frame, module_frame, rust_frame};

    /// Records with every kind of reason that an address can have.
    pub(crate) fn records() -> Vec<Record> {
        let text = |text: &str| text.to_string();
        let reasons = [
            Reason::NoDebugInformation(text("a.so")),
            Reason::WrongDebugFile(text("a.so"), text("a.debug")),
            Reason::Stripped(text("a.so")),
            Reason::NoLine(text("a.so")),
            Reason::FileMissing(text("a.so")),
            Reason::BuildIdMismatch(text("a.so")),
            Reason::Unreadable(text("a.so"), text("why")),
            Reason::Kernel(text("[vdso]")),
            Reason::UnknownModule,
        ];
        let inlined = SymbolFrame {
            inlined: true,
            wrapper: true,
            ..rust_frame("grün", Some(("/src/a.rs", u32::MAX)))
        };
        let mut records = vec![vec![inlined, c_frame("f", "/src/a.c", 3)]];
        records.extend(reasons.map(|reason| {
            vec![SymbolFrame {
                reason: Some(reason),
                ..module_frame("f", "/lib/a.so")
            }]
        }));
        records.push(Vec::new());
        (0..)
            .zip(records)
            .map(|(number, frames)| record(number, frames))
            .collect()
    }

    fn record(number: u64, mut frames: Vec<SymbolFrame>) -> Record {
        frames.iter_mut().for_each(|frame| frame.address = number);
        Record {
            module: 0,
            kind: [FrameKind::Native, FrameKind::NativeExact][usize::from(number == 1)],
            value: number,
            frames: frames.into(),
        }
    }

    pub(crate) fn bytes(records: &[Record]) -> Vec<u8> {
        let mut out = Writer::default();
        write(&mut out, records);
        out.into_vec()
    }

    /// Check that records come back as they went, and that each text is there once.
    #[test]
    fn round_trip() {
        let records = records();
        let bytes = bytes(&records);
        assert_eq!(read(Reader::new(&bytes)).as_deref(), Ok(&*records));
        let text = String::from_utf8_lossy(&bytes);
        assert_eq!(text.matches("/lib/a.so").count(), 1);
    }

    /// Check that what is cut, or has a byte changed, is an error or other records, and never a panic.
    #[test]
    fn hostile() {
        let whole = bytes(&records());
        for at in 0..whole.len() {
            assert!(read(Reader::new(&whole[..at])).is_err(), "cut at {at}");
            for value in [0, 1, 0x7f, 0xff] {
                let mut changed = whole.clone();
                changed[at] = value;
                let _read = read(Reader::new(&changed));
            }
        }
    }

    /// Check that few bytes cannot become very many: one long text, named by every frame.
    #[test]
    fn texts_that_multiply() {
        let frame = SymbolFrame {
            function: Some("x".repeat(1 << 20)),
            ..c_frame("f", "/src/a.c", 3)
        };
        let one = bytes(&[record(0, vec![frame])]);
        let (head, frame) = one.split_at(one.len() - FRAME);
        let mut many = head.to_vec();
        let count = many.len() - 4;
        many[count..].copy_from_slice(&500u32.to_le_bytes());
        many.extend(frame.repeat(500));
        assert_eq!(read(Reader::new(&many)).map(|records| records.len()), Ok(1));
        let first = many.len() - 500 * FRAME - 20;
        let third = many[first..].to_vec();
        many.extend(third.repeat(2));
        let count = first - 4;
        many[count..first].copy_from_slice(&3u32.to_le_bytes());
        assert_eq!(read(Reader::new(&many)), Err(Short));
    }
}
