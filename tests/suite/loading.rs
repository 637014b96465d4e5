//! The loader: whatever it is told to do, it does with the shim as without, and the account is exact.

use heapshim_tests::{Compiler, Run, Target, expected_in, fresh_directory, programs};
use std::fs;
use std::path::{Path, PathBuf};

fn library(source: &str, options: &[&str]) -> PathBuf {
    let options = ["-O1", "-fPIC", "-shared"].iter().chain(options);
    let options: Vec<String> = options.map(|&option| option.to_owned()).collect();
    Compiler::C.compile(&programs().join(source), &options)
}

fn plugin() -> PathBuf {
    library("plugin.c", &["-DSIZE=37"])
}

/// Asserts leak.c's rows under these variables.
fn check_leak(variables: &[(&str, &Path)]) {
    let target = variables
        .iter()
        .fold(Target::c("leak.c"), |target, (name, value)| {
            target.env(name, value.as_os_str())
        });
    crate::allocators::check(target);
}

/// Check a program whose symbols are all bound at its start.
#[test]
fn bound_at_once() {
    check_leak(&[("LD_BIND_NOW", Path::new("1"))]);
}

/// Check a program whose loading and binding an auditor looks at, which has an allocator of its own.
#[test]
fn audited() {
    let auditor = library("audit.c", &[]);
    check_leak(&[("LD_AUDIT", &auditor)]);
    check_leak(&[("LD_AUDIT", &auditor), ("LD_BIND_NOW", Path::new("1"))]);
}

/// Check name spaces of the loader that come and go: what is allocated in them is not ours, and disturbs nothing.
#[test]
fn name_spaces() {
    let plugin = plugin();
    let running = Target::c("apart.c")
        .arg(plugin.to_str().expect("UTF-8"))
        .spawn();
    assert_eq!(running.said(), "done");
    let diff = running.diff(&["start", "now"]);
    for expected in running.expected() {
        diff.row(&expected.file, expected.line).assert(&expected);
    }
    assert!(diff.rows_in("plugin.c").is_empty(), "{}", diff.listing());
    assert_eq!(diff.unattributed("foreign_frees"), 0);
    diff.assert_adds_up();
    assert!(running.finish().0.success());
}

/// Check that a plugin is found by the RUNPATH of the program that loads it.
#[test]
fn by_runpath() {
    let target = Target::c("runpath.c").opt("-Wl,--enable-new-dtags,-rpath,$ORIGIN/lib");
    let place = target.build().with_file_name("lib");
    fs::create_dir_all(&place).expect("a directory");
    fs::copy(plugin(), place.join("libplugin.so")).expect("a copy");
    let words = [target.build()];
    let finished = Run::new(&words).stdin(b"go\n").finish();
    assert_eq!(String::from_utf8_lossy(&finished.stdout), "found\n");
    let line = expected_in(&programs().join("plugin.c"))[0].line;
    let row = finished.report().row("plugin.c", line);
    assert_eq!(row.growth().bytes, 37, "{}", row.brief());
}

/// Check a program in a directory whose name has blanks, a colon and letters of other alphabets in it.
#[test]
fn odd_path() {
    let directory = fresh_directory("odd").join("a dir: grün $ORIGIN\t#1");
    fs::create_dir_all(&directory).expect("a directory");
    let program = directory.join("the leak");
    fs::copy(Target::c("leak.c").build(), &program).expect("a copy");
    let finished = Run::new(&[program]).stdin(b"go\ngo\n").finish();
    assert!(finished.status.success());
    let report = finished.report();
    let exe = report.json()["target"]["exe"].as_str().expect("a path");
    assert!(exe.ends_with("a dir: grün $ORIGIN\t#1/the leak"), "{exe}");
    for expected in Target::c("leak.c").expected() {
        let row = report.row(&expected.file, expected.line);
        assert_eq!(row.function(), expected.function.as_deref());
    }
    report.assert_complete();
}
