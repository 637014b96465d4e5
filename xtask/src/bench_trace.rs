//! `cargo xtask bench-trace [MIB] [--times N]`: how long each question to a large recording takes, and in how much memory. Not in CI: it takes minutes, and the disk that the recording needs (with `--times`, N + 1 times that).
//!
//! The recording is of `workloads/pairs.c` with a million live blocks of 4,000 sizes, of which nothing is foreseen (more bytes an event than of most programs), until it has so many
//! MiB; it lies in the directory for temporary files, and is deleted. With `--times` what is asked is a recording N times as long: the same events, one time after the other, since
//! it would take an hour to make (`repeat-recording` of tests/). Memory is what the command had resident at most.

use crate::own_directory::OwnDirectory;
use crate::took::Took;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// A recording that is large, unless told otherwise.
const MIB: u64 = 1024;
/// What is recorded first, to know how many bytes a pair takes.
const TRIAL_PAIRS: u64 = 2_000_000;
/// What the program is told besides the pairs.
const WORDS: [&str; 8] = [
    "--live", "1000000", "--sizes", "4000", "--sites", "12", "--empty", "1",
];
/// What is asked; `%` stands for a share of the recording's time.
const QUESTIONS: [&[&str]; 10] = [
    &["diff"],
    &["diff", "--by", "thread"],
    &["diff", "--from", "30%", "--to", "60%"],
    &[
        "diff",
        "--from",
        "30%",
        "--to",
        "60%",
        "--sort",
        "survivors",
    ],
    &["diff", "--sort", "survivors"],
    &["peak"],
    &["temporary"],
    &["lifetimes"],
    &["sizes"],
    &["timeline"],
];

/// Runs it.
pub(crate) fn run(root: &Path, words: &[&str]) -> ExitCode {
    let Some((mib, times)) = asked(words) else {
        eprintln!("usage: cargo xtask bench-trace [MIB] [--times N]");
        return ExitCode::from(2);
    };
    match Bench::new(root).and_then(|bench| bench.measure(mib, times)) {
        Some(()) => ExitCode::SUCCESS,
        None => {
            eprintln!("bench-trace: the program does not build, or a command fails");
            ExitCode::FAILURE
        }
    }
}

/// MIB and N, where that is what the words say.
fn asked(words: &[&str]) -> Option<(u64, u32)> {
    let (mib, rest) = match words {
        [mib, rest @ ..] if !mib.starts_with('-') => (mib.parse().ok()?, rest),
        rest => (MIB, rest),
    };
    let times = match rest {
        [] => 1,
        ["--times", times] => times.parse().ok().filter(|&times| times > 0)?,
        _ => return None,
    };
    Some((mib, times))
}

struct Bench<'a> {
    root: &'a Path,
    heapshim: PathBuf,
    directory: OwnDirectory,
}

impl<'a> Bench<'a> {
    fn new(root: &'a Path) -> Option<Bench<'a>> {
        Some(Bench {
            root,
            heapshim: crate::bench_symbols::heapshim(root)?,
            directory: OwnDirectory::new(&std::env::temp_dir(), "bench-trace").ok()?,
        })
    }

    fn measure(&self, mib: u64, times: u32) -> Option<()> {
        let program = self.directory.path().join("pairs");
        crate::pairs::compile(self.root, &program, &[])?;
        let file = self.directory.path().join("run.heaptrace");
        self.record(&program, TRIAL_PAIRS, &file)?;
        let trial = fs::metadata(&file).ok()?.len().max(1);
        let pairs = (mib << 20).saturating_mul(TRIAL_PAIRS) / trial;
        let took = self.record(&program, pairs, &file)?;
        let bytes = fs::metadata(&file).ok()?.len();
        println!(
            "recorded: {:.0} MiB, {:.2} bytes an event, {:.0} s, {:.0} MiB resident",
            mebibytes(bytes as f64),
            bytes as f64 / (pairs * 2) as f64,
            took.wall_ms / 1e3,
            mebibytes(took.peak_bytes)
        );
        let file = match times {
            1 => file,
            _ => self.repeat(&file, times)?,
        };
        // The recording's time is the run's, nearly: the program's start and the command's are in it.
        let length_ms = took.wall_ms * f64::from(times);
        QUESTIONS
            .iter()
            .try_for_each(|question| self.ask(question, &file, length_ms))
    }

    /// The same so many times over, checked.
    fn repeat(&self, file: &Path, times: u32) -> Option<PathBuf> {
        let all = self.directory.path().join("all.heaptrace");
        let words = [file.to_str()?, &times.to_string(), all.to_str()?];
        (crate::programs::run(self.root, "repeat-recording", &words) == ExitCode::SUCCESS)
            .then_some(())?;
        println!(
            "{:.0} MiB",
            mebibytes(fs::metadata(&all).ok()?.len() as f64)
        );
        Some(all)
    }

    fn record(&self, program: &Path, pairs: u64, file: &Path) -> Option<Took> {
        let mut run = Command::new(&self.heapshim);
        run.args(["run", "--quiet", "--lossless", "--record"])
            .arg(file)
            .arg("--")
            .arg(program)
            .args(["--pairs", &pairs.to_string()])
            .args(WORDS);
        Took::by(&mut run)
    }

    fn ask(&self, question: &[&str], file: &Path, length_ms: f64) -> Option<()> {
        let (word, options) = question.split_first()?;
        let options = options.iter().map(|option| match option.strip_suffix('%') {
            Some(share) => format!(
                "{:.0}ms",
                length_ms * share.parse::<f64>().unwrap_or(0.0) / 100.0
            ),
            None => (*option).to_owned(),
        });
        let mut command = Command::new(&self.heapshim);
        command.arg(word).arg(file).args(options);
        let took = Took::by(&mut command)?;
        println!(
            "{}: {:.1} s, processor {:.1} s, {:.0} MiB resident",
            question.join(" "),
            took.wall_ms / 1e3,
            took.processor_ms / 1e3,
            mebibytes(took.peak_bytes)
        );
        Some(())
    }
}

fn mebibytes(bytes: f64) -> f64 {
    bytes / f64::from(1 << 20)
}
