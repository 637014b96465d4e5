//! What cannot be traced, looked at or read: one line that names it, says what failed and what to do, and the exit status of it.

use crate::place::{Place, Traced, not_allowed, said, skip, text};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::process::{Command, Output, Stdio};

/// A user that is not root, and that every system has.
const NOBODY: u32 = 65534;
const NOTHING: &str = "int main(void) { return 0; }";
const ANYWAY: &str = "or run it untraced with --anyway";
const COPY: &str = "trace a copy of it (cp leaves the rights behind), or trace it as root";

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

/// Asserts that the command ends with this status and says this line alone.
fn assert_refused(output: &Output, status: i32, line: &str) {
    assert_eq!(text(&output.stderr), format!("heapshim: {line}\n"));
    assert_eq!(output.status.code(), Some(status), "{}", said(output));
    assert!(output.stdout.is_empty(), "{}", said(output));
}

/// `run`, refused.
fn run_refused(place: &Place, program: &str, status: i32, line: &str) {
    assert_refused(&place.output(&["run", "--", program]), status, line);
}

/// Compiles a program that does nothing; None, and the test is skipped, where that needs what is not installed.
fn built(place: &Place, compiler: &[&str], needs: &str) -> Option<String> {
    let (source, program) = (place.path("nothing.c"), place.word("nothing"));
    fs::write(&source, NOTHING).expect("a source");
    let mut cc = Command::new(compiler[0]);
    cc.args(&compiler[1..]).args(["-o", &program]).arg(source);
    let done = cc.stderr(Stdio::null()).status();
    if done.is_ok_and(|status| status.success()) {
        return Some(program);
    }
    skip(needs);
    None
}

/// Check what is not there and what is no program: 127 and 126, as in a shell.
#[test]
fn no_program() {
    let place = Place::new("no-program");
    let line = "no-such-command: command not found; give its path, or look at PATH";
    run_refused(&place, "no-such-command", 127, line);
    run_refused(
        &place,
        "/no/such",
        127,
        "/no/such: no such file; give its path",
    );
    run_refused(
        &place,
        "/",
        126,
        "/: a directory; give the path of a program",
    );
    let plain = place.word("plain");
    fs::write(&plain, "echo hello\n").expect("a file");
    let line = format!("{plain}: not executable; make it executable with chmod +x");
    run_refused(&place, &plain, 126, &line);
}

/// Check that a script is run where its interpreter is there, also behind env, also without a first line, and else refused for that.
#[test]
fn scripts() {
    let place = Place::new("scripts");
    let script = place.word("script");
    let write = |text: &str| drop(place.script("script", text));
    for first in [
        "#!/bin/sh\n",
        "#!/usr/bin/env sh\n",
        "#!/usr/bin/env -S A=1 sh -e\n",
        "",
    ] {
        write(&format!("{first}exit 3\n"));
        let report = place.word("report");
        let words = ["run", "--format", "json", "-o", &report, "--", &script];
        let output = place.output(&words);
        assert_eq!(output.status.code(), Some(3), "{first} {}", said(&output));
        assert!(place.json_file("report")["to"]["live_blocks"].is_number());
    }
    write("#!/no/such/interpreter\n");
    let next = "correct the script's first line, or install it";
    let line = format!("{script}: its interpreter /no/such/interpreter is not there; {next}");
    run_refused(&place, &script, 126, &line);
    write("#!/usr/bin/env no-such-interpreter\n");
    let next = "install it, or add its directory to PATH";
    let line = format!("{script}: its interpreter no-such-interpreter is not in PATH; {next}");
    run_refused(&place, &script, 127, &line);
}

/// Check that a static program is refused, by itself and as a script's interpreter, and runs with --anyway.
#[test]
fn statically_linked() {
    let place = Place::new("static");
    let Some(program) = built(&place, &["cc", "-static"], "a static libc") else {
        return;
    };
    let what = "statically linked: no library can be preloaded";
    let next = format!("link it dynamically, {ANYWAY}");
    run_refused(&place, &program, 126, &format!("{program}: {what}; {next}"));
    let script = place.script("script", &format!("#!{program}\n"));
    let line = format!("{script}: its interpreter {program}: {what}; {next}");
    run_refused(&place, &script, 126, &line);
    let anyway = place.output(&["run", "--anyway", "--", &program]);
    assert!(anyway.status.success(), "{}", said(&anyway));
}

/// Check that a 32-bit program is refused.
#[test]
fn narrow() {
    let place = Place::new("narrow");
    if let Some(program) = built(&place, &["cc", "-m32"], "gcc-multilib") {
        let line = format!("{program}: a 32-bit program; build it for 64 bits, {ANYWAY}");
        run_refused(&place, &program, 126, &line);
    }
}

/// Check that a program for musl is refused.
#[test]
fn musl() {
    let place = Place::new("musl");
    if let Some(program) = built(&place, &["musl-gcc"], "musl-tools") {
        let what = "linked with another libc than glibc, which the shim needs";
        let line = format!("{program}: {what}; trace a build of it for glibc, {ANYWAY}");
        run_refused(&place, &program, 126, &line);
    }
}

/// Check that a program that a sanitizer would end is refused, by what it is linked with and by LD_PRELOAD.
#[test]
fn sanitizers() {
    let place = Place::new("sanitizers");
    let Some(program) = built(&place, &["cc", "-fsanitize=address"], "libasan") else {
        return;
    };
    let what = "built with -fsanitize=address, which bears no other library before its own";
    let line = format!("{program}: {what}; trace a build without it, {ANYWAY}");
    run_refused(&place, &program, 126, &line);
    let mut run = place.command(&["run", "--", "true"]);
    let output = run.env("LD_PRELOAD", "/no/such/libtsan.so.2").output();
    let what = "LD_PRELOAD holds libtsan.so, which bears no other library before it";
    let output = output.expect("run");
    let said = text(&output.stderr);
    assert!(said.contains(what) && said.contains(ANYWAY), "{said}");
    assert_eq!(output.status.code(), Some(126));
}

/// Check that setuid and setgid programs are refused, and a copy without those bits is not.
#[test]
fn other_rights() {
    if !is_root() {
        return not_allowed("other users' programs");
    }
    let place = Place::new("other-rights");
    let program = place.c("rights", NOTHING);
    chown(&program, Some(NOBODY), Some(NOBODY)).expect("chown");
    for (mode, word) in [(0o4755, "setuid"), (0o2755, "setgid")] {
        fs::set_permissions(&program, fs::Permissions::from_mode(mode)).expect("chmod");
        let what = format!("{word}: the loader ignores LD_PRELOAD in it");
        let line = format!("{program}: {what}; {COPY}, {ANYWAY}");
        run_refused(&place, &program, 126, &line);
    }
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("chmod");
    assert!(
        place
            .output(&["run", "--quiet", "--", &program])
            .status
            .success()
    );
}

/// Check that a program with file capabilities is refused to whom they would give rights.
#[test]
fn file_capabilities() {
    let place = Place::new("capabilities");
    let program = place.c("able", NOTHING);
    let set = Command::new("setcap")
        .args(["cap_net_raw+ep", &program])
        .status();
    let Ok(set) = set else {
        return skip("setcap");
    };
    if !is_root() || !set.success() {
        return not_allowed("capabilities of files");
    }
    let what = "it has file capabilities: the loader ignores LD_PRELOAD in it";
    let line = format!("{program}: {what}; {COPY}, {ANYWAY}");
    let output = place.as_nobody(&["run", "--", &program]);
    assert_refused(&output, 126, &line);
}

/// Check a pid that nobody has, one that is not traced, and the name of one that is not.
#[test]
fn not_traced() {
    let place = Place::new("not-traced");
    let gone = "pid 4194305: no such process; `heapshim ls` lists those that are traced";
    assert_refused(&place.output(&["diff", "-p", "4194305"]), 1, gone);
    let keeper = place.keeper();
    let bare = Traced::start(place.program(&keeper));
    let pid = &bare.hello;
    let next = format!("start it with `heapshim run`; `heapshim doctor -p {pid}` says more");
    let line = format!("pid {pid}: not traced; {next}");
    assert_refused(&place.output(&["mark", "-p", pid]), 1, &line);
}

/// Check that what another user may not look at is said to be closed, each with its own reason: root's, one that dropped its rights, and
/// one that has closed itself.
#[test]
fn closed_processes() {
    if !is_root() {
        return not_allowed("other users' programs");
    }
    let place = Place::new("closed-processes");
    let closing = |name: &str, call: &str| {
        let source = format!(
            "#include <sys/prctl.h>\n#include <unistd.h>\n#include <stdio.h>\n\
             int main(void) {{ char c; {call}; dprintf(1, \"%d\\n\", getpid()); return read(0, &c, 1); }}"
        );
        let program = place.c(name, &source);
        Traced::start(place.command(&["run", "--quiet", "--", &program]))
    };
    let refused = |running: &Traced, what: &str, next: &str| {
        let pid = &running.hello;
        let line = format!("pid {pid}: {what}; {next}");
        assert_refused(&place.as_nobody(&["diff", "-p", pid]), 1, &line);
    };
    let look = "look as root, with sudo";
    let held = format!("{look}, or start it with `heapshim run`, which reports when it ends");
    let roots = closing("roots", "");
    let next = format!("{look}, or as that user: sudo -u root heapshim …");
    refused(&roots, "it belongs to root", &next);
    let dropped = closing("dropped", "if (seteuid(65534)) return 1");
    let name = text(
        &Command::new("id")
            .args(["-un", "65534"])
            .output()
            .expect("id")
            .stdout,
    );
    let what = format!(
        "it was started with other rights and now runs as {}",
        name.trim()
    );
    refused(&dropped, &what, &held);
    let call = "if (setgid(65534) || setuid(65534)) return 1; prctl(PR_SET_DUMPABLE, 0)";
    let what = "it has made itself unreadable (not dumpable), or has changed its rights";
    refused(&closing("undumpable", call), what, &held);
}

/// A process that holds a ledger which says it is of this version.
fn forged(place: &Place, version: u32) -> Traced {
    let source = format!(
        "#define _GNU_SOURCE\n#include <fcntl.h>\n#include <stdio.h>\n#include <sys/mman.h>\n#include <unistd.h>\n\
         int main(void) {{ char c; unsigned words[4] = {{0x50414548, 0x4d494853, {version}, 1}};\n\
         int fd = memfd_create(\"heapshim-ledger\", MFD_ALLOW_SEALING);\n\
         if (ftruncate(fd, 1 << 20) || write(fd, words, sizeof words) < 0) return 1;\n\
         fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW);\n\
         dprintf(1, \"%d\\n\", getpid()); return read(0, &c, 1); }}"
    );
    let program = place.c("forged", &source);
    Traced::start(place.program(&program))
}

/// Check that an account of another version, and one that is damaged, are told apart and are no panic.
#[test]
fn other_accounts() {
    let place = Place::new("other-accounts");
    let version = heapshim_ledger::layout::VERSION;
    let newer = forged(&place, version + 7);
    let pid = &newer.hello;
    let what = format!(
        "ledger of version {}, this heapshim reads version {version}",
        version + 7
    );
    let next = "look at it with that heapshim, or start it again with this one";
    let line = format!("pid {pid}: started by another version of heapshim: {what}; {next}");
    assert_refused(&place.output(&["diff", "-p", pid]), 1, &line);
    let damaged = forged(&place, version);
    let pid = &damaged.hello;
    let output = place.output(&["diff", "-p", pid]);
    let said = text(&output.stderr);
    let begin = format!("heapshim: pid {pid}: its account is damaged: ");
    let end = "; start it again with `heapshim run`\n";
    assert!(said.starts_with(&begin) && said.ends_with(end), "{said}");
    assert_eq!(output.status.code(), Some(1));
}

/// Check what is said of a damaged mark, of a file that is none, and of one of a later version.
#[test]
fn damaged_marks() {
    let place = Place::new("damaged-marks");
    let running = place.run(&["--quiet"], &[&place.keeper()]);
    let mark = place.word("a.heapmark");
    place.stdout(&["mark", "-p", &running.hello, "-o", &mark]);
    let whole = fs::read(&mark).expect("a mark");
    let last = whole.len() - 1;
    for (at, value, what) in [
        (
            last,
            whole[last] ^ 1,
            "damaged: a checksum is wrong; take the mark again",
        ),
        (0, b'X', "not a mark; `heapshim mark -o FILE` writes one"),
        (
            8,
            200,
            "a mark of version 200, this heapshim reads version 1; take the mark again",
        ),
    ] {
        let mut bytes = whole.clone();
        bytes[at] = value;
        fs::write(&mark, bytes).expect("written");
        let line = format!("{mark}: {what}");
        assert_refused(&place.output(&["diff", "start", &mark]), 1, &line);
    }
}

/// Check that a mark that finds no room is not kept, with the next step, on a full file system and on a full device.
#[test]
fn full_disk() {
    let place = Place::new("full-disk");
    let running = place.run(&["--quiet"], &[&place.keeper()]);
    let pid = &running.hello;
    let cause = "not written: No space left on device";
    let next = "nothing was kept; make room, or write elsewhere with -o";
    let line = format!("/dev/full: {cause}; {next}");
    assert_refused(
        &place.output(&["mark", "-p", pid, "-o", "/dev/full"]),
        1,
        &line,
    );
    let state = place.word("full");
    fs::create_dir(&state).expect("made");
    let script = format!(
        "mount -t tmpfs -o size=4k,mode=700 none {state} && head -c 4096 /dev/zero > {state}/all && echo mounted && \
         XDG_STATE_HOME={state} exec heapshim mark -p {pid} warm"
    );
    let output = place.shell(&format!("exec unshare -m sh -c '{script}'"));
    if text(&output.stdout) != "mounted\n" {
        return not_allowed("mounting");
    }
    let said = text(&output.stderr);
    let begin = format!("heapshim: {state}/heapshim/{pid}-");
    assert!(said.starts_with(&begin), "{said}");
    assert!(
        said.ends_with(&format!("warm.heapmark: {cause}; {next}\n")),
        "{said}"
    );
    assert_eq!(output.status.code(), Some(1));
}

/// Check that `--wait` with nobody who could press Enter is an error, and takes no second mark.
#[test]
fn no_terminal() {
    let place = Place::new("no-terminal");
    let running = place.run(&["--quiet"], &[&place.keeper()]);
    let output = place.output(&["diff", "-p", &running.hello, "--wait"]);
    let said = text(&output.stderr);
    let what = "stdin: it has ended: nobody can press Enter";
    let line = format!("heapshim: {what}; run it in a terminal, or use --for TIME\n");
    assert_eq!(
        said,
        format!("marked; press Enter for the second mark\n{line}")
    );
    assert_eq!(output.status.code(), Some(1));
}
