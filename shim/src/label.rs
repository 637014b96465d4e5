//! A thread's label: the node of the trie that all of its stacks hang from, so that growth can be told by thread.
//!
//! `stack` asks for it when a thread's scratch is new or the thread was renamed; no event costs anything for it. The label is the thread's
//! name with each run of digits folded into `#`, since a pool of 200 workers would otherwise multiply the sites by 200; the main thread's
//! is `main`, whatever it is called: its name is the process's. There are 16 labels at most, then all are `other threads`.
//!
//! No thread waits for another: who finds a name that is being added makes its node as well, and one of the two is kept.
//! Not here: names that are given by writing to /proc, which nobody tells us of, and stacks from before a thread was renamed.

use crate::real::Next;
use crate::sys::{self, NAME_BYTES};
use crate::tracer::Tracer;
use crate::{loader, objects, start, thread, thread_word};
use core::ffi::{c_char, c_int};
use heapshim_ledger::frames::{Frame, FrameId, ROOT};
use heapshim_ledger::index::mix;
use heapshim_ledger::layout::FrameKind;
use heapshim_ledger::sync::{AtomicU32, AtomicU64, Word};

/// Labels by name. 16: servers have some kinds of threads, each folded into one; sites multiply by no more than that.
const LABELS: usize = 16;
const MAIN: &[u8] = b"main";
/// Threads without a label of their own.
const OTHERS: &[u8] = b"other threads";

/// One label: claimed by its name's hash; the node follows.
#[derive(Debug)]
struct Label {
    /// 0 = free.
    hash: AtomicU64,
    /// 0 = not made yet (Release; every part of the node was written before).
    node: AtomicU32,
}

impl Label {
    const fn new() -> Label {
        Label {
            hash: AtomicU64::new(0),
            node: AtomicU32::new(0),
        }
    }

    /// Its node, made if need be; None where there is no room.
    fn node(&self, tracer: &Tracer, name: &[u8]) -> Option<FrameId> {
        match self.node.observe() {
            0 => self.make(tracer, name),
            node => Some(FrameId(node)),
        }
    }

    #[cold]
    fn make(&self, tracer: &Tracer, name: &[u8]) -> Option<FrameId> {
        let value = tracer.writer.strings.append(name);
        let frame = Frame {
            parent: ROOT,
            kind: FrameKind::Thread,
            module: 0,
            value,
        };
        let made = tracer.writer.frames.append(frame).filter(|_| value != 0)?;
        match self.node.claim(0, made.0) {
            Ok(_) => Some(made),
            Err(first) => Some(FrameId(first)),
        }
    }
}

static BY_NAME: [Label; LABELS] = [const { Label::new() }; LABELS];
static REST: Label = Label::new();
/// Counts renames that another thread than the renamed made; from 1.
static RENAMES: AtomicU32 = AtomicU32::new(1);

/// Raised when a thread has been renamed by another: what was chosen before is to be chosen again. Never 0.
pub(crate) fn renames() -> u32 {
    RENAMES.observe()
}

/// The node that the calling thread's stacks hang from; the root where there is no room for one.
#[cold]
pub(crate) fn of_this_thread(tracer: &Tracer) -> FrameId {
    let mut folded = [0; NAME_BYTES];
    let name = match start::is_main_thread() {
        true => MAIN,
        false => fold(&sys::thread_name(), &mut folded),
    };
    let label = (!name.is_empty()).then(|| find(hash(name))).flatten();
    let (label, name) = label.map_or((&REST, OTHERS), |label| (label, name));
    label.node(tracer, name).unwrap_or(ROOT)
}

/// The label of this hash, claimed if need be; None where all are taken.
fn find(hash: u64) -> Option<&'static Label> {
    BY_NAME.iter().find(|label| {
        let held = label.hash.observe();
        held == hash
            || held == 0
                && label
                    .hash
                    .claim(0, hash)
                    .map_or_else(|now| now == hash, |_| true)
    })
}

/// Never 0.
fn hash(name: &[u8]) -> u64 {
    let byte =
        |sum: u64, byte: &u8| mix(sum ^ u64::from(*byte)).wrapping_add(0x9e37_79b9_7f4a_7c15);
    name.iter().fold(name.len() as u64, byte) | 1
}

/// The name up to its NUL, each run of digits as one `#`.
fn fold<'a>(name: &[u8; NAME_BYTES], out: &'a mut [u8; NAME_BYTES]) -> &'a [u8] {
    let mut len = 0;
    let mut in_digits = false;
    for &byte in name.iter().take_while(|&&byte| byte != 0) {
        let digit = byte.is_ascii_digit();
        if !(digit && in_digits)
            && let Some(place) = out.get_mut(len)
        {
            *place = if digit { b'#' } else { byte };
            len += 1;
        }
        in_digits = digit;
    }
    out.get(..len).unwrap_or(&[])
}

/// The calling thread is about to get another name, or has got one.
pub(crate) fn note_own_rename() {
    if !thread::forget_label() {
        note_rename();
    }
}

/// A thread has got another name: each chooses its label again, at its next event.
fn note_rename() {
    RENAMES.add_shared(1);
    loader::raise();
}

static SET_NAME: Next = Next::new(c"pthread_setname_np");

type SetName = unsafe extern "C" fn(libc::pthread_t, *const c_char) -> c_int;

/// Looks it up at start-up, since a look-up takes the loader's lock.
pub(crate) fn prepare() {
    SET_NAME.prepare();
}

/// pthread_setname_np(3): passed on, then noted.
#[cfg_attr(not(test), unsafe(no_mangle))]
pub(crate) unsafe extern "C" fn pthread_setname_np(
    thread: libc::pthread_t,
    name: *const c_char,
) -> c_int {
    // Before glibc 2.34 the function lies in libpthread, which may have been loaded later.
    let late = || {
        objects::find_symbol(c"pthread_setname_np", crate::real::our_address())
            .map(|found| found.address)
    };
    let Some(address) = SET_NAME.get().or_else(late) else {
        return libc::ENOSYS;
    };
    // SAFETY: the function of this name has this type in every glibc that has it (2.12).
    let next: SetName = unsafe { core::mem::transmute(address) };
    // SAFETY: the caller's arguments, as they are.
    let result = unsafe { next(thread, name) };
    // glibc's pthread_t is the thread control block's address.
    match usize::try_from(thread) == Ok(thread_word::control_block()) {
        true => note_own_rename(),
        false => note_rename(),
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[allow(clippy::disallowed_types, reason = "a test may allocate")]
    fn folded(name: &[u8]) -> Vec<u8> {
        let (mut bytes, mut out) = ([0; NAME_BYTES], [0; NAME_BYTES]);
        bytes[..name.len()].copy_from_slice(name);
        fold(&bytes, &mut out).to_vec()
    }

    /// Check that each run of digits is one sign, wherever it stands, and that what has none is left alone.
    #[test]
    fn digits_are_folded() {
        assert_eq!(folded(b"worker-17"), b"worker-#");
        assert_eq!(folded(b"17:0 rx 3"), b"#:# rx #");
        assert_eq!(folded(b"tokio-runtime-w"), b"tokio-runtime-w");
        assert_eq!(folded("écrivain".as_bytes()), "écrivain".as_bytes());
        assert_eq!(folded(b""), b"");
    }

    /// Check that names have different hashes, none of which is that of a free place.
    #[test]
    fn hashes() {
        let names: [&[u8]; 5] = [b"", b"a", b"b", b"ab", b"ba"];
        let hashes: std::collections::HashSet<u64> = names.iter().map(|name| hash(name)).collect();
        assert!(hashes.len() == names.len() && !hashes.contains(&0));
    }
}
