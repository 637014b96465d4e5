//! What a recording tells besides events: objects that came and went, threads, children, programs that were executed, marks.

use heapshim_tests::{Recorded, Recording, Run, Target, copy_program, programs, talk};
use std::ffi::OsString;
use std::path::PathBuf;

/// What happened, of these kinds.
fn told(recorded: &Recorded, kinds: &[&str]) -> Vec<(String, String)> {
    let mut all = recorded.happened();
    all.retain(|(kind, _, _)| kinds.contains(&&**kind));
    all.into_iter()
        .map(|(kind, text, _)| (kind, text))
        .collect()
}

/// The same as words.
fn words(recorded: &Recorded, kinds: &[&str]) -> Vec<String> {
    let told = told(recorded, kinds).into_iter();
    told.map(|(kind, text)| format!("{kind} {text}")).collect()
}

/// A recording of a command from its first event to its last.
pub(crate) fn run(command: &[OsString], stdin: &[u8]) -> Recorded {
    let file = heapshim_tests::fresh_directory("happened").join("run.heaptrace");
    let finished = Run::new(command)
        .option("--lossless")
        .option("--record")
        .option(&file)
        .stdin(stdin)
        .quiet()
        .finish();
    let said = String::from_utf8_lossy(&finished.stderr).into_owned();
    Recorded { file, said }
}

/// The end of a path.
fn base(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// Check that objects are told when code of them is first on a stack, the program's own among them, each once however often it is loaded; and that one in whose place
/// another was found is told as gone, after it had come.
#[test]
fn objects() {
    let plugins = crate::plugins::two_plugins();
    let [one, two] = plugins.each_ref();
    let recorded = run(&Target::c("plugins.c").arg(one).arg(two).words(), b"\n");
    let told = told(&recorded, &["load", "unload"]);
    let at = |kind: &str, path: &str| told.iter().position(|(k, p)| (&**k, &**p) == (kind, path));
    let loads = told.iter().filter(|(kind, _)| kind == "load");
    let mut loads: Vec<&String> = loads.map(|(_, path)| path).collect();
    let libc = loads.iter().filter(|path| base(path) == "libc.so.6");
    assert_eq!(libc.count(), 1, "{told:?}");
    assert!(at("load", one) < at("load", two), "{told:?}");
    assert!(at("load", one).is_some() && at("load", one) < at("unload", one));
    let count = loads.len();
    loads.sort();
    loads.dedup();
    assert_eq!(loads.len(), count, "{told:?}");
}

/// Check that an object that is unloaded is told at the time at which it went, though nothing comes to its place, and that no other is told as gone.
#[test]
fn unloaded() {
    let [one, _] = crate::plugins::two_plugins();
    let recorded = run(&Target::c("unloads.c").arg(&one).words(), b"\n");
    let kinds = ["load", "unload", "mark"];
    let told = words(&recorded, &kinds);
    let expected = [
        format!("load {one}"),
        "mark open".to_owned(),
        format!("unload {one}"),
        "mark closed".to_owned(),
    ];
    let last = told.get(told.len().saturating_sub(expected.len())..);
    assert_eq!(last, Some(&expected[..]), "{told:?}");
    assert_eq!(recorded.happened_of("unload"), 1, "{told:?}");
}

/// Check that each label of a thread is told once, in the order of their first events, a pool as one; and that a recording that begins in the middle does
/// not tell of those that were there.
#[test]
fn threads() {
    let recorded = run(&Target::c("named.c").words(), b"\n\n\n\n\n");
    let few = [
        "thread named",
        "thread renderer",
        "thread # readers #",
        "thread writer",
        "thread worker-#",
        "thread kind a",
    ];
    let all = words(&recorded, &["thread"]);
    assert_eq!(all[..few.len()], few, "{all:?}");
    assert_eq!(all.last().map(String::as_str), Some("thread other threads"));

    let mut running = Target::c("named.c").spawn();
    assert_eq!(running.step(b"go"), "few");
    let recording = Recording::of(running.pid(), &["--lossless"]);
    assert_eq!(running.step(b"go"), "pool");
    assert_eq!(words(&recording.end(), &["thread"]), ["thread worker-#"]);
}

/// Check that a child is told with its pid and its name, as forked where it goes on as what its parent was, and as a child where it began a program, whichever way it was
/// made.
#[test]
fn children() {
    for (how, kind) in [
        ("fork", "fork"),
        ("clone", "fork"),
        ("exec", "child"),
        ("vfork", "child"),
        ("spawn", "child"),
    ] {
        let recorded = run(&Target::c("forks.c").arg(how).words(), b"\n\n");
        let mut all = recorded.happened();
        all.retain(|(kind, _, _)| kind == "fork" || kind == "child");
        let [(what, name, Some(pid))] = &all[..] else {
            panic!("{how}: {all:?}");
        };
        assert_eq!((&**what, &**name), (kind, "forks"), "{how}");
        assert!(*pid > 1, "{how}");
    }
}

/// Check the same of a recording of a process that runs, which looks for children itself: one that is there when it ends is told, with the pid that it says.
#[test]
fn children_of_a_running_process() {
    let sources = programs().join("forks.c");
    let shell = Target::built("/bin/sh".as_ref(), &sources).arg("-c");
    let script = format!("echo warm; read go; {} fork", quoted("forks.c"));
    let mut running = shell.arg(&script).spawn();
    assert_eq!(running.said(), "warm");
    let recording = Recording::of(running.pid(), &["--lossless"]);
    let said = running.step(b"go");
    // The shell's child is forks, whose own child has said this.
    assert!(said.starts_with("child "), "{said}");
    assert_eq!(words(&recording.end(), &["fork", "child"]), ["child forks"]);

    let mut running = Target::built("/bin/sh".as_ref(), &sources)
        .arg("-c")
        .arg("echo warm; read go; (x=a$go; echo $x; read go; echo $go); echo end")
        .spawn();
    let recording = Recording::of(running.pid(), &["--lossless"]);
    assert_eq!(running.step(b"go"), "ago");
    assert_eq!(recording.end().happened_of("fork"), 1);
}

/// A program's path, as a shell takes it.
fn quoted(source: &str) -> String {
    format!("'{}'", Target::c(source).build().display())
}

/// Check that a command that executes another is told in the file, which begins with that: first, with the program's name, which is data and drives no terminal.
#[test]
fn executed() {
    let program = heapshim_tests::fresh_directory("executed").join("for\x1b[31mks\"");
    copy_program(&Target::c("forks.c").build(), &program);
    let name = program.to_str().expect("UTF-8");
    let command = Target::c("onward.c").arg(name).arg("program").words();
    let recorded = run(&command, b"\n");
    let first = recorded.happened().into_iter().next();
    assert_eq!(first, Some(("exec".to_owned(), name.to_owned(), None)));
    let table = talk(&["timeline", recorded.file.to_str().expect("UTF-8")]).stdout;
    let table = String::from_utf8(table).expect("UTF-8");
    assert!(!table.contains('\x1b'), "{table}");
    assert!(
        table.contains(": what ran before it is not in this recording"),
        "{table}"
    );
    assert!(run(&command[..1], b"").happened_of("exec") == 0);
}

/// Check that a process that is recorded and executes another program is told to have done so, at the recording's end.
#[test]
fn gone_on() {
    let program: PathBuf = Target::c("forks.c").build();
    let script = format!("echo warm; read go; exec {} program", quoted("forks.c"));
    let mut running = Target::built("/bin/sh".as_ref(), &programs().join("forks.c"))
        .arg("-c")
        .arg(&script)
        .spawn();
    let recording = Recording::of(running.pid(), &["--lossless"]);
    let said = running.step(b"go");
    assert!(said.starts_with("program "), "{said}");
    let recorded = recording.ended();
    let path = program.to_str().expect("UTF-8");
    let expected = ("exec".to_owned(), path.to_owned(), None);
    assert_eq!(recorded.happened().last(), Some(&expected));
}

/// Check that the program's own marks are among what happened, each once, though it is looked for at every chunk; and not those of before.
#[test]
fn marks() {
    let mut running = crate::recordings::events();
    let recording = Recording::of(running.pid(), &["--lossless"]);
    running.step(b"go");
    running.step(b"m");
    assert_eq!(words(&recording.end(), &["mark"]), ["mark middle"]);
    let recording = Recording::of(running.pid(), &["--lossless"]);
    running.step(b"m");
    assert_eq!(words(&recording.end(), &["mark"]), [""; 0]);
}
