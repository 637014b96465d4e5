//! The soak: a program of Debian does real work bare, under the counting preload and under `heapshim run`, and nobody can tell.
//!
//! Each program is a shell script in `soak/`, whose head says what it is chosen for:
//! ```text
//! # nginx: a master and two workers that have dropped root serve files over a Unix socket
//! # for: prefork, drops root, closes descriptors
//! # needs: nginx curl
//! # program: nginx
//! # within 2%: how many events a worker wakes for depends on timing
//! ```
//! It works in the directory `$1`, and prints what must be the same each time; what is said on stderr must be, too, but for numbers and order. `within` is only there where the bare program does not
//! do the same each time; `nested` and `truncated` say why more than one event in a thousand may be so, `uncounted` why the counter cannot tell.

use crate::count::{Counts, OBJECTS_LEFT_OUT, counted};
use crate::needs::found;
use crate::place::{fresh_directory, short_name, workspace};
use crate::run::{Run, bare};
use heapshim_cli::model::{Losses, Snapshot};
use heapshim_cli::store::read_file;
use std::ffi::OsString;
use std::fs;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How far the events may differ where a script does not say otherwise: a thousandth.
const USUAL: f64 = 0.001;

/// One program.
#[derive(Clone, Debug, Default)]
pub struct Soak {
    /// Its name: that of its script.
    pub name: String,
    /// What it does here.
    pub what: String,
    /// What it was chosen for.
    pub properties: String,
    /// What must be installed.
    pub needs: Vec<String>,
    /// Base name of the executable whose events are compared.
    program: String,
    /// How far they may differ, as a share, and why.
    within: Option<(f64, String)>,
    /// Why more than one event in a thousand is nested.
    nested: Option<String>,
    /// Why the counting preload cannot tell.
    uncounted: Option<String>,
    /// Why more than one stack in a thousand is cut.
    truncated: Option<String>,
    script: PathBuf,
}

/// What a soak came to.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Processes of the program.
    pub processes: usize,
    /// Its events as the counting preload has them.
    pub counted: i64,
    /// Its events as the account has them.
    pub traced: i64,
    /// What the account says that it lacks.
    pub losses: Losses,
    /// What differed that must not: empty where nothing did.
    pub problems: Vec<String>,
}

/// Every program of the soak, by name.
///
/// # Panics
/// Where a script's head is not what this file says.
#[must_use]
pub fn soaks() -> Vec<Soak> {
    let entries = fs::read_dir(workspace().join("tests/soak")).expect("tests/soak");
    let scripts = entries.flatten().map(|entry| entry.path());
    let scripts = scripts.filter(|path| path.extension().is_some_and(|end| end == "sh"));
    let mut all: Vec<Soak> = scripts.map(|path| Soak::read(&path)).collect();
    all.sort_by(|one, other| one.name.cmp(&other.name));
    all
}

impl Soak {
    fn read(script: &Path) -> Soak {
        let text = fs::read_to_string(script).expect("a script");
        let name = script.file_stem().expect("a name").to_string_lossy();
        let mut soak = Soak {
            name: name.clone().into_owned(),
            script: script.to_path_buf(),
            ..Soak::default()
        };
        let head = text.lines().map_while(|line| line.strip_prefix("# "));
        for line in head {
            let (key, value) = line.split_once(": ").expect("KEY: VALUE");
            soak.note(key, value);
        }
        assert!(!soak.what.is_empty() && !soak.program.is_empty(), "{name}");
        soak
    }

    fn note(&mut self, key: &str, value: &str) {
        let text = value.to_owned();
        match key {
            "for" => self.properties = text,
            "needs" => self.needs = value.split(' ').map(str::to_owned).collect(),
            "program" => self.program = text,
            "nested" => self.nested = Some(text),
            "truncated" => self.truncated = Some(text),
            "uncounted" => self.uncounted = Some(text),
            key if key == self.name => self.what = text,
            key => {
                let percent = key
                    .strip_prefix("within ")
                    .and_then(|rest| rest.strip_suffix('%'));
                let percent = percent.and_then(|number| number.parse::<f64>().ok());
                self.within = Some((percent.expect("a key of this file") / 100.0, text));
            }
        }
    }

    /// What of it is not installed.
    #[must_use]
    pub fn missing(&self) -> Option<&str> {
        let mut needs = self.needs.iter().map(String::as_str);
        needs.find(|program| found(program).is_none() && !Path::new(program).exists())
    }

    /// Why its figures are not within the usual, where they need not be.
    #[must_use]
    pub fn explained(&self) -> Vec<String> {
        let within = self.within.iter();
        let within = within.map(|(share, why)| format!("events within {}%: {why}", share * 100.0));
        let nested = self.nested.iter().map(|why| format!("nested: {why}"));
        let truncated = self
            .truncated
            .iter()
            .map(|why| format!("cut stacks: {why}"));
        let uncounted = self.uncounted.iter();
        let uncounted = uncounted.map(|why| format!("not compared: {why}"));
        within
            .chain(nested)
            .chain(truncated)
            .chain(uncounted)
            .collect()
    }

    /// Runs it three times.
    #[must_use]
    pub fn run(&self) -> Outcome {
        let (place, other, third) = (self.place(), self.place(), self.place());
        let plain = bare(&self.words(&place), b"");
        let counts = counted(&self.words(&other), b"");
        let traced = Run::new(&self.words(&third))
            .quiet()
            .fixed_layout()
            .env("COUNT_DIR", fresh_directory("count"))
            .env(OBJECTS_LEFT_OUT.0, OBJECTS_LEFT_OUT.1)
            .finish();
        let mut outcome = self.account(&counts, &traced.marks);
        outcome.compare("exit status", &plain.0.code(), &traced.status.code());
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        outcome.compare("output", &text(&plain.1), &text(&traced.stdout));
        let (alone, watched) = (said(&plain.2, &place), said(&traced.stderr, &third));
        outcome.compare("stderr", &alone, &watched);
        outcome.compare("files left behind", &listing(&place), &listing(&third));
        let (alone, watched) = left_behind(&place, &third);
        outcome.compare("processes left behind", &alone, &watched);
        if !plain.0.success() {
            let said = format!(
                "fails without the shim: {}{}",
                text(&plain.1),
                text(&plain.2)
            );
            outcome.problems.push(said);
        }
        self.judge(&mut outcome);
        outcome
    }

    /// A directory to work in, by a name that leaves room for its sockets'.
    fn place(&self) -> PathBuf {
        short_name(&fresh_directory(&format!("soak-{}", self.name)))
    }

    fn words(&self, place: &Path) -> Vec<OsString> {
        let shell = found("sh").expect("a shell");
        vec![shell.into(), self.script.clone().into(), place.into()]
    }

    fn account(&self, counts: &[Counts], marks: &[PathBuf]) -> Outcome {
        let mut outcome = Outcome::default();
        let is_its = |exe: &str| {
            Path::new(exe)
                .file_name()
                .is_some_and(|name| *name == *self.program)
        };
        let counted = counts.iter().filter(|one| is_its(&one.exe));
        outcome.counted = counted.map(|one| one.allocations + one.frees).sum();
        for mark in marks {
            let snapshot = read_file(mark).expect("a mark").snapshot;
            if is_its(&snapshot.process.exe) {
                outcome.add(&snapshot);
            }
        }
        outcome
    }

    fn judge(&self, outcome: &mut Outcome) {
        let within = self.within.as_ref().map_or(USUAL, |(share, _)| *share);
        let off = share(outcome.traced - outcome.counted, outcome.counted);
        if self.uncounted.is_none() && (outcome.counted == 0 || off.abs() > within) {
            let (traced, counted) = (outcome.traced, outcome.counted);
            let problem = format!("events: {traced} traced, {counted} counted");
            outcome.problems.push(problem);
        }
        let losses = outcome.losses;
        let kinds = [
            ("nested", losses.nested_events, &self.nested),
            ("cut stacks", losses.truncated_stacks, &self.truncated),
            ("overflown", losses.overflow_events, &None),
            ("untracked", losses.untracked_blocks, &None),
        ];
        for (kind, count, why) in kinds {
            let count = i64::try_from(count).unwrap_or(i64::MAX);
            if why.is_none() && share(count, outcome.traced) > USUAL {
                outcome
                    .problems
                    .push(format!("{kind}: {count} of {}", outcome.traced));
            }
        }
    }
}

impl Outcome {
    fn add(&mut self, snapshot: &Snapshot) {
        self.processes += 1;
        let events = snapshot.sites.iter().map(|site| site.counters);
        let events = events
            .map(|count| count.allocated_blocks + count.freed_blocks)
            .sum::<u64>();
        let losses = snapshot.losses;
        let all = events + losses.untracked_blocks;
        self.traced += i64::try_from(all).unwrap_or(i64::MAX);
        self.losses.nested_events += losses.nested_events;
        self.losses.truncated_stacks += losses.truncated_stacks;
        self.losses.overflow_events += losses.overflow_events;
        self.losses.untracked_blocks += losses.untracked_blocks;
        self.losses.foreign_frees += losses.foreign_frees;
    }

    fn compare<T: PartialEq + std::fmt::Debug>(&mut self, what: &str, bare: &T, traced: &T) {
        if bare != traced {
            let problem = format!("{what}: bare {bare:?}, traced {traced:?}");
            self.problems.push(problem);
        }
    }
}

/// One number as a share of another.
#[allow(clippy::cast_precision_loss, reason = "a share of counts below 2^52")]
fn share(part: i64, whole: i64) -> f64 {
    part as f64 / (whole.max(1)) as f64
}

/// The lines of a program's stderr, as they are each time: without their order, since processes speak at once, without numbers (times, processes), and
/// without the name of the directory that it works in, and without what the shell says of servers that its script has ended: when it looks at them depends on time.
fn said(stderr: &[u8], place: &Path) -> Vec<String> {
    let text = String::from_utf8_lossy(stderr);
    let real = fs::canonicalize(place).expect("a directory");
    let hidden = |text: String, name: &Path| text.replace(&*name.to_string_lossy(), "PLACE");
    let text = hidden(hidden(text.into_owned(), place), &real);
    let parts = |line: &str| {
        let parts: Vec<&str> = line.split(|c: char| c.is_ascii_digit()).collect();
        parts.join("")
    };
    let lines = text.lines().filter(|line| *line != "Terminated");
    let mut lines: Vec<String> = lines.map(parts).collect();
    lines.sort();
    lines
}

/// How long a process that only one of two runs has left is waited for: one that is about to end has ended by then.
const ENDING: Duration = Duration::from_secs(60);

/// The names of the processes that each of two runs has left behind. While these differ, one may be about to end: the next end of any is waited for.
fn left_behind(place: &Path, other: &Path) -> (Vec<String>, Vec<String>) {
    let until = Instant::now() + ENDING;
    loop {
        let (one, two) = (still_running(place), still_running(other));
        let names = [&one, &two].map(|left| left.iter().map(|(name, _)| name.clone()).collect());
        let all = one.iter().chain(&two);
        if names[0] == names[1] || !wait_for_an_end(all.map(|(_, pid)| *pid), until) {
            let [alone, watched] = names;
            return (alone, watched);
        }
    }
}

/// Waits until one of these processes has ended; false where none has by then.
fn wait_for_an_end(pids: impl Iterator<Item = i32>, until: Instant) -> bool {
    // One that has just ended has no descriptor: that is an end.
    let Some(ends) = pids.map(descriptor).collect::<Option<Vec<OwnedFd>>>() else {
        return true;
    };
    let poll = |end: &OwnedFd| libc::pollfd {
        fd: end.as_raw_fd(),
        events: libc::POLLIN,
        revents: 0,
    };
    let mut polls: Vec<libc::pollfd> = ends.iter().map(poll).collect();
    let left = until.saturating_duration_since(Instant::now()).as_millis();
    let (count, left) = (
        polls.len() as libc::nfds_t,
        i32::try_from(left).unwrap_or(0),
    );
    // SAFETY: so many entries are there, and their descriptors are open.
    unsafe { libc::poll(polls.as_mut_ptr(), count, left) > 0 }
}

/// A process that cannot become another meanwhile.
fn descriptor(pid: i32) -> Option<OwnedFd> {
    // SAFETY: a number and no flags; it returns a descriptor or an error.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    let fd = i32::try_from(fd).ok().filter(|fd| *fd >= 0)?;
    // SAFETY: the kernel has just given it to us alone.
    Some(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// The processes that work in this directory or below, or were told of it: names and pids, by name.
fn still_running(place: &Path) -> Vec<(String, i32)> {
    let real = fs::canonicalize(place).expect("a directory");
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let paths = processes.map(|process| process.path());
    let told = |process: &PathBuf| {
        let words = fs::read(process.join("cmdline")).unwrap_or_default();
        let says = |name: &[u8]| words.windows(name.len()).any(|part| part == name);
        [place, &real]
            .map(|name| name.as_os_str().as_encoded_bytes())
            .into_iter()
            .any(says)
    };
    let there = |process: &PathBuf| {
        let directory = fs::read_link(process.join("cwd"));
        directory.is_ok_and(|directory| directory.starts_with(&real))
    };
    let left = paths.filter(|process| told(process) || there(process));
    let named = |process: PathBuf| {
        let pid = process.file_name()?.to_str()?.parse().ok()?;
        Some((fs::read_to_string(process.join("comm")).ok()?, pid))
    };
    let mut left: Vec<(String, i32)> = left.filter_map(named).collect();
    left.sort();
    left
}

/// The names of all files below a directory.
fn listing(directory: &Path) -> Vec<String> {
    let mut names = Vec::new();
    let mut below = vec![directory.to_path_buf()];
    while let Some(next) = below.pop() {
        for entry in fs::read_dir(&next).into_iter().flatten().flatten() {
            let path = entry.path();
            let name = path.strip_prefix(directory).expect("below it");
            names.push(name.to_string_lossy().into_owned());
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                below.push(path);
            }
        }
    }
    names.sort();
    names
}
