//! The path of a mangled C++ name, where the whole of it cannot be demangled.
//!
//! Called by `demangle` when the demangler gives up, which it does on expressions in template arguments and return types
//! (`std::make_shared` of GCC 12's library is one). A path is what users read and what `blame`'s table is compared with, and it
//! stands in front: arguments are skipped by their brackets, what comes behind the path is not looked at.
//!
//! Not for: names that are not a plain path (local classes, lambdas, conversions): they stay mangled.

/// Operators that a path can end in, by their two letters.
const OPERATORS: [(&str, &str); 20] = [
    ("nw", "operator new"),
    ("na", "operator new[]"),
    ("aS", "operator="),
    ("pL", "operator+="),
    ("pl", "operator+"),
    ("mi", "operator-"),
    ("ml", "operator*"),
    ("dv", "operator/"),
    ("or", "operator|"),
    ("an", "operator&"),
    ("ls", "operator<<"),
    ("rs", "operator>>"),
    ("eq", "operator=="),
    ("ne", "operator!="),
    ("lt", "operator<"),
    ("gt", "operator>"),
    ("cl", "operator()"),
    ("ix", "operator[]"),
    ("pt", "operator->"),
    ("pp", "operator++"),
];

/// `std::make_shared` for `_ZSt11make_sharedI…`.
pub(super) fn outline(mangled: &str) -> Option<String> {
    let rest = mangled.strip_prefix("_Z")?;
    let parts = match rest.strip_prefix('N') {
        Some(nested) => nested_parts(nested.trim_start_matches(['r', 'V', 'K', 'R', 'O']))?,
        None => plain_parts(rest)?,
    };
    (!parts.is_empty()).then(|| parts.join("::"))
}

fn plain_parts(rest: &str) -> Option<Vec<String>> {
    let (scope, rest) = match rest.strip_prefix("St") {
        Some(rest) => (Some("std".to_string()), rest),
        None => (None, rest.trim_start_matches('L')),
    };
    let (name, _) = part(rest, None)?;
    Some(scope.into_iter().chain([name]).collect())
}

/// The parts up to the path's own end.
fn nested_parts(mut rest: &str) -> Option<Vec<String>> {
    let mut parts: Vec<String> = Vec::new();
    while !rest.starts_with('E') {
        rest = match rest.as_bytes().first()? {
            b'I' => arguments(&rest[1..])?,
            b'B' => source_name(&rest[1..])?.1,
            b'L' => &rest[1..],
            b'S' if parts.is_empty() => {
                parts.push("std".to_string());
                rest.strip_prefix("St")?
            }
            _ => {
                let (name, after) = part(rest, parts.last())?;
                parts.push(name);
                after
            }
        };
    }
    Some(parts)
}

/// One name: of the source, of an operator, or the constructor of the class before.
fn part<'a>(rest: &'a str, class: Option<&String>) -> Option<(String, &'a str)> {
    if rest.starts_with(|first: char| first.is_ascii_digit()) {
        return source_name(rest).map(|(name, rest)| (name.to_string(), rest));
    }
    let (two, after) = rest.split_at_checked(2)?;
    match (two, class) {
        ("C1" | "C2" | "C3", Some(class)) => Some((class.clone(), after)),
        ("D0" | "D1" | "D2", Some(class)) => Some((format!("~{class}"), after)),
        _ => {
            let found = OPERATORS.iter().find(|(code, _)| *code == two)?;
            Some((found.1.to_string(), after))
        }
    }
}

/// A length and so many letters.
fn source_name(rest: &str) -> Option<(&str, &str)> {
    let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let length: usize = rest[..digits].parse().ok()?;
    rest[digits..].split_at_checked(length)
}

/// What follows template arguments: their brackets close as they open, and names in them are skipped by their length, since a
/// name may have any letters.
fn arguments(mut rest: &str) -> Option<&str> {
    let mut depth = 1_usize;
    while depth > 0 {
        let first = char::from(*rest.as_bytes().first()?);
        rest = match first {
            '0'..='9' => source_name(rest)?.1,
            'S' => substitution(rest)?,
            'T' | 'A' => after_underscore(rest)?,
            'D' => {
                depth += usize::from(rest.starts_with("Dt") || rest.starts_with("DT"));
                rest.get(2..)?
            }
            'L' => literal(&rest[1..])?,
            'I' | 'J' | 'N' | 'X' | 'F' => {
                depth += 1;
                &rest[1..]
            }
            'E' => {
                depth -= 1;
                &rest[1..]
            }
            _ => rest.get(1..)?,
        };
    }
    Some(rest)
}

/// `S_`, `S4_`, `St`, `Sa`.
fn substitution(rest: &str) -> Option<&str> {
    let second = *rest.as_bytes().get(1)?;
    if second.is_ascii_lowercase() {
        rest.get(2..)
    } else {
        after_underscore(rest)
    }
}

fn after_underscore(rest: &str) -> Option<&str> {
    rest.split_once('_').map(|(_, after)| after)
}

/// A literal's type and digits: `Lb1E`, `Lm64E`, `L4Kind2E`. One that is itself a mangled name is not read.
fn literal(rest: &str) -> Option<&str> {
    let rest = match rest.as_bytes().first()? {
        b'0'..=b'9' => source_name(rest)?.1,
        b'_' => return None,
        _ => rest,
    };
    rest.split_once('E').map(|(_, after)| after)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Check the paths of names that GCC 12 makes.
    #[test]
    fn paths() {
        for (mangled, path) in [
            (
                "_ZSt11make_sharedI5EntryJEESt10shared_ptrINSt9enable_ifIXntsrSt8is_arrayIT_E5valueES4_E4typeEEDpOT0_",
                "std::make_shared",
            ),
            (
                "_ZNSt3anyaSI5EntryEENSt9enable_ifIXsrSt21is_copy_constructibleINS2_IXnt9is_same_vINSt5decayIT_E4typeES_EES7_E4typeEE5valueERS_E4typeEOS5_",
                "std::any::operator=",
            ),
            ("_ZN5Cache3putEi", "Cache::put"),
            ("_ZNK5CacheIiLm64EE3getEv", "Cache::get"),
            ("_ZN5CacheI3FooIA4_cEE3getB5cxx11Ev", "Cache::get"),
            ("_ZN1a5CacheC2Ev", "a::Cache::Cache"),
            ("_ZN1a5CacheD1Ev", "a::Cache::~Cache"),
            ("_ZL4growi", "grow"),
        ] {
            assert_eq!(outline(mangled).as_deref(), Some(path));
        }
    }

    /// Check that what is no plain path, and rubbish, is given up, and that nothing panics on any part of a name.
    #[test]
    fn other_names() {
        for mangled in [
            "",
            "_Z",
            "_ZN",
            "_ZNE",
            "_ZZ4fillvE1x",
            "_ZN99x",
            "_ZN1aIL_Z1fEE1bEv",
            "_ZNSé",
            "_ZN2é1E",
            "main",
        ] {
            assert_eq!(outline(mangled), None, "{mangled}");
        }
        let long = "_ZNSt3anyaSI5EntryLm64EA3_cDtT_EENSt9enable_ifIXsrSt21is_copyE";
        for end in 0..long.len() {
            let _ = outline(&long[..end]);
        }
    }
}
