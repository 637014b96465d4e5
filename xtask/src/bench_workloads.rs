//! What `bench_table` runs: programs of this repository, built here, and some that are installed.
//!
//! A workload whose compiler, program or crates are not here has no `ready`.

mod redis;

use crate::took::Took;
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hasher};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Rows that sqlite is given.
const SQLITE_ROWS: &str = "100000";
/// Rows by depth of the stack; the bars were set for one of about 20 frames.
const DEPTHS: [(&str, u32, Bars); 4] = [
    ("pairs-depth-5", 5, NO_BARS),
    ("pairs-depth-20", 20, OF_PAIRS),
    ("pairs-depth-60", 60, NO_BARS),
    ("pairs-depth-120", 120, NO_BARS),
];
/// Threads of the rows that show that nothing is shared: their pairs are as many in all.
const THREADS: [(&str, u64); 5] = [
    ("pairs-threads-1", 1),
    ("pairs-threads-2", 2),
    ("pairs-threads-4", 4),
    ("pairs-threads-16", 16),
    ("pairs-threads-64", 64),
];
const PAIRS: u64 = 4_000_000;
const PYTHON: &str = "/usr/bin/python3";
const PYTHON_ROUNDS: &str = "60";

/// A row of the table.
pub(crate) struct Workload {
    /// The word for it on the command line.
    pub(crate) name: &'static str,
    pub(crate) ready: Option<Ready>,
    pub(crate) bars: Bars,
    pub(crate) kind: Kind,
}

/// What the run may take as a multiple of the bare one's time, at most; None = no bar was set.
#[derive(Clone, Copy, Default)]
pub(crate) struct Bars {
    pub(crate) exact: Option<f64>,
    /// What exact aims at.
    pub(crate) aim: Option<f64>,
    pub(crate) sampled: Option<f64>,
    pub(crate) off: Option<f64>,
}

const fn bars(exact: f64, aim: f64, sampled: f64, off: f64) -> Bars {
    Bars {
        exact: Some(exact),
        aim: Some(aim),
        sampled: Some(sampled),
        off: Some(off),
    }
}

const NO_BARS: Bars = Bars {
    exact: None,
    aim: None,
    sampled: None,
    off: None,
};
const OF_PAIRS: Bars = bars(2.5, 1.8, 1.25, 1.12);

/// What is told of a row.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Times as multiples of the bare run's.
    Times,
    /// The same, of a program of so many pairs in all, whose bare time is told of one.
    Pairs(u64),
    /// Milliseconds that are added to a program that hardly runs: many runs, and bars in milliseconds.
    Start,
}

/// What the account is held against: the blocks that a library saw which does nothing but count.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Counted {
    /// To a thousandth: what threads and clocks decide is in it.
    Alike,
    /// No fewer: objects of Python's are in our account, which no allocator of libc sees.
    AtLeast,
    /// So many at least, by what it is asked: it does not run under that library, which has no malloc_usable_size.
    Known(u64),
}

/// What can be run.
pub(crate) struct Ready {
    run: Run,
    pub(crate) counted: Counted,
}

enum Run {
    /// A command, which says its result.
    Words(Vec<String>),
    /// A command whose result is a file.
    Writes(Vec<String>, PathBuf),
    /// redis-server, asked by redis-benchmark; its directory.
    Redis(PathBuf),
}

/// How a workload is started: makes a command of its words, bare or under something.
pub(crate) type Under<'a> = &'a dyn Fn(&[String]) -> Option<Command>;

impl Ready {
    fn new(run: Run) -> Ready {
        let counted = Counted::Alike;
        Ready { run, counted }
    }

    /// A command that prints its result.
    pub(crate) fn command(words: Vec<String>) -> Ready {
        Ready::new(Run::Words(words))
    }

    fn counted(self, counted: Counted) -> Ready {
        Ready { counted, ..self }
    }

    /// What tells whether a peer knows what to do with it.
    pub(crate) fn words(&self) -> Vec<String> {
        match &self.run {
            Run::Words(words) | Run::Writes(words, _) => words.clone(),
            Run::Redis(directory) => redis::server(directory, &directory.join("socket")),
        }
    }

    /// One run; what it took and its result, which is the same however it runs. None where it fails.
    pub(crate) fn run(&self, under: Under<'_>) -> Option<(Took, String)> {
        match &self.run {
            Run::Words(words) => {
                let took = Took::by(&mut under(words)?)?;
                let result = said(&took.stdout);
                Some((took, result))
            }
            Run::Writes(words, file) => {
                let _gone = fs::remove_file(file);
                let took = Took::by(&mut under(words)?)?;
                Some((took, digest(file)?))
            }
            Run::Redis(directory) => {
                let socket = directory.join("socket");
                let _gone = fs::remove_file(&socket);
                redis::serve(&mut under(&self.words())?, &socket)
            }
        }
    }
}

/// Of a file's bytes. In pieces: memory that this process has resident, its children begin with.
fn digest(file: &Path) -> Option<String> {
    let mut file = BufReader::new(File::open(file).ok()?);
    let mut hasher = DefaultHasher::new();
    loop {
        let piece = file.fill_buf().ok()?;
        let length = piece.len();
        hasher.write(piece);
        file.consume(length);
        if length == 0 {
            return Some(format!("{:016x}", hasher.finish()));
        }
    }
}

/// What a program says, without the times that it measures itself.
fn said(stdout: &str) -> String {
    let words = stdout.split_whitespace();
    let kept: Vec<&str> = words
        .filter(|word| !word.starts_with("ns_per_pair="))
        .collect();
    kept.join(" ")
}

/// All rows.
pub(crate) fn all(root: &Path) -> Vec<Workload> {
    let place = Place {
        sources: root.join("xtask/workloads"),
        made: root.join("target").join("bench"),
    };
    let _made = fs::create_dir_all(&place.made);
    let row = |name, ready, bars| Workload {
        name,
        ready,
        bars,
        kind: Kind::Times,
    };
    let start = |name, ready, bars| Workload {
        kind: Kind::Start,
        ..row(name, ready, bars)
    };
    let five_ms = Bars {
        exact: Some(5.0),
        ..NO_BARS
    };
    let mut rows = pairs(root, &place);
    rows.extend([
        row("churn", place.churn(), bars(1.5, 1.3, 1.12, 1.06)),
        row("rust_json", json(root, &place), bars(1.4, 1.2, 1.12, 1.06)),
        row("redis", place.redis(), bars(1.25, 1.1, 1.05, 1.03)),
        row("cc1plus", place.compiler(), bars(1.2, 1.1, 1.05, 1.03)),
        row("sqlite3", place.sqlite(), bars(1.2, 1.1, 1.05, 1.03)),
        row("python", place.python(), NO_BARS),
        start("start-true", words(&["/bin/true"]), five_ms),
        start("start-python", place.empty_python(), NO_BARS),
    ]);
    rows
}

/// Rows of `pairs`: options, and how many pairs all threads make together.
fn pairs(root: &Path, place: &Place) -> Vec<Workload> {
    let program = place.made.join("pairs");
    let built = crate::pairs::compile(root, &program, &[]).is_some();
    let row = |name, options: String, pairs, bars| {
        let words = std::iter::once(program.to_string_lossy().into_owned())
            .chain(options.split(' ').map(str::to_owned))
            .collect();
        Workload {
            name,
            ready: built.then_some(Ready::new(Run::Words(words))),
            bars,
            kind: Kind::Pairs(pairs),
        }
    };
    let deep = |(name, depth, bars)| {
        let options = format!("--pairs {PAIRS} --depth {depth}");
        row(name, options, PAIRS, bars)
    };
    let threads = |(name, threads)| {
        let options = format!("--pairs {} --threads {threads}", PAIRS / threads);
        row(name, options, PAIRS, OF_PAIRS)
    };
    let mut rows: Vec<Workload> = DEPTHS.into_iter().map(deep).collect();
    rows.extend(THREADS.map(threads));
    let sites = format!("--pairs {PAIRS} --sites 14");
    rows.push(row("pairs-65536-sites", sites, PAIRS, NO_BARS));
    let sizes = "--pairs 1000000 --sizes 20000 --live 100".to_owned();
    rows.push(row("pairs-20000-sizes", sizes, 1_000_000, NO_BARS));
    rows
}

struct Place {
    sources: PathBuf,
    made: PathBuf,
}

impl Place {
    fn compile(&self, compiler: &str, options: &[&str], source: &str) -> Option<PathBuf> {
        let program = self.made.join(source).with_extension("");
        let mut command = Command::new(compiler);
        command
            .args(["-O2", "-g"])
            .args(options)
            .arg("-o")
            .arg(&program);
        succeeds(command.arg(self.sources.join(source))).then_some(program)
    }

    fn churn(&self) -> Option<Ready> {
        let program = self.compile("g++", &[], "churn.cpp")?;
        words(&[&program.to_string_lossy(), "400000"])
    }

    /// The compiler proper: the driver only starts it.
    fn compiler(&self) -> Option<Ready> {
        let expanded = self.made.join("churn.ii");
        let mut expand = Command::new("g++");
        expand
            .arg("-E")
            .arg(self.sources.join("churn.cpp"))
            .arg("-o");
        let output = Command::new("g++").arg("-print-prog-name=cc1plus").output();
        let compiler = String::from_utf8(output.ok()?.stdout).ok()?;
        let assembly = self.made.join("churn.s");
        let all = [
            compiler.trim(),
            "-quiet",
            "-O2",
            "-fpreprocessed",
            &expanded.to_string_lossy(),
            "-o",
            &assembly.to_string_lossy(),
        ];
        let all = all.map(str::to_owned).to_vec();
        succeeds(expand.arg(&expanded)).then_some(Ready::new(Run::Writes(all, assembly)))
    }

    fn sqlite(&self) -> Option<Ready> {
        let text = fs::read_to_string(self.sources.join("sqlite.sql")).ok()?;
        let file = self.made.join("sqlite.sql");
        fs::write(&file, text.replace(":N", SQLITE_ROWS)).ok()?;
        let read = format!(".read {}", file.display());
        is_here("sqlite3").then(|| words(&["sqlite3", ":memory:", &read]))?
    }

    /// Debian's, which prints what it made.
    fn python(&self) -> Option<Ready> {
        let script = self.sources.join("objects.py");
        let ready = words(&[PYTHON, &script.to_string_lossy(), PYTHON_ROUNDS])?;
        is_here(PYTHON).then_some(ready.counted(Counted::AtLeast))
    }

    fn empty_python(&self) -> Option<Ready> {
        let ready = words(&[PYTHON, "-c", "pass"])?;
        is_here(PYTHON).then_some(ready.counted(Counted::AtLeast))
    }

    fn redis(&self) -> Option<Ready> {
        let ready = Ready::new(Run::Redis(self.made.clone()));
        let is_here = redis::NEEDED.into_iter().all(is_here);
        is_here.then_some(ready.counted(Counted::Known(redis::BLOCKS)))
    }
}

/// The one of `tests/foreign` that reads and writes JSON.
fn json(root: &Path, place: &Place) -> Option<Ready> {
    let target = place.made.join("cargo");
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--release", "--locked", "--bin", "json"]);
    cargo
        .arg("--manifest-path")
        .arg(root.join("tests/foreign/Cargo.toml"));
    let is_built = succeeds(cargo.arg("--target-dir").arg(&target));
    let program = target.join("release/json");
    is_built.then(|| words(&[&program.to_string_lossy(), "40"]))?
}

fn words(words: &[&str]) -> Option<Ready> {
    let words = words.iter().map(|word| (*word).to_owned());
    Some(Ready::new(Run::Words(words.collect())))
}

fn is_here(program: &str) -> bool {
    succeeds(Command::new(program).arg("--version"))
}

pub(crate) fn succeeds(command: &mut Command) -> bool {
    let quiet = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}
