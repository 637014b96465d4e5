//! The most memory that a command had resident at once, which is all that can be known of it once it has ended.
//!
//! Asked by `child`, before the start and after the end. The kernel keeps one number for a process and all that it has waited for (getrusage(2), wait4(2)).
//! It begins with what the process had resident before it executed the command, which was a copy of us: a number that is not above ours
//! says nothing of the command. Ours is that of our program alone (`VmHWM`): getrusage's would hold whoever executed us, too.

use crate::process;

/// What we had resident at most, until now: taken just before the command is started.
#[derive(Clone, Copy, Debug)]
pub(super) struct Before(u64);

impl Before {
    pub(super) fn now() -> Before {
        Before(process::most_resident(std::process::id()).unwrap_or(u64::MAX))
    }

    /// Bytes that the command, or a process that it waited for, had resident at most. Our only child is the command. None: it cannot be told.
    pub(super) fn of_children(self) -> Option<u64> {
        most_resident_child().filter(|&bytes| bytes > self.0)
    }
}

fn most_resident_child() -> Option<u64> {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: the structure is ours, and as large as the kernel takes it to be.
    let failed = unsafe { libc::getrusage(libc::RUSAGE_CHILDREN, usage.as_mut_ptr()) };
    // SAFETY: zeroes are a value of it, and getrusage has filled it where it did not fail.
    let usage = unsafe { usage.assume_init() };
    let kib = u64::try_from(usage.ru_maxrss).ok().filter(|_| failed == 0);
    kib.and_then(|kib| kib.checked_mul(1024))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Check that what we have is known, and that of children that had no more than we have, nothing is said.
    #[test]
    fn own_memory() {
        let Before(bytes) = Before::now();
        assert!((1 << 20..1 << 40).contains(&bytes), "{bytes}");
        assert_eq!(Before(u64::MAX).of_children(), None);
    }
}
