//! The highest moment: how much was live at most, and whose it was, to within a hundredth and 64 KiB a thread; of one thread, the greater of the two.

use heapshim_tests::{
    Amount, Diff, Running, Target, bare, expected_in, fresh_directory, programs, pythons, talk,
};
use std::fs;

/// What a thread may hold that nobody else knows of, at the peak and at its copy.
const STEP: i64 = 64 << 10;
/// What `rise` of peaks.c holds, and its two lines.
const RISEN: i64 = 15_000_000;

/// Asserts that a peak is what it must be, or less by no more than is promised.
fn assert_near(found: i64, expected: i64, threads: i64, what: &str) {
    let of_threads = threads * STEP;
    let least = match threads {
        1 => expected - (expected / 100).max(of_threads),
        _ => expected - expected / 100 - of_threads,
    };
    assert!(
        (least..=expected).contains(&found),
        "{what}: {found}, not {expected}"
    );
}

/// Asserts of a growth up to the peak that the lines of `rise` hold what they do: the first all of it, since it was full before.
fn assert_risen(diff: &Diff) {
    let line = |growth| {
        let rows = expected_in(&programs().join("peaks.c"));
        let row = rows
            .iter()
            .find(|row| row.growth.is_some_and(|amount| amount.bytes == growth));
        diff.row("peaks.c", row.expect("a line of peaks.c").line)
    };
    let (first, second) = (line(10_000_000), line(5_000_000));
    assert_eq!(
        first.growth(),
        Amount {
            bytes: 10_000_000,
            blocks: 1000
        }
    );
    assert_near(second.growth().bytes, 5_000_000, 2, "the second line");
    assert_near(diff.growth().bytes, RISEN, 1, "all");
    assert_eq!(second.growth().bytes, second.growth().blocks * 50_000);
    diff.assert_adds_up();
}

fn peak_bytes(diff: &Diff) -> i64 {
    diff.json()["peak_bytes"].as_i64().expect("a number")
}

fn fallen() -> Running {
    let mut running = Target::c("peaks.c").spawn();
    running.step(b"rise");
    running.step(b"down");
    running
}

/// Check that the peak is found after it has gone, to its lines, from the start and from a mark, in the table and in JSON; and that a heap that
/// rises again as high is no other peak.
#[test]
fn risen_and_fallen() {
    let mut running = fallen();
    let diff = running.diff(&["start", "peak"]);
    assert_risen(&diff);
    assert_eq!(diff.json()["to"]["name"], "peak");
    let time = diff.json()["to"]["time"].clone();
    running.mark("low");
    assert_risen(&running.diff(&["low", "peak"]));
    let since = running.diff(&["peak"]);
    assert_near(-since.growth().bytes, RISEN, 1, "what has gone since");
    let now = running.diff(&["start", "now"]);
    assert!(
        (RISEN - STEP..=RISEN).contains(&peak_bytes(&now)),
        "{}",
        peak_bytes(&now)
    );
    let table = running.table(&["start", "now"]);
    assert!(table.contains(" · peak 14.3 MiB"), "{table}");
    assert!(running.table(&["start", "peak"]).contains("start → peak"));
    running.step(b"again");
    assert_eq!(running.diff(&["start", "peak"]).json()["to"]["time"], time);
    assert!(running.finish().0.success());
}

/// Check that a peak of one block has it: the account is copied before the block is charged that goes.
#[test]
fn one_block() {
    let mut running = Target::c("peaks.c").spawn();
    running.step(b"once");
    let rows = expected_in(&programs().join("peaks.c"));
    let once = rows
        .iter()
        .find(|row| row.growth.is_some_and(|amount| amount.bytes == 20_000_000));
    let row = running.diff(&["start", "peak"]);
    let row = row.row("peaks.c", once.expect("a line of peaks.c").line);
    let (bytes, blocks) = (20_000_000, 1);
    assert_eq!(row.growth(), Amount { bytes, blocks });
}

/// Check that while more is live than ever before, the peak is now, to the byte.
#[test]
fn rising() {
    let mut running = Target::c("peaks.c").spawn();
    running.step(b"rise");
    let (peak, now) = (
        running.diff(&["start", "peak"]),
        running.diff(&["start", "now"]),
    );
    assert_eq!(
        (peak.growth(), peak.rows().len()),
        (now.growth(), now.rows().len())
    );
    assert_eq!(peak_bytes(&now), now.live_at("to").bytes);
    assert!(!running.table(&["start", "now"]).contains(" · peak"));
}

/// Check the peak of four threads that hold a megabyte each at one moment.
#[test]
fn threads() {
    let mut running = Target::c("peaks.c").spawn();
    running.step(b"threads");
    let diff = running.diff(&["start", "peak"]);
    assert_near(diff.growth().bytes, 4_000_000, 5, "all");
    let now = running.diff(&["start", "now"]);
    assert!(now.growth().bytes < 100_000);
    assert_near(peak_bytes(&now), 4_001_500, 5, "the highest");
    diff.assert_adds_up();
}

/// Check that a forked child has a peak of its own, from its fork on, and that its parent's is not touched.
#[test]
fn forked_child() {
    let mut running = Target::c("peaks.c").spawn();
    running.step(b"fork");
    let child = running.numbers();
    let pid = child.first().expect("child PID").to_string();
    let words = ["diff", "-p", &pid, "--format", "json", "start", "peak"];
    let child = Diff::read(&String::from_utf8(talk(&words).stdout).expect("UTF-8"));
    assert_risen(&child);
    running.step(b"go");
    assert_risen(&running.diff(&["start", "peak"]));
}

/// Check that marks carry the peak: read when the process is gone, beside the word and as `FILE:peak`.
#[test]
fn in_marks() {
    let running = fallen();
    let file = fresh_directory("peaks").join("low.heapmark");
    let file = file.to_str().expect("UTF-8");
    talk(&["mark", "-p", &running.pid().to_string(), "-o", file]);
    assert!(running.finish().0.success());
    let diff = |from: &str, to: &str| {
        let json = talk(&["diff", from, to, "--format", "json"]).stdout;
        Diff::read(&String::from_utf8(json).expect("UTF-8"))
    };
    assert_risen(&diff("start", &format!("{file}:peak")));
    assert_near(
        -diff("peak", file).growth().bytes,
        RISEN,
        1,
        "what has gone since",
    );
}

/// Check that the report that `run` prints says the peak, and that a ledger that was kept in a file has it.
#[test]
fn after_the_end() {
    let directory = fresh_directory("peaks");
    let report = directory.join("report");
    let options = ["--format", "json", "-o", report.to_str().expect("UTF-8")];
    let mut running = Target::c("peaks.c")
        .env("HEAPSHIM_DIR", &directory)
        .spawn_under_run(&options);
    running.step(b"rise");
    running.step(b"down");
    assert!(running.finish().0.success());
    let end = Diff::read(&fs::read_to_string(report).expect("a report"));
    assert_near(peak_bytes(&end), RISEN, 1, "the highest");
    let mut paths = fs::read_dir(&directory).expect("a directory").flatten();
    let is_ledger =
        |path: &std::path::PathBuf| path.extension().is_some_and(|end| end == "heapledger");
    let ledger = paths.find_map(|entry| Some(entry.path()).filter(is_ledger));
    let peak = format!("{}:peak", ledger.expect("a ledger").display());
    let json = talk(&["diff", "start", &peak, "--format", "json"]).stdout;
    assert_risen(&Diff::read(&String::from_utf8(json).expect("UTF-8")));
}

/// Check that the peak of Python objects is tracemalloc's.
#[test]
fn python() {
    for python in pythons() {
        let program = programs().join("python_peak.py");
        let words = [
            python.path.as_os_str(),
            "-X".as_ref(),
            "tracemalloc".as_ref(),
            program.as_os_str(),
        ];
        let (status, said, _) = bare(&words.map(Into::into), b"");
        assert!(status.success());
        let expected: i64 = String::from_utf8_lossy(&said)
            .trim()
            .parse()
            .expect("a number");
        let mut running = Target::python("python_peak.py").by(&python.path).spawn();
        running.mark("before");
        running.step(b"go");
        let found = running.diff(&["before", "peak"]).growth().bytes;
        let apart = (found - expected).abs();
        assert!(
            expected > 5_000_000 && apart <= (expected / 100).max(2 * STEP),
            "{found}, not {expected}"
        );
        running.step(b"go");
    }
}
