//! Changes gathered into rows: the part of a diff that knows what users look at.
//!
//! Called by `diff`. Each change is blamed on a frame; what that frame is to the user's `--by` is the row's key. The stack of a
//! row is symbolized whole only at the end, and only the heaviest one: `blame` needs a few frames of most stacks.

use super::change::Change;
use super::filter::Filter;
use super::key::{Key, key};
use super::order::sort;
use super::spread::{Units, Variances};
use super::{Details, Options};
use crate::blame::{self, Blamed, FrameAt, Judged, Mode};
use crate::distribution::Distribution;
use crate::report::{Amount, By, Row, Surviving, Unattributed};
use crate::symbolize::{Language, MeaningId, Symbolizer};
use std::collections::HashMap;
use std::rc::Rc;

/// A row while it is gathered.
#[derive(Debug)]
struct Gathered<'a> {
    growth: Amount,
    live: Amount,
    total: Amount,
    variances: Variances,
    survivors: Option<Surviving>,
    temporary: Option<Amount>,
    distribution: Option<Distribution>,
    /// Its number among the groups of who freed what.
    group: Option<usize>,
    /// The heaviest change so far among those that grew, and among those that did not.
    heaviest: [Option<(Change<'a>, Blamed)>; 2],
}

/// The rows while they are gathered.
#[derive(Debug)]
pub(super) struct Rows<'a> {
    options: &'a Options,
    /// None where nothing is estimated.
    units: Option<Units>,
    details: Details<'a>,
    filter: Filter,
    nodes: Nodes,
    by_key: HashMap<Key, usize>,
    /// The row of each frame that was charged, where a row is something of one frame: most are charged many times.
    by_frame: HashMap<(*const Judged, usize), usize>,
    gathered: Vec<Gathered<'a>>,
    unattributed: Unattributed,
}

/// What the table says of the nodes that were met, by what they mean.
#[derive(Debug, Default)]
struct Nodes(Vec<Option<Rc<Judged>>>);

impl Nodes {
    fn get(&mut self, meaning: MeaningId, symbolizer: &Symbolizer) -> Rc<Judged> {
        if self.0.len() <= meaning.index() {
            self.0.resize(meaning.index() + 1, None);
        }
        let place = &mut self.0[meaning.index()];
        Rc::clone(place.get_or_insert_with(|| Judged::new(symbolizer.frames(meaning))))
    }

    /// The nodes of a change's stack, innermost first.
    fn of<'s>(
        &'s mut self,
        change: &Change<'s>,
        symbolizer: &'s mut Symbolizer,
    ) -> impl Iterator<Item = Rc<Judged>> + 's {
        let snapshot = change.snapshot;
        snapshot.nodes(change.frame).map(|node| {
            let meaning = symbolizer.meaning(snapshot, node);
            self.get(meaning, symbolizer)
        })
    }

    /// As [`Nodes::of`], those of Python code alone.
    fn of_python<'s>(
        &'s mut self,
        change: &Change<'s>,
        symbolizer: &'s mut Symbolizer,
    ) -> impl Iterator<Item = Rc<Judged>> + 's {
        let snapshot = change.snapshot;
        let is_python = |&node: &u32| {
            let frame = snapshot.frames.get(node as usize);
            frame.is_some_and(|frame| frame.python().is_some())
        };
        let python = snapshot.nodes(change.frame).filter(is_python);
        python.map(|node| {
            let meaning = symbolizer.meaning(snapshot, node);
            self.get(meaning, symbolizer)
        })
    }
}

impl<'a> Rows<'a> {
    pub(super) fn new(
        options: &'a Options,
        units: Option<Units>,
        details: Details<'a>,
    ) -> Rows<'a> {
        Rows {
            options,
            units,
            details,
            filter: Filter::new(options),
            nodes: Nodes::default(),
            by_key: HashMap::new(),
            by_frame: HashMap::new(),
            gathered: Vec::new(),
            unattributed: Unattributed {
                survivors: details.survivors.map(|_| Surviving::default()),
                temporary: details.temporaries.map(|_| Amount::default()),
                ..Unattributed::default()
            },
        }
    }

    /// Charges a change to its row, or to nobody.
    pub(super) fn add(&mut self, change: Change<'a>, symbolizer: &mut Symbolizer) {
        let mut charged = self.charged(&change, symbolizer);
        let site = u32::try_from(change.site).unwrap_or(0);
        let (spread, survivors) = (self.details.spread, self.details.survivors);
        let survivors = survivors.map(|all| all.get(&site).copied().unwrap_or_default());
        let temporaries = self.details.temporaries;
        let temporary = temporaries.map(|all| all.get(&site).copied().unwrap_or_default());
        if charged.is_empty() {
            self.leave_out(&change, survivors, temporary);
            return;
        }
        charged.retain(|blamed| self.filter.passes(&blamed.frame));
        if charged.is_empty() {
            self.leave_out(&change, survivors, temporary);
            self.unattributed.excluded += change.growth;
        }
        let distribution = spread.map(|(_, all)| all.get(&site).cloned().unwrap_or_default());
        let mut rows = Vec::new();
        for blamed in charged {
            let at = self.row(&change, &blamed, symbolizer);
            // A function that calls itself has its block once.
            if !rows.contains(&at) {
                rows.push(at);
                self.gathered[at].add(change, blamed);
                self.gathered[at].detail(distribution.as_ref(), survivors);
                self.gathered[at].come_and_gone(temporary);
                let freed = self.details.freed;
                self.gathered[at].group = freed.and_then(|(groups, _)| groups.of(site));
            }
        }
    }

    /// Keeps what is in no row, so that all adds up.
    fn leave_out(
        &mut self,
        change: &Change<'a>,
        survivors: Option<Surviving>,
        temporary: Option<Amount>,
    ) {
        self.unattributed.growth += change.growth;
        self.unattributed.total += change.total;
        if let Some(more) = survivors {
            *self.unattributed.survivors.get_or_insert_default() += more;
        }
        if let Some(more) = temporary {
            *self.unattributed.temporary.get_or_insert_default() += more;
        }
    }

    /// The row of a change, whatever the filter says of it; None where its stack names none.
    pub(super) fn place(
        &mut self,
        change: Change<'a>,
        symbolizer: &mut Symbolizer,
    ) -> Option<usize> {
        let blamed = self.charged(&change, symbolizer).into_iter().next()?;
        let at = self.row(&change, &blamed, symbolizer);
        self.gathered[at].add(change, blamed);
        Some(at)
    }

    /// The rows in the order of their numbers.
    pub(super) fn in_order(mut self, symbolizer: &mut Symbolizer) -> Vec<Row> {
        let gathered = std::mem::take(&mut self.gathered).into_iter();
        // Each has a change, so that none is left out.
        let rows = gathered.filter_map(|row| self.finished(row, symbolizer));
        rows.collect()
    }

    /// The frames to charge: one, or with `--cumulative` all of the stack's; none where the stack is not known well enough.
    fn charged(&mut self, change: &Change<'_>, symbolizer: &mut Symbolizer) -> Vec<Blamed> {
        let (table, mode) = (&self.options.table, self.options.mode);
        if self.options.cumulative {
            let nodes = self.nodes.of(change, symbolizer);
            let stack: Vec<FrameAt> = nodes.flat_map(|node| node.each()).collect();
            let all = mode.all(table, &stack).into_iter();
            let all: Vec<Blamed> = all.map(Blamed::alone).collect();
            if !all.is_empty() {
                return all;
            }
        }
        let blamed = self.blame(change, symbolizer);
        let blamed = blamed.or_else(|| self.of_thread(change, symbolizer));
        blamed.into_iter().collect()
    }

    /// Whose thread it is may be known where it is not known whose line.
    fn of_thread(&mut self, change: &Change<'_>, symbolizer: &mut Symbolizer) -> Option<Blamed> {
        let is_known = change.snapshot.thread(change.frame).is_some();
        let is_asked = self.options.by == By::Thread && is_known;
        let mut nodes = self.nodes.of(change, symbolizer).filter(|_| is_asked);
        nodes.next()?.each().next().map(Blamed::alone)
    }

    fn blame(&mut self, change: &Change<'_>, symbolizer: &mut Symbolizer) -> Option<Blamed> {
        let (table, mode) = (&self.options.table, self.options.mode);
        let python = mode.prefers_python().then(|| {
            let nodes = self.nodes.of_python(change, symbolizer);
            blame::python_frame(table, mode, nodes)
        });
        let nodes = self.nodes.of(change, symbolizer);
        let Some(frame) = python.flatten() else {
            return blame::blame(table, mode, nodes);
        };
        Some(Blamed::alone(match self.options.by {
            By::Module => blame::module_frame(table, nodes).unwrap_or(frame),
            _ => frame,
        }))
    }

    /// The row of a change that is charged so; a new one where it is the first of its kind.
    fn row(&mut self, change: &Change<'_>, blamed: &Blamed, symbolizer: &mut Symbolizer) -> usize {
        let by = self.options.by;
        match by {
            By::Stack => {
                let key = Key::Stack(self.visible(change, symbolizer));
                self.row_of(key)
            }
            By::Thread => {
                let label = change.snapshot.thread(change.frame);
                self.row_of(Key::Thread(label.map(str::to_owned)))
            }
            By::Line | By::Function | By::File | By::Module => {
                let identity = blamed.frame.identity();
                if let Some(&row) = self.by_frame.get(&identity) {
                    return row;
                }
                let row = self.row_of(key(by, &blamed.frame));
                self.by_frame.insert(identity, row);
                row
            }
        }
    }

    fn row_of(&mut self, key: Key) -> usize {
        let next = self.gathered.len();
        let row = *self.by_key.entry(key).or_insert(next);
        if row == next {
            self.gathered.push(Gathered::new());
        }
        row
    }

    /// As much of a stack as two stacks are told apart by: tracemalloc sees nothing native.
    fn visible(&self, change: &Change<'_>, symbolizer: &mut Symbolizer) -> Vec<MeaningId> {
        let snapshot = change.snapshot;
        let nodes = snapshot.nodes(change.frame);
        let all: Vec<MeaningId> = nodes
            .map(|node| symbolizer.meaning(snapshot, node))
            .collect();
        let is_python = |&id: &MeaningId| {
            let frames = symbolizer.frames(id);
            frames
                .iter()
                .any(|frame| frame.language == Language::Python)
        };
        let python = || all.iter().copied().filter(is_python);
        if self.options.mode == Mode::Python && python().next().is_some() {
            return python().collect();
        }
        all
    }

    /// The rows, sorted, and what is in none.
    pub(super) fn finish(mut self, symbolizer: &mut Symbolizer) -> (Vec<Row>, Unattributed) {
        let gathered = std::mem::take(&mut self.gathered).into_iter();
        let rows = gathered.filter_map(|row| self.finished(row, symbolizer));
        let mut rows: Vec<Row> = rows.collect();
        sort(&mut rows, self.options.sort);
        (rows, self.unattributed)
    }

    fn finished(&mut self, row: Gathered<'_>, symbolizer: &mut Symbolizer) -> Option<Row> {
        let by = self.options.by;
        let (growth, live, total) = (row.growth, row.live, row.total);
        let errors = self.units.map(|units| units.errors(&row.variances));
        let (survivors, distribution) = (row.survivors, row.distribution.clone());
        let temporary = row.temporary;
        let freed = row.group.zip(self.details.freed);
        let freed = freed.and_then(|(group, (_, all))| all.get(group).cloned());
        let (change, blamed) = row.explained()?;
        let nodes: Vec<Rc<Judged>> = self.nodes.of(&change, symbolizer).collect();
        let stack = || nodes.iter().flat_map(Judged::each);
        let at = stack().position(|frame| frame == blamed.frame);
        let at = at.unwrap_or(0);
        let via = blamed.via(&self.options.table);
        let via = via.or_else(|| via_inside(self.options, stack().take(at)));
        let frame = (*blamed.frame).clone();
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
            growth,
            live,
            total,
            errors,
            survivors,
            temporary,
            distribution,
            freed,
            stack: nodes.iter().map(|node| Rc::clone(node.frames())).collect(),
            blamed: at,
        })
    }
}

impl<'a> Gathered<'a> {
    fn new() -> Gathered<'a> {
        Gathered {
            growth: Amount::default(),
            live: Amount::default(),
            total: Amount::default(),
            variances: Variances::default(),
            survivors: None,
            temporary: None,
            distribution: None,
            group: None,
            heaviest: [None, None],
        }
    }

    fn add(&mut self, change: Change<'a>, blamed: Blamed) {
        self.growth += change.growth;
        self.live += change.live;
        self.total += change.total;
        self.variances += change.variances;
        let slot = &mut self.heaviest[usize::from(change.growth.bytes < 0)];
        let is_heavier = slot
            .as_ref()
            .is_none_or(|(held, _)| weight(&change) > weight(held));
        if is_heavier {
            *slot = Some((change, blamed));
        }
    }

    fn detail(&mut self, distribution: Option<&Distribution>, survivors: Option<Surviving>) {
        if let Some(more) = distribution {
            self.distribution.get_or_insert_default().merge(more);
        }
        if let Some(more) = survivors {
            *self.survivors.get_or_insert_default() += more;
        }
    }

    fn come_and_gone(&mut self, temporary: Option<Amount>) {
        if let Some(more) = temporary {
            *self.temporary.get_or_insert_default() += more;
        }
    }

    /// The change whose stack is shown: one that went the way that the row went, since a row that grew is not explained by what it freed.
    fn explained(self) -> Option<(Change<'a>, Blamed)> {
        let [grew, shrank] = self.heaviest;
        if self.growth.bytes < 0 {
            shrank.or(grew)
        } else {
            grew.or(shrank)
        }
    }
}

/// What a line of Python called to get its memory, where that is native code of somebody's own; `inside` is what it called.
fn via_inside(options: &Options, inside: impl Iterator<Item = FrameAt>) -> Option<String> {
    let prefers_python = options.mode.prefers_python() && !options.cumulative;
    prefers_python.then(|| blame::native_inside(&options.table, inside))?
}

fn weight(change: &Change<'_>) -> (u64, i64, u64) {
    let blocks = change.growth.blocks.unsigned_abs();
    (
        change.growth.bytes.unsigned_abs(),
        change.total.bytes,
        blocks,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
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
