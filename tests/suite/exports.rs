//! `heapshim export`: each form is read by the tool that it is for, and the figures that this tool then has are the account's, to the byte.
//!
//! The readers: `go tool pprof`, the inferno crate, ms_print, Graphviz, CPython's csv and XML parsers. speedscope is a web page: its files are
//! checked against its own schema (tests/fixtures/speedscope), and against what its importer takes for granted beyond that.

use crate::recordings::events;
use heapshim_tests::{
    Amount, Diff, Recording, Running, Schema, Target, environment, found, fresh_directory, go,
    heapshim, needs, talk, workspace,
};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Two marks of a program in files, and what `diff` says of them.
struct Marks {
    directory: PathBuf,
    diff: Diff,
}

impl Marks {
    fn of(running: &mut Running) -> Marks {
        let directory = fresh_directory("exports");
        let pid = running.pid().to_string();
        let word = |name: &str| directory.join(name).display().to_string();
        talk(&["mark", "-p", &pid, "-o", &word("a.heapmark")]);
        running.step(b"go");
        talk(&["mark", "-p", &pid, "-o", &word("b.heapmark")]);
        let words = [
            "diff",
            &word("a.heapmark"),
            &word("b.heapmark"),
            "--format",
            "json",
        ];
        let json = String::from_utf8(talk(&words).stdout).expect("JSON is UTF-8");
        let diff = Diff::read(&json);
        Marks { directory, diff }
    }

    /// A C program whose lines grew, shrank and stayed, and a C++ program with inlined functions.
    fn native() -> Vec<Marks> {
        let targets = [
            Target::c("leak.c").opt("-O0"),
            Target::cpp("operators.cpp").opt("-O2"),
        ];
        let marks = |target: Target| Marks::of(&mut target.spawn());
        targets.into_iter().map(marks).collect()
    }

    /// The same, and a program of Python with its thousands of stacks.
    fn all() -> Vec<Marks> {
        let mut all = Marks::native();
        if needs(&["python3"]) {
            all.push(Marks::of(&mut Target::python("inside.py").spawn()));
        }
        all
    }

    /// The growth from A to B in this form, in a file.
    fn export(&self, format: &str, from: &str, to: &str) -> PathBuf {
        let place = |mark: &str| match mark {
            "start" => mark.to_string(),
            _ => self
                .directory
                .join(format!("{mark}.heapmark"))
                .display()
                .to_string(),
        };
        let file = self.directory.join(format!("{from}-{to}.{format}"));
        let output = file.display().to_string();
        let words = [
            "export",
            "--format",
            format,
            &place(from),
            &place(to),
            "-o",
            &output,
        ];
        let said = talk(&words);
        assert_eq!(String::from_utf8_lossy(&said.stderr), "", "{words:?}");
        file
    }

    fn text(&self, format: &str, from: &str, to: &str) -> String {
        fs::read_to_string(self.export(format, from, to)).expect("text")
    }
}

/// What a program prints of a file.
fn read_by(program: &Path, words: &[&str], file: &Path) -> String {
    let mut command = Command::new(program);
    command
        .args(words)
        .arg(file)
        .env_clear()
        .envs(environment());
    let output = command.stdin(Stdio::null()).output().expect("it starts");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program:?} {words:?}: {stderr}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// The sums of the four columns of `pprof -raw`: allocated blocks and bytes, live or grown blocks and bytes.
fn raw_sums(raw: &str) -> [i64; 4] {
    let samples = raw.split("Samples:\n").nth(1).expect("samples");
    let samples = samples.split("Locations\n").next().expect("locations");
    let mut lines = samples.lines();
    let types = "alloc_objects/count alloc_space/bytes inuse_objects/count inuse_space/bytes[dflt]";
    assert_eq!(lines.next(), Some(types));
    let mut sums = [0; 4];
    // A line of labels follows a sample that has some (pprof's own: which of two profiles it is of).
    for line in lines.filter(|line| !line.contains("pprof::base")) {
        let values = line.split(':').next().expect("values").split_whitespace();
        for (sum, value) in sums.iter_mut().zip(values) {
            *sum += value.parse::<i64>().expect("a number");
        }
    }
    sums
}

/// Check that pprof's columns are what was allocated and what grew, that two profiles from the start subtracted by `-diff_base` say the
/// same growth, and that nothing is left for pprof to symbolize.
#[test]
fn pprof() {
    let Some(go) = go() else { return };
    for marks in Marks::all() {
        let file = marks.export("pprof", "a", "b");
        let raw = read_by(&go, &["tool", "pprof", "-raw"], &file);
        let (total, growth) = (marks.diff.total(), marks.diff.growth());
        let expected = [total.blocks, total.bytes, growth.blocks, growth.bytes];
        assert_eq!(raw_sums(&raw), expected, "{raw}");
        let base = format!(
            "-diff_base={}",
            marks.export("pprof", "start", "a").display()
        );
        let later = marks.export("pprof", "start", "b");
        let raw = read_by(&go, &["tool", "pprof", "-raw", &base], &later);
        assert_eq!(raw_sums(&raw), expected, "{raw}");
        assert!(raw.contains("[FN][FL][LN][IN]"), "{raw}");
    }
}

/// Check pprof's own lines of a program: those that grew and those that shrank, by the numbers that stand in its source.
#[test]
fn pprof_lines() {
    let Some(go) = go() else { return };
    let mut running = Target::c("leak.c").opt("-O0").spawn();
    let expected = running.expected();
    let marks = Marks::of(&mut running);
    let file = marks.export("pprof", "a", "b");
    let words = [
        "tool",
        "pprof",
        "-top",
        "-lines",
        "-unit=B",
        "-nodefraction=0",
    ];
    let top = read_by(&go, &words, &file);
    for one in expected {
        let bytes = one.growth.expect("a growth").bytes;
        let place = format!("{}:{}", one.file, one.line);
        let line = top.lines().find(|line| line.ends_with(&place));
        let flat = line.and_then(|line| line.split_whitespace().next());
        let expected = match bytes {
            0 => None, // what did not grow is no sample of pprof's
            bytes => Some(format!("{bytes}B")),
        };
        assert_eq!(
            flat.filter(|flat| *flat != "0").map(str::to_string),
            expected,
            "{place}\n{top}"
        );
    }
}

/// The numbers at the end of a folded line.
fn numbers(line: &str, count: usize) -> Vec<i64> {
    let numbers = line.rsplitn(count + 1, ' ').take(count);
    numbers
        .map(|number| number.parse().expect("a number"))
        .collect()
}

fn inferno(folded: &str) -> String {
    let mut options = inferno::flamegraph::Options::default();
    options.count_name = "bytes".to_string();
    let mut svg = Vec::new();
    let drawn = inferno::flamegraph::from_lines(&mut options, folded.lines(), &mut svg);
    drawn.expect("inferno reads it");
    String::from_utf8(svg).expect("UTF-8")
}

/// A number with commas, as inferno and ms_print write it.
fn with_commas(number: i64) -> String {
    let digits = number.to_string();
    let groups = digits.as_bytes().rchunks(3).rev();
    let groups: Vec<&str> = groups
        .map(|group| std::str::from_utf8(group).expect("digits"))
        .collect();
    groups.join(",")
}

/// Check that inferno draws a flamegraph of folded stacks, whose root has what was alive, and a differential one of two marks.
#[test]
fn folded() {
    for marks in Marks::native() {
        let live = marks.diff.live_at("to").bytes;
        let once = marks.text("folded", "start", "b");
        assert_eq!(
            once.lines().map(|line| numbers(line, 1)[0]).sum::<i64>(),
            live
        );
        let twice = marks.text("folded", "a", "b");
        let sums = twice.lines().map(|line| numbers(line, 2));
        let sums = sums.fold((0, 0), |sum, pair| (sum.0 + pair[1], sum.1 + pair[0]));
        assert_eq!(sums, (marks.diff.live_at("from").bytes, live));
        let root = format!("<title>all ({} bytes, 100%)</title>", with_commas(live));
        assert!(inferno(&once).contains(&root), "{root}");
        // The root has no difference in inferno's titles; every other box has.
        let drawn = inferno(&twice);
        assert!(drawn.contains(&root), "{root}");
        assert!(drawn.contains("%; "), "{drawn}");
    }
}

/// Check that ms_print has both marks with what was alive, and the innermost lines of the program with theirs.
#[test]
fn massif() {
    if !needs(&["ms_print"]) {
        return;
    }
    let ms_print = found("ms_print").expect("just seen");
    for marks in Marks::all() {
        let printed = read_by(
            &ms_print,
            &["--threshold=0"],
            &marks.export("massif", "a", "b"),
        );
        for (number, end) in [("0", "from"), ("1", "to")] {
            let mut lines = printed
                .lines()
                .map(|line| line.split_whitespace().collect::<Vec<_>>());
            let is_row = |line: &Vec<&str>| line.len() == 6 && line[0] == number;
            let row = lines.find(is_row).expect("a snapshot's row");
            let live = with_commas(marks.diff.live_at(end).bytes);
            assert_eq!((row[2], row[3]), (&*live, &*live), "{printed}");
            let root = format!("100.00% ({live}B) (heap allocation functions)");
            assert!(printed.contains(&root), "{root}\n{printed}");
        }
    }
}

/// Check that ms_print names lines: those of the C program, with what is alive of each.
#[test]
fn massif_lines() {
    if !needs(&["ms_print"]) {
        return;
    }
    let mut running = Target::c("leak.c").opt("-O0").spawn();
    let expected = running.expected();
    let marks = Marks::of(&mut running);
    let ms_print = found("ms_print").expect("just seen");
    let printed = read_by(
        &ms_print,
        &["--threshold=0"],
        &marks.export("massif", "start", "b"),
    );
    for one in expected
        .iter()
        .filter(|one| one.live.is_some_and(|live| live.bytes > 0))
    {
        let bytes = with_commas(one.live.expect("just seen").bytes);
        let (function, file) = (one.function.as_deref().expect("a function"), &one.file);
        let text = format!(": {function} ({file}:{})", one.line);
        let line = printed.lines().find(|line| line.contains(&text));
        let line = line.unwrap_or_else(|| panic!("no {text} in\n{printed}"));
        assert!(line.contains(&format!("({bytes}B) ")), "{line}");
    }
}

/// Check that Graphviz reads the graph: what grew in the functions themselves adds up, and so does what goes into and out of one that
/// allocates nothing.
#[test]
fn dot() {
    if !needs(&["dot"]) {
        return;
    }
    let dot = found("dot").expect("just seen");
    let number =
        |value: &Value| -> i64 { value.as_str().expect("text").parse().expect("a number") };
    for marks in Marks::native() {
        let file = marks.export("dot", "a", "b");
        assert!(read_by(&dot, &["-Tsvg"], &file).contains("</svg>"));
        let json: Value = serde_json::from_str(&read_by(&dot, &["-Tjson"], &file)).expect("JSON");
        let objects = json["objects"].as_array().expect("boxes");
        let own: i64 = objects.iter().map(|one| number(&one["self_bytes"])).sum();
        assert_eq!(own, marks.diff.growth().bytes);
        let is_main = |one: &&Value| {
            let label = one["label"].as_str().unwrap_or_default();
            label.starts_with("main\\n")
        };
        let Some(main) = objects.iter().find(is_main) else {
            continue; // a stripped interpreter
        };
        let edges = json["edges"].as_array().expect("arrows");
        let out = edges.iter().filter(|edge| edge["tail"] == main["_gvid"]);
        let out: i64 = out.map(|edge| number(&edge["growth_bytes"])).sum();
        assert_eq!(
            out + number(&main["self_bytes"]),
            number(&main["growth_bytes"])
        );
    }
}

/// Prints depth, before, after, left, width and name of each box of a flamegraph.
const BOXES: &str = r#"
import sys, xml.etree.ElementTree as tree
svg = "{http://www.w3.org/2000/svg}"
for g in tree.parse(sys.argv[1]).getroot().iter(svg + "g"):
    rect = g.find(svg + "rect")
    words = [g.get("data-depth"), g.get("data-before"), g.get("data-after"), rect.get("x"), rect.get("width"), g.get("data-name")]
    print("\t".join(words))
"#;

/// Check that an XML parser reads our flamegraph, that its root has what was alive at both marks, that children have no more than their
/// parent, and that boxes of one depth lie side by side, as wide as what they hold.
#[test]
fn flamegraph() {
    if !needs(&["python3"]) {
        return;
    }
    let python = found("python3").expect("just seen");
    for marks in Marks::all() {
        let printed = read_by(
            &python,
            &["-c", BOXES],
            &marks.export("flamegraph", "a", "b"),
        );
        let boxes: Vec<Vec<&str>> = printed
            .lines()
            .map(|line| line.split('\t').collect())
            .collect();
        let (from, to) = (
            marks.diff.live_at("from").bytes,
            marks.diff.live_at("to").bytes,
        );
        let whole = [from.to_string(), to.to_string()];
        assert_eq!(
            boxes[0][1..3],
            whole.each_ref().map(String::as_str),
            "{printed}"
        );
        let mut ends: BTreeMap<&str, f64> = BTreeMap::new();
        for one in &boxes {
            let [left, width] = [one[3], one[4]].map(|text| text.parse::<f64>().expect("a number"));
            let after: f64 = one[2].parse().expect("a number");
            let right = 1200.0 * after / to.to_string().parse::<f64>().expect("a number");
            assert!((width - right).abs() < 0.01, "{one:?}");
            let end = ends.entry(one[0]).or_default();
            assert!(left >= *end - 0.02, "{one:?} overlaps");
            *end = left + width;
        }
        let first: Vec<i64> = boxes
            .iter()
            .filter(|one| one[0] == "1")
            .map(|one| one[2].parse().expect("a number"))
            .collect();
        assert_eq!(first.iter().sum::<i64>(), to);
    }
}

/// Check that speedscope's files are by its schema, that its profiles hold what was alive and what was allocated, and that what grew less what
/// shrank is the growth.
#[test]
fn speedscope() {
    let schema = workspace().join("tests/fixtures/speedscope/file-format-schema.json");
    let schema = Schema::read(&fs::read_to_string(schema).expect("the schema"));
    for marks in Marks::all() {
        let json: Value = serde_json::from_str(&marks.text("speedscope", "a", "b")).expect("JSON");
        assert_eq!(schema.broken(&json), Vec::<String>::new());
        let frames = json["shared"]["frames"].as_array().expect("frames").len() as u64;
        let mut ends = Vec::new();
        for profile in json["profiles"].as_array().expect("profiles") {
            let weights = profile["weights"].as_array().expect("weights");
            let samples = profile["samples"].as_array().expect("samples");
            let known = |sample: &Value| {
                let sample = sample.as_array().expect("a stack");
                sample
                    .iter()
                    .all(|frame| frame.as_u64().is_some_and(|frame| frame < frames))
            };
            assert!(samples.len() == weights.len() && samples.iter().all(known));
            let sum: i64 = weights
                .iter()
                .map(|weight| weight.as_i64().expect("a number"))
                .sum();
            assert_eq!(
                (&profile["unit"], &profile["endValue"]),
                (&"bytes".into(), &sum.into())
            );
            ends.push(sum);
        }
        let expected = (
            marks.diff.growth().bytes,
            marks.diff.live_at("to").bytes,
            marks.diff.total().bytes,
        );
        assert_eq!((ends[0] - ends[1], ends[2], ends[3]), expected);
    }
}

/// Sums of the columns of numbers, as CPython reads them, and the number of rows.
const SUMS: &str = r#"
import csv, sys
with open(sys.argv[1], newline="", encoding="utf-8") as file:
    rows = list(csv.DictReader(file))
print(*[sum(int(row[name]) for row in rows) for name in rows[0] if name.endswith(("_bytes", "_blocks"))], len(rows))
"#;

/// Check that CPython's csv module reads every row, and that each column adds up.
#[test]
fn csv() {
    if !needs(&["python3"]) {
        return;
    }
    let python = found("python3").expect("just seen");
    for marks in Marks::all() {
        let printed = read_by(&python, &["-c", SUMS], &marks.export("csv", "a", "b"));
        let numbers: Vec<i64> = printed
            .split_whitespace()
            .map(|n| n.parse().expect("a number"))
            .collect();
        let amounts = [
            marks.diff.growth(),
            marks.diff.live_at("to"),
            marks.diff.total(),
        ];
        let mut expected: Vec<i64> = amounts
            .iter()
            .flat_map(|Amount { bytes, blocks }| [*bytes, *blocks])
            .collect();
        expected.push(marks.diff.rows().len() as i64 + 1);
        assert_eq!(numbers, expected);
    }
}

/// Check the whole Markdown of a C program, and that `--by` and `--top` are heard.
#[test]
fn markdown() {
    let marks = Marks::of(&mut Target::c("leak.c").opt("-O0").spawn());
    let expected = "**heap -3.7 KiB**, +4 blocks: `leak`, `a → b`\n\n\
        | growth | blocks | line | |\n| ---: | ---: | :--- | :--- |\n\
        | +1009 B | +1 | `programs/leak.c:17` | `twice_deep` |\n\
        | +111 B | +3 | `programs/leak.c:8` | `in_loop` |\n\
        | +53 B | +1 | `programs/leak.c:47` | `main` |\n\n\
        2 did not grow: -4.9 KiB · not attributed: 0 B\n";
    assert_eq!(marks.text("markdown", "a", "b"), expected);
    let files =
        ["a.heapmark", "b.heapmark"].map(|name| marks.directory.join(name).display().to_string());
    let words = [
        "export", "--format", "markdown", "--by", "function", "--top", "1", &files[0], &files[1],
    ];
    let printed = String::from_utf8(talk(&words).stdout).expect("UTF-8");
    assert!(
        printed
            .contains("| +1009 B | +1 | `programs/leak.c` | `twice_deep` |\n\n2 more: +164 B · "),
        "{printed}"
    );
}

/// Check that a running process is exported without any file, and that Go's reader has it from a pipe.
#[test]
fn of_a_running_process() {
    let mut running = Target::c("leak.c").spawn();
    running.mark("warm");
    running.step(b"go");
    let pid = running.pid().to_string();
    let output = talk(&["export", "--format", "pprof", "-p", &pid, "warm"]);
    assert_eq!(output.stdout[..2], [0x1f, 0x8b], "a gzip file");
    let output = talk(&["export", "--format", "folded", "-p", &pid, "warm", "now"]);
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(
        text.lines()
            .any(|line| line.ends_with(";in_loop (leak.c:8) 0 111")),
        "{text}"
    );
}

/// Check that of a recording the growth between two instants is exported, to the byte, and that instants of anything else are refused.
#[test]
fn of_a_recording() {
    let mut running = events();
    let recording = Recording::of(running.pid(), &["--lossless"]);
    running.step(b"go");
    let recorded = recording.end();
    let file = recorded.file.to_str().expect("UTF-8");
    let words = ["export", file, "--to", "middle", "--format", "markdown"];
    let printed = String::from_utf8(talk(&words).stdout).expect("UTF-8");
    // 25,150 bytes in 50 blocks.
    assert!(
        printed.starts_with("**heap +24.6 KiB**, +50 blocks: `events`, `begin → middle`\n"),
        "{printed}"
    );
    for command in ["export", "report", "diff"] {
        let format: &[&str] = match command {
            "export" => &["--format", "csv"],
            _ => &[],
        };
        let words = [&[command, "start", "now", "--to", "middle"], format].concat();
        let output = Command::new(heapshim())
            .args(&words)
            .output()
            .expect("it starts");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains("only a recording has instants"), "{said}");
    }
    assert!(running.finish().0.success());
}
