//! `cargo xtask bench-churn [--for 20m]`: whether anything that is kept of a process grows with its events.
//!
//! `programs/steady.c` has sixty-four threads at a time that allocate, hand over to one another and free, and are followed by others. After some
//! rounds all its stacks have been met; from then on the ledger must stay as it is, in sites and frames, and to some pages in what it has resident. All else that is
//! ours of the resident memory nears what the threads' caches and the addresses of the target's heap need: of it, the second half of the time is judged. The suite has the same, of a few seconds (`steady.rs`).

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program for people"
)]

use heapshim_tests::{LedgerSize, Running, Target};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// How long, unless told otherwise.
const MINUTES: &str = "20m";
/// Rounds after which all its stacks have been met.
const WARM: u64 = 20;
/// Looks after that.
const LOOKS: u32 = 20;
/// By how many bytes our own memory may grow in the second half.
const OWN: i64 = 512 << 10;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let time = match words[..] {
        [] => duration(MINUTES),
        ["--for", time] => duration(time),
        _ => None,
    };
    let Some(time) = time else {
        eprintln!("usage: cargo xtask bench-churn [--for 20m]");
        return ExitCode::from(2);
    };
    let complaints = grown(&looks(time));
    for complaint in &complaints {
        eprintln!("{complaint}");
    }
    ExitCode::from(u8::from(!complaints.is_empty()))
}

/// `20m`, `30s`, `1h`.
fn duration(text: &str) -> Option<Duration> {
    let unit = match text.chars().last()? {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        _ => return None,
    };
    let number: u64 = text[..text.len() - 1].parse().ok()?;
    Some(Duration::from_secs(number.checked_mul(unit)?))
}

/// What is kept, at one moment.
#[derive(Clone, Copy, Debug)]
struct Look {
    ledger: LedgerSize,
    /// Ours of what is resident, the ledger's pages among it.
    own: i64,
}

impl Look {
    fn at(running: &Running) -> Look {
        let diff = running.diff_with(&["start", "now"], &["--by", "module", "--no-stacks"]);
        let own = diff.json()["to"]["rss"]["heapshim"].as_i64();
        Look {
            ledger: LedgerSize::of(running.pid()),
            own: own.expect("what is ours"),
        }
    }
}

/// Three looks: when all stacks had been met, at half time, and at the end.
struct Looks {
    warm: Look,
    middle: Look,
    end: Look,
}

/// What is more than it was.
fn grown(looks: &Looks) -> Vec<String> {
    let Looks { warm, middle, end } = looks;
    let mut complaints = Vec::new();
    if warm.ledger.has_grown_to(&end.ledger) {
        complaints.push(format!("the ledger has grown: {warm:?} → {end:?}"));
    }
    let more = end.own - middle.own;
    if more > OWN {
        complaints.push(format!(
            "our own memory has grown by {more} bytes since half time"
        ));
    }
    complaints
}

/// Prints each look.
fn looks(time: Duration) -> Looks {
    let mut running = Target::c("steady.c").opt("-O2").spawn();
    println!(
        "| minutes | rounds | ledger, KiB | frames | sites | ours, KiB |\n|{}",
        " ---: |".repeat(6)
    );
    let begun = Instant::now();
    let mut rounds = WARM;
    (0..WARM).for_each(|_| round(&mut running));
    let warm = Look::at(&running);
    tell(begun, rounds, &warm);
    let (mut middle, mut end) = (warm, warm);
    for look in 1..=LOOKS {
        while begun.elapsed() < time * look / LOOKS {
            round(&mut running);
            rounds += 1;
        }
        end = Look::at(&running);
        tell(begun, rounds, &end);
        if look == LOOKS / 2 {
            middle = end;
        }
    }
    Looks { warm, middle, end }
}

fn round(running: &mut Running) {
    assert_eq!(running.step(b"go"), "done");
}

fn tell(begun: Instant, rounds: u64, look: &Look) {
    println!(
        "| {:.1} | {rounds} | {} | {} | {} | {} |",
        begun.elapsed().as_secs_f64() / 60.0,
        look.ledger.bytes >> 10,
        look.ledger.frames,
        look.ledger.sites,
        look.own >> 10
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Check that a site more is seen, and that our tables may grow before half time, and not after.
    #[test]
    fn what_has_grown() {
        let ledger = LedgerSize {
            bytes: 4096,
            frames: 10,
            sites: 5,
        };
        let own = 1 << 20;
        let warm = Look { ledger, own };
        let more = Look {
            own: own + 10 * OWN,
            ..warm
        };
        let one_more = LedgerSize { sites: 6, ..ledger };
        let met = Look {
            ledger: one_more,
            own,
        };
        let complaints = |middle, end| grown(&Looks { warm, middle, end }).len();
        assert_eq!(complaints(warm, warm), 0);
        assert_eq!(complaints(warm, met), 1);
        assert_eq!(complaints(warm, more), 1);
        assert_eq!(complaints(more, more), 0);
    }
}
