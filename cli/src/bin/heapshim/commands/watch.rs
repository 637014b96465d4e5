//! `heapshim watch`: snapshots of a running process, and what each line does over time.

use super::lines;
use super::output::{self, say};
use super::stop::{Asked, Woken};
use crate::args::{ListFormat, Watch as Args};
use heapshim_cli::blame::Mode;
use heapshim_cli::catalog::Catalog;
use heapshim_cli::error::Error;
use heapshim_cli::mark::Mark;
use heapshim_cli::process::Alive;
use heapshim_cli::render::signed_size;
use heapshim_cli::series::{Looks, Series, Unit, json, text};
use heapshim_cli::subject::{Readers, Subject};
use std::env;
use std::time::{Duration, Instant};

/// How long it watches where nothing is said.
const FOR: Duration = Duration::from_secs(600);

/// Watches and prints what came out; also where the process ends before, or somebody asks for it.
pub(crate) fn run(args: &Args) -> Result<(), Error> {
    let asked = Asked::by_signals()?;
    let asked = if args.wait {
        asked.or_by_lines()
    } else {
        asked
    };
    let catalog = Catalog::of(args.target.target.as_deref())?;
    let first = catalog.look("first")?;
    let pid = first.snapshot.process.pid;
    let target = Alive::of(pid);
    let mut series = Series::new(0.0);
    let options = lines::options(&args.lines, Mode::App);
    // Of all snapshots: a symbolizer of its own would read the same debug files for each.
    let mut readers = Readers::new(lines::places(&args.lines, false), &catalog.origin());
    let begun = Instant::now();
    say_taken(args, 1, 0);
    for number in 1_u32.. {
        if !is_next(args, begun, &asked) {
            break;
        }
        if target.has_ended() {
            say(&format!("pid {pid}: it has ended"));
            break;
        }
        let mark = catalog.look("now")?;
        let time = time(args, number, &first, &mark);
        let subject = Subject::new(Some(&first), &mark, catalog.origin());
        series.add(time, &subject.report_with(&mut readers, &options));
        say_taken(args, number + 1, series.growth().bytes);
    }
    let dir = env::current_dir().ok();
    let looks = Looks {
        unit: if args.wait { Unit::Step } else { Unit::Hour },
        per: args.per.clone(),
        top: args.top,
        current_dir: dir.as_deref(),
    };
    let process = &first.snapshot.process;
    let name = format!("{} (pid {})", process.name, process.pid);
    let text = match args.format {
        ListFormat::Table => text(&series, &name, &looks),
        ListFormat::Json => json(&series, process, &looks),
    };
    output::write(text.as_bytes(), args.output.as_deref())
}

/// Waits for the next snapshot's time; false where there is to be none.
fn is_next(args: &Args, begun: Instant, asked: &Asked) -> bool {
    if args.wait {
        return asked.wait(Duration::MAX) == Woken::Entered;
    }
    let left = args.period.unwrap_or(FOR).saturating_sub(begun.elapsed());
    !left.is_zero() && asked.wait(args.every.min(left)) == Woken::Time
}

/// Hours since the first snapshot, by the marks' own clocks; where the user says when, the number of the step.
fn time(args: &Args, number: u32, first: &Mark, mark: &Mark) -> f64 {
    if args.wait {
        return f64::from(number);
    }
    let (from, to) = (&first.snapshot.moment, &mark.snapshot.moment);
    Duration::from_nanos(to.unix_ns.saturating_sub(from.unix_ns)).as_secs_f64() / 3600.0
}

fn say_taken(args: &Args, number: u32, growth: i64) {
    let next = match number {
        _ if args.wait => "; press Enter for the next, Ctrl-D to end",
        1 => "; Ctrl-C ends it, and prints what was seen",
        _ => "",
    };
    say(&format!(
        "snapshot {number}: heap {}{next}",
        signed_size(growth)
    ));
}
