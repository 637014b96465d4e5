//! `repeat-recording FILE N TO`: what FILE has, N times one after the other, in TO; then whether it comes to that. `cargo xtask bench-trace --times` calls it.
//!
//! Checked by the sums alone: what was allocated and freed is N times as much, block by block, and what was alive before is the same. That events say
//! what sums do is `recordings::repeated`'s, of a recording that is short.

#![allow(
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a program for people"
)]

use heapshim_cli::error::{Error, Kind};
use heapshim_cli::trace::{self, Step, Trace};
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [from, times, to] = &words[..] else {
        eprintln!("usage: repeat-recording FILE N TO");
        return ExitCode::from(2);
    };
    let repeated = match times.parse() {
        Ok(times) => repeat(Path::new(from), times, Path::new(to)),
        Err(_) => Err(Error::new(Kind::Usage, times, "no number")),
    };
    match repeated {
        Ok(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("repeat-recording: {error}");
            ExitCode::FAILURE
        }
    }
}

fn repeat(from: &Path, times: u32, to: &Path) -> Result<String, Error> {
    trace::repeat(from, times, to)?;
    let (one, all) = (whole(from)?, whole(to)?);
    let alive_before = |step: &Step| step.live_bytes - step.moved.live_bytes();
    let said = |step: &Step| {
        let moved = step.moved;
        [
            moved.allocated_bytes,
            moved.allocated_blocks,
            moved.freed_bytes,
            moved.freed_blocks,
        ]
    };
    let expected = said(&one).map(|count| count * u64::from(times));
    if said(&all) != expected || alive_before(&all) != alive_before(&one) {
        let problem = format!("{:?} are not {times} times {:?}", said(&all), said(&one));
        return Err(Error::new(Kind::Damaged, to.display(), problem));
    }
    let [bytes, allocated, _, freed] = expected;
    let events = allocated + freed;
    Ok(format!(
        "{times} times over: {events} events, {bytes} bytes allocated, as in one"
    ))
}

/// All of a recording as one step.
fn whole(file: &Path) -> Result<Step, Error> {
    let steps = trace::timeline(&mut Trace::open(file)?, 1)?;
    Ok(steps.first().copied().unwrap_or_default())
}
