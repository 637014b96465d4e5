//! What figures depend on besides our own code: the machine, the compilers, the peers, and which commit was measured.

use std::fs;
use std::path::Path;
use std::process::Command;

/// One line: what a reader of a table has to know of where it was made.
pub(crate) fn line(root: &Path) -> String {
    let said = [
        commit(root),
        kernel(),
        processor(),
        first_line(&["gcc", "-dumpfullversion"]).map(|version| format!("gcc {version}")),
        first_line(&["getconf", "GNU_LIBC_VERSION"]),
        first_line(&["rustc", "--version"]),
        first_line(&["heaptrack", "--version"]),
        first_line(&["redis-server", "--version"]).map(|said| words(&said, 3)),
        first_line(&["sqlite3", "--version"]).map(|said| format!("sqlite {}", words(&said, 1))),
        first_line(&["/usr/bin/python3", "--version"]),
        first_line(&["python3", "-m", "memray", "--version"]),
    ];
    let said: Vec<String> = said.into_iter().flatten().collect();
    said.join(" · ")
}

/// The first line that a command prints; None where it is not here, or fails.
pub(crate) fn first_line(words: &[&str]) -> Option<String> {
    let output = Command::new(words[0]).args(&words[1..]).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let line = text.lines().next()?.trim().to_owned();
    output.status.success().then_some(line)
}

/// Of this source, and whether the tree has changes that the commit does not.
fn commit(root: &Path) -> Option<String> {
    let root = root.to_string_lossy();
    let commit = first_line(&["git", "-C", &root, "rev-parse", "--short", "HEAD"])?;
    let changes = ["git", "-C", &root, "status", "--porcelain", "-uno"];
    let changed = first_line(&changes).map_or("", |_| " with changes");
    Some(format!("heapshim {commit}{changed}"))
}

fn kernel() -> Option<String> {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").ok()?;
    Some(format!("Linux {}", release.trim()))
}

fn processor() -> Option<String> {
    let text = fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    let count = std::thread::available_parallelism().map_or(1, usize::from);
    Some(format!(
        "{count} processors, {}",
        line.split(':').nth(1)?.trim()
    ))
}

fn words(text: &str, count: usize) -> String {
    let words: Vec<&str> = text.split_whitespace().take(count).collect();
    words.join(" ")
}
