//! Stacks in which Python code runs: which of its lines is charged, and what is said of the C code beneath it.
//!
//! Called by `diff`. The innermost Python line is charged, whatever C code it called: a leak in an extension module is found by
//! the line that called the extension, and the extension's function is the row's `via`. The standard library's lines are charged
//! as tracemalloc charges them (`json/decoder.py:353`); only the import system is passed over (`table.txt`), since the line that
//! imports is the one that a reader can do something about.

use super::{Asking, Class, FrameAt, Judged, Mode, Table, is_own_native, names};
use crate::symbolize::Language;
use std::rc::Rc;

/// The Python line to charge; `nodes` yields the frames of a stack's Python nodes alone, innermost first, and is asked for no
/// more of them than are needed. None: there is no Python code in the stack.
pub fn python_frame<I>(table: &Table, mode: Mode, nodes: I) -> Option<FrameAt>
where
    I: IntoIterator<Item = Rc<Judged>>,
{
    let mut innermost = None;
    for node in nodes {
        let Some(frame) = node.each().next() else {
            continue;
        };
        if mode == Mode::Python || frame.class(table) == Class::Own {
            return Some(frame);
        }
        innermost.get_or_insert(frame);
    }
    innermost
}

/// The name of the native function that asked for memory on behalf of a Python line: the innermost one that is neither the
/// interpreter's own nor a wrapper. `inside` is what the line called, innermost first.
#[must_use]
pub fn native_inside(table: &Table, inside: impl IntoIterator<Item = FrameAt>) -> Option<String> {
    let mut asking = Asking::default();
    let mut inside = inside.into_iter();
    let frame = inside.find(|frame| is_charged(table, &mut asking, frame))?;
    frame.function.as_deref().map(names::short_name)
}

/// The native frame whose module stands for a Python line: of the extension that it called, else of the interpreter. `nodes`
/// yields the frames of all nodes, innermost first.
pub fn module_frame<I>(table: &Table, nodes: I) -> Option<FrameAt>
where
    I: IntoIterator<Item = Rc<Judged>>,
{
    let mut inside = true;
    let mut asking = Asking::default();
    for node in nodes {
        for frame in node.each() {
            inside &= frame.language != Language::Python;
            if inside && is_charged(table, &mut asking, &frame)
                || frame.is_interpreter(table) && !inside
            {
                return Some(frame);
            }
        }
    }
    None
}

fn is_charged(table: &Table, asking: &mut Asking, frame: &FrameAt) -> bool {
    let class = asking.class(table, frame);
    is_own_native(table, frame) && !frame.is_mark() && class == Class::Own
}

#[cfg(test)]
mod tests {
    use super::super::blame;
    use super::*;
    use crate::fixture::{c_frame, module_frame as native, python_frame as python};
    use crate::symbolize::SymbolFrame;

    /// The case that this is for: a dictionary of an extension module that is never freed.
    fn case() -> Vec<SymbolFrame> {
        vec![
            native("PyObject_Malloc", "/usr/bin/python3.11"),
            native("_PyObject_GC_New", "/usr/bin/python3.11"),
            c_frame("pair_list_new", "/src/_pair_list.c", 150),
            c_frame("__pyx_pf_init", "/src/_multidict.c", 9),
            native("_PyObject_MakeTpCall", "/usr/bin/python3.11"),
            python(
                "StreamResponse.__init__",
                "/lib/aiohttp/web_response.py",
                56,
            ),
            python("hello", "/srv/server.py", 6),
            native("main", "/usr/bin/python3.11"),
        ]
    }

    fn nodes(stack: &[SymbolFrame]) -> impl Iterator<Item = Rc<Judged>> {
        let each = stack.iter();
        each.map(|frame| Judged::new(Rc::from([frame.clone()])))
    }

    fn frames(stack: &[SymbolFrame]) -> Vec<FrameAt> {
        nodes(stack).flat_map(|node| node.each()).collect()
    }

    fn scripts(stack: &[SymbolFrame]) -> Vec<SymbolFrame> {
        let is_python = |frame: &&SymbolFrame| frame.language == Language::Python;
        stack.iter().filter(is_python).cloned().collect()
    }

    fn charged(mode: Mode, stack: &[SymbolFrame]) -> Option<(String, u32)> {
        let frame = python_frame(&Table::default(), mode, nodes(&scripts(stack)))?;
        Some((frame.file.clone()?, frame.line?))
    }

    /// Check that the line of the script is charged over the extension that it calls, and that the extension is the `via`.
    #[test]
    fn script_over_extension() {
        let line = Some(("/lib/aiohttp/web_response.py".to_string(), 56));
        assert_eq!(charged(Mode::App, &case()), line);
        assert_eq!(charged(Mode::Python, &case()), line);
        let via = native_inside(&Table::default(), frames(&case()[..5]));
        assert_eq!(via.as_deref(), Some("pair_list_new"));
    }

    /// Check that `--blame native` charges the extension's line, and that where the interpreter alone is there, it is charged
    /// after all.
    #[test]
    fn native_is_the_extension() {
        let native_line = |stack: &[SymbolFrame]| {
            let blamed = blame(&Table::default(), Mode::Native, nodes(stack)).expect("a frame");
            let function = blamed.frame.function.clone();
            (function.expect("a name"), blamed.frame.line)
        };
        let mut stack = case();
        assert_eq!(native_line(&stack), ("pair_list_new".into(), Some(150)));
        stack.drain(2..4);
        assert_eq!(native_line(&stack), ("_PyObject_GC_New".into(), None));
        let inside = frames(&stack[..3]);
        assert_eq!(native_inside(&Table::default(), inside), None);
    }

    /// Check that what imports is charged rather than the import system, unless tracemalloc's view is asked for or nothing
    /// else is there, and that users can skip more.
    #[test]
    fn import_system_is_passed_over() {
        let frozen = python(
            "_call_with_frames_removed",
            "<frozen importlib._bootstrap>",
            241,
        );
        let app = python("<module>", "/srv/app.py", 3);
        let at = |frame: &SymbolFrame| (frame.file.clone().unwrap(), frame.line.unwrap());
        let stack = [frozen.clone(), app.clone()];
        assert_eq!(charged(Mode::App, &stack), Some(at(&app)));
        assert_eq!(charged(Mode::Python, &stack), Some(at(&frozen)));
        assert_eq!(charged(Mode::App, &stack[..1]), Some(at(&frozen)));
        assert_eq!(charged(Mode::App, &[]), None);
        let table = Table::default().skip("*/app.py");
        let outer = python("run", "/srv/run.py", 1);
        let stack = [app, outer.clone()];
        let found = python_frame(&table, Mode::App, nodes(&stack)).unwrap();
        assert_eq!(at(&found), at(&outer));
    }

    /// Check that a script's function is never taken for the allocator that it is named after.
    #[test]
    fn scripts_may_be_called_malloc() {
        let malloc = python("malloc", "/srv/app.py", 3);
        assert_eq!(Table::default().class(&malloc), Class::Own);
    }

    /// Check which loaded object stands for a line: the extension that it called, else the interpreter.
    #[test]
    fn modules() {
        let module = |stack: &[SymbolFrame]| {
            let found = module_frame(&Table::default(), nodes(stack));
            found.and_then(|frame| frame.module.clone())
        };
        let mut stack = case();
        assert_eq!(module(&stack).as_deref(), Some("/usr/bin/server"));
        stack.drain(..5);
        assert_eq!(module(&stack).as_deref(), Some("/usr/bin/python3.11"));
        assert_eq!(module(&stack[..2]), None);
    }

    /// Check what is charged of one stack when every line of it is.
    #[test]
    fn all_lines() {
        let stack = frames(&case());
        let count = |mode: Mode| mode.all(&Table::default(), &stack).len();
        assert_eq!(count(Mode::App), 2);
        assert_eq!(count(Mode::Python), 2);
        assert_eq!(count(Mode::Native), 2);
        // All but PyObject_Malloc.
        assert_eq!(count(Mode::Innermost), 7);
        let frozen = frames(&[python("f", "<frozen importlib._bootstrap>", 1)]);
        assert_eq!(Mode::App.all(&Table::default(), &frozen), frozen);
    }
}
