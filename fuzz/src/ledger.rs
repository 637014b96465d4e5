//! The ledger: `heapshim_ledger::Reader` and the snapshot that the command makes of it, in memory and from a `.heapledger` file.
//!
//! An input is a list of changes to a sound ledger, eleven bytes each: a page, a word of its first half, and what is put there. The pages that a
//! ledger's writer has touched come first, so that few bytes reach what matters.

use crate::{Target, scratch};
use heapshim_cli::model::{Process, Snapshot};
use heapshim_cli::process::Memory;
use heapshim_cli::{mark, snapshot, store};
use heapshim_ledger::codes::{CodeInfo, PythonFrame};
use heapshim_ledger::header::Geometry;
use heapshim_ledger::layout::{FrameKind, MARK_NAME};
use heapshim_ledger::marks::MarkInfo;
use heapshim_ledger::writer::{Identity, Writer};
use heapshim_ledger::{Reader, Region, frames, modules};
use std::cell::RefCell;
use std::fs::File;
use std::os::unix::fs::FileExt;

pub(crate) const TARGET: Target = Target {
    name: "ledger",
    run: in_memory,
    seeds,
};
/// The same from a file.
pub(crate) const KEPT: Target = Target {
    name: "heapledger",
    run: in_file,
    seeds,
};

const WORDS: usize = 512;
/// Bytes of a change.
const CHANGE: usize = 11;

/// A ledger in memory of this thread, and which of its pages are in use.
struct Ledger {
    words: Vec<[u64; WORDS]>,
    used: Vec<usize>,
}

thread_local! {
    static LEDGER: RefCell<Ledger> = RefCell::new(Ledger::new());
}

impl Ledger {
    fn new() -> Ledger {
        let geometry = Geometry::fit(2 << 20).expect("the smallest fits");
        let pages = usize::try_from(geometry.total_bytes()).expect("2 MiB") / 4096;
        let mut words = vec![[0u64; WORDS]; pages];
        // SAFETY: as long as the pages, which are written through the region alone until this function has returned.
        let region = unsafe { region(&mut words) };
        fill(&Writer::create(&region, &geometry, &Identity::default()).expect("a ledger"));
        let is_used = |page: &[u64; WORDS]| page.iter().any(|&word| word != 0);
        let mut used: Vec<usize> = (0..pages).collect();
        used.sort_by_key(|&page| !is_used(&words[page]));
        Ledger { words, used }
    }

    /// Makes the changes; what was there before, to be put back in reverse.
    fn change(&mut self, bytes: &[u8]) -> Vec<(usize, usize, u64)> {
        let mut before = Vec::new();
        for change in bytes.chunks_exact(CHANGE) {
            let [low, high, word, value @ ..] = change else {
                continue;
            };
            let page = usize::from(u16::from_le_bytes([*low, *high])) % self.used.len();
            let (page, word) = (self.used[page], usize::from(*word));
            let value = value.try_into().map_or(0, u64::from_le_bytes);
            before.push((
                page,
                word,
                std::mem::replace(&mut self.words[page][word], value),
            ));
        }
        before
    }

    fn put_back(&mut self, before: Vec<(usize, usize, u64)>) {
        for (page, word, value) in before.into_iter().rev() {
            self.words[page][word] = value;
        }
    }
}

/// # Safety
/// The caller promises that the pages outlive what is made of the region, and are not touched otherwise meanwhile.
unsafe fn region(pages: &mut [[u64; WORDS]]) -> Region<'static> {
    let bytes = (pages.len() * 4096) as u64;
    // SAFETY: aligned to words, as many bytes; the rest is the caller's promise.
    unsafe { Region::new(pages.as_mut_ptr().cast(), bytes) }
}

/// A module, a stack of a native and a Python frame, two blocks of which one was freed, a mark of the target's own.
fn fill(writer: &Writer<'_>) {
    let path = writer.strings.append(b"/bin/x");
    let module = modules::ModuleInfo {
        bias: 0x1000,
        start: 0x1000,
        end: 0x2000,
        from_ns: 1,
        until_ns: 0,
        path,
        build_id: [9; 32],
        build_id_len: 20,
    };
    let module = writer.modules.append(&module).expect("room");
    let code = CodeInfo {
        file: writer.strings.append(b"/src/x.py"),
        name: writer.strings.append(b"Cache.put"),
        first_line: 3,
    };
    let code = writer.codes.append(&code).expect("room");
    let label = writer.strings.append(b"worker-#");
    let add = |parent, kind, module, value| {
        let node = frames::Frame {
            parent,
            kind,
            module,
            value,
        };
        writer.frames.append(node).expect("room")
    };
    let thread = add(frames::ROOT, FrameKind::Thread, 0, label);
    let python = PythonFrame { code, line: 5 }.to_value();
    let python = add(thread, FrameKind::Python, 0, python);
    let native = add(python, FrameKind::Native, module.0, 0x123);
    let site = writer.sites.append(native).expect("room");
    for bytes in [33, 44] {
        writer.slot(16).allocated(site, bytes);
    }
    assert!(writer.slot(16).freed(site, 44));
    let mut name = [0; MARK_NAME];
    name[..4].copy_from_slice(b"warm");
    let info = MarkInfo {
        number: 0,
        sites_len: site.0 + 1,
        unix_ns: 5,
        rss_bytes: 6,
        in_flight: 0,
        name,
    };
    assert!(writer.marks.write(&info, |site| writer.total(site)));
    writer.ready();
}

fn process() -> Process {
    Process {
        pid: 7,
        identity: 1,
        name: String::new(),
        exe: String::new(),
        cmdline: Vec::new(),
        directory: String::new(),
        exit: None,
        start_unix_ns: 0,
    }
}

fn in_memory(bytes: &[u8]) {
    LEDGER.with_borrow_mut(|ledger| {
        let before = ledger.change(bytes);
        // SAFETY: the pages live as long as this thread, and nothing touches them until the reader is gone.
        let region = unsafe { region(&mut ledger.words) };
        if let Ok(reader) = Reader::new(&region) {
            read(&reader);
        }
        ledger.put_back(before);
    });
}

fn read(reader: &Reader<'_>) {
    let _sum = snapshot::totals(reader);
    for (number, _) in snapshot::inside_marks(reader) {
        if let Ok(Some(inside)) = snapshot::inside(reader, process(), number) {
            check(&inside);
        }
    }
    let taken = snapshot::take(reader, process(), "now", Memory::default());
    let packed = snapshot::take_packed(reader, process(), "now", Memory::default);
    assert_eq!(taken.is_ok(), packed.is_ok());
    if let (Ok(taken), Ok((packed, _))) = (taken, packed) {
        check(&taken);
        let bytes = packed.into_pieces().concat();
        let read = mark::decode(&bytes, "packed").expect("what was taken can be read");
        let read = read.snapshot;
        assert!(read.sites == taken.sites && read.frames == taken.frames);
        assert!(read.peak == taken.peak && read.threads == taken.threads);
    }
}

/// What every later stage relies on.
pub(crate) fn check(snapshot: &Snapshot) {
    let frames = &snapshot.frames;
    let mut numbered = (0u32..).zip(frames).skip(1);
    assert!(numbered.all(|(id, frame)| frame.parent < id));
    let mut sites = snapshot.sites.iter();
    assert!(sites.all(|site| (site.frame as usize) < frames.len()));
    let mut python = frames.iter().filter_map(heapshim_cli::model::Frame::python);
    assert!(python.all(|(code, _)| (code as usize) < snapshot.codes.len()));
    let mut modules = frames.iter().filter_map(|frame| frame.module);
    assert!(modules.all(|module| (module as usize) < snapshot.modules.len()));
}

fn in_file(bytes: &[u8]) {
    LEDGER.with_borrow_mut(|ledger| {
        let path = scratch::path("x.heapledger");
        if !path.exists() {
            let all: Vec<u8> = ledger
                .words
                .iter()
                .flatten()
                .flat_map(|word| word.to_le_bytes())
                .collect();
            std::fs::write(&path, all).expect("a ledger's file");
        }
        let before = ledger.change(bytes);
        let file = File::options().write(true).open(&path).expect("the file");
        let put = |ledger: &Ledger| {
            for (page, word, _) in &before {
                let at = (page * 4096 + word * 8) as u64;
                file.write_all_at(&ledger.words[*page][*word].to_le_bytes(), at)
                    .expect("written");
            }
        };
        put(ledger);
        if let Ok(mark) = store::read_file(&path) {
            check(&mark.snapshot);
        }
        ledger.put_back(before.clone());
        put(ledger);
    });
}

fn seeds() -> Vec<Vec<u8>> {
    let change = |page: u16, word: u8, value: u64| {
        let mut bytes = page.to_le_bytes().to_vec();
        bytes.push(word);
        bytes.extend(value.to_le_bytes());
        bytes
    };
    let pages = 0..10;
    let heads = pages.flat_map(|page| (0..32).map(move |word| (page, word)));
    let mut seeds: Vec<Vec<u8>> = heads
        .map(|(page, word)| change(page, word, u64::from(page) * 3 + u64::from(word)))
        .collect();
    seeds.push(Vec::new());
    seeds
}

/// The sound ledger as a mark.
pub(crate) fn mark() -> heapshim_cli::mark::Mark {
    LEDGER.with_borrow_mut(|ledger| {
        // SAFETY: as in `in_memory`.
        let region = unsafe { region(&mut ledger.words) };
        let reader = Reader::new(&region).expect("a sound ledger");
        let snapshot = snapshot::take(&reader, process(), "now", Memory::default());
        heapshim_cli::mark::Mark {
            snapshot: snapshot.expect("a sound ledger"),
            memory: Memory::default(),
            bundle: None,
        }
    })
}
