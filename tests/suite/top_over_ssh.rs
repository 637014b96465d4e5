//! `heapshim top` over ssh, by a server of our own: the terminal is another machine's for all that either side knows.

use crate::tops::look_by;
use heapshim_tests::{Target, Tmux, environment, fresh_directory, heapshim, needs, skip};
use std::fs;
use std::io::{self, BufRead, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;

/// An sshd of our own, on loopback, with keys of its own.
struct Sshd(Child, u16);

impl Drop for Sshd {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Sshd {
    /// None where there is none: the test is skipped by name.
    fn start(directory: &Path) -> Option<Sshd> {
        if !needs(&["ssh", "ssh-keygen"]) {
            return None;
        }
        let Some(program) = ["/usr/sbin/sshd", "/usr/bin/sshd"]
            .map(Path::new)
            .into_iter()
            .find(|file| file.is_file())
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
        let free = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr());
        let port = free.expect("a port").port();
        let config = format!(
            "ListenAddress 127.0.0.1:{port}\nHostKey {}\nAuthorizedKeysFile {}\nStrictModes no\nUsePAM no\nPidFile none\nPermitRootLogin yes\n",
            file("host"),
            file("user.pub")
        );
        fs::write(directory.join("sshd_config"), config).expect("settings");
        let mut sshd = Command::new(program);
        sshd.args(["-D", "-e", "-f", &file("sshd_config")]);
        let mut sshd = sshd.stderr(Stdio::piped()).spawn().expect("sshd");
        let mut said = BufReader::new(sshd.stderr.take().expect("a pipe"));
        let mut line = String::new();
        while !line.contains("Server listening") {
            line.clear();
            assert_ne!(
                said.read_line(&mut line).expect("text"),
                0,
                "sshd does not listen"
            );
        }
        thread::spawn(move || io::copy(&mut said, &mut io::sink()));
        Some(Sshd(sshd, port))
    }
}

/// Check it over ssh: keys go there, the screen comes back, the terminal on this side is as it was; and where the connection is lost, it ends.
#[test]
fn over_ssh() {
    let Some(tmux) = Tmux::open(80, 24) else {
        return;
    };
    let directory = fresh_directory("ssh");
    let Some(sshd) = Sshd::start(&directory) else {
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
    let ssh = format!(
        "ssh -F none -i {0}/user -p {1} -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR -tt 127.0.0.1 sh {0}/there",
        directory.display(),
        sshd.1
    );
    let look = look_by(&tmux, &ssh);
    tmux.wait_for("in_loop");
    tmux.keys(&["s"]);
    tmux.wait_for("(by rate)");
    tmux.resize(100, 30);
    tmux.wait(|screen| screen.len() == 30 && screen[29].starts_with("? help"));
    tmux.keys(&["q"]);
    look.ended(0);

    let _look = look_by(&tmux, &format!("sh -c 'echo $$ >ssh-pid; exec {ssh}'"));
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
