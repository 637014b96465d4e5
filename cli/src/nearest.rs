//! The nearest right word for a wrong one: names of marks and of processes, as clap does it for its own words.
//!
//! Called wherever a name was not found and the names that there are can be listed.

/// How alike two words must be: below it, a suggestion is a guess. clap's own bound.
const LIKENESS: f64 = 0.7;

/// The one of `known` that is most like `wrong`; None where none is.
pub fn nearest<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let likeness = |word: &&str| strsim::jaro(&wrong.to_lowercase(), &word.to_lowercase());
    let alike = known.into_iter().map(|word| (likeness(&word), word));
    let alike = alike.filter(|(likeness, _)| *likeness > LIKENESS);
    alike
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, word)| word)
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
        assert_eq!(nearest("warm", []), None);
    }
}
