//! What a row of the table says: medians and ranges as text, and what is more than it may be.

use crate::bench::sorted;
use crate::bench_workloads::Kind;
use crate::took::Took;

/// Memory may be so many times the bare run's, and so many bytes more.
const MEMORY_TIMES: f64 = 1.3;
const MEMORY_BYTES: f64 = 12.0 * 1048576.0;
/// Behind what is more than it may be.
const MISSED: &str = " ✗";

/// Prints the columns' names.
pub(super) fn print_header(peers: &[&str]) {
    let ours = [
        "workload",
        "bare",
        "exact",
        "at most (aim)",
        "sampled 512K",
        "at most",
        "off",
        "at most",
        "memory, MB: bare → exact",
        "at most",
    ];
    let names: Vec<&str> = ours.iter().chain(peers).copied().collect();
    println!("| {} |", names.join(" | "));
    println!("|{}", " --- |".repeat(names.len()));
}

/// Runs of one way beside the bare ones of the same rounds: as multiples, and as milliseconds more.
pub(super) struct Ratios {
    wall: Vec<f64>,
    processor: Vec<f64>,
    wall_more: Vec<f64>,
    processor_more: Vec<f64>,
}

impl Ratios {
    /// Of runs, each with the bare one of its round.
    pub(super) fn of<'a>(pairs: impl Iterator<Item = (&'a Took, &'a Took)>) -> Ratios {
        let pairs: Vec<(&Took, &Took)> = pairs.collect();
        let all =
            |of: fn(&Took, &Took) -> f64| sorted(pairs.iter().map(|(run, bare)| of(run, bare)));
        Ratios {
            wall: all(|run, bare| run.wall_ms / bare.wall_ms),
            processor: all(|run, bare| run.processor_ms / bare.processor_ms),
            wall_more: all(|run, bare| run.wall_ms - bare.wall_ms),
            processor_more: all(|run, bare| run.processor_ms - bare.processor_ms),
        }
    }
}

/// A row's cells, and how many of them are more than they may be.
pub(super) struct Cells {
    pub(super) text: String,
    pub(super) missed: usize,
    kind: Kind,
}

impl Cells {
    pub(super) fn new(kind: Kind) -> Cells {
        Cells {
            text: String::new(),
            missed: 0,
            kind,
        }
    }

    /// What the bare run takes.
    pub(super) fn bare(&mut self, took: &[&Took]) {
        let wall = median(took, |took| took.wall_ms);
        let processor = median(took, |took| took.processor_ms);
        self.text = match self.kind {
            Kind::Pairs(pairs) => format!(
                "{wall:.0} ms, {:.0} ns a pair",
                processor * 1e6 / pairs as f64
            ),
            Kind::Times => format!("{wall:.0} ms"),
            Kind::Start => format!("{wall:.1} ms"),
        };
    }

    /// What one way to trace takes, and what it may.
    pub(super) fn way(&mut self, ratios: &Ratios, bar: Option<f64>, aim: Option<f64>) {
        let (wall, processor, unit) = match self.kind {
            Kind::Start => (&ratios.wall_more, &ratios.processor_more, " ms"),
            Kind::Times | Kind::Pairs(_) => (&ratios.wall, &ratios.processor, ""),
        };
        let plus = if self.kind == Kind::Start { "+" } else { "" };
        let mark = self.mark(middle(wall), bar);
        let both = [wall, processor].map(|values| format!("{plus}{}", spread(values)));
        self.push(&format!("{}{unit}{mark}", both.join(" · ")));
        let bar = bar.map_or("–".to_owned(), |bar| format!("{plus}{bar}{unit}"));
        self.push(&match aim {
            Some(aim) => format!("{bar} ({aim})"),
            None => bar,
        });
    }

    /// What is resident at most, and what may be.
    pub(super) fn memory(&mut self, bare: &[&Took], exact: &[&Took]) {
        let [bare, exact] = [bare, exact].map(|took| median(took, |took| took.peak_bytes));
        let bar = bare * MEMORY_TIMES + MEMORY_BYTES;
        let mark = self.mark(exact, Some(bar));
        self.push(&format!("{:.1} → {:.1}{mark}", bare / 1e6, exact / 1e6));
        self.push(&format!("{:.1}", bar / 1e6));
    }

    /// What a peer takes; it has its own to say how far it can be compared.
    pub(super) fn peer(&mut self, ratios: &Ratios) {
        let values = match self.kind {
            Kind::Start => &ratios.wall_more,
            Kind::Times | Kind::Pairs(_) => &ratios.wall,
        };
        match (values.is_empty(), self.kind) {
            (true, _) => self.push("–"),
            (false, Kind::Start) => self.push(&format!("+{} ms", spread(values))),
            (false, _) => self.push(&spread(values)),
        }
    }

    fn mark(&mut self, value: f64, bar: Option<f64>) -> &'static str {
        // As it is printed: what reads like the bar is not above it.
        let is_missed = bar.is_some_and(|bar| (value * 100.0).round() > (bar * 100.0).round());
        self.missed += usize::from(is_missed);
        if is_missed { MISSED } else { "" }
    }

    fn push(&mut self, cell: &str) {
        self.text.push_str(" | ");
        self.text.push_str(cell);
    }
}

/// `1.24 (1.20–1.31)`.
fn spread(values: &[f64]) -> String {
    let middle = middle(values);
    match values {
        [] => "–".to_owned(),
        [_] => format!("{middle:.2}"),
        [first, .., last] => format!("{middle:.2} ({first:.2}–{last:.2})"),
    }
}

/// Of sorted values; of none it is no number, which is above no bar.
fn middle(values: &[f64]) -> f64 {
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn median(took: &[&Took], of: fn(&Took) -> f64) -> f64 {
    middle(&sorted(took.iter().map(|took| of(took))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn took(wall_ms: f64, peak_bytes: f64) -> Took {
        Took {
            wall_ms,
            processor_ms: wall_ms / 2.0,
            peak_bytes,
            stdout: String::new(),
            stderr: String::new(),
        }
    }

    /// Check that the middle ratio is held against the bar, and that one which is printed as the bar passes.
    #[test]
    fn a_bar_is_missed() {
        let bare = took(100.0, 0.0);
        for (wall_ms, missed) in [(120.4, 0), (121.0, 1)] {
            let runs = [took(10.0, 0.0), took(wall_ms, 0.0), took(900.0, 0.0)];
            let mut cells = Cells::new(Kind::Times);
            cells.way(&Ratios::of(runs.iter().zip([&bare; 3])), Some(1.2), None);
            assert_eq!(cells.missed, missed, "{}", cells.text);
            assert_eq!(cells.text.contains(MISSED), missed == 1, "{}", cells.text);
        }
    }

    /// Check that a program that hardly runs is told and judged in milliseconds more.
    #[test]
    fn milliseconds_more() {
        let (bare, run) = (took(1.0, 0.0), took(5.0, 0.0));
        let mut cells = Cells::new(Kind::Start);
        cells.way(&Ratios::of([(&run, &bare)].into_iter()), Some(5.0), None);
        assert_eq!(
            (cells.text.as_str(), cells.missed),
            (" | +4.00 · +2.00 ms | +5 ms", 0)
        );
    }

    /// Check memory's bar: three tenths and twelve MiB more.
    #[test]
    fn memory_above_its_bar() {
        let bare = took(1.0, 100e6);
        for (peak, missed) in [(142.5e6, 0), (142.7e6, 1)] {
            let mut cells = Cells::new(Kind::Times);
            cells.memory(&[&bare], &[&took(1.0, peak)]);
            assert_eq!(cells.missed, missed, "{}", cells.text);
        }
    }

    /// Check that a peer without a run has a cell of its own, and fails nothing.
    #[test]
    fn a_peer_that_failed() {
        let mut cells = Cells::new(Kind::Times);
        cells.peer(&Ratios::of(std::iter::empty()));
        assert_eq!((cells.text.as_str(), cells.missed), (" | –", 0));
    }
}
