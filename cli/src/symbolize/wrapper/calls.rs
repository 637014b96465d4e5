//! What functions of other modules do to a wrapper that calls them.
//!
//! Used by `walk`. A name that is not here may do anything.

use iced_x86::Register;

/// What a call does, beyond changing the registers that every call may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// It does not come back.
    NoReturn,
    /// It does not come back where this argument is not 0.
    NoReturnUnless0(Register),
    /// It fills the block that is its first argument with one value, and returns it.
    Fill,
    /// Nothing that anybody would look for: a lock, a question.
    Quiet,
    /// Anything.
    Loud,
}

const NO_RETURN: [&str; 31] = [
    "abort",
    "exit",
    "_exit",
    "_Exit",
    "quick_exit",
    "__assert_fail",
    "__assert_perror_fail",
    "__assert",
    "__stack_chk_fail",
    "__chk_fail",
    "__fortify_fail",
    "err",
    "errx",
    "verr",
    "verrx",
    "longjmp",
    "_longjmp",
    "siglongjmp",
    "__longjmp_chk",
    "pthread_exit",
    "thrd_exit",
    "__cxa_throw",
    "__cxa_rethrow",
    "__cxa_throw_bad_array_new_length",
    "__cxa_throw_bad_array_length",
    "_Unwind_Resume",
    "g_assertion_message",
    "g_assertion_message_expr",
    "_ZSt9terminatev",
    "_ZSt10unexpectedv",
    "__clang_call_terminate",
];

/// `std::__throw_bad_alloc()` and its like.
const THROWS: &str = "__throw_";

const QUIET: [&str; 10] = [
    "pthread_mutex_lock",
    "pthread_mutex_unlock",
    "pthread_spin_lock",
    "pthread_spin_unlock",
    "mtx_lock",
    "mtx_unlock",
    "pthread_self",
    "malloc_usable_size",
    "__errno_location",
    "__tls_get_addr",
];

const FILL: [&str; 5] = [
    "memset",
    "__memset_chk",
    "explicit_bzero",
    "bzero",
    "__bzero",
];

/// The function that gives its block through its first argument, and returns 0.
pub(super) const THROUGH_ARGUMENT: &str = "posix_memalign";

/// The arguments that an allocator takes a size in; of one that is not known, of a wrapper, any that may be.
pub(super) fn size_arguments(name: Option<&str>) -> &'static [Register] {
    use Register::{RDI, RDX, RSI};
    match name {
        Some("malloc" | "valloc" | "pvalloc" | "_Znwm" | "_Znam") => &[RDI],
        Some("calloc") => &[RDI, RSI],
        Some("realloc" | "aligned_alloc" | "memalign") => &[RSI],
        Some("reallocarray") => &[RSI, RDX],
        Some(THROUGH_ARGUMENT) => &[RDX],
        _ => &[RDI, RSI, RDX],
    }
}

/// What the function of this name does.
pub(super) fn effect(name: &str) -> Effect {
    match name {
        "error" | "error_at_line" => Effect::NoReturnUnless0(Register::RDI),
        name if NO_RETURN.contains(&name) => Effect::NoReturn,
        name if name.starts_with("_ZSt") && name.contains(THROWS) => Effect::NoReturn,
        name if FILL.contains(&name) => Effect::Fill,
        name if QUIET.contains(&name) => Effect::Quiet,
        _ => Effect::Loud,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Check one function of each kind, and names that look alike.
    #[test]
    fn each_kind() {
        for (name, expected) in [
            ("abort", Effect::NoReturn),
            ("_ZSt17__throw_bad_allocv", Effect::NoReturn),
            ("my__throw_away", Effect::Loud),
            ("error", Effect::NoReturnUnless0(Register::RDI)),
            ("memset", Effect::Fill),
            ("memcpy", Effect::Loud),
            ("pthread_mutex_lock", Effect::Quiet),
            ("", Effect::Loud),
        ] {
            assert_eq!(effect(name), expected, "{name}");
        }
    }
}
