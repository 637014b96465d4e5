//! `heapshim mode`: a running program is switched between exact, samples and nothing, and its account is right across it.

use crate::sampled::{ASIDE, aside, lines};
use heapshim_ledger::layout::Control;
use heapshim_tests::{
    Amount, Diff, Recording, Row, Running, Target, as_nobody, as_root, descriptors_of, environment,
    for_all, fresh_directory, heapshim, needs, talk,
};
use std::fs::File;
use std::mem::offset_of;
use std::os::unix::fs::FileExt;
use std::process::{Command, Output};

/// Where the control page has the word that asks for a mode.
const REQUEST: u64 = offset_of!(Control, mode) as u64;
const LATER: &str = "   from its next allocation on";

/// What the command says to these words, of a process.
pub(crate) fn said(pid: &str, words: &[&str]) -> String {
    let all: Vec<&str> = ["mode", "-p", pid].iter().chain(words).copied().collect();
    let said = String::from_utf8(talk(&all).stdout).expect("UTF-8");
    said.strip_suffix('\n').expect("a line").to_owned()
}

fn mode(running: &Running, words: &[&str]) -> String {
    said(&running.pid().to_string(), words)
}

/// Asks for another mode, and has the program do something in it. It waits for us meanwhile, and so does what is asked for.
pub(crate) fn switched(running: &mut Running, word: &str, command: &[u8]) {
    assert_eq!(mode(running, &[word]), format!("{word}{LATER}"));
    running.step(command);
    assert_eq!(mode(running, &[]), word);
    assert_eq!(mode(running, &[word]), word, "it is so already");
}

fn filling() -> Target {
    Target::c("sampled.c")
        .env("HEAPSHIM_SAMPLE_SEED", "21")
        .arg("ready")
}

fn assert_nothing_left(running: &Running) {
    let diff = running.diff(&["start", "now"]);
    for (line, _) in lines() {
        let row = diff.row("sampled.c", line);
        let left = (row.live(), row.growth());
        assert_eq!(left, Default::default(), "{}", row.brief());
        assert!(row.total().blocks > 0, "{}", row.brief());
    }
    diff.assert_adds_up();
    assert_eq!(diff.unattributed("foreign_frees"), 0);
}

fn assert_estimates(diff: &Diff, fillings: i64) {
    for (line, one) in lines() {
        let row = diff.row("sampled.c", line);
        let error = error(&row);
        let right = fillings * one.bytes;
        let off = (row.growth().bytes - right).abs();
        // Twice the error: of some lines one in twenty is beyond it once.
        let brief = row.brief();
        assert!(off <= 2 * error, "{brief} ± {error}, but {right}");
        assert!(error < 2_000_000, "{brief} ± {error}");
    }
}

/// Check that a running program is switched from exact to a sample, to off, to another sample and back; that what it holds is counted to the byte where it was exact,
/// estimated where it was sampled, and left out where it was off; and that the report says so.
#[test]
fn there_and_back() {
    let mut running = filling().spawn();
    assert_eq!(mode(&running, &[]), "exact");
    running.step(b"a");
    running.mark("counted");
    switched(&mut running, "sample=8K", b"a");
    switched(&mut running, "off", b"a");
    switched(&mut running, "sample=64K", b"a");
    running.mark("sampled");
    switched(&mut running, "exact", b"a");
    running.mark("exact");
    for (from, fillings) in [("start", 4), ("counted", 3)] {
        let diff = running.diff(&[from, "now"]);
        let json = diff.json();
        let partly = (&json["switched"], &json["was_off"]);
        assert_eq!(partly, (&true.into(), &true.into()));
        assert!(json["notes"].to_string().contains("recording was off"));
        assert_estimates(&diff, fillings);
    }
    let counted = running.diff(&["sampled", "now"]);
    running.step(b"a");
    running.step(b"b");
    let again = running.diff(&["exact", "now"]);
    for (line, one) in lines() {
        assert_eq!(counted.row("sampled.c", line).growth(), one);
        let row = again.row("sampled.c", line);
        assert_eq!(row.growth(), one, "{}", row.brief());
        // What it had made in the samples, and no sample saw, may have gone.
        assert!(error(&row) > 0, "{}", row.brief());
    }
    let rows = again.rows_in("sampled.c").into_iter();
    let aside: Vec<Row> = rows.filter(|row| row.growth().bytes == 777).collect();
    assert_eq!(aside.iter().map(error).collect::<Vec<_>>(), [0]);
}

fn error(row: &Row) -> i64 {
    row.json()["growth_bytes_error"].as_i64().expect("an error")
}

/// Check that samples are not recorded as though they were all that there is: neither of a running process nor of a command; that exact events are again; and that a recording
/// in which there are both does not say that it is exact.
#[test]
fn not_recorded() {
    let mut running = filling().spawn();
    let pid = running.pid().to_string();
    let file = fresh_directory("not-recorded").join("run.heaptrace");
    let file = file.to_str().expect("UTF-8");
    switched(&mut running, "sample=8K", b"a");
    for words in [
        &["record", "-p", &pid, "-o", file][..],
        &["run", "--sample", "8K", "--record", file, "--", "true"],
    ] {
        let refused = Command::new(heapshim()).args(words).output();
        let refused = refused.expect("the command starts");
        let said = String::from_utf8(refused.stderr).expect("UTF-8");
        assert!(
            !refused.status.success() && said.contains("sampl"),
            "{said}"
        );
        assert!(!std::path::Path::new(file).exists(), "{words:?}");
    }
    switched(&mut running, "exact", b"a");
    let recording = Recording::of(running.pid(), &["--lossless"]);
    running.step(b"a");
    let recorded = recording.end();
    assert!(recorded.events() > 0, "{}", recorded.said);
    assert!(!recorded.ask("diff", &[]).0.exact());
}

/// Check that each block gives back what it came with, in whatever mode it goes.
#[test]
fn freed_in_another_mode() {
    let mut running = filling().spawn();
    running.step(b"a");
    for (made, freed) in [
        ("sample=8K", "exact"),
        ("off", "exact"),
        ("sample=4K", "off"),
        ("exact", "off"),
        ("exact", "sample=2K"),
    ] {
        if mode(&running, &[]) != made {
            switched(&mut running, made, b"a");
        }
        running.step(b"a");
        running.step(b"w");
        // Where it is not exact, only what allocates finds out what is asked for.
        switched(&mut running, freed, b"w");
        running.step(b"f");
        assert_nothing_left(&running);
        if freed != "exact" {
            switched(&mut running, "exact", b"w");
            running.step(b"f");
        }
    }
    // Counted to the byte again.
    running.step(b"a");
    let diff = running.diff(&["start", "now"]);
    for (line, one) in lines() {
        let row = diff.row("sampled.c", line);
        assert_eq!((row.growth(), row.live()), (one, one), "{}", row.brief());
    }
}

/// Check that blocks which were counted are taken off where they get another size while nothing is recorded, or a sample far away; and that one whose end no hook has seen is, when its address is
/// given again.
#[test]
fn resized_and_replaced_in_another_mode() {
    for other in ["off", "sample=64M"] {
        let mut running = filling().spawn();
        running.step(b"a");
        running.step(b"b");
        switched(&mut running, other, b"w");
        assert_eq!(aside(&running), ASIDE, "{other}");
        running.step(b"g");
        assert_nothing_left(&running);
        assert_eq!(aside(&running), ASIDE, "{other}");
        running.step(b"h");
        assert_eq!(aside(&running), Amount::default(), "{other}");
    }
}

/// Check that threads which allocate and free each other's blocks meanwhile all take the new mode, that nothing goes below zero, and that in the end there is nothing.
#[test]
fn threads() {
    let mut running = Target::c("switched.c").spawn();
    let expected = running.expected();
    for word in ["sample=4K", "exact", "off", "sample=64K", "off", "exact"].repeat(3) {
        mode(&running, &[word]);
        // Each thread has gone round since.
        running.step(b"r");
        assert_eq!(mode(&running, &[]), word);
        let diff = running.diff(&["start", "now"]);
        diff.assert_adds_up();
        assert_eq!(diff.unattributed("foreign_frees"), 0);
    }
    assert_eq!(running.step(b"e"), "freed");
    let diff = running.diff(&["start", "now"]);
    for row in expected {
        let left = diff.row("switched.c", row.line);
        let nothing = (left.live(), left.growth());
        assert_eq!(nothing, Default::default(), "{}", left.brief());
        assert!(left.total().blocks > 0, "{}", left.brief());
    }
}

/// Check that a forked child begins in the mode that its parent was switched to, gives back what that had, and is switched without its parent.
#[test]
fn forked() {
    let mut running = filling().spawn();
    switched(&mut running, "sample=16K", b"a");
    let before = running.diff(&["start", "now"]);
    let word = running.step(b"k");
    let child = word.strip_prefix("child ").expect("a child");
    assert_eq!(said(child, &[]), "sample=16K");
    let words = ["diff", "-p", child, "--format", "json", "start", "now"];
    let own = Diff::read(&String::from_utf8(talk(&words).stdout).expect("UTF-8"));
    for (line, _) in lines() {
        let (given, made) = (before.row("sampled.c", line), own.row("sampled.c", line));
        let freed = made.growth().bytes - made.total().bytes;
        assert_eq!(freed, -given.live().bytes, "{}", made.brief());
    }
    assert_eq!(said(child, &["off"]), format!("off{LATER}"));
    running.step(b"go");
    running.step(b"a");
    assert_eq!(mode(&running, &[]), "sample=16K");
    running.step(b"f");
    assert_nothing_left(&running);
}

/// Check that Python's objects, those that pymalloc serves and those that malloc does, are given back across each switch, but for the lists that the interpreter
/// keeps to use again (as old as they are), and that they are counted to the block afterwards.
#[test]
fn python() {
    /// Lists that the interpreter keeps, and what a sample of these may stand for.
    const KEPT: Amount = Amount {
        bytes: 65_536,
        blocks: 1000,
    };
    if !needs(&["python3"]) {
        return;
    }
    let mut running = Target::python("python_sampled.py").spawn();
    let expected = running.expected();
    let [lists, texts] = [0, 1].map(|row: usize| expected[row].line);
    running.step(b"a");
    let first = running.diff(&["start", "now"]);
    for (made, freed) in [("sample=8K", "exact"), ("off", "exact"), ("exact", "off")] {
        for (word, command) in [(made, b"a"), (freed, b"f")] {
            mode(&running, &[word]);
            running.step(command);
            assert_eq!(mode(&running, &[]), word);
        }
        let diff = running.diff(&["start", "now"]);
        let [lists, texts] = [lists, texts].map(|line| diff.row("python_sampled.py", line).live());
        assert_eq!(texts, Amount::default(), "{made}, {freed}");
        assert!((0..=KEPT.bytes).contains(&lists.bytes), "{lists:?}");
        assert!((0..=KEPT.blocks).contains(&lists.blocks), "{lists:?}");
    }
    mode(&running, &["exact"]);
    running.step(b"a");
    running.step(b"a");
    let again = running.diff(&["start", "now"]);
    let live = |diff: &Diff, line| diff.row("python_sampled.py", line).live();
    assert_eq!(live(&again, texts), live(&first, texts));
    let off = live(&again, lists).blocks - live(&first, lists).blocks;
    assert!(off.abs() <= KEPT.blocks, "{off}");
}

fn says(words: &[&str]) -> Output {
    let mut command = Command::new(heapshim());
    command.args(words).env_clear().envs(environment());
    command.output().expect("the command starts")
}

/// Asserts the status, and one line on stderr with these words in it.
fn refused(words: &[&str], status: i32, part: &str) {
    let output = says(words);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(status), "{words:?}: {stderr}");
    assert!(output.stdout.is_empty(), "{words:?}");
    assert!(stderr.contains(part), "{words:?}: {stderr}");
}

/// Check that an eighth size is refused with the seven that there are, and that none of what others may write on the control page makes a mode that there is not.
#[test]
fn no_mode() {
    let mut running = filling().spawn();
    for size in 1..=7 {
        switched(&mut running, &format!("sample={size}K"), b"w");
    }
    let pid = running.pid().to_string();
    let those = "take one of 1K, 2K, 3K, 4K, 5K, 6K, 7K";
    refused(&["mode", "-p", &pid, "sample=8K"], 1, those);
    switched(&mut running, "exact", b"w");
    let page = File::options()
        .read(true)
        .write(true)
        .open(&descriptors_of(running.pid(), "heapshim-control")[0]);
    let page = page.expect("our own user's");
    // No word, a size that is too large, and the eighth.
    for word in [u32::MAX - 2, (64 << 20) + 1, 8192] {
        let mut left = word.to_le_bytes();
        page.write_all_at(&left, REQUEST).expect("written");
        running.step(b"w");
        page.read_exact_at(&mut left, REQUEST).expect("read");
        assert_eq!(left, [0; 4], "{word}: taken");
        assert_eq!(mode(&running, &[]), "exact", "{word}");
    }
    running.step(b"a");
    running.step(b"f");
    assert_nothing_left(&running);
}

/// Check that wrong words, a process that is not there, and one that is not traced are refused as everywhere, and nothing is switched.
#[test]
fn wrong_words() {
    let running = filling().spawn();
    let pid = running.pid().to_string();
    for word in ["sample", "on", "sample=0", "sample=65M", "512K"] {
        refused(&["mode", "-p", &pid, word], 2, word);
    }
    refused(&["mode", "-p", &pid, "exact", "off"], 2, "off");
    refused(&["mode", "-p", "1999999999", "off"], 1, "no such process");
    let bare = Target::c("sampled.c").arg("ready").bare().spawn();
    let untraced = bare.pid().to_string();
    refused(&["mode", "-p", &untraced, "off"], 1, "not traced");
    assert_eq!(mode(&running, &[]), "exact");
}

/// Check that another user can neither switch a process nor ask what it records.
#[test]
fn of_another_user() {
    if !as_root("another user's questions") || !needs(&["setpriv"]) {
        return;
    }
    let mut running = filling().spawn();
    let pid = running.pid().to_string();
    let copy = for_all(heapshim(), 0o755);
    for words in [&["off"][..], &[]] {
        let mut command = as_nobody();
        command.arg(&copy).args(["mode", "-p", &pid]).args(words);
        let output = command.output().expect("it runs");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        assert!(stderr.contains(&pid), "{stderr}");
    }
    running.step(b"a");
    assert_eq!(mode(&running, &[]), "exact");
}
