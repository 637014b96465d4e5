//! What explains RSS: programs of known answer, to the page where it must be exact.

use heapshim_tests::{Diff, Run, Running, Target, fresh_directory};
use serde_json::Value;

const MIB: i64 = 1 << 20;
/// What the C library may touch beside what it was asked for: a page of a stack, of its own tables, of the break.
const PAGES: i64 = 64 << 10;

/// The program, at rest.
fn spawn() -> Running {
    let file = fresh_directory("rss").join("file");
    std::fs::write(&file, vec![7; 9 << 20]).expect("a file");
    let running = Target::c("rss.c").arg(&file.to_string_lossy()).spawn();
    running.mark("before");
    running
}

/// Growth between two marks; its parts and those of both ends must add up.
fn growth(running: &Running, marks: &[&str]) -> Value {
    let diff = running.diff(marks);
    let json = diff.json();
    for (rss, whole) in [
        (&json["from"]["rss"], &json["from"]["rss_bytes"]),
        (&json["to"]["rss"], &json["to"]["rss_bytes"]),
        (&json["rss_growth"], &json["rss_growth"]["bytes"]),
    ] {
        let parts = rss.as_object().expect("known");
        let parts = parts.iter().filter(|(key, _)| *key != "bytes");
        let sum: i64 = parts
            .map(|(_, bytes)| bytes.as_i64().expect("a number"))
            .sum();
        assert_eq!(*whole, sum, "{rss}");
    }
    assert_heap(&diff);
    json["rss_growth"].clone()
}

/// The heap of the RSS is the heap of the account.
fn assert_heap(diff: &Diff) {
    assert_eq!(diff.json()["rss_growth"]["heap"], diff.growth().bytes);
}

/// Asserts that just these parts have grown by so much, to within some pages, and nothing else has.
fn assert_grown(growth: &Value, expected: &[(&str, i64)]) {
    for (key, bytes) in growth.as_object().expect("parts") {
        let found = bytes.as_i64().expect("a number");
        let wanted = expected
            .iter()
            .find(|(name, _)| name == key)
            .map_or(0, |(_, bytes)| *bytes);
        let whole = expected.iter().map(|(_, bytes)| bytes).sum();
        let wanted = if key == "bytes" { whole } else { wanted };
        // The ledger grows with each new stack, and code is read from its file when it first runs.
        let room = match key.as_str() {
            "heapshim" | "files" | "bytes" => MIB,
            _ => PAGES,
        };
        assert!(
            (found - wanted).abs() <= room,
            "{key}: {found}, not {wanted}: {growth}"
        );
    }
}

/// Runs one kind of growth.
fn grown_by(kind: &[u8]) -> Value {
    let mut running = spawn();
    running.step(kind);
    growth(&running, &["before", "now"])
}

/// Check that large blocks are heap, and the map that they lie in nothing else.
#[test]
fn heap() {
    assert_grown(&grown_by(b"h"), &[("heap", 16 * MIB)]);
}

/// Check that a large block that nobody has touched is heap, and said not to be resident.
#[test]
fn untouched() {
    let growth = grown_by(b"u");
    let part = |name: &str| growth[name].as_i64().expect("a number");
    assert_eq!(part("heap"), 64 * MIB);
    assert!(part("bytes") < 2 * MIB, "{growth}");
    assert!(part("untouched") < -62 * MIB, "{growth}");
}

/// Check that memory that was freed but not given back is the allocator's: the program keeps every 64th block, and all of its pages.
#[test]
fn fragmented() {
    let mut running = spawn();
    running.step(b"g");
    running.mark("full");
    running.step(b"f");
    let kept = 1008 * (1 << 16) / 64;
    let freed = 1008 * (1 << 16) - kept;
    let since = growth(&running, &["full", "now"]);
    assert_grown(&since, &[("heap", -freed), ("allocator_retained", freed)]);
    let all = growth(&running, &["before", "now"]);
    let retained = all["allocator_retained"].as_i64().expect("a number");
    assert_eq!(all["heap"], kept);
    assert!(retained > freed && retained < freed + 2 * MIB, "{all}");
}

/// Check that a program's own anonymous map is that, to the page.
#[test]
fn anonymous() {
    assert_grown(&grown_by(b"a"), &[("anonymous_maps", 24 * MIB)]);
}

/// Check that anonymous memory that may be executed is code.
#[test]
fn code() {
    assert_grown(&grown_by(b"j"), &[("jit_code", 5 * MIB)]);
}

/// Check that shared memory is told from files and from anonymous memory.
#[test]
fn shared() {
    assert_grown(&grown_by(b"m"), &[("shared_memory", 12 * MIB)]);
}

/// Check that a file that is read through a map is a file.
#[test]
fn file() {
    assert_grown(&grown_by(b"F"), &[("files", 9 * MIB)]);
}

/// Check that what threads have touched of their stacks is theirs; each has some pages beside its array.
#[test]
fn stacks() {
    let growth = grown_by(b"s");
    let part = |name: &str| growth[name].as_i64().expect("a number");
    let extra = part("stacks") - 8 * MIB;
    assert!((0..8 * PAGES).contains(&extra), "{growth}");
    assert!(part("anonymous_maps").abs() <= PAGES, "{growth}");
}

/// Check that the header says it: it isn't the heap.
#[test]
fn in_the_header() {
    let mut running = spawn();
    running.step(b"a");
    let table = running.table(&["before", "now"]);
    assert!(table.contains(": anonymous maps 24.0"), "{table}");
    let since_start = running.table(&["start", "now"]);
    assert!(
        since_start.contains(" · RSS ") && since_start.contains("anonymous maps 24."),
        "{since_start}"
    );
}

/// Check that heapshim's own tables are never blamed on the program: 65,536 blocks take shadow, and no anonymous memory grows beside the program's.
#[test]
fn own_tables() {
    let growth = grown_by(b"g");
    let part = |name: &str| growth[name].as_i64().expect("a number");
    assert!(part("heapshim") > 8 * MIB, "{growth}");
    // The program's table of its blocks.
    let table = 8 << 16;
    assert!((part("anonymous_maps") - table).abs() <= PAGES, "{growth}");
    assert!(part("allocator_retained") < 2 * MIB, "{growth}");
}

/// Check what is said of the memory of a command that has ended: the most that it had, though it had given it back; nothing of its parts, and
/// nothing of one that never had more than we. It does not matter how much whoever started us had: here 500 MiB.
#[test]
fn after_the_end() {
    drop(std::hint::black_box(vec![1_u8; 500 << 20]));
    let hold = "b = bytearray(300 << 20); del b";
    let finished = Run::new(&["/usr/bin/python3", "-c", hold]).finish();
    let json = finished.report().json();
    let peak = json["target"]["peak_rss_bytes"].as_i64().expect("a peak");
    assert!((300 * MIB..400 * MIB).contains(&peak), "{peak}");
    assert!(
        json["to"]["rss"].is_null() && json["rss_growth"].is_null(),
        "{json}"
    );
    let finished = Run::new(&["/bin/sh", "-c", ":"]).finish();
    let target = &finished.report().json()["target"];
    assert!(target.get("peak_rss_bytes").is_none(), "{target}");
}
