//! Blame: which frame of a stack is charged.
//!
//! Called by `diff` for each site. The innermost frame of a stack is `new_allocator.h:137`, `xmalloc` or `PyObject_Malloc`;
//! users want the line of theirs. A frame is *passed over* when the table says so; inlined functions count as frames. The
//! row is the innermost frame that is not; the frame just inside it is its `via`, where that says something.
//!
//! A stack in which Python code runs has two lines that matter: the script's, and the C line beneath it. `python` says which of
//! the script's is charged; `--blame native` asks for the other, and `via` names it.
//!
//! Third parties' code is the program's to answer for: `Table::is_foreign` says what was merely called. Such a frame is charged
//! only where no line of the program's own is further out.
//!
//! Pure: it sees symbolized frames, and asks for further ones only until it has found its frame.

mod judged;
mod names;
mod program;
mod python;
mod table;

pub use judged::{FrameAt, Judged};
pub(crate) use names::without_arguments;
pub use program::Program;
pub use python::{module_frame, native_inside, python_frame};
pub use table::{Class, Table};

use crate::symbolize::{Language, Reason, SymbolFrame};
use std::rc::Rc;

/// `ledger::layout::TruncatedReason::NoRule`.
const NO_RULE: u64 = 2;

/// Which frame the user wants to see charged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Mode {
    /// The innermost line of the program's own: of its Python code, where it runs any.
    #[default]
    App,
    /// The innermost frame outside the malloc family.
    Innermost,
    /// As `App`, native frames alone, and not the interpreter's own: a C extension's code rather than the script.
    Native,
    /// The innermost line of Python code, whosever it is: what tracemalloc charges.
    Python,
}

impl Mode {
    /// True where Python code goes before what it calls.
    #[must_use]
    pub fn prefers_python(self) -> bool {
        matches!(self, Mode::App | Mode::Python)
    }

    /// As much of a stack as two stacks are told apart by: tracemalloc sees nothing native.
    #[must_use]
    pub fn visible(self, mut stack: Vec<SymbolFrame>) -> Vec<SymbolFrame> {
        let is_python = |frame: &SymbolFrame| frame.language == Language::Python;
        if self == Mode::Python && stack.iter().any(is_python) {
            stack.retain(is_python);
        }
        stack
    }

    /// Every frame that could be charged, innermost first: what `--cumulative` charges all of.
    #[must_use]
    pub fn all(self, table: &Table, stack: &[FrameAt]) -> Vec<FrameAt> {
        let is_python = |frame: &&FrameAt| frame.language == Language::Python;
        let python: Vec<&FrameAt> = stack.iter().filter(is_python).collect();
        if !self.prefers_python() || python.is_empty() {
            let mut asking = Asking::default();
            let charged = |frame: &&FrameAt| {
                let class = asking.class(table, frame);
                !frame.is_mark() && charges(self, table, class, frame)
            };
            return stack.iter().filter(charged).cloned().collect();
        }
        let own = |frame: &&&FrameAt| self == Mode::Python || frame.class(table) == Class::Own;
        let found: Vec<FrameAt> = python.iter().filter(own).copied().cloned().collect();
        if found.is_empty() {
            return python.into_iter().cloned().collect();
        }
        found
    }
}

/// The frame that is charged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blamed {
    /// The frame.
    pub frame: FrameAt,
    /// The frame just inside it: what it called to get its memory.
    inside: Option<FrameAt>,
}

impl Blamed {
    /// A frame that is charged whatever it called.
    #[must_use]
    pub fn alone(frame: FrameAt) -> Blamed {
        Blamed {
            frame,
            inside: None,
        }
    }

    /// The name of what it called, a wrapper or a container, unless that is the allocator itself: everybody calls that.
    #[must_use]
    pub fn via(&self, table: &Table) -> Option<String> {
        let inside = self.inside.as_ref();
        let inside = inside.filter(|inside| inside.class(table) != Class::Allocator)?;
        let module = || inside.module.as_deref().map(table::base_name);
        let named = inside.function.as_deref().map(names::short_name);
        named.or_else(|| module().map(str::to_string))
    }
}

/// Finds the frame to charge. `nodes` yields the frames of one trie node after the other, innermost first; it is asked for no
/// more of them than are needed. None: the stack is not known well enough to charge anybody.
pub fn blame<I>(table: &Table, mode: Mode, nodes: I) -> Option<Blamed>
where
    I: IntoIterator<Item = Rc<Judged>>,
{
    let mut search = Search::default();
    for node in nodes {
        for frame in node.each() {
            if frame.is_mark() {
                return search.at_end(table, &frame);
            }
            if mode == Mode::Native && !is_own_native(table, &frame) {
                // What Python code has called ends here: whatever C code runs the Python code has not asked for it.
                if search.is_beneath(&frame) {
                    return search.end();
                }
                if frame.language == Language::Python {
                    continue;
                }
            }
            let class = search.asking.class(table, &frame);
            if charges(mode, table, class, &frame) {
                if mode == Mode::Innermost || !frame.is_foreign(table) {
                    return Some(search.blamed(frame));
                }
                if search.foreign.is_none() {
                    search.foreign = Some(search.blamed(frame.clone()));
                }
            }
            search.pass(frame, class);
        }
    }
    search.end()
}

fn charges(mode: Mode, table: &Table, class: Class, frame: &FrameAt) -> bool {
    match mode {
        Mode::App | Mode::Python => class == Class::Own,
        Mode::Innermost => class != Class::Allocator,
        Mode::Native => class == Class::Own && is_own_native(table, frame),
    }
}

/// True for what is neither Python code nor the interpreter that runs it.
fn is_own_native(table: &Table, frame: &FrameAt) -> bool {
    frame.language != Language::Python && !frame.is_interpreter(table)
}

/// Whether all frames so far merely ask an allocator: then one more that does nothing but ask is one of them.
#[derive(Debug, Default)]
struct Asking {
    has_ended: bool,
}

impl Asking {
    /// What a frame is, asked of one after the other, innermost first.
    fn class(&mut self, table: &Table, frame: &FrameAt) -> Class {
        let class = frame.class(table);
        let is_wrapper = !self.has_ended && frame.is_wrapper(table);
        self.has_ended |= !is_wrapper && class != Class::Allocator;
        if is_wrapper && class == Class::Own {
            return Class::Plumbing;
        }
        class
    }
}

/// What was passed over so far.
#[derive(Debug, Default)]
struct Search {
    asking: Asking,
    /// The frame passed over last: the outermost so far.
    inside: Option<FrameAt>,
    /// What is charged when nothing else is left: the innermost frame outside the malloc family, else the outermost.
    fallback: Option<FrameAt>,
    fallback_is_allocator: bool,
    /// The innermost frame of a library that is not the program's own.
    foreign: Option<Blamed>,
}

impl Search {
    fn blamed(&self, frame: FrameAt) -> Blamed {
        Blamed {
            frame,
            inside: self.inside.clone(),
        }
    }

    /// Charges what there is where nothing is the program's own: a library that has started a thread, or that is all that can be
    /// seen of a program without debug information; else plumbing: a thread that the C library made, a static constructor.
    fn end(self) -> Option<Blamed> {
        self.foreign.or(self.fallback.map(Blamed::alone))
    }

    /// True where what was passed over says more than that an allocator was called.
    fn has_fallback(&self) -> bool {
        self.fallback.is_some() && !self.fallback_is_allocator
    }

    /// True where what was passed over is what Python code has called: an extension, or at its line the interpreter itself.
    fn is_beneath(&self, frame: &SymbolFrame) -> bool {
        self.foreign.is_some() || frame.language == Language::Python && self.has_fallback()
    }

    fn pass(&mut self, frame: FrameAt, class: Class) {
        let is_allocator = class == Class::Allocator;
        if !self.has_fallback() {
            self.fallback = Some(frame.clone());
            self.fallback_is_allocator = is_allocator;
        }
        self.inside = Some(frame);
    }

    /// Charges nobody where the stack ends early, with one exception: the loader's entry has no unwind information, so a
    /// stack that ends in the loader is whole. It is what constructors allocate before the program's first instruction.
    fn at_end(self, table: &Table, mark: &SymbolFrame) -> Option<Blamed> {
        if self.foreign.is_some() {
            return self.foreign;
        }
        let is_entry = mark.reason == Some(Reason::Truncated(NO_RULE));
        let outermost = self
            .inside
            .filter(|frame| is_entry && table.is_loader(frame));
        outermost.and(self.fallback).map(Blamed::alone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{c_frame, cpp_frame, module_frame, python_frame, rust_frame};

    fn blamed(mode: Mode, frames: &[SymbolFrame]) -> Option<(String, Option<String>)> {
        blamed_with(&Table::default(), mode, frames)
    }

    fn blamed_with(
        table: &Table,
        mode: Mode,
        frames: &[SymbolFrame],
    ) -> Option<(String, Option<String>)> {
        let nodes = frames
            .iter()
            .map(|frame| Judged::new(Rc::from([frame.clone()])));
        let found = blame(table, mode, nodes)?;
        Some((found.frame.function.clone().unwrap(), found.via(table)))
    }

    fn row(function: &str, via: Option<&str>) -> Option<(String, Option<String>)> {
        Some((function.to_string(), via.map(str::to_string)))
    }

    /// Check that a wrapper is passed over and named, and malloc is passed over and not named.
    #[test]
    fn wrapper_is_via_and_malloc_is_not() {
        let malloc = c_frame("malloc", "/usr/src/malloc.c", 1);
        let wrapper = c_frame("xmalloc", "/src/util.c", 12);
        let app = c_frame("conn_new", "/src/conn.c", 88);
        let stack = [malloc.clone(), wrapper, app.clone()];
        assert_eq!(blamed(Mode::App, &stack), row("conn_new", Some("xmalloc")));
        assert_eq!(blamed(Mode::App, &[malloc, app]), row("conn_new", None));
    }

    /// Check that what is seen to be a wrapper is one where all that it calls merely asks an allocator, and only there.
    #[test]
    fn wrappers_are_seen_from_inside() {
        let wrapper = |name: &str| SymbolFrame {
            wrapper: true,
            ..c_frame(name, "/src/memory.c", 9)
        };
        let malloc = c_frame("malloc", "/usr/src/malloc.c", 1);
        let app = c_frame("conn_new", "/src/conn.c", 88);
        let charged = |frames: &[SymbolFrame]| blamed(Mode::App, frames);
        let expected = row("conn_new", Some("outer"));
        let stack = [
            malloc.clone(),
            wrapper("inner"),
            wrapper("outer"),
            app.clone(),
        ];
        assert_eq!(charged(&stack), expected);
        assert_eq!(charged(&stack[1..]), expected);
        assert_eq!(blamed(Mode::Innermost, &stack), row("inner", None));
        assert_eq!(charged(&stack[..3]), row("inner", None));
        let known = c_frame("xmalloc", "/src/x.c", 3);
        assert_eq!(charged(&[known, wrapper("outer"), app.clone()]), expected);
        let search = module_frame("tsearch", "/lib/libc.so.6");
        let stack = [search, wrapper("outer"), app.clone()];
        let own = c_frame("parse", "/src/parse.c", 5);
        assert_eq!(
            charged(&[own.clone(), wrapper("outer"), app]),
            row("parse", None)
        );
        assert_eq!(charged(&stack), row("outer", Some("tsearch")));
        let table = Table::default().own("outer");
        let stack = [malloc, wrapper("outer"), own];
        assert_eq!(blamed_with(&table, Mode::App, &stack), row("outer", None));
    }

    /// Check that the raw line is shown when it is asked for.
    #[test]
    fn innermost_is_the_wrapper() {
        let stack = [
            c_frame("malloc", "/usr/src/malloc.c", 1),
            c_frame("xmalloc", "/src/util.c", 12),
            c_frame("conn_new", "/src/conn.c", 88),
        ];
        assert_eq!(blamed(Mode::Innermost, &stack), row("xmalloc", None));
    }

    /// Check that a container's insides are passed over, and that its outermost function is the via, without its arguments.
    #[test]
    fn container_is_via_without_arguments() {
        let header = "/usr/include/c++/12/bits/stl_vector.h";
        let stack = [
            cpp_frame("operator new", "/src/libstdc++-v3/new_op.cc", 50),
            cpp_frame("std::__new_allocator<int>::allocate", header, 137),
            cpp_frame(
                "std::vector<int, std::allocator<int> >::push_back",
                header,
                1287,
            ),
            cpp_frame("Cache::put", "/src/cache.cc", 9),
        ];
        let expected = row("Cache::put", Some("std::vector::push_back"));
        assert_eq!(blamed(Mode::App, &stack), expected);
    }

    /// Check that Rust's library is passed over by its files and by its names.
    #[test]
    fn rust_library_is_passed_over() {
        let stack = [
            rust_frame("__rustc::__rust_alloc", None),
            rust_frame("alloc::raw_vec::finish_grow", None),
            rust_frame(
                "<alloc::vec::Vec<T> as core::iter::FromIterator<T>>::from_iter",
                Some(("/rustc/abc/library/alloc/src/vec/mod.rs", 30)),
            ),
            rust_frame("mine::collect", Some(("/src/main.rs", 4))),
        ];
        let expected = row("mine::collect", Some("alloc::vec::Vec::from_iter"));
        assert_eq!(blamed(Mode::App, &stack), expected);
    }

    /// Check that when all is plumbing, the innermost frame that is not malloc is charged.
    #[test]
    fn all_plumbing_charges_the_innermost() {
        let stack = [
            c_frame("malloc", "/usr/src/malloc.c", 1),
            module_frame("_dl_new_object", "/lib64/ld-linux-x86-64.so.2"),
            module_frame("_dl_map_object", "/lib64/ld-linux-x86-64.so.2"),
        ];
        assert_eq!(blamed(Mode::App, &stack), row("_dl_new_object", None));
    }

    /// Check that a stack that ends early is charged to its own frame where it has one, else to nobody.
    #[test]
    fn truncated_stack_charges_only_what_it_has() {
        let malloc = c_frame("malloc", "/usr/src/malloc.c", 1);
        let cut = SymbolFrame::unresolved(Reason::Truncated(2), 0);
        let app = c_frame("conn_new", "/src/conn.c", 88);
        let known = [malloc.clone(), app, cut.clone()];
        assert_eq!(blamed(Mode::App, &known), row("conn_new", None));
        assert_eq!(blamed(Mode::App, &[malloc, cut]), None);
        let full = SymbolFrame::unresolved(Reason::Full, 0);
        assert_eq!(blamed(Mode::App, &[full]), None);
        assert_eq!(blamed(Mode::App, &[]), None);
    }

    /// Check that a constructor that ran before the program is charged, though the loader's entry cannot be unwound.
    #[test]
    fn loader_is_where_stacks_begin() {
        let pool = module_frame("pool", "/lib/libstdc++.so.6");
        let loader = module_frame("_dl_init", "/lib64/ld-linux-x86-64.so.2");
        let cut = |number| SymbolFrame::unresolved(Reason::Truncated(number), 0);
        let stack = [pool.clone(), loader.clone(), cut(2)];
        assert_eq!(blamed(Mode::App, &stack), row("pool", None));
        assert_eq!(blamed(Mode::App, &[pool.clone(), loader, cut(1)]), None);
        assert_eq!(blamed(Mode::App, &[pool, cut(2)]), None);
    }

    /// Check that users can pass over a frame of their own, by function, file or module.
    #[test]
    fn users_can_skip() {
        let stack = [
            c_frame("pool_get", "/src/pool.c", 3),
            c_frame("conn_new", "/src/conn.c", 88),
        ];
        for pattern in ["pool_*", "*/pool.c", "pool.c"] {
            let table = Table::default().skip(pattern);
            let expected = row("conn_new", Some("pool_get"));
            assert_eq!(
                blamed_with(&table, Mode::App, &stack),
                expected,
                "{pattern}"
            );
        }
    }

    /// Check that a library's line is charged only where the program has none further out, however well the library is known.
    #[test]
    fn foreign_code_is_charged_last() {
        let of = |exe: &str| {
            Table::default().of(Program {
                exe: exe.to_string(),
                main: Some("/src/main.c".to_string()),
            })
        };
        let at = |module: &str, frame: SymbolFrame| SymbolFrame {
            module: Some(module.to_string()),
            ..frame
        };
        let insert = module_frame("g_hash_table_insert", "/usr/lib/libglib-2.0.so.0");
        let lined = at(
            "/usr/lib/libssl.so.3",
            c_frame("SSL_new", "/build/ssl.c", 3),
        );
        let private = module_frame("frob", "/opt/vendor/libfrob.so");
        let header = c_frame("Eigen::f", "/usr/include/eigen3/x.h", 3);
        let app = at("/home/u/server", c_frame("conn_new", "/src/conn.c", 88));
        for inner in [&insert, &lined, &private, &header] {
            let stack = [inner.clone(), app.clone()];
            let expected = row("conn_new", inner.function.as_deref());
            let table = of("/home/u/server");
            assert_eq!(blamed_with(&table, Mode::App, &stack), expected);
            let innermost = blamed_with(&table, Mode::Innermost, &stack);
            assert_eq!(innermost, row(inner.function.as_deref().unwrap(), None));
            let owned = table.clone().own(inner.function.as_deref().unwrap());
            assert_eq!(blamed_with(&owned, Mode::App, &stack), innermost);
            let alone = blamed_with(&table, Mode::App, &stack[..1]);
            assert_eq!(alone, innermost);
        }
        // Where nothing has lines, the innermost is as good as any other.
        let stripped = module_frame("handle", "/usr/sbin/server");
        let stack = [insert, stripped];
        let found = blamed_with(&of("/usr/sbin/server"), Mode::App, &stack);
        assert_eq!(found, row("g_hash_table_insert", None));
    }

    /// Check that the line of an installed extension is charged where native lines are asked for, though the interpreter that calls it is
    /// in the program's own executable.
    #[test]
    fn extension_is_charged_natively() {
        let at = |module: &str, frame: SymbolFrame| SymbolFrame {
            module: Some(module.to_string()),
            ..frame
        };
        let extension = "/usr/lib/python3/dist-packages/_multidict.so";
        let stack = [
            at(extension, c_frame("_pair_list_new", "_pair_list.c", 150)),
            python_frame("__init__", "/srv/web_response.py", 56),
            at("/opt/bin/python3", c_frame("task_step", "_asyncio.c", 2579)),
        ];
        let table = Table::default().of(Program {
            exe: "/opt/bin/python3".to_string(),
            main: Some("/build/Programs/python.c".to_string()),
        });
        let found = blamed_with(&table, Mode::Native, &stack);
        assert_eq!(found, row("_pair_list_new", None));
    }

    /// Check that what Python code allocated by itself is the interpreter's function's, not that of the C code which runs it, nor
    /// the script's.
    #[test]
    fn interpreter_is_charged_for_its_own() {
        let interpreter = |name| module_frame(name, "/usr/bin/python3.11");
        let stack = [
            interpreter("PyObject_Malloc"),
            interpreter("PyList_New"),
            python_frame("handle", "/srv/app.py", 5),
            c_frame("task_step", "/src/_asyncio.c", 2579),
        ];
        assert_eq!(blamed(Mode::Native, &stack), row("PyList_New", None));
        let stack = [
            interpreter("PyObject_Malloc"),
            python_frame("handle", "/srv/app.py", 5),
            interpreter("_PyEval_Vector"),
        ];
        assert_eq!(blamed(Mode::Native, &stack), row("_PyEval_Vector", None));
    }

    /// Check that a stack which ends early is charged to a library where that is all that is known of it.
    #[test]
    fn foreign_frame_of_a_truncated_stack() {
        let insert = module_frame("g_hash_table_insert", "/usr/lib/libglib-2.0.so.0");
        let stack = [insert, SymbolFrame::unresolved(Reason::Truncated(1), 0)];
        let expected = row("g_hash_table_insert", None);
        assert_eq!(blamed(Mode::App, &stack), expected);
    }

    /// Check that no frame beyond the one that is charged is asked for.
    #[test]
    fn blame_is_lazy() {
        let app = c_frame("conn_new", "/src/conn.c", 88);
        let table = Table::default().own("conn_new");
        let nodes = (0..).map(|at| {
            assert!(at < 1, "asked for a frame too many");
            Judged::new(Rc::from([app.clone()]))
        });
        assert!(blame(&table, Mode::App, nodes).is_some());
    }
}
