//! The command while it runs: one poll(2) over its end, the signals for it, and the ledgers that arrive.
//!
//! Called by `run`. Order at the end matters: the command has ended, then what it had sent before is received (it lies in the
//! socket), then its ledger is looked for.

use super::gather::{Gather, Held};
use super::signals::{Mask, Signals};
use crate::error::Error;
use crate::model::Exit;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, Resource, Rlimit, Signal};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::{self, Command};

/// The command, about to be started or running.
#[derive(Debug)]
pub struct Child {
    signals: Signals,
    gather: Gather,
}

/// How it ended, and whose ledgers were left.
#[derive(Debug)]
pub struct Ended {
    /// How the command itself ended.
    pub exit: Exit,
    /// Its pid.
    pub pid: u32,
    /// Its ledger; None: it never registered.
    pub own: Option<Held>,
    /// The ledgers of those that it left running.
    pub others: Vec<Held>,
}

impl Child {
    /// Prepares: from now on signals wait for the command, and ledgers can arrive.
    ///
    /// # Errors
    /// `Failed`, with what the system said.
    pub fn prepare() -> Result<Child, Error> {
        let signals = Signals::block();
        let signals =
            signals.map_err(|error| Error::io("heapshim run", "signals not read", error))?;
        Ok(Child {
            signals,
            gather: Gather::listen()?,
        })
    }

    /// The socket's name, for the shim.
    #[must_use]
    pub fn socket(&self) -> &str {
        self.gather.name()
    }

    /// The signal mask that the command is to get.
    #[must_use]
    pub fn mask(&self) -> Mask {
        self.signals.before()
    }

    /// Starts the command and waits for its end; `finished` is called with each other process of the tree that ended before.
    ///
    /// # Errors
    /// What the system said when it was to be started.
    pub fn run(
        mut self,
        command: &mut Command,
        mut finished: impl FnMut(Held),
    ) -> std::io::Result<Ended> {
        let mut child = command.spawn()?;
        raise_descriptor_limit();
        let pid = child.id();
        let raw = i32::try_from(pid).ok().and_then(Pid::from_raw);
        let raw = raw.ok_or_else(|| std::io::Error::other("no pid"))?;
        let pidfd = rustix::process::pidfd_open(raw, PidfdFlags::empty())?;
        while !self.wait(&pidfd)? {
            self.gather.receive();
            self.gather
                .take_ended(pid)
                .into_iter()
                .for_each(&mut finished);
        }
        let status = child.wait()?;
        self.gather.receive();
        self.gather
            .take_ended(pid)
            .into_iter()
            .for_each(&mut finished);
        let (own, others): (Vec<Held>, Vec<Held>) = self
            .gather
            .take_all()
            .into_iter()
            .partition(|held| held.session.pid() == pid);
        let own = own.into_iter().next();
        Ok(Ended {
            exit: exit_of(status),
            pid,
            own,
            others,
        })
    }

    /// Waits until something happens; true when the command has ended.
    fn wait(&self, pidfd: &OwnedFd) -> std::io::Result<bool> {
        let signals = self.signals.as_fd();
        let first = [pidfd.as_fd(), signals];
        let all: Vec<_> = first.into_iter().chain(self.gather.watched()).collect();
        let mut polled: Vec<PollFd<'_>> = all
            .iter()
            .map(|fd| PollFd::new(fd, PollFlags::IN))
            .collect();
        match poll(&mut polled, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        while let Some(signal) = self.signals.next() {
            if let Some(signal) = Signal::from_named_raw(signal) {
                let _ended = rustix::process::pidfd_send_signal(pidfd, signal);
            }
        }
        Ok(polled.first().is_some_and(|own| !own.revents().is_empty()))
    }
}

fn exit_of(status: process::ExitStatus) -> Exit {
    match (status.code(), status.signal()) {
        (Some(code), _) => Exit::Code(code),
        (None, signal) => Exit::Signal(signal.unwrap_or(0)),
    }
}

/// We hold one descriptor for each process of the tree; the command itself keeps the limit that it was given.
fn raise_descriptor_limit() {
    let limit = rustix::process::getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    let _kept = rustix::process::setrlimit(Resource::Nofile, raised);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Check that statuses and signals come through, and that a command that is not traced leaves no ledger.
    #[test]
    fn ends() {
        for (script, exit) in [("exit 3", Exit::Code(3)), ("kill -9 $$", Exit::Signal(9))] {
            let child = Child::prepare().expect("prepared");
            let words = ["/bin/sh", "-c", script].map(Into::into);
            let mut command = super::super::command(
                &words,
                None,
                &super::super::Settings::default(),
                Some(child.mask()),
            );
            let ended = child.run(&mut command, |_| {}).expect("started");
            assert_eq!(ended.exit, exit, "{script}");
            assert!(ended.own.is_none() && ended.others.is_empty());
        }
    }
}
