//! What numbers of the ledger mean that are neither places nor sizes: why a stack ends, what to know of an account, what was recorded. Part of [`crate::layout`], which
//! names them all: numbers are never given another meaning.

/// Why a walk stopped before the outermost frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum TruncatedReason {
    /// Deeper than the depth that was asked for.
    Depth = 1,
    /// Code without unwind information (JIT code, hand-written assembly).
    NoRule = 2,
    /// The next frame lies outside the mapped stack.
    Unreadable = 3,
    /// The frames do not form a stack.
    Corrupt = 4,
    /// Unwind information of a form that the walk does not know.
    Unsupported = 5,
}

/// What a reader should tell its user of an account: a bit of `Header::complaints` each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Complaint {
    /// HEAPSHIM_DEPTH is no number from 1 to 512: the default was taken.
    Depth = 1,
    /// The `run` that started the program could not be reached: it does not hold this account.
    Socket = 2,
    /// The ledger could not be sealed.
    Seal = 4,
    /// The program defines malloc itself, in front of the shim: its own allocations are not seen.
    Bypassed = 8,
    /// The program runs a Python whose build is not known: native stacks only.
    Python = 16,
    /// A child that it forked is not traced: a seccomp filter or a limit leaves no room for an account.
    Child = 32,
    /// HEAPSHIM_DIR could not take the ledger: it lies in memory, and is gone with the process.
    Directory = 64,
    /// HEAPSHIM_SAMPLE is no size that can be sampled by: every event is recorded.
    Sample = 128,
    /// HEAPSHIM_UNWIND is neither `auto` nor `fp`: the default was taken.
    Unwind = 256,
    /// HEAPSHIM_PYTHON is neither `on` nor `off`: the default was taken.
    PythonWord = 512,
}

/// A mode that was in effect at some time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Was {
    /// Every event was recorded.
    Exact = 1,
    /// A sample was.
    Sampled = 2,
    /// Nothing was.
    Off = 4,
}

/// How a reader wants its events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum RingFlag {
    /// A full ring is waited for as long as the reader lives.
    Lossless = 1,
    /// The stack of each free is wanted.
    FreeStacks = 2,
}
