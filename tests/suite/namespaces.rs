//! Namespaces and other roots: a program that is started in them does what it does without us, and is traced where its account can be handed over.

use crate::readers::waits;
use heapshim_tests::{
    Diff, Finished, Recorded, Row, Run, Target, as_root, bare, copy_program, for_all,
    fresh_directory, needs, not_allowed, open_directory, until,
};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Runs these words with and without the shim: the same end and the same output. None where the system forbids it either way.
fn same(words: &[OsString]) -> Option<Finished> {
    let plain = bare(words, b"");
    let finished = Run::new(words).finish();
    let said = String::from_utf8_lossy(&finished.stderr);
    assert_eq!(plain.0.code(), finished.status.code(), "{words:?}: {said}");
    assert_eq!(plain.1, finished.stdout, "{words:?}: {said}");
    let is_allowed = plain.0.success();
    if !is_allowed {
        not_allowed(&format!("{words:?}"));
    }
    is_allowed.then_some(finished)
}

fn all(words: &[&str], program: &Path, rest: &[&str]) -> Vec<OsString> {
    let words = words.iter().map(OsString::from);
    let rest = rest.iter().map(OsString::from);
    words.chain([program.into()]).chain(rest).collect()
}

/// The accounts of programs with this base name that `run` has kept: their growth.
fn grown(finished: &Finished, name: &str) -> Vec<i64> {
    let accounts = finished.accounts();
    let its = accounts.iter().filter(|account| {
        account.json()["target"]["exe"]
            .to_string()
            .ends_with(&format!("/{name}\""))
    });
    its.map(|account| account.growth().bytes).collect()
}

/// Check a program in namespaces of its own, of each kind and all at once: `run` has its account.
#[test]
fn of_each_kind() {
    let program = Target::c("sites.c").opt("-O1").build();
    for kind in [
        "-r", "-rn", "-rpf", "-rm", "-ri", "-ru", "-rC", "-rT", "-rnpfmiu",
    ] {
        let words = all(&["unshare", kind], &program, &["4", "quietly"]);
        if let Some(finished) = same(&words) {
            assert_eq!(grown(&finished, "sites"), [37 << 4], "unshare {kind}");
        }
    }
}

/// Records a run of events.c: each of its events is in it.
fn assert_recorded(run: Run) {
    let file = fresh_directory("recording").join("run.heaptrace");
    let run = run.stdin(b"go\n");
    let run = run.option("--lossless").option("--record").option(&file);
    let finished = run.finish();
    let said = String::from_utf8_lossy(&finished.stderr).into_owned();
    assert!(said.contains("none lost"), "{said}");
    let recorded = Recorded { file, said }.ask("diff", &[]).0;
    let account = finished.report();
    let amounts = |diff: &Diff| {
        let rows = diff.rows_in("events.c");
        let amount = |row: Row| (row.json["line"].as_u64(), row.growth(), row.total());
        rows.into_iter().map(amount).collect::<Vec<_>>()
    };
    assert_eq!(amounts(&recorded), amounts(account));
    assert!(amounts(account).len() > 1);
}

/// Check that a program in a user namespace, whose ids are other numbers there, is recorded from its first event on.
#[test]
fn recorded() {
    let program = Target::c("events.c").opt("-O0").build();
    for kind in ["-U", "-r", "-rnm"] {
        let words = ["unshare", kind];
        if bare(&all(&words, Path::new("true"), &[]), b"").0.success() {
            assert_recorded(Run::new(&all(&words, &program, &[])));
        } else {
            not_allowed(&format!("{words:?}"));
        }
    }
}

/// Check the same of another user's program, where `run` is root's that was left without the right to pass over permissions, as in a container: the files that it was given it
/// cannot open anew.
#[test]
fn recorded_without_rights() {
    if !as_root("another user's program") || !needs(&["setpriv"]) {
        return;
    }
    let program = for_all(&Target::c("events.c").opt("-O0").build(), 0o755);
    let words = [
        "setpriv",
        "--reuid=65534",
        "--regid=65534",
        "--clear-groups",
    ];
    let left = [
        "setpriv",
        "--bounding-set=-dac_override,-dac_read_search",
        "--",
    ];
    let run = Run::new(&all(&words, &program, &[])).started_by(&left);
    assert_recorded(run.env("XDG_CACHE_HOME", open_directory("cache")));
}

/// Check that root's `run` has the account of a program in a container whose root is another user: there is nobody whom it would give it to, since our user has no number there.
#[test]
fn other_ids() {
    if !as_root("a user namespace of other ids") {
        return;
    }
    let program = for_all(&Target::c("events.c").opt("-O0").build(), 0o755);
    let file = fresh_directory("report").join("report");
    let options = ["--format", "json", "-o", file.to_str().expect("UTF-8")];
    let target = Target::c("other_ids.c").arg(program.to_str().expect("UTF-8"));
    let mut running = target
        .env("XDG_CACHE_HOME", open_directory("cache"))
        .spawn_under_run(&options);
    assert_eq!(running.said(), "warm");
    let run = running.pid();
    // Two looks: the first may have begun before.
    let before = waits(run);
    until(run, "a look at its command", || waits(run) >= before + 2);
    assert_eq!(running.step(b"go"), "done");
    assert!(running.finish().0.success());
    let report = Diff::read(&fs::read_to_string(file).expect("a report"));
    let exe = report.json()["target"]["exe"].to_string();
    assert!(exe.ends_with("/events\""), "{exe}");
    assert_eq!(report.json()["notes"], serde_json::json!([]));
    let listing = report.listing();
    assert!(report.growth().bytes >= 25_150 + 2_110, "{listing}");
}

/// Check a program that has another root, with what it needs there: the library comes with it.
#[test]
fn other_root() {
    let root = fresh_directory("root");
    let program = Target::c("sites.c").opt("-O1").build();
    let library = heapshim_tests::library();
    for file in needed(&program)
        .iter()
        .map(PathBuf::as_path)
        .chain([library])
    {
        let place = root.join(file.strip_prefix("/").expect("an absolute path"));
        fs::create_dir_all(place.parent().expect("a directory")).expect("a directory");
        fs::copy(file, place).expect("a copy");
    }
    let inside = program.file_name().expect("a name");
    copy_program(&program, &root.join(inside));
    let inside = Path::new("/").join(inside);
    let words = all(&["unshare", "-r", "chroot"], &root, &[]);
    let words = [words, all(&[], &inside, &["4", "quietly"])].concat();
    if let Some(finished) = same(&words) {
        assert_eq!(grown(&finished, "sites"), [37 << 4]);
    }
}

/// The loader and the libraries of a program, as ldd names them.
fn needed(program: &Path) -> Vec<PathBuf> {
    let output = Command::new("ldd").arg(program).output().expect("ldd");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let words = text.split_whitespace().filter(|word| word.starts_with('/'));
    words.map(PathBuf::from).collect()
}

/// Check a program in another root without the library: it runs, untraced, and the loader's complaint is the only difference.
#[test]
fn other_root_without_the_library() {
    let root = fresh_directory("root");
    let program = Target::c("sites.c").opt("-O1").build();
    for file in needed(&program) {
        let place = root.join(file.strip_prefix("/").expect("an absolute path"));
        fs::create_dir_all(place.parent().expect("a directory")).expect("a directory");
        fs::copy(file, place).expect("a copy");
    }
    let name = program.file_name().expect("a name");
    copy_program(&program, &root.join(name));
    let words = all(&["unshare", "-r", "chroot"], &root, &[]);
    let words = [
        words,
        all(&[], &Path::new("/").join(name), &["4", "quietly"]),
    ]
    .concat();
    if let Some(finished) = same(&words) {
        let said = String::from_utf8_lossy(&finished.stderr);
        assert!(said.contains("cannot be preloaded"), "{said}");
    }
}
