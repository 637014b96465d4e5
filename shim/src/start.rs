//! Start-up, at the first event of a process (inside the loader, or in a forked child), or by the library's constructor.
//!
//! ```text
//!                    first event
//!  UNSTARTED ───────────────────────▶ STARTING ──▶ RUNNING (armed)        everything is in place
//!                                        │  └────▶ OFF                    not wanted, or not possible: hooks pass through
//!  RUNNING, not armed (a forked child) ──▶ STARTING ──▶ RUNNING (armed)   with a ledger of its own
//! ```
//! One thread starts, with its signals blocked; another that comes meanwhile passes its event through unrecorded rather than wait.

use crate::ledger_file::{self, LedgerFile};
use crate::options::{InitialStack, Options};
use crate::sys::{self, Descriptor};
use crate::tracer::{self, Tracer};
use crate::{
    descriptors, filters, forks, interpose, jumps, label, loader, locking, objects, options,
    python, real, rings, sampling, shadow, thread, thread_word,
};
use core::ffi::CStr;
use heapshim_ledger::layout::{Complaint, Header};
use heapshim_ledger::modules::MAX_TEXT;
use heapshim_ledger::sync::{AtomicU32, AtomicU64, Word};
use heapshim_ledger::writer::Identity;

const UNSTARTED: u32 = 0;
const STARTING: u32 = 1;
const RUNNING: u32 = 2;
const OFF: u32 = 3;

static STATE: AtomicU32 = AtomicU32::new(UNSTARTED);
/// 1 in a forked child, from its first event on.
static FORKED: AtomicU32 = AtomicU32::new(0);
/// Less address space than this leaves no room beside the target's own for the tables, which take about 120 MiB of it and a ledger's share,
/// mostly untouched: together three tenths of the least.
const LEAST_ADDRESS_SPACE: u64 = 1 << 29;
/// The thread control block of the thread that started: the main thread.
static MAIN_THREAD: AtomicU64 = AtomicU64::new(0);
/// The initial stack pointer: the end of the main thread's stack.
static STACK_END: AtomicU64 = AtomicU64::new(0);

/// Complaints that are as true of a forked child as of its parent.
const INHERITED: u32 = Complaint::Bypassed as u32 | Complaint::Python as u32;
/// Version of the message that hands a ledger over to `run`.
const HAND_OVER_VERSION: u32 = 1;
/// Begins that message: "HSM1".
const HAND_OVER_MAGIC: u32 = u32::from_be_bytes(*b"HSM1");

/// True where this process may write its ledger now; starts it at the process's first event. Asked again before each write: a signal
/// handler that interrupted the hook may have forked, and then this is the child, whose events go into a ledger of its own.
#[inline(always)]
pub(crate) fn is_armed() -> bool {
    tracer::armed() || start()
}

/// Starts this process's account if it can be; true where events are recorded from now on.
#[cold]
#[inline(never)]
fn start() -> bool {
    let state = STATE.observe();
    if !matches!(state, UNSTARTED | RUNNING) || STATE.claim(state, STARTING).is_err() {
        return false;
    }
    let blocked = sys::block_signals();
    let started = if state == UNSTARTED {
        begin()
    } else {
        begin_again()
    };
    STATE.publish(if started { RUNNING } else { OFF });
    if started {
        tracer::arm(sampling::word());
    }
    drop(blocked);
    started
}

/// Starts the account of a program that has not allocated before its constructors run, so that it can be marked at once.
#[cfg(not(test))]
#[used]
#[unsafe(link_section = ".init_array")]
static CONSTRUCTOR: extern "C" fn() = {
    extern "C" fn constructor() {
        if is_armed() {
            python::allocators::prepare();
        }
    }
    constructor
};

/// The top of the calling thread's stack: where the kernel put the main thread's arguments, or the thread control block, which glibc puts
/// at the top of every other thread's stack.
pub(crate) fn stack_top() -> u64 {
    if is_main_thread() {
        STACK_END.peek()
    } else {
        thread_word::control_block() as u64
    }
}

/// True on the thread that started the process; in a forked child, on the one that its first program's main thread became.
pub(crate) fn is_main_thread() -> bool {
    thread_word::control_block() as u64 == MAIN_THREAD.peek()
}

/// True in a forked child that has had an event.
pub(crate) fn is_forked() -> bool {
    FORKED.peek() != 0
}

fn initial_stack() -> Option<InitialStack> {
    let found = objects::find_symbol(c"__libc_stack_end", 0)?;
    // SAFETY: ld.so's variable of this name is a pointer.
    let end = unsafe { core::ptr::with_exposed_provenance::<usize>(found.address).read() };
    STACK_END.put(end as u64);
    InitialStack::at(end)
}

fn begin() -> bool {
    let Some(stack) = initial_stack() else {
        return false;
    };
    if options::is_off(&stack) || is_forbidden(&stack) {
        return false;
    }
    if sys::thread_id() == sys::pid() {
        MAIN_THREAD.put(thread_word::control_block() as u64);
    }
    let mut path = [0u8; 1024];
    let program = match sys::read_link(c"/proc/self/exe", &mut path) {
        Some(path) => path,
        None => stack.arguments().next().map_or(&[][..], CStr::to_bytes),
    };
    let options = options::read(&stack, program);
    if !options.enabled {
        return false;
    }
    if !tracer::wipe_when_forked() {
        return complain(
            &options,
            b"memory is not wiped when it forks (madvise: MADV_WIPEONFORK, Linux 4.14)",
        );
    }
    if sys::limit(libc::RLIMIT_AS) < LEAST_ADDRESS_SPACE {
        return complain(&options, b"RLIMIT_AS is below 512 MiB");
    }
    loader::prepare();
    thread::prepare();
    real::prepare();
    descriptors::prepare();
    filters::prepare();
    forks::prepare();
    jumps::prepare();
    locking::prepare();
    label::prepare();
    interpose::OPERATORS
        .iter()
        .for_each(|operator| operator.prepare());
    let granule = real::granule_shift();
    shadow::set_granule(granule);
    let identity = Identity {
        granule_shift: granule,
        depth: u32::try_from(options.depth).unwrap_or(0),
        ..identity(&options)
    };
    let Some(file) = ledger_file::create(&identity, &options) else {
        return complain(&options, b"no memory for the ledger");
    };
    if !shadow::prepare()
        || !tracer::set(Tracer {
            writer: file.writer,
            rings: rings::open(),
            depth: options.depth,
            options,
        })
    {
        return complain(&options, b"no memory for the shadow");
    }
    python::interpreter::find();
    sampling::begin(&options, identity.identity);
    describe(&file, &stack, program);
    log_settings(&options);
    if real::is_bypassed() {
        note(&file, Complaint::Bypassed);
    }
    publish(&file, &options)
}

/// True where a filter that the program was started under would end it for tracing; said to the log alone.
fn is_forbidden(stack: &InitialStack) -> bool {
    let deadly = sys::is_deadly(sys::Wanted {
        by_run: stack.variable(b"HEAPSHIM_SOCKET").is_some(),
        kept: stack.variable(b"HEAPSHIM_DIR").is_some(),
    });
    if deadly {
        log(
            stack.variable(b"HEAPSHIM_LOG"),
            b"a seccomp filter would end it for that",
            UNTRACED,
        );
    }
    deadly
}

fn identity(options: &Options) -> Identity {
    Identity {
        identity: sys::random(),
        pid: sys::pid(),
        parent_pid: sys::parent_pid(),
        start_unix_ns: sys::clock_ns(libc::CLOCK_REALTIME),
        start_boot_ns: sys::clock_ns(libc::CLOCK_BOOTTIME),
        start_rss_bytes: resident_bytes(),
        complaints: options.complaints,
        ..Identity::default()
    }
}

/// Resident bytes of this process now; 0 where /proc is not there.
pub(crate) fn resident_bytes() -> u64 {
    let mut buffer = [0u8; 128];
    let statm = sys::read_file(c"/proc/self/statm", &mut buffer).unwrap_or(&[]);
    let pages = statm.split(|&byte| byte == b' ').nth(1).unwrap_or(&[]);
    let digits = pages.iter().map(|&byte| u64::from(byte.wrapping_sub(b'0')));
    digits
        .fold(0u64, |sum, digit| sum.wrapping_mul(10).wrapping_add(digit))
        .wrapping_mul(4096)
}

/// Notes what the process is, for readers that come after its end.
fn describe(file: &LedgerFile, stack: &InitialStack, program: &[u8]) {
    let strings = &file.writer.strings;
    file.writer.header.exe.put(strings.append(program));
    let mut path = [0u8; 1024];
    if let Some(directory) = sys::read_link(c"/proc/self/cwd", &mut path) {
        file.writer.header.directory.put(strings.append(directory));
    }
    let Ok(memory) = sys::map_private(MAX_TEXT) else {
        return;
    };
    // SAFETY: fresh private memory of this length, unmapped below, after its last use.
    let text = unsafe { core::slice::from_raw_parts_mut(memory.as_ptr(), MAX_TEXT) };
    let mut len = 0;
    for argument in stack.arguments() {
        let bytes = argument.to_bytes_with_nul();
        let Some(place) = text.get_mut(len..len + bytes.len()) else {
            break;
        };
        place.copy_from_slice(bytes);
        len += bytes.len();
    }
    file.writer
        .header
        .cmdline
        .put(strings.append(text.get(..len).unwrap_or(&[])));
    // SAFETY: mapped above, no longer used.
    unsafe { sys::unmap(memory, MAX_TEXT) };
}

/// Lets readers see the ledger, and hands it to the `run` that waits for it.
fn publish(file: &LedgerFile, options: &Options) -> bool {
    sampling::describe(file.writer.header);
    file.writer.ready();
    if !file.sealed {
        note(file, Complaint::Seal);
    }
    if file.not_kept {
        note(file, Complaint::Directory);
    }
    if !register(options, Some([file.ledger, file.control])) {
        note(file, Complaint::Socket);
    }
    true
}

fn note(file: &LedgerFile, complaint: Complaint) {
    tracer::note(file.writer.header, complaint);
}

/// Tells the `run` that waits, if any, that this process has begun: with its ledger, or without one. False where it could not be told.
fn register(options: &Options, files: Option<[Descriptor; 2]>) -> bool {
    let Some(socket) = options.socket.text() else {
        return true;
    };
    let words = [
        HAND_OVER_MAGIC,
        HAND_OVER_VERSION,
        sys::pid(),
        sys::parent_pid(),
    ];
    let mut message = [0u8; 16];
    let places = message.as_chunks_mut::<4>().0.iter_mut();
    places
        .zip(words)
        .for_each(|(bytes, word)| *bytes = word.to_le_bytes());
    let file = options.socket_file.text().map(CStr::to_bytes);
    sys::hand_over(socket.to_bytes(), file, &message, files).is_ok()
}

/// In a forked child: a ledger of its own, with the parent's frames, sites and modules under the same ids and every counter at zero, mapped
/// where the parent's was, so that all that refers to it stays right. The shadow is inherited: a free of an inherited block is
/// charged to its site, and numbers may be negative.
fn begin_again() -> bool {
    FORKED.put(1);
    locking::after_fork();
    let Some(tracer) = tracer::get() else {
        return false;
    };
    let options = &tracer.options;
    let header = tracer.writer.header;
    if filters::is_filtered() {
        return untracked_child(header);
    }
    let identity = Identity {
        forked_from: header.identity.peek(),
        granule_shift: header.granule_shift.peek(),
        depth: header.depth.peek(),
        complaints: options.complaints | header.complaints.peek() & INHERITED,
        ..identity(options)
    };
    let Some(file) = ledger_file::replace(&tracer.writer, &identity, options) else {
        untracked_child(header);
        return complain(options, b"no ledger for a forked child");
    };
    sampling::after_fork(options, identity.identity, forks::before());
    thread::after_fork(tracer);
    publish(&file, options)
}

/// A child that may not have an account of its own says so in its parent's, which it still sees: one store, no system call.
fn untracked_child(parent: &Header) -> bool {
    tracer::note(parent, Complaint::Child);
    false
}

/// This process goes untraced: said to the log and to `run`.
fn complain(options: &Options, what: &[u8]) -> bool {
    register(options, None);
    log(options.log.text(), what, UNTRACED);
    false
}

/// What comes of what stands in the log before it.
const UNTRACED: &[u8] = b"this process is not traced";
const DEFAULT: &[u8] = b"the default was taken";

/// Says in the log which variables make no sense.
fn log_settings(options: &Options) {
    let settings: [(Complaint, &[u8]); 5] = [
        (
            Complaint::Depth,
            b"HEAPSHIM_DEPTH is no number from 1 to 512",
        ),
        (
            Complaint::Sample,
            b"HEAPSHIM_SAMPLE is no size from 1 to 64M, nor `off`",
        ),
        (
            Complaint::Unwind,
            b"HEAPSHIM_UNWIND is neither `auto` nor `fp`",
        ),
        (
            Complaint::PythonWord,
            b"HEAPSHIM_PYTHON is neither `on` nor `off`",
        ),
        (
            Complaint::Directory,
            b"HEAPSHIM_DIR is no absolute path of at most 255 bytes",
        ),
    ];
    for (complaint, what) in settings {
        if options.complaints & complaint as u32 != 0 {
            log(options.log.text(), what, DEFAULT);
        }
    }
}

/// Says in the log, if there is one, what is so, and what comes of it.
fn log(file: Option<&CStr>, what: &[u8], therefore: &[u8]) {
    let Some(file) = file.filter(|file| !file.is_empty()) else {
        return;
    };
    let mut line = [0u8; 128];
    let parts = [b"heapshim: ".as_slice(), what, b": ", therefore, b"\n"];
    let bytes = parts.into_iter().flatten();
    let len = line
        .iter_mut()
        .zip(bytes)
        .map(|(to, from)| *to = *from)
        .count();
    sys::append_file(file, line.get(..len).unwrap_or(&[]));
}
