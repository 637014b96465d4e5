//! HEAPSHIM_DIR: the account is in a file while the process runs and after any end of it, and is read where it lies or on another machine.

use heapshim_tests::{Diff, Running, Target, fresh_directory, heapshim, needs, skip, talk};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The ledgers in a directory.
fn ledgers(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).expect("the directory").flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

/// The only one.
fn ledger(directory: &Path) -> PathBuf {
    let mut all = ledgers(directory);
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0)
}

fn diff_of(ledger: &Path, options: &[&str]) -> Diff {
    let ledger = ledger.to_str().expect("UTF-8");
    let words = [&["diff", ledger, "--format", "json"], options].concat();
    Diff::read(&String::from_utf8(talk(&words).stdout).expect("UTF-8"))
}

fn kill(running: Running) {
    let pid = i32::try_from(running.pid()).expect("a pid");
    // SAFETY: kill takes numbers.
    assert_eq!(unsafe { libc::kill(pid, libc::SIGKILL) }, 0);
    assert!(!running.finish().0.success());
}

fn leaked(directory: &Path) -> Running {
    let mut running = Target::c("leak.c").env("HEAPSHIM_DIR", directory).spawn();
    running.step(b"go");
    running
}

/// Check that a killed process leaves an account that says what it said alive, to the byte, and in another place under another name, too.
#[test]
fn killed() {
    let directory = fresh_directory("dir");
    let running = leaked(&directory);
    let (pid, alive) = (running.pid(), running.diff(&["start", "now"]));
    let file = ledger(&directory);
    let name = file
        .file_name()
        .expect("a name")
        .to_string_lossy()
        .into_owned();
    assert!(name.contains(&format!("-{pid}-")), "{name}");
    let metadata = fs::metadata(&file).expect("there");
    assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
    assert!(
        metadata.blocks() * 512 >= metadata.len(),
        "its room is not taken"
    );
    kill(running);
    let dead = diff_of(&file, &[]);
    assert_eq!(dead.json()["rows"], alive.json()["rows"]);
    assert!(dead.exact());
    assert_eq!(dead.json()["target"]["pid"], pid);
    dead.assert_complete();
    dead.assert_adds_up();
    let moved = fresh_directory("moved").join("a b.heapledger");
    fs::copy(&file, &moved).expect("copied");
    fs::remove_file(&file).expect("removed");
    assert_eq!(diff_of(&moved, &[]).json()["rows"], dead.json()["rows"]);
}

/// Check that marks are taken of such a process while it runs, as of any other, and that a mark and the file are compared.
#[test]
fn marked() {
    let directory = fresh_directory("dir");
    let mut running = Target::c("leak.c").env("HEAPSHIM_DIR", &directory).spawn();
    let mark = directory.join("warm.heapmark");
    let pid = running.pid().to_string();
    talk(&["mark", "-p", &pid, "-o", mark.to_str().expect("UTF-8")]);
    running.step(b"go");
    running.mark("leaked");
    let live = running.diff(&["start", "leaked"]);
    assert_eq!(live.json()["notes"], serde_json::json!([]));
    let file = ledger_beside(&directory, &mark);
    kill(running);
    let words = [
        "diff",
        mark.to_str().expect("UTF-8"),
        file.to_str().expect("UTF-8"),
        "--format",
        "json",
    ];
    let diff = Diff::read(&String::from_utf8(talk(&words).stdout).expect("UTF-8"));
    for expected in Target::c("leak.c").expected() {
        diff.row(&expected.file, expected.line).assert(&expected);
    }
    diff.assert_adds_up();
}

fn ledger_beside(directory: &Path, mark: &Path) -> PathBuf {
    let mut all = ledgers(directory);
    all.retain(|path| path != mark);
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0)
}

/// Check that what a killed program has marked itself is compared with its end, and with each other; and that of a name which no mark has those are said that there are.
#[test]
fn marked_inside() {
    let directory = fresh_directory("dir");
    let running = Target::c("inside.c")
        .env("HEAPSHIM_DIR", &directory)
        .spawn();
    assert_eq!(running.said(), "active");
    let expected = running.expected();
    kill(running);
    let file = ledger(&directory);
    let of = |name: &str| format!("{}:{name}", file.display());
    let growth = |words: &[&str]| {
        let words = [&["diff"], words, &["--format", "json"]].concat();
        let diff = Diff::read(&String::from_utf8(talk(&words).stdout).expect("UTF-8"));
        diff.assert_adds_up();
        diff
    };
    growth(&[&of("one"), &of("two")]).assert_rows(&expected);
    assert_eq!(growth(&[&of("one")]).growth().bytes, 41 + 43);
    assert_eq!(growth(&["start", &of("two")]).growth().bytes, 37 + 41);
    let refused = Command::new(heapshim())
        .args(["diff", &of("three")])
        .output();
    let refused = refused.expect("the command starts");
    let said = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        said.contains("no mark 'three'; there are: one, two"),
        "{said}"
    );
}

/// Check that a forked child has a file of its own, which says what its account says.
#[test]
fn children() {
    let directory = fresh_directory("dir");
    let mut running = Target::c("forks.c").env("HEAPSHIM_DIR", &directory).spawn();
    let files = ledgers(&directory);
    let mut growth: Vec<i64> = files
        .iter()
        .map(|file| diff_of(file, &[]).growth().bytes)
        .collect();
    growth.sort_unstable();
    assert_eq!(growth, [211 - 404, 1010]);
    running.step(b"go");
    assert!(running.finish().0.success());
    assert_eq!(ledgers(&directory), files);
}

/// What the account says of itself where the file could not be made.
const NOTE: &str = "its account could not be kept in HEAPSHIM_DIR: it is in memory, and gone when the process ends";

fn says_that_it_is_not_kept(running: &Running) {
    let diff = running.diff(&["start", "now"]);
    let notes = diff.json()["notes"].to_string();
    assert!(notes.contains(NOTE), "{notes}");
    diff.assert_complete();
}

/// Check that a directory that is not there, not absolute or not ours leaves the account in memory, which says so.
#[test]
fn no_directory() {
    for directory in ["/no/such/directory", "relative", "/proc/self/fd"] {
        let running = Target::c("leak.c").env("HEAPSHIM_DIR", directory).spawn();
        says_that_it_is_not_kept(&running);
        assert!(running.finish().0.success());
    }
    let empty = Target::c("leak.c").env("HEAPSHIM_DIR", "").spawn();
    assert_eq!(
        empty.diff(&["start", "now"]).json()["notes"],
        serde_json::json!([])
    );
}

/// Check that on a full disk the target runs on and its account is in memory, and that one with little room has a small ledger.
#[test]
fn full_disk() {
    if !needs(&["unshare", "mount"]) {
        return;
    }
    let directory = fresh_directory("disk");
    let program = Target::c("leak.c").build();
    let library = heapshim_tests::library();
    for (size, fill, files) in [("256k", "240k", 0), ("64m", "0", 1)] {
        let script = format!(
            "mount -t tmpfs -o size={size},mode=700 none {dir} || exit 77; head -c {fill} /dev/zero > {dir}/all; \
             printf 'go\\ngo\\n' | HEAPSHIM_DIR={dir} LD_PRELOAD={library} {program} || exit 1; rm {dir}/all; \
             ls {dir} | wc -l; for file in {dir}/*.heapledger; do [ ! -e $file ] || {heapshim} diff $file --top 1 | sed -n 2p; done",
            dir = directory.display(),
            library = library.display(),
            program = program.display(),
            heapshim = heapshim_tests::heapshim().display(),
        );
        let output = Command::new("unshare")
            .args(["-m", "sh", "-c", &script])
            .output()
            .expect("unshare");
        let (said, complained) = (
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
        );
        if output.status.code() == Some(77) || complained.contains("unshare failed") {
            return skip("the right to mount");
        }
        assert!(output.status.success(), "{said}{complained}");
        let mut lines = said.lines().skip_while(|line| *line != "leaked").skip(1);
        assert_eq!(
            lines.next().map(str::trim),
            Some(files.to_string().as_str()),
            "{said}{complained}"
        );
        assert_eq!(
            lines
                .next()
                .is_some_and(|line| line.starts_with("heap +2.2 KiB")),
            files == 1,
            "{said}"
        );
    }
}

/// Check that nothing but a ledger is taken for one: an empty file, zeros, text, one that was cut, a directory.
#[test]
fn no_ledger() {
    let directory = fresh_directory("dir");
    let running = leaked(&directory);
    let whole = ledger(&directory);
    kill(running);
    let bytes = fs::read(&whole).expect("read");
    let cases: [(&str, &[u8]); 4] = [
        ("empty", b""),
        ("zeros", &[0; 8192]),
        ("text", b"no ledger"),
        ("cut", &bytes[..bytes.len() / 2]),
    ];
    for (name, content) in cases {
        let file = directory.join(format!("{name}.heapledger"));
        fs::write(&file, content).expect("written");
        refused(&file);
    }
    let below = directory.join("d.heapledger");
    fs::create_dir(&below).expect("made");
    refused(&below);
    refused(Path::new("/no/such.heapledger"));
}

fn refused(file: &Path) {
    let output = Command::new(heapshim_tests::heapshim())
        .arg("diff")
        .arg(file)
        .output()
        .expect("the command");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.starts_with("heapshim: ") && said.lines().count() == 1,
        "{said}"
    );
}
