//! Text for XML: SVG and JUnit.

/// The text with what XML has a meaning for written out; what XML cannot hold at all (most control characters) becomes U+FFFD.
pub(crate) fn text(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&apos;"),
            '\t' | '\n' => safe.push(char),
            '\u{fffe}' | '\u{ffff}' => safe.push('\u{fffd}'),
            char if char.is_control() => safe.push('\u{fffd}'),
            char => safe.push(char),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    /// Check what has a meaning in XML, and what XML cannot hold.
    #[test]
    fn nothing_is_markup() {
        let text = super::text("a<b>&\"'\x1b\u{ffff}\né");
        assert_eq!(text, "a&lt;b&gt;&amp;&quot;&apos;\u{fffd}\u{fffd}\né");
    }
}
