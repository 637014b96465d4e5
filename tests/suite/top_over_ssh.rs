//! `heapshim top` over ssh, by a server of our own: the terminal is another machine's for all that either side knows.

use crate::tops::look_by;
use heapshim_tests::{Target, Tmux, environment, fresh_directory, heapshim, needs, skip};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;

/// What ssh is told so that it talks to an sshd of its own, with keys of its own. None where there is none: the test is skipped by name.
///
/// That sshd serves one connection, on its stdin (`-i`): there is no port that another could have taken meanwhile.
fn connection(directory: &Path) -> Option<String> {
    if !needs(&["ssh", "ssh-keygen"]) {
        return None;
    }
    let Some(program) = ["/usr/sbin/sshd", "/usr/bin/sshd"]
        .into_iter()
        .find(|file| Path::new(file).is_file())
    else {
        skip("sshd");
        return None;
    };
    let file = |name: &str| directory.join(name).display().to_string();
    for name in ["host", "user"] {
        let mut keygen = Command::new("ssh-keygen");
        keygen.args(["-q", "-t", "ed25519", "-N", "", "-f", &file(name)]);
        assert!(keygen.status().expect("ssh-keygen").success());
    }
    // What root's sshd asks for, and what its package's service makes.
    let _there = fs::create_dir_all("/run/sshd");
    let config = format!(
        "HostKey {}\nAuthorizedKeysFile {}\nStrictModes no\nUsePAM no\nPidFile none\nPermitRootLogin yes\n",
        file("host"),
        file("user.pub")
    );
    fs::write(directory.join("sshd_config"), config).expect("settings");
    Some(format!(
        "ssh -F none -i {} -o 'ProxyCommand={program} -i -f {}' -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR -tt there",
        file("user"),
        file("sshd_config")
    ))
}

/// Check it over ssh: keys go there, the screen comes back, the terminal on this side is as it was; and where the connection is lost, it ends.
#[test]
fn over_ssh() {
    let Some(tmux) = Tmux::open(80, 24) else {
        return;
    };
    let directory = fresh_directory("ssh");
    let Some(ssh) = connection(&directory) else {
        return;
    };
    let variables: Vec<String> = environment()
        .iter()
        .map(|(name, value)| format!("{}={}", name.display(), value.display()))
        .collect();
    let (command, pid_file) = (heapshim(), tmux.directory().join("pid"));
    let running = Target::c("leak.c").opt("-O0").spawn();
    let there = format!(
        "#!/bin/sh\necho $$ >{}\nexec env {} {} top -p {} --every 50ms\n",
        pid_file.display(),
        variables.join(" "),
        command.display(),
        running.pid()
    );
    fs::write(directory.join("there"), there).expect("a script");
    let connect = format!(
        "echo $$ >{}\nexec {ssh} sh {}\n",
        tmux.directory().join("ssh-pid").display(),
        directory.join("there").display()
    );
    fs::write(directory.join("connect"), connect).expect("a script");
    let connect = format!("sh {}", directory.join("connect").display());
    let look = look_by(&tmux, &connect);
    tmux.wait_for("in_loop");
    tmux.keys(&["s"]);
    tmux.wait_for("(by rate)");
    tmux.resize(100, 30);
    tmux.wait(|screen| screen.len() == 30 && screen[29].starts_with("? help"));
    tmux.keys(&["q"]);
    look.ended(0);

    let _look = look_by(&tmux, &connect);
    tmux.wait_for("in_loop");
    let number = |name: &str| -> i32 {
        let text = fs::read_to_string(tmux.directory().join(name)).expect("a pid");
        text.trim().parse().expect("a number")
    };
    // SAFETY: a signal to a process that we have started.
    assert_eq!(unsafe { libc::kill(number("ssh-pid"), libc::SIGKILL) }, 0);
    let there = format!("/proc/{}/exe", number("pid"));
    while fs::read_link(&there).is_ok_and(|exe| exe == command) {
        thread::yield_now();
    }
}
