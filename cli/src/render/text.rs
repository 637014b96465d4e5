//! Words and numbers as every format writes them: sizes, counts, durations, and text that is safe to print.

use std::fmt::Write as _;

/// By 1024; the greatest that a 64-bit size reaches is EiB.
const UNITS: [&str; 7] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];

/// A size with its unit: `12 B`, `64.0 KiB`, `-2.0 MiB`.
#[must_use]
pub fn size(bytes: i64) -> String {
    let unit = unit_of(bytes);
    format!("{} {}", in_unit(bytes, unit), UNITS[unit])
}

/// A size with its sign: `+12 B`, `-2.0 MiB`; zero has none.
#[must_use]
pub fn signed_size(bytes: i64) -> String {
    let plus = if bytes > 0 { "+" } else { "" };
    format!("{plus}{}", size(bytes))
}

/// The place in [`UNITS`] that a size is written in: below 1024, as rounded.
pub(super) fn unit_of(bytes: i64) -> usize {
    let mut unit = 0;
    // 1023.96 KiB would print as 1024.0: it is 1.0 MiB.
    while unit + 1 < UNITS.len() && rounded(bytes, unit) >= if unit == 0 { 1024 } else { 10_240 } {
        unit += 1;
    }
    unit
}

/// A size in a given unit, without naming it.
pub(super) fn in_unit(bytes: i64, unit: usize) -> String {
    let sign = if bytes < 0 { "-" } else { "" };
    let rounded = rounded(bytes, unit);
    if unit == 0 {
        format!("{sign}{rounded}")
    } else {
        format!("{sign}{}.{}", rounded / 10, rounded % 10)
    }
}

/// Bytes, or tenths of a greater unit, half up, without the sign.
fn rounded(bytes: i64, unit: usize) -> u128 {
    let bytes = u128::from(bytes.unsigned_abs());
    if unit == 0 {
        return bytes;
    }
    let one = 1_u128 << (10 * unit);
    (bytes * 10 + one / 2) / one
}

/// `1,204 events lost`: of a recording that has not all; None where it has.
#[must_use]
pub fn lost(events: u64) -> Option<String> {
    let count = grouped(i64::try_from(events).unwrap_or(i64::MAX));
    let count = count.trim_start_matches('+');
    match events {
        0 => None,
        1 => Some(format!("{count} event lost")),
        _ => Some(format!("{count} events lost")),
    }
}

/// What is said behind something else, with what separates the two; nothing where nothing is.
#[must_use]
pub fn after(separator: &str, said: Option<String>) -> String {
    said.map_or(String::new(), |said| format!("{separator}{said}"))
}

/// A count with its sign and its thousands apart: `+300,004`.
#[must_use]
pub fn grouped(count: i64) -> String {
    let digits = count.unsigned_abs().to_string();
    let mut text = String::from(match count {
        0 => "",
        1.. => "+",
        _ => "-",
    });
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A count of blocks with its sign: `+300,004 blocks`, `-1 block`.
#[must_use]
pub fn blocks(count: i64) -> String {
    let one = if count.unsigned_abs() == 1 { "" } else { "s" };
    format!("{} block{one}", grouped(count))
}

/// The time between two moments: `350 ms`, `60.0 s`, `15.0 min`, `3.2 h`, `2.0 d`; to one before the first: `3.3 s back`.
#[must_use]
pub fn duration(from_ns: u64, to_ns: u64) -> String {
    let back = if to_ns < from_ns { " back" } else { "" };
    let ms = from_ns.abs_diff(to_ns) / 1_000_000;
    let in_tenths =
        |tenths: u64, unit: &str| format!("{}.{} {unit}{back}", tenths / 10, tenths % 10);
    match ms {
        0..1_000 => format!("{ms} ms{back}"),
        1_000..300_000 => in_tenths(ms / 100, "s"),
        300_000..7_200_000 => in_tenths(ms / 6_000, "min"),
        7_200_000..172_800_000 => in_tenths(ms / 360_000, "h"),
        _ => in_tenths(ms / 8_640_000, "d"),
    }
}

/// The text with everything that a terminal would obey, or that would turn the line around, written out: `\x1b`, `\u{202e}`.
#[must_use]
pub fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '\t' => safe.push_str("\\t"),
            '\n' => safe.push_str("\\n"),
            '\r' => safe.push_str("\\r"),
            char if char.is_ascii_control() => {
                let _ = write!(safe, "\\x{:02x}", u32::from(char));
            }
            char if is_unsafe(char) => {
                let _ = write!(safe, "\\u{{{:x}}}", u32::from(char));
            }
            char => safe.push(char),
        }
    }
    safe
}

/// Control characters, line ends of other kinds, marks that change the direction of text or have no width.
pub(super) fn is_unsafe(char: char) -> bool {
    char.is_control()
        || matches!(char, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// A source line as it is shown: trimmed, tabs as spaces, what is unsafe escaped.
pub(crate) fn source_line(line: &str) -> String {
    escape(&line.trim().replace('\t', "    "))
}

/// At most so many characters; what is cut is shown by `…`.
pub(super) fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_string();
    }
    let mut short: String = text.chars().take(width.saturating_sub(1)).collect();
    if width > 0 {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Check the sizes of the contract, the ends of each unit and the greatest numbers there are.
    #[test]
    fn sizes() {
        assert_eq!(size(0), "0 B");
        assert_eq!(size(1023), "1023 B");
        assert_eq!(size(1024), "1.0 KiB");
        assert_eq!(size(1024 * 1024 - 1), "1.0 MiB");
        assert_eq!(size(1024 * 1024 - 52), "1023.9 KiB");
        assert_eq!(size(-2 << 20), "-2.0 MiB");
        assert_eq!(signed_size(116_601_651), "+111.2 MiB");
        assert_eq!(signed_size(12), "+12 B");
        assert_eq!(signed_size(0), "0 B");
        assert_eq!(size(i64::MIN), "-8.0 EiB");
        assert_eq!(size(i64::MAX), "8.0 EiB");
    }

    /// Check where the commas stand.
    #[test]
    fn counts() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(16), "+16");
        assert_eq!(grouped(300_004), "+300,004");
        assert_eq!(grouped(-1_000), "-1,000");
        assert_eq!(grouped(i64::MIN), "-9,223,372,036,854,775,808");
    }

    /// Check each unit of time, and two runs in the wrong order.
    #[test]
    fn durations() {
        let since_zero = |ms: u64| duration(0, ms * 1_000_000);
        assert_eq!(since_zero(350), "350 ms");
        assert_eq!(since_zero(60_000), "60.0 s");
        assert_eq!(since_zero(900_000), "15.0 min");
        assert_eq!(since_zero(11_520_000), "3.2 h");
        assert_eq!(since_zero(172_800_000), "2.0 d");
        assert_eq!(duration(5_000_000_000, 0), "5.0 s back");
    }

    /// Check that what drives a terminal or turns text around is written out, and letters of any script are not.
    #[test]
    fn escapes() {
        assert_eq!(escape("a\x1b[31mb"), "a\\x1b[31mb");
        assert_eq!(escape("a\u{9b}b\u{7f}"), "a\\u{9b}b\\x7f");
        assert_eq!(escape("x\u{202e}y"), "x\\u{202e}y");
        assert_eq!(escape("größe::文"), "größe::文");
        assert_eq!(source_line("\t x\t= 1; \r"), "x    = 1;");
    }

    /// Check that a cut line has the width asked for.
    #[test]
    fn cuts() {
        assert_eq!(cut("abcdef", 6), "abcdef");
        assert_eq!(cut("abcdef", 4), "abc…");
        assert_eq!(cut("äöü", 2), "ä…");
        assert_eq!(cut("abc", 0), "");
    }
}
