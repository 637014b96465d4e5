//! The unpacked library: who can read it, and programs that give up root's rights.

use crate::place::{Place, said, text};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("there").mode() & 0o7777
}

/// Check that the library has exactly the modes that are meant, whatever the umask: root's for everybody, others' for their owner.
#[test]
fn modes() {
    let place = Place::new("library-modes");
    let lib = place.command(&["lib"]);
    let mut shell = Command::new("sh");
    shell
        .args(["-c", "umask 077; exec \"$0\" lib"])
        .arg(lib.get_program());
    shell.env_clear().env("XDG_CACHE_HOME", place.path("cache"));
    let output = shell.output().expect("sh");
    assert!(output.status.success(), "{}", said(&output));
    let path = text(&output.stdout);
    let path = Path::new(path.trim_end());
    assert_eq!(path.parent(), Some(&*place.path("cache/heapshim")));
    let modes = (mode(path), mode(path.parent().expect("a directory")));
    let expected = if is_root() {
        (0o644, 0o755)
    } else {
        (0o600, 0o700)
    };
    assert_eq!(modes, expected);
}

/// Check that a program that root starts, that becomes another user and then executes another program says what it says, and nothing
/// of ld.so's.
#[test]
fn privileges_dropped_before_exec() {
    let place = Place::new("library-dropped");
    let drop = [
        "setpriv",
        "--reuid=65534",
        "--regid=65534",
        "--clear-groups",
    ];
    let script = "echo out; echo err >&2; id -u";
    let bare = Command::new(drop[0])
        .args(&drop[1..])
        .args(["sh", "-c", script])
        .output();
    if !is_root() || !bare.is_ok_and(|bare| bare.status.success()) {
        eprintln!("skipped: takes root and setpriv");
        return;
    }
    let words = [&["run", "--quiet", "--"], &drop[..], &["sh", "-c", script]].concat();
    let output = place.output(&words);
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(text(&output.stdout), "out\n65534\n");
    assert_eq!(text(&output.stderr), "err\n");
}
