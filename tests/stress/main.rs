//! `cargo xtask stress [--for 1h] [--from SEED]`: seed after seed of the randomized stress, until the time is over or one fails.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program for people"
)]

use heapshim_tests::stress;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// What one seed does: some seconds' worth.
const WAVES: u32 = 12;
const ROUNDS: u32 = 600;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let after = |name: &str| {
        let at = words.iter().position(|word| word == name)?;
        words.get(at + 1).map(String::as_str)
    };
    let Some(time) = after("--for").map_or(Some(Duration::from_secs(60)), period) else {
        eprintln!("usage: cargo xtask stress [--for 30s|5m|1h] [--from SEED]");
        return ExitCode::from(2);
    };
    let first = after("--from")
        .and_then(|seed| seed.parse().ok())
        .unwrap_or(1);
    let begun = Instant::now();
    for seed in first.. {
        match stress(seed, WAVES, ROUNDS) {
            Ok(line) => println!("{line}"),
            Err(problem) => {
                eprintln!("{problem}");
                return ExitCode::FAILURE;
            }
        }
        if begun.elapsed() >= time {
            println!("{} seeds, no difference", seed - first + 1);
            break;
        }
    }
    ExitCode::SUCCESS
}

fn period(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_at(text.len().checked_sub(1)?);
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return None,
    };
    number
        .parse::<u64>()
        .ok()
        .map(|count| Duration::from_secs(count * seconds))
}
