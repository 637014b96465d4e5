//! The table of what is passed over, and how a frame is compared with it.
//!
//! The patterns are data, in `table.txt`; users add theirs with `--skip`. Names are compared without template arguments, so
//! that `std::*` is about the function and never about its arguments. A name pattern must match whole: `xmalloc` does not
//! take in `xmalloc_stats_dump`, nor `std::*` a user's `mystd::thing`.

use super::names::{qualified, without_arguments};
use super::program::Program;
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

    fn is_empty(&self) -> bool {
        self.literal.is_empty() && self.globs.is_empty()
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
    runtime_code: Names,
    foreign_files: Names,
    foreign_modules: Names,
    foreign_functions: Names,
    users: Names,
    owned: Names,
    program: Program,
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

    /// The same table with one more pattern that is never passed over, whatever else says so: for whoever works on a library.
    #[must_use]
    pub fn own(mut self, pattern: &str) -> Table {
        self.owned.add(pattern);
        self
    }

    /// The same table for this program: what is foreign to one is another's own.
    #[must_use]
    pub fn of(mut self, program: Program) -> Table {
        self.program = program;
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
            runtime_code: Names::default(),
            foreign_files: Names::default(),
            foreign_modules: Names::default(),
            foreign_functions: Names::default(),
            users: Names::default(),
            owned: Names::default(),
            program: Program::default(),
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
            "[foreign files]" => &mut self.foreign_files,
            "[foreign modules]" => &mut self.foreign_modules,
            "[foreign functions]" => &mut self.foreign_functions,
            "[interpreter modules]" => &mut self.interpreter_modules,
            "[runtime code]" => &mut self.runtime_code,
            "[python files]" => &mut self.python_files,
            _ => return None,
        })
    }

    /// What this frame is.
    #[must_use]
    pub fn class(&self, frame: &SymbolFrame) -> Class {
        if named(&self.owned, frame) {
            return Class::Own;
        }
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
            || frame.language == Language::Jit
                && function.is_some_and(|name| self.runtime_code.contains(name))
            || function.is_some_and(|name| self.is_plumbing(name, frame))
            || frame
                .file
                .as_deref()
                .is_some_and(|file| self.library_files.contains(file))
            || named(&self.users, frame);
        if is_plumbing {
            Class::Plumbing
        } else {
            Class::Own
        }
    }

    /// A script's function may be called `malloc`: it is told by its file alone.
    fn class_of_python(&self, frame: &SymbolFrame) -> Class {
        let file = frame.file.as_deref();
        if file.is_some_and(|file| self.python_files.contains(file)) || named(&self.users, frame) {
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

    /// True for a function that passes on what an allocator gave it: by its name, or by what its code does.
    pub(super) fn is_wrapper(&self, frame: &SymbolFrame) -> bool {
        let name = frame.function.as_deref().map(without_arguments);
        let is_known = name.is_some_and(|name| self.wrapper_functions.contains(&name));
        (frame.wrapper || is_known) && !named(&self.owned, frame)
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

    /// True for code that somebody else wrote and that the program merely calls: it is charged only where a stack has nothing of
    /// the program's own. Asked of frames of class `Own` alone.
    #[must_use]
    pub fn is_foreign(&self, frame: &SymbolFrame) -> bool {
        let is_script = matches!(frame.language, Language::Python | Language::Jit);
        if is_script || named(&self.owned, frame) {
            return false;
        }
        match (&frame.file, frame.line) {
            (Some(file), Some(_)) if self.is_foreign_source(file, frame) => true,
            (Some(_), Some(_)) => self.is_installed(frame) && !self.is_in_program(frame),
            _ => {
                let is_stripped = !self.is_in_program(frame) || self.is_installed(frame);
                is_stripped || self.is_foreign_function(frame)
            }
        }
    }

    /// By where it is written; a C++ library's headers may lie anywhere, so that its namespace says whose it is.
    fn is_foreign_source(&self, file: &str, frame: &SymbolFrame) -> bool {
        let by_name = frame.language != Language::Rust && self.is_foreign_function(frame);
        (by_name || self.foreign_files.contains(file)) && !self.program.is_at_home(file)
    }

    fn is_installed(&self, frame: &SymbolFrame) -> bool {
        let module = frame.module.as_deref();
        module.is_none_or(|path| self.foreign_modules.contains(path))
    }

    fn is_in_program(&self, frame: &SymbolFrame) -> bool {
        frame.module.as_deref() == Some(&*self.program.exe)
    }

    fn is_foreign_function(&self, frame: &SymbolFrame) -> bool {
        let Some(name) = frame.function.as_deref() else {
            return false;
        };
        let is_theirs = |path: &str| self.foreign_functions.contains(&without_arguments(path));
        match qualified(name) {
            Some((of, r#trait)) => {
                let is_neutral = |path: &str| is_theirs(path) || self.is_rusts(path);
                let both = is_neutral(of) && r#trait.is_none_or(is_neutral);
                both && (is_theirs(of) || r#trait.is_some_and(is_theirs))
            }
            None => is_theirs(name),
        }
    }
}

/// True where one of the patterns is this frame's function, file or module.
fn named(names: &Names, frame: &SymbolFrame) -> bool {
    if names.is_empty() {
        return false;
    }
    let short = frame.function.as_deref().map(without_arguments);
    let candidates = [
        frame.function.as_deref(),
        short.as_deref(),
        frame.file.as_deref(),
        frame.file.as_deref().map(base_name),
        frame.module.as_deref(),
        frame.module.as_deref().map(base_name),
    ];
    candidates
        .into_iter()
        .flatten()
        .any(|name| names.contains(name))
}

pub(super) fn base_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blame::names::short_name;
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
            module_frame("whatever", "/home/me/.cache/heapshim/libheapshim-0a1b.so"),
            rust_frame("__rustc::__rdl_alloc", None),
            rust_frame(
                "<mine::Counting as core::alloc::global::GlobalAlloc>::alloc",
                Some(("/src/main.rs", 3)),
            ),
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

    /// Check what is foreign to a program of one's own, and what is not.
    #[test]
    fn foreign_sources() {
        let table = |main: &str| {
            Table::default().of(Program {
                exe: "/srv/server".to_string(),
                main: Some(main.to_string()),
            })
        };
        let in_server = |frame: SymbolFrame| SymbolFrame {
            module: Some("/srv/server".to_string()),
            ..frame
        };
        let store = "/home/u/.cargo/registry/src/index.example-6f17d22bba15001f";
        let theirs = format!("{store}/regex-1.10.2/src/lib.rs");
        let mine = format!("{store}/ripgrep-14.1.0/crates/core/main.rs");
        let also_mine = format!("{store}/ripgrep-14.1.0/crates/core/search.rs");
        let is_foreign = |main: &str, file: &str| {
            let frame = in_server(rust_frame("frob::f", Some((file, 3))));
            table(main).is_foreign(&frame)
        };
        assert!(is_foreign("/home/u/rg/src/main.rs", &theirs));
        assert!(is_foreign(&mine, &theirs));
        assert!(!is_foreign(&mine, &also_mine));
        assert!(!is_foreign(&mine, "/home/u/rg/src/main.rs"));
        assert!(!is_foreign("/src/main.rs", "/home/u/registry/src/f.rs"));
        let own_impl = in_server(rust_frame("<bytes::Bytes as mine::T>::f", None));
        assert!(!table("/src/main.rs").is_foreign(&own_impl));
        let their_impl = in_server(rust_frame(
            "<bytes::Bytes as core::clone::Clone>::clone",
            None,
        ));
        assert!(table("/src/main.rs").is_foreign(&their_impl));
        let vendored = cpp_frame("nlohmann::basic_json<>::push_back", "/src/json.hpp", 1);
        assert!(table("/src/main.cc").is_foreign(&vendored));
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
