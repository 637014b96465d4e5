//! The command while it runs: one poll(2) over its end, the signals for it, and the ledgers that arrive.
//!
//! Called by `run`. Order at the end matters: the command has ended, then what it had sent before is received (it lies in the
//! socket), and only then is it waited for: while it is a zombie its pid is its own, and /proc says whose child it was. Then its
//! ledger is looked for.

use super::command::{self, Settings};
use super::executable::{self, Refusal};
use super::gather::{Files, Gather, Held};
use super::listener::Place;
use super::peak;
use super::signals::{Mask, Signals};
use crate::error::Error;
use crate::model::Exit;
use crate::trace;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Resource, Rlimit, WaitId, WaitIdOptions, waitid};
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{self, Command};

/// The command, about to be started or running.
#[derive(Debug)]
pub struct Child {
    signals: Signals,
    gather: Gather,
    arrived: Option<Arrived>,
}

/// What happens while the command runs.
#[derive(Debug)]
pub enum Happened {
    /// It was started.
    Started,
    /// Another process of its tree has ended.
    Ended(Box<Held>),
}

/// Who registers.
#[derive(Debug)]
pub enum Arrival {
    /// An image of the command itself: its pid, and what it has sent.
    Own(u32, Files),
    /// Another process of its tree.
    Other(trace::Child),
}

/// Called with each image of the command and of its tree, as it registers.
pub struct Arrived(pub Box<dyn FnMut(Arrival)>);

impl std::fmt::Debug for Arrived {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Arrived")
    }
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
    /// Processes, the command among them or not, whose last image could not be traced.
    pub untraced: BTreeSet<u32>,
    /// What it, or a process that it waited for, had resident at most; None: not known.
    pub peak_rss: Option<u64>,
}

/// Runs the words under the library (None: untraced) and waits for the end; `happened` is told of its start, and of each other process of the tree
/// that ended before. Where the system does not start them, the refusal says why.
///
/// # Errors
/// What failed on our side, before anything was started.
pub fn run(
    words: &[OsString],
    library: Option<&Path>,
    settings: &Settings,
    arrived: Option<Arrived>,
    happened: impl FnMut(Happened),
) -> Result<Result<Ended, Refusal>, Error> {
    let mut child = Child::prepare()?;
    let settings = Settings {
        socket: Some(child.socket().clone()),
        record: arrived.is_some(),
        ..settings.clone()
    };
    child.arrived = arrived;
    let mut command = command::command(words, library, &settings, Some(child.mask()));
    let ended = child.run(&mut command, happened);
    Ok(ended.map_err(|error| executable::not_started(words, error)))
}

impl Child {
    /// Prepares: from now on signals wait for the command, and ledgers can arrive.
    ///
    /// # Errors
    /// `Failed`, with what the system said.
    pub fn prepare() -> Result<Child, Error> {
        let signals = Signals::block();
        let signals = signals.map_err(|error| Error::io("run", "signals not read", error))?;
        Ok(Child {
            signals,
            gather: Gather::listen()?,
            arrived: None,
        })
    }

    /// Where the shim reaches us.
    #[must_use]
    pub fn socket(&self) -> &Place {
        self.gather.place()
    }

    /// The signal mask that the command is to get.
    #[must_use]
    pub fn mask(&self) -> Mask {
        self.signals.before()
    }

    /// Starts the command and waits for its end; `happened` is told of its start, and of each other process of the tree that ended before.
    ///
    /// # Errors
    /// What the system said when it was to be started.
    pub fn run(
        mut self,
        command: &mut Command,
        mut happened: impl FnMut(Happened),
    ) -> std::io::Result<Ended> {
        let before = peak::Before::now();
        let mut child = command.spawn()?;
        happened(Happened::Started);
        raise_descriptor_limit();
        let pid = child.id();
        self.gather.look_after(pid);
        if self.arrived.is_some() {
            self.gather.keep_files_of(pid);
        }
        let raw = i32::try_from(pid).ok().and_then(Pid::from_raw);
        let pidfd = raw.and_then(|pid| rustix::process::pidfd_open(pid, PidfdFlags::empty()).ok());
        while !self.wait(&child, pidfd.as_ref()) {
            self.look(pid);
            self.tell_ended(pid, &mut happened);
        }
        self.receive(pid);
        self.tell_ended(pid, &mut happened);
        let status = child.wait()?;
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
            untraced: self.gather.untraced().clone(),
            peak_rss: before.of_children(),
        })
    }

    fn tell_ended(&mut self, pid: u32, happened: &mut impl FnMut(Happened)) {
        for held in self.gather.take_ended(pid) {
            happened(Happened::Ended(Box::new(held)));
        }
    }

    fn look(&mut self, pid: u32) {
        self.receive(pid);
        self.gather.look();
    }

    fn receive(&mut self, pid: u32) {
        self.gather.receive();
        let Some(Arrived(call)) = self.arrived.as_mut() else {
            return;
        };
        if let Some(files) = self.gather.take_files() {
            call(Arrival::Own(pid, files));
        }
        for child in self.gather.take_born() {
            call(Arrival::Other(child));
        }
    }

    /// Waits until something happens, but no longer than a second; true when the command has ended. Without a pidfd (Linux before 5.3) it looks
    /// more often.
    fn wait(&mut self, child: &process::Child, pidfd: Option<&OwnedFd>) -> bool {
        let signals = self.signals.as_fd();
        let own = pidfd.map(AsFd::as_fd);
        let all: Vec<_> = own
            .into_iter()
            .chain([signals])
            .chain(self.gather.watched())
            .collect();
        let mut polled: Vec<PollFd<'_>> = all
            .iter()
            .map(|fd| PollFd::new(fd, PollFlags::IN))
            .collect();
        let now_and_then = match own {
            Some(_) => Timespec {
                tv_sec: 1,
                tv_nsec: 0,
            },
            None => Timespec {
                tv_sec: 0,
                tv_nsec: 20_000_000,
            },
        };
        let _happened = poll(&mut polled, Some(&now_and_then));
        while let Some(signal) = self.signals.next() {
            // It may end it: the last chance to see what it is.
            self.look(child.id());
            // Not yet waited for, so the pid is still its own.
            // SAFETY: kill takes no memory of ours.
            unsafe { libc::kill(child.id().cast_signed(), signal) };
        }
        has_ended(child)
    }
}

/// True where there is a status to give, which is left there, or none any more (somebody else waits for our children).
fn has_ended(child: &process::Child) -> bool {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    Pid::from_raw(child.id().cast_signed())
        .is_none_or(|pid| !matches!(waitid(WaitId::Pid(pid), options), Ok(None)))
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

    /// Check that the ledger of a traced command is held after its end, also where it was killed, with the account in it.
    #[test]
    fn held_after_the_end() {
        let library = crate::library::path().expect("unpacked");
        let child = Child::prepare().expect("prepared");
        let words = ["/bin/sh", "-c", "kill -9 $$"].map(Into::into);
        let socket = Some(child.socket().clone());
        let settings = super::super::Settings {
            socket,
            ..super::super::Settings::default()
        };
        let mask = Some(child.mask());
        let mut command = super::super::command(&words, Some(&library), &settings, mask);
        let ended = child.run(&mut command, |_| {}).expect("started");
        let held = ended.own.expect("registered");
        let reader = held.session.reader().expect("sound");
        assert!(crate::snapshot::totals(&reader).allocated_blocks > 0);
        assert_eq!(held.process.pid, ended.pid);
    }

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
