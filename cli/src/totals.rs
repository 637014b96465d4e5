//! Tests only: whatever the options are, the rows of a report, with what is in none, add up to the growth.
//!
//! Every combination of `--by`, `--sort`, `--blame`, `--cumulative`, `--include` or `--exclude`, and `--skip`, each on marks that no other one has had, and
//! of each report every view: `--top`, `--all`, and the three formats. What is added up is the printed text, as a reader would: in JSON
//! exactly; in the table, and in `tracemalloc`'s lines, to what rounding can have taken from or given to each of the printed numbers.

use crate::blame::{Mode, Table};
use crate::diff::{From, Options, diff};
use crate::fixture::{Random, c_frame, cpp_frame, module_frame, python_snapshot};
use crate::model::{Frame, FrameKind, Snapshot};
use crate::render::{self, Json, Render, Tracemalloc, View};
use crate::report::{By, Report, Sort};
use crate::symbolize::{self, SymbolFrame, Symbolizer};
use serde_json::Value;

const BY: [By; 6] = [
    By::Line,
    By::Function,
    By::File,
    By::Module,
    By::Stack,
    By::Thread,
];

const SORT: [Sort; 5] = [
    Sort::Growth,
    Sort::Blocks,
    Sort::Live,
    Sort::Total,
    Sort::Allocations,
];

const MODE: [Mode; 4] = [Mode::App, Mode::Innermost, Mode::Native, Mode::Python];

/// What is included, and what is excluded.
const FILTERS: [(&[&str], &[&str]); 4] = [
    (&[], &[]),
    (&["*/cache.*", "main"], &[]),
    (&[], &["put", "*.py"]),
    (&["*server*", "*.py"], &["*/app.py"]),
];

const TOP: [Option<usize>; 4] = [None, Some(0), Some(1), Some(3)];

/// Addresses of the first module of which something is known, and one of which nothing is.
const ADDRESSES: [u64; 5] = [0x1100, 0x1200, 0x1300, 0x1400, 0x1500];

/// Nodes and sites beside those that the fixture has.
const MORE: usize = 12;

fn symbolizer(snapshot: &Snapshot) -> Symbolizer {
    let mut symbolizer = Symbolizer::new(symbolize::Options::default());
    let inlined = SymbolFrame {
        inlined: true,
        ..cpp_frame("Cache::put", "/src/cache.cc", 9)
    };
    let places = [
        vec![c_frame("main", "/src/main.c", 7)],
        vec![inlined, cpp_frame("serve", "/src/serve.cc", 30)],
        vec![c_frame("xmalloc", "/src/memory.c", 3)],
        vec![module_frame("lookup", "/usr/lib/libfoo.so.3")],
    ];
    for (address, frames) in ADDRESSES.into_iter().zip(&places) {
        symbolizer.teach(&snapshot.modules[0], address, frames);
    }
    let list = c_frame("pair_list_new", "/src/_pair_list.c", 150);
    symbolizer.teach(&snapshot.modules[1], 0x9100, &[list]);
    symbolizer
}

/// One of a list.
fn any<T: Copy>(random: &mut Random, list: &[T]) -> T {
    list[random.below(list.len())]
}

/// A node below one that is there: any that is not itself an end.
fn node(random: &mut Random, frames: &[Frame]) -> Frame {
    let kinds = [
        FrameKind::Native,
        FrameKind::Native,
        FrameKind::Python,
        FrameKind::Thread,
        FrameKind::Truncated,
        FrameKind::Nested,
        FrameKind::Unknown,
    ];
    let kind = any(random, &kinds);
    let is_outermost = matches!(
        kind,
        FrameKind::Thread | FrameKind::Truncated | FrameKind::Nested
    );
    let parent = if is_outermost {
        0
    } else {
        random.below(frames.len())
    };
    let native = kind == FrameKind::Native;
    Frame {
        parent: u32::try_from(parent).unwrap(),
        kind,
        module: native.then(|| u32::try_from(random.below(2)).unwrap()),
        value: match kind {
            FrameKind::Native => any(random, &ADDRESSES),
            FrameKind::Python => ((random.next() % 4) << 32) | (random.next() % 9),
            FrameKind::Thread => random.next() % 3,
            _ => 1 + random.next() % 4,
        },
    }
}

/// A process, in which something was allocated at most sites, and some of it freed.
fn grown(random: &mut Random, identity: u64) -> Snapshot {
    let mut snapshot = python_snapshot(identity);
    snapshot.threads = vec!["main".to_string(), "worker".to_string()];
    for _ in 0..MORE {
        let node = node(random, &snapshot.frames);
        snapshot.frames.push(node);
        let mut site = snapshot.sites[0];
        site.frame = u32::try_from(snapshot.frames.len() - 1).unwrap();
        snapshot.sites.push(site);
    }
    later(random, &snapshot)
}

/// The same process later.
fn later(random: &mut Random, earlier: &Snapshot) -> Snapshot {
    let mut snapshot = earlier.clone();
    for site in &mut snapshot.sites[1..] {
        let held = &mut site.counters;
        // Sizes of all magnitudes, so that every unit is printed.
        let most = 1_usize << (1 + random.below(30));
        for _ in 0..random.below(4) {
            held.allocated_blocks += 1;
            held.allocated_bytes += random.below(most) as u64;
        }
        if random.below(3) == 0 {
            (held.freed_blocks, held.freed_bytes) = (held.allocated_blocks, held.allocated_bytes);
        }
    }
    snapshot
}

/// From which moment on.
#[derive(Clone, Copy)]
enum Since {
    Start,
    Mark,
    OtherProcess,
}

fn report(random: &mut Random, options: &Options) -> Report {
    let since = [Since::Start, Since::Mark, Since::OtherProcess];
    let (first, other) = (grown(random, 1), grown(random, 2));
    let mut symbolizer = symbolizer(&first);
    let last = later(random, &first);
    let from = match any(random, &since) {
        Since::Start => From::Start,
        Since::Mark => From::Mark(&first),
        Since::OtherProcess => From::Mark(&other),
    };
    diff(from, &last, &mut symbolizer, options)
}

fn printed(format: &dyn Render, report: &Report, top: Option<usize>, all: bool) -> String {
    let view = View {
        top,
        all,
        ..View::default()
    };
    let mut out = Vec::new();
    format.render(report, &view, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

/// Sums of what JSON says: of both growths, rows and rest against the whole, and the whole against its ends.
fn assert_json_adds_up(text: &str, is_cumulative: bool) {
    let json: Value = serde_json::from_str(text).unwrap();
    for unit in ["bytes", "blocks"] {
        let number = |value: &Value, name: &str| value[format!("{name}_{unit}")].as_i64().unwrap();
        let whole = number(&json, "growth");
        let ends = number(&json["to"], "live") - number(&json["from"], "live");
        assert_eq!(whole, ends, "{text}");
        let rows = json["rows"].as_array().unwrap().iter();
        let rows: i64 = rows.map(|row| number(row, "growth")).sum();
        let rest = number(&json["unattributed"], "growth");
        assert!(
            is_cumulative || rows + rest == whole,
            "{rows} + {rest}: {text}"
        );
    }
}

/// A printed size, and by how much rounding may have changed it.
#[derive(Clone, Copy, Default)]
struct Printed {
    bytes: f64,
    slack: f64,
}

impl Printed {
    /// `+1.2 KiB`, `12 KiB`, `0 B`.
    fn read(text: &str) -> Printed {
        Printed::parse(text).unwrap_or_else(|| panic!("{text:?} is no size"))
    }

    fn parse(text: &str) -> Option<Printed> {
        let (number, unit) = text.trim().split_once(' ')?;
        let names = ["B", "KiB", "MiB", "GiB", "TiB"];
        let power = names.iter().position(|name| *name == unit)?;
        let one = 1024_f64.powi(i32::try_from(power).unwrap());
        let step = match number.split_once('.') {
            Some(_) => one / 10.0,
            None if power > 0 => one,
            None => 0.0,
        };
        Some(Printed {
            bytes: number.parse::<f64>().ok()? * one,
            slack: step / 2.0,
        })
    }

    fn sum(all: impl IntoIterator<Item = Printed>) -> Printed {
        all.into_iter()
            .fold(Printed::default(), |sum, one| Printed {
                bytes: sum.bytes + one.bytes,
                slack: sum.slack + one.slack,
            })
    }

    fn is(self, other: Printed) -> bool {
        // A byte more, for what the arithmetic of this test takes itself.
        (self.bytes - other.bytes).abs() <= self.slack + other.slack + 1.0
    }
}

/// The first two words of a line: its first size.
fn first_size(line: &str) -> String {
    let words: Vec<&str> = line.split_whitespace().take(2).collect();
    words.join(" ")
}

/// Sums of what the table says: rows, 'more', 'shrank', 'not attributed' and 'left out' against the growth in its head.
fn assert_table_adds_up(text: &str, is_cumulative: bool) {
    let lines: Vec<&str> = text.lines().collect();
    let head = lines.iter().find_map(|line| line.strip_prefix("heap "));
    let whole = Printed::read(&first_size(head.unwrap()));
    let (closing, above) = lines.split_last().unwrap();
    if is_cumulative {
        assert!(closing.contains("cumulative: "), "{text}");
        return;
    }
    let begin = above
        .iter()
        .position(|line| line.trim().starts_with("growth "));
    let rows = begin.map_or(&[][..], |at| &above[at + 1..]);
    let rows = rows
        .iter()
        .filter_map(|line| Printed::parse(&first_size(line)));
    let rest = closing.split(" · ").map(|part| {
        let (_, size) = part.split_once(": ").unwrap();
        Printed::read(&first_size(size))
    });
    let sum = Printed::sum(rows.chain(rest));
    assert!(
        sum.is(whole),
        "{} is not {}:\n{text}",
        sum.bytes,
        whole.bytes
    );
}

/// `/a.py:3: size=12.5 KiB (+12.5 KiB), count=3 (+3), average=4267 B`
fn assert_tracemalloc_adds_up(text: &str, report: &Report) {
    let lines = text.lines().filter_map(|line| line.split_once(": size="));
    let mut bytes = Vec::new();
    let mut blocks = 0;
    for (_, rest) in lines {
        let mut signed = rest.split('(').skip(1);
        let mut next = || signed.next().unwrap().split_once(')').unwrap().0;
        bytes.push(Printed::read(next()));
        blocks += next().parse::<i64>().unwrap();
    }
    if !report.cumulative && !report.filtered {
        let sum = Printed::sum(bytes);
        let whole = format!("{} B", report.growth.bytes);
        assert!(
            sum.is(Printed::read(&whole)),
            "{} is not {whole}:\n{text}",
            sum.bytes
        );
        assert_eq!(blocks, report.growth.blocks, "{text}");
    }
}

fn check(random: &mut Random, options: &Options) {
    let report = report(random, options);
    for (top, all) in TOP.into_iter().flat_map(|top| [(top, false), (top, true)]) {
        let table = printed(&render::Table, &report, top, all);
        assert_table_adds_up(&table, options.cumulative);
    }
    let json = printed(&Json, &report, None, false);
    assert_json_adds_up(&json, options.cumulative);
    let lines = printed(&Tracemalloc, &report, Some(0), true);
    assert_tracemalloc_adds_up(&lines, &report);
}

/// Every combination of the options that decide what is a row and what is in it.
fn combinations() -> impl Iterator<Item = Options> {
    let tables = [Table::default(), Table::default().skip("*cache*")];
    let rows = BY.into_iter().flat_map(|by| SORT.map(|sort| (by, sort)));
    let charged = rows.flat_map(|(by, sort)| MODE.map(|mode| (by, sort, mode)));
    let filtered = charged.flat_map(|rows| FILTERS.map(|filters| (rows, filters)));
    let flags = [(false, false), (false, true), (true, false), (true, true)];
    let all = filtered.flat_map(move |one| flags.map(|flags| (one, flags)));
    all.map(
        move |(((by, sort, mode), (include, exclude)), (skips, cumulative))| {
            let owned = |texts: &[&str]| texts.iter().map(ToString::to_string).collect();
            Options {
                by,
                sort,
                mode,
                table: tables[usize::from(skips)].clone(),
                cumulative,
                include: owned(include),
                exclude: owned(exclude),
            }
        },
    )
}

/// Check that the printed numbers add up, whatever was asked for and whatever was allocated.
#[test]
fn every_combination_adds_up() {
    let mut random = Random(2026);
    let mut count = 0;
    for options in combinations() {
        check(&mut random, &options);
        count += 1;
    }
    assert_eq!(count, 6 * 5 * 4 * 4 * 2 * 2);
}
