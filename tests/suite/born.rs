//! Survivors without a recording: what was allocated after a mark and is still there, by when the account says that blocks were born.

use heapshim_tests::{
    Diff, Running, Target, environment, heapshim, line_of as line, pythons, talk,
};
use serde_json::Value;
use std::process::{Command, Output};

const SOURCE: &str = "born.c";

/// A line's marker, by how many blocks it grew, and how many of them have survived.
type Expected = (&'static str, i64, i64);

fn assert_survived(diff: &Diff, expected: &[Expected]) {
    diff.assert_adds_up();
    for (marker, growth, survived) in expected {
        let row = diff.find(SOURCE, line(SOURCE, marker));
        let blocks = row.map_or((0, Some(0)), |row| {
            (row.growth().blocks, row.json()["survivors_blocks"].as_i64())
        });
        assert_eq!(blocks, (*growth, Some(*survived)), "{marker}");
    }
}

/// Check that what a filter leaves out is still in the sum, and said to be in no row: rows and rest add up to it.
#[test]
fn filtered() {
    let running = refilled();
    let whole = running.diff(&["filled", "refilled"]);
    let only = running.diff_with(&["filled", "refilled"], &["--exclude", "take"]);
    assert_eq!(all(&whole), all(&only));
    let sum = |diff: &Diff, key: &str| -> i64 {
        let rows = diff.rows();
        let rows = rows.iter().map(|row| row.json()[key].as_i64());
        let rest = diff.json()["unattributed"][key].as_i64();
        rows.chain([rest]).map(|one| one.expect("known")).sum()
    };
    for (at, key) in ["survivors_bytes", "survivors_blocks"]
        .into_iter()
        .enumerate()
    {
        let rest = |diff: &Diff| diff.json()["unattributed"][key].as_i64();
        assert_eq!(Some(sum(&whole, key)), all(&whole)[at]);
        assert_eq!(Some(sum(&only, key)), all(&only)[at]);
        assert!(rest(&only) > rest(&whole), "{key}: {:?}", rest(&only));
    }
}

fn all(diff: &Diff) -> [Option<i64>; 2] {
    ["survivors_bytes", "survivors_blocks"].map(|key| diff.json()[key].as_i64())
}

/// Takes a mark from which survivors are known; what is said where it is not taken.
fn pin(running: &Running, name: &str) -> Result<(), String> {
    let pid = running.pid().to_string();
    let mut command = Command::new(heapshim());
    command.env_clear().envs(environment());
    command.args(["mark", "-p", &pid, "--survivors", name]);
    let output = command.output().expect("the command starts");
    let said = String::from_utf8(output.stderr).expect("UTF-8");
    output.status.success().then_some(()).ok_or(said)
}

fn refused(running: &Running, marks: &[&str]) -> Output {
    let mut command = Command::new(heapshim());
    command.envs(environment());
    command.args(["diff", "-p", &running.pid().to_string()]);
    command.args(marks).args(["--sort", "survivors"]);
    command.output().expect("the command starts")
}

/// The program after three marks: of the pool, of the cache as it was filled first, and as it was filled again.
fn refilled() -> Running {
    let mut running = Target::c(SOURCE).opt("-O0").spawn();
    for name in ["pooled", "filled", "refilled"] {
        assert_eq!(running.step(b"go"), name);
        assert_eq!(pin(&running, name), Ok(()));
    }
    running
}

/// Check that of a cache that was filled anew its size has survived and no more, whatever it has gone through; that what leaks from a pool is seen though more of it was given
/// back; that a block which was moved counts as new; and that it is all the same which thread frees and which allocates: between any two marks.
#[test]
fn between_marks() {
    let running = refilled();
    let first = running.diff(&["pooled", "filled"]);
    assert_survived(&first, &[("// cache", 100, 100), ("// pool", 0, 0)]);
    assert_eq!(all(&first), [Some(6400), Some(100)]);
    let common = [
        ("// refilled", 100, 100),
        ("// passing", 0, 0),
        ("// pool", -120, 30),
        ("// handed", 0, 0),
        ("// made", 10, 10),
        ("// grown", 1, 1),
    ];
    let second = running.diff(&["filled", "refilled"]);
    assert_survived(&second, &common);
    assert_survived(&second, &[("// cache", -100, 0)]);
    let both = running.diff(&["pooled", "refilled"]);
    assert_survived(&both, &common);
    assert_survived(&both, &[("// cache", 0, 0)]);
    let pid = running.pid().to_string();
    let words = [
        "diff",
        "-p",
        &pid,
        "filled",
        "refilled",
        "--sort",
        "survivors",
    ];
    let text = String::from_utf8(talk(&words).stdout).expect("UTF-8");
    let at = |what: &str| text.find(what).unwrap_or_else(|| panic!("{what}: {text}"));
    assert!(at("survivors   line") < at("488.3 KiB"), "{text}");
    assert!(at("488.3 KiB") < at("1.4 KiB"), "{text}");
}

/// Check that what goes after the second mark is no more among a later mark's survivors, nor among those of the first.
#[test]
fn gone_again() {
    let mut running = refilled();
    let said = running.step(b"go");
    assert!(said.starts_with("child "), "{said}");
    assert_eq!(running.step(b"go"), "child done");
    assert_eq!(running.step(b"go"), "alone");
    assert_eq!(running.step(b"go"), "done");
    let last = running.diff(&["refilled", "now"]);
    assert_survived(&last, &[("// refilled", -100, 0), ("// pool", 0, 0)]);
    assert_eq!(all(&last), [Some(0), Some(0)]);
    let since = running.diff(&["pooled", "now"]);
    assert_survived(&since, &[("// refilled", 0, 0), ("// pool", -120, 30)]);
}

/// Check that a forked child's marks know nothing of its parent's: blocks that it inherited, young as they were there, are none of its survivors, and what it frees of them takes
/// nothing off.
#[test]
fn forked() {
    let mut running = refilled();
    let said = running.step(b"go").to_owned();
    let child = said.strip_prefix("child ").expect("its pid").to_owned();
    talk(&["mark", "-p", &child, "--survivors", "forked"]);
    assert_eq!(running.step(b"go"), "child done");
    let words = ["diff", "-p", &child, "forked", "now", "--format", "json"];
    let diff = Diff::read(&String::from_utf8(talk(&words).stdout).expect("UTF-8"));
    assert_survived(&diff, &[("// child", 15, 15), ("// refilled", -50, 0)]);
    assert_eq!(all(&diff), [Some(360), Some(15)]);
    assert_eq!(running.step(b"go"), "alone");
}

/// Check that nothing is guessed: from the start, from a mark that nobody asked it of, or that was one too many, between marks the wrong way round, and where samples were taken since.
#[test]
fn unknown() {
    let mut running = refilled();
    running.mark("unpinned");
    // A name that is taken costs none of the fifteen.
    let said = pin(&running, "pooled").expect_err("it has one of that name");
    assert!(said.contains("has a mark of that name"), "{said}");
    for number in 4..=15 {
        assert_eq!(pin(&running, &format!("m{number}")), Ok(()));
    }
    let said = pin(&running, "m16").expect_err("one too many");
    assert!(
        said.contains("as many marks with survivors as it can tell apart"),
        "{said}"
    );
    let known = |marks: [&str; 2]| all(&running.diff(&marks)).map(|number| number.is_some());
    assert_eq!(known(["m15", "now"]), [true; 2]);
    for marks in [["unpinned", "now"], ["start", "now"], ["filled", "pooled"]] {
        assert_eq!(known(marks), [false; 2], "{marks:?}");
        let said = refused(&running, &marks);
        assert_eq!(said.status.code(), Some(2), "{marks:?}");
        let said = String::from_utf8(said.stderr).expect("UTF-8");
        assert!(said.contains("--sort survivors: "), "{said}");
    }
    let pid = running.pid().to_string();
    talk(&["mode", "-p", &pid, "sample=1K"]);
    // What it was asked it does at its next event, which is one of the last.
    let child = running.step(b"go");
    assert!(child.starts_with("child "), "{child}");
    for said in ["child done", "alone", "done"] {
        assert_eq!(running.step(b"go"), said);
    }
    assert_eq!(all(&running.diff(&["filled", "now"])), [None; 2]);
    let said = pin(&running, "sampled").expect_err("samples were taken");
    assert!(said.contains("samples were taken"), "{said}");
}

/// Check that a line of Python has its survivors, of malloc's blocks and of objects alike, whatever their size: of a cache that was filled anew as many as it has, of a pool that
/// shrank what leaked from it meanwhile, and of what came and went none; on every CPython of this machine.
#[test]
fn python() {
    for python in pythons() {
        let mut running = Target::python("python_born.py").by(&python.path).spawn();
        assert_eq!(pin(&running, "ready"), Ok(()));
        assert_eq!(running.step(b"go"), "done");
        let diff = running.diff(&["ready", "now"]);
        for (marker, growth, survived) in [
            ("# large", 50, 50),
            ("# cache", 0, 100),
            ("# pool", -120, 30),
            ("# edges", 20, 20),
            ("# passing", 0, 0),
        ] {
            let row = diff.row("python_born.py", line("python_born.py", marker));
            let found = (row.growth().blocks, row.json()["survivors_blocks"].clone());
            assert_eq!(found, (growth, Value::from(survived)), "{marker}");
        }
        assert!(all(&diff)[1] >= Some(200), "what is known of all");
    }
}
