//! What `run` must not touch: the streams, the environment and the descriptors of the command.

use heapshim_tests::{
    Run, Target, as_nobody, as_root, bare, for_all, found, fresh_directory, needs, not_allowed,
    skip,
};
use std::ffi::OsString;
use std::fs;

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

/// Check that settings that make no sense do not stop the target: the default is taken, and that is said in the log, once a process, and with the report.
#[test]
fn senseless_settings() {
    let log = fresh_directory("senseless").join("log");
    let settings = [
        ("DEPTH", "many", "no number from 1 to 512"),
        ("SAMPLE", "some", "no size from 1 to 64M, nor `off`"),
        ("UNWIND", "magic", "neither `auto` nor `fp`"),
        ("PYTHON", "maybe", "neither `on` nor `off`"),
        ("DIR", "here", "no absolute path of at most 255 bytes"),
    ];
    let run = Run::new(&["echo", "hello"]).env("HEAPSHIM_LOG", &log);
    let finished = settings.iter().fold(run, |run, (name, word, _)| {
        run.env(&format!("HEAPSHIM_{name}"), word)
    });
    let finished = finished.finish();
    assert!(finished.status.success());
    assert_eq!(finished.stdout, b"hello\n");
    let report = finished.report();
    assert!(report.total().blocks > 0);
    let lines = settings.map(|(name, _, what)| {
        format!("heapshim: HEAPSHIM_{name} is {what}: the default was taken\n")
    });
    assert_eq!(
        fs::read_to_string(&log).expect("a log"),
        lines.concat(),
        "the log"
    );
    let notes = report.json()["notes"].to_string();
    for (name, _, _) in settings {
        assert!(notes.contains(&format!("HEAPSHIM_{name}")), "{notes}");
    }
}

/// Check that `run` needs no more memory for a thousand children than for some: it tells them of its own size.
#[test]
fn memory_for_children() {
    let script = "some() { i=0; while [ $i -lt $1 ]; do /bin/true; i=$((i+1)); done; }
        most() { while read key value unit; do [ $key = VmHWM: ] && echo $value; done < /proc/$PPID/status; }
        some 100; most; some 1000; most; exit 0";
    let finished = Run::new(&["sh", "-c", script]).quiet().finish();
    assert!(finished.status.success(), "{finished:?}");
    let said = String::from_utf8_lossy(&finished.stdout);
    let most: Vec<u64> = said
        .lines()
        .map(|line| line.parse().expect("KiB"))
        .collect();
    let [few, many] = most[..] else {
        panic!("{said}");
    };
    assert!(many < few + 4096, "{few} KiB after 100, {many} after 1,100");
}

/// Check that a static program, which cannot be traced, runs from a traced shell as from any: in its place, and as a child of it.
#[test]
fn static_programs_of_a_shell() {
    let Ok(static_program) = Target::c("ends.c").opt("-static").try_build() else {
        return skip("a static libc");
    };
    let program = static_program.display();
    for (script, status) in [
        (format!("echo before; exec {program} exit"), 42),
        (format!("{program} exit; echo $?; {program} _exit"), 23),
    ] {
        let words = ["sh", "-c", &script];
        let finished = Run::new(&words).finish();
        let (bare_status, bare_output, _) = bare(&words.map(OsString::from), b"");
        assert_eq!(finished.status.code(), Some(status), "{script}");
        assert_eq!(bare_status.code(), Some(status), "{script}");
        assert_eq!(finished.stdout, bare_output, "{script}");
    }
}

/// Check that a setuid program runs from another user's traced shell as from any, in its place and as a child of it: with its owner's rights, without our
/// library, which the loader does not take from whoever executes it, and without a word.
#[test]
fn setuid_programs_of_a_shell() {
    if !as_root("a setuid program") || !needs(&["setpriv", "id"]) {
        return;
    }
    let id = for_all(&found("id").expect("asked for"), 0o4755);
    for script in ["exec $ID -u", "$ID -u; $ID -r -u"] {
        let words = ["sh", "-c", script].map(OsString::from);
        let setpriv = as_nobody();
        let mut all = vec![setpriv.get_program().to_owned()];
        all.extend(setpriv.get_args().map(OsString::from));
        all.extend(words);
        let mut alone = std::process::Command::new(&all[0]);
        let alone = alone.args(&all[1..]).env("ID", &id).output();
        let alone = alone.expect("it runs").stdout;
        if !alone.starts_with(b"0\n") {
            not_allowed("a file system that honours setuid");
            break;
        }
        let finished = Run::new(&all).env("ID", &id).finish();
        let said = String::from_utf8_lossy(&finished.stderr);
        assert!(
            finished.status.success() && finished.stdout == alone,
            "{said}"
        );
        assert!(!said.contains("ld.so"), "{said}");
    }
}
