//! Who freed a row's blocks, and who of them stopped: recordings with the stacks of frees, of programs whose every free is known.

use heapshim_tests::{
    Recorded, Recording, Row, Run, Target, environment, heapshim, line_of, pythons, talk,
};
use std::process::Command;
use std::time::Instant;

/// Rounds of the programs in which every line frees.
pub(crate) const EVICTING: u64 = 100;

/// What a line is told to have freed of a row: its marker, blocks, allocated since, whether it stopped.
type Told = (&'static str, u64, Option<u64>, bool);

/// A recording of a hundred rounds in which all lines free, and of rounds in which one of them does not: how many. It is away for longer than all before took, by the
/// clock as well as by allocations.
pub(crate) fn played(target: Target) -> (Recorded, u64) {
    let mut running = target.spawn();
    assert_eq!(running.said(), "warm");
    let recording = Recording::of(running.pid(), &["--lossless", "--free-stacks"]);
    let began = Instant::now();
    assert_eq!(running.step(b"e"), "done");
    let (took, since) = (began.elapsed(), Instant::now());
    let mut rounds = 0;
    while rounds < EVICTING || since.elapsed() < took * 3 {
        running.mark(&format!("after-{rounds}"));
        assert_eq!(running.step(b"n"), "done");
        rounds += 10;
    }
    let recorded = recording.end();
    assert_eq!(recorded.lost(), 0, "{}", recorded.said);
    (recorded, rounds)
}

/// The lines that freed a row's blocks: line, blocks, allocated since, whether it stopped.
pub(crate) fn freed_by(row: &Row) -> Vec<(u64, u64, u64, bool)> {
    let number = |value: &serde_json::Value| value.as_u64().expect("a number");
    let all = row.json()["freed_by"].as_array().expect("an array").iter();
    let of = |one: &serde_json::Value| {
        (
            number(&one["line"]),
            number(&one["blocks"]),
            number(&one["allocated_since_blocks"]),
            one["stopped"].as_bool().expect("a truth"),
        )
    };
    all.map(of).collect()
}

/// Blocks that lines without a known answer may free of a row: what the interpreter keeps for itself (up to 3.10 the first frame that ran a function).
const OWN: u64 = 1;

/// Asserts that a row's blocks were freed by these lines, and by others no more than `OWN`.
fn assert_freed(recorded: &Recorded, source: &str, marker: &str, expected: &[Told]) {
    let diff = recorded.ask("diff", &["--freed-by"]).0;
    diff.assert_adds_up();
    let row = diff.row(source, line_of(source, marker));
    let found = freed_by(&row);
    let known: u64 = expected.iter().map(|one| one.1).sum();
    let all: u64 = found.iter().map(|one| one.1).sum();
    assert!((known..=known + OWN).contains(&all), "{marker}: {found:?}");
    for (marker, blocks, since, stopped) in expected {
        let line = line_of(source, marker);
        let one = found.iter().find(|one| one.0 == line);
        let &(_, freed, allocated, has_stopped) = one.unwrap_or_else(|| panic!("{found:?}"));
        assert_eq!((freed, has_stopped), (*blocks, *stopped), "{marker}");
        if let Some(since) = since {
            assert_eq!(allocated, *since, "{marker}");
        }
    }
    let unknown = ["freed_by_unknown_blocks", "freed_by_left_out_blocks"];
    assert_eq!(unknown.map(|key| row.json()[key].as_u64()), [Some(0); 2]);
}

/// Check that of two lines that free a line's blocks the one that stopped is told, with what it freed and what was allocated since, the other as going on, and a
/// realloc as what frees its own; also where another thread frees.
#[test]
fn of_c() {
    let (recorded, quiet) = played(Target::c("freed.c").opt("-O0"));
    let all = EVICTING + quiet;
    let expected = [
        ("// evict", 6 * EVICTING, Some(10 * quiet), true),
        ("// clear", 2 * all, Some(0), false),
    ];
    assert_freed(&recorded, "freed.c", "// put", &expected);
    let expected = [("// grow", all - 1, Some(1), false)];
    assert_freed(&recorded, "freed.c", "// grow", &expected);
    let file = recorded.file.to_str().expect("UTF-8");
    let table = talk(&["diff", file, "--freed-by"]).stdout;
    let table = String::from_utf8(table).expect("UTF-8");
    let said = |what: &str| table.lines().any(|line| line.contains(what));
    let evict = line_of("freed.c", "// evict");
    assert!(
        said(&format!("freed.c:{evict}  evict: 600 blocks until ")),
        "{table}"
    );
    assert!(said("were allocated: stopped"), "{table}");
}

/// A recording of a program's one step.
fn stepped(target: Target) -> Recorded {
    let mut running = target.spawn();
    assert_eq!(running.said(), "warm");
    let recording = Recording::of(running.pid(), &["--lossless", "--free-stacks"]);
    assert_eq!(running.step(b"go"), "done");
    let recorded = recording.end();
    assert_eq!(recorded.lost(), 0, "{}", recorded.said);
    recorded
}

/// Check that what a thread frees as it ends is told, in a destructor that runs after its own function.
#[test]
fn at_a_threads_end() {
    let recorded = stepped(Target::c("freed_at_ends.c").opt("-O0"));
    let expected = [("// destroy", 30, Some(1), false)];
    assert_freed(&recorded, "freed_at_ends.c", "// put", &expected);
}

/// Check the same of a container's elements, which operator delete takes back, and of an array that a line gives up.
#[test]
fn of_cpp() {
    let (recorded, quiet) = played(Target::cpp("freed.cpp"));
    let all = EVICTING + quiet;
    let expected = [
        ("// evict", 6 * EVICTING, Some(10 * quiet), true),
        ("// expire", 2 * all, Some(0), false),
    ];
    assert_freed(&recorded, "freed.cpp", "// put", &expected);
    let expected = [("// drop", all - 1, Some(1), false)];
    assert_freed(&recorded, "freed.cpp", "// renew", &expected);
}

/// Check the same of Python's objects, on every CPython of this machine: the line is the one that dropped them.
#[test]
fn of_python() {
    for python in pythons() {
        let (recorded, quiet) = played(Target::python("freed.py").by(&python.path));
        let all = EVICTING + quiet;
        let expected = [
            ("# evict", 6 * EVICTING, Some(10 * quiet), true),
            ("# expire", 2 * all, Some(0), false),
        ];
        assert_freed(&recorded, "freed.py", "# put", &expected);
        let diff = recorded.ask("diff", &["--freed-by"]).0;
        let row = diff.row("freed.py", line_of("freed.py", "# remember"));
        let forget = line_of("freed.py", "# forget");
        let found = freed_by(&row);
        let found = found.iter().find(|one| one.0 == forget);
        let told = found.map(|one| (one.1, one.3));
        assert_eq!(
            told,
            Some((6 * EVICTING, true)),
            "{}",
            python.path.display()
        );
    }
}

/// Check that objects which another thread drops than their own are told with the line that dropped them.
#[test]
fn of_python_elsewhere() {
    for python in pythons() {
        let recorded = stepped(Target::python("freed_elsewhere.py").by(&python.path));
        let expected = [("# drop", 30, Some(0), false)];
        assert_freed(&recorded, "freed_elsewhere.py", "# put", &expected);
    }
}

/// Check that `run --record` has the stacks of a command's frees from the first one on, and that the answer between two instants is of the blocks that were freed between them.
#[test]
fn from_the_first_free() {
    let file = heapshim_tests::fresh_directory("freed").join("run.heaptrace");
    let finished = Run::new(&Target::c("freed.c").opt("-O0").words())
        .option("--lossless")
        .option("--free-stacks")
        .option("--record")
        .option(&file)
        .stdin(b"e\nn\n\n")
        .finish();
    let said = String::from_utf8_lossy(&finished.stderr).into_owned();
    let recorded = Recorded { file, said };
    assert_eq!(recorded.lost(), 0, "{}", recorded.said);
    let diff = recorded.ask("diff", &["--freed-by"]).0;
    let row = diff.row("freed.c", line_of("freed.c", "// put"));
    let blocks: Vec<u64> = freed_by(&row).iter().map(|one| one.1).collect();
    assert_eq!(blocks.iter().sum::<u64>(), 600 + 220, "{blocks:?}");
    assert_eq!(diff.growth(), finished.report().growth());
}

/// Check that what cannot say who freed says so, with the next step: a recording without the stacks, which has not a byte more than before, and a mark.
#[test]
fn refused() {
    let mut running = Target::c("freed.c").opt("-O0").spawn();
    let recording = Recording::of(running.pid(), &["--lossless"]);
    assert_eq!(running.step(b"e"), "done");
    let recorded = recording.end();
    let head = std::fs::read(&recorded.file).expect("a file");
    assert_eq!(head.get(12..16), Some(&[0u8; 4][..]));
    let file = recorded.file.to_str().expect("UTF-8").to_owned();
    let pid = running.pid().to_string();
    for (words, status, next) in [
        (
            vec!["diff", &file, "--freed-by"],
            1,
            "heapshim record --free-stacks",
        ),
        (
            vec!["diff", "-p", &pid, "--freed-by"],
            2,
            "heapshim record --free-stacks",
        ),
    ] {
        let mut command = Command::new(heapshim());
        command.env_clear().envs(environment()).args(&words);
        let output = command.output().expect("the command starts");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(status), "{said}");
        assert!(said.contains(next) && output.stdout.is_empty(), "{said}");
    }
}
