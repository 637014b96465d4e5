//! The table of what is passed over, and how a frame is compared with it.
//!
//! The patterns are data, in `table.txt`; users add theirs with `--skip`. Names are compared without template arguments, so
//! that `std::*` is about the function and never about its arguments. A name pattern must match whole: `xmalloc` does not
//! take in `xmalloc_stats_dump`, nor `std::*` a user's `mystd::thing`.

use crate::glob::Glob;
use crate::symbolize::{Language, SymbolFrame};
use std::collections::HashSet;

/// What a frame is to blame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// The program's own.
    Own,
    /// A wrapper or library plumbing.
    Plumbing,
    /// The malloc family itself.
    Allocator,
}

/// Names of one kind: those without wildcards are found at once.
#[derive(Clone, Debug, Default)]
struct Names {
    literal: HashSet<String>,
    globs: Vec<Glob>,
}

impl Names {
    fn add(&mut self, pattern: &str) {
        let glob = Glob::new(pattern);
        if glob.is_literal() {
            self.literal.insert(pattern.to_string());
        } else {
            self.globs.push(glob);
        }
    }

    fn contains(&self, name: &str) -> bool {
        self.literal.contains(name) || self.globs.iter().any(|glob| glob.matches(name))
    }
}

/// What is passed over.
#[derive(Clone, Debug)]
pub struct Table {
    allocator_functions: Names,
    allocator_modules: Names,
    wrapper_functions: Names,
    library_functions: Names,
    rust_functions: Names,
    library_files: Names,
    library_modules: Names,
    loader_modules: Names,
    interpreter_modules: Names,
    python_files: Names,
    users: Names,
}

impl Default for Table {
    fn default() -> Table {
        Table::parse(include_str!("table.txt"))
    }
}

impl Table {
    /// The same table with one more pattern, compared with function, file and module.
    #[must_use]
    pub fn skip(mut self, pattern: &str) -> Table {
        self.users.add(pattern);
        self
    }

    fn parse(text: &str) -> Table {
        let mut table = Table {
            allocator_functions: Names::default(),
            allocator_modules: Names::default(),
            wrapper_functions: Names::default(),
            library_functions: Names::default(),
            rust_functions: Names::default(),
            library_files: Names::default(),
            library_modules: Names::default(),
            loader_modules: Names::default(),
            interpreter_modules: Names::default(),
            python_files: Names::default(),
            users: Names::default(),
        };
        let mut heading = "";
        for line in text.lines().map(str::trim) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if line.starts_with('[') {
                heading = line;
            } else if let Some(names) = table.names(heading) {
                names.add(line);
            }
        }
        table
    }

    fn names(&mut self, heading: &str) -> Option<&mut Names> {
        Some(match heading {
            "[allocator functions]" => &mut self.allocator_functions,
            "[allocator modules]" => &mut self.allocator_modules,
            "[wrapper functions]" => &mut self.wrapper_functions,
            "[library functions]" => &mut self.library_functions,
            "[library functions of rust]" => &mut self.rust_functions,
            "[library files]" => &mut self.library_files,
            "[library modules]" => &mut self.library_modules,
            "[loader modules]" => &mut self.loader_modules,
            "[interpreter modules]" => &mut self.interpreter_modules,
            "[python files]" => &mut self.python_files,
            _ => return None,
        })
    }

    /// What this frame is.
    #[must_use]
    pub fn class(&self, frame: &SymbolFrame) -> Class {
        if frame.language == Language::Python {
            return self.class_of_python(frame);
        }
        let function = frame.function.as_deref().map(without_arguments);
        let function = function.as_deref();
        let module = frame.module.as_deref().map(base_name);
        let is_allocator = module.is_some_and(|name| self.allocator_modules.contains(name))
            || function.is_some_and(|name| self.allocator_functions.contains(name));
        if is_allocator {
            return Class::Allocator;
        }
        let is_plumbing = module.is_some_and(|name| self.library_modules.contains(name))
            || self.is_loader(frame)
            || function.is_some_and(|name| self.is_plumbing(name, frame))
            || frame
                .file
                .as_deref()
                .is_some_and(|file| self.library_files.contains(file))
            || self.is_users(frame);
        if is_plumbing {
            Class::Plumbing
        } else {
            Class::Own
        }
    }

    /// A script's function may be called `malloc`: it is told by its file alone.
    fn class_of_python(&self, frame: &SymbolFrame) -> Class {
        let file = frame.file.as_deref();
        if file.is_some_and(|file| self.python_files.contains(file)) || self.is_users(frame) {
            Class::Plumbing
        } else {
            Class::Own
        }
    }

    /// True for the code of an interpreter: what runs a script, or what its built-in functions are made of.
    pub(super) fn is_interpreter(&self, frame: &SymbolFrame) -> bool {
        let module = frame.module.as_deref().map(base_name);
        module.is_some_and(|name| self.interpreter_modules.contains(name))
    }

    /// True for the dynamic loader's own code.
    pub(super) fn is_loader(&self, frame: &SymbolFrame) -> bool {
        let module = frame.module.as_deref().map(base_name);
        module.is_some_and(|name| self.loader_modules.contains(name))
    }

    /// By its name; a Rust method is asked by where it is written.
    fn is_plumbing(&self, name: &str, frame: &SymbolFrame) -> bool {
        if self.wrapper_functions.contains(name) {
            return true;
        }
        if frame.language != Language::Rust {
            return self.library_functions.contains(name);
        }
        match frame.function.as_deref().and_then(qualified) {
            // `<Vec<mine::T> as mine::Trait>::f` has std's type first and is the user's: only the file can say.
            Some(_) if frame.file.is_some() => false,
            Some((of, Some(r#trait))) => self.is_rusts(of) && self.is_rusts(r#trait),
            Some((of, None)) => self.is_rusts(of),
            None => self.rust_functions.contains(name),
        }
    }

    /// True for a path of Rust's library, and for a type parameter or a primitive, which has no path.
    fn is_rusts(&self, path: &str) -> bool {
        let bare = path.trim_start_matches(['&', '*', '[', '(']);
        let bare = bare.strip_prefix("mut ").unwrap_or(bare);
        let bare = bare.strip_prefix("const ").unwrap_or(bare);
        let bare = bare.strip_prefix("dyn ").unwrap_or(bare);
        !bare.contains("::") || self.rust_functions.contains(&without_arguments(bare))
    }

    fn is_users(&self, frame: &SymbolFrame) -> bool {
        let short = frame.function.as_deref().map(without_arguments);
        let names = [
            frame.function.as_deref(),
            short.as_deref(),
            frame.file.as_deref(),
            frame.file.as_deref().map(base_name),
            frame.module.as_deref(),
            frame.module.as_deref().map(base_name),
        ];
        names
            .into_iter()
            .flatten()
            .any(|name| self.users.contains(name))
    }
}

fn base_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// The parts of a Rust method's name: `<Type as Trait>::method` or `<Type>::method`.
fn qualified(name: &str) -> Option<(&str, Option<&str>)> {
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
    let mut short = plain;
    for version in ["__cxx11::", "__1::", "__debug::", "__ndk1::"] {
        short = short.replace(version, "");
    }
    without_alias_prefix(&short).to_string()
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

/// True where the bracket that follows belongs to an operator's name: `<`, `<<`, `<=>`, `->` and the like, no longer ones.
fn extends_operator(short: &str, bracket: char) -> bool {
    let name = short.trim_end_matches(['<', '>', '=', '-']);
    let Some(before) = name.strip_suffix("operator") else {
        return false;
    };
    let stands_alone = before.is_empty() || before.ends_with("::");
    let is_longest = bracket == '<' || &short[name.len()..] != "<=";
    stands_alone && short.len() - name.len() < if is_longest { 2 } else { 3 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{c_frame, cpp_frame, module_frame, rust_frame};

    fn class(frame: &SymbolFrame) -> Class {
        Table::default().class(frame)
    }

    /// Check each kind of plumbing once.
    #[test]
    fn plumbing_is_passed_over() {
        for frame in [
            c_frame("xmalloc", "/src/util.c", 1),
            c_frame("g_strdup", "/src/glib/gstrfuncs.c", 1),
            c_frame("asprintf", "/usr/include/x86_64-linux-gnu/bits/stdio2.h", 1),
            cpp_frame("std::vector<Mine>::push_back", "/opt/x.h", 1),
            cpp_frame("frob<int>", "/usr/include/c++/12/ext/x.h", 1),
            cpp_frame("__gnu_cxx::new_allocator<int>::allocate", "/x.h", 1),
            rust_frame("alloc::vec::Vec<T,A>::push", None),
            rust_frame("<alloc::vec::Vec<u8>>::push", None),
            rust_frame("<T as alloc::string::ToString>::to_string", None),
            rust_frame(
                "x",
                Some((
                    "/home/u/.cargo/registry/src/i/hashbrown-0.15.2/src/raw.rs",
                    1,
                )),
            ),
            module_frame("qsort", "/lib/x86_64-linux-gnu/libc.so.6"),
            module_frame("qsort", "/lib/x86_64-linux-gnu/libc-2.31.so"),
        ] {
            assert_eq!(class(&frame), Class::Plumbing, "{frame:?}");
        }
    }

    /// Check that the malloc family is told from what is built on it.
    #[test]
    fn allocators() {
        for frame in [
            c_frame("malloc", "/src/mine.c", 1),
            cpp_frame("operator new[]", "/src/mine.cc", 1),
            cpp_frame("Pool::operator new", "/src/pool.cc", 1),
            module_frame("whatever", "/usr/lib/heapshim/libheapshim.so"),
            rust_frame("__rustc::__rdl_alloc", None),
        ] {
            assert_eq!(class(&frame), Class::Allocator, "{frame:?}");
        }
    }

    /// Check that names, files and modules that merely look like plumbing are the program's own.
    #[test]
    fn near_misses_are_own() {
        for frame in [
            c_frame("xmalloc_stats_dump", "/src/util.c", 1),
            c_frame("my_xmalloc", "/src/util.c", 1),
            c_frame("zmalloc_get_rss", "/src/zmalloc.c", 1),
            c_frame("stdio_open", "/src/bits/stdio.c", 1),
            c_frame("core_dump", "/home/u/include/c++ish/x.c", 1),
            cpp_frame("mystd::vector<int>::push_back", "/src/mystd.h", 1),
            cpp_frame("core::init", "/src/core.cc", 1),
            cpp_frame("alloc::Arena::grow", "/src/arena.cc", 1),
            cpp_frame("make<std::vector<int> >", "/src/make.h", 1),
            cpp_frame("hashbrown::f", "/src/h.cc", 1),
            rust_frame("corelib::run", None),
            rust_frame("allocator::run", None),
            rust_frame(
                "<mine::T as core::clone::Clone>::clone",
                Some(("/src/main.rs", 1)),
            ),
            rust_frame("<mine::T as core::clone::Clone>::clone", None),
            rust_frame(
                "<alloc::vec::Vec<u8> as mine::Trait>::f",
                Some(("/src/main.rs", 1)),
            ),
            rust_frame("<alloc::vec::Vec<u8> as mine::Trait>::f", None),
            module_frame("f", "/opt/app/libc.so.6.d/app"),
            module_frame("f", "/opt/app/libcurl.so.4"),
            module_frame("f", "/opt/app/libmine-libc.so.6"),
        ] {
            assert_eq!(class(&frame), Class::Own, "{frame:?}");
        }
    }

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
            ("core::f<fn(u8) -> u8>::g", "core::f::g"),
        ] {
            assert_eq!(short_name(name), short);
        }
    }

    /// Check that rubbish for a name does no harm.
    #[test]
    fn hostile_names() {
        for name in [
            "<",
            ">",
            "<>",
            "<<<",
            ">>>",
            "< as >",
            "->",
            "operator<",
            "<é as ",
            "é<é>é",
        ] {
            let _ = short_name(name);
            let _ = class(&rust_frame(name, None));
        }
    }

    /// Check that every heading of the data is one that is read, and that no pattern stands twice.
    #[test]
    fn data_is_well_formed() {
        let mut seen = HashSet::new();
        let mut table = Table::parse("");
        let mut heading = "";
        for line in include_str!("table.txt").lines() {
            if line.starts_with('[') {
                heading = line;
                assert!(table.names(line).is_some(), "{line}");
            } else if !line.is_empty() && !line.starts_with('#') {
                assert!(seen.insert((heading, line)), "{line} stands twice");
            }
        }
        assert!(seen.len() > 100);
    }
}
