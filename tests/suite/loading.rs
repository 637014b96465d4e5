//! The loader: whatever it is told to do, it does with the shim as without, and the account is exact.

use heapshim_tests::{
    Compiler, Diff, Run, Target, copy_program, expected_in, fresh_directory, needs, programs,
    shared_library, talk,
};
use std::fs;
use std::path::{Path, PathBuf};

fn plugin() -> PathBuf {
    shared_library("plugin.c", &["-O1", "-DSIZE=37"])
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
    let auditor = shared_library("audit.c", &["-O1"]);
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

/// Check that what constructors and destructors allocate is charged to them, the program's and a library's, each of the five times that it is loaded.
#[test]
fn constructors() {
    let library = shared_library("made_early_library.c", &["-O1"]);
    let mut words = Target::c("made_early.c").words();
    words.push(library.into());
    let finished = Run::new(&words).finish();
    assert!(finished.status.success(), "{finished:?}");
    let report = finished.report();
    for expected in Target::c("made_early.c").expected() {
        report.row(&expected.file, expected.line).assert(&expected);
    }
    let totals = |report: &Diff| {
        let rows = report.rows_in("made_early_library.c");
        let mut totals: Vec<_> = rows
            .iter()
            .map(|row| (row.total().bytes, row.growth().bytes))
            .collect();
        totals.sort_unstable();
        totals
    };
    assert_eq!(totals(report), [(5 * 71, 0), (5 * 73, 5 * 73)]);
    report.assert_complete();
    report.assert_adds_up();
}

/// Starts made_early.c with its library, and another in front of ours; its account after its end.
fn behind(front: &Path) -> Diff {
    let directory = fresh_directory("front");
    let preload = format!(
        "{}:{}",
        front.display(),
        heapshim_tests::library().display()
    );
    let words = Target::c("made_early.c").words();
    let mut program = std::process::Command::new(&words[0]);
    program.env_clear().envs(heapshim_tests::environment());
    program.env("LD_PRELOAD", preload);
    program.env("HEAPSHIM_DIR", &directory);
    program.arg(shared_library("made_early_library.c", &["-O1"]));
    assert!(program.status().expect("it starts").success());
    let mut entries = fs::read_dir(&directory).expect("a ledger").flatten();
    let ledger = entries.next().expect("a ledger").path();
    let words = ["diff", ledger.to_str().expect("UTF-8"), "--format", "json"];
    Diff::read(&String::from_utf8(talk(&words).stdout).expect("UTF-8"))
}

/// Check a library that is preloaded in front of ours: what its constructor and destructor allocate is charged to them.
#[test]
fn behind_another() {
    let diff = behind(&shared_library("made_early_library.c", &["-O1"]));
    for expected in Target::c("made_early.c").expected() {
        diff.row(&expected.file, expected.line).assert(&expected);
    }
    let rows = diff.rows_in("made_early_library.c");
    let mut totals: Vec<i64> = rows.iter().map(|row| row.total().bytes).collect();
    totals.sort_unstable();
    assert_eq!(totals, [71, 73]);
    diff.assert_complete();
}

/// Check one that has a malloc of its own: the program runs as ever, nothing is charged, and that is said.
#[test]
fn behind_another_malloc() {
    let diff = behind(&shared_library("bump.c", &["-O1"]));
    assert_eq!(diff.total().blocks, 0, "{}", diff.listing());
    let notes = diff.json()["notes"].to_string();
    assert!(notes.contains("an allocator of its own"), "{notes}");
}

/// Check converters of character sets and services that know users, which libc loads and unloads in four threads at once.
#[test]
fn by_libc_itself() {
    let running = Target::c("found.c").spawn();
    let [converted, known] = running.numbers()[..] else {
        panic!("{}", running.said());
    };
    let bare = Target::c("found.c").bare().spawn();
    assert_eq!([converted, known], bare.numbers()[..]);
    assert!(known > 0, "there is no root");
    let diff = running.diff(&["start", "now"]);
    for expected in running.expected() {
        diff.row(&expected.file, expected.line).assert(&expected);
    }
    diff.assert_complete();
    diff.assert_adds_up();
    assert!(running.finish().0.success());
}

/// Check that a program which clang has linked a sanitizer into is refused, as one that asks for a sanitizer's library is.
#[test]
fn sanitized() {
    if !needs(&["clang"]) {
        return;
    }
    for (kind, compiler) in [
        ("address", Compiler::Clang),
        ("thread", Compiler::Clang),
        ("address", Compiler::C),
    ] {
        let target = Target::c("leak.c").compiled_by(compiler);
        let program = target.opt(&format!("-fsanitize={kind}")).build();
        let refused = Run::new(&[program]).finish();
        let said = String::from_utf8_lossy(&refused.stderr);
        assert_eq!(refused.status.code(), Some(126), "{said}");
        assert!(said.contains(&format!("-fsanitize={kind}")), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
}

/// Check a program in a directory whose name has blanks, a colon and letters of other alphabets in it.
#[test]
fn odd_path() {
    let directory = fresh_directory("odd").join("a dir: grün $ORIGIN\t#1");
    fs::create_dir_all(&directory).expect("a directory");
    let program = directory.join("the leak");
    copy_program(&Target::c("leak.c").build(), &program);
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
