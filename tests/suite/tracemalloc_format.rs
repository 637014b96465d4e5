//! `--format tracemalloc` prints what CPython itself would print of the same numbers.
//!
//! The oracle is `tracemalloc.StatisticDiff` of the machine's own CPython: its `str()`, the order that `compare_to` sorts by, and
//! `traceback.format()`.

use heapshim_cli::blame::Mode;
use heapshim_cli::model::{Moment, Process};
use heapshim_cli::render::{Render, Sources, Tracemalloc, View};
use heapshim_cli::report::{Amount, By, End, Report, Row, Sort, Unattributed};
use heapshim_cli::symbolize::{Language, Options, SymbolFrame};
use heapshim_tests::{found, fresh_directory, needs};
use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Command, Stdio};

/// Reads statistics, a line each: size, its difference, count, its difference, frames from the oldest on.
const ORACLE: &str = r#"
import sys, tracemalloc as t
by = sys.argv[1]
statistics = []
for line in sys.stdin:
    size, size_diff, count, count_diff, *frames = line.rstrip("\n").split("\t")
    frames = [f.rsplit(":", 1) for f in frames]
    frames = tuple((name, 0 if by == "file" else int(number)) for name, number in reversed(frames))
    numbers = map(int, (size, size_diff, count, count_diff))
    statistics.append(t.StatisticDiff(t.Traceback(frames), *numbers))
statistics.sort(reverse=True, key=t.StatisticDiff._sort_key)
for statistic in statistics:
    print(statistic)
    if by == "stack":
        print("\n".join(statistic.traceback.format()))
"#;

/// Statistics of each test.
const COUNT: usize = 5000;

/// Numbers that repeat: xorshift.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// Below 2 to a power that is drawn first, so that every unit is met; often a round number, where rounding is decided.
    fn number(&mut self, most_bits: u64) -> i64 {
        let bits = self.next() % most_bits;
        let number = (self.next() % (1 << bits)).cast_signed();
        let round = 1 << (self.next() % 12);
        if self.next().is_multiple_of(3) {
            number / round * round
        } else {
            number
        }
    }

    fn signed(&mut self, most_bits: u64) -> i64 {
        let number = self.number(most_bits);
        if self.next().is_multiple_of(2) {
            -number
        } else {
            number
        }
    }
}

/// A source of 1,000 lines, some blank, some indented: of our own, since the system's are replaced when it is updated meanwhile.
fn source() -> String {
    let line = |number: usize| match number % 4 {
        0 => "\n".to_string(),
        1 => format!("    kept.append({number})\n"),
        2 => format!("\tnaïve = {number}  \n"),
        _ => format!("line_{number}()\n"),
    };
    let file = fresh_directory("source").join("module.py");
    let text: String = (1..=1000).map(line).collect();
    std::fs::write(&file, text).expect("a source");
    file.to_str().expect("UTF-8").to_string()
}

fn frame(random: &mut Random, source: &str) -> SymbolFrame {
    let names = [
        source,
        "app.py",
        "<frozen importlib._bootstrap>",
        "/srv/é.py",
    ];
    let name = names[usize::try_from(random.next() % 4).unwrap_or(0)];
    SymbolFrame {
        file: Some(name.to_string()),
        line: u32::try_from(random.next() % 2000 + 1).ok(),
        function: Some("f".to_string()),
        module: None,
        address: 0,
        language: Language::Python,
        reason: None,
        inlined: false,
        wrapper: false,
    }
}

fn row(random: &mut Random, source: &str) -> Row {
    let depth = random.next() % 5 + 1;
    let stack: Vec<SymbolFrame> = (0..depth).map(|_| frame(random, source)).collect();
    let blamed = stack[0].clone();
    // Few sizes and counts, so that later keys of the order decide, too.
    let few = random.next().is_multiple_of(4);
    let bits = if few { 2 } else { 50 };
    let amount = |bytes, blocks| Amount { bytes, blocks };
    Row {
        file: blamed.file,
        line: blamed.line,
        function: None,
        module: None,
        language: Language::Python,
        via: None,
        thread: None,
        growth: amount(random.signed(bits), random.signed(bits.min(20))),
        live: amount(random.number(bits), random.number(bits.min(20))),
        total: Amount::default(),
        errors: None,
        survivors: None,
        temporary: None,
        distribution: None,
        freed: None,
        stack: stack.into(),
        blamed: 0,
    }
}

fn end(live: Amount) -> End {
    let moment = Moment {
        name: String::new(),
        unix_ns: 0,
        rss_bytes: 0,
        resident: None,
        exact: true,
        in_flight: 0,
        lost_events: 0,
    };
    End {
        moment,
        live,
        rss: None,
    }
}

fn report(by: By, rows: Vec<Row>) -> Report {
    Report {
        target: Process {
            pid: 1,
            identity: 1,
            name: String::new(),
            exe: String::new(),
            cmdline: Vec::new(),
            directory: String::new(),
            exit: None,
            start_unix_ns: 0,
        },
        two_processes: false,
        merged: None,
        peak_rss: None,
        temporary_within: None,
        peak_bytes: 0,
        from: end(Amount::default()),
        to: end(rows.iter().map(|row| row.live).sum()),
        growth: Amount::default(),
        sample_bytes: None,
        partly: None,
        errors: None,
        survivors: None,
        temporary: None,
        distribution: None,
        notes: Vec::new(),
        unattributed: Unattributed::default(),
        by,
        mode: Mode::Python,
        cumulative: false,
        filtered: false,
        sort: Sort::Growth,
        rows,
    }
}

fn ours(report: &Report) -> String {
    let sources = Sources::new(&Options::default(), None);
    let view = View {
        top: Some(0),
        sources: &sources,
        ..View::default()
    };
    let mut out = Vec::new();
    Tracemalloc
        .render(report, &view, &mut out)
        .expect("written to memory");
    String::from_utf8(out).expect("UTF-8")
}

fn tracemallocs(report: &Report) -> String {
    let mut input = String::new();
    for row in &report.rows {
        let (live, growth) = (row.live, row.growth);
        let numbers = [live.bytes, growth.bytes, live.blocks, growth.blocks].map(|n| n.to_string());
        input.push_str(&numbers.join("\t"));
        let whole = report.by == By::Stack;
        let mut frames = row.stack.to_vec();
        frames.truncate(if whole { frames.len() } else { 1 });
        for frame in frames.iter().rev() {
            let (file, line) = (frame.file.as_deref(), frame.line);
            let _ = write!(
                input,
                "\t{}:{}",
                file.unwrap_or_default(),
                line.unwrap_or(0)
            );
        }
        input.push('\n');
    }
    let python = found("python3").expect("python3 is there");
    let mut child = Command::new(python)
        .args(["-c", ORACLE, report.by.as_str()])
        .env("PYTHONUTF8", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 starts");
    let mut stdin = child.stdin.take().expect("a piped stdin");
    stdin
        .write_all(input.as_bytes())
        .expect("it reads all of it");
    drop(stdin);
    let output = child.wait_with_output().expect("its output");
    assert!(output.status.success());
    String::from_utf8(output.stdout).expect("UTF-8")
}

fn check(by: By) {
    if !needs(&["python3"]) {
        return;
    }
    let source = source();
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let is_something = |row: &Row| (row.live, row.growth) != (Amount::default(), Amount::default());
    let rows = (0..COUNT)
        .map(|_| row(&mut random, &source))
        .filter(is_something);
    let mut report = report(by, rows.collect());
    if by == By::File {
        report.rows.iter_mut().for_each(|row| row.line = None);
    }
    let (ours, theirs) = (ours(&report), tracemallocs(&report));
    for (at, (ours, theirs)) in ours.lines().zip(theirs.lines()).enumerate() {
        assert_eq!(ours, theirs, "line {}", at + 1);
    }
    assert_eq!(ours.lines().count(), theirs.lines().count());
    let sources = ours
        .lines()
        .filter(|line| line.contains("kept.append("))
        .count();
    assert_eq!(sources > 0, by == By::Stack, "{sources} source lines");
}

/// Check thousands of lines: sizes in every unit, signs, averages, order.
#[test]
fn lines() {
    check(By::Line);
}

/// Check files, whose line is 0.
#[test]
fn files() {
    check(By::File);
}

/// Check stacks: the line of the oldest frame, then the whole traceback, with source lines where there is a source.
#[test]
fn stacks() {
    check(By::Stack);
}
