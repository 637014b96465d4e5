//! Python code objects that have stood in a stack: file, qualified name, first line. Append-only; both halves.
//!
//! Writer: any thread fills an entry that only it has taken and publishes it by `state` (Release). Entries are one per content, not
//! per object: a program that makes the same function again and again has one. Reader: a frame names its code by id, and its line
//! beside it, see [`PythonFrame`].

use crate::layout::Code;
use crate::sync::{AtomicU32, Word, take_index};

const PUBLISHED: u32 = 1;

/// A code object's id: its index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CodeId(pub u32);

/// A code object by value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CodeInfo {
    /// `co_filename`, a text in the strings section.
    pub file: u64,
    /// `co_qualname`, before CPython 3.11 `co_name`; a text.
    pub name: u64,
    /// `co_firstlineno`.
    pub first_line: u32,
}

/// What the value of a trie node of kind Python says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PythonFrame {
    /// Whose code.
    pub code: CodeId,
    /// The line of the instruction that is being run; 0 = it has none.
    pub line: u32,
}

impl PythonFrame {
    /// As the node's `value`.
    #[must_use]
    pub fn to_value(self) -> u64 {
        u64::from(self.code.0) << 32 | u64::from(self.line)
    }

    /// From the node's `value`.
    #[must_use]
    pub fn from_value(value: u64) -> PythonFrame {
        let [code, line] = [value >> 32, value & 0xffff_ffff];
        PythonFrame {
            code: CodeId(u32::try_from(code).unwrap_or(u32::MAX)),
            line: u32::try_from(line).unwrap_or(0),
        }
    }
}

/// The table of code objects.
#[derive(Clone, Copy, Debug)]
pub struct Codes<'a> {
    len: &'a AtomicU32,
    codes: &'a [Code],
}

impl<'a> Codes<'a> {
    pub(crate) fn new(len: &'a AtomicU32, codes: &'a [Code]) -> Codes<'a> {
        Codes { len, codes }
    }

    /// Entries taken.
    #[must_use]
    pub fn len(&self) -> u32 {
        self.len.observe().min(self.capacity())
    }

    /// True where no Python code has allocated yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Code objects that there is room for.
    #[must_use]
    pub fn capacity(&self) -> u32 {
        u32::try_from(self.codes.len()).unwrap_or(u32::MAX)
    }

    /// Adds and publishes a code object; None when the table is full.
    pub fn append(&self, info: &CodeInfo) -> Option<CodeId> {
        let id = take_index(self.len, 1, self.capacity())?;
        let code = self.codes.get(id as usize)?;
        code.first_line.put(info.first_line);
        code.file.put(info.file);
        code.name.put(info.name);
        code.state.publish(PUBLISHED);
        Some(CodeId(id))
    }

    /// Takes an id that stays unpublished: keeps the place of an entry that a forked child's parent was adding at the fork.
    pub(crate) fn skip(&self) -> Option<CodeId> {
        take_index(self.len, 1, self.capacity()).map(CodeId)
    }

    /// Reads a published code object; None where it is not published, or there is none.
    #[must_use]
    pub fn get(&self, id: CodeId) -> Option<CodeInfo> {
        let code = self.codes.get(id.0 as usize)?;
        (code.state.observe() == PUBLISHED).then(|| CodeInfo {
            file: code.file.peek(),
            name: code.name.peek(),
            first_line: code.first_line.peek(),
        })
    }
}

#[cfg(all(test, loom))]
mod models {
    use super::*;
    use crate::testing::bounded;
    use loom::sync::Arc;
    use loom::thread;

    /// Check that a reader sees a code object whole or not at all, whichever of two threads adds it.
    #[test]
    fn published_whole() {
        bounded(3, || {
            let table = Arc::new((AtomicU32::new(0), [Code::default(), Code::default()]));
            let threads = [1u32, 2].map(|number| {
                let table = table.clone();
                thread::spawn(move || {
                    let info = CodeInfo {
                        file: number.into(),
                        name: number.into(),
                        first_line: number,
                    };
                    Codes::new(&table.0, &table.1).append(&info)
                })
            });
            let codes = Codes::new(&table.0, &table.1);
            for info in (0..2).filter_map(|id| codes.get(CodeId(id))) {
                assert_eq!(info.file, info.name);
                assert_eq!(info.file, u64::from(info.first_line));
                assert_ne!(info.file, 0);
            }
            threads.map(|thread| thread.join().expect("no panic"));
        });
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    /// Check that entries come back as they were given, that a skipped one is none, and that a full table refuses.
    #[test]
    fn append_until_full() {
        let (len, table) = (AtomicU32::new(0), <[Code; 3]>::default());
        let codes = Codes::new(&len, &table);
        let info = CodeInfo {
            file: 8 << 32 | 5,
            name: 16 << 32 | 7,
            first_line: 56,
        };
        assert!(codes.is_empty());
        assert_eq!(codes.append(&info), Some(CodeId(0)));
        assert_eq!(codes.skip(), Some(CodeId(1)));
        assert_eq!(codes.append(&info), Some(CodeId(2)));
        assert_eq!(codes.append(&info), None);
        assert_eq!((codes.len(), codes.get(CodeId(0))), (3, Some(info)));
        assert_eq!((codes.get(CodeId(1)), codes.get(CodeId(3))), (None, None));
    }

    /// Check that code and line come back out of a node's value, whatever it says.
    #[test]
    fn values() {
        for (code, line) in [(0, 0), (7, 56), (u32::MAX, u32::MAX)] {
            let code = CodeId(code);
            let frame = PythonFrame { code, line };
            assert_eq!(PythonFrame::from_value(frame.to_value()), frame);
        }
    }
}
