//! Names as their authors wrote them.
//!
//! Called by `cache` with a linkage name from DWARF or from a symbol table. C++ loses parameters and return type (the line
//! says which overload it is, and `--include 'Cache::*'` can match), Rust its hash. Of what cannot be demangled, `outline` finds the
//! path; else it stays as it is.

use crate::symbolize::Language;
use crate::symbolize::outline::outline;
use cpp_demangle::DemangleOptions;

/// A longer symbol is not demangled: the result can be exponentially longer than the name.
const MAX_MANGLED: usize = 4096;

/// A longer result is given up: a substitution can repeat another without end.
const MAX_DEMANGLED: usize = 16 * 1024;

/// Suffixes that optimizers append to a clone's name.
const CLONE_SUFFIXES: [&str; 8] = [
    "cold",
    "part",
    "isra",
    "constprop",
    "lto_priv",
    "llvm",
    "localalias",
    "clone",
];

/// The readable name, and the language that the mangling gives away (or the one that was known already).
pub(crate) fn demangle(name: &str, known: Language) -> (String, Language) {
    let name = without_clone_suffix(name);
    // glibc's names for calls within itself.
    let name = name.strip_prefix("__GI_").unwrap_or(name);
    if name.len() > MAX_MANGLED {
        return (name.to_string(), known);
    }
    if known != Language::Cpp
        && let Some(text) = rust(name)
    {
        return (text, Language::Rust);
    }
    match cpp(name).or_else(|| outline(name)) {
        Some(text) => (text, Language::Cpp),
        None => (name.to_string(), known),
    }
}

fn rust(name: &str) -> Option<String> {
    // `_ZN` alone is C++'s as well: only the hash at the end tells the two apart.
    if !(name.starts_with("_R") || (name.starts_with("_ZN") && has_rust_hash(name))) {
        return None;
    }
    let demangled = rustc_demangle::try_demangle(name).ok()?;
    bounded(format_args!("{demangled:#}"))
}

/// True for `…17h0123456789abcdefE`.
fn has_rust_hash(name: &str) -> bool {
    let Some(tail) = name
        .strip_suffix('E')
        .and_then(|name| name.len().checked_sub(19).and_then(|at| name.get(at..)))
    else {
        return false;
    };
    tail.strip_prefix("17h")
        .is_some_and(|hash| hash.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

fn cpp(name: &str) -> Option<String> {
    if !name.starts_with("_Z") {
        return None;
    }
    let symbol = cpp_demangle::BorrowedSymbol::new(name.as_bytes()).ok()?;
    let options = DemangleOptions::new().no_params().no_return_type();
    let mut text = Bounded(String::new());
    symbol.structured_demangle(&mut text, &options).ok()?;
    Some(text.0)
}

/// A string that refuses to grow past [`MAX_DEMANGLED`].
struct Bounded(String);

impl std::fmt::Write for Bounded {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        if self.0.len() + text.len() > MAX_DEMANGLED {
            return Err(std::fmt::Error);
        }
        self.0.push_str(text);
        Ok(())
    }
}

fn bounded(text: std::fmt::Arguments<'_>) -> Option<String> {
    let mut out = Bounded(String::new());
    std::fmt::Write::write_fmt(&mut out, text).ok()?;
    Some(out.0)
}

/// `grow.part.0.cold` is `grow`. Names that merely contain a dot are kept.
fn without_clone_suffix(name: &str) -> &str {
    let mut kept = name;
    while let Some((head, tail)) = kept.rsplit_once('.') {
        let is_number = !tail.is_empty() && tail.bytes().all(|byte| byte.is_ascii_digit());
        let word = if is_number {
            head.rsplit_once('.').map_or(("", ""), |pair| pair)
        } else {
            (head, tail)
        };
        if word.0.is_empty() || !CLONE_SUFFIXES.contains(&word.1) {
            return kept;
        }
        kept = word.0;
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Random;

    fn name(mangled: &str) -> String {
        demangle(mangled, Language::Unknown).0
    }

    /// Check that C++ names come without parameters and return type, with their template arguments.
    #[test]
    fn cpp_name_without_parameters() {
        assert_eq!(name("_ZN5Cache3putEi"), "Cache::put");
        assert_eq!(
            name("_ZNSt6vectorIiSaIiEE9push_backERKi"),
            "std::vector<int, std::allocator<int> >::push_back"
        );
        assert_eq!(name("_Znwm"), "operator new");
        assert_eq!(
            name("_Z4makeISt10unique_ptrIiEET_v"),
            "make<std::unique_ptr<int> >"
        );
    }

    /// Check both manglings of Rust, without the hash.
    #[test]
    fn rust_name_without_hash() {
        assert_eq!(
            demangle("_ZN5cache3put17h0123456789abcdefE", Language::Unknown),
            ("cache::put".to_string(), Language::Rust)
        );
        assert_eq!(name("_RNvCs1234_7mycrate3foo"), "mycrate::foo");
    }

    /// Check that a C++ class whose last name looks a little like a hash stays C++.
    #[test]
    fn cpp_is_not_taken_for_rust() {
        assert_eq!(demangle("_ZN1a1bE", Language::Unknown).1, Language::Cpp);
    }

    /// Check that clones lose the optimizer's suffix, and that other dots stay.
    #[test]
    fn clone_suffixes_go() {
        assert_eq!(name("grow.part.0.cold"), "grow");
        assert_eq!(name("grow.constprop.12"), "grow");
        assert_eq!(name("grow.mine"), "grow.mine");
        assert_eq!(name("grow.7"), "grow.7");
        assert_eq!(name(".part.0"), ".part.0");
    }

    /// Check that a C name, an empty one and rubbish come back as they are.
    #[test]
    fn what_is_not_mangled_stays() {
        for text in [
            "conn_new",
            "",
            "_Z",
            "_ZN",
            "_R",
            "_ZN99x",
            "_ZNé17hE",
            "é.é",
        ] {
            assert_eq!(name(text), text);
        }
    }

    /// Check that a name that would demangle to far more than it is comes back mangled.
    #[test]
    fn explosive_name_is_given_up() {
        let mut mangled = "_Z1fI1A".to_string();
        for _ in 0..30 {
            mangled.push_str("S_IS_S_E");
        }
        assert!(name(&mangled).len() <= MAX_DEMANGLED);
    }

    /// Check that mangled names with any bytes changed give some name and no panic.
    #[test]
    fn damaged_names_do_no_harm() {
        let whole = [
            "_ZNSt6vectorIiSaIiEE9push_backERKi",
            "_ZZN5Cache4fillEiENKUlvE_clEv",
            "_ZN5cache3put17h0123456789abcdefE",
            "_RNvMs_NtCs1234_7mycrate3fooNtB4_3Bar3baz",
            "_ZNSt3mapINSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEEEiSt4lessIS5_ESaISt4pairIKS5_iEEEixEOS5_",
        ];
        let letters = b"_ZNSKIEE0123456789LTXDpTDtRCsBaqhi.$\xc3\xa9";
        let mut random = Random(11);
        let mut below = |limit: usize| random.below(limit);
        for round in 0..20_000 {
            let mut bytes = whole[round % whole.len()].as_bytes().to_vec();
            for _ in 0..=below(4) {
                let at = below(bytes.len());
                bytes[at] = letters[below(letters.len())];
            }
            name(&String::from_utf8_lossy(&bytes));
        }
    }
}
