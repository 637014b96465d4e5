//! `heapshim doctor`: what it says is what happens, of commands and of processes.

use crate::place::{Place, Traced, said, text};
use serde_json::Value;
use std::fs;
use std::process::{Command, Output};

const LEAKING: &str = "#include <stdlib.h>\nint main(void) { return malloc(7) == 0; }";

fn findings(place: &Place, words: &[&str]) -> (Option<i32>, Vec<Value>) {
    let words = [&["doctor", "--format", "json"], words].concat();
    let output = place.output(&words);
    let json: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(json["schema"], 1);
    (
        output.status.code(),
        json["findings"].as_array().expect("a list").clone(),
    )
}

/// The finding on this object, as one text.
fn about(findings: &[Value], object: &str) -> String {
    let found = findings.iter().find(|finding| finding["object"] == object);
    let found = found.unwrap_or_else(|| panic!("nothing on {object}: {findings:#?}"));
    let part = |name: &str| found[name].as_str().unwrap_or_default().to_owned();
    format!("{} {}; {}", part("level"), part("what"), part("next"))
}

fn lines(output: &Output) -> Vec<String> {
    text(&output.stdout).lines().map(str::to_owned).collect()
}

/// Check that nothing stands in the way of a usual program: status 0, the modules' lines, the command that comes next, quoted.
#[test]
fn usual_program() {
    let place = Place::new("doctor-usual");
    let program = place.c("usual", LEAKING);
    let output = place.output(&["doctor", "--", &program, "a b"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let lines = lines(&output);
    let traced = format!("ok       {program}: dynamically linked with glibc: it can be traced");
    assert!(lines.contains(&traced), "{}", said(&output));
    assert!(lines.contains(&format!("ok       {program}: has its own source lines")));
    assert_eq!(
        lines.last(),
        Some(&format!("  heapshim run -- {program} 'a b'"))
    );
    assert!(place.output(&["doctor"]).status.success());
}

/// Check that where `run` refuses, doctor says the same, with status 1.
#[test]
fn as_run_says() {
    let place = Place::new("doctor-refused");
    for program in ["/no/such", "no-such-command", "/etc/passwd", "/"] {
        let refused = text(&place.output(&["run", "--", program]).stderr);
        let line = refused
            .trim_end()
            .strip_prefix("heapshim: ")
            .expect("a line");
        let output = place.output(&["doctor", program]);
        assert_eq!(output.status.code(), Some(1), "{}", said(&output));
        let problem = format!("problem  {line}");
        assert_eq!(lines(&output).last(), Some(&problem));
    }
}

/// Check that each variable and limit that a command would inherit is told, where it stops tracing as a problem.
#[test]
fn what_is_inherited() {
    let place = Place::new("doctor-inherited");
    let status = |setting: &str, problem: &str| {
        let output = place.shell(&format!("{setting} heapshim doctor sh"));
        let all = text(&output.stdout);
        assert!(all.contains(problem), "{setting}: {all}");
        output.status.code()
    };
    let off = "problem  HEAPSHIM: 0: the library is loaded and does nothing; unset HEAPSHIM";
    assert_eq!(status("HEAPSHIM=0", off), Some(1));
    let only =
        "problem  HEAPSHIM_ONLY: traces only nginx, and not sh; add it: 'HEAPSHIM_ONLY=nginx,sh'";
    assert_eq!(status("HEAPSHIM_ONLY=nginx", only), Some(1));
    let small = "problem  ulimit -v: leaves a program less than 512 MiB: it is not traced";
    assert_eq!(status("ulimit -v 500000;", small), Some(1));
    let few = "note     ulimit -n: the account takes two descriptors, and there are hardly more";
    assert_eq!(status("ulimit -n 7;", few), Some(0));
    let library = "LD_PRELOAD=$(heapshim lib)";
    assert_eq!(status(library, "note     LD_PRELOAD: holds "), Some(0));
}

/// Check that missing debug information is a note with what brings it, that a separate file is found, and that one of another build is not
/// taken for it.
#[test]
fn debug_information() {
    let place = Place::new("doctor-debug");
    let program = place.c("lines", LEAKING);
    let objcopy = |words: &[&str]| {
        let done = Command::new("objcopy").args(words).status();
        assert!(done.expect("objcopy").success(), "{words:?}");
    };
    let debug = place.word("lines.debug");
    objcopy(&["--only-keep-debug", &program, &debug]);
    objcopy(&["--strip-all", &program]);
    let of = |words: &[&str]| {
        let (status, findings) = findings(&place, &[words, &[&program]].concat());
        assert_eq!(status, Some(0));
        let own: Vec<Value> = findings
            .into_iter()
            .filter(|one| one["object"] == *program)
            .skip(1)
            .collect();
        about(&own, &program)
    };
    let none = "note no debug information: its rows are functions or addresses, not lines; \
                build it with -g (Cargo: debug = true), or name its debug files with --debug-dir DIR";
    assert_eq!(of(&[]), none);
    let directory = place.word("");
    let found = format!("ok source lines in {directory}lines.debug; ");
    assert_eq!(of(&["--debug-dir", &directory]), found);
    let other = place.c("other", "int main(void) { return 1; }");
    fs::rename(&other, &debug).expect("replaced");
    let refused = of(&["--debug-dir", &directory]);
    let begin = "note no debug information: lines.debug is of another build; build it with -g";
    assert!(refused.starts_with(begin), "{refused}");
}

/// Check that an allocator of the program's own is a problem, in doctor as in the report of `run`.
#[test]
fn own_allocator() {
    let place = Place::new("doctor-allocator");
    let source = "#include <stdlib.h>\nvoid *_rjem_malloc(size_t n) { return malloc(n); }\n\
                  int main(void) { return _rjem_malloc(7) == 0; }";
    let program = place.c("own", source);
    let (status, found) = findings(&place, &[&program]);
    assert_eq!(status, Some(1));
    let problems: Vec<&Value> = found
        .iter()
        .filter(|one| one["level"] == "problem")
        .collect();
    let what = "has jemalloc linked in: what it allocates with that is not seen";
    assert_eq!(
        (problems.len(), &problems[0]["what"]),
        (1, &Value::from(what))
    );
    let report = text(&place.output(&["run", "--", &program]).stderr);
    let mut lines = report.lines();
    assert!(
        lines.next().is_some_and(|line| line.ends_with(what)),
        "{report}"
    );
    assert!(
        lines.nth(1).is_some_and(
            |note| note.starts_with("this program has an allocator of its own linked in: ")
        ),
        "{report}"
    );
}

/// Check that a traced process is said to be, and that nothing stands in the way of looking at it.
#[test]
fn traced_process() {
    let place = Place::new("doctor-traced");
    let running = place.run(&["--quiet"], &[&place.keeper_named("looked_at")]);
    let pid = &running.hello;
    let (status, found) = findings(&place, &["-p", pid]);
    assert_eq!(status, Some(0), "{found:#?}");
    assert_eq!(
        about(&found, &format!("pid {pid} (looked_at)")),
        "ok traced; "
    );
    let output = place.output(&["doctor", "-p", "looked_at"]);
    let next = format!("  heapshim diff -p {pid}");
    assert_eq!(lines(&output).last(), Some(&next), "{}", said(&output));
}

/// Check why a process is not traced: started without, switched off, not named, and a library that never began.
#[test]
fn untraced_processes() {
    let place = Place::new("doctor-untraced");
    let keeper = place.keeper();
    let library = place.stdout(&["lib"]);
    let why = |preload: &str, variable: (&str, &str)| {
        let mut program = place.program(&keeper);
        if !preload.is_empty() {
            program.env("LD_PRELOAD", preload);
        }
        let running = Traced::start({
            program.env(variable.0, variable.1);
            program
        });
        let pid = running.hello.clone();
        let (status, found) = findings(&place, &["-p", &pid]);
        assert_eq!(status, Some(1), "{found:#?}");
        about(&found, &format!("pid {pid} (keeper)"))
    };
    let library = library.trim_end();
    let bare = format!(
        "problem not traced: it was started without heapshim; start it with `heapshim run -- {keeper}`"
    );
    assert_eq!(why("", ("A", "1")), bare);
    let off = why(library, ("HEAPSHIM", "0"));
    assert!(
        off.starts_with("problem not traced: HEAPSHIM is set in its environment: 0: "),
        "{off}"
    );
    let only = why(library, ("HEAPSHIM_ONLY", "nginx"));
    assert!(only.contains("traces only nginx, and not keeper"), "{only}");
    let gone = why("/no/such/libheapshim-1.so", ("A", "1"));
    assert!(
        gone.contains("the library cannot be reached where it runs"),
        "{gone}"
    );
}

/// Check that a process that runs a static program is told from one that was started without heapshim.
#[test]
fn static_process() {
    let place = Place::new("doctor-static");
    let source = "#include <stdio.h>\n#include <unistd.h>\n\
                  int main(void) { char c; dprintf(1, \"%d\\n\", getpid()); return read(0, &c, 1); }";
    let (file, program) = (place.path("fixed.c"), place.word("fixed"));
    fs::write(&file, source).expect("a source");
    let built = Command::new("cc")
        .args(["-static", "-o", &program])
        .arg(file)
        .status();
    if !built.is_ok_and(|status| status.success()) {
        return crate::place::skip("a static libc");
    }
    let running = Traced::start(place.command(&["run", "--quiet", "--anyway", "--", &program]));
    let (_, found) = findings(&place, &["-p", &running.hello]);
    let line = about(&found, &format!("pid {} (fixed)", running.hello));
    let expected = format!(
        "problem not traced: {program} is statically linked: no library can be preloaded; link it dynamically"
    );
    assert_eq!(line, expected);
}

/// Check that a filter of a traced process is told and stops nothing, and that locked memory, in which our tables are not, is no matter.
#[test]
fn surroundings() {
    let place = Place::new("doctor-surroundings");
    let source = "#include <linux/filter.h>\n#include <linux/seccomp.h>\n#include <stdio.h>\n#include <sys/mman.h>\n\
                  #include <sys/prctl.h>\n#include <unistd.h>\n\
                  int main(void) { char c; static char page[8192];\n\
                  struct sock_filter allow[] = {BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};\n\
                  struct sock_fprog filter = {1, allow};\n\
                  if (mlock(page, 4096) || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) return 1;\n\
                  if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter)) return 2;\n\
                  dprintf(1, \"%d\\n\", getpid()); return read(0, &c, 1); }";
    let program = place.c("locked", source);
    let running = place.run(&["--quiet"], &[&program]);
    let (status, found) = findings(&place, &["-p", &running.hello]);
    assert_eq!(status, Some(0), "{found:#?}");
    let object = format!("pid {} (locked)", running.hello);
    let own: Vec<&str> = found
        .iter()
        .filter(|one| one["object"] == *object)
        .filter_map(|one| one["what"].as_str())
        .collect();
    let filter = "has a seccomp filter: children that it forks from now on are not traced";
    assert_eq!(own, ["traced", filter]);
}

/// Check that a container's process, in namespaces of its own, is said to be in them.
#[test]
fn namespaces() {
    let place = Place::new("doctor-namespaces");
    let keeper = place.keeper();
    let traced = format!(
        "LD_PRELOAD=$(heapshim lib) exec unshare --mount --pid --fork --mount-proc {keeper}"
    );
    let running = Traced::silent(place.shell_command(&traced));
    let mut running = running;
    // Its own pid is that of its namespace; ours is found by its name.
    let hello = running.line();
    if hello.is_empty() {
        return crate::place::not_allowed("a pid namespace of one's own");
    }
    let unshared = running.own_pid();
    let children =
        fs::read_to_string(format!("/proc/{unshared}/task/{unshared}/children")).expect("a child");
    let (status, found) = findings(&place, &["-p", children.trim()]);
    assert_eq!(status, Some(0), "{found:#?}");
    let object = format!("pid {} (keeper)", children.trim());
    let own: Vec<&str> = found
        .iter()
        .filter(|one| one["object"] == *object)
        .filter_map(|one| one["what"].as_str())
        .collect();
    let pids = format!("in a pid namespace of its own, as pid {hello}");
    let files = "in a mount namespace of its own: its files are read through /proc";
    assert_eq!(own, ["traced", &pids, files]);
}

/// Check that an interpreter is recognised behind its link and its script's first line, and told as known.
#[test]
fn python() {
    let place = Place::new("doctor-python");
    let system = "/usr/bin/python3";
    if !std::path::Path::new(system).exists() {
        return crate::place::skip("python3");
    }
    let script = place.script("script.py", &format!("#!{system}\n"));
    let real = fs::canonicalize(system).expect("a link to a version");
    let version = real
        .to_string_lossy()
        .rsplit("python")
        .next()
        .expect("a name")
        .to_owned();
    for program in [system.to_owned(), script] {
        let (status, found) = findings(&place, &[&program]);
        assert_eq!(status, Some(0), "{found:#?}");
        let said = about(&found, &format!("Python {version}"));
        assert_eq!(
            said,
            "ok a known interpreter: Python's own lines are shown; "
        );
    }
}
