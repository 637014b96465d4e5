//! `heapshim watch`: a program whose lines grow, fill up and rise and fall, step by step as the test says, and what is said of each.

use heapshim_tests::{Running, Target, environment, heapshim, hears_hangups, needs};
use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStderr, ChildStdin, Command, Stdio};
use std::time::Instant;

/// Snapshots, the first included.
const SNAPSHOTS: usize = 21;
/// Bytes that watch.c leaks at each step.
const LEAKED: f64 = 200.0;

/// A watch of a program that makes a step when it is told to.
struct Watching {
    /// None once it was told to end.
    running: Option<Running>,
    child: Child,
    input: ChildStdin,
    said: BufReader<ChildStderr>,
    /// Snapshots that were heard of, and the end where it was.
    heard: usize,
}

impl Watching {
    fn begin(words: &[&str]) -> Watching {
        let mut command = Command::new(heapshim());
        hears_hangups(&mut command);
        Watching::of(Target::c("watch.c").spawn(), words, command)
    }

    /// The same by a launcher of the command.
    fn of(running: Running, words: &[&str], mut command: Command) -> Watching {
        let pid = running.pid().to_string();
        command.args(["watch", "-p", &pid]).args(words);
        command.env_clear().envs(environment());
        let pipes = [Stdio::piped(), Stdio::piped(), Stdio::piped()];
        let [stdin, stdout, stderr] = pipes;
        command.stdin(stdin).stdout(stdout).stderr(stderr);
        let mut child = command.spawn().expect("the command starts");
        Watching {
            running: Some(running),
            input: child.stdin.take().expect("a piped stdin"),
            said: BufReader::new(child.stderr.take().expect("a piped stderr")),
            child,
            heard: 0,
        }
    }

    /// Waits until it says that it has taken the next snapshot; false where it takes no more.
    fn taken(&mut self) -> bool {
        let mut line = String::new();
        let read = self.said.read_line(&mut line).expect("its stderr");
        self.heard += 1;
        let next = format!("snapshot {}: ", self.heard);
        assert!(read == 0 || line.starts_with(&next), "{line}");
        read > 0
    }

    fn step(&mut self) {
        let running = self.running.as_mut().expect("it lives");
        assert_eq!(running.step(b"go"), "ready");
    }

    fn enter(&mut self) {
        self.input.write_all(b"\n").expect("it listens");
    }

    fn send(&self, signal: i32) {
        // SAFETY: takes two numbers; the process is our child, and was not waited for.
        let sent = unsafe { libc::kill(self.child.id().cast_signed(), signal) };
        assert_eq!(sent, 0);
    }

    /// What it prints in the end.
    fn end(self) -> String {
        drop(self.input);
        let output = self.child.wait_with_output().expect("its end");
        assert!(output.status.success(), "{:?}", output.status);
        String::from_utf8(output.stdout).expect("UTF-8")
    }
}

/// What `watch` with these words says of the program after twenty steps.
fn watched(words: &[&str]) -> String {
    let mut watching = Watching::begin(&[&["--wait"], words].concat());
    assert!(watching.taken());
    for _ in 1..SNAPSHOTS {
        watching.step();
        watching.enter();
        assert!(watching.taken());
    }
    watching.end()
}

fn objects(text: &str) -> Vec<Value> {
    let lines = text.lines();
    lines
        .map(|line| serde_json::from_str(line).expect("an object"))
        .collect()
}

/// Check that the time that it was given ends it.
#[test]
fn until_its_time() {
    let mut watching = Watching::begin(&["--every", "20ms", "--for", "200ms"]);
    while watching.taken() {}
    assert!(watching.heard >= 2, "one snapshot at least");
    assert!(watching.end().contains(" snapshot"));
}

/// Whether the later half of these moments, which is what a trend is judged by, has no pause that is longer than a quarter of it.
fn are_even(moments: &[Instant]) -> bool {
    let later = &moments[moments.len() / 2..];
    let pauses = later.windows(2).map(|two| two[1] - two[0]);
    moments.len() >= SNAPSHOTS
        && pauses
            .max()
            .is_some_and(|longest| longest * 4 <= later[later.len() - 1] - later[0])
}

/// Check that snapshots come by the clock, and that rates are of an hour of it. A step is made after each snapshot, and on a machine that has more to do as many as it
/// takes until they are even.
#[test]
fn by_the_clock() {
    let words = ["--every", "20ms", "--for", "1h", "--format", "json"];
    let mut watching = Watching::begin(&words);
    let mut steps = Vec::new();
    while !are_even(&steps) {
        assert!(watching.taken());
        watching.step();
        steps.push(Instant::now());
    }
    watching.send(libc::SIGINT);
    while watching.taken() {}
    let heard = watching.heard;
    let all = objects(&watching.end());
    assert_eq!(all[0]["per"], "hour", "{}", all[0]);
    assert_eq!(all[0]["snapshots"], heard - 1, "the last is the end");
    let mut lines = all.iter();
    let leak = lines.find(|line| line["function"] == "leaks").expect("it");
    let rate = leak["rate_bytes"].as_f64().expect("a number");
    let later = &steps[steps.len() / 2..];
    let pauses = u32::try_from(later.len() - 1).expect("few");
    let pause = (later[later.len() - 1] - later[0]) / pauses;
    let expected = LEAKED * 3600.0 / pause.as_secs_f64();
    // An hour that is none is 60 times off or more.
    assert!(
        (expected / 8.0..expected * 8.0).contains(&rate),
        "{leak}: not {expected}"
    );
}

/// Check that whoever ends it sees what was seen: Ctrl-C, a service manager, a lost terminal; also while it waits for Enter.
#[test]
fn ended_by_signals() {
    for (signal, words) in [
        (libc::SIGINT, &["--every", "1h", "--for", "2h"][..]),
        (libc::SIGTERM, &["--every", "1h"]),
        (libc::SIGHUP, &["--wait"]),
    ] {
        let mut watching = Watching::begin(words);
        assert!(watching.taken());
        // A terminal that closes hangs up twice.
        watching.send(signal);
        if signal != libc::SIGINT {
            watching.send(signal);
        }
        let text = watching.end();
        assert!(text.contains("   1 snapshot\n"), "{signal}: {text}");
    }
}

/// Check that a watch which was started to outlive its terminal does.
#[test]
fn under_nohup() {
    if !needs(&["nohup"]) {
        return;
    }
    let mut command = Command::new("nohup");
    command.arg(heapshim());
    let mut watching = Watching::of(Target::c("watch.c").spawn(), &["--wait"], command);
    assert!(watching.taken());
    let status = format!("/proc/{}/status", watching.child.id());
    let status = std::fs::read_to_string(status).expect("it runs");
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = u64::from_str_radix(ignored.expect("its signals").trim(), 16);
    assert!(ignored.expect("a number") & 1 << (libc::SIGHUP - 1) != 0);
    watching.send(libc::SIGHUP);
    watching.enter();
    assert!(watching.taken(), "it has gone on");
    watching.send(libc::SIGTERM);
    assert!(watching.end().contains("   2 snapshots\n"));
}

/// Check that programs get the same: an object a line, the heap first, each line's trend with its exact rate.
#[test]
fn as_json() {
    let text = watched(&["--format", "json", "--per", "100:request"]);
    let all = objects(&text);
    assert_eq!(
        (&all[0]["kind"], &all[0]["snapshots"]),
        (&"heap".into(), &SNAPSHOTS.into())
    );
    let line = |function: &str| {
        let mut lines = all.iter();
        let line = lines.find(|line| line["function"] == function);
        line.unwrap_or_else(|| panic!("no {function} in\n{text}"))
    };
    let leak = line("leaks");
    assert_eq!(
        (&leak["trend"], &leak["growth_bytes"]),
        (&"grows".into(), &4000.into())
    );
    assert_eq!(
        (&leak["rate_bytes"], &leak["per"]),
        (&200.0.into(), &"step".into())
    );
    assert_eq!(
        (&leak["bytes_each"], &leak["blocks_each"]),
        (&40.0.into(), &1.0.into())
    );
    assert!(leak["file"].as_str().expect("a file").ends_with("/watch.c"));
    assert_eq!(line("rises_and_falls")["trend"], "saw-tooth");
    let lines: i64 = all[1..]
        .iter()
        .filter_map(|line| line["growth_bytes"].as_i64())
        .sum();
    assert_eq!(all[0]["growth_bytes"], lines);
}

/// Check that each line is called what it is, with its exact rate, and that growth is divided by the user's count.
#[test]
fn classes() {
    let text = watched(&["--per", "100:request"]);
    assert!(
        text.contains(&format!("   {SNAPSHOTS} snapshots\n")),
        "{text}"
    );
    let row = |function: &str| {
        let line = text.lines().find(|line| line.ends_with(function));
        let line = line.unwrap_or_else(|| panic!("no {function} in\n{text}"));
        line.split_whitespace()
            .map(str::to_string)
            .collect::<Vec<_>>()
    };
    // Five blocks of 40 bytes at each of twenty steps: a hundred requests.
    assert_eq!(
        row("  leaks")[..6],
        ["grows", "+200", "B/step", "99.9%", "+3.9", "KiB"],
        "{text}"
    );
    assert!(
        text.contains("95 %: +200 B/step to +200 B/step\n"),
        "{text}"
    );
    assert!(text.contains("40.0 B × 1.00 per request\n"), "{text}");
    assert_eq!(row("  warms")[0], "plateau", "{text}");
    assert_eq!(row("  rises_and_falls")[0], "saw-tooth", "{text}");
    assert_eq!(row("  drains")[0], "shrinks", "{text}");
}

/// Check that the process's end ends the watch, with what was seen until then.
#[test]
fn end_of_the_process() {
    let mut watching = Watching::begin(&["--wait"]);
    assert!(watching.taken());
    let running = watching.running.take().expect("it lives");
    assert!(running.finish().0.success());
    watching.enter();
    let text = watching.end();
    assert!(text.contains("   1 snapshot\n"), "{text}");
    assert!(text.contains("too few snapshots"), "{text}");
}

/// Check the same where nobody has waited for the process yet: it is no plateau.
#[test]
fn end_of_a_process_that_is_not_waited_for() {
    let mut watching = Watching::begin(&["--wait"]);
    assert!(watching.taken());
    let running = watching.running.as_ref().expect("it lives");
    let pid = running.pid();
    // SAFETY: takes two numbers; the process is our child, and was not waited for.
    let killed = unsafe { libc::kill(pid.cast_signed(), libc::SIGKILL) };
    assert_eq!(killed, 0);
    let mut info = std::mem::MaybeUninit::<libc::siginfo_t>::zeroed();
    let options = libc::WEXITED | libc::WNOWAIT;
    // SAFETY: there is room for one siginfo_t; the process stays to be waited for.
    let waited = unsafe { libc::waitid(libc::P_PID, pid, info.as_mut_ptr(), options) };
    assert_eq!(waited, 0);
    watching.enter();
    let text = watching.end();
    assert!(text.contains("   1 snapshot\n"), "{text}");
}
