//! Growth between two snapshots, by whatever the user wants a row to be.
//!
//! Called by the commands; pure apart from the symbolizer, which reads files. Two snapshots of one process are subtracted site
//! by site (ids never change their meaning); of two processes, what has the same row is subtracted from each other.
//!
//! Invariant: Σ rows + unattributed = growth = live at the end − live at the start, exactly: each site's change goes to one
//! row or to `unattributed`, and nothing else does.
//!
//! Not here: which rows are shown (`render`).

mod change;
mod filter;
mod key;
mod order;
mod program;
mod rows;
mod spread;

pub(crate) use filter::Pattern;

use crate::blame::{Mode, Table};
use crate::complaint::{self, Note};
use crate::distribution::{BySite, Distribution, Measure};
use crate::frees::{Freed, Groups};
use crate::model::{Moment, Snapshot};
use crate::report::{
    Amount, By, End, Partly, Report, Sort, Surviving, Survivors, Temporaries, Unattributed,
};
use crate::rss::Rss;
use crate::symbolize::Symbolizer;
use crate::symptom;
use heapshim_ledger::layout::Complaint;
use heapshim_ledger::sampling;
use spread::{Units, Variances};
use std::rc::Rc;

/// The moment that growth is counted from.
#[derive(Clone, Copy, Debug)]
pub enum From<'a> {
    /// Nothing allocated yet; in a forked child, its fork.
    Start,
    /// A mark.
    Mark(&'a Snapshot),
}

impl<'a> std::convert::From<&'a Snapshot> for From<'a> {
    fn from(snapshot: &'a Snapshot) -> From<'a> {
        From::Mark(snapshot)
    }
}

/// What the user asked for.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// What a row is.
    pub by: By,
    /// How rows are sorted.
    pub sort: Sort,
    /// Which frame is charged.
    pub mode: Mode,
    /// What is passed over.
    pub table: Table,
    /// Charge every frame of a stack rather than one: a line has what it called as well.
    pub cumulative: bool,
    /// Rows are only what matches one of these; empty: everything.
    pub include: Vec<String>,
    /// Rows are nothing that matches one of these.
    pub exclude: Vec<String>,
}

/// The growth from one moment to the other.
pub fn diff<'a>(
    from: impl Into<From<'a>>,
    to: &Snapshot,
    symbolizer: &mut Symbolizer,
    options: &Options,
) -> Report {
    diff_detailed(from, to, symbolizer, options, Details::default())
}

/// What is known of the second snapshot's sites beyond their accounts.
#[derive(Clone, Copy, Debug, Default)]
pub struct Details<'a> {
    /// How their blocks were spread.
    pub spread: Option<(Measure, &'a BySite)>,
    /// What was allocated since the first.
    pub survivors: Option<&'a Survivors>,
    /// What was freed by its thread's next operation.
    pub temporaries: Option<&'a Temporaries>,
    /// Who freed their blocks, by group.
    pub freed: Option<(&'a Groups, &'a [Rc<Freed>])>,
}

/// The row of each site of two snapshots of one process, also of those that are nothing at either: a site that only freed is one of them.
pub fn groups(
    from: &Snapshot,
    to: &Snapshot,
    symbolizer: &mut Symbolizer,
    options: &Options,
) -> Groups {
    let options = &with_program(options, to, symbolizer);
    let mut rows = rows::Rows::new(options, None, Details::default());
    let changes = change::every(from, to).into_iter();
    let of_site = changes
        .map(|change| rows.place(change, symbolizer))
        .collect();
    let rows = rows.in_order(symbolizer);
    Groups { of_site, rows }
}

/// What is passed over in this program.
fn with_program(options: &Options, of: &Snapshot, symbolizer: &mut Symbolizer) -> Options {
    Options {
        table: options.table.clone().of(program::program(of, symbolizer)),
        ..options.clone()
    }
}

/// The same, with what else is known of sites.
pub fn diff_detailed<'a>(
    from: impl Into<From<'a>>,
    to: &Snapshot,
    symbolizer: &mut Symbolizer,
    options: &Options,
    details: Details<'_>,
) -> Report {
    let from = from.into();
    let options = &with_program(options, to, symbolizer);
    let units = Units::of(from, to);
    let mut rows = rows::Rows::new(options, units, details);
    let mut variances = Variances::default();
    let mut total = Amount::default();
    for change in change::changes(from, to) {
        variances += change.variances;
        total += change.total;
        rows.add(change, symbolizer);
    }
    let (from_end, to_end) = (start_end(from, to), end(to));
    let growth = Amount {
        bytes: to_end.live.bytes.wrapping_sub(from_end.live.bytes),
        blocks: to_end.live.blocks.wrapping_sub(from_end.live.blocks),
    };
    let (rows, unattributed) = rows.finish(symbolizer);
    let two_processes = matches!(from, From::Mark(from) if !same_process(from, to));
    // Allocations are only ever counted up, whatever was done to the clock.
    let backwards = (total.blocks < 0 && !two_processes).then_some(complaint::BACKWARDS);
    Report {
        target: to.process.clone(),
        two_processes,
        merged: None,
        peak_rss: None,
        peak_bytes: to.highest_bytes(),
        from: from_end,
        to: to_end,
        growth,
        sample_bytes: units.map(|units| units.largest()),
        partly: partly(from, to),
        errors: units.map(|units| units.errors(&variances)),
        survivors: details.survivors.map(all_surviving),
        temporary: details.temporaries.map(|all| all.values().copied().sum()),
        temporary_within: None,
        distribution: details
            .spread
            .map(|(measure, by_site)| (measure, all(by_site))),
        notes: notes(from, to).into_iter().chain(backwards).collect(),
        unattributed: with_losses(unattributed, from, to),
        by: options.by,
        mode: options.mode,
        cumulative: options.cumulative,
        filtered: !(options.include.is_empty() && options.exclude.is_empty()),
        sort: options.sort,
        rows,
    }
}

fn all_surviving(survivors: &Survivors) -> Surviving {
    let mut all = Surviving::default();
    survivors.values().for_each(|&one| all += one);
    all
}

fn all(by_site: &BySite) -> Distribution {
    let mut all = Distribution::default();
    by_site.values().for_each(|one| all.merge(one));
    all
}

/// What of all that happened was recorded.
fn partly(from: From<'_>, to: &Snapshot) -> Option<Partly> {
    let before = match from {
        From::Start => 0,
        From::Mark(from) => from.sampling.changes,
    };
    let now = &to.sampling;
    let all = now.mode == sampling::Mode::Exact && now.changes == 0;
    (!all).then_some(Partly {
        mode: now.mode,
        switched: now.changes != before,
        was_off: now.was_off,
    })
}

fn same_process(one: &Snapshot, other: &Snapshot) -> bool {
    one.process.identity == other.process.identity
}

fn end(snapshot: &Snapshot) -> End {
    let live = snapshot.sites.iter().map(|site| Amount {
        bytes: site.counters.live_bytes(),
        blocks: site.counters.live_blocks(),
    });
    End {
        moment: snapshot.moment.clone(),
        live: live.sum(),
        rss: Rss::of(snapshot),
    }
}

fn start_end(from: From<'_>, to: &Snapshot) -> End {
    match from {
        From::Mark(from) => end(from),
        From::Start => End {
            moment: Moment {
                name: "start".to_string(),
                unix_ns: to.process.start_unix_ns,
                rss_bytes: 0,
                resident: None,
                exact: true,
                in_flight: 0,
                lost_events: 0,
            },
            live: Amount::default(),
            rss: None,
        },
    }
}

/// What an account says of itself comes before what is supposed of it.
fn notes(from: From<'_>, to: &Snapshot) -> Vec<Note> {
    let bits = complaints(from) | to.complaints;
    let is_named = bits & Complaint::Bypassed as u32 != 0;
    let supposed = symptom::note(to).filter(|_| !is_named);
    let gap = partly(from, to)
        .filter(|partly| partly.was_off && (partly.switched || partly.mode == sampling::Mode::Off));
    let gap = gap.map(|_| complaint::OFF);
    complaint::notes(bits)
        .into_iter()
        .chain(gap)
        .chain(supposed)
        .collect()
}

/// What holds of either end holds of the growth between them.
fn complaints(from: From<'_>) -> u32 {
    match from {
        From::Start => 0,
        From::Mark(from) => from.complaints,
    }
}

fn with_losses(mut unattributed: Unattributed, from: From<'_>, to: &Snapshot) -> Unattributed {
    let before = match from {
        From::Mark(from) => from.losses,
        From::Start => crate::model::Losses::default(),
    };
    let since = |now: u64, then: u64| now.wrapping_sub(then).cast_signed();
    unattributed.truncated_stacks = since(to.losses.truncated_stacks, before.truncated_stacks);
    unattributed.nested_events = since(to.losses.nested_events, before.nested_events);
    unattributed.overflow_events = since(to.losses.overflow_events, before.overflow_events);
    unattributed.foreign_frees = since(to.losses.foreign_frees, before.foreign_frees);
    unattributed.untracked_blocks = since(to.losses.untracked_blocks, before.untracked_blocks);
    unattributed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{Random, amount, c_frame, cpp_frame, module_frame, moment, snapshot};
    use crate::model::{Counters, Site};
    use crate::report::Row;
    use crate::symbolize;

    /// Sites of the fixture, by what their stack is.
    const FULL: usize = 1;
    const PUT_MALLOC: usize = 2;
    const PUT: usize = 3;
    const MAIN: usize = 4;
    const CUT_MALLOC: usize = 5;

    /// A symbolizer that knows the fixture's addresses: `put` is inlined in `serve`, and called by `main`.
    fn symbolizer() -> Symbolizer {
        let modules = snapshot(1).modules;
        let mut symbolizer = Symbolizer::new(symbolize::Options::default());
        let mut teach = |module: usize, value, frames: &[_]| {
            symbolizer.teach(&modules[module], value, frames);
        };
        teach(0, 0x1100, &[c_frame("main", "/src/main.c", 7)]);
        let put = cpp_frame("Cache::put", "/src/cache.cc", 9);
        let serve = cpp_frame("serve", "/src/serve.cc", 30);
        let inlined = symbolize::SymbolFrame {
            inlined: true,
            ..put
        };
        teach(0, 0x1200, &[inlined, serve]);
        teach(1, 0x9000, &[module_frame("malloc", "/lib/libheapshim.so")]);
        symbolizer
    }

    /// The fixture with live blocks: (site, allocated bytes, allocated blocks, freed bytes, freed blocks).
    fn holding(identity: u64, name: &str, counters: &[(usize, u64, u64, u64, u64)]) -> Snapshot {
        let mut snapshot = snapshot(identity);
        snapshot.moment = moment(name, 0, 0);
        for &(site, allocated_bytes, allocated_blocks, freed_bytes, freed_blocks) in counters {
            snapshot.sites[site].counters = Counters {
                allocated_bytes,
                allocated_blocks,
                freed_bytes,
                freed_blocks,
            };
        }
        snapshot
    }

    fn place(row: &Row) -> (&str, u32) {
        (row.file.as_deref().unwrap(), row.line.unwrap())
    }

    fn assert_adds_up(report: &Report) {
        let rows: Amount = report.rows.iter().map(|row| row.growth).sum();
        let all = [rows, report.unattributed.growth].into_iter().sum();
        assert_eq!(report.growth, all);
        let live = [report.from.live, report.growth].into_iter().sum();
        assert_eq!(report.to.live, live);
    }

    /// Check one leak from the start: the row, its numbers, its stack, its sum.
    #[test]
    fn growth_since_the_start() {
        let to = holding(1, "now", &[(PUT_MALLOC, 300, 3, 100, 1)]);
        let report = diff(From::Start, &to, &mut symbolizer(), &Options::default());
        let row = &report.rows[0];
        assert_eq!(report.rows.len(), 1);
        assert_eq!(place(row), ("/src/cache.cc", 9));
        assert_eq!(row.function.as_deref(), Some("Cache::put"));
        assert_eq!(
            (row.growth, row.live, row.total),
            (amount(200, 2), amount(200, 2), amount(300, 3))
        );
        let names: Vec<_> = row
            .stack
            .iter()
            .filter_map(|f| f.function.as_deref())
            .collect();
        assert_eq!(names, ["malloc", "Cache::put", "serve", "main"]);
        assert_eq!(row.blamed_frame().unwrap().line, Some(9));
        assert_eq!(
            (&*report.from.moment.name, report.from.live),
            ("start", amount(0, 0))
        );
        assert_adds_up(&report);
    }

    /// Check that two marks of one process are subtracted site by site, and that a row may shrink.
    #[test]
    fn two_marks_of_one_process() {
        let from = holding(1, "a", &[(PUT_MALLOC, 300, 3, 0, 0), (MAIN, 50, 5, 0, 0)]);
        let to = holding(1, "b", &[(PUT_MALLOC, 700, 7, 0, 0), (MAIN, 60, 6, 60, 6)]);
        let report = diff(&from, &to, &mut symbolizer(), &Options::default());
        assert_eq!(report.rows[0].growth, amount(400, 4));
        assert_eq!(report.rows[1].growth, amount(-50, -5));
        assert_eq!(report.rows[1].total, amount(10, 1));
        assert!(!report.two_processes);
        assert_adds_up(&report);
        let back = diff(&to, &from, &mut symbolizer(), &Options::default());
        assert_eq!(back.growth, -report.growth);
        assert_adds_up(&back);
    }

    /// Check that sites that came up after the first mark count from zero.
    #[test]
    fn new_sites_count_from_zero() {
        let mut from = holding(1, "a", &[(PUT_MALLOC, 300, 3, 0, 0)]);
        from.sites.truncate(3);
        let to = holding(1, "b", &[(PUT_MALLOC, 300, 3, 0, 0), (MAIN, 60, 6, 0, 0)]);
        let report = diff(&from, &to, &mut symbolizer(), &Options::default());
        assert_eq!(report.rows[0].growth, amount(60, 6));
        assert_eq!(report.rows[1].growth, amount(0, 0));
        assert_eq!(report.rows[1].live, amount(300, 3));
        assert_adds_up(&report);
    }

    /// Check that two runs are matched by their rows, though ids and addresses mean other things.
    #[test]
    fn two_runs_match_by_row() {
        let from = holding(1, "a", &[(PUT_MALLOC, 300, 3, 0, 0), (MAIN, 10, 1, 0, 0)]);
        let mut to = holding(2, "b", &[(PUT_MALLOC, 80, 8, 0, 0), (PUT, 500, 5, 0, 0)]);
        to.sites.swap(PUT_MALLOC, MAIN);
        let report = diff(&from, &to, &mut symbolizer(), &Options::default());
        assert!(report.two_processes);
        assert_eq!(place(&report.rows[0]), ("/src/cache.cc", 9));
        assert_eq!(report.rows[0].growth, amount(280, 10));
        assert_eq!(report.rows[1].growth, amount(-10, -1));
        assert_adds_up(&report);
    }

    /// Check that what nobody can be charged with is not in a row, and is not lost.
    #[test]
    fn full_and_cut_stacks_are_not_attributed() {
        let to = holding(1, "b", &[(FULL, 5, 1, 0, 0), (CUT_MALLOC, 8, 2, 0, 0)]);
        let report = diff(From::Start, &to, &mut symbolizer(), &Options::default());
        assert!(report.rows.is_empty());
        assert_eq!(report.unattributed.growth, amount(13, 3));
        assert_adds_up(&report);
    }

    /// Check that the losses are those between the marks.
    #[test]
    fn losses_are_differences() {
        let mut from = holding(1, "a", &[]);
        from.losses.truncated_stacks = 5;
        let mut to = holding(1, "b", &[]);
        to.losses.truncated_stacks = 7;
        to.losses.foreign_frees = 2;
        to.losses.untracked_blocks = 3;
        let report = diff(&from, &to, &mut symbolizer(), &Options::default());
        assert_eq!(report.unattributed.truncated_stacks, 2);
        assert_eq!(report.unattributed.foreign_frees, 2);
        assert_eq!(report.unattributed.untracked_blocks, 3);
        let report = diff(From::Start, &to, &mut symbolizer(), &Options::default());
        assert_eq!(report.unattributed.truncated_stacks, 7);
    }

    /// Check that what the shim said at either moment is said of the growth, once.
    #[test]
    fn notes_of_both_ends() {
        let (mut from, mut to) = (holding(1, "a", &[]), holding(1, "b", &[]));
        let notes = |from: From<'_>, to: &Snapshot| {
            diff(from, to, &mut symbolizer(), &Options::default()).notes
        };
        assert!(notes(From::Mark(&from), &to).is_empty());
        (from.complaints, to.complaints) = (8, 9);
        assert_eq!(notes(From::Mark(&from), &to), complaint::notes(9));
        to.complaints = 0;
        assert_eq!(notes(From::Mark(&from), &to), complaint::notes(8));
        assert!(notes(From::Start, &to).is_empty());
    }

    /// Check each kind of row.
    #[test]
    fn rows_of_each_kind() {
        let held = [
            (PUT_MALLOC, 9, 1, 0, 0),
            (PUT, 2, 1, 0, 0),
            (MAIN, 1, 1, 0, 0),
        ];
        let to = holding(1, "b", &held);
        let rows = |by| {
            let options = Options {
                by,
                ..Options::default()
            };
            let report = diff(From::Start, &to, &mut symbolizer(), &options);
            assert_adds_up(&report);
            report.rows
        };
        assert_eq!(rows(By::Line).len(), 2);
        assert_eq!(rows(By::Stack).len(), 3);
        assert_eq!(rows(By::Module).len(), 1);
        let functions = rows(By::Function);
        assert_eq!(functions[0].function.as_deref(), Some("Cache::put"));
        assert_eq!(functions[0].line, None);
        let files = rows(By::File);
        assert_eq!(files[0].file.as_deref(), Some("/src/cache.cc"));
        assert_eq!(files[0].function, None);
        assert_eq!(files[0].growth, amount(11, 2));
    }

    /// Check that filters see file, function and module, and that what they leave out is counted.
    #[test]
    fn filters_leave_out_and_count() {
        let to = holding(1, "b", &[(PUT_MALLOC, 9, 1, 0, 0), (MAIN, 1, 1, 0, 0)]);
        let filtered = |include: &[&str], exclude: &[&str]| {
            let owned = |texts: &[&str]| texts.iter().map(ToString::to_string).collect();
            let options = Options {
                include: owned(include),
                exclude: owned(exclude),
                ..Options::default()
            };
            let report = diff(From::Start, &to, &mut symbolizer(), &options);
            assert_adds_up(&report);
            (report.rows.len(), report.unattributed.excluded.bytes)
        };
        assert_eq!(filtered(&["Cache::*"], &[]), (1, 1));
        assert_eq!(filtered(&["main.c", "cache.cc"], &[]), (2, 0));
        assert_eq!(filtered(&[], &["*/main.c"]), (1, 1));
        assert_eq!(filtered(&["server"], &["Cache::put"]), (1, 9));
        assert_eq!(filtered(&["cache"], &[]), (0, 10));
    }

    /// Check that the heaviest stack of a row that grew is the one that grew most, not one that shrank more.
    #[test]
    fn heaviest_stack_explains_the_row() {
        let from = holding(1, "a", &[(PUT, 500, 1, 0, 0)]);
        let held = [(PUT, 500, 1, 500, 1), (PUT_MALLOC, 900, 1, 0, 0)];
        let to = holding(1, "b", &held);
        let report = diff(&from, &to, &mut symbolizer(), &Options::default());
        assert_eq!(report.rows[0].growth, amount(400, 0));
        let innermost = report.rows[0].stack.get(0).unwrap();
        assert_eq!(innermost.function.as_deref(), Some("malloc"));
    }

    /// Check each way of sorting.
    #[test]
    fn sorts() {
        let held = [(PUT_MALLOC, 100, 1, 0, 0), (MAIN, 900, 20, 850, 10)];
        let to = holding(1, "b", &held);
        for (sort, first) in [
            (Sort::Growth, 9),
            (Sort::Blocks, 7),
            (Sort::Live, 9),
            (Sort::Total, 7),
            (Sort::Allocations, 7),
        ] {
            let options = Options {
                sort,
                ..Options::default()
            };
            let report = diff(From::Start, &to, &mut symbolizer(), &options);
            assert_eq!(report.rows[0].line, Some(first), "{sort:?}");
        }
    }

    /// A generator of numbers; the same each run.
    struct Numbers(Random);

    impl Numbers {
        fn below(&mut self, limit: u64) -> u64 {
            self.0.next() % limit
        }

        fn snapshot(&mut self, identity: u64) -> Snapshot {
            let mut snapshot = snapshot(identity);
            let sites = self.below(12);
            for _ in 0..sites {
                let frame = u32::try_from(self.below(7)).unwrap();
                let mut large = || self.below(1 << 20) << self.below(24);
                let counters = Counters {
                    allocated_bytes: large(),
                    allocated_blocks: large(),
                    freed_bytes: large(),
                    freed_blocks: large(),
                };
                snapshot.sites.push(Site { frame, counters });
            }
            snapshot
        }
    }

    /// Check that rows and what is not attributed always add up, for any counters, kinds of row, modes and filters.
    #[test]
    fn sums_are_exact_whatever_is_asked() {
        let mut numbers = Numbers(Random(42));
        let mut symbolizer = symbolizer();
        for round in 0..400 {
            let from = numbers.snapshot(1);
            let identity = 1 + numbers.below(2);
            let to = numbers.snapshot(identity);
            let bys = [By::Line, By::Function, By::File, By::Module, By::Stack];
            let modes = [Mode::App, Mode::Innermost, Mode::Native];
            let filters: [&[&str]; 3] = [&[], &["*.c"], &["nothing"]];
            let pick = |count: usize| round % count;
            let options = Options {
                by: bys[pick(bys.len())],
                mode: modes[pick(modes.len())],
                include: filters[pick(3)].iter().map(ToString::to_string).collect(),
                ..Options::default()
            };
            assert_adds_up(&diff(&from, &to, &mut symbolizer, &options));
            assert_adds_up(&diff(From::Start, &to, &mut symbolizer, &options));
        }
    }
}
