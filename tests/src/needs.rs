//! What a test does when a program that it needs is not on this machine.
//!
//! It says so and counts as skipped; the suite's last lines name what was skipped. With CI=true it fails: there, `tests/run` has
//! installed everything, and a test that silently tests nothing is worse than a red one.

use crate::place::{copy_program, open_directory};
use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

static SKIPPED: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// The program's path: the system's own before others, since a version manager's launcher is a shell script of that name.
#[must_use]
pub fn found(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let system = ["/usr/bin", "/bin"].map(PathBuf::from);
    let directories = system.into_iter().chain(std::env::split_paths(&path));
    directories
        .map(|directory| directory.join(program))
        .find(|file| is_executable(file))
}

fn is_executable(file: &Path) -> bool {
    file.metadata()
        .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

/// True where all programs are there; else the calling test is skipped, or fails in CI.
#[must_use]
pub fn needs(programs: &[&str]) -> bool {
    let missing = programs.iter().find(|program| found(program).is_none());
    missing.inspect(|program| skip(program)).is_none()
}

/// Go: in the PATH, or where Debian's golang-1.19-go puts it. Without it the calling test is skipped.
#[must_use]
pub fn go() -> Option<PathBuf> {
    let debian = PathBuf::from("/usr/lib/go-1.19/bin/go");
    let go = found("go").or_else(|| debian.exists().then_some(debian));
    if go.is_none() {
        skip("go");
    }
    go
}

/// Counts the calling test as skipped, since `name` is missing. Written past the test runner's capture.
///
/// # Panics
/// With CI=true.
pub fn skip(name: &str) {
    let test = std::thread::current().name().unwrap_or("?").to_string();
    let in_ci = std::env::var_os("CI").is_some_and(|value| value == "true");
    assert!(!in_ci, "{name} is missing, and in CI nothing may be");
    talk(&format!("skipped: {name} is missing ({test})\n"));
    count(&test, name);
}

/// Counts a test as skipped, all of it or a part, that this machine gives us no right to make: nothing that could be installed would help, also in CI.
pub fn not_allowed(what: &str) {
    let test = std::thread::current().name().unwrap_or("?").to_string();
    talk(&format!("skipped: {what}: not allowed here ({test})\n"));
    count(&test, what);
}

/// True as root; else the calling test is not allowed here. `what` is what it tries.
#[must_use]
pub fn as_root(what: &str) -> bool {
    // SAFETY: takes no arguments.
    let is_root = unsafe { libc::geteuid() } == 0;
    if !is_root {
        not_allowed(what);
    }
    is_root
}

/// `setpriv` with what makes the program that its further words name another user's, who has no rights.
#[must_use]
pub fn as_nobody() -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"]);
    command
}

/// A copy of a program that any user can execute, with this mode: the build's directory may be below one of root's alone.
///
/// # Panics
/// Where it cannot be copied.
#[must_use]
pub fn for_all(program: &Path, mode: u32) -> PathBuf {
    let copy = open_directory("for-all").join(program.file_name().expect("a name"));
    copy_program(program, &copy);
    fs::set_permissions(&copy, Permissions::from_mode(mode)).expect("set");
    copy
}

fn count(test: &str, name: &str) {
    let mut skipped = SKIPPED.lock().expect("no test fails while it skips");
    if skipped.is_empty() {
        // SAFETY: `sum_up` is a function of this program, which is never unloaded.
        unsafe { libc::atexit(sum_up) };
    }
    skipped.push(format!("{test} ({name})"));
}

fn talk(line: &str) {
    // A closed stderr is the caller's choice.
    let _ = std::io::stderr().write_all(line.as_bytes());
}

extern "C" fn sum_up() {
    if let Ok(skipped) = SKIPPED.lock() {
        talk(&format!(
            "{} skipped: {}\n",
            skipped.len(),
            skipped.join(", ")
        ));
    }
}
