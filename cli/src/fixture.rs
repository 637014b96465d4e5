//! What the tests of several stages share: one report, one small process, and directories that clean up after themselves.
//!
//! Tests only. The report is the contract's own example, so that a renderer's test reads like the manual.

#[path = "../../tests/src/own_directory.rs"]
mod own_directory;

use self::own_directory::OwnDirectory;
use crate::blame::Mode;
use crate::model::{
    Code, Counters, Frame, FrameKind, Losses, Module, Moment, Process, Site, Snapshot,
};
use crate::report::{Amount, By, End, Report, Row, Sort, Unattributed};
use crate::symbolize::{Language, Reason, SymbolFrame};
use std::path::{Path, PathBuf};

/// A generator of numbers (Knuth's multiplier, TAOCP vol. 2, 3.3.4): the same each run, so that a failure comes again.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    /// Any number below 2^31.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        self.0 >> 33
    }

    /// Any number below the limit.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next()).unwrap() % limit
    }
}

/// A directory that goes when it is dropped.
#[derive(Debug)]
pub(crate) struct Scratch(OwnDirectory);

impl Scratch {
    /// An empty directory; `name` must be the test's own.
    pub(crate) fn new(name: &str) -> Scratch {
        let base = std::env::temp_dir().canonicalize().unwrap();
        Scratch(OwnDirectory::new(&base, name).unwrap())
    }

    /// The same in /tmp, whatever TMPDIR says: names of sockets in it must be short.
    pub(crate) fn short(name: &str) -> Scratch {
        Scratch(OwnDirectory::new(Path::new("/tmp"), name).unwrap())
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }
}

fn frame(language: Language, function: &str, place: Option<(&str, u32)>) -> SymbolFrame {
    SymbolFrame {
        file: place.map(|(file, _)| file.to_string()),
        line: place.map(|(_, line)| line),
        function: Some(function.to_string()),
        module: Some("/usr/bin/server".to_string()),
        address: 0x1000,
        language,
        reason: None,
        inlined: false,
        wrapper: false,
    }
}

/// A C function.
pub(crate) fn c_frame(function: &str, file: &str, line: u32) -> SymbolFrame {
    frame(Language::C, function, Some((file, line)))
}

/// A C++ function.
pub(crate) fn cpp_frame(function: &str, file: &str, line: u32) -> SymbolFrame {
    frame(Language::Cpp, function, Some((file, line)))
}

/// A function of Python code.
pub(crate) fn python_frame(function: &str, file: &str, line: u32) -> SymbolFrame {
    SymbolFrame {
        module: None,
        address: 0,
        ..frame(Language::Python, function, Some((file, line)))
    }
}

/// A Rust function.
pub(crate) fn rust_frame(function: &str, place: Option<(&str, u32)>) -> SymbolFrame {
    frame(Language::Rust, function, place)
}

/// A function of which only the symbol is known.
pub(crate) fn module_frame(function: &str, module: &str) -> SymbolFrame {
    let base = module.rsplit('/').next().unwrap();
    SymbolFrame {
        module: Some(module.to_string()),
        address: 0x8f1c2,
        reason: Some(Reason::NoDebugInformation(base.to_string())),
        ..frame(Language::Unknown, function, None)
    }
}

fn row(stack: Vec<SymbolFrame>, growth: (i64, i64), live: i64, via: Option<&str>) -> Row {
    let blamed = stack.last().unwrap().clone();
    Row {
        file: blamed.file,
        line: blamed.line,
        function: blamed.function,
        module: blamed.module,
        language: blamed.language,
        via: via.map(str::to_string),
        thread: Some("main".to_string()),
        growth: amount(growth.0, growth.1),
        live: amount(live, growth.1.max(0)),
        total: amount(growth.0.max(0) + 4096, growth.1.max(0) + 1),
        errors: None,
        survivors: None,
        temporary: None,
        distribution: None,
        freed: None,
        blamed: stack.len() - 1,
        stack: stack.into(),
    }
}

pub(crate) fn amount(bytes: i64, blocks: i64) -> Amount {
    Amount { bytes, blocks }
}

fn end(name: &str, seconds: u64, live: Amount, rss_bytes: u64) -> End {
    End {
        moment: moment(name, seconds, rss_bytes),
        live,
        rss: None,
    }
}

pub(crate) fn moment(name: &str, seconds: u64, rss_bytes: u64) -> Moment {
    Moment {
        name: name.to_string(),
        unix_ns: 1_795_348_800_123_000_000 + seconds * 1_000_000_000,
        rss_bytes,
        resident: None,
        exact: true,
        in_flight: 0,
        lost_events: 0,
    }
}

pub(crate) fn process(identity: u64) -> Process {
    Process {
        pid: 4242,
        identity,
        name: "server".to_string(),
        exe: "/usr/bin/server".to_string(),
        cmdline: vec!["server".to_string(), "--port=80".to_string()],
        directory: "/srv".to_string(),
        exit: None,
        start_unix_ns: 1_795_348_700_000_000_000,
    }
}

/// The contract's example: three rows that are shown, three more, five that shrank.
pub(crate) fn report() -> Report {
    let malloc = c_frame("malloc", "/usr/src/malloc.c", 1);
    let python = SymbolFrame {
        language: Language::Python,
        ..c_frame("__init__", "/usr/lib/python3/aiohttp/web_response.py", 56)
    };
    let conn = c_frame("conn_new", "/home/u/server/src/conn.c", 88);
    let wrapper = c_frame("xmalloc", "/home/u/server/src/util.c", 12);
    let foo = module_frame("foo_init", "/usr/lib/libfoo.so.3");
    let mut rows = vec![
        row(
            vec![malloc.clone(), python],
            (116_500_000, 300_004),
            116_500_000,
            None,
        ),
        row(
            vec![malloc, wrapper, conn],
            (64 << 10, 16),
            64 << 10,
            Some("xmalloc"),
        ),
        row(vec![foo], (12, 1), 12, None),
    ];
    for line in 1..=3 {
        let small = c_frame("small", "/home/u/server/src/small.c", line);
        rows.push(row(vec![small], (410, 2), 410, None));
    }
    for line in 1..=5 {
        let gone = c_frame("gone", "/home/u/server/src/gone.c", line);
        rows.push(row(vec![gone], (-419_430, -4), 0, None));
    }
    let growth: Amount = rows.iter().map(|row| row.growth).sum();
    let before = amount(137_573_171, 1000);
    let after = amount(before.bytes + growth.bytes, before.blocks + growth.blocks);
    Report {
        target: process(7),
        two_processes: false,
        merged: None,
        peak_rss: None,
        temporary_within: None,
        peak_bytes: after.bytes,
        from: end("warm", 0, before, 200 << 20),
        to: end("now", 60, after, 318 << 20),
        growth,
        sample_bytes: None,
        partly: None,
        errors: None,
        survivors: None,
        temporary: None,
        distribution: None,
        notes: Vec::new(),
        unattributed: Unattributed::default(),
        by: By::Line,
        mode: Mode::App,
        cumulative: false,
        filtered: false,
        sort: Sort::Growth,
        rows,
    }
}

/// A process of two modules and six nodes, in which nothing was allocated yet:
/// 1 full · 2 main · 3 main→put · 4 main→put→malloc · 5 cut short · 6 cut→malloc
pub(crate) fn snapshot(identity: u64) -> Snapshot {
    let module = |path: &str| Module {
        path: path.to_string(),
        build_id: vec![1, 2, 3],
        bias: 0x5555_0000,
        start: 0x5555_0000,
        end: 0x5556_0000,
    };
    let node = |parent, kind, module, value| Frame {
        parent,
        kind,
        module,
        value,
    };
    let frames = vec![
        Frame::ROOT,
        node(0, FrameKind::Full, None, 0),
        node(0, FrameKind::Native, Some(0), 0x1100),
        node(2, FrameKind::Native, Some(0), 0x1200),
        node(3, FrameKind::Native, Some(1), 0x9000),
        node(0, FrameKind::Truncated, None, 2),
        node(5, FrameKind::Native, Some(1), 0x9000),
    ];
    let site = |frame| Site {
        frame,
        counters: Counters::default(),
    };
    Snapshot {
        process: process(identity),
        moment: moment("now", 0, 0),
        codes: Vec::new(),
        threads: Vec::new(),
        modules: vec![module("/nowhere/server"), module("/nowhere/libheapshim.so")],
        jit: std::collections::BTreeMap::new(),
        sites: [0, 1, 4, 3, 2, 6].map(site).to_vec(),
        frames,
        peak: None,
        births: crate::births::Births::default(),
        temporaries: None,
        losses: Losses::default(),
        complaints: 0,
        sampling: crate::model::Sampling::default(),
    }
}

/// The same process as an interpreter that runs app.py, which calls an extension (module 1):
/// 7 main→app.py:3 · 8 …→cache.py:9 · 9 …→cache.py:9 again · 10 …→extension · 11 app.py:3→frozen import · 12 …→cache.py:1
pub(crate) fn python_snapshot(identity: u64) -> Snapshot {
    let mut snapshot = snapshot(identity);
    let code = |file: &str, name: &str, first_line| Code {
        file: file.to_string(),
        name: name.to_string(),
        first_line,
    };
    snapshot.codes = vec![
        code("app.py", "<module>", 1),
        code("/srv/lib/cache.py", "Cache.put", 8),
        code("<frozen importlib._bootstrap>", "_load", 2),
        code("/srv/lib/cache.py", "<module>", 1),
    ];
    let python = |parent, code: u64, line: u64| Frame {
        parent,
        kind: FrameKind::Python,
        module: None,
        value: code << 32 | line,
    };
    let extension = Frame {
        parent: 9,
        kind: FrameKind::Native,
        module: Some(1),
        value: 0x9100,
    };
    snapshot.frames.extend([
        python(2, 0, 3),
        python(7, 1, 9),
        python(8, 1, 9),
        extension,
        python(7, 2, 241),
        python(11, 3, 1),
    ]);
    let site = |frame| Site {
        frame,
        counters: Counters::default(),
    };
    snapshot.sites.extend([10, 8, 11, 12].map(site));
    snapshot
}
