//! What the page knows, as one JSON value: texts, frames, the tree of stacks, what each stack holds, and the lines that are charged.
//!
//! Columns rather than objects, and numbers into the list of texts: a Python server's report has a million frames, most of them the same.
//! The scripts add up what they show from the stacks alone, so that a line, a box and the sum never disagree.

use super::freed;
use super::trie::Trie;
use crate::export::stacks::{Weighed, label, weighed};
use crate::place::Place;
use crate::render::{Labels, View, escape, source_line};
use crate::report::{Amount, Report, Row};
use crate::symbolize::SymbolFrame;
use serde_json::{Value, json};
use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;

/// Stacks that are there one by one, at most: a browser has them at once. The rest is one stack, with its sum.
pub(super) const MOST_STACKS: usize = 50_000;
/// Frames whose source text is there, heaviest stacks first: nobody opens more, and each is a file's line to look up.
const MOST_SOURCES: usize = 3_000;

/// Texts, each once; number 0 is the empty one.
struct Texts {
    numbers: HashMap<String, u32>,
    all: Vec<String>,
}

impl Texts {
    fn new() -> Texts {
        let mut texts = Texts {
            numbers: HashMap::new(),
            all: Vec::new(),
        };
        texts.number("");
        texts
    }

    fn number(&mut self, text: &str) -> u32 {
        if let Some(&number) = self.numbers.get(text) {
            return number;
        }
        let number = count(self.all.len());
        self.all.push(text.to_string());
        self.numbers.insert(text.to_string(), number);
        number
    }
}

fn count(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}

/// Frames, each once: columns of texts' numbers.
#[derive(Default)]
struct Frames {
    numbers: HashMap<(u32, u32, u32), u32>,
    labels: Vec<u32>,
    files: Vec<u32>,
    reasons: Vec<u32>,
    sources: Vec<u32>,
}

impl Frames {
    fn number(&mut self, frame: &SymbolFrame, texts: &mut Texts, view: &View<'_>) -> u32 {
        let shown = texts.number(&label(frame));
        let place = frame.file.as_ref().or(frame.module.as_ref());
        let file = texts.number(&place.map(|path| escape(path)).unwrap_or_default());
        let key = (shown, file, frame.line.unwrap_or(0));
        if let Some(&number) = self.numbers.get(&key) {
            return number;
        }
        let number = count(self.labels.len());
        let reason = frame
            .reason
            .as_ref()
            .map(|reason| escape(&reason.to_string()));
        let source = match (&frame.file, frame.line) {
            (Some(file), Some(line)) if self.labels.len() < MOST_SOURCES => {
                view.sources.line(file, line)
            }
            _ => None,
        };
        self.labels.push(shown);
        self.files.push(file);
        self.reasons.push(texts.number(&reason.unwrap_or_default()));
        let source = source.map(|line| source_line(&line)).unwrap_or_default();
        self.sources.push(texts.number(&source));
        self.numbers.insert(key, number);
        number
    }
}

/// The lines that are charged.
#[derive(Default)]
struct Lines {
    numbers: HashMap<Option<Place>, u32>,
    places: Vec<u32>,
    frames: Vec<u32>,
    vias: Vec<u32>,
}

/// What each stack holds, in columns.
#[derive(Default)]
struct Columns {
    node: Vec<u32>,
    line: Vec<u32>,
    growth: Vec<i64>,
    blocks: Vec<i64>,
    live: Vec<i64>,
    total: Vec<i64>,
    allocations: Vec<i64>,
}

/// All of it while it is gathered; the stacks that `nodes` knows by address outlive it.
struct Gathered<'a> {
    view: &'a View<'a>,
    labels: Labels,
    texts: Texts,
    frames: Frames,
    /// The numbers of a node's frames, by its address: a million frames are looked at once each, and each text made once.
    nodes: HashMap<*const SymbolFrame, Vec<u32>>,
    lines: Lines,
    freed: freed::Lines,
    trie: Trie,
    columns: Columns,
}

/// The page's data: of a report by stack, so many of which, the heaviest, are there one by one.
pub(super) fn data(report: &Report, view: &View<'_>, most: usize) -> Value {
    let files = report.rows.iter().filter_map(|row| row.file.as_deref());
    let files = files.chain(files_that_freed(report));
    let mut gathered = Gathered {
        view,
        labels: Labels::new(files, view.current_dir),
        texts: Texts::new(),
        frames: Frames::default(),
        nodes: HashMap::new(),
        lines: Lines::default(),
        freed: freed::Lines::default(),
        trie: Trie::new(),
        columns: Columns::default(),
    };
    let mut all: Vec<(Weighed, Option<&Row>)> = weighed(report)
        .into_iter()
        .enumerate()
        .map(|(at, one)| (one, report.rows.get(at)))
        .collect();
    all.sort_by_key(|(one, _)| Reverse((one.growth.bytes.unsigned_abs(), one.live.bytes)));
    let small = all.split_off(all.len().min(most));
    for (one, row) in &all {
        gathered.add(one, *row);
    }
    gathered.add_small(&small);
    gathered.finish(report)
}

/// Files of lines that freed: each account once, however many stacks have it.
fn files_that_freed(report: &Report) -> impl Iterator<Item = &str> {
    let mut met = HashSet::new();
    let accounts = report.rows.iter().filter_map(|row| row.freed.as_ref());
    let accounts = accounts.filter(move |freed| met.insert(Rc::as_ptr(freed)));
    let each = accounts.flat_map(|freed| freed::shown(freed));
    each.filter_map(|one| one.by.file.as_deref())
}

impl Gathered<'_> {
    fn add(&mut self, one: &Weighed, row: Option<&Row>) {
        let mut frames = Vec::new();
        for node in one.stack.nodes() {
            let numbers = self.nodes.entry(node.as_ptr()).or_insert_with(|| {
                let each = node.iter();
                each.map(|frame| self.frames.number(frame, &mut self.texts, self.view))
                    .collect()
            });
            frames.extend_from_slice(numbers);
        }
        let blamed = row.map_or(0, |row| row.blamed);
        let blamed = frames.get(blamed).copied().unwrap_or(0);
        let line = self.line(row, blamed);
        self.freed.add(line, row.and_then(|row| row.freed.as_ref()));
        let node = self.trie.node(frames.into_iter().rev());
        self.push(node, line, [one.growth, one.live, one.total]);
    }

    fn line(&mut self, row: Option<&Row>, frame: u32) -> u32 {
        let place = row.map(Place::of);
        if let Some(&number) = self.lines.numbers.get(&place) {
            return number;
        }
        let shown = match &place {
            Some(place) => {
                let file = place.file().map_or("", |file| self.labels.of(file));
                self.texts.number(&escape(&place.shown(file)))
            }
            None => self.frames.labels[frame as usize],
        };
        let via = row.and_then(|row| row.via.as_deref());
        let via = self.texts.number(&via.map(escape).unwrap_or_default());
        let number = count(self.lines.places.len());
        self.lines.numbers.insert(place, number);
        self.lines.places.push(shown);
        self.lines.frames.push(frame);
        self.lines.vias.push(via);
        number
    }

    fn push(&mut self, node: u32, line: u32, [growth, live, total]: [Amount; 3]) {
        let columns = &mut self.columns;
        columns.node.push(node);
        columns.line.push(line);
        columns.growth.push(growth.bytes);
        columns.blocks.push(growth.blocks);
        columns.live.push(live.bytes);
        columns.total.push(total.bytes);
        columns.allocations.push(total.blocks);
    }

    /// What there were too many of, as one stack.
    fn add_small(&mut self, small: &[(Weighed, Option<&Row>)]) {
        if small.is_empty() {
            return;
        }
        let name = format!("[{} smaller stacks]", small.len());
        let text = self.texts.number(&name);
        let frame = count(self.frames.labels.len());
        self.frames.labels.push(text);
        for column in [
            &mut self.frames.files,
            &mut self.frames.reasons,
            &mut self.frames.sources,
        ] {
            column.push(0);
        }
        let line = count(self.lines.places.len());
        self.lines.places.push(text);
        self.lines.frames.push(frame);
        self.lines.vias.push(0);
        let node = self.trie.node([frame]);
        let sum = |of: fn(&Weighed) -> Amount| small.iter().map(|(one, _)| of(one)).sum();
        let sums = [
            sum(|one| one.growth),
            sum(|one| one.live),
            sum(|one| one.total),
        ];
        self.push(node, line, sums);
    }

    /// Who freed what, with names as the lines have them.
    fn freed(&mut self) -> Value {
        let (texts, labels) = (&mut self.texts, &self.labels);
        self.freed.json(|place, function| {
            let file = place.file().map_or("", |file| labels.of(file));
            let place = texts.number(&escape(&place.shown(file)));
            [place, texts.number(&escape(function.unwrap_or_default()))]
        })
    }

    fn finish(mut self, report: &Report) -> Value {
        let freed = self.freed();
        let order = self.trie.preorder();
        let columns = self.columns;
        let node = columns.node.iter();
        let node: Vec<u32> = node.map(|&node| order.places[node as usize]).collect();
        json!({
            "texts": self.texts.all,
            "frames": {"label": self.frames.labels, "file": self.frames.files, "reason": self.frames.reasons, "source": self.frames.sources},
            "nodes": {"depth": order.depths, "frame": order.frames},
            "lines": {"place": self.lines.places, "frame": self.lines.frames, "via": self.lines.vias, "freed": freed},
            "stacks": {"node": node, "line": columns.line, "growth": columns.growth, "blocks": columns.blocks, "live": columns.live,
                "total": columns.total, "allocations": columns.allocations},
            "growth": report.growth.bytes,
            "live": report.to.live.bytes,
        })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::export::stacks::tests::report;
    use crate::fixture::{Random, amount, c_frame};

    fn column(data: &Value, name: &str) -> Vec<i64> {
        let all = data["stacks"][name].as_array().expect("a column");
        all.iter().map(|n| n.as_i64().expect("a number")).collect()
    }

    /// Check that the stacks are the report's growth and what is alive, the unattributed included, and the line and text of one.
    #[test]
    fn adds_up() {
        let report = report();
        let data = data(&report, &View::default(), MOST_STACKS);
        let sum = |name: &str| column(&data, name).iter().sum::<i64>();
        assert_eq!(sum("growth"), report.growth.bytes);
        assert_eq!(sum("blocks"), report.growth.blocks);
        assert_eq!(sum("live"), report.to.live.bytes);
        let text = |number: &Value| {
            let at = usize::try_from(number.as_u64().unwrap()).unwrap();
            data["texts"][at].as_str().unwrap().to_string()
        };
        let first = usize::try_from(column(&data, "line")[0]).unwrap();
        assert_eq!(
            text(&data["lines"]["place"][first]),
            "aiohttp/web_response.py:56"
        );
        let places = data["lines"]["place"].as_array().unwrap();
        assert!(
            places
                .iter()
                .any(|number| text(number) == "[not attributed]")
        );
    }

    /// A report of so many stacks of up to sixty frames, of ten thousand functions, that share their outer frames.
    pub(in crate::report_page) fn large(stacks: usize) -> Report {
        let mut report = report();
        let mut random = Random(7);
        let model = report.rows[0].clone();
        report.rows.clear();
        for _ in 0..stacks {
            let mut frames = Vec::new();
            let (family, depth) = (random.below(400), 20 + random.below(40));
            for level in 0..depth {
                let shared = level < 15;
                let number = if shared {
                    family * 20 + level
                } else {
                    random.below(2_000)
                };
                let name = format!("namespace::function_{number}");
                let file = format!("/src/part{}/file{}.cc", number % 17, number % 300);
                frames.push(c_frame(&name, &file, u32::try_from(number).unwrap()));
            }
            frames.reverse();
            let mut row = model.clone();
            row.stack = frames.into();
            row.blamed = 0;
            row.growth = amount(i64::try_from(random.below(100_000)).unwrap(), 3);
            row.live = row.growth;
            report.rows.push(row);
        }
        report
    }

    /// Check that past the limit small stacks are one, and that the sum stays.
    #[test]
    fn many_stacks() {
        let report = large(1_011);
        let data = data(&report, &View::default(), 1_000);
        let growth = column(&data, "growth");
        assert_eq!(growth.len(), 1_001);
        let expected: i64 = report.rows.iter().map(|row| row.growth.bytes).sum();
        assert_eq!(
            growth.iter().sum::<i64>(),
            expected + report.unattributed.growth.bytes
        );
        let texts = data["texts"].to_string();
        assert!(texts.contains("smaller stacks]"));
    }
}
