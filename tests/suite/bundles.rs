//! Marks that read anywhere: the same rows where the program and its sources are not.

use heapshim_tests::{
    Compiler, Diff, Run, Running, Target, environment, fresh_directory, heapshim, programs, talk,
};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A program whose source lies in a directory of its own, which can be taken away.
fn portable() -> (Target, PathBuf) {
    let sources = fresh_directory("sources");
    for name in ["leak.c", "step.h"] {
        std::fs::copy(programs().join(name), sources.join(name)).expect("copied");
    }
    let target = Target::example(Compiler::C, sources.join("leak.c").to_str().expect("UTF-8"));
    (target, sources)
}

fn mark(running: &Running, name: &str, path: &Path, options: &[&str]) {
    let (pid, path) = (running.pid().to_string(), path.to_str().expect("UTF-8"));
    let mut words = vec!["mark", "-p", &pid, name, "-o", path];
    words.extend(options);
    talk(&words);
}

/// What `diff` prints on a machine that has kept no answers.
fn elsewhere(words: &[&str]) -> String {
    let mut command = Command::new(heapshim());
    command.args(words).env_clear().envs(environment());
    let output = command
        .env("XDG_CACHE_HOME", fresh_directory("cache"))
        .output();
    let output = output.expect("the command starts");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// Check that two marks that carry their symbols print the same report, to the byte, JSON and table with its source lines and
/// stacks, when program and sources are gone; and that marks that carry none do not.
#[test]
fn read_where_the_program_is_not() {
    let (target, sources) = portable();
    let program = target.build();
    let mut running = target.spawn();
    let marks = fresh_directory("marks");
    let paths = ["a", "b", "bare-a", "bare-b"].map(|name| marks.join(format!("{name}.heapmark")));
    mark(&running, "a", &paths[0], &["--bundle"]);
    mark(&running, "a", &paths[2], &[]);
    running.step(b"go");
    mark(&running, "b", &paths[1], &["--bundle"]);
    mark(&running, "b", &paths[3], &[]);
    let expected = running.expected();
    assert!(running.finish().0.success());
    let [a, b, bare_a, bare_b] = paths.each_ref().map(|path| path.to_str().expect("UTF-8"));
    let json = |a, b| elsewhere(&["diff", a, b, "--format", "json"]);
    let table = || elsewhere(&["diff", a, b, "--stacks", "--all", "--top", "0"]);
    let before = (json(a, b), json(bare_a, bare_b), table());
    Diff::read(&before.0).assert_rows(&expected);
    assert!(before.2.contains("kept = malloc(37);"), "{}", before.2);
    std::fs::remove_dir_all(&sources).expect("removed");
    std::fs::remove_file(&program).expect("removed");
    assert_eq!((json(a, b), table()), (before.0, before.2));
    let bare = json(bare_a, bare_b);
    assert_ne!(bare, before.1);
    assert!(bare.contains("leak is gone"), "{bare}");
    Diff::read(&bare).assert_adds_up();
}

/// Check that one bundle is enough: the other mark of the same process is told by it.
#[test]
fn one_of_two_carries() {
    let (target, _sources) = portable();
    let program = target.build();
    let mut running = target.spawn();
    let marks = fresh_directory("marks");
    let paths = ["a", "b"].map(|name| marks.join(format!("{name}.heapmark")));
    mark(&running, "a", &paths[0], &[]);
    running.step(b"go");
    mark(&running, "b", &paths[1], &["--bundle"]);
    let expected = running.expected();
    assert!(running.finish().0.success());
    std::fs::remove_file(&program).expect("removed");
    let [a, b] = paths.each_ref().map(|path| path.to_str().expect("UTF-8"));
    let said = elsewhere(&["diff", a, b, "--format", "json"]);
    Diff::read(&said).assert_rows(&expected);
}

/// Check that `run --save --bundle` keeps such a mark of its command.
#[test]
fn kept_by_run() {
    let (target, sources) = portable();
    let program = target.build();
    let words: Vec<&Path> = vec![&program];
    let finished = Run::new(&words).option("--bundle").stdin(b"go\n").finish();
    std::fs::remove_dir_all(&sources).expect("removed");
    std::fs::remove_file(&program).expect("removed");
    let mark = finished.marks[0].to_str().expect("UTF-8");
    let said = elsewhere(&["diff", "start", mark, "--format", "json"]);
    let rows = |diff: &Diff| {
        diff.rows()
            .iter()
            .map(|row| row.json.clone())
            .collect::<Vec<_>>()
    };
    let report = finished.report();
    assert_eq!(rows(&Diff::read(&said)), rows(report));
    assert!(report.find("leak.c", 8).is_some());
    let table = elsewhere(&["diff", "start", mark]);
    assert!(table.contains("kept = malloc(37);"), "{table}");
}

/// Check that options that only a bundle needs are refused without one, and that `--bundle` of `run` needs a place.
#[test]
fn words_that_need_it() {
    for words in [
        &["mark", "--debug-dir", "/x"][..],
        &["mark", "--source-dir", "a=b"],
        &["run", "--bundle", "true"],
    ] {
        let output = Command::new(heapshim()).args(words).output();
        assert_eq!(
            output.expect("it starts").status.code(),
            Some(2),
            "{words:?}"
        );
    }
}
