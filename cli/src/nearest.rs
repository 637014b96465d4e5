//! The nearest right word for a wrong one: commands, options, values, names of marks and of processes.
//!
//! Called wherever a word was not found and the words that there are can be listed.

use std::cmp::Reverse;

/// How many of its letters a slip leaves right (a letter wrong, missing, too many, or two that changed places): one slip in three letters.
const RIGHT: f64 = 0.6;

/// How alike a word must otherwise be (Jaro's measure, clap's own bound): one that was begun, or had more than one slip.
const LIKENESS: f64 = 0.7;

/// A word that is so many times shorter than the wrong one is not what was meant.
const LENGTHS: usize = 3;

/// The one of `known` that is most like `wrong`; None where none is. Below the bounds, a suggestion is a guess.
pub fn nearest<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wrong = wrong.to_lowercase();
    let measured = known.into_iter().map(|word| {
        let lower = word.to_lowercase();
        let right = strsim::normalized_damerau_levenshtein(&wrong, &lower);
        let apart = lower.len().abs_diff(wrong.len());
        (right, Reverse(apart), strsim::jaro(&wrong, &lower), word)
    });
    // Two letters are in most long words, in their order.
    let comparable = |word: &str| word.len() * LENGTHS >= wrong.len();
    measured
        .filter(|(right, _, likeness, word)| {
            *right > RIGHT || *likeness > LIKENESS && comparable(word)
        })
        // Of two that are one slip away, the one that lacks no letter: --tpo is --top, not --to.
        .max_by(|a, b| {
            let slips = a.0.total_cmp(&b.0).then(a.1.cmp(&b.1));
            slips.then(a.2.total_cmp(&b.2))
        })
        .map(|(.., word)| word)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Check that a slip is put right, in either case, and that what is like nothing is left alone.
    #[test]
    fn slips() {
        let known = ["start", "warm", "warmer", "after 1,000"];
        assert_eq!(nearest("wram", known), Some("warm"));
        assert_eq!(nearest("WARM", known), Some("warm"));
        assert_eq!(nearest("warmr", known), Some("warmer"));
        assert_eq!(nearest("strat", known), Some("start"));
        assert_eq!(nearest("xyz", known), None);
        assert_eq!(nearest("no-such-name", ["sh"]), None);
        // Jaro's measure alone finds "output" more like it: two letters that changed places in a short word are far apart there.
        assert_eq!(nearest("tpo", ["output", "top", "stacks"]), Some("top"));
        assert_eq!(
            nearest("cumul", ["color", "cumulative"]),
            Some("cumulative")
        );
        assert_eq!(nearest("warm", []), None);
    }
}
