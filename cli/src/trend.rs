//! What a line does over time: whether it grows, and how sure that is.
//!
//! Called by `watch` with the bytes of one line at each snapshot. Pure. Two rank statistics, which neither a jump nor noise misleads:
//! the test of Mann (Econometrica 13, 1945) and Kendall, with the variance corrected for ties, says whether there is a trend; the slope is
//! Theil's and Sen's (J. Am. Stat. Assoc. 63, 1968), the median of the slopes of all pairs, with Sen's interval of 95 %.
//!
//! Warm-up is no trend: the later half of a series is judged alone. Neither is one jump: its three thirds must go up one after the other.
//! A saw-tooth (two falls or more of a third of its range) is judged by its lows: a leak under a saw-tooth lifts them.

/// Points that say anything: of fewer, even perfectly ordered ones are no trend at 5 %.
pub const LEAST: usize = 5;

/// Normal deviate of 95 %, two-sided.
const Z_95: f64 = 1.96;

/// What a line does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// It has grown and still does.
    Grows,
    /// It rises and falls, and its lows do not rise.
    SawTooth,
    /// It changed, and does no more.
    Plateau,
    /// It gets less and less.
    Shrinks,
    /// Too few snapshots to say.
    TooFew,
}

impl Class {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Class::Grows => "grows",
            Class::SawTooth => "saw-tooth",
            Class::Plateau => "plateau",
            Class::Shrinks => "shrinks",
            Class::TooFew => "too few",
        }
    }
}

/// What is known of a series.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Trend {
    /// What it does.
    pub class: Class,
    /// Bytes in a unit of time, over the part that was judged.
    pub slope: f64,
    /// Where the slope is with 95 %.
    pub between: (f64, f64),
    /// How sure the direction is: 1 − p of the test.
    pub sure: f64,
}

/// A moment and what was alive then.
pub type Point = (f64, f64);

/// Classifies a series, whose times go up.
#[must_use]
pub fn trend(series: &[Point]) -> Trend {
    let judged = judged(series);
    if judged.len() < LEAST.min(series.len()) || series.len() < LEAST {
        return of(Class::TooFew, series, Test::default());
    }
    let teeth = falls(series) >= 2;
    let lows = lows(series);
    let judged = match teeth && lows.len() >= LEAST {
        true => &lows,
        false => judged,
    };
    let test = Test::of(judged);
    let class = match (teeth, test.direction(judged)) {
        (true, _) if lows.len() < LEAST => Class::SawTooth,
        (_, 1) => Class::Grows,
        (true, _) => Class::SawTooth,
        (false, -1) => Class::Shrinks,
        (false, _) => Class::Plateau,
    };
    of(class, judged, test)
}

/// The later half, and where that is too few, as many as say anything.
fn judged(series: &[Point]) -> &[Point] {
    let count = series.len().div_ceil(2).max(LEAST).min(series.len());
    &series[series.len() - count..]
}

/// Falls of at least a third of the range, each but the first after a rise of as much: what only shrinks falls once.
fn falls(series: &[Point]) -> usize {
    let values = series.iter().map(|point| point.1);
    let (least, most) = values.fold((f64::MAX, f64::MIN), |(least, most), value| {
        (least.min(value), most.max(value))
    });
    let third = (most - least) / 3.0;
    let (mut falls, mut falling) = (0, false);
    // The highest since it last rose, or the lowest since it last fell.
    let mut turn = series.first().map_or(0.0, |point| point.1);
    for &(_, value) in series {
        turn = if falling {
            turn.min(value)
        } else {
            turn.max(value)
        };
        if third > 0.0 && (value - turn).abs() >= third {
            falls += usize::from(!falling);
            (falling, turn) = (!falling, value);
        }
    }
    falls
}

/// The points that are no higher than their neighbours, and lower than one: the feet of the teeth.
fn lows(series: &[Point]) -> Vec<Point> {
    let is_low = |three: &&[Point]| three[1].1 < three[0].1 && three[1].1 <= three[2].1;
    series
        .windows(3)
        .filter(is_low)
        .map(|three| three[1])
        .collect()
}

/// The test of Mann and Kendall.
#[derive(Clone, Copy, Debug, Default)]
struct Test {
    /// Pairs that go up, less pairs that go down.
    score: f64,
    variance: f64,
}

impl Test {
    fn of(series: &[Point]) -> Test {
        let pairs = pairs(series).map(|(one, other)| sign(other.1 - one.1));
        let mut values: Vec<f64> = series.iter().map(|point| point.1).collect();
        values.sort_by(f64::total_cmp);
        let ties = values.chunk_by(|one, other| one == other);
        let terms = |count: usize| {
            let count = float(count);
            count * (count - 1.0) * (2.0 * count + 5.0)
        };
        let tied: f64 = ties.map(|group| terms(group.len())).sum();
        Test {
            score: pairs.sum(),
            variance: (terms(series.len()) - tied) / 18.0,
        }
    }

    /// The deviate, corrected for continuity.
    fn z(&self) -> f64 {
        match self.variance > 0.0 {
            true => (self.score - sign(self.score)) / self.variance.sqrt(),
            false => 0.0,
        }
    }

    /// 1 and −1 where there is a trend at 5 %, and it is one of the whole: no single jump.
    fn direction(&self, series: &[Point]) -> i32 {
        let way = match self.z() {
            z if z > Z_95 => 1,
            z if z < -Z_95 => -1,
            _ => return 0,
        };
        let third = series.len() / 3;
        let thirds = [
            &series[..third],
            &series[third..series.len() - third],
            &series[series.len() - third..],
        ];
        let [one, two, three] =
            thirds.map(|part| median(part.iter().map(|point| point.1).collect()));
        let goes = sign(two - one) + sign(three - two);
        if goes == 2.0 * f64::from(way) { way } else { 0 }
    }

    /// 1 − p, two-sided.
    fn sure(&self) -> f64 {
        1.0 - 2.0 * upper_tail(self.z().abs())
    }
}

fn of(class: Class, series: &[Point], test: Test) -> Trend {
    let mut slopes: Vec<f64> = pairs(series)
        .filter(|(one, other)| other.0 > one.0)
        .map(|(one, other)| (other.1 - one.1) / (other.0 - one.0))
        .collect();
    slopes.sort_by(f64::total_cmp);
    let reach = Z_95 * test.variance.max(0.0).sqrt();
    let count = float(slopes.len());
    let at = |rank: f64| {
        let last = slopes.len().saturating_sub(1);
        let wanted = (0..=last)
            .find(|&index| float(index) >= rank)
            .unwrap_or(last);
        slopes.get(wanted).copied().unwrap_or(0.0)
    };
    Trend {
        class,
        slope: median(slopes.clone()),
        between: (
            at(((count - reach) / 2.0).floor() - 1.0),
            at(((count + reach) / 2.0).ceil()),
        ),
        sure: test.sure(),
    }
}

fn pairs(series: &[Point]) -> impl Iterator<Item = (Point, Point)> + '_ {
    let later = move |at: usize| {
        series[at + 1..]
            .iter()
            .map(move |&other| (series[at], other))
    };
    (0..series.len()).flat_map(later)
}

/// The lower of the two in the middle where there are two.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len().saturating_sub(1) / 2;
    values.get(middle).copied().unwrap_or(0.0)
}

fn sign(value: f64) -> f64 {
    match value.partial_cmp(&0.0) {
        Some(std::cmp::Ordering::Greater) => 1.0,
        Some(std::cmp::Ordering::Less) => -1.0,
        _ => 0.0,
    }
}

/// The part of a normal distribution above z ≥ 0 (Abramowitz and Stegun, 26.2.17: to 7.5e-8).
fn upper_tail(z: f64) -> f64 {
    let t = 1.0 / (1.0 + 0.231_641_9 * z);
    let coefficients = [
        0.319_381_530,
        -0.356_563_782,
        1.781_477_937,
        -1.821_255_978,
        1.330_274_429,
    ];
    let sum = coefficients
        .iter()
        .rev()
        .fold(0.0, |sum, one| (sum + one) * t);
    (-z * z / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt() * sum
}

#[expect(
    clippy::cast_precision_loss,
    reason = "numbers of snapshots: thousands"
)]
fn float(count: usize) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Random;

    fn series(values: impl IntoIterator<Item = i32>) -> Vec<Point> {
        let values = values.into_iter().map(f64::from);
        values
            .enumerate()
            .map(|(at, value)| (float(at), value))
            .collect()
    }

    fn class(values: impl IntoIterator<Item = i32>) -> Class {
        trend(&series(values)).class
    }

    /// Check a steady leak: its class, its exact slope, and an interval that is that slope.
    #[test]
    fn steady() {
        let found = trend(&series((0..30).map(|at| 40 * at)));
        assert_eq!(
            (found.class, found.slope, found.between),
            (Class::Grows, 40.0, (40.0, 40.0))
        );
        assert!(found.sure > 0.99, "{found:?}");
        assert_eq!(
            trend(&series((0..30).map(|at| -3 * at))).class,
            Class::Shrinks
        );
    }

    /// Check staircases: a table that takes a step every few snapshots grows, at its mean rate.
    #[test]
    fn staircases() {
        for step in 2..=6 {
            let found = trend(&series((0..60).map(|at| at / step * 100)));
            assert_eq!(found.class, Class::Grows, "{step}");
            let rate = 100.0 / f64::from(step);
            assert!((found.slope - rate).abs() < rate / 4.0, "{step} {found:?}");
        }
    }

    /// Check that warm-up, one jump at any place, and nothing at all are no trend.
    #[test]
    fn plateaus() {
        assert_eq!(class((0..40).map(|at| at.min(10) * 100)), Class::Plateau);
        assert_eq!(
            class((0..40).map(|at| 1000 - 1000 / (1 << at.min(9)))),
            Class::Plateau
        );
        for jump in 0..40 {
            assert_eq!(
                class((0..40).map(|at| if at < jump { 0 } else { 500 })),
                Class::Plateau,
                "{jump}"
            );
        }
        assert_eq!(class([7; 20]), Class::Plateau);
    }

    /// Check that a saw-tooth is none of the others, and that a leak under one is seen by its lows.
    #[test]
    fn saw_teeth() {
        for length in 3..9 {
            let tooth = move |at: i32| at % length * 100;
            assert_eq!(class((0..60).map(tooth)), Class::SawTooth, "{length}");
            let found = trend(&series((0..60).map(|at| tooth(at) + 10 * at)));
            assert_eq!(found.class, Class::Grows, "{length}");
            assert!((found.slope - 10.0).abs() < 0.01, "{length} {found:?}");
        }
    }

    /// Check noise: about one series in twenty of pure noise may look like a trend by this test, hardly any is called one, and a leak under
    /// noise of ten times its step is found.
    #[test]
    fn noise() {
        let mut random = Random(7);
        let mut noise = || i32::try_from(random.below(400)).unwrap();
        let called = (0..200)
            .filter(|_| class((0..40).map(|_| noise())) == Class::Grows)
            .count();
        assert!(called <= 10, "{called} of 200");
        let found = (0..200)
            .filter(|_| class((0..60).map(|at| 40 * at + noise())) == Class::Grows)
            .count();
        assert!(found >= 190, "{found} of 200");
    }

    /// Check that too few snapshots say nothing, and that five in order do.
    #[test]
    fn few() {
        assert_eq!(class([1, 2, 3, 4]), Class::TooFew);
        assert_eq!(class([1, 2, 3, 4, 5]), Class::Grows);
        assert_eq!(class([]), Class::TooFew);
    }

    /// Check the tail of the normal distribution at its known places.
    #[test]
    fn tail() {
        for (z, part) in [
            (0.0, 0.5),
            (1.0, 0.158_655),
            (1.96, 0.024_998),
            (3.0, 0.001_350),
        ] {
            assert!((upper_tail(z) - part).abs() < 1e-6, "{z}");
        }
    }
}
