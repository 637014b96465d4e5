//! `--by thread`: whose allocations grew, however a thread came by its name.

use heapshim_tests::{Amount, Diff, Running, Target, talk};
use serde_json::Value;

fn amount(bytes: i64, blocks: i64) -> Amount {
    Amount { bytes, blocks }
}

/// Growth between two marks by label.
fn by_thread(running: &Running, marks: &[&str]) -> Diff {
    let diff = running.diff_with(marks, &["--by", "thread"]);
    diff.assert_adds_up();
    diff.assert_complete();
    assert_eq!(diff.growth(), running.diff(marks).growth());
    diff
}

/// What the threads of a label grew by.
fn grown(diff: &Diff, label: &str) -> Amount {
    let rows = diff.rows();
    let row = rows.iter().find(|row| row.json["thread"] == label);
    row.unwrap_or_else(|| panic!("no {label:?} in {}", diff.listing()))
        .growth()
}

fn labels(diff: &Diff) -> Vec<String> {
    let label = |row: &heapshim_tests::Row| row.json["thread"].as_str().unwrap_or("?").to_owned();
    diff.rows().iter().map(label).collect()
}

/// Sites of a process.
fn sites(running: &Running) -> i64 {
    let words = ["ls", "--format", "json"];
    let list: Value = serde_json::from_slice(&talk(&words).stdout).expect("JSON");
    let all = list["processes"].as_array().expect("a list");
    let own = all.iter().find(|one| one["pid"] == running.pid());
    own.expect("it is traced")["sites"]
        .as_i64()
        .expect("a number")
}

/// Check that each thread's allocations are charged to the name that it had then, given by itself, with prctl, or by another; and
/// that one without a name has its creator's, the program's.
#[test]
fn names() {
    let mut running = Target::c("named.c").spawn();
    running.mark("warm");
    running.step(b"go");
    let diff = by_thread(&running, &["warm", "now"]);
    assert_eq!(grown(&diff, "renderer"), amount(211, 1));
    assert_eq!(grown(&diff, "# readers #"), amount(307, 1));
    assert_eq!(grown(&diff, "writer"), amount(503, 1));
    assert_eq!(grown(&diff, "named"), amount(101 + 401 + 601, 3));
}

/// Check that 200 threads of a pool are one label and add the sites of one, all blocks counted.
#[test]
fn a_pool_is_one() {
    let mut running = Target::c("named.c").spawn();
    running.step(b"go");
    running.mark("few");
    let before = sites(&running);
    running.step(b"go");
    let diff = by_thread(&running, &["few", "now"]);
    assert_eq!(grown(&diff, "worker-#"), amount(45 * 200, 200));
    // Theirs, and those of main, which made 200 threads at once for the first time.
    let added = sites(&running) - before;
    assert!(added < 10, "{added} sites for one line of one pool");
}

/// Check that labels are bounded: 16 with a name, `main` among them, and the rest together.
#[test]
fn labels_are_bounded() {
    let mut running = Target::c("named.c").spawn();
    running.step(b"go");
    running.step(b"go");
    running.mark("pool");
    running.step(b"go");
    let diff = by_thread(&running, &["pool", "now"]);
    let had = [
        "main",
        "named",
        "renderer",
        "# readers #",
        "writer",
        "worker-#",
    ]
    .len();
    let own = 16 - had;
    for letter in ('a'..='z').take(own) {
        assert_eq!(grown(&diff, &format!("kind {letter}")), amount(17, 1));
    }
    let rest = i64::try_from(26 - own).expect("few");
    assert_eq!(grown(&diff, "other threads"), amount(17 * rest, rest));
}

/// Check that the main thread is `main`, also when it has another name.
#[test]
fn main_is_main() {
    let mut running = Target::c("named.c").spawn();
    for _ in 0..3 {
        running.step(b"go");
    }
    running.mark("kinds");
    running.step(b"go");
    let diff = by_thread(&running, &["kinds", "now"]);
    assert_eq!(grown(&diff, "main"), amount(701, 1));
}

/// Check the names of Rust's threads, which they give themselves.
#[test]
fn rust() {
    let mut running = Target::rust("named.rs").spawn();
    running.mark("warm");
    running.step(b"go");
    let diff = by_thread(&running, &["warm", "now"]);
    let found = labels(&diff);
    assert!(found.contains(&"compactor #".to_owned()), "{found:?}");
    let blocks = |label, bytes: i64| grown(&diff, label).bytes / bytes;
    assert_eq!(blocks("compactor #", 10_007), 4);
    assert_eq!(blocks("named", 20_011), 1);
}

/// Check that a label is no frame of a stack, and that the row of a line says whose stack it shows.
#[test]
fn no_frame() {
    let mut running = Target::c("named.c").spawn();
    running.mark("warm");
    running.step(b"go");
    let diff = running.diff(&["warm", "now"]);
    let rows = diff.rows_in("named.c");
    let writer = rows
        .iter()
        .find(|row| row.growth() == amount(503, 1))
        .expect("the writer's line");
    assert_eq!(writer.json["thread"], "writer");
    let stack = writer.json["stack"].as_array().expect("a stack");
    assert!(
        stack.iter().all(|frame| frame["module"].is_string()),
        "{stack:#?}"
    );
    let by_stack = running.diff_with(&["warm", "now"], &["--by", "stack"]);
    by_stack.assert_adds_up();
}

/// Check that a forked child's allocations are charged to the label of the thread that forked.
#[test]
fn a_child_inherits() {
    let running = Target::c("named_fork.c").spawn();
    let child = running.said();
    let words = [
        "diff", "-p", child, "--by", "thread", "--format", "json", "start", "now",
    ];
    let diff = Diff::read(&String::from_utf8(talk(&words).stdout).expect("UTF-8"));
    assert_eq!(
        grown(&diff, "forker #"),
        amount(53, 1),
        "{}",
        diff.listing()
    );
}

/// Check that the table has a line a label, and nothing of lines in it.
#[test]
fn table() {
    let mut running = Target::c("named.c").spawn();
    running.mark("warm");
    running.step(b"go");
    let pid = running.pid().to_string();
    let words = [
        "diff", "-p", &pid, "--by", "thread", "--color", "never", "warm", "now",
    ];
    let table = String::from_utf8(talk(&words).stdout).expect("UTF-8");
    assert!(table.contains("live   thread\n"), "{table}");
    assert!(table.contains("503 B   writer\n"), "{table}");
}
