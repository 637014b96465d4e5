//! `heapshim record`: every event of a running process, in a file. Also what `run --record` says of one.

use super::lines;
use super::output::say;
use super::stop::Asked;
use crate::args::Record as Args;
use heapshim_cli::error::{Error, Kind};
use heapshim_cli::process::Alive;
use heapshim_cli::render::{self, escape, grouped};
use heapshim_cli::session;
use heapshim_cli::trace::{EXTENSION, Ended, Options, Recorder, Summary};
use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::time::{Duration, Instant};

/// Between two progress lines.
const EVERY: Duration = Duration::from_secs(1);

/// Records until the time is over, the process ends, or a signal comes; whatever ends it, the file is whole.
pub(crate) fn run(args: &Args) -> Result<(), Error> {
    check_name(&args.output)?;
    let session = session::resolve(args.target.target.as_deref())?;
    let pid = session.pid();
    let target = Alive::of(pid);
    let options = Options {
        lossless: args.lossless,
        free_stacks: args.free_stacks,
        bundle: lines::bundle(&args.bundle),
    };
    let asked = Asked::by_signals()?;
    let mut recorder = Recorder::attach(session, &args.output, options)?;
    let name = escape(&recorder.process().name);
    say(&format!("recording {name} (pid {pid}); Ctrl-C ends it"));
    let (begun, mut progress) = (Instant::now(), Progress::new());
    let over = || args.period.is_some_and(|period| begun.elapsed() >= period);
    let mut how = Ended::Left;
    while !asked.is_stopped() && !over() {
        recorder.step()?;
        let second = progress.tell(&recorder);
        if second {
            recorder.look_at_children()?;
        }
        if target.has_ended() || second && !recorder.is_there() {
            recorder.tell_gone_on()?;
            how = Ended::Exited(None);
            break;
        }
    }
    progress.end();
    recorder.look_at_children()?;
    let summary = recorder.finish(how)?;
    say(&told(&summary, &args.output));
    Ok(())
}

/// Questions know a recording by its name.
pub(crate) fn check_name(path: &Path) -> Result<(), Error> {
    if path
        .extension()
        .is_some_and(|extension| extension == EXTENSION)
    {
        return Ok(());
    }
    let problem = "a recording's name ends in .heaptrace";
    Err(Error::new(Kind::Usage, path.display(), problem))
}

/// One line on what a recording came to.
pub(crate) fn told(summary: &Summary, path: &Path) -> String {
    let lost = match summary.lost {
        0 => "none lost".to_owned(),
        lost => format!("{} LOST (--lossless has the process wait)", count(lost)),
    };
    let (events, size) = (count(summary.events), size(summary.bytes));
    format!(
        "recorded {events} events, {lost}, {size}: {}",
        path.display()
    )
}

fn count(number: u64) -> String {
    grouped(i64::try_from(number).unwrap_or(i64::MAX))
        .trim_start_matches('+')
        .to_owned()
}

fn size(bytes: u64) -> String {
    render::size(i64::try_from(bytes).unwrap_or(i64::MAX))
}

/// One line on a terminal, written over again and again.
struct Progress {
    shown: bool,
    last: Instant,
    events: u64,
}

impl Progress {
    fn new() -> Progress {
        Progress {
            shown: false,
            last: Instant::now(),
            events: 0,
        }
    }

    /// True once a second.
    fn tell(&mut self, recorder: &Recorder) -> bool {
        let passed = self.last.elapsed();
        if passed < EVERY {
            return false;
        }
        let now = recorder.summary();
        if io::stderr().is_terminal() {
            self.show(&now, passed);
        }
        (self.last, self.events) = (Instant::now(), now.events);
        true
    }

    fn show(&mut self, now: &Summary, passed: Duration) {
        let line = format!("\r{}\x1b[K", line(now, self.events, passed));
        // Where nobody listens, nothing is lost.
        let _unheard = io::stderr().lock().write_all(line.as_bytes());
        self.shown = true;
    }

    fn end(&self) {
        if self.shown {
            let _unheard = io::stderr().lock().write_all(b"\r\x1b[K");
        }
    }
}

/// What there is so far; `before`: events that there were, so much time ago.
fn line(now: &Summary, before: u64, passed: Duration) -> String {
    let new = u128::from(now.events.saturating_sub(before));
    let rate = u64::try_from(new * 1000 / passed.as_millis().max(1)).unwrap_or(u64::MAX);
    let (events, rate, lost) = (count(now.events), count(rate), count(now.lost));
    format!(
        "{events} events, {rate}/s, {lost} lost, {}",
        size(now.bytes)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Check events, how many a second, what was lost, and bytes; of a second that was longer, and of no time at all.
    #[test]
    fn progress() {
        let now = Summary {
            events: 1_234_567,
            lost: 1_024,
            bytes: 3 << 20,
            ns: 0,
        };
        let words = |before, ms| line(&now, before, Duration::from_millis(ms));
        assert_eq!(
            words(234_567, 1_250),
            "1,234,567 events, 800,000/s, 1,024 lost, 3.0 MiB"
        );
        assert_eq!(
            words(1_234_567, 0),
            "1,234,567 events, 0/s, 1,024 lost, 3.0 MiB"
        );
    }
}
