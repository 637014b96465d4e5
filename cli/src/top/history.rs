//! What was alive at each reading, line by line: the sparklines, and the rates between two readings.

use std::collections::{HashMap, VecDeque};

/// Points that are kept: no sparkline is wider.
const MOST: usize = 60;
/// From least to most.
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// One thing followed: bytes alive.
#[derive(Clone, Debug, Default)]
pub(super) struct Points(VecDeque<i64>);

impl Points {
    pub(super) fn add(&mut self, bytes: i64) {
        self.0.push_back(bytes);
        if self.0.len() > MOST {
            self.0.pop_front();
        }
    }

    /// Bytes a second since the reading before.
    #[expect(clippy::cast_precision_loss, reason = "a rate for the eye")]
    pub(super) fn rate(&self, seconds: f64) -> f64 {
        let mut newest = self.0.iter().rev();
        match (newest.next(), newest.next()) {
            (Some(now), Some(before)) if seconds > 0.0 => {
                now.wrapping_sub(*before) as f64 / seconds
            }
            _ => 0.0,
        }
    }

    /// The last points as bars, the newest at the right. What has not moved is low: full height would look like much.
    pub(super) fn bars(&self, width: usize) -> String {
        let skipped = self.0.len().saturating_sub(width);
        let shown: Vec<i64> = self.0.iter().skip(skipped).copied().collect();
        let least = shown.iter().min().copied().unwrap_or(0);
        let most = shown.iter().max().copied().unwrap_or(0);
        let range = u128::from(most.abs_diff(least)).max(1);
        let bar = |bytes: &i64| {
            let height = u128::from(bytes.abs_diff(least)) * 7 / range;
            BARS[usize::try_from(height).unwrap_or(0).min(7)]
        };
        let bars: String = shown.iter().map(bar).collect();
        format!("{bars:>width$}")
    }
}

/// All lines of one grouping.
#[derive(Clone, Debug, Default)]
pub(super) struct History(HashMap<String, Points>);

impl History {
    /// Adds a reading: what is in it no more has nothing alive, and is forgotten.
    pub(super) fn add<'a>(&mut self, live: impl Iterator<Item = (&'a str, i64)>) {
        let mut before = std::mem::take(&mut self.0);
        for (name, bytes) in live {
            let mut points = before.remove(name).unwrap_or_default();
            points.add(bytes);
            self.0.insert(name.to_string(), points);
        }
    }

    pub(super) fn of(&self, name: &str) -> Points {
        self.0.get(name).cloned().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Check bars from least to most, of what stands still, and of more points than there is room for.
    #[test]
    fn bars() {
        let mut points = Points::default();
        assert_eq!(points.bars(3), "   ");
        for bytes in [0, 100, 700] {
            points.add(bytes);
        }
        assert_eq!(points.bars(5), "  ▁▂█");
        assert_eq!(points.bars(2), "▁█");
        points.add(i64::MIN);
        points.add(i64::MAX);
        assert_eq!(points.bars(2), "▁█");
        assert!((points.rate(0.0)).abs() < 1e-9);
        let mut still = Points::default();
        still.add(9);
        still.add(9);
        assert_eq!(still.bars(2), "▁▁");
    }

    /// Check that a rate is per second, and that a line which is gone begins anew when it comes again.
    #[test]
    fn rates() {
        let mut history = History::default();
        history.add([("a", 100)].into_iter());
        history.add([("a", 300), ("b", 7)].into_iter());
        assert!((history.of("a").rate(2.0) - 100.0).abs() < 1e-9);
        assert!(history.of("b").rate(2.0).abs() < 1e-9);
        history.add([("b", 7)].into_iter());
        history.add([("a", 900), ("b", 7)].into_iter());
        assert!(history.of("a").rate(2.0).abs() < 1e-9);
    }
}
