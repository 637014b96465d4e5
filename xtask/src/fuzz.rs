//! `cargo xtask fuzz [--runs 10m] [--keep] [TARGET…]`: fuzz/'s targets under libFuzzer, one after the other.
//!
//! cargo-fuzz would do the same with a nightly compiler: what it adds is the sanitizers. Coverage alone is a pass of LLVM's that a stable compiler runs
//! too, over everything that is built here. Overflows and debug assertions are errors. An input that breaks a promise is written into
//! `fuzz/corpus/NAME/`, where the tests run it from then on; `--keep` writes there what reached new code, as few inputs as do.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

/// Executions where nothing else is said.
const RUNS: u64 = 10_000_000;
/// Longest input: several times the longest seed.
const LONGEST: &str = "-max_len=8192";
const TARGET: &str = "x86_64-unknown-linux-gnu";
/// As cargo-fuzz sets them: counters for each edge, and what comparisons compare.
const FLAGS: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares -Cdebug-assertions=yes -Cdebuginfo=1";

struct Wanted<'w> {
    runs: u64,
    keep: bool,
    names: Vec<&'w str>,
}

/// Runs what the words ask for; ends at the first promise that is broken.
pub(crate) fn run(root: &Path, words: &[&str]) -> ExitCode {
    let (Some(wanted), Some(fuzzer)) = (wanted(words), build(root)) else {
        eprintln!("usage: cargo xtask fuzz [--runs 10m] [--keep] [TARGET…]");
        return ExitCode::from(2);
    };
    let all = names(&fuzzer);
    let chosen = all
        .iter()
        .filter(|name| wanted.names.is_empty() || wanted.names.contains(&name.as_str()));
    for name in chosen {
        if !one(root, &fuzzer, name, &wanted) {
            eprintln!("{name}: a promise is broken; the input lies in fuzz/corpus/{name}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

fn wanted<'w>(words: &[&'w str]) -> Option<Wanted<'w>> {
    let mut wanted = Wanted {
        runs: RUNS,
        keep: false,
        names: Vec::new(),
    };
    let mut words = words.iter();
    while let Some(&word) = words.next() {
        match word {
            "--runs" => wanted.runs = count(words.next()?)?,
            "--keep" => wanted.keep = true,
            _ if word.starts_with('-') => return None,
            name => wanted.names.push(name),
        }
    }
    Some(wanted)
}

/// `500`, `20k`, `10m`.
fn count(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(['k', 'm']);
    let unit = match text.get(digits.len()..)? {
        "" => 1,
        "k" => 1000,
        "m" => 1_000_000,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(unit)
}

/// In a directory of its own: with other flags everything is built anew. A target is named, so that what runs while building is built without them.
fn build(root: &Path) -> Option<PathBuf> {
    let directory = root.join("target/fuzz");
    let words = ["build", "--release", "--locked", "-p", "heapshim-fuzz"];
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(root).args(words);
    cargo.args([
        "--features",
        "libfuzzer",
        "--bin",
        "fuzz",
        "--target",
        TARGET,
    ]);
    cargo
        .arg("--target-dir")
        .arg(&directory)
        .env("RUSTFLAGS", FLAGS);
    let done = cargo.status().is_ok_and(|status| status.success());
    done.then(|| directory.join(TARGET).join("release/fuzz"))
}

/// The targets that the fuzzer has, as it says when it is asked for none.
fn names(fuzzer: &Path) -> Vec<String> {
    let output = Command::new(fuzzer).env("HEAPSHIM_FUZZ", "").output();
    let text = output.map(|output| output.stdout).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    text.lines().map(str::to_owned).collect()
}

fn one(root: &Path, fuzzer: &Path, name: &str, wanted: &Wanted<'_>) -> bool {
    let kept = root.join("fuzz/corpus").join(name);
    let (found, seeds) = (place(root, name, "found"), place(root, name, "seeds"));
    let made = [&kept, &found, &seeds].map(fs::create_dir_all);
    if made.iter().any(Result::is_err) {
        return false;
    }
    let fuzzer = || {
        let mut command = Command::new(fuzzer);
        command.current_dir(root).env("HEAPSHIM_FUZZ", name);
        command.env("HEAPSHIM_FUZZ_SEEDS", &seeds).arg(LONGEST);
        command
    };
    let mut run = fuzzer();
    run.args([&found, &kept, &seeds]);
    run.arg(format!("-runs={}", wanted.runs));
    run.arg(format!("-artifact_prefix={}/find-", kept.display()));
    run.args(["-print_final_stats=1", "-verbosity=0", "-rss_limit_mb=4096"]);
    let output = run.stdout(Stdio::inherit()).output();
    let Ok(output) = output else {
        return false;
    };
    let said = String::from_utf8_lossy(&output.stderr);
    let executed = said
        .lines()
        .find_map(|line| line.strip_prefix("stat::number_of_executed_units:"));
    println!("{name}: {} executions", executed.unwrap_or("no").trim());
    if !output.status.success() {
        eprintln!("{said}");
        return false;
    }
    !wanted.keep || {
        let mut merge = fuzzer();
        merge
            .args(["-merge=1", "-verbosity=0"])
            .args([&kept, &found, &seeds]);
        merge.output().is_ok_and(|output| output.status.success())
    }
}

fn place(root: &Path, name: &str, what: &str) -> PathBuf {
    root.join("target/fuzz/inputs").join(name).join(what)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Check the words, and what is none.
    #[test]
    fn words() {
        let wanted = wanted(&["--runs", "20k", "rules", "--keep"]).expect("sound");
        assert_eq!((wanted.runs, wanted.keep), (20_000, true));
        assert_eq!(wanted.names, ["rules"]);
        assert!(super::wanted(&["--runs"]).is_none() && super::wanted(&["--fast"]).is_none());
        assert_eq!(
            (count("10m"), count("7"), count("m")),
            (Some(10_000_000), Some(7), None)
        );
    }
}
