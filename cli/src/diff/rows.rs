//! Changes gathered into rows: the part of a diff that knows what users look at.
//!
//! Called by `diff`. Each change is blamed on a frame; what that frame is to the user's `--by` is the row's key. The stack of a
//! row is symbolized whole only at the end, and only the heaviest one: `blame` needs a few frames of most stacks.

use super::Options;
use super::change::Change;
use super::filter::Filter;
use crate::blame::{self, Blamed};
use crate::report::{Amount, By, Row, Sort, Unattributed};
use crate::symbolize::{Language, SymbolFrame, Symbolizer};
use std::cmp::Reverse;
use std::collections::HashMap;

/// What rows are told apart by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    Line(String, u32),
    /// No line is known: an address of a module, or one in no module.
    Address(Option<String>, u64),
    Function(String, String),
    File(String),
    Module(Option<String>),
    Stack(Vec<SymbolFrame>),
    /// None: no thread is known.
    Thread(Option<String>),
}

/// A row while it is gathered.
#[derive(Debug)]
struct Gathered<'a> {
    growth: Amount,
    live: Amount,
    total: Amount,
    /// The heaviest change so far among those that grew, and among those that did not.
    heaviest: [Option<(Change<'a>, Blamed)>; 2],
}

/// The rows while they are gathered.
#[derive(Debug)]
pub(super) struct Rows<'a> {
    options: &'a Options,
    filter: Filter,
    by_key: HashMap<Key, usize>,
    gathered: Vec<Gathered<'a>>,
    unattributed: Unattributed,
}

impl<'a> Rows<'a> {
    pub(super) fn new(options: &'a Options) -> Rows<'a> {
        Rows {
            options,
            filter: Filter::new(options),
            by_key: HashMap::new(),
            gathered: Vec::new(),
            unattributed: Unattributed::default(),
        }
    }

    /// Charges a change to its row, or to nobody.
    pub(super) fn add(&mut self, change: Change<'a>, symbolizer: &mut Symbolizer) {
        let mut charged = self.charged(&change, symbolizer);
        if charged.is_empty() {
            self.unattributed.growth += change.growth;
            self.unattributed.total += change.total;
            return;
        }
        charged.retain(|blamed| self.filter.passes(&blamed.frame));
        if charged.is_empty() {
            self.unattributed.growth += change.growth;
            self.unattributed.total += change.total;
            self.unattributed.excluded += change.growth;
        }
        let mut rows = Vec::new();
        for blamed in charged {
            let key = self.key(&change, &blamed, symbolizer);
            let next = self.gathered.len();
            let at = *self.by_key.entry(key).or_insert(next);
            if at == next {
                self.gathered.push(Gathered::new());
            }
            // A function that calls itself has its block once.
            if !rows.contains(&at) {
                rows.push(at);
                self.gathered[at].add(change, blamed);
            }
        }
    }

    /// The frames to charge: one, or with `--cumulative` all of the stack's; none where the stack is not known well enough.
    fn charged(&self, change: &Change<'a>, symbolizer: &mut Symbolizer) -> Vec<Blamed> {
        let (table, mode) = (&self.options.table, self.options.mode);
        if self.options.cumulative {
            let stack = symbolizer.stack(change.snapshot, change.frame);
            let all = mode.all(table, &stack).into_iter();
            let all: Vec<Blamed> = all.map(|frame| Blamed { frame, via: None }).collect();
            if !all.is_empty() {
                return all;
            }
        }
        let blamed = self.blame(change, symbolizer);
        let blamed = blamed.or_else(|| self.of_thread(change, symbolizer));
        blamed.into_iter().collect()
    }

    /// Whose thread it is may be known where it is not known whose line.
    fn of_thread(&self, change: &Change<'a>, symbolizer: &mut Symbolizer) -> Option<Blamed> {
        let snapshot = change.snapshot;
        let known = self.options.by == By::Thread && snapshot.thread(change.frame).is_some();
        let innermost = snapshot.nodes(change.frame).next().filter(|_| known)?;
        let frame = symbolizer.node(snapshot, innermost).first()?.clone();
        Some(Blamed { frame, via: None })
    }

    fn blame(&self, change: &Change<'a>, symbolizer: &mut Symbolizer) -> Option<Blamed> {
        let (snapshot, table, mode) = (change.snapshot, &self.options.table, self.options.mode);
        let python = mode.prefers_python().then(|| {
            let all = snapshot.nodes(change.frame);
            let is_python = |&node: &u32| {
                let frame = snapshot.frames.get(node as usize);
                frame.is_some_and(|frame| frame.python().is_some())
            };
            let frames = all
                .filter(is_python)
                .map(|node| symbolizer.node(snapshot, node));
            blame::python_frame(table, mode, frames)
        });
        let mut frames = snapshot
            .nodes(change.frame)
            .map(|node| symbolizer.node(snapshot, node));
        let Some(frame) = python.flatten() else {
            return blame::blame(table, mode, frames);
        };
        let frame = match self.options.by {
            By::Module => blame::module_frame(table, &mut frames).unwrap_or(frame),
            _ => frame,
        };
        Some(Blamed { frame, via: None })
    }

    fn key(&self, change: &Change<'a>, blamed: &Blamed, symbolizer: &mut Symbolizer) -> Key {
        match self.options.by {
            By::Stack => {
                let stack = symbolizer.stack(change.snapshot, change.frame);
                Key::Stack(self.options.mode.visible(stack))
            }
            By::Thread => {
                let label = change.snapshot.thread(change.frame);
                Key::Thread(label.map(str::to_owned))
            }
            by => key(by, &blamed.frame),
        }
    }

    /// The rows, sorted, and what is in none.
    pub(super) fn finish(self, symbolizer: &mut Symbolizer) -> (Vec<Row>, Unattributed) {
        let options = self.options;
        let rows = self.gathered.into_iter();
        let mut rows: Vec<Row> = rows
            .filter_map(|row| row.finish(options, symbolizer))
            .collect();
        sort(&mut rows, self.options.sort);
        (rows, self.unattributed)
    }
}

impl<'a> Gathered<'a> {
    fn new() -> Gathered<'a> {
        Gathered {
            growth: Amount::default(),
            live: Amount::default(),
            total: Amount::default(),
            heaviest: [None, None],
        }
    }

    fn add(&mut self, change: Change<'a>, blamed: Blamed) {
        self.growth += change.growth;
        self.live += change.live;
        self.total += change.total;
        let slot = &mut self.heaviest[usize::from(change.growth.bytes < 0)];
        let is_heavier = slot
            .as_ref()
            .is_none_or(|(held, _)| weight(&change) > weight(held));
        if is_heavier {
            *slot = Some((change, blamed));
        }
    }

    /// The stack shown is one that went the way that the row went: a row that grew is not explained by what it freed.
    fn finish(self, options: &Options, symbolizer: &mut Symbolizer) -> Option<Row> {
        let by = options.by;
        let [grew, shrank] = self.heaviest;
        let (change, blamed) = if self.growth.bytes < 0 {
            shrank.or(grew)
        } else {
            grew.or(shrank)
        }?;
        let stack = symbolizer.shared_stack(change.snapshot, change.frame);
        let at = stack.iter().position(|frame| *frame == blamed.frame);
        let at = at.unwrap_or(0);
        let via = blamed.via.or_else(|| via(options, stack.iter().take(at)));
        let frame = blamed.frame;
        let thread = change.snapshot.thread(change.frame).map(str::to_owned);
        let by_module = by != By::Thread;
        let by_file = by_module && by != By::Module;
        let by_function = by_file && by != By::File;
        let by_line = by_function && by != By::Function;
        Some(Row {
            file: frame.file.filter(|_| by_file),
            line: frame.line.filter(|_| by_line),
            function: frame.function.filter(|_| by_function),
            module: frame.module.filter(|_| by_module),
            language: frame.language,
            via: via.filter(|_| by_function),
            thread,
            growth: self.growth,
            live: self.live,
            total: self.total,
            stack,
            blamed: at,
        })
    }
}

/// What a line of Python called to get its memory, where that is native code of somebody's own; `inside` is what it called.
fn via<'f>(options: &Options, inside: impl IntoIterator<Item = &'f SymbolFrame>) -> Option<String> {
    let prefers_python = options.mode.prefers_python() && !options.cumulative;
    let inside = prefers_python.then_some(inside)?;
    blame::native_inside(&options.table, inside)
}

fn weight(change: &Change<'_>) -> (u64, i64, u64) {
    let blocks = change.growth.blocks.unsigned_abs();
    (
        change.growth.bytes.unsigned_abs(),
        change.total.bytes,
        blocks,
    )
}

fn key(by: By, frame: &SymbolFrame) -> Key {
    let address = || Key::Address(frame.module.clone(), frame.address);
    match (by, &frame.file, frame.line, &frame.function) {
        (By::Module, ..) => match &frame.module {
            Some(module) => Key::Module(Some(module.clone())),
            None => Key::Module(None),
        },
        (By::File, Some(file), ..) => Key::File(file.clone()),
        (By::File, None, ..) => Key::Module(frame.module.clone()),
        (By::Function, file, _, Some(function)) => {
            let place = file.as_ref().or(frame.module.as_ref());
            Key::Function(place.cloned().unwrap_or_default(), function.clone())
        }
        (By::Line, Some(file), Some(line), _) => Key::Line(file.clone(), line),
        // An instruction without a line, which has no address either.
        (By::Line, Some(file), None, _) if frame.language == Language::Python => {
            Key::Line(file.clone(), 0)
        }
        // Code that was made at run time moves, and is made anew.
        (By::Line, file, None, Some(function)) if frame.language == Language::Jit => {
            Key::Function(file.clone().unwrap_or_default(), function.clone())
        }
        _ => address(),
    }
}

/// Greatest first; what is equal in that, by the other numbers, and then by name: the same diff always prints the same.
fn sort(rows: &mut [Row], by: Sort) {
    let first = |row: &Row| match by {
        Sort::Growth => row.growth.bytes,
        Sort::Blocks => row.growth.blocks,
        Sort::Live => row.live.bytes,
        Sort::Total => row.total.bytes,
        Sort::Allocations => row.total.blocks,
    };
    let numbers = |row: &Row| {
        let growth = row.growth;
        Reverse((
            first(row),
            growth.bytes,
            growth.blocks,
            row.live.bytes,
            row.total.bytes,
        ))
    };
    let name = |row: &Row| {
        (
            row.file.clone(),
            row.line,
            row.function.clone(),
            row.module.clone(),
            row.thread.clone(),
        )
    };
    rows.sort_by(|one, other| {
        numbers(one)
            .cmp(&numbers(other))
            .then_with(|| name(one).cmp(&name(other)))
            .then_with(|| one.stack.cmp(&other.stack))
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blame::Mode;
    use crate::diff::{From, diff};
    use crate::fixture::{amount, c_frame, python_snapshot};
    use crate::model::Snapshot;
    use crate::report::Report;
    use crate::symbolize;

    /// Sites of the fixture, by what their stack is.
    const EXTENSION: usize = 6;
    const PUT: usize = 7;
    const IMPORT: usize = 8;
    const IMPORTED: usize = 9;

    /// The fixture with these bytes in one block a site.
    fn holding(identity: u64, bytes: &[(usize, u64)]) -> Snapshot {
        let mut snapshot = python_snapshot(identity);
        for &(site, bytes) in bytes {
            let counters = &mut snapshot.sites[site].counters;
            (counters.allocated_bytes, counters.allocated_blocks) = (bytes, 1);
        }
        snapshot
    }

    fn report<'a>(from: impl Into<From<'a>>, to: &Snapshot, options: &Options) -> Report {
        let mut symbolizer = Symbolizer::new(symbolize::Options::default());
        let list = c_frame("pair_list_new", "/src/_pair_list.c", 150);
        symbolizer.teach(&to.modules[1], 0x9100, &[list]);
        let mut main = c_frame("main", "/src/main.c", 7);
        main.module = Some("/usr/bin/python3.11".to_string());
        symbolizer.teach(&to.modules[0], 0x1100, &[main]);
        diff(from, to, &mut symbolizer, options)
    }

    fn grown(options: &Options) -> Report {
        let held = [(EXTENSION, 1000), (PUT, 100), (IMPORT, 10), (IMPORTED, 1)];
        report(From::Start, &holding(1, &held), options)
    }

    fn line(row: &Row) -> (&str, u32, i64) {
        let file = row.file.as_deref().unwrap_or_default();
        (file, row.line.unwrap_or(0), row.growth.bytes)
    }

    fn lines(report: &Report) -> Vec<(&str, u32, i64)> {
        report.rows.iter().map(line).collect()
    }

    fn by(by: By, mode: Mode) -> Options {
        Options {
            by,
            mode,
            ..Options::default()
        }
    }

    /// Check that the script's line is charged with what its extension allocated, and that the extension is named.
    #[test]
    fn script_is_charged() {
        let report = grown(&Options::default());
        let expected = [
            ("/srv/lib/cache.py", 9, 1100),
            ("/srv/app.py", 3, 10),
            ("/srv/lib/cache.py", 1, 1),
        ];
        assert_eq!(lines(&report), expected);
        let row = &report.rows[0];
        assert_eq!(row.function.as_deref(), Some("Cache.put"));
        assert_eq!(row.via.as_deref(), Some("pair_list_new"));
        assert_eq!((row.language.as_str(), &row.module), ("python", &None));
        assert_eq!(row.blamed_frame().unwrap().line, Some(9));
        assert_eq!(row.stack.iter().count(), 5);
        assert_eq!(report.rows[1].via, None);
    }

    /// Check the other two answers to whose line it is: what tracemalloc says, and the C line.
    #[test]
    fn other_blame() {
        let report = grown(&by(By::Line, Mode::Python));
        let frozen = "<frozen importlib._bootstrap>";
        let expected = [
            ("/srv/lib/cache.py", 9, 1100),
            (frozen, 241, 10),
            ("/srv/lib/cache.py", 1, 1),
        ];
        assert_eq!(lines(&report), expected);
        let report = grown(&by(By::Line, Mode::Native));
        assert_eq!(lines(&report)[0], ("/src/_pair_list.c", 150, 1000));
    }

    /// Check rows of functions, files, modules and stacks.
    #[test]
    fn greater_rows() {
        let functions = grown(&by(By::Function, Mode::App));
        assert_eq!(functions.rows[0].function.as_deref(), Some("Cache.put"));
        let files = grown(&by(By::File, Mode::App));
        assert_eq!(
            lines(&files),
            [("/srv/lib/cache.py", 0, 1101), ("/srv/app.py", 0, 10)]
        );
        let modules = grown(&by(By::Module, Mode::App));
        let names: Vec<_> = modules
            .rows
            .iter()
            .map(|row| row.module.as_deref())
            .collect();
        assert_eq!(
            names,
            [Some("/usr/bin/server"), Some("/usr/bin/python3.11")]
        );
        assert_eq!(grown(&by(By::Stack, Mode::App)).rows.len(), 4);
    }

    /// Check that stacks without their native frames are one where Python sees no difference.
    #[test]
    fn stacks_as_python_sees_them() {
        let mut to = holding(1, &[(EXTENSION, 1000), (PUT, 100)]);
        to.sites[PUT].frame = 9;
        let rows = |mode| report(From::Start, &to, &by(By::Stack, mode)).rows.len();
        assert_eq!((rows(Mode::App), rows(Mode::Python)), (2, 1));
    }

    /// Check that each line of a stack is charged once, though it stands there twice, and what that leaves to say.
    #[test]
    fn cumulative() {
        let options = Options {
            cumulative: true,
            ..Options::default()
        };
        let report = grown(&options);
        let expected = [
            ("/srv/app.py", 3, 1111),
            ("/srv/lib/cache.py", 9, 1100),
            ("/srv/lib/cache.py", 1, 1),
        ];
        assert_eq!(lines(&report), expected);
        assert_eq!(report.growth, amount(1111, 4));
        assert_eq!(report.unattributed.growth, amount(0, 0));
        assert!(report.cumulative);
        let options = Options {
            include: vec!["cache.py:5-9".to_string()],
            ..options
        };
        let report = grown(&options);
        assert_eq!(lines(&report), [("/srv/lib/cache.py", 9, 1100)]);
        assert_eq!(report.unattributed.excluded, amount(11, 2));
    }

    /// Check that two runs meet by what their code is called, whatever its number.
    #[test]
    fn two_runs() {
        let from = holding(1, &[(PUT, 100)]);
        let mut to = holding(2, &[(PUT, 150)]);
        to.codes.swap(0, 3);
        for frame in &mut to.frames {
            if let Some((code, line)) = frame.python() {
                let code = [3, 1, 2, 0][code as usize];
                frame.value = code << 32 | u64::from(line);
            }
        }
        let report = report(&from, &to, &Options::default());
        assert_eq!(lines(&report), [("/srv/lib/cache.py", 9, 50)]);
        assert_eq!(report.rows[0].stack.iter().count(), 3);
        let mut other = holding(3, &[(PUT, 150)]);
        other.codes[1].file = "/srv/lib/other.py".to_string();
        let report = self::report(&from, &other, &Options::default());
        let expected = [
            ("/srv/lib/other.py", 9, 150),
            ("/srv/lib/cache.py", 9, -100),
        ];
        assert_eq!(lines(&report), expected);
    }
}
