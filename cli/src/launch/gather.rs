//! The ledgers of a traced tree, received from each process at its start and held until it ends.
//!
//! Called by `child`. The shim connects to a socket (`listener`) whose name stands in its environment and sends one message: 16 bytes
//! (magic, version, pid, parent's pid: little-endian u32) with the descriptors of ledger and control page, or with none where it could not
//! make them. So an account outlives
//! its process, however that ends. Only our own user and root are listened to, and by root also those of its tree that have dropped its rights and
//! executed another program; whose ledger it is says the kernel, not the message. Invariants: one `Held` per pid, that of its last traced exec image; nothing here blocks; a peer that never speaks costs one of
//! [`MAX_SILENT`] places.
//!
//! What is held of a process that has executed a program which cannot be traced is the account of the image before; `onward` notices that.

use super::listener::{Listener, Place};
use super::onward::Image;
use crate::error::Error;
use crate::mapping::Mapping;
use crate::model::Process;
use crate::process;
use crate::session::{Session, recorded_process};
use crate::trace;
use heapshim_ledger::sync::Word;
use rustix::io::Errno;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SocketFlags};
use rustix::process::{Pid, PidfdFlags};
use std::collections::BTreeSet;
use std::io::IoSliceMut;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

/// First word of the message: "HSM1" as the shim writes it.
const MAGIC: u32 = 0x4853_4d31;
/// The message's version.
const VERSION: u32 = 1;
/// Connections that are waiting to be told something. More than a fork bomb's worth of processes at one instant on a small machine.
const MAX_SILENT: usize = 1024;
/// How far up a process's ancestors are looked at: no tree is as deep, and each is a file of /proc.
const MAX_ANCESTORS: usize = 64;

/// A process whose ledger we hold.
#[derive(Debug)]
pub struct Held {
    /// Its ledger.
    pub session: Session,
    /// Who it was when it registered.
    pub process: Process,
    /// Its start time, None where it had ended by then.
    pub start_ticks: Option<u64>,
    /// Readable when it has ended; None where there is none (it had ended by then, or descriptors ran out).
    pidfd: Option<OwnedFd>,
    image: Image,
    /// What it has become since, which has no account.
    pub gone_on: Option<PathBuf>,
    /// Of the command alone: its control file.
    control: Option<OwnedFd>,
}

/// What a process has sent of its last image.
#[derive(Debug)]
pub struct Files {
    /// Its ledger and its control page.
    pub each: [OwnedFd; 2],
    /// True where it had registered before, as another image: nobody may have seen that.
    pub has_executed: bool,
}

/// The listening end.
#[derive(Debug)]
pub struct Gather {
    listener: Listener,
    silent: Vec<(OwnedFd, u32)>,
    held: Vec<Held>,
    untraced: BTreeSet<u32>,
    /// The command itself, once it has begun: it is looked after.
    command: Option<u32>,
    /// The process whose files are kept, and the last that it has sent.
    kept: Option<(u32, Option<Files>)>,
    /// Where files are kept: the other processes that have registered since somebody asked.
    born: Vec<trace::Child>,
}

impl Gather {
    /// Begins to listen, under a name that nobody can foresee.
    ///
    /// # Errors
    /// `Failed`, with what the system said.
    pub fn listen() -> Result<Gather, Error> {
        Ok(Gather {
            listener: Listener::new()?,
            silent: Vec::new(),
            held: Vec::new(),
            untraced: BTreeSet::new(),
            command: None,
            kept: None,
            born: Vec::new(),
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn place(&self) -> &Place {
        self.listener.place()
    }

    /// Every descriptor that poll(2) is to watch for input.
    pub fn watched(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let silent = self.silent.iter().map(|(fd, _)| fd.as_fd());
        let ends = self
            .held
            .iter()
            .filter_map(|held| held.pidfd.as_ref().map(AsFd::as_fd));
        let at_file = self.listener.at_file().map(AsFd::as_fd);
        std::iter::once(self.listener.by_name().as_fd())
            .chain(at_file)
            .chain(silent)
            .chain(ends)
    }

    /// Takes in whatever has arrived, without waiting, in the order in which they connected: of two images of a process the later counts,
    /// and whom one that has dropped its rights belongs to is known by what it had sent before. A process goes into another network
    /// namespace, and then connects at the file: so whoever has connected by name before one at the file is taken in before it.
    pub fn receive(&mut self) {
        self.receive_by_name();
        while let Some(connection) = self.accept(|listener| listener.at_file()) {
            self.receive_by_name();
            self.welcome(connection);
        }
        self.listen_again();
    }

    /// From now on this is the command.
    pub fn look_after(&mut self, pid: u32) {
        self.command = Some(pid);
    }

    /// Looks whether the command has become another program, and clears away what a reader that died has left in it.
    pub fn look(&mut self) {
        let mut held = self.held.iter_mut();
        let Some(held) = held.find(|held| self.command == Some(held.session.pid())) else {
            return;
        };
        if let Some(control) = &held.control {
            trace::clear_handed(&held.session, control);
        }
        // Of one that has ended there is nothing to see: what was seen stays.
        let Some(program) = held.image.gone_on(held.session.pid()) else {
            return;
        };
        match held.unasked() {
            Some(now) => *held = now,
            None => held.gone_on = Some(program),
        }
    }

    fn receive_by_name(&mut self) {
        while let Some(connection) = self.accept(|listener| Some(listener.by_name())) {
            self.welcome(connection);
        }
    }

    /// The next that waits at one of the ends.
    fn accept(&mut self, end: impl Fn(&Listener) -> Option<&OwnedFd>) -> Option<OwnedFd> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        loop {
            match rustix::net::accept_with(end(&self.listener)?, flags) {
                Ok(connection) => return Some(connection),
                Err(Errno::MFILE | Errno::NFILE) if self.give_descriptors_back() => {}
                Err(_) => return None,
            }
        }
    }

    fn listen_again(&mut self) {
        for (connection, pid) in std::mem::take(&mut self.silent) {
            self.listen_to(connection, pid);
        }
    }

    /// Takes in what it has sent; one that has not yet is asked again.
    fn listen_to(&mut self, connection: OwnedFd, pid: u32) {
        match message(&connection) {
            Message::None => self.silent.push((connection, pid)),
            Message::Ledger(ledger, control) => self.hold(pid, ledger, control),
            Message::Untraced => self.note_untraced(pid),
            Message::Other => {}
        }
    }

    /// Gives up the processes that have ended, `except` one (0: none).
    ///
    /// What a process has sent lies in the socket before it ends, so that after its end was seen one more look shows its last
    /// image. (Without that look, 8 of 500 children of a shell were counted twice: forked, and again as what they ran.)
    pub fn take_ended(&mut self, except: u32) -> Vec<Held> {
        let others = self.held.iter().filter(|held| held.session.pid() != except);
        let ended = others.filter(|held| held.has_ended());
        let ended: Vec<u32> = ended.map(|held| held.session.pid()).collect();
        if ended.is_empty() {
            return Vec::new();
        }
        self.receive();
        let taken = |held: &mut Held| ended.contains(&held.session.pid()) && held.has_ended();
        self.held.extract_if(.., taken).collect()
    }

    /// From now on keeps the files that this process sends.
    pub fn keep_files_of(&mut self, pid: u32) {
        self.kept = Some((pid, None));
    }

    /// The files that the process has sent since this was asked last.
    pub fn take_files(&mut self) -> Option<Files> {
        self.kept.as_mut()?.1.take()
    }

    /// The other processes that have registered since this was asked last.
    pub fn take_born(&mut self) -> Vec<trace::Child> {
        std::mem::take(&mut self.born)
    }

    /// Processes whose last image said that it could not be traced.
    #[must_use]
    pub fn untraced(&self) -> &BTreeSet<u32> {
        &self.untraced
    }

    /// Gives up every process.
    pub fn take_all(&mut self) -> Vec<Held> {
        std::mem::take(&mut self.held)
    }

    fn welcome(&mut self, connection: OwnedFd) {
        self.listen_again();
        let Some(peer) = peer(&connection).filter(|_| self.silent.len() < MAX_SILENT) else {
            return;
        };
        let us = rustix::process::geteuid();
        let trusted = peer.user == us.as_raw() || peer.user == 0;
        if trusted || us.is_root() && self.is_of_the_tree(peer.pid) {
            self.listen_to(connection, peer.pid);
        }
    }

    /// True for a process whose ledger we hold, that executes another program as another user, and for those that we or they have started.
    /// One that has ended since, and left its pid to nobody, is taken for the last that had it: that we hold it says that it was alive
    /// when we last looked.
    fn is_of_the_tree(&self, pid: u32) -> bool {
        let known = |pid: u32| {
            let ticks = process::start_ticks(pid);
            let same = |held: &Held| ticks.is_none() || held.start_ticks == ticks;
            let is_it = |held: &Held| held.session.pid() == pid && same(held);
            pid == std::process::id() || self.held.iter().any(is_it)
        };
        let line = std::iter::successors(Some(pid), |&pid| process::parent(pid));
        line.take(MAX_ANCESTORS).any(known)
    }

    /// Out of descriptors: from now on those that we hold are looked up in /proc. False where there was none to give.
    fn give_descriptors_back(&mut self) -> bool {
        let watched = self.held.iter_mut().filter(|held| held.pidfd.is_some());
        watched.map(|held| held.pidfd = None).count() > 0
    }

    /// The image before an exec is gone, and its heap with it.
    fn note_untraced(&mut self, pid: u32) {
        self.held.retain(|held| held.session.pid() != pid);
        self.untraced.insert(pid);
    }

    fn hold(&mut self, pid: u32, ledger: OwnedFd, control: Option<OwnedFd>) {
        let Ok(mapping) = Mapping::new(&ledger, format!("pid {pid}")) else {
            return;
        };
        let Some(mut held) = Held::of(Session::new(pid, mapping)) else {
            return;
        };
        // The image before an exec is gone, and its heap with it.
        let images = self.held.extract_if(.., |held| held.session.pid() == pid);
        let has_executed = images.count() > 0;
        self.untraced.remove(&pid);
        let child = || trace::Child::of(&held.session);
        let born = self.kept.as_ref().and_then(|_| child());
        let is_command = self.command == Some(pid);
        let own = control.as_ref().filter(|_| is_command);
        held.control = own.and_then(|control| control.try_clone().ok());
        self.held.push(held);
        match (&mut self.kept, control) {
            (Some((of, files)), Some(control)) if *of == pid => {
                let each = [ledger, control];
                *files = Some(Files { each, has_executed });
            }
            (Some((of, _)), _) if *of != pid => self.born.extend(born),
            _ => {}
        }
    }
}

/// Who it is: asked of the process, or where that has gone on as another program already, of its account.
fn known(session: &Session) -> Option<(Process, Image)> {
    let recorded = recorded_process(&session.reader().ok()?);
    let image = Image::of(session.pid(), Path::new(&recorded.exe));
    match image.gone_on(session.pid()) {
        Some(_) => Some((recorded, image)),
        None => Some((session.process().ok()?, image)),
    }
}

fn identity(session: &Session) -> Option<u64> {
    Some(session.reader().ok()?.header.identity.peek())
}

impl Held {
    /// None where it is no account, or is gone.
    fn of(session: Session) -> Option<Held> {
        let (process, image) = known(&session)?;
        let pid = session.pid();
        let raw = i32::try_from(pid).ok().and_then(Pid::from_raw);
        let pidfd = raw.and_then(|pid| rustix::process::pidfd_open(pid, PidfdFlags::empty()).ok());
        Some(Held {
            session,
            process,
            start_ticks: process::start_ticks(pid),
            pidfd,
            image,
            gone_on: None,
            control: None,
        })
    }

    /// The account of what it has become, which has one and did not hand it over: in another user namespace our user may have no number, and then nobody who listens is
    /// believed to be us. As whoever asks from outside finds it.
    fn unasked(&self) -> Option<Held> {
        let session = Session::attach(self.session.pid()).ok()?;
        // Where the exec is not over yet, the descriptors are those of the program before.
        let is_another = identity(&session)? != identity(&self.session)?;
        let now = is_another.then(|| Held::of(session))?;
        now.filter(|now| now.start_ticks == self.start_ticks)
    }

    fn has_ended(&self) -> bool {
        use rustix::event::{PollFd, PollFlags, Timespec, poll};
        let Some(pidfd) = &self.pidfd else {
            let now = process::start_ticks(self.session.pid());
            return now.is_none() || now != self.start_ticks;
        };
        let now = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        poll(&mut [PollFd::new(pidfd, PollFlags::IN)], Some(&now)).is_ok_and(|ready| ready > 0)
    }
}

enum Message {
    /// Not sent yet.
    None,
    /// The ledger, and the control page.
    Ledger(OwnedFd, Option<OwnedFd>),
    /// A process that could not make a ledger.
    Untraced,
    /// Nothing that a shim would send, or the end of the connection.
    Other,
}

fn message(connection: &OwnedFd) -> Message {
    let mut head = [0u8; 17];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
    let received = rustix::net::recvmsg(
        connection,
        &mut [IoSliceMut::new(&mut head)],
        &mut control,
        flags,
    );
    let bytes = match received {
        Ok(received) => received.bytes,
        Err(Errno::AGAIN | Errno::INTR) => return Message::None,
        Err(_) => return Message::Other,
    };
    let mut fds = control.drain().flat_map(|part| match part {
        RecvAncillaryMessage::ScmRights(fds) => fds.collect(),
        _ => Vec::new(),
    });
    let (ledger, second) = (fds.next(), fds.next());
    let word = |at: usize| {
        head.get(at..at + 4)?
            .try_into()
            .ok()
            .map(u32::from_ne_bytes)
    };
    if bytes != 16 || word(0) != Some(MAGIC) || word(4) != Some(VERSION) {
        return Message::Other;
    }
    ledger.map_or(Message::Untraced, |ledger| Message::Ledger(ledger, second))
}

/// Who is at the other end, by the kernel's word.
struct Peer {
    pid: u32,
    user: u32,
}

/// The peer; None where it has no pid here. Not rustix's: a peer outside our pid namespace has pid 0, which its type cannot hold.
fn peer(connection: &OwnedFd) -> Option<Peer> {
    let mut peer = libc::ucred {
        pid: 0,
        uid: u32::MAX,
        gid: u32::MAX,
    };
    let mut len = libc::socklen_t::try_from(size_of::<libc::ucred>()).ok()?;
    let (level, option) = (libc::SOL_SOCKET, libc::SO_PEERCRED);
    // SAFETY: `peer` has room for the `len` bytes that the kernel is told of, and is plain integers.
    let failed = unsafe {
        libc::getsockopt(
            connection.as_raw_fd(),
            level,
            option,
            (&raw mut peer).cast(),
            &raw mut len,
        )
    };
    (failed == 0 && peer.pid > 0).then(|| Peer {
        pid: peer.pid.cast_unsigned(),
        user: peer.uid,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::net::{
        AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix,
        SocketType,
    };
    use std::io::IoSlice;

    fn connect(gather: &Gather) -> OwnedFd {
        let address = SocketAddrUnix::new_abstract_name(gather.place().name.as_bytes());
        connect_to(&address.expect("a name"))
    }

    fn connect_to(address: &SocketAddrUnix) -> OwnedFd {
        let kind = SocketType::SEQPACKET;
        let socket =
            rustix::net::socket_with(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None);
        let socket = socket.expect("socket");
        rustix::net::connect(&socket, address).expect("connected");
        socket
    }

    /// Sends what a shim does: a ledger, or that there is none.
    fn register(socket: &OwnedFd, ledger: Option<&OwnedFd>) {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let fds: Vec<_> = ledger.iter().map(|ledger| ledger.as_fd()).collect();
        assert!(fds.is_empty() || control.push(SendAncillaryMessage::ScmRights(&fds)));
        let words = [MAGIC, VERSION, 1, 1].map(u32::to_ne_bytes).concat();
        let parts = [IoSlice::new(&words)];
        rustix::net::sendmsg(socket, &parts, &mut control, SendFlags::empty()).expect("sent");
    }

    /// Check that of two images of one process the later counts, also where the earlier had connected but not spoken when it was met.
    #[test]
    fn slow_to_speak() {
        let mut gather = Gather::listen().expect("listening");
        let before = connect(&gather);
        gather.receive();
        register(&before, Some(&crate::snapshot::tests::ledger()));
        let after = connect(&gather);
        register(&after, None);
        gather.receive();
        let untraced = gather.untraced.contains(&std::process::id());
        assert_eq!((gather.held.len(), untraced), (0, true));
    }

    /// Check that an image which came by name, and was followed by one at the file, is taken in before that.
    #[test]
    fn by_name_before_the_file() {
        let mut gather = Gather::listen().expect("listening");
        let file = gather.place().file.clone().expect("a file");
        let before = connect(&gather);
        register(&before, Some(&crate::snapshot::tests::ledger()));
        let after = connect_to(&SocketAddrUnix::new(file).expect("a path"));
        register(&after, None);
        gather.receive();
        let untraced = gather.untraced.contains(&std::process::id());
        assert_eq!((gather.held.len(), untraced), (0, true));
    }

    /// Check that peers that say nothing, nonsense, or send a file instead of a ledger are passed over and cost nothing.
    #[test]
    fn nonsense() {
        let mut gather = Gather::listen().expect("listening");
        let silent = connect(&gather);
        let other = connect(&gather);
        rustix::net::send(&other, b"hello", SendFlags::empty()).expect("sent");
        let file = std::fs::File::open("/dev/null").expect("opened");
        let third = connect(&gather);
        register(&third, Some(&file.into()));
        gather.receive();
        assert_eq!((gather.silent.len(), gather.held.len()), (1, 0));
        drop(silent);
        gather.receive();
        assert_eq!(gather.silent.len(), 0);
    }
}
