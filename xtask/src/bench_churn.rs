//! `cargo xtask bench-churn [--for 20m]`: whether anything that is kept of a process grows with its events.
//!
//! `tests/programs/steady.c` has sixty-four threads at a time that allocate, hand over to one another and free, and are followed by others. After some
//! rounds all its stacks have been met; from then on the ledger must stay as it is, in sites and frames, and to some pages in what it has resident. All else that is
//! ours of the resident memory nears what the threads' caches and the addresses of the target's heap need: of it, the second half of the time is judged. The suite has the same, of a few seconds (`steady.rs`).

use crate::bench_workloads::succeeds;
use crate::own_directory::OwnDirectory;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

const PROGRAM: &str = "tests/programs/steady.c";
/// How long, unless told otherwise.
const MINUTES: &str = "20m";
/// Rounds after which all its stacks have been met.
const WARM: u64 = 20;
/// Looks after that.
const LOOKS: u32 = 20;
/// The ledger's `lens`, by docs/LEDGER.md: frames, sites.
const LENS: u64 = 128;
/// Pages of the ledger that are first written later: a slot's counters, or entries of threads, if more threads than ever meet in hooks or at their end.
const SLOTS: i64 = 20 * 4096;
/// By how many bytes our own memory may grow in the second half.
const OWN: i64 = 512 << 10;

/// Runs it.
pub(crate) fn run(root: &Path, words: &[&str]) -> ExitCode {
    let time = match words {
        [] => duration(MINUTES),
        ["--for", time] => duration(time),
        _ => None,
    };
    let Some(time) = time else {
        eprintln!("usage: cargo xtask bench-churn [--for 20m]");
        return ExitCode::from(2);
    };
    let looks = OwnDirectory::new(&std::env::temp_dir(), "bench-churn")
        .ok()
        .and_then(|place| Target::start(root, place.path())?.looks(time));
    let Some([warm, middle, end]) = looks else {
        eprintln!("bench-churn: the program or the command does not build, or fails");
        return ExitCode::FAILURE;
    };
    let complaints = grown(&warm, &middle, &end);
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
#[derive(Clone, Debug)]
struct Look {
    /// Of the ledger.
    bytes: i64,
    frames: u32,
    sites: u32,
    /// Ours of what is resident, the ledger's pages among it.
    own: i64,
}

/// What is more than it was when all stacks had been met, and at half time.
fn grown(warm: &Look, middle: &Look, end: &Look) -> Vec<String> {
    let mut complaints = Vec::new();
    let ids = |look: &Look| (look.frames, look.sites);
    if ids(warm) != ids(end) || end.bytes > warm.bytes + SLOTS {
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

/// The program, and who looks at it.
struct Target {
    heapshim: PathBuf,
    place: PathBuf,
    child: Child,
    said: BufReader<ChildStdout>,
}

impl Target {
    /// Builds and starts it.
    fn start(root: &Path, place: &Path) -> Option<Target> {
        let (heapshim, library) = (
            crate::bench_symbols::heapshim(root)?,
            crate::bench::library(root)?,
        );
        let program = place.join("steady");
        let mut compiler = Command::new("gcc");
        compiler.args(["-O2", "-g", "-pthread", "-o"]).arg(&program);
        succeeds(compiler.arg(root.join(PROGRAM))).then_some(())?;
        let mut command = Command::new(program);
        command.env("LD_PRELOAD", library).stdin(Stdio::piped());
        let mut child = command.stdout(Stdio::piped()).spawn().ok()?;
        let said = BufReader::new(child.stdout.take()?);
        let place = place.to_path_buf();
        let mut target = Target {
            heapshim,
            place,
            child,
            said,
        };
        target.listen("ready")?;
        Some(target)
    }

    /// Prints each look; gives the one when all stacks had been met, that at half time, and the last.
    fn looks(&mut self, time: Duration) -> Option<[Look; 3]> {
        println!(
            "| minutes | rounds | ledger, KiB | frames | sites | ours, KiB |\n|{}",
            " ---: |".repeat(6)
        );
        let begun = Instant::now();
        let mut rounds = WARM;
        (0..WARM).try_for_each(|_| self.round())?;
        let warm = self.look()?;
        tell(begun, rounds, &warm);
        let (mut middle, mut last) = (warm.clone(), warm.clone());
        for look in 1..=LOOKS {
            while begun.elapsed() < time * look / LOOKS {
                self.round()?;
                rounds += 1;
            }
            last = self.look()?;
            tell(begun, rounds, &last);
            if look == LOOKS / 2 {
                middle = last.clone();
            }
        }
        Some([warm, middle, last])
    }

    fn round(&mut self) -> Option<()> {
        self.child.stdin.as_mut()?.write_all(b"go\n").ok()?;
        self.listen("done")
    }

    fn listen(&mut self, word: &str) -> Option<()> {
        let mut line = String::new();
        self.said.read_line(&mut line).ok()?;
        (line.trim_end() == word).then_some(())
    }

    fn look(&self) -> Option<Look> {
        let pid = self.child.id();
        let entries = fs::read_dir(format!("/proc/{pid}/fd")).ok()?.flatten();
        let is_ledger = |path: &PathBuf| {
            let link = fs::read_link(path).unwrap_or_default();
            link.to_string_lossy().contains("memfd:heapshim-ledger")
        };
        let ledger = entries.map(|entry| entry.path()).find(is_ledger)?;
        let file = File::open(ledger).ok()?;
        let mut lens = [0; 8];
        file.read_exact_at(&mut lens, LENS).ok()?;
        let (frames, sites) = lens.split_at(4);
        let number = |bytes: &[u8]| Some(u32::from_ne_bytes(bytes.try_into().ok()?));
        let told = self.told(pid)?;
        Some(Look {
            bytes: i64::try_from(file.metadata().ok()?.blocks() * 512).ok()?,
            frames: number(frames)?,
            sites: number(sites)?,
            own: part(&told, "heapshim")?,
        })
    }

    /// What the command says of now.
    fn told(&self, pid: u32) -> Option<String> {
        let mut command = Command::new(&self.heapshim);
        command.env("XDG_STATE_HOME", &self.place);
        command.args([
            "diff",
            "start",
            "-p",
            &pid.to_string(),
            "--by",
            "module",
            "--format",
            "json",
        ]);
        let output = command.output().ok()?;
        output
            .status
            .success()
            .then(|| String::from_utf8(output.stdout).ok())?
    }
}

/// Its input ends, and so does it.
impl Drop for Target {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ended = self.child.wait();
    }
}

/// A part of what is resident, at the end that is called `to`.
fn part(told: &str, name: &str) -> Option<i64> {
    let to = told.split("\n \"to\": ").nth(1)?.lines().next()?;
    let number = to.split(&format!("\"{name}\": ")).nth(1)?;
    number.split([',', '}']).next()?.parse().ok()
}

fn tell(begun: Instant, rounds: u64, look: &Look) {
    println!(
        "| {:.1} | {rounds} | {} | {} | {} | {} |",
        begun.elapsed().as_secs_f64() / 60.0,
        look.bytes >> 10,
        look.frames,
        look.sites,
        look.own >> 10
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    const WARM: Look = Look {
        bytes: 4096,
        frames: 10,
        sites: 5,
        own: 1 << 20,
    };

    /// Check that a site more is seen, and that our tables may grow before half time, and not after.
    #[test]
    fn what_has_grown() {
        let more = Look {
            own: WARM.own + 10 * OWN,
            ..WARM
        };
        assert_eq!(grown(&WARM, &WARM, &WARM), [""; 0]);
        assert_eq!(grown(&WARM, &WARM, &Look { sites: 6, ..WARM }).len(), 1);
        assert_eq!(grown(&WARM, &WARM, &more).len(), 1);
        assert_eq!(grown(&WARM, &more, &more), [""; 0]);
    }

    /// Check that a part of the later end is read, not one of the earlier.
    #[test]
    fn a_part_of_what_is_resident() {
        let told = "{\n \"from\": {\"rss\": {\"heapshim\": 1}},\n \"to\": {\"rss\": {\"bytes\": 9, \"heapshim\": 7}},\n}";
        assert_eq!(part(told, "heapshim"), Some(7));
        assert_eq!(part(told, "heap"), None);
    }
}
