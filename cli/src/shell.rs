//! Words as a shell has to be given them: for commands that a message suggests, and that are copied from it.
//!
//! Called wherever a suggestion holds a name that the user or the target chose.

use crate::render::escape;

/// The word, quoted where a shell would take it apart. What no terminal should be sent is written out.
#[must_use]
pub fn word(text: &str) -> String {
    let safe = escape(text);
    let quoted = shlex::try_quote(&safe).map(std::borrow::Cow::into_owned);
    // Only a NUL cannot be quoted, and that is written out.
    quoted.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    /// Check that a shell gives back what was quoted, and that a plain word stays as it is.
    #[test]
    fn through_a_shell() {
        for text in [
            "warm",
            "after 1,000",
            "it's",
            "$(reboot)",
            "a\\b",
            "",
            "-x",
            "*",
            "ä\"`!",
        ] {
            let script = format!("printf %s {}", word(text));
            let output = Command::new("sh").args(["-c", &script]).output();
            let output = output.expect("sh").stdout;
            assert_eq!(String::from_utf8(output).expect("UTF-8"), text, "{script}");
        }
        assert_eq!(word("warm"), "warm");
        assert!(!word("a\x1b[0m").contains(char::is_control));
    }
}
