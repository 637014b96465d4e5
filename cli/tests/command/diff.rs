//! `diff` with marks of its own, and the process that it is about.

use crate::place::{Place, Traced, said, text};
use std::process::Stdio;

/// Check that `--wait` takes its first mark before it says that it waits, and its second at Enter.
#[test]
fn waits_for_enter() {
    let place = Place::new("wait");
    let program = place.keeper();
    let mut running = place.run(&["--quiet"], &[&program]);
    let pid = running.hello.clone();
    assert_eq!(running.ask("before"), "kept");
    let words = ["diff", "-p", &pid, "--wait", "--format", "json"];
    let mut waiting = Traced::silent(place.command(&words));
    assert_eq!(waiting.talk(), "marked; press Enter for the second mark");
    for _ in 0..2 {
        assert_eq!(running.ask("between"), "kept");
    }
    waiting.say("");
    let output = waiting.end();
    assert!(output.status.success(), "{}", said(&output));
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(
        (&json["growth_bytes"], &json["growth_blocks"]),
        (&2018.into(), &2.into())
    );
    assert_eq!(json["rows"].as_array().map(Vec::len), Some(1));
    assert_eq!(json["rows"][0]["function"], "main");
}

/// Check that `--for` marks, lets that much time pass, and marks again: exactly, on a quiet process.
#[test]
fn for_a_time() {
    let place = Place::new("for");
    let program = place.keeper();
    let mut running = place.run(&["--quiet"], &[&program]);
    let pid = running.hello.clone();
    assert_eq!(running.ask("before"), "kept");
    let begun = std::time::Instant::now();
    let json = place.json(&["diff", "-p", &pid, "--for", "50ms", "--format", "json"]);
    assert!(begun.elapsed().as_millis() >= 50);
    assert_eq!(
        (&json["growth_bytes"], &json["to"]["live_bytes"]),
        (&0.into(), &1009.into())
    );
    let [from, to] = ["from", "to"].map(|end| json[end]["time"].to_string());
    assert!(from < to, "{from} {to}");
    let both = place.output(&["diff", "-p", &pid, "--for", "50ms", "--wait"]);
    assert_eq!(both.status.code(), Some(2), "{}", said(&both));
}

/// Check that with two traced processes and no `-p` nothing is guessed: both are named.
#[test]
fn several_processes() {
    let place = Place::new("several");
    let program = place.keeper();
    let running = [(); 2].map(|()| place.run(&["--quiet"], &[&program]));
    for words in [
        &["diff"][..],
        &["mark", "warm"],
        &["marks"],
        &["diff", "-p", "keeper"],
    ] {
        let output = place.output(words);
        let line = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{words:?} {line}");
        for traced in &running {
            let entry = format!(" {} keeper", traced.hello);
            assert!(line.contains(&entry), "{words:?} {line}");
        }
        assert!(
            line.ends_with("; choose one with -p PID\n"),
            "{words:?} {line}"
        );
    }
}

/// Check that a library that is preloaded by hand is as good as `run`: the process is found by its pid.
#[test]
fn preloaded_by_hand() {
    let place = Place::new("by-hand");
    let program = place.keeper();
    let library = place.stdout(&["lib"]);
    let mut command = std::process::Command::new(program);
    command.env("LD_PRELOAD", library.trim_end());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut traced = Traced::start(command);
    assert_eq!(traced.hello, traced.own_pid().to_string());
    assert_eq!(traced.ask("one"), "kept");
    let pid = traced.hello.clone();
    let json = place.json(&["diff", "-p", &pid, "start", "--format", "json"]);
    assert_eq!(json["growth_bytes"], 1009);
    let ended = traced.end();
    assert_eq!(
        (ended.status.code(), text(&ended.stderr)),
        (Some(5), String::new())
    );
}
