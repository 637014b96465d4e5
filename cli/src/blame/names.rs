//! Names of functions, taken apart: as the table compares them, and as `via` shows them.
//!
//! Called by `table` and `blame`. Names come from files that nobody vouches for: any text is taken, and none panics.

/// The parts of a Rust method's name: `<Type as Trait>::method` or `<Type>::method`.
pub(super) fn qualified(name: &str) -> Option<(&str, Option<&str>)> {
    let inner = &name[1..closing(name)?];
    let mut depth = 0_usize;
    for (at, char) in inner.char_indices() {
        match char {
            '<' | '(' | '[' => depth += 1,
            '>' if inner[..at].ends_with('-') => {}
            '>' | ')' | ']' => depth = depth.saturating_sub(1),
            ' ' if depth == 0 && inner[at..].starts_with(" as ") => {
                return Some((&inner[..at], Some(&inner[at + 4..])));
            }
            _ => {}
        }
    }
    Some((inner, None))
}

/// Where the bracket closes that the name begins with; None where it begins with none.
fn closing(name: &str) -> Option<usize> {
    if !name.starts_with('<') {
        return None;
    }
    let mut depth = 0_usize;
    for (at, char) in name.char_indices() {
        match char {
            '<' => depth += 1,
            '>' if name[..at].ends_with('-') => {}
            '>' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(at);
        }
    }
    None
}

/// The name as `via` shows it: without arguments, and without the namespaces that only say which version of a library it is.
pub(super) fn short_name(name: &str) -> String {
    let plain = match qualified(name) {
        Some((of, _)) => {
            let method = closing(name).map_or("", |end| &name[end + 1..]);
            format!("{}{}", without_arguments(of), without_arguments(method))
        }
        None => without_arguments(name),
    };
    let parts = plain.split("::").filter(|part| !is_version(part));
    let short = parts.collect::<Vec<_>>().join("::");
    let short = match short.split_once("[abi:") {
        Some((name, _)) => name.to_string(),
        None => short,
    };
    without_alias_prefix(&short).to_string()
}

/// True for a namespace that only says which version of a library it is: `v9`, `__cxx11`, `lts_20220623`.
fn is_version(part: &str) -> bool {
    let is_number = |text: &str| {
        !text.is_empty()
            && text
                .bytes()
                .all(|byte| byte.is_ascii_digit() || byte == b'_')
    };
    let prefixes = ["v", "lts_", "debian", "json_abi_v"];
    let numbered = |prefix: &&str| part.strip_prefix(prefix).is_some_and(is_number);
    matches!(part, "__cxx11" | "__1" | "__debug" | "__ndk1" | "_V2")
        || prefixes.iter().any(numbered)
}

/// `__strdup` and `___dlopen` are what the C library calls `strdup` and `dlopen`.
fn without_alias_prefix(name: &str) -> &str {
    let plain = name.trim_start_matches('_');
    let is_alias = name.starts_with("__") && !plain.is_empty() && !plain.contains("::");
    if is_alias { plain } else { name }
}

/// The name without template arguments and the parameters behind them: `std::vector<int>::at` is `std::vector::at`. The
/// brackets of operators stay: `operator<`, `operator->`, `operator new[]`. A name that begins with a bracket (a Rust method)
/// keeps that one.
pub(crate) fn without_arguments(name: &str) -> String {
    let mut short = String::with_capacity(name.len());
    let mut depth = 0_usize;
    for (at, char) in name.char_indices() {
        match char {
            '<' | '>' if depth == 0 && extends_operator(&short, char) => short.push(char),
            '>' if name[..at].ends_with('-') => {}
            '<' if at == 0 => return method_without_arguments(name),
            '<' => depth += 1,
            '>' => depth = depth.saturating_sub(1),
            char if depth == 0 => short.push(char),
            _ => {}
        }
    }
    // Rust writes a function's own arguments as a path part: `f::<T>`.
    let short = short.replace("::::", "::");
    short.trim_end_matches("::").trim_end().to_string()
}

fn method_without_arguments(name: &str) -> String {
    let Some((of, r#trait)) = qualified(name) else {
        return name.to_string();
    };
    let rest = closing(name).map_or("", |end| &name[end + 1..]);
    let r#trait = r#trait.map(|path| format!(" as {}", without_arguments(path)));
    format!(
        "<{}{}>{}",
        without_arguments(of),
        r#trait.unwrap_or_default(),
        without_arguments(rest)
    )
}

/// The operators whose names have brackets in them.
const BRACKETS: [&str; 11] = [
    "<", "<<", "<=", "<<=", "<=>", ">", ">>", ">=", ">>=", "->", "->*",
];

/// True where the bracket that follows belongs to an operator's name.
fn extends_operator(short: &str, bracket: char) -> bool {
    let name = short.trim_end_matches(['<', '>', '=', '-']);
    let Some(before) = name.strip_suffix("operator") else {
        return false;
    };
    let sign = format!("{}{bracket}", &short[name.len()..]);
    let stands_alone = before.is_empty() || before.ends_with("::");
    stands_alone && BRACKETS.iter().any(|known| known.starts_with(&sign))
}

#[cfg(test)]
mod tests {
    use super::*;
    /// Check the names that `via` shows.
    #[test]
    fn short_names() {
        for (name, short) in [
            (
                "std::vector<int, std::allocator<int> >::push_back",
                "std::vector::push_back",
            ),
            (
                "std::__cxx11::basic_string<char>::_M_append",
                "std::basic_string::_M_append",
            ),
            ("alloc::vec::Vec<T,A>::push", "alloc::vec::Vec::push"),
            ("<alloc::vec::Vec<u8>>::push", "alloc::vec::Vec::push"),
            (
                "<alloc::vec::Vec<T> as core::iter::FromIterator<T>>::from_iter",
                "alloc::vec::Vec::from_iter",
            ),
            (
                "core::iter::collect::<alloc::vec::Vec<u8>>",
                "core::iter::collect",
            ),
            ("xmalloc", "xmalloc"),
            ("__strdup", "strdup"),
            ("_emalloc", "_emalloc"),
            ("__gnu_cxx::f", "__gnu_cxx::f"),
            ("__", "__"),
            ("mine::operator<<<int>", "mine::operator<<"),
            ("mine::operator< <int>", "mine::operator<"),
            ("mine::operator<=><int>", "mine::operator<=>"),
            ("P<T>::operator->", "P::operator->"),
            ("F::operator=<f()::<lambda()> >", "F::operator="),
            ("fmt::v9::format<int>", "fmt::format"),
            ("absl::lts_20220623::StrCat[abi:cxx11]", "absl::StrCat"),
            (
                "nlohmann::json_abi_v3_11_2::basic_json<>::parse",
                "nlohmann::basic_json::parse",
            ),
            ("mine::video::v::f", "mine::video::v::f"),
            ("core::f<fn(u8) -> u8>::g", "core::f::g"),
        ] {
            assert_eq!(short_name(name), short);
        }
    }
}
