//! The environment that the shim reads, as options. A value that makes no sense is noted, and the default taken: the target always runs.
//!
//! The environment is read where the kernel put it, above the initial stack: the first hook may run before libc has set `environ`.

use crate::rings::Wanted;
use crate::stack::MAX_DEPTH;
use core::ffi::{CStr, c_char};
use heapshim_ledger::layout::Complaint;
use heapshim_ledger::sampling::Mode;

/// Frames kept of a stack, unless told otherwise. 512: stacks that are whole share their outer frames in the trie, and those of Python that are cut
/// share none: at 128, the imports of an aiohttp server on CPython 3.7, each some 15 frames inside of the next, filled the ledger.
const DEPTH: usize = MAX_DEPTH;

/// What the environment asks for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Options {
    /// False for HEAPSHIM=0, and for a program that HEAPSHIM_ONLY does not name.
    pub(crate) enabled: bool,
    /// Frames kept of a stack.
    pub(crate) depth: usize,
    /// False for HEAPSHIM_PYTHON=off: stacks are native, and the interpreter's allocators are left alone.
    pub(crate) python: bool,
    /// True for HEAPSHIM_UNWIND=fp: stacks are walked by frame pointers, where objects may keep them (`rules`).
    pub(crate) by_frame_pointers: bool,
    /// How much is recorded at first.
    pub(crate) mode: Mode,
    /// What the draws of samples begin with, so that they are the same in each run.
    pub(crate) sample_seed: Option<u64>,
    /// Abstract socket of the `run` that waits for ledgers.
    pub(crate) socket: Kept<108>,
    /// The file where it listens as well, for processes in another network namespace.
    pub(crate) socket_file: Kept<108>,
    /// A file for complaints.
    pub(crate) log: Kept<256>,
    /// The directory that is to keep the ledger, absolute; None: memory alone.
    pub(crate) directory: Kept<256>,
    /// The program's base name, for the ledger's in that directory.
    pub(crate) name: Kept<64>,
    /// The `run` that wants this process's events from the first on, and what of them: HEAPSHIM_RECORD=PID or PID,frees, where that is its parent.
    pub(crate) recorder: Option<(u32, Wanted)>,
    /// Bits of `Complaint`.
    pub(crate) complaints: u32,
}

/// A copy of a value: programs that set their title (nginx, postgres, perl) write over the environment itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kept<const N: usize> {
    bytes: [u8; N],
}

impl<const N: usize> Kept<N> {
    /// Copies a value; empty where there is none or it is too long to be right.
    fn new(value: Option<&CStr>) -> Kept<N> {
        let mut kept = Kept { bytes: [0; N] };
        let value = value.map_or(&[][..], CStr::to_bytes_with_nul);
        if let Some(place) = kept
            .bytes
            .get_mut(..value.len())
            .filter(|place| !place.is_empty())
        {
            place.copy_from_slice(value);
        }
        kept
    }

    /// As much of a text as there is room for.
    fn cut(text: &[u8]) -> Kept<N> {
        let mut kept = Kept { bytes: [0; N] };
        let places = kept.bytes.iter_mut().take(N - 1);
        places.zip(text).for_each(|(to, from)| *to = *from);
        kept
    }

    /// The value; None where it is empty.
    pub(crate) fn text(&self) -> Option<&CStr> {
        CStr::from_bytes_until_nul(&self.bytes)
            .ok()
            .filter(|text| !text.is_empty())
    }
}

/// The arguments and environment above the initial stack.
#[derive(Clone, Copy, Debug)]
pub(crate) struct InitialStack {
    arguments: *const *const c_char,
    count: usize,
}

impl InitialStack {
    /// Reads the vector at `end`, the stack pointer with which the kernel started the program (System V x86-64 ABI, 3.4.1): argc, argv,
    /// NULL, envp, NULL. None where it does not look like that.
    pub(crate) fn at(end: usize) -> Option<InitialStack> {
        let first = core::ptr::with_exposed_provenance::<usize>(end);
        if first.is_null() || !end.is_multiple_of(8) {
            return None;
        }
        // SAFETY: the loader's `__libc_stack_end` is the initial stack pointer, where argc lies.
        let count = unsafe { first.read() };
        let arguments = first.wrapping_add(1).cast::<*const c_char>();
        if count > 1 << 20 {
            return None;
        }
        // SAFETY: argv has argc entries and a NULL.
        let end = unsafe { arguments.wrapping_add(count).read() };
        end.is_null().then_some(InitialStack { arguments, count })
    }

    /// The program's arguments.
    pub(crate) fn arguments(&self) -> impl Iterator<Item = &'static CStr> {
        strings(self.arguments)
    }

    /// The value of an environment variable.
    pub(crate) fn variable(&self, name: &[u8]) -> Option<&'static CStr> {
        strings(self.arguments.wrapping_add(self.count + 1)).find_map(|entry| {
            let rest = entry
                .to_bytes_with_nul()
                .strip_prefix(name)?
                .strip_prefix(b"=")?;
            CStr::from_bytes_with_nul(rest).ok()
        })
    }
}

/// The strings of a vector that ends with NULL.
fn strings(mut at: *const *const c_char) -> impl Iterator<Item = &'static CStr> {
    core::iter::from_fn(move || {
        // SAFETY: the kernel ends the vector with NULL, where this stops.
        let text = unsafe { at.read() };
        at = at.wrapping_add(1);
        // SAFETY: the kernel put C strings there, above the stack, where they stay.
        (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) })
    })
}

/// True for HEAPSHIM=0.
pub(crate) fn is_off(stack: &InitialStack) -> bool {
    let word = stack.variable(b"HEAPSHIM");
    word.is_some_and(|text| text.to_bytes() == b"0")
}

/// Reads the options. `program` is the executable's path.
pub(crate) fn read(stack: &InitialStack, program: &[u8]) -> Options {
    let mut complaints = 0;
    let mut said = Said {
        stack,
        complaints: &mut complaints,
    };
    let depth = said.of(b"HEAPSHIM_DEPTH", Complaint::Depth, |text| {
        number(text).filter(|depth| (1..=MAX_DEPTH).contains(depth))
    });
    let mode = said.of(b"HEAPSHIM_SAMPLE", Complaint::Sample, mode);
    let by_frame_pointers = said.of(b"HEAPSHIM_UNWIND", Complaint::Unwind, |text| {
        either(text, [b"auto", b"fp"])
    });
    let without_python = said.of(b"HEAPSHIM_PYTHON", Complaint::PythonWord, |text| {
        either(text, [b"on", b"off"])
    });
    let seed = stack.variable(b"HEAPSHIM_SAMPLE_SEED");
    let named = stack
        .variable(b"HEAPSHIM_ONLY")
        .is_none_or(|names| is_named(names.to_bytes(), program));
    let directory = stack
        .variable(b"HEAPSHIM_DIR")
        .filter(|text| !text.is_empty());
    let kept = Kept::new(directory.filter(|text| text.to_bytes().starts_with(b"/")));
    if directory.is_some() && kept.text().is_none() {
        complaints |= Complaint::Directory as u32;
    }
    Options {
        enabled: named && !is_off(stack),
        depth: depth.unwrap_or(DEPTH),
        python: !without_python.unwrap_or(false),
        by_frame_pointers: by_frame_pointers.unwrap_or(false),
        mode: mode.unwrap_or(Mode::Exact),
        sample_seed: seed
            .and_then(|text| number(text.to_bytes()))
            .map(|seed| seed as u64),
        socket: Kept::new(stack.variable(b"HEAPSHIM_SOCKET")),
        socket_file: Kept::new(stack.variable(b"HEAPSHIM_SOCKET_FILE")),
        log: Kept::new(stack.variable(b"HEAPSHIM_LOG")),
        directory: kept,
        name: Kept::cut(base_name(program)),
        recorder: recorder(stack),
        complaints,
    }
}

/// What variables say; those that make no sense are noted.
struct Said<'s> {
    stack: &'s InitialStack,
    complaints: &'s mut u32,
}

impl Said<'_> {
    /// What one says. None where it is not there, empty, or wrong.
    fn of<T>(
        &mut self,
        name: &[u8],
        wrong: Complaint,
        parse: impl Fn(&[u8]) -> Option<T>,
    ) -> Option<T> {
        let text = self.stack.variable(name).filter(|text| !text.is_empty())?;
        let value = parse(text.to_bytes());
        if value.is_none() {
            *self.complaints |= wrong as u32;
        }
        value
    }
}

/// Whether it is the second of two words; None where it is neither.
fn either(text: &[u8], [first, second]: [&[u8]; 2]) -> Option<bool> {
    (text == first || text == second).then_some(text == second)
}

fn recorder(stack: &InitialStack) -> Option<(u32, Wanted)> {
    let text = stack.variable(b"HEAPSHIM_RECORD")?.to_bytes();
    let (digits, wanted) = match text.strip_suffix(b",frees") {
        Some(digits) => (digits, Wanted::FreeStacks),
        None => (text, Wanted::Events),
    };
    Some((u32::try_from(number(digits)?).ok()?, wanted))
}

/// `512K`, `1M`, `1MiB`, `65536`, `off`.
fn mode(text: &[u8]) -> Option<Mode> {
    if text == b"off" {
        return Some(Mode::Off);
    }
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, unit) = text.split_at_checked(digits)?;
    let scale = match unit {
        b"" | b"B" => 1,
        b"K" | b"k" | b"KiB" => 1 << 10,
        b"M" | b"m" | b"MiB" => 1 << 20,
        _ => return None,
    };
    let mean = u32::try_from(number(digits)?.checked_mul(scale)?).ok()?;
    Mode::from_word(mean).filter(|mode| matches!(mode, Mode::Sample(_)))
}

fn is_named(names: &[u8], program: &[u8]) -> bool {
    let mut names = names.split(|&byte| byte == b',');
    names.any(|name| name == base_name(program))
}

fn base_name(program: &[u8]) -> &[u8] {
    let mut parts = program.rsplit(|&byte| byte == b'/');
    parts.next().unwrap_or(program)
}

fn number(digits: &[u8]) -> Option<usize> {
    let add = |sum: usize, &digit: &u8| {
        Some(
            sum.checked_mul(10)?
                .checked_add(usize::from(digit.checked_sub(b'0').filter(|&d| d < 10)?)),
        )
    };
    digits
        .iter()
        .try_fold(0, |sum, digit| add(sum, digit).flatten())
        .filter(|_| !digits.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Check that numbers are digits alone and do not overflow.
    #[test]
    fn numbers() {
        assert_eq!(number(b"128"), Some(128));
        assert_eq!(
            [
                number(b""),
                number(b"-1"),
                number(b"1x"),
                number(b"99999999999999999999999")
            ],
            [None; 4]
        );
    }

    /// Check what can be sampled by, and that anything else is none.
    #[test]
    fn modes() {
        assert_eq!(mode(b"512K"), Some(Mode::Sample(524_288)));
        assert_eq!(mode(b"64MiB"), Some(Mode::Sample(64 << 20)));
        assert_eq!(mode(b"1"), Some(Mode::Sample(1)));
        assert_eq!(mode(b"off"), Some(Mode::Off));
        for wrong in [
            "",
            "0",
            "65M",
            "K",
            "512 K",
            "1.5M",
            "-1",
            "on",
            "9999999999999999999K",
        ] {
            assert_eq!(mode(wrong.as_bytes()), None, "{wrong}");
        }
    }

    /// Check that HEAPSHIM_ONLY names base names, whole.
    #[test]
    fn names() {
        assert!(is_named(b"nginx,redis-server", b"/usr/bin/redis-server"));
        assert!(!is_named(b"redis", b"/usr/bin/redis-server"));
    }
}
