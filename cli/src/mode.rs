//! The words for what is recorded: `exact`, `sample=512K`, `off`.
//!
//! Used by `run --sample`, `mode`, `ls` and the reports. What they do is the target's (`shim/src/sampling.rs`).

use heapshim_ledger::sampling::{LARGEST_MEAN, Mode};

/// The word for a mode.
#[must_use]
pub fn word(mode: Mode) -> String {
    match mode {
        Mode::Exact => "exact".to_owned(),
        Mode::Sample(mean) => format!("sample={}", size(mean)),
        Mode::Off => "off".to_owned(),
    }
}

/// `512K`, `1M`, `1000`: as it can be asked for.
#[must_use]
pub fn size(mean: u32) -> String {
    match mean {
        mean if mean.is_multiple_of(1 << 20) => format!("{}M", mean >> 20),
        mean if mean.is_multiple_of(1 << 10) => format!("{}K", mean >> 10),
        mean => mean.to_string(),
    }
}

/// `exact`, `off`, `sample=SIZE`.
///
/// # Errors
/// What is wrong with the word.
pub fn parse(word: &str) -> Result<Mode, String> {
    match word {
        "exact" => Ok(Mode::Exact),
        "off" => Ok(Mode::Off),
        _ => match word.strip_prefix("sample=") {
            Some(size) => parse_size(size),
            None => Err("it is exact, off, or sample=SIZE, as in sample=512K".to_owned()),
        },
    }
}

/// What `run --sample` takes: a size, or `off`.
///
/// # Errors
/// What is wrong with the word.
pub fn parse_sample(word: &str) -> Result<Mode, String> {
    match word {
        "off" => Ok(Mode::Off),
        size => parse_size(size),
    }
}

fn parse_size(text: &str) -> Result<Mode, String> {
    let wrong = || format!("a size is from 1 to {}, as in 512K", size(LARGEST_MEAN));
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (digits, unit) = text.split_at(digits);
    let scale: u32 = match unit {
        "" | "B" => 1,
        "K" | "k" | "KiB" => 1 << 10,
        "M" | "m" | "MiB" => 1 << 20,
        _ => return Err(wrong()),
    };
    let number: Option<u32> = digits.parse().ok();
    let mean = number
        .and_then(|number| number.checked_mul(scale))
        .ok_or_else(wrong)?;
    match Mode::from_word(mean) {
        Some(mode @ Mode::Sample(_)) => Ok(mode),
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Check that each mode is read back from its word, and that sizes are as they are written elsewhere.
    #[test]
    fn there_and_back() {
        for mode in [1, 1000, 1024, 524_288, LARGEST_MEAN]
            .map(Mode::Sample)
            .into_iter()
            .chain([Mode::Exact, Mode::Off])
        {
            assert_eq!(parse(&word(mode)), Ok(mode));
        }
        assert_eq!(word(Mode::Sample(524_288)), "sample=512K");
        assert_eq!(parse_sample("1MiB"), Ok(Mode::Sample(1 << 20)));
        assert_eq!(parse_sample("off"), Ok(Mode::Off));
    }

    /// Check that what is no mode says what is one.
    #[test]
    fn wrong() {
        for text in [
            "sample",
            "on",
            "512K",
            "sample=0",
            "sample=65M",
            "sample=9999999999K",
            "sample=K",
        ] {
            let said = parse(text).unwrap_err();
            assert!(said.contains("512K"), "{text}: {said}");
        }
    }
}
