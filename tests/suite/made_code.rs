//! Code that is made at run time: named by /tmp/perf-PID.map, in marks also when the process and its map are gone.

use heapshim_tests::{
    Amount, Diff, Row, Running, Target, found, fresh_directory, needs, programs, talk,
};
use serde_json::Value;
use std::fs;
use std::path::PathBuf;

/// The rows whose frame is code that was made.
fn made(diff: &Diff) -> Vec<Row> {
    let mut rows = diff.rows();
    rows.retain(|row| row.json()["language"] == "jit");
    rows
}

fn amount(bytes: i64, blocks: i64) -> Amount {
    Amount { bytes, blocks }
}

/// The row of a function, as the report has it: file, line, growth.
fn row_of(diff: &Diff, function: &str) -> (Value, Value, Amount) {
    let rows = made(diff);
    let row = rows.iter().find(|row| row.function() == Some(function));
    let row = row.unwrap_or_else(|| panic!("no {function} in\n{}", diff.listing()));
    (
        row.json()["file"].clone(),
        row.json()["line"].clone(),
        row.growth(),
    )
}

/// Asserts what made.c leaks in one step: by its names, exactly.
fn assert_named(diff: &Diff) {
    assert_eq!(
        row_of(diff, "leak"),
        ("/srv/made.js".into(), 7.into(), amount(3003, 3))
    );
    assert_eq!(
        row_of(diff, "app.Cache.put"),
        (Value::Null, Value::Null, amount(385, 5))
    );
    assert_eq!(made(diff).len(), 2, "{}", diff.listing());
    let mut others = diff.rows();
    others.retain(|row| {
        row.json()["stack"]
            .to_string()
            .contains("in no known module")
    });
    let growth: Vec<Amount> = others.iter().map(Row::growth).collect();
    assert_eq!(growth, [amount(13, 1)], "{}", diff.listing());
    diff.assert_adds_up();
}

/// The map that a process writes, which goes when this is dropped, also where a test fails.
struct Map(PathBuf);

impl Map {
    fn of(pid: u32) -> Map {
        Map(format!("/tmp/perf-{pid}.map").into())
    }
}

impl Drop for Map {
    fn drop(&mut self) {
        // The program itself may have removed it.
        let _ = fs::remove_file(&self.0);
    }
}

/// The program with its map, marked, and one step further.
fn leaking() -> (Map, Running) {
    let mut running = Target::c("made.c").spawn();
    let map = Map::of(running.pid());
    running.mark("before");
    running.step(b"go");
    (map, running)
}

/// Check that each piece of code has its name, the latest that it was given, with file and line where the name has them, to the byte; and
/// that what no map names is a row without a name.
#[test]
fn named() {
    let (_map, running) = leaking();
    assert_named(&running.diff(&["before", "now"]));
}

/// Check that a mark keeps the names that it was taken with: read when the map is gone, when the process is, and beside a mark that knows
/// none.
#[test]
fn kept_in_marks() {
    let (_map, mut running) = leaking();
    let marks = fresh_directory("marks");
    let paths = ["before", "named", "nameless"].map(|name| marks.join(format!("{name}.heapmark")));
    let paths = paths.each_ref().map(|path| path.to_str().expect("UTF-8"));
    let pid = running.pid().to_string();
    let mark = |path: &str| drop(talk(&["mark", "-p", &pid, "-o", path]));
    mark(paths[1]);
    running.step(b"unlink");
    mark(paths[2]);
    let table = running.table(&["before", "now"]);
    assert!(!table.contains("leak"), "{table}");
    assert!(running.finish().0.success());
    let diff = |from: &str, to: &str| {
        let json = talk(&["diff", from, to, "--format", "json"]).stdout;
        Diff::read(&String::from_utf8(json).expect("UTF-8"))
    };
    for last in &paths[1..] {
        let since_start = diff("start", last);
        assert!(since_start.growth().bytes >= 3401);
        if *last == paths[1] {
            assert_eq!(row_of(&since_start, "leak").2, amount(3003, 3));
        } else {
            assert!(made(&since_start).is_empty(), "{}", since_start.listing());
        }
    }
    let both = diff(paths[1], paths[2]);
    let row = made(&both)
        .into_iter()
        .find(|row| row.function() == Some("leak"));
    assert_eq!(
        row.map(|row| row.live()),
        Some(amount(3003, 3)),
        "{}",
        both.listing()
    );
}

/// Check that the report that `run` prints at the end, when the process is gone, has the names.
#[test]
fn named_after_the_end() {
    let file = fresh_directory("report").join("report");
    let file = file.to_str().expect("UTF-8");
    let mut running = Target::c("made.c").spawn_under_run(&["--format", "json", "-o", file]);
    let map = Map::of(running.command());
    running.step(b"go");
    assert!(running.finish().0.success());
    assert!(map.0.exists(), "it was there until the end");
    let diff = Diff::read(&fs::read_to_string(file).expect("a report"));
    assert_eq!(row_of(&diff, "leak").2, amount(3003, 3));
    assert_eq!(row_of(&diff, "app.Cache.put").2, amount(385, 5));
}

/// Check that a JavaScript function that has node allocate is named, with its file and line, what it holds to the byte, and out to the program's
/// entry: through V8's own code, which has no unwind information either.
#[test]
fn node() {
    if !needs(&["node"]) {
        return;
    }
    let node = found("node").expect("needed");
    let script = Target::python("made.js").by(&node); // a script as it is, by another interpreter
    let mut running = script.env("NODE_OPTIONS", "--perf-basic-prof").spawn();
    let map = Map::of(running.pid());
    running.mark("before");
    running.step(b"go");
    let diff = running.diff(&["before", "now"]);
    assert!(map.0.exists(), "node has written one");
    let file = programs().join("made.js");
    let file = file.to_str().expect("UTF-8");
    let (named, line, growth) = row_of(&diff, "leak");
    assert_eq!((named.as_str(), line.as_u64()), (Some(file), Some(13)));
    // V8 notes each buffer in blocks of its own, too.
    assert!(
        growth.bytes >= 40_000_000 && growth.bytes < 41_000_000,
        "{growth:?}"
    );
    assert!(growth.blocks >= 1000, "{growth:?}");
    let rows = made(&diff);
    let leak = rows.iter().find(|row| row.function() == Some("leak"));
    let stack = leak.expect("found before").json()["stack"].clone();
    let outermost = stack.as_array().expect("a stack").last().cloned();
    assert_eq!(outermost.expect("frames")["function"], "_start", "{stack}");
}

/// What made.lua leaks in a step, by whether the outermost frame that is known is the program's entry: all of it, and what stands on whole stacks.
fn leaked_by_lua(mode: &str) -> [Amount; 2] {
    let luajit = found("luajit").expect("needed");
    let script = Target::python("made.lua").by(&luajit).arg(mode); // a script as it is, by another interpreter
    let mut running = script.spawn();
    running.mark("before");
    running.step(b"go");
    let diff = running.diff_with(&["before", "now"], &["--by", "stack"]);
    diff.assert_adds_up();
    let mut sums = [Amount::default(); 2];
    for row in diff.rows() {
        let growth = row.growth();
        if growth.bytes != 40_000 * growth.blocks {
            continue; // LuaJIT's own
        }
        let stack = row.json()["stack"].as_array().cloned();
        let outermost = stack.and_then(|stack| stack.last().cloned());
        let is_whole = outermost.is_some_and(|frame| frame["function"] == "_start");
        for sum in sums.iter_mut().take(1 + usize::from(is_whole)) {
            sum.bytes += growth.bytes;
            sum.blocks += growth.blocks;
        }
    }
    sums
}

/// Check that what LuaJIT has C allocate is counted to the byte: by its interpreter on whole stacks, through assembly; by code that it has
/// compiled, which keeps no frame pointer and is named nowhere (Debian's build writes no map), also where the stack ends there.
#[test]
fn luajit() {
    if !needs(&["luajit"]) {
        return;
    }
    let all = amount(40_000_000, 1000);
    assert_eq!(leaked_by_lua("off"), [all; 2]);
    let [compiled, _] = leaked_by_lua("on");
    assert_eq!(compiled, all);
}
