//! JSON schemas (draft 7), as far as those of the formats that we write go: a value that breaks a rule is named with its place.
//!
//! A schema's word that is not known here is a panic, so that "valid" means that every rule of the schema was looked at.

use serde_json::{Map, Value};

/// Words that describe and demand nothing.
const SAYS_NOTHING: [&str; 4] = ["$schema", "definitions", "title", "description"];

/// A schema, whole: references lead to its own parts.
#[derive(Debug)]
pub struct Schema(Value);

impl Schema {
    /// Reads one.
    ///
    /// # Panics
    /// Where it is no JSON.
    #[must_use]
    pub fn read(text: &str) -> Schema {
        Schema(serde_json::from_str(text).expect("a schema is JSON"))
    }

    /// What of the value breaks a rule, and where; nothing, of one that is valid.
    #[must_use]
    pub fn broken(&self, value: &Value) -> Vec<String> {
        self.look(&self.0, value, "")
    }

    fn look(&self, rules: &Value, value: &Value, at: &str) -> Vec<String> {
        let rules = rules.as_object().expect("rules");
        // Beside a reference nothing else counts (draft 7, 8.3).
        if let Some(to) = rules.get("$ref") {
            return self.look(self.part(to), value, at);
        }
        let each = rules
            .iter()
            .filter(|(word, _)| !SAYS_NOTHING.contains(&word.as_str()));
        each.flat_map(|(word, rule)| self.rule(word, rule, value, at))
            .collect()
    }

    /// `#/definitions/FileFormat.File`.
    fn part(&self, to: &Value) -> &Value {
        let to = to.as_str().and_then(|to| to.strip_prefix('#'));
        let part = to.and_then(|path| self.0.pointer(path));
        part.unwrap_or_else(|| panic!("no such part: {to:?}"))
    }

    fn rule(&self, word: &str, rule: &Value, value: &Value, at: &str) -> Vec<String> {
        let broken = |is_right: bool| match is_right {
            true => Vec::new(),
            false => vec![format!("{at}: {value} is not of {word} {rule}")],
        };
        match word {
            "type" => broken(is_of(value, rule)),
            "const" => broken(value == rule),
            "enum" => broken(list(rule).contains(value)),
            "anyOf" => {
                let ways = list(rule).iter();
                broken(
                    ways.into_iter()
                        .any(|way| self.look(way, value, at).is_empty()),
                )
            }
            "required" => {
                let has =
                    |name: &Value| name.as_str().is_some_and(|name| value.get(name).is_some());
                broken(!value.is_object() || list(rule).iter().all(has))
            }
            "properties" => self.properties(rule.as_object().expect("an object"), value, at),
            "items" => {
                let items = value.as_array().map_or(&[][..], Vec::as_slice).iter();
                let each = items.enumerate();
                each.flat_map(|(number, item)| self.look(rule, item, &format!("{at}/{number}")))
                    .collect()
            }
            _ => panic!("a schema's word that is not known here: {word}"),
        }
    }

    fn properties(&self, rules: &Map<String, Value>, value: &Value, at: &str) -> Vec<String> {
        let there = |(name, rule)| value.get(name).map(|value| (name, rule, value));
        let there = rules.iter().filter_map(there);
        there
            .flat_map(|(name, rule, value)| self.look(rule, value, &format!("{at}/{name}")))
            .collect()
    }
}

fn list(rule: &Value) -> &[Value] {
    rule.as_array().expect("a list")
}

fn is_of(value: &Value, kind: &Value) -> bool {
    match kind.as_str() {
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("number") => value.is_number(),
        _ => panic!("a kind of value that is not known here: {kind}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// Check that each rule is looked at, also behind a reference, and that what breaks it is named.
    #[test]
    fn rules() {
        let schema = json!({
            "definitions": {"kind": {"enum": ["a", "b"]}},
            "type": "object", "required": ["kind"],
            "properties": {
                "kind": {"$ref": "#/definitions/kind"},
                "list": {"type": "array", "items": {"anyOf": [{"type": "number"}, {"const": "x"}]}},
            },
        });
        let schema = Schema(schema);
        let right = json!({"kind": "a", "list": [1, "x", 2.5], "other": null});
        assert_eq!(schema.broken(&right), Vec::<String>::new());
        for (wrong, at) in [
            (json!([]), ": [] is not of type"),
            (json!({}), ": {} is not of required"),
            (json!({"kind": "c"}), "/kind: \"c\" is not of enum"),
            (json!({"kind": "a", "list": 1}), "/list: 1 is not of type"),
            (
                json!({"kind": "a", "list": [1, "y"]}),
                "/list/1: \"y\" is not of anyOf",
            ),
        ] {
            let broken = schema.broken(&wrong);
            assert!(broken.len() == 1 && broken[0].starts_with(at), "{broken:?}");
        }
    }
}
