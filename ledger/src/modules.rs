//! Loaded objects: path, build id, bias, address range, and the strings that they need. Append-only; both halves.
//!
//! Writer: any thread fills an entry that only it has taken and publishes it by `state` (Release). A module that is gone keeps
//! its entry, so that a stack from its time, or a dead process, can still be symbolized.

use crate::error::Error;
use crate::layout::{ByteWord, Module, SectionKind, text};
use crate::sync::{AtomicU32, AtomicU64, Word, take_index};

/// Longest text that the reader accepts, and that the writer stores: PATH_MAX for paths; command lines are cut at it.
pub const MAX_TEXT: usize = 4096;
const PUBLISHED: u32 = 1;

/// A module's id: its index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ModuleId(pub u32);

/// A module by value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ModuleInfo {
    /// Run-time address − address in the file.
    pub bias: u64,
    /// First run-time address.
    pub start: u64,
    /// First run-time address past it.
    pub end: u64,
    /// CLOCK_BOOTTIME when it was learnt.
    pub from_ns: u64,
    /// CLOCK_BOOTTIME when it was found gone; 0 = not.
    pub until_ns: u64,
    /// Its path in the strings section.
    pub path: u64,
    /// GNU build id.
    pub build_id: [u8; 32],
    /// Bytes of it in use.
    pub build_id_len: u32,
}

/// The strings section.
#[derive(Clone, Copy, Debug)]
pub struct Strings<'a> {
    len: &'a AtomicU32,
    words: &'a [ByteWord],
}

impl<'a> Strings<'a> {
    pub(crate) fn new(len: &'a AtomicU32, words: &'a [ByteWord]) -> Strings<'a> {
        Strings { len, words }
    }

    /// Stores a text (cut at [`MAX_TEXT`]); 0 when there is no room.
    #[must_use]
    pub fn append(&self, bytes: &[u8]) -> u64 {
        let bytes = bytes.get(..MAX_TEXT).unwrap_or(bytes);
        let words = bytes.len().div_ceil(8);
        let (Ok(count), Ok(len)) = (u32::try_from(words), u32::try_from(bytes.len())) else {
            return 0;
        };
        let Some(first) = take_index(self.len, count, self.capacity()) else {
            return 0;
        };
        let places = self.words.iter().skip(first as usize);
        for (place, chunk) in places.zip(bytes.chunks(8)) {
            let mut word = [0u8; 8];
            word.iter_mut()
                .zip(chunk)
                .for_each(|(to, from)| *to = *from);
            place.0.put(u64::from_le_bytes(word));
        }
        text(first.wrapping_mul(8), len)
    }

    /// Stores, in a section that is still empty, all texts of another at the same places, word by word: a forked child has little stack.
    /// False where there is no room.
    pub(crate) fn copy_all(&self, from: &Strings<'_>) -> bool {
        let count = from.used();
        let copied = self.words.iter().zip(from.words).take(count as usize);
        let fits = take_index(self.len, count, self.capacity()) == Some(0);
        if fits {
            copied.for_each(|(to, from)| to.0.put(from.0.peek()));
        }
        fits
    }

    /// Words in use.
    #[must_use]
    pub fn used(&self) -> u32 {
        self.len.observe().min(self.capacity())
    }

    /// Words that there are.
    #[must_use]
    pub fn capacity(&self) -> u32 {
        u32::try_from(self.words.len()).unwrap_or(u32::MAX)
    }

    /// Copies a text out and returns its length.
    ///
    /// # Errors
    /// `Index` where it does not lie inside the section or is longer than [`MAX_TEXT`].
    pub fn copy(&self, text: u64, out: &mut [u8; MAX_TEXT]) -> Result<usize, Error> {
        let words = self.words_of(text)?;
        for (word, place) in words.iter().zip(out.chunks_mut(8)) {
            place.copy_from_slice(&word.0.peek().to_le_bytes());
        }
        Ok((text & 0xffff_ffff) as usize)
    }

    /// True where a text is these bytes.
    #[must_use]
    pub fn is(&self, text: u64, bytes: &[u8]) -> bool {
        let is_as_long = (text & 0xffff_ffff) == bytes.len() as u64;
        let same = |word: &ByteWord, chunk: &[u8]| word.0.peek().to_le_bytes().starts_with(chunk);
        is_as_long
            && self.words_of(text).is_ok_and(|words| {
                let mut pairs = words.iter().zip(bytes.chunks(8));
                pairs.all(|(word, chunk)| same(word, chunk))
            })
    }

    /// The words of a text, checked to lie inside the section.
    fn words_of(&self, text: u64) -> Result<&'a [ByteWord], Error> {
        let (offset, len) = ((text >> 32) as usize, (text & 0xffff_ffff) as usize);
        let wrong = Error::Index {
            kind: SectionKind::Strings as u32,
            index: text,
            len: self.words.len() as u64 * 8,
        };
        if len > MAX_TEXT || !offset.is_multiple_of(8) {
            return Err(wrong);
        }
        self.words
            .get(offset / 8..)
            .and_then(|rest| rest.get(..len.div_ceil(8)))
            .ok_or(wrong)
    }
}

/// The table of modules.
#[derive(Clone, Copy, Debug)]
pub struct Modules<'a> {
    len: &'a AtomicU32,
    modules: &'a [Module],
}

impl<'a> Modules<'a> {
    pub(crate) fn new(len: &'a AtomicU32, modules: &'a [Module]) -> Modules<'a> {
        Modules { len, modules }
    }

    /// Entries taken.
    #[must_use]
    pub fn len(&self) -> u32 {
        self.len.observe().min(self.capacity())
    }

    /// True where no module is known yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Modules that there is room for.
    #[must_use]
    pub fn capacity(&self) -> u32 {
        u32::try_from(self.modules.len()).unwrap_or(u32::MAX)
    }

    /// Adds and publishes a module; None when the table is full.
    pub fn append(&self, info: &ModuleInfo) -> Option<ModuleId> {
        let id = take_index(self.len, 1, self.capacity())?;
        let module = self.modules.get(id as usize)?;
        module.bias.put(info.bias);
        module.start.put(info.start);
        module.end.put(info.end);
        module.from_ns.put(info.from_ns);
        module.until_ns.put(info.until_ns);
        module.path.put(info.path);
        module.build_id_len.put(info.build_id_len);
        for (word, bytes) in module.build_id.iter().zip(info.build_id.as_chunks::<8>().0) {
            word.put(u64::from_le_bytes(*bytes));
        }
        module.state.publish(PUBLISHED);
        Some(ModuleId(id))
    }

    /// Takes an id that stays unpublished: keeps the place of a module that a forked child's parent was adding at the fork.
    pub(crate) fn skip(&self) -> Option<ModuleId> {
        take_index(self.len, 1, self.capacity()).map(ModuleId)
    }

    /// Notes that a module is gone: that it was found to be no longer in its place at this time, in nanoseconds of CLOCK_BOOTTIME.
    pub fn retire(&self, id: ModuleId, now_ns: u64) {
        if let Some(module) = self.modules.get(id.0 as usize) {
            module.until_ns.put(now_ns);
        }
    }

    /// Reads a published module; None where it is not published, or there is none.
    #[must_use]
    pub fn get(&self, id: ModuleId) -> Option<ModuleInfo> {
        let module = self.modules.get(id.0 as usize)?;
        if module.state.observe() != PUBLISHED {
            return None;
        }
        let read = |word: &AtomicU64| word.peek();
        let mut build_id = [0u8; 32];
        for (bytes, word) in build_id
            .as_chunks_mut::<8>()
            .0
            .iter_mut()
            .zip(&module.build_id)
        {
            *bytes = read(word).to_le_bytes();
        }
        Some(ModuleInfo {
            bias: read(&module.bias),
            start: read(&module.start),
            end: read(&module.end),
            from_ns: read(&module.from_ns),
            until_ns: read(&module.until_ns),
            path: read(&module.path),
            build_id,
            build_id_len: module.build_id_len.peek().min(32),
        })
    }
}

#[cfg(test)]
fn sample(fill: u64, path: u64) -> ModuleInfo {
    ModuleInfo {
        bias: fill,
        start: fill,
        end: fill,
        from_ns: fill,
        until_ns: 0,
        path,
        build_id: [u8::try_from(fill).unwrap_or(0); 32],
        build_id_len: 20,
    }
}

#[cfg(all(test, loom))]
mod models {
    use super::*;
    use crate::testing::bounded;
    use loom::sync::Arc;
    use loom::thread;

    struct Loaded {
        len: AtomicU32,
        modules: [Module; 2],
        words_len: AtomicU32,
        words: [ByteWord; 4],
    }

    impl Loaded {
        fn modules(&self) -> Modules<'_> {
            Modules::new(&self.len, &self.modules)
        }

        fn strings(&self) -> Strings<'_> {
            Strings::new(&self.words_len, &self.words)
        }

        fn append(&self, fill: u8) -> Option<ModuleId> {
            let path = self.strings().append(&[fill; 11]);
            self.modules().append(&sample(fill.into(), path))
        }

        /// What a module was filled with; None where it is not published. Panics where it is not whole.
        fn read(&self, id: u32) -> Option<u8> {
            let info = self.modules().get(ModuleId(id))?;
            let fill = u8::try_from(info.bias).expect("small");
            assert_eq!(info, sample(fill.into(), info.path));
            let mut text = [0; MAX_TEXT];
            let len = self.strings().copy(info.path, &mut text).expect("inside");
            assert_eq!(text.get(..len), Some(&[fill; 11][..]));
            Some(fill)
        }
    }

    /// Check that two threads that add a module each get an id each, and that a reader sees each module whole, with its path, or
    /// not at all.
    #[test]
    fn publish() {
        bounded(2, || {
            let loaded = Arc::new(Loaded {
                len: AtomicU32::new(0),
                modules: Default::default(),
                words_len: AtomicU32::new(0),
                words: Default::default(),
            });
            let threads = [5, 6].map(|fill| {
                let loaded = loaded.clone();
                thread::spawn(move || loaded.append(fill).expect("there is room"))
            });
            for id in 0..2 {
                assert!(matches!(loaded.read(id), None | Some(5 | 6)));
            }
            let ids = threads.map(|thread| thread.join().expect("no panic"));
            assert_ne!(ids[0], ids[1]);
            assert_eq!(ids.map(|id| loaded.read(id.0)), [Some(5), Some(6)]);
        });
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn words(count: usize) -> Vec<ByteWord> {
        (0..count).map(|_| ByteWord::default()).collect()
    }

    fn copy(strings: &Strings<'_>, text: u64) -> Result<Vec<u8>, Error> {
        let mut out = [0; MAX_TEXT];
        let len = strings.copy(text, &mut out)?;
        Ok(out[..len].to_vec())
    }

    /// Check that texts of every length around a word's come back, and that a text of none is none or empty.
    #[test]
    fn strings_round_trip() {
        let (words, len) = (words(64), AtomicU32::new(0));
        let strings = Strings::new(&len, &words);
        let samples: Vec<Vec<u8>> = (0..20u8).map(|len| (1..=len).collect()).collect();
        let texts: Vec<u64> = samples.iter().map(|bytes| strings.append(bytes)).collect();
        for (bytes, text) in samples.iter().zip(texts) {
            assert_eq!(copy(&strings, text).as_ref(), Ok(bytes));
            assert!(strings.is(text, bytes) && !strings.is(text, b"no such text"));
            assert!(!strings.is(text + 1, bytes) && !strings.is(text ^ 1 << 60, bytes));
        }
    }

    /// Check that a text longer than the longest is cut, and one of just that length is not.
    #[test]
    fn strings_cut() {
        let (words, len) = (words(MAX_TEXT / 4), AtomicU32::new(0));
        let strings = Strings::new(&len, &words);
        for long in [MAX_TEXT, MAX_TEXT + 1] {
            let text = strings.append(&vec![7; long]);
            assert_eq!(copy(&strings, text), Ok(vec![7; MAX_TEXT]));
        }
    }

    /// Check that a text for which there is no room is 0 and changes nothing, and that a shorter one still finds room.
    #[test]
    fn strings_full() {
        let (words, len) = (words(3), AtomicU32::new(0));
        let strings = Strings::new(&len, &words);
        let first = strings.append(b"sixteen bytes ..");
        assert_eq!(strings.append(b"nine byte"), 0);
        assert_eq!((strings.used(), words[2].0.peek()), (2, 0));
        let last = strings.append(b"8 bytes.");
        assert_eq!(copy(&strings, last), Ok(b"8 bytes.".to_vec()));
        assert_eq!(copy(&strings, first), Ok(b"sixteen bytes ..".to_vec()));
        assert_eq!((strings.append(b"x"), strings.used()), (0, 3));
    }

    /// Check that all texts of another section are found at their own places, and that a section that is too small or in use refuses them.
    #[test]
    fn strings_copied() {
        let (theirs, mine, len) = (words(4), words(4), AtomicU32::new(0));
        let from = Strings::new(&len, &theirs);
        let texts = [from.append(b"a text of 17 byte"), from.append(b"x")];
        let mine_len = AtomicU32::new(0);
        let to = Strings::new(&mine_len, &mine);
        assert!(to.copy_all(&from) && !to.copy_all(&from));
        for text in texts {
            assert_eq!(copy(&to, text), copy(&from, text));
        }
        let small = AtomicU32::new(0);
        assert!(!Strings::new(&small, &mine[..3]).copy_all(&from));
    }

    /// Check that texts that lie outside, are too long or begin within a word are refused.
    #[test]
    fn strings_refused() {
        let (words, len) = (words(4), AtomicU32::new(0));
        let strings = Strings::new(&len, &words);
        for wrong in [
            text(0, 33),
            text(8, 32),
            text(40, 0),
            text(4, 4),
            text(0, 4097),
            text(u32::MAX - 7, 16),
            u64::MAX,
        ] {
            assert!(copy(&strings, wrong).is_err(), "{wrong:#x}");
        }
        assert_eq!(copy(&strings, text(32, 0)), Ok(vec![]));
    }

    /// Check that modules come back as they were given, that ids not published are none, that retiring is seen, and that a full
    /// table refuses a module and stays as it is.
    #[test]
    fn modules_round_trip_until_full() {
        let (entries, len): ([Module; 3], _) = (Default::default(), AtomicU32::new(0));
        let modules = Modules::new(&len, &entries);
        assert!(modules.is_empty());
        assert_eq!(modules.append(&sample(1, 8)), Some(ModuleId(0)));
        assert_eq!(modules.skip(), Some(ModuleId(1)));
        assert_eq!(modules.append(&sample(2, 9)), Some(ModuleId(2)));
        assert_eq!(
            (modules.append(&sample(3, 0)), modules.skip()),
            (None, None)
        );
        modules.retire(ModuleId(2), 77);
        modules.retire(ModuleId(3), 77);
        let gone = ModuleInfo {
            until_ns: 77,
            ..sample(2, 9)
        };
        let found = [0, 1, 2, 3].map(|id| modules.get(ModuleId(id)));
        assert_eq!(found, [Some(sample(1, 8)), None, Some(gone), None]);
        assert_eq!((modules.len(), len.peek()), (3, 3));
    }
}
