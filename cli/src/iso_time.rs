//! Moments as text: `2026-11-22T12:00:00.123Z`.
//!
//! Called by `render` and by whoever lists marks. Always UTC. The calendar is Howard Hinnant's `civil_from_days`
//! (<https://howardhinnant.github.io/date_algorithms.html>): eras of 400 years that begin on the first of March.

const MS_PER_DAY: u64 = 86_400_000;

/// Days from 0000-03-01 to 1970-01-01.
const EPOCH: u64 = 719_468;

const DAYS_PER_ERA: u64 = 146_097;

/// Nanoseconds since the Unix epoch as ISO 8601, cut to milliseconds.
#[must_use]
pub fn iso_utc(unix_ns: u64) -> String {
    let ms = unix_ns / 1_000_000;
    let (year, month, day) = civil(ms / MS_PER_DAY);
    let of_day = ms % MS_PER_DAY;
    let (hour, minute) = (of_day / 3_600_000, of_day / 60_000 % 60);
    let (second, milli) = (of_day / 1000 % 60, of_day % 1000);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z")
}

/// Year, month and day of a day counted from the epoch.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + EPOCH;
    let (era, of_era) = (days / DAYS_PER_ERA, days % DAYS_PER_ERA);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> String {
        iso_utc(seconds * 1_000_000_000)
    }

    /// Check the epoch, a leap day, the days around it, and the end of a year.
    #[test]
    fn known_days() {
        assert_eq!(at(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(at(951_782_399), "2000-02-28T23:59:59.000Z");
        assert_eq!(at(951_782_400), "2000-02-29T00:00:00.000Z");
        assert_eq!(at(951_868_800), "2000-03-01T00:00:00.000Z");
        assert_eq!(at(4_107_542_400), "2100-03-01T00:00:00.000Z");
        assert_eq!(at(1_767_225_599), "2025-12-31T23:59:59.000Z");
    }

    /// Check that milliseconds are cut, not rounded, and that the last moment there is does no harm.
    #[test]
    fn milliseconds_and_the_end() {
        assert_eq!(iso_utc(123_999_999), "1970-01-01T00:00:00.123Z");
        assert_eq!(iso_utc(u64::MAX), "2554-07-21T23:34:33.709Z");
    }
}
