//! The two memfds: the ledger, which readers map read-only, and the control page, the only thing that the command may write.
//!
//! A memfd needs no place in the file system and dies with its last holder. The descriptors are close-on-exec, placed high so that the
//! target's own numbers do not shift, and known by device and inode, never by number alone: the target may close or
//! replace a number by a raw system call.

use crate::sys::{self, Descriptor};
use core::ptr::NonNull;
use heapshim_ledger::header::Geometry;
use heapshim_ledger::sync::{AtomicU32, AtomicU64, Word};
use heapshim_ledger::writer::{Identity, Tables};
use heapshim_ledger::{Region, Writer};

/// Descriptor numbers are taken from here on, or from just below RLIMIT_NOFILE where that is lower.
const HIGH: u64 = 1000;
/// The share of RLIMIT_AS that a ledger may take: the target needs the rest.
const ADDRESS_SHARE: u64 = 8;
const CONTROL_BYTES: usize = 4096;

/// A ledger that was just made.
#[derive(Debug)]
pub(crate) struct LedgerFile {
    /// Its tables.
    pub(crate) writer: Writer<'static>,
    /// Its memfd.
    pub(crate) ledger: Descriptor,
    /// The control page's memfd.
    pub(crate) control: Descriptor,
    /// True where it is sealed.
    pub(crate) sealed: bool,
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
pub(crate) fn create(identity: &Identity) -> Option<LedgerFile> {
    let geometry = Geometry::fit(room())?;
    let bytes = usize::try_from(geometry.total_bytes()).ok()?;
    let (ledger, control) = (
        new_file(c"heapshim-ledger", geometry.total_bytes())?,
        new_control(identity)?,
    );
    let memory = sys::map_shared(ledger, bytes, true).ok()?;
    let identity = Identity {
        control_inode: sys::file_identity(control).map_or(0, |(_, inode)| inode),
        ..*identity
    };
    let writer = Writer::create(&region(memory, bytes), &geometry, &identity).ok()?;
    BASE.put(memory.expose_provenance().get() as u64);
    BYTES.put(geometry.total_bytes());
    Some(finish(writer, ledger, control))
}

/// Makes a forked child's ledger and maps it where the parent's is mapped. The parent's descriptors are given up.
pub(crate) fn replace(parent: &Tables<'_>, identity: &Identity) -> Option<LedgerFile> {
    let bytes = usize::try_from(BYTES.peek()).ok()?;
    let base = NonNull::new(core::ptr::with_exposed_provenance_mut::<u8>(
        usize::try_from(BASE.peek()).ok()?,
    ))?;
    if BYTES.peek() > sys::limit(libc::RLIMIT_FSIZE) {
        return None; // lowered since: to make a file as large would kill
    }
    let geometry =
        Geometry::fit(BYTES.peek()).filter(|geometry| geometry.total_bytes() == BYTES.peek())?;
    close_inherited();
    let (ledger, control) = (
        new_file(c"heapshim-ledger", BYTES.peek())?,
        new_control(identity)?,
    );
    let memory = sys::map_shared(ledger, bytes, true).ok()?;
    let identity = Identity {
        control_inode: sys::file_identity(control).map_or(0, |(_, inode)| inode),
        ..*identity
    };
    Writer::create_forked(&region(memory, bytes), &geometry, &identity, parent).ok()?;
    // SAFETY: the ledger's own mapping; the same tables lie at the same places in the new file.
    unsafe { sys::map_over(base, ledger, bytes) }.ok()?;
    // SAFETY: the temporary mapping; nothing of it is used after this.
    unsafe { sys::unmap(memory, bytes) };
    let writer = Writer::reopen(&region(base, bytes)).ok()?;
    Some(finish(writer, ledger, control))
}

fn finish(writer: Writer<'static>, ledger: Descriptor, control: Descriptor) -> LedgerFile {
    let sealed = sys::seal(ledger, true).is_ok() && sys::seal(control, false).is_ok();
    let [first, second] = [ledger, control].map(move_high);
    remember(&OURS[0], first);
    remember(&OURS[1], second);
    LedgerFile {
        writer,
        ledger: first,
        control: second,
        sealed,
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

fn new_control(identity: &Identity) -> Option<Descriptor> {
    let file = new_file(c"heapshim-control", CONTROL_BYTES as u64)?;
    let memory = sys::map_shared(file, CONTROL_BYTES, true).ok()?;
    // SAFETY: one page that nobody else has mapped yet; the structure is made of atomics.
    let control = unsafe { memory.cast::<heapshim_ledger::layout::Control>().as_ref() };
    control.magic.put(heapshim_ledger::layout::MAGIC);
    control.identity.put(identity.identity);
    // SAFETY: not used any more; the shim maps it again, to be read only, when it has something to read there.
    unsafe { sys::unmap(memory, CONTROL_BYTES) };
    Some(file)
}

fn move_high(file: Descriptor) -> Descriptor {
    let from = sys::limit(libc::RLIMIT_NOFILE).saturating_sub(2).min(HIGH);
    sys::move_up(file, i32::try_from(from).unwrap_or(3)).unwrap_or(file)
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
