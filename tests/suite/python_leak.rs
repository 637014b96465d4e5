//! The case that this tool is for: memory that a C extension allocates on behalf of a line of Python, and that nobody frees.
//!
//! The line of Python is the first row, to the byte; the extension's function is its `via`, its lines stand in the stack, and
//! `--blame native` has them as rows. Where the extension is right, nothing grows.

use heapshim_tests::{Amount, Diff, Expected, Python, Running, Target, shared_library};
use heapshim_tests::{builds, expected_in, programs, pythons, skip};
use std::path::PathBuf;
use std::process::Command;

/// The extension, built for this CPython; None where its headers are not installed.
fn extension(python: &Python, option: &str) -> Option<PathBuf> {
    let words = "import sysconfig; print(sysconfig.get_path('include'))";
    let output = Command::new(&python.path)
        .args(["-c", words])
        .output()
        .ok()?;
    let include = String::from_utf8(output.stdout).ok()?;
    let include = include.trim();
    if !PathBuf::from(include).join("Python.h").is_file() {
        skip(&format!("Python.h of {}", python.path.display()));
        return None;
    }
    let options = [option, "-I", include];
    Some(shared_library("leaky_extension.c", &options))
}

/// A server that has served its first thousand requests, marked, and served the second.
fn served(python: &Python, option: &str, how: &str) -> Option<Running> {
    let extension = extension(python, option)?;
    let target = Target::python("python_leak.py").by(&python.path);
    let target = target.arg(extension.to_str().expect("UTF-8")).arg(how);
    let mut target = target.env("PYTHONHASHSEED", "0");
    for (name, value) in python.plain() {
        target = target.env(name, *value);
    }
    let mut running = target.spawn();
    running.step(b"");
    running.mark("warm");
    assert_eq!(running.step(b""), "served");
    Some(running)
}

fn line_of(expected: &Expected) -> (&str, u64) {
    (&expected.file, expected.line)
}

/// Asserts that the line of Python comes first, and that nothing else grew.
fn assert_line(running: &Running, diff: &Diff) {
    let expected = &running.expected()[0];
    let rows = diff.rows();
    rows[0].assert(expected);
    assert_eq!(rows[0].file_name(), Some(line_of(expected).0));
    assert_eq!(rows[0].json["line"], line_of(expected).1);
    assert_eq!(rows[0].json["language"], "python");
    assert_eq!(rows[0].json["via"], "table_new");
    assert_eq!(diff.growth(), rows[0].growth(), "{}", diff.listing());
    diff.assert_adds_up();
}

/// Asserts that the extension's lines have what they allocated, each its own block, and that the row's stack has one of them.
fn assert_native(diff: &Diff, native: &Diff) {
    let expected = expected_in(&programs().join("leaky_extension.c"));
    assert_eq!(expected.len(), 3);
    native.assert_rows(&expected);
    let stack = diff.rows()[0].json["stack"].clone();
    let frames = stack.as_array().expect("a stack");
    let table = &expected[0];
    let is_table = |frame: &&serde_json::Value| {
        let file = frame["file"].as_str().unwrap_or_default();
        file.ends_with("/leaky_extension.c") && frame["line"] == table.line
    };
    assert!(frames.iter().any(|frame| is_table(&frame)), "{stack}");
}

/// Check line, extension, blocks and bytes on each CPython, with the extension built as it is debugged and as it is shipped.
#[test]
fn line_and_extension() {
    for python in builds() {
        for option in ["-O0", "-O2"] {
            let Some(running) = served(&python, option, "leaky") else {
                continue;
            };
            let diff = running.diff(&["warm", "now"]);
            assert_line(&running, &diff);
            let native = running.diff_with(&["warm", "now"], &["--blame", "native"]);
            assert_native(&diff, &native);
        }
    }
}

/// Check that nothing grows where the extension gives its reference back, and that what it allocated meanwhile is told.
#[test]
fn fixed() {
    for python in pythons() {
        let Some(running) = served(&python, "-O2", "fixed") else {
            continue;
        };
        let diff = running.diff(&["warm", "now"]);
        assert_eq!(diff.growth(), Amount::default(), "{}", diff.listing());
        let expected = &running.expected()[0];
        let row = diff.row(&expected.file, expected.line);
        assert_eq!(Some(row.total()), expected.growth);
    }
}
