//! Programs that are to hear of a hangup, whoever began the tests: under nohup(1) the tests ignore SIGHUP, and what they start inherits that.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// Has the command do on SIGHUP what a program does that nobody has told otherwise.
pub fn hears_hangups(command: &mut Command) {
    let hear = || {
        // SAFETY: takes two numbers; SIG_DFL is a disposition of every signal.
        match unsafe { libc::signal(libc::SIGHUP, libc::SIG_DFL) } {
            libc::SIG_ERR => Err(io::Error::last_os_error()),
            _ => Ok(()),
        }
    };
    // SAFETY: between fork and exec, `hear` makes one system call.
    unsafe { command.pre_exec(hear) };
}
