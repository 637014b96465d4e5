//! `cargo xtask bench-mark [RUNS]`: how long `mark` and `diff` take of a running process with more than 100,000 sites.
//!
//! The process is `pairs`, which has allocated from 131,072 stacks and waits. Its marks are kept in a directory of this run's own. What the target loses to a
//! mark is nothing: nobody stops it.

use crate::bench::sorted;
use crate::bench_instructions::{callgrind, counted};
use crate::own_directory::OwnDirectory;
use crate::took::Took;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};

/// Runs, unless told otherwise.
const RUNS: usize = 9;
/// 2^15 paths to four leaves, each come to a dozen times; as many blocks live as there are stacks.
const STACKS: f64 = 131_072.0;
const WORDS: &str = "--pairs 1500000 --depth 16 --sites 15 --live 131072 --hold 1";

/// Runs it.
pub(crate) fn run(root: &Path, words: &[&str]) -> ExitCode {
    let runs = match words {
        [] => Some(RUNS),
        [runs] => runs.parse().ok().filter(|runs| *runs > 0),
        _ => None,
    };
    let Some(runs) = runs else {
        eprintln!("usage: cargo xtask bench-mark [RUNS]");
        return ExitCode::from(2);
    };
    match measure(root, runs) {
        Some(()) => ExitCode::SUCCESS,
        None => {
            eprintln!("bench-mark: needs gcc, and a command that builds");
            ExitCode::FAILURE
        }
    }
}

fn measure(root: &Path, runs: usize) -> Option<()> {
    let library = crate::bench::library(root)?;
    let heapshim = crate::bench_symbols::heapshim(root)?;
    let place = place()?;
    let mut target = held(root, place.path(), &library)?;
    let pid = target.id().to_string();
    let ask = |words: &[&str]| {
        let mut command = Command::new(&heapshim);
        command.env("XDG_STATE_HOME", place.path());
        Took::by(command.args(words).args(["-p", &pid]))
    };
    let names: Vec<String> = (0..runs).map(|run| format!("mark-{run}")).collect();
    let marks: Option<Vec<Took>> = names.iter().map(|name| ask(&["mark", name])).collect();
    let diffs: Option<Vec<Took>> = names.iter().map(|name| ask(&["diff", name])).collect();
    let instructions = instructions(&heapshim, place.path(), &pid);
    let sites = ask(&["diff", "start", "--by", "stack", "--format", "json"]);
    // Its input ends, and so does it.
    drop(target.stdin.take());
    target.wait().ok()?;
    let sites = sites?.stdout.matches("\"stack\"").count();
    println!("{sites} stacks, {runs} runs each; medians, the least in parentheses");
    tell("mark", &marks?);
    tell("diff MARK", &diffs?);
    // Of the command as a release builds it: of two builds these are good to a thousandth, where times are not.
    if let Some(instructions) = instructions {
        println!(
            "mark, under callgrind: {:.1} M instructions",
            instructions / 1e6
        );
    }
    Some(())
}

/// A directory of this run's own.
fn place() -> Option<OwnDirectory> {
    OwnDirectory::new(&std::env::temp_dir(), "bench-mark").ok()
}

/// The stacks of that process, and the instructions of a mark of it: a row of `bench-instructions`.
pub(crate) fn of_a_mark(root: &Path, library: &str, heapshim: &Path) -> Option<(f64, f64)> {
    let place = place()?;
    let mut target = held(root, place.path(), library)?;
    let counted = instructions(heapshim, place.path(), &target.id().to_string());
    drop(target.stdin.take());
    target.wait().ok()?;
    Some((STACKS, counted?))
}

/// Of one mark; None without valgrind.
fn instructions(heapshim: &Path, place: &Path, pid: &str) -> Option<f64> {
    let mut command = callgrind(heapshim, &["mark", "-p", pid, "counted"]);
    counted(&command.env("XDG_STATE_HOME", place).output().ok()?)
}

/// The target, once it has said that it is done.
fn held(root: &Path, place: &Path, library: &str) -> Option<Child> {
    let program = place.join("pairs");
    crate::pairs::compile(root, &program, &[])?;
    let mut command = Command::new(&program);
    command.args(WORDS.split(' ')).env("LD_PRELOAD", library);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut target = command.spawn().ok()?;
    let mut said = String::new();
    BufReader::new(target.stdout.take()?)
        .read_line(&mut said)
        .ok()?;
    Some(target)
}

fn tell(name: &str, took: &[Took]) {
    let of = |value: fn(&Took) -> f64| {
        let values = sorted(took.iter().map(value));
        format!("{:.1} ({:.1})", values[values.len() / 2], values[0])
    };
    println!(
        "{name}: {} ms, {} of it of processor, {} MB resident",
        of(|took| took.wall_ms),
        of(|took| took.processor_ms),
        of(|took| took.peak_bytes / 1e6),
    );
}
