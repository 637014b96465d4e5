//! What `run` must not touch: the streams, the environment and the descriptors of the command.

use heapshim_tests::{Run, bare};
use std::ffi::OsString;

/// Check that a megabyte of every byte value passes through unchanged, in and out.
#[test]
fn streams_are_equal_by_byte() {
    let mut bytes = Vec::new();
    let mut state = 2_463_534_242u32;
    while bytes.len() < 1 << 20 {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        bytes.extend(state.to_le_bytes());
    }
    let finished = Run::new(&["cat"]).stdin(&bytes).finish();
    assert!(finished.status.success());
    assert!(finished.stdout == bytes, "cat's output differs");
    assert!(finished.stderr.is_empty());
}

/// Check that what the command says on stderr comes out alone where the report goes to a file.
#[test]
fn stderr_is_the_commands() {
    let finished = Run::new(&["sh", "-c", "echo out; echo err >&2"]).finish();
    assert_eq!(finished.stdout, b"out\n");
    assert_eq!(finished.stderr, b"err\n");
}

/// Check that `--quiet` prints no report at all.
#[test]
fn quiet_is_quiet() {
    let finished = Run::new(&["true"]).quiet().finish();
    assert_eq!(String::from_utf8_lossy(&finished.stderr), "");
    assert!(finished.stdout.is_empty());
    assert_eq!(finished.marks.len(), 1);
}

/// Check that the command's environment differs by the preload and our own variables only.
#[test]
fn environment_is_the_users() {
    let finished = Run::new(&["env", "-0"]).finish();
    let traced = String::from_utf8(finished.stdout).expect("UTF-8");
    let bare = bare(&["env".into(), "-0".into()], b"").1;
    let bare = String::from_utf8(bare).expect("UTF-8");
    let ours = |variable: &&str| {
        !variable.starts_with("LD_PRELOAD=") && !variable.starts_with("HEAPSHIM_")
    };
    let mut left: Vec<&str> = traced.split_terminator('\0').filter(ours).collect();
    let mut right: Vec<&str> = bare.split_terminator('\0').collect();
    left.sort_unstable();
    right.sort_unstable();
    assert_eq!(left, right);
}

/// Check that a target finds the descriptors that it would find without us: nothing of ours below 64.
#[test]
fn low_descriptors_are_the_users() {
    let script = "for n in 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 32 63; do [ -e /proc/self/fd/$n ] && echo $n; done; true";
    let words = ["sh", "-c", script];
    let finished = Run::new(&words).finish();
    let (_, stdout, _) = bare(&words.map(OsString::from), b"");
    assert_eq!(
        String::from_utf8_lossy(&finished.stdout),
        String::from_utf8_lossy(&stdout)
    );
}

/// Check that HEAPSHIM=0 runs the command untraced, and that it is said.
#[test]
fn switched_off() {
    let finished = Run::new(&["echo", "hello"]).env("HEAPSHIM", "0").finish();
    assert!(finished.status.success());
    assert_eq!(finished.stdout, b"hello\n");
    assert!(finished.marks.is_empty(), "{:?}", finished.marks);
}

/// Check that a setting that makes no sense does not stop the target: the default is taken.
#[test]
fn senseless_settings() {
    let finished = Run::new(&["echo", "hello"])
        .env("HEAPSHIM_DEPTH", "many")
        .env("HEAPSHIM_UNWIND", "magic")
        .finish();
    assert!(finished.status.success());
    assert_eq!(finished.stdout, b"hello\n");
    assert!(finished.report().total().blocks > 0);
}
