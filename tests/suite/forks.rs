//! Children: forked ones have an account of their own that begins at the fork; executed ones begin anew; none disturbs its parent.

use heapshim_tests::{Amount, Diff, Run, Running, Target, expected_in, programs, talk};

/// The account of a process, from its start.
pub(crate) fn diff_of(pid: &str) -> Diff {
    let words = ["diff", "-p", pid, "--format", "json", "start", "now"];
    Diff::read(&String::from_utf8(talk(&words).stdout).expect("UTF-8"))
}

/// Starts forks.c; gives it and the account of its child at the child's word.
fn started(how: &str) -> (Running, Diff) {
    let running = Target::c("forks.c").arg(how).spawn();
    let pid = running
        .said()
        .split(' ')
        .next_back()
        .expect("a pid")
        .to_string();
    let child = diff_of(&pid);
    (running, child)
}

/// The line of forks.c whose comment names this function and this growth.
fn line(running: &Running, function: &str, bytes: Option<i64>) -> u64 {
    let rows = running.expected();
    let mut lines = rows.iter().filter(|row| {
        row.function.as_deref() == Some(function)
            && bytes.is_none_or(|bytes| row.growth.map(|growth| growth.bytes) == Some(bytes))
    });
    lines.next().expect("the line of forks.c").line
}

/// Lets the child end, and asserts that the parent's account is what it was, with what it did since.
fn assert_parent(mut running: Running, status: &str) {
    running.step(b"go");
    assert_eq!(running.said(), format!("parent {status}"));
    let diff = running.diff(&["start", "now"]);
    for bytes in [1010, 503] {
        let line = line(&running, "main", Some(bytes));
        let row = diff.row("forks.c", line);
        assert_eq!(row.growth().bytes, bytes, "{}", row.brief());
        assert_eq!(row.total().bytes, bytes, "{}", row.brief());
    }
    diff.assert_adds_up();
    diff.assert_complete();
    assert!(running.finish().0.success());
}

fn amount(bytes: i64, blocks: i64) -> Amount {
    Amount { bytes, blocks }
}

/// Check that a forked child's account begins at its fork: blocks that it inherited and freed are charged to their line.
#[test]
fn forked() {
    check_forked("fork");
}

/// What a child with memory of its own must say, whatever made it.
fn check_forked(how: &str) {
    let (running, child) = started(how);
    let inherited = line(&running, "main", Some(1010));
    assert_eq!(child.row("forks.c", inherited).growth(), amount(-404, -4));
    let own = child.row("forks.c", line(&running, "child", None));
    assert_eq!(own.growth(), amount(211, 1));
    assert_eq!(child.growth(), amount(211 - 404, 1 - 4));
    child.assert_adds_up();
    child.assert_complete();
    assert_parent(running, "5");
}

/// What an executed child must say, whatever made it.
fn check_executed(how: &str) {
    let (running, child) = started(how);
    let own = child.row("forks.c", line(&running, "main", Some(401)));
    assert_eq!(own.growth(), amount(401, 1), "{how}");
    assert_eq!(child.growth(), amount(401, 1), "{how}");
    assert_parent(running, "6");
}

/// Check that a program executed after a fork begins anew.
#[test]
fn forked_and_executed() {
    check_executed("exec");
}

/// Check that a vforked child, which runs on its parent's memory, leaves it as it should be.
#[test]
fn vforked() {
    check_executed("vfork");
}

/// Check the same for posix_spawn.
#[test]
fn spawned() {
    check_executed("spawn");
}

/// Check children that are made by a raw system call, which libc does not know of: each has an account of its own, and its parent's is exact.
#[test]
fn cloned() {
    for how in ["clone", "clone3"] {
        check_forked(how);
    }
}

/// Check a child that runs on its parent's memory, on a stack of its own, and executes.
#[test]
fn cloned_on_its_parents_memory() {
    check_executed("shared");
}

/// Check that `run` keeps a mark of each process of the tree.
#[test]
fn run_keeps_a_mark_of_each() {
    let mut words = Target::c("forks.c").words();
    words.push("fork".into());
    let finished = heapshim_tests::Run::new(&words).stdin(b"go\ngo\n").finish();
    assert!(finished.status.success());
    let mut growth: Vec<i64> = finished
        .accounts()
        .iter()
        .map(|account| account.growth().bytes)
        .collect();
    growth.sort_unstable();
    assert_eq!(growth, [211 - 404, 1010 + 503]);
}

/// Check forks of a process whose other threads allocate meanwhile: children and parent are exact.
#[test]
fn forked_while_threads_run() {
    check_while_threads_run(Target::c("forks_threads.c"));
}

/// The same for the program as it was built.
pub(crate) fn check_while_threads_run(target: Target) {
    let mut running = target.spawn();
    running.mark("warm");
    assert_eq!(running.step(b"go"), "done");
    let diff = running.diff(&["warm", "now"]);
    for expected in running.expected() {
        if !expected.may_be_absent() {
            diff.row(&expected.file, expected.line).assert(&expected);
        }
    }
    diff.assert_adds_up();
}

/// Check the accounts of those children, kept by `run`: what their own threads allocated, less what they freed of their parent's.
#[test]
fn children_of_threads() {
    let words = Target::c("forks_threads.c").words();
    let finished = heapshim_tests::Run::new(&words).stdin(b"go\ngo\n").finish();
    assert!(finished.status.success());
    let expected = expected_in(&programs().join("forks_threads.c"));
    let line = |function: &str| {
        let found = expected
            .iter()
            .find(|row| row.function.as_deref() == Some(function));
        found.expect("the line of forks_threads.c").line
    };
    let accounts: Vec<Diff> = finished.marks.iter().map(|mark| lines_of(mark)).collect();
    let own = accounts
        .iter()
        .filter_map(|diff| diff.find("forks_threads.c", line("in_child")));
    assert_eq!(own.clone().count(), 20, "{} accounts", accounts.len());
    assert!(
        own.into_iter()
            .all(|row| row.growth() == amount(5 * 211, 5))
    );
    let freed = accounts
        .iter()
        .filter_map(|diff| diff.find("forks_threads.c", line("main")));
    assert_eq!(
        freed.filter(|row| row.growth() == amount(-404, -4)).count(),
        20
    );
}

/// The account of a mark file, by line, from the process's start.
pub(crate) fn lines_of(mark: &std::path::Path) -> Diff {
    let mark = mark.to_str().expect("UTF-8");
    let words = ["diff", "start", mark, "--format", "json"];
    Diff::read(&String::from_utf8(talk(&words).stdout).expect("UTF-8"))
}

/// Check that children made by a signal handler inside of malloc and free leave their parent's account exact: forks.c's handler interrupts a
/// hook between any two of its instructions.
#[test]
fn forked_in_a_handler() {
    let mut running = Target::c("forks_handler.c").arg("500").spawn();
    running.mark("warm");
    running.step(b"go");
    let pairs = running.numbers()[0];
    let diff = running.diff(&["warm", "now"]);
    assert_eq!(diff.growth(), amount(0, 0));
    assert_eq!(diff.total(), amount(33 * pairs, pairs), "{pairs} pairs");
    diff.assert_adds_up();
    assert!(running.finish().0.success());
}

/// Check that a child that a seccomp filter leaves without an account lives, leaves its parent's exact, and is spoken of there.
#[test]
fn forked_under_a_filter() {
    let running = Target::c("sandbox_fork.c").spawn();
    assert_eq!(running.said(), "lived");
    let diff = running.diff(&["start", "now"]);
    assert_eq!(diff.growth(), amount(37, 1), "{}", diff.listing());
    let notes = diff.json()["notes"].to_string();
    let said = "children that it forked are not traced: a seccomp filter or a limit forbids it";
    assert!(notes.contains(said), "{notes}");
    assert!(running.finish().0.success());
}

/// Check that a program which only asks what the kernel knows of seccomp, by calls that fail, has its children traced.
#[test]
fn forked_after_asking_for_filters() {
    let words = Target::c("sandbox_fork.c").arg("ask").words();
    let finished = Run::new(&words).finish();
    assert_eq!(finished.stdout, b"lived\n");
    let accounts = finished.accounts();
    let mut growths: Vec<_> = accounts.iter().map(Diff::growth).collect();
    growths.sort_by_key(|growth| growth.bytes);
    assert_eq!(growths, [amount(37, 1), amount(101 - 37, 0)]);
}
