//! A traced program goes on as one that cannot be traced: its account is not told as the other's without a word.

use heapshim_tests::{Target, environment, fresh_directory, heapshim, skip};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

/// Check that `run` says which program its command has become, and reports what the one before had. `run` looks before it passes a signal
/// on.
#[test]
fn as_a_static_program() {
    let Ok(went) = Target::c("went.c").opt("-static").try_build() else {
        return skip("a static libc");
    };
    let place = fresh_directory("onward");
    let (report, errors) = (place.join("report"), place.join("errors"));
    let mut run = Command::new(heapshim());
    run.arg("run").arg("-o").arg(&report).arg("--");
    run.arg(Target::c("onward.c").build()).arg(&went);
    run.env_clear().envs(environment());
    run.stdin(Stdio::piped()).stdout(Stdio::piped());
    let stderr = fs::File::create(&errors).expect("a file");
    let mut run = run.stderr(stderr).spawn().expect("the command starts");
    let mut input = run.stdin.take().expect("a piped stdin");
    let mut said = BufReader::new(run.stdout.take().expect("a piped stdout")).lines();
    let mut listen = || said.next().expect("a line").expect("UTF-8");
    assert_eq!(listen(), "ready");
    for word in ["first", "second"] {
        // SAFETY: takes two numbers; the process is our child, and was not waited for.
        let sent = unsafe { libc::kill(run.id().cast_signed(), libc::SIGUSR1) };
        assert_eq!(sent, 0);
        input.write_all(b"go\n").expect("it listens");
        assert_eq!(listen(), word);
    }
    input.write_all(b"go\n").expect("it listens");
    assert_eq!(run.wait().expect("its end").code(), Some(5));
    let said = fs::read_to_string(errors).expect("what it said");
    let became = format!("went on as {}, which is not traced", went.display());
    assert!(said.contains(&became), "{said}");
    let report = fs::read_to_string(report).expect("a report");
    assert!(report.contains("heap +37 B (0 → 37), +1 block"), "{report}");
}
