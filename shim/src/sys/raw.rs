//! The `syscall` instruction, error numbers, and descriptors of ours by number. The other files here call it; nobody else does.

use core::arch::asm;

/// A system call's error number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Errno(pub(crate) i32);

unsafe extern "C" {
    fn __errno_location() -> *mut i32;
}

/// Sets the target's errno, where a function that we export fails by itself.
pub(crate) fn set_errno(error: i32) {
    // SAFETY: takes no arguments.
    let errno = unsafe { __errno_location() };
    // SAFETY: libc's errno of this thread.
    unsafe { errno.write(error) };
}

/// Makes a system call.
///
/// # Safety
/// The caller promises that the arguments are what the call with this number takes, and that its effects are wanted.
#[inline(always)]
pub(super) unsafe fn raw(number: libc::c_long, arguments: [usize; 6]) -> Result<usize, Errno> {
    let result: i64;
    let [a, b, c, d, e, f] = arguments;
    // SAFETY: the kernel's calling convention on x86-64: number in rax, arguments in rdi, rsi, rdx, r10, r8, r9; rcx and r11 are
    // clobbered; the effects are the caller's promise.
    unsafe {
        asm!("syscall", inlateout("rax") number => result, in("rdi") a, in("rsi") b, in("rdx") c, in("r10") d, in("r8") e,
            in("r9") f, lateout("rcx") _, lateout("r11") _, options(nostack));
    }
    match result {
        -4095..0 => Err(Errno(i32::try_from(-result).unwrap_or(libc::EINVAL))),
        value => Ok(usize::try_from(value).unwrap_or(usize::MAX)),
    }
}

/// A descriptor of ours, by number: not closed when dropped, since it lives as long as the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Descriptor(pub(crate) i32);

impl Descriptor {
    pub(super) fn number(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }

    pub(super) fn from(result: usize) -> Descriptor {
        Descriptor(i32::try_from(result).unwrap_or(-1))
    }
}

/// The same bits, as the kernel takes flags.
pub(super) fn widen(flags: i32) -> usize {
    flags.cast_unsigned() as usize
}

/// Sign-extended, as the kernel takes descriptors that may be −1 or AT_FDCWD.
pub(super) fn signed(number: i32) -> usize {
    (number as isize).cast_unsigned()
}
