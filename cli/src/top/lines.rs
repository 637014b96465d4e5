//! Rows as the live view lists them: named, with a rate and a trend, sorted and filtered.

use super::history::History;
use crate::place::Place;
use crate::render::{Labels, escape};
use crate::report::{Amount, By, Report, Row, Surviving};

/// What lines are sorted by, greatest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Growth,
    Rate,
    Live,
    Blocks,
    /// Where they are known.
    Survivors,
}

impl Order {
    /// The next one; survivors only where there are any to sort by.
    pub(super) fn next(self, has_survivors: bool) -> Order {
        match self {
            Order::Growth => Order::Rate,
            Order::Rate => Order::Live,
            Order::Live => Order::Blocks,
            Order::Blocks if has_survivors => Order::Survivors,
            Order::Blocks | Order::Survivors => Order::Growth,
        }
    }

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Order::Growth => "growth",
            Order::Rate => "rate",
            Order::Live => "live",
            Order::Blocks => "blocks",
            Order::Survivors => "survivors",
        }
    }
}

/// One line of the list.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Line {
    /// What it is followed by from reading to reading.
    pub(super) name: String,
    /// What is shown for it.
    pub(super) shown: String,
    pub(super) growth: Amount,
    pub(super) live: i64,
    /// Allocated since the mark, and still there; None where the mark cannot tell.
    pub(super) survivors: Option<Surviving>,
    pub(super) rate: f64,
    /// Its place among the report's rows.
    pub(super) row: usize,
}

/// The name by which a row is followed.
pub(super) fn name(row: &Row, by: By) -> String {
    match by {
        By::Thread => row.thread.clone().unwrap_or_default(),
        By::Module => row.module.clone().unwrap_or_default(),
        By::File => row.file.clone().or(row.module.clone()).unwrap_or_default(),
        By::Function => format!("{:?} {:?} {:?}", row.function, row.file, row.module),
        By::Line => Place::of(row).to_string(),
        By::Stack => {
            let frames = row.stack.iter();
            let frames = frames.map(|frame| format!("{:x} {:?}", frame.address, frame.line));
            format!(
                "{} {}",
                Place::of(row),
                frames.collect::<Vec<_>>().join(" ")
            )
        }
    }
}

/// The lines that have the words in them, in order.
pub(super) fn lines(
    report: &Report,
    history: &History,
    seconds: f64,
    order: Order,
    words: &str,
) -> Vec<Line> {
    let files = report.rows.iter().filter_map(|row| row.file.as_deref());
    let labels = Labels::new(files, None);
    let rows = report.rows.iter().enumerate();
    let mut all: Vec<Line> = rows
        .map(|(at, row)| {
            let name = name(row, report.by);
            Line {
                shown: shown(row, report.by, &labels),
                growth: row.growth,
                live: row.live.bytes,
                survivors: row.survivors,
                rate: history.of(&name).rate(seconds),
                row: at,
                name,
            }
        })
        .collect();
    let words = words.to_lowercase();
    all.retain(|line| line.shown.to_lowercase().contains(&words));
    all.retain(|line| line.growth != Amount::default() || line.live > 0);
    let key = |line: &Line| match order {
        Order::Growth | Order::Rate => line.growth.bytes,
        Order::Live => line.live,
        Order::Blocks => line.growth.blocks,
        // What is not known comes last.
        Order::Survivors => {
            let known = line.survivors.and_then(Surviving::known);
            known.map_or(i64::MIN, |amount| amount.bytes)
        }
    };
    all.sort_by(|one, other| {
        let by_rate = match order {
            Order::Rate => other.rate.total_cmp(&one.rate),
            _ => std::cmp::Ordering::Equal,
        };
        by_rate
            .then(key(other).cmp(&key(one)))
            .then_with(|| one.name.cmp(&other.name))
    });
    all
}

/// `conn.c:88  conn_new  (via xmalloc)`
fn shown(row: &Row, by: By, labels: &Labels) -> String {
    let place = match by {
        By::Thread => row
            .thread
            .clone()
            .unwrap_or_else(|| "[no thread known]".to_string()),
        By::Module => row
            .module
            .clone()
            .unwrap_or_else(|| "[no module]".to_string()),
        By::File | By::Function | By::Line | By::Stack => {
            let file = row.file.as_deref().map_or("", |file| labels.of(file));
            Place::of(row).shown(file)
        }
    };
    let function = row.function.as_deref().map(|name| format!("  {name}"));
    let via = row.via.as_deref().map(|via| format!("  (via {via})"));
    escape(&format!(
        "{place}{}{}",
        function.unwrap_or_default(),
        via.unwrap_or_default()
    ))
}
