//! Signals that `run` is sent: meant for the command, and passed on to it.

use crate::place::{Place, said, text};
use rustix::process::{Pid, Signal, kill_process};
use std::os::unix::process::ExitStatusExt;

fn send(pid: u32, signal: Signal) {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    kill_process(pid.expect("a pid"), signal).expect("sent");
}

/// Check that each signal comes to the command, which goes on, ends as it likes, and is reported on.
#[test]
fn passed_on() {
    let place = Place::new("signals");
    let program = place.keeper();
    let mut running = place.run(&[], &[&program]);
    for (signal, number) in [
        (Signal::TERM, 15),
        (Signal::HUP, 1),
        (Signal::USR1, 10),
        (Signal::USR2, 12),
    ] {
        send(running.own_pid(), signal);
        assert_eq!(running.line(), format!("signal {number:02}"));
    }
    assert_eq!(running.ask("one"), "kept");
    let ended = running.end();
    assert_eq!(ended.status.code(), Some(5), "{}", said(&ended));
    let report = text(&ended.stderr);
    assert!(
        report.contains("heap +1009 B (0 → 1009), +1 block"),
        "{report}"
    );
}

/// Check that a command that a signal ends is reported on, that `run` says so by its status, and is not ended by it itself.
#[test]
fn ended_by_it() {
    let place = Place::new("signals-end");
    for (signal, status) in [(Signal::TERM, 143), (Signal::HUP, 129), (Signal::USR1, 138)] {
        // Under nohup, or in a shell's background, a program would ignore some of them.
        let cat = ["env", "--default-signal", "sh", "-c", "echo $$; exec cat"];
        let running = place.run(&[], &cat);
        send(running.own_pid(), signal);
        let ended = running.ended();
        assert_eq!(ended.status.code(), Some(status), "{}", said(&ended));
        assert_eq!(ended.status.signal(), None);
        assert!(
            text(&ended.stderr).contains("start → exit"),
            "{}",
            said(&ended)
        );
    }
}
