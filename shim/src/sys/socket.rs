//! Handing the two descriptors over to `run`, through a Unix socket: an abstract name, or from another network namespace a file.

use super::files::close;
use super::process::effective_user;
use super::raw::{Descriptor, Errno, raw, widen};

/// Longest wait for a `run` whose queue is full: hundreds of children may be made at once.
const PATIENCE_MICROSECONDS: i64 = 200_000;

/// Sends `message` and two descriptors, or none, to the abstract Unix socket `name`, or where nobody listens there to that at `file`, if its owner is
/// this user or root. Waits `PATIENCE` at most.
pub(crate) fn hand_over(
    name: &[u8],
    file: Option<&[u8]>,
    message: &[u8],
    files: Option<[Descriptor; 2]>,
) -> Result<(), Errno> {
    let kind = libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC;
    // SAFETY: makes a socket.
    let socket = Descriptor::from(unsafe {
        raw(
            libc::SYS_socket,
            [widen(libc::AF_UNIX), widen(kind), 0, 0, 0, 0],
        )
    }?);
    let sent = be_patient(socket)
        .and_then(|()| connect_either(socket, name, file))
        .and_then(|()| peer_is_trusted(socket))
        .and_then(|()| send_files(socket, message, files));
    close(socket);
    sent
}

fn be_patient(socket: Descriptor) -> Result<(), Errno> {
    let time = libc::timeval {
        tv_sec: 0,
        tv_usec: PATIENCE_MICROSECONDS,
    };
    let (level, option) = (widen(libc::SOL_SOCKET), widen(libc::SO_SNDTIMEO));
    let arguments = [
        socket.number(),
        level,
        option,
        (&raw const time) as usize,
        size_of::<libc::timeval>(),
        0,
    ];
    // SAFETY: reads one timeval.
    unsafe { raw(libc::SYS_setsockopt, arguments) }.map(drop)
}

/// An abstract name is known in one network namespace alone, a file wherever its directory is mounted.
fn connect_either(socket: Descriptor, name: &[u8], file: Option<&[u8]>) -> Result<(), Errno> {
    match (connect(socket, Kind::Abstract, name), file) {
        (Err(Errno(libc::ECONNREFUSED)), Some(file)) => connect(socket, Kind::File, file),
        (done, _) => done,
    }
}

/// What a socket's address is: the value is where in the path its text begins, behind the NUL that makes it abstract.
#[derive(Clone, Copy, Debug)]
enum Kind {
    File = 0,
    Abstract = 1,
}

fn connect(socket: Descriptor, kind: Kind, text: &[u8]) -> Result<(), Errno> {
    #[repr(C)]
    struct Address {
        family: libc::sa_family_t,
        path: [u8; 108],
    }
    let mut address = Address {
        family: 1,
        path: [0; 108],
    };
    let begin = kind as usize;
    let place = address.path.get_mut(begin..begin + text.len());
    place
        .ok_or(Errno(libc::ENAMETOOLONG))?
        .copy_from_slice(text);
    let length = size_of::<libc::sa_family_t>() + begin + text.len();
    let arguments = [
        socket.number(),
        (&raw const address) as usize,
        length,
        0,
        0,
        0,
    ];
    // SAFETY: reads family and text, `length` bytes of the address; a path need not end with a NUL (unix(7)).
    unsafe { raw(libc::SYS_connect, arguments) }.map(drop)
}

fn peer_is_trusted(socket: Descriptor) -> Result<(), Errno> {
    let mut peer = libc::ucred {
        pid: 0,
        uid: u32::MAX,
        gid: u32::MAX,
    };
    let mut length = 12u32;
    let arguments = [
        socket.number(),
        widen(libc::SOL_SOCKET),
        widen(libc::SO_PEERCRED),
        (&raw mut peer) as usize,
        (&raw mut length) as usize,
        0,
    ];
    // SAFETY: writes one struct ucred (12 bytes).
    unsafe { raw(libc::SYS_getsockopt, arguments) }?;
    if peer.uid == 0 || peer.uid == effective_user() {
        Ok(())
    } else {
        Err(Errno(libc::EPERM))
    }
}

fn send_files(
    socket: Descriptor,
    message: &[u8],
    files: Option<[Descriptor; 2]>,
) -> Result<(), Errno> {
    #[repr(C)]
    struct Ancillary {
        length: usize,
        level: i32,
        kind: i32,
        files: [i32; 2],
    }
    let ancillary = Ancillary {
        length: 24,
        level: libc::SOL_SOCKET,
        kind: libc::SCM_RIGHTS,
        files: files.unwrap_or([Descriptor(-1); 2]).map(|file| file.0),
    };
    let part = libc::iovec {
        iov_base: message.as_ptr().cast_mut().cast(),
        iov_len: message.len(),
    };
    // SAFETY: a msghdr of zeros is valid: no name, no parts.
    let mut header: libc::msghdr = unsafe { core::mem::zeroed() };
    header.msg_iov = (&raw const part).cast_mut();
    header.msg_iovlen = 1;
    if files.is_some() {
        header.msg_control = (&raw const ancillary).cast_mut().cast();
        header.msg_controllen = size_of::<Ancillary>();
    }
    let flags = libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT;
    // SAFETY: the header describes one readable part and one control message, both alive.
    unsafe {
        raw(
            libc::SYS_sendmsg,
            [
                socket.number(),
                (&raw const header) as usize,
                widen(flags),
                0,
                0,
                0,
            ],
        )
    }
    .map(drop)
}
