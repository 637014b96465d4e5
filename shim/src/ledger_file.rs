//! The two files: the ledger, which readers map read-only, and the control page, the only thing that the command may write. Both are memfds,
//! unless HEAPSHIM_DIR asks for the ledger in a file (`kept_file`).
//!
//! A memfd needs no place in the file system and dies with its last holder. The descriptors are close-on-exec, placed past its soft limit, or high, so that the
//! target's own numbers do not shift, and known by device and inode, never by number alone: the target may close or
//! replace a number by a raw system call.

use crate::kept_file;
use crate::options::Options;
use crate::rings;
use crate::sys::{self, Descriptor};
use core::ptr::NonNull;
use heapshim_ledger::header::Geometry;
use heapshim_ledger::sync::{AtomicU32, AtomicU64, Word};
use heapshim_ledger::tables::Tables;
use heapshim_ledger::writer::Identity;
use heapshim_ledger::{Region, Writer};

/// Descriptor numbers are taken from here on, or past what the target can have.
const HIGH: u64 = 1000;
/// The highest number that is taken: the kernel's table of a process's descriptors has 8 bytes for each below it.
const HIGHEST: u64 = 1 << 16;
/// The share of RLIMIT_AS that a ledger may take: the target and the other tables need the rest.
const ADDRESS_SHARE: u64 = 16;

/// A ledger that was just made.
#[derive(Debug)]
pub(crate) struct LedgerFile {
    /// Its tables.
    pub(crate) writer: Writer<'static>,
    /// Its memfd.
    pub(crate) ledger: Descriptor,
    /// The control page's memfd.
    pub(crate) control: Descriptor,
    /// True where it is sealed; a file on a disk cannot be.
    pub(crate) sealed: bool,
    /// True where HEAPSHIM_DIR was to keep it, and could not.
    pub(crate) not_kept: bool,
}

/// The two files of a ledger that is being made.
struct Files {
    ledger: Descriptor,
    control: Descriptor,
    bytes: u64,
    kept: bool,
}

/// A descriptor of ours: number, device and inode. Written at start-up, read by the close family.
#[derive(Debug)]
struct Ours {
    number: AtomicU32,
    device: AtomicU64,
    inode: AtomicU64,
}

const NONE: u32 = u32::MAX;
static OURS: [Ours; 2] = [const {
    Ours {
        number: AtomicU32::new(NONE),
        device: AtomicU64::new(0),
        inode: AtomicU64::new(0),
    }
}; 2];
/// Where the ledger is mapped, and how long it is.
static BASE: AtomicU64 = AtomicU64::new(0);
static BYTES: AtomicU64 = AtomicU64::new(0);

/// Makes this process's ledger; None where there is no memory, or no memfd_create.
pub(crate) fn create(identity: &Identity, options: &Options) -> Option<LedgerFile> {
    let room = room();
    let kept = kept_file::create(options, identity, |free| Geometry::fit(free.min(room)));
    let (geometry, kept) = match kept {
        Some((file, geometry)) => (geometry, Some(file)),
        None => (Geometry::fit(room)?, None),
    };
    let files = files(
        identity,
        (geometry.total_bytes(), rings::file_bytes(room)),
        options,
        kept,
    )?;
    let bytes = usize::try_from(files.bytes).ok()?;
    let memory = sys::map_shared(files.ledger, bytes, true).ok()?;
    let identity = with_control(identity, files.control);
    let writer = Writer::create(&region(memory, bytes), &geometry, &identity).ok()?;
    BASE.put(memory.expose_provenance().get() as u64);
    BYTES.put(files.bytes);
    Some(finish(writer, &files, options))
}

/// Makes a forked child's ledger and maps it where the parent's is mapped. The parent's descriptors are given up.
pub(crate) fn replace(
    parent: &Tables<'_>,
    identity: &Identity,
    options: &Options,
) -> Option<LedgerFile> {
    let bytes = usize::try_from(BYTES.peek()).ok()?;
    let base = NonNull::new(core::ptr::with_exposed_provenance_mut::<u8>(
        usize::try_from(BASE.peek()).ok()?,
    ))?;
    if BYTES.peek().max(rings::own_bytes()) > sys::limit(libc::RLIMIT_FSIZE) {
        return None; // lowered since: to make a file as large would kill
    }
    let geometry =
        Geometry::fit(BYTES.peek()).filter(|geometry| geometry.total_bytes() == BYTES.peek())?;
    close_inherited();
    // The same tables at the same places: nothing smaller will do.
    let same = |free: u64| (free >= BYTES.peek()).then_some(geometry);
    let kept = kept_file::create(options, identity, same).map(|(file, _)| file);
    let files = files(identity, (BYTES.peek(), rings::own_bytes()), options, kept)?;
    let memory = sys::map_shared(files.ledger, bytes, true).ok()?;
    let identity = with_control(identity, files.control);
    Writer::create_forked(&region(memory, bytes), &geometry, &identity, parent).ok()?;
    // SAFETY: the ledger's own mapping; the same tables lie at the same places in the new file.
    unsafe { sys::map_over(base, files.ledger, bytes) }.ok()?;
    // SAFETY: the temporary mapping; nothing of it is used after this.
    unsafe { sys::unmap(memory, bytes) };
    let writer = Writer::reopen(&region(base, bytes)).ok()?;
    Some(finish(writer, &files, options))
}

/// The ledger's file, which is `kept` or a memfd, and the control page's.
fn files(
    identity: &Identity,
    (bytes, control): (u64, u64),
    options: &Options,
    kept: Option<Descriptor>,
) -> Option<Files> {
    let control = new_control(identity, control, options)?;
    let ledger = match kept {
        Some(file) => file,
        None => new_file(c"heapshim-ledger", bytes)?,
    };
    Some(Files {
        ledger,
        control,
        bytes,
        kept: kept.is_some(),
    })
}

fn with_control(identity: &Identity, control: Descriptor) -> Identity {
    Identity {
        control_inode: sys::file_identity(control).map_or(0, |(_, inode)| inode),
        ..*identity
    }
}

fn finish(writer: Writer<'static>, files: &Files, options: &Options) -> LedgerFile {
    let sealed = files.kept || sys::seal(files.ledger, true).is_ok();
    let sealed = sys::seal(files.control, false).is_ok() && sealed;
    let [first, second] = [files.ledger, files.control].map(move_high);
    remember(&OURS[0], first);
    remember(&OURS[1], second);
    LedgerFile {
        writer,
        ledger: first,
        control: second,
        sealed,
        not_kept: options.directory.text().is_some() && !files.kept,
    }
}

/// Bytes that the ledger may have: ftruncate beyond RLIMIT_FSIZE kills the target with SIGXFSZ.
fn room() -> u64 {
    sys::limit(libc::RLIMIT_FSIZE).min(sys::limit(libc::RLIMIT_AS) / ADDRESS_SHARE)
}

fn region(memory: NonNull<u8>, bytes: usize) -> Region<'static> {
    // SAFETY: a shared mapping of a memfd of ours: readable, writable, page-aligned, never unmapped (a forked child maps its own over
    // it), sealed against shrinking, and accessed through this crate's atomics alone.
    unsafe { Region::new(memory.as_ptr(), bytes as u64) }
}

fn new_file(name: &core::ffi::CStr, bytes: u64) -> Option<Descriptor> {
    let file = sys::memfd(name).ok()?;
    let made = sys::truncate(file, bytes).and_then(|()| sys::owner_only(file));
    if made.is_err() {
        sys::close(file);
    }
    made.ok().map(|()| file)
}

fn new_control(identity: &Identity, bytes: u64, options: &Options) -> Option<Descriptor> {
    let file = new_file(c"heapshim-control", bytes)?;
    let is_ours =
        |&(parent, _): &(u32, _)| identity.forked_from == 0 && parent == identity.parent_pid;
    let wanted = options.recorder.filter(is_ours).map(|(_, wanted)| wanted);
    rings::install(file, bytes, identity.identity, wanted)?;
    Some(file)
}

/// Programs ask about every number that they may have (`sysconf(_SC_OPEN_MAX)`), and mean to find their own alone.
fn move_high(file: Descriptor) -> Descriptor {
    let (soft, hard) = sys::limits(libc::RLIMIT_NOFILE);
    let past = soft.max(HIGH);
    if past <= HIGHEST
        && let Some(moved) = move_past(file, past, (soft, hard))
    {
        return moved;
    }
    let from = soft.saturating_sub(2).min(HIGH);
    sys::move_up(file, i32::try_from(from).unwrap_or(3)).unwrap_or(file)
}

/// Takes a number that the limit does not allow: it is raised for the one call that would give no such number else, and does not
/// concern what is open. None where the hard limit is in the way, and is not ours to raise.
fn move_past(file: Descriptor, from: u64, (soft, hard): (u64, u64)) -> Option<Descriptor> {
    let number = i32::try_from(from).ok()?;
    sys::set_limits(libc::RLIMIT_NOFILE, (from + 2, hard.max(from + 2))).ok()?;
    let moved = sys::move_up(file, number).ok();
    let _ = sys::set_limits(libc::RLIMIT_NOFILE, (soft, hard));
    moved
}

fn remember(place: &Ours, file: Descriptor) {
    let Some((device, inode)) = sys::file_identity(file) else {
        return;
    };
    place.device.put(device);
    place.inode.put(inode);
    place.number.publish(file.0.cast_unsigned());
}

/// True where `number` is a descriptor of ours now. One comparison for any other number.
#[inline]
pub(crate) fn is_ours(number: i32) -> bool {
    OURS.iter()
        .any(|ours| ours.number.observe() == number.cast_unsigned() && is_still(ours, number))
}

#[cold]
#[inline(never)]
fn is_still(ours: &Ours, number: i32) -> bool {
    number >= 0
        && sys::file_identity(Descriptor(number)) == Some((ours.device.peek(), ours.inode.peek()))
}

/// Our numbers, in ascending order; those that are not in use are left out.
pub(crate) fn numbers() -> impl Iterator<Item = u32> {
    let [a, b] = &OURS;
    let [a, b] = [a.number.observe(), b.number.observe()];
    [a.min(b), a.max(b)]
        .into_iter()
        .filter(|&number| number != NONE && is_ours(number.cast_signed()))
}

/// Moves the descriptor at `number`, which is ours, out of the target's way.
pub(crate) fn move_away(number: i32) {
    if let Some(ours) = OURS
        .iter()
        .find(|ours| ours.number.observe() == number.cast_unsigned())
        && let Ok(moved) = sys::move_up(Descriptor(number), number)
    {
        ours.number.publish(moved.0.cast_unsigned());
    }
}

fn close_inherited() {
    for ours in &OURS {
        let number = ours.number.peek().cast_signed();
        if number >= 0 && is_still(ours, number) {
            sys::close(Descriptor(number));
        }
        ours.number.put(NONE);
    }
}
