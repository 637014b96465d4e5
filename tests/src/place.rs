//! Where a run of the suite keeps its files, and the environment that every target gets.
//!
//! One directory per run, below the build's own, removed when the suite ends, or where it was killed when the next one begins; one more in /tmp for what needs a short name, or another
//! user's access. The state and cache directories of the command lie in
//! it, so that a run sees neither the user's marks nor another run's.

use crate::own_directory::OwnDirectory;
use std::ffi::OsString;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

static PLACE: OnceLock<OwnDirectory> = OnceLock::new();
static SHORT: OnceLock<OwnDirectory> = OnceLock::new();
/// What `place` is called in /tmp.
const LINK: &str = "p";

/// The workspace's root.
#[must_use]
pub fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("tests lies in the workspace")
        .to_path_buf()
}

/// Where the target programs' sources lie.
#[must_use]
pub fn programs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("programs")
}

/// The directory of this run.
pub(crate) fn place() -> &'static Path {
    let make = || {
        let suite = std::env::current_exe().expect("the suite's own path");
        let base = suite.parent().expect("the build's directory");
        // Whatever it is for who began the tests: some of their programs are other users'.
        // SAFETY: takes a number.
        unsafe { libc::umask(0o022) };
        let place = OwnDirectory::new(base, "suite").expect("a directory for this run");
        // SAFETY: `clean` is a function of this program, which is never unloaded.
        unsafe { libc::atexit(clean) };
        place
    };
    PLACE.get_or_init(make).path()
}

/// What of this run lies in /tmp: a directory, and in it a link to `place`.
fn short_place() -> &'static Path {
    let make = || {
        let place = place();
        let short = OwnDirectory::new(Path::new("/tmp"), "suite").expect("a directory in /tmp");
        symlink(place, short.path().join(LINK)).expect("a link");
        short
    };
    SHORT.get_or_init(make).path()
}

extern "C" fn clean() {
    // What is static is never dropped.
    for place in [PLACE.get(), SHORT.get()].into_iter().flatten() {
        // What can't be removed is left.
        let _ = fs::remove_dir_all(place.path());
    }
}

/// A new, empty directory of this run; its name begins with `name` and has the same length each time.
#[must_use]
pub fn fresh_directory(name: &str) -> PathBuf {
    let path = place().join(numbered(name));
    fs::create_dir_all(&path).expect("a fresh directory");
    path
}

fn numbered(name: &str) -> String {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("{name}-{number:04}")
}

/// The same in /tmp, whatever TMPDIR says: any user may enter it, who may be kept from the build's directory, and a socket in it has a name of less than 107 bytes.
#[must_use]
pub fn open_directory(name: &str) -> PathBuf {
    let path = short_place().join(numbered(name));
    fs::create_dir(&path).expect("a directory in /tmp");
    path
}

/// Another name of a directory of this run, short enough for the sockets in it.
#[must_use]
pub(crate) fn short_name(directory: &Path) -> PathBuf {
    let inside = directory.strip_prefix(place()).expect("of this run");
    short_place().join(LINK).join(inside)
}

/// The whole environment of a target and of the command: nothing of it comes from the user but PATH.
#[must_use]
pub fn environment() -> Vec<(OsString, OsString)> {
    let home = place().join("home");
    // Some programs make the cache their own user's alone, and then the library in it: those that drop root could not load it.
    fs::create_dir_all(home.join("cache")).expect("a home for this run");
    let path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into());
    let fixed = [
        ("LANG", "C.UTF-8"),
        ("LC_ALL", "C.UTF-8"),
        ("TZ", "UTC"),
        ("PYTHONHASHSEED", "0"),
        ("PYTHONDONTWRITEBYTECODE", "1"),
        ("PERL_HASH_SEED", "0"),
        ("GIT_CONFIG_NOSYSTEM", "1"),
    ];
    let mut all: Vec<(OsString, OsString)> = vec![
        ("PATH".into(), path),
        ("HOME".into(), home.clone().into()),
        ("XDG_STATE_HOME".into(), home.join("state").into()),
        ("XDG_CACHE_HOME".into(), home.join("cache").into()),
    ];
    all.extend(fixed.map(|(name, value)| (name.into(), value.into())));
    all
}

/// The line of a program's source that has this in it.
///
/// # Panics
/// Where none has.
#[must_use]
pub fn line_of(source: &str, marker: &str) -> u64 {
    let text = std::fs::read_to_string(programs().join(source)).expect("a source");
    let at = text.lines().position(|line| line.contains(marker));
    at.unwrap_or_else(|| panic!("no {marker} in {source}")) as u64 + 1
}

/// Copies a program that is to be run. By another process: what another test starts may hold for a moment what we have open to write, and a file that is
/// open to be written cannot be run.
///
/// # Panics
/// Where it is not copied.
pub fn copy_program(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg(from).arg(to).status();
    assert!(copied.expect("cp").success(), "{}", from.display());
}

/// Writes a script that is to be run, for which the same holds.
///
/// # Panics
/// Where it is not written.
pub fn write_program(file: &Path, text: &str) {
    let draft = fresh_directory("draft").join("draft");
    fs::write(&draft, text).expect("a draft");
    copy_program(&draft, file);
    fs::set_permissions(file, Permissions::from_mode(0o755)).expect("its mode");
}
