//! The randomized stress: programs/stress.c does everything at once, from one seed, and knows its own totals.
//!
//! It runs under `heapshim run --merge`, so that the account is of parent and children together; meanwhile it is marked and compared from
//! outside, which must not disturb it. A seed that fails once is a test from then on.

use crate::command::command;
use crate::compile::{Compiler, shared_library};
use crate::diff::{Amount, Diff};
use crate::place::{fresh_directory, programs};
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

/// Runs one seed: so many waves of threads, each thread so many rounds. What differs from the known answer is an error.
///
/// # Errors
/// What differed.
///
/// # Panics
/// Where it does not start.
pub fn stress(seed: u32, waves: u32, rounds: u32) -> Result<String, String> {
    stress_by(&["-O1", "-g"], seed, waves, rounds)
}

/// The same with the program compiled with these options.
///
/// # Errors
/// What differed.
///
/// # Panics
/// Where it does not start.
pub fn stress_by(options: &[&str], seed: u32, waves: u32, rounds: u32) -> Result<String, String> {
    let directory = fresh_directory("stress");
    let report = directory.join("report");
    let program = Compiler::C.compile(&programs().join("stress.c"), &words(options));
    let plugins = plugins(&directory);
    let (report_word, program) = (text(&report), text(&program));
    let mut run = command(&words(&[
        "run",
        "--merge",
        "--format",
        "json",
        "-o",
        &report_word,
        "--",
        &program,
    ]));
    run.args([seed, waves, rounds].map(|number| number.to_string()))
        .arg(&plugins);
    let mut child = run
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("heapshim run");
    let marks = mark_until_it_ends(&mut child);
    let output = child.wait_with_output().expect("its output");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        let complained = String::from_utf8_lossy(&output.stderr);
        return Err(format!(
            "seed {seed}: {}: {said}{complained}",
            output.status
        ));
    }
    let report = fs::read_to_string(report).map_err(|error| format!("seed {seed}: {error}"))?;
    compare(&Diff::read(&report), &answer(&said))
        .map_err(|problem| format!("seed {seed}: {problem}"))?;
    Ok(format!("seed {seed}: {marks} marks, {}", said.trim_end()))
}

/// Reads the account again and again while it runs; how often.
fn mark_until_it_ends(run: &mut Child) -> usize {
    let mut marks = 0;
    while matches!(run.try_wait(), Ok(None)) {
        if let Some(pid) = only_child(run.id()) {
            let words = [
                "diff",
                "-p",
                &pid.to_string(),
                "start",
                "now",
                "--format",
                "json",
            ];
            let output = command(&words).output().expect("the command starts");
            // It may have ended, or not begun, meanwhile.
            if output.status.success() {
                Diff::read(&String::from_utf8_lossy(&output.stdout)).assert_adds_up();
                marks += 1;
            }
        }
    }
    marks
}

/// The first child of a process.
fn only_child(pid: u32) -> Option<u32> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
    children.split_whitespace().next()?.parse().ok()
}

/// Copies of the plugin under several names, so that several are loaded and unloaded at once; what their paths begin with.
fn plugins(directory: &Path) -> PathBuf {
    let made = shared_library("stress_plugin.c", &["-O1"]);
    for number in 0..3 {
        let copy = directory.join(format!("plugin{number}.so"));
        fs::copy(&made, copy).expect("a copy of the plugin");
    }
    directory.join("plugin")
}

/// The words that it said, each with the numbers behind it.
fn answer(said: &str) -> HashMap<String, Vec<i64>> {
    let mut answer: HashMap<String, Vec<i64>> = HashMap::new();
    let mut last = String::new();
    for word in said.split_whitespace() {
        match word.parse() {
            Ok(number) => answer.entry(last.clone()).or_default().push(number),
            Err(_) => word.clone_into(&mut last),
        }
    }
    answer
}

fn compare(report: &Diff, answer: &HashMap<String, Vec<i64>>) -> Result<(), String> {
    report.assert_adds_up();
    let of = |key: &str| match answer.get(key).map(Vec::as_slice) {
        Some([bytes, blocks]) => amount(*bytes, *blocks),
        Some([blocks]) => amount(56 * blocks, *blocks),
        _ => amount(0, 0),
    };
    // What the children freed of their parent's blocks were copies.
    let (grown, children) = (of("live"), of("children"));
    let lines = [
        ("make", of("made"), grown),
        ("in_child", children, children),
        ("work", of("plugins"), amount(0, 0)),
    ];
    for (function, total, growth) in lines {
        let found = of_function(report, function);
        if found != (total, growth) {
            return Err(format!(
                "{function}: total and growth are {found:?}, not {:?}",
                (total, growth)
            ));
        }
    }
    let lost = ["overflow_events", "untracked_blocks"];
    match lost.iter().find(|kind| report.unattributed(kind) != 0) {
        Some(kind) => Err(format!("{kind}: {}", report.unattributed(kind))),
        None => Ok(()),
    }
}

/// Total and growth of a function's rows.
fn of_function(report: &Diff, function: &str) -> (Amount, Amount) {
    let mut sums = (amount(0, 0), amount(0, 0));
    for row in report.rows() {
        if row.function() == Some(function) {
            let (total, growth) = (row.total(), row.growth());
            sums.0 = amount(sums.0.bytes + total.bytes, sums.0.blocks + total.blocks);
            sums.1 = amount(sums.1.bytes + growth.bytes, sums.1.blocks + growth.blocks);
        }
    }
    sums
}

fn amount(bytes: i64, blocks: i64) -> Amount {
    Amount { bytes, blocks }
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn text(path: &Path) -> String {
    path.to_str().expect("UTF-8").to_owned()
}
