//! Why a process is closed to us: the reason behind a refusal of the kernel's, in words, with the next step.
//!
//! Called by `session` where an open was refused, and by `doctor`. Who may look at a process is the kernel's to decide (ptrace(2),
//! PTRACE_MODE_READ_FSCREDS): the same user, with no more rights than ours, and dumpable; or root. /proc/PID/status is open to all
//! (unless /proc is mounted with hidepid) and tells which of these it was. Yama has no part in reading.

use crate::error::{Error, Kind};
use crate::process;
use std::fs;
use std::os::unix::fs::MetadataExt;

/// Which of the kernel's conditions a process does not meet.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Reason {
    /// There is none.
    Gone,
    /// Nothing of it can be seen.
    Hidden,
    /// All its user ids are this one.
    User(u32),
    /// It was started by one user and runs as another.
    Changed(u32),
    /// It has capabilities, and we have not.
    Capabilities,
    /// It has closed itself.
    Undumpable,
    /// We are root, and may not look all the same.
    Sandboxed,
}

/// The error for a process that could not be looked at.
#[must_use]
pub fn error(pid: u32) -> Error {
    let object = format!("pid {pid}");
    let look = "look as root, with sudo";
    let (kind, what, next) = match reason(pid) {
        Reason::Gone => return gone(pid),
        Reason::Hidden => {
            let what = "another user's, and hidden: /proc is mounted with hidepid";
            (Kind::Denied, what.to_owned(), look.to_owned())
        }
        Reason::User(user) => {
            let user = name(user);
            let next = format!("{look}, or as that user: sudo -u {user} heapshim …");
            (Kind::Denied, format!("it belongs to {user}"), next)
        }
        Reason::Changed(user) => {
            let what = format!(
                "it was started with other rights and now runs as {}",
                name(user)
            );
            (Kind::Denied, what, held(look))
        }
        Reason::Capabilities => {
            let what = "it has capabilities that you have not".to_owned();
            (Kind::Denied, what, held(look))
        }
        Reason::Undumpable => {
            let what = "it has made itself unreadable (not dumpable), or has changed its rights";
            (Kind::Denied, what.to_owned(), held(look))
        }
        Reason::Sandboxed => {
            let what = "even root may not look at it from here".to_owned();
            let next = "give this container CAP_SYS_PTRACE, or look from outside of it";
            (Kind::Denied, what, next.to_owned())
        }
    };
    Error::new(kind, object, what).next(next)
}

/// The error for a pid that nobody has.
#[must_use]
pub fn gone(pid: u32) -> Error {
    Error::new(Kind::Missing, format!("pid {pid}"), "no such process")
        .next("`heapshim ls` lists those that are traced")
}

/// The other way to such a process's account.
fn held(look: &str) -> String {
    format!("{look}, or start it with `heapshim run`, which reports when it ends")
}

fn reason(pid: u32) -> Reason {
    let Ok(status) = fs::read_to_string(process::path(pid, "status")) else {
        return if exists(pid) {
            Reason::Hidden
        } else {
            Reason::Gone
        };
    };
    let us = rustix::process::geteuid();
    if us.is_root() {
        return Reason::Sandboxed;
    }
    // A file in it, that is: the directory itself belongs to the effective user all the same (proc(5)).
    let owner = fs::metadata(process::path(pid, "stat")).map(|metadata| metadata.uid());
    judge(&status, us.as_raw(), owner.unwrap_or(us.as_raw()))
}

/// `owner` is whom the files in /proc/PID belong to: root where the process is not dumpable.
fn judge(status: &str, us: u32, owner: u32) -> Reason {
    let users: Vec<u32> = numbers(field(status, "Uid:"));
    let effective = users.get(1).copied().unwrap_or(us);
    if users.iter().any(|&user| user != effective) {
        return Reason::Changed(effective);
    }
    let permitted = u64::from_str_radix(field(status, "CapPrm:").trim(), 16).unwrap_or(0);
    if effective != us {
        Reason::User(effective)
    } else if permitted != 0 {
        Reason::Capabilities
    } else if owner != us {
        Reason::Undumpable
    } else {
        // Groups: those that differ from ours close it, too.
        Reason::Changed(effective)
    }
}

fn exists(pid: u32) -> bool {
    let pid = i32::try_from(pid)
        .ok()
        .and_then(rustix::process::Pid::from_raw);
    let asked = pid.map(rustix::process::test_kill_process);
    matches!(asked, Some(Ok(()) | Err(rustix::io::Errno::PERM)))
}

fn field<'a>(status: &'a str, name: &str) -> &'a str {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.unwrap_or_default()
}

fn numbers(text: &str) -> Vec<u32> {
    let words = text.split_ascii_whitespace();
    words.filter_map(|word| word.parse().ok()).collect()
}

/// A user's name as /etc/passwd has it, else `uid N`, as sudo writes it `#N`.
#[must_use]
pub fn name(user: u32) -> String {
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let named = users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(user)).then(|| name.to_owned())
    });
    named.unwrap_or_else(|| format!("'#{user}'"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Check that each condition of the kernel's is told from the others.
    #[test]
    fn reasons() {
        let judged = |uids: &str, capabilities: &str, owner| {
            judge(
                &format!("Name:\tx\nUid:\t{uids}\nCapPrm:\t{capabilities}\n"),
                1000,
                owner,
            )
        };
        let none = "0000000000000000";
        assert_eq!(judged("0 0 0 0", "ff", 0), Reason::User(0));
        assert_eq!(judged("33\t33\t33\t33", none, 33), Reason::User(33));
        assert_eq!(judged("1000 33 33 33", none, 0), Reason::Changed(33));
        assert_eq!(
            judged("1000 1000 1000 1000", "400", 0),
            Reason::Capabilities
        );
        assert_eq!(judged("1000 1000 1000 1000", none, 0), Reason::Undumpable);
        assert_eq!(
            judged("1000 1000 1000 1000", none, 1000),
            Reason::Changed(1000)
        );
    }

    /// Check the names of root and of a user that nobody is.
    #[test]
    fn names() {
        assert_eq!(name(0), "root");
        assert_eq!(name(4_294_967_001), "'#4294967001'");
    }

    /// Check that a pid that cannot be is said to be nobody's.
    #[test]
    fn nobody() {
        let line = error(4_194_305).to_string();
        assert!(line.starts_with("pid 4194305: no such process; "), "{line}");
    }
}
