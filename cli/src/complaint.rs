//! What a target's shim says of its own account, in sentences: the one place that knows what each bit of the header means.
//!
//! The bits travel as they are (`model::Snapshot::complaints`, mark files), so that a mark of a newer library is not made poorer by an
//! older command; they become sentences where somebody reads them: in reports and in `ls`.
//!
//! Not here: what was lost event by event, which is counted (`model::Losses`).

use heapshim_ledger::layout::Complaint;
use std::fmt;

/// Every kind, gravest first: a report begins with what makes its numbers mean least.
const ALL: [Complaint; 10] = [
    Complaint::Bypassed,
    Complaint::Seal,
    Complaint::Socket,
    Complaint::Python,
    Complaint::Child,
    Complaint::Directory,
    Complaint::Sample,
    Complaint::Depth,
    Complaint::Unwind,
    Complaint::PythonWord,
];

/// One thing to know before the numbers are believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Note {
    /// What is so.
    pub what: &'static str,
    /// What the user can do about it.
    pub next: &'static str,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.what, self.next)
    }
}

/// Of an account that was switched off at some time (`model::Sampling`).
pub const OFF: Note = Note {
    what: "recording was off for some time: what was allocated then is in no number",
    next: "compare marks that were taken since it is on",
};

/// Of two marks of a process in the order in which they were not taken.
pub const BACKWARDS: Note = Note {
    what: "the second mark was taken before the first: what grew from one to the other stands here as shrunk",
    next: "name the earlier one first",
};

/// What these bits say, gravest first. Bits of a newer library are one note of their own: never silently left out.
#[must_use]
pub fn notes(bits: u32) -> Vec<Note> {
    let said = |&kind: &Complaint| bits & kind as u32 != 0;
    let known = ALL.iter().fold(0, |all, &kind| all | kind as u32);
    let strange = (bits & !known != 0).then_some(Note {
        what: "its library says something of this account that this heapshim does not understand",
        next: "use the heapshim that it was started with",
    });
    let kinds = ALL.iter().filter(|kind| said(kind));
    kinds.map(|&kind| note(kind)).chain(strange).collect()
}

fn note(kind: Complaint) -> Note {
    let (what, next) = match kind {
        Complaint::Bypassed => (
            "this program has an allocator of its own linked in: what it allocates with that is not seen",
            "to see it, link the program without it, or with it as a shared library; Go has its own profiler (pprof)",
        ),
        Complaint::Seal => (
            "its account is not sealed: another process of its user could have changed it",
            "trace it on a kernel or in a sandbox that allows fcntl(F_ADD_SEALS)",
        ),
        Complaint::Socket => (
            "the `heapshim run` that started it could not be reached: no report comes when it ends",
            "look at it while it runs, with `heapshim diff`",
        ),
        Complaint::Python => (
            "this build of Python is not known: no Python lines, and small objects are not seen",
            "read the native lines, or run the program on CPython 3.7 to 3.13 with a GIL",
        ),
        Complaint::Child => (
            "children that it forked are not traced: a seccomp filter or a limit forbids it",
            "look at this process alone, or start it without the filter",
        ),
        Complaint::Directory => (
            "its account could not be kept in HEAPSHIM_DIR: it is in memory, and gone when the process ends",
            "name an absolute directory that it may write, on a disk with room",
        ),
        Complaint::Sample => (
            "HEAPSHIM_SAMPLE is no size from 1 to 64M, nor `off`: every event is recorded",
            "start it with another value, such as 512K, or switch it with `heapshim mode`",
        ),
        Complaint::Depth => (
            "HEAPSHIM_DEPTH is no number from 1 to 512: stacks are kept to the default depth",
            "start it with another value",
        ),
        Complaint::Unwind => (
            "HEAPSHIM_UNWIND is neither `auto` nor `fp`: stacks are walked by unwind tables",
            "start it with one of these, or without it",
        ),
        Complaint::PythonWord => (
            "HEAPSHIM_PYTHON is neither `on` nor `off`: Python is looked for",
            "start it with one of these, or without it",
        ),
    };
    Note { what, next }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Check that each bit has a note of its own, that several keep their order, and that none says nothing.
    #[test]
    fn each_bit() {
        assert!(notes(0).is_empty());
        for kind in ALL {
            assert_eq!(notes(kind as u32), [note(kind)]);
        }
        let two = notes(Complaint::Depth as u32 | Complaint::Bypassed as u32);
        assert_eq!(two, [note(Complaint::Bypassed), note(Complaint::Depth)]);
    }

    /// Check that bits of a newer library are said, and once.
    #[test]
    fn unknown_bits() {
        let notes = notes(u32::MAX);
        assert_eq!(notes.len(), ALL.len() + 1);
        assert!(notes[ALL.len()].what.contains("does not understand"));
    }

    /// Check that a note is one line: what is so, then the next step.
    #[test]
    fn line() {
        let line = note(Complaint::Bypassed).to_string();
        let start = "this program has an allocator of its own linked in: what it allocates with that is not seen; ";
        assert!(line.starts_with(start) && !line.contains('\n'), "{line}");
    }
}
