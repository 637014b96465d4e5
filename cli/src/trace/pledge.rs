//! Has the kernel tell the target when a thread of ours has ended, in whatever way: a robust futex without a mutex.
//!
//! The thread registers a list of one entry (set_robust_list(2)). When it ends, killed or not, the kernel goes through the list, and where the word that an entry leads to
//! still names the thread, sets FUTEX_OWNER_DIED in it. The word lies in the control page, which the target sees; the list in our memory, which it does not, so that nothing
//! that it writes leads the kernel anywhere. It goes before the file's lock, which is given back with the descriptors.
//!
//! A thread has one list: the C library's is replaced, so this thread must never hold a robust mutex.

use heapshim_ledger::layout::Control;
use heapshim_ledger::sync::Word;
use std::mem::offset_of;
use std::ptr;

/// The kernel's `struct robust_list_head`, and behind it the one entry, a `struct robust_list`. Addresses are numbers: nobody but the kernel follows them.
#[derive(Debug)]
#[repr(C)]
struct List {
    first: usize,
    /// From an entry to its futex.
    offset: isize,
    /// What is being locked or unlocked: nothing.
    pending: usize,
    /// The next entry: the head, where the list ends.
    entry: usize,
}

/// What the kernel takes for the head.
const HEAD_BYTES: usize = offset_of!(List, entry);

/// While it lives and its thread does not, the control page says so. It belongs to the thread that made it, since it has raw memory and stays there.
#[derive(Debug)]
pub(super) struct Pledge<'a> {
    control: &'a Control,
    tid: u32,
    list: *mut List,
}

impl<'a> Pledge<'a> {
    /// Names the calling thread as the one that answers for the request. None where the kernel refuses: then the lease is all that there is.
    pub(super) fn make(control: &'a Control) -> Option<Pledge<'a>> {
        // Whoever answered for a request before has no part in this one.
        control.owner.put(0);
        let list = Box::into_raw(Box::new(List::to(&raw const control.owner as usize)));
        // SAFETY: `list` was a box just now; the reference is gone before the kernel knows of it.
        let linked = unsafe { &mut *list };
        linked.link();
        let pledge = Pledge {
            control,
            tid: rustix::thread::gettid()
                .as_raw_nonzero()
                .get()
                .cast_unsigned(),
            list,
        };
        register(list).then(|| {
            control.owner.put(pledge.tid);
            pledge
        })
    }
}

impl Drop for Pledge<'_> {
    fn drop(&mut self) {
        // Whatever else stands there is not ours.
        let _ours = self.control.owner.claim(self.tid, 0);
        if register(ptr::null()) {
            // SAFETY: from `Box::into_raw` in `make`, which is the only place that makes one; the kernel has just forgotten it.
            drop(unsafe { Box::from_raw(self.list) });
        }
    }
}

impl List {
    /// Of this futex; to be linked where it stays.
    fn to(futex: usize) -> List {
        List {
            first: 0,
            offset: futex.cast_signed(),
            pending: 0,
            entry: 0,
        }
    }

    fn link(&mut self) {
        self.entry = &raw const *self as usize;
        self.first = &raw const self.entry as usize;
        self.offset = self.offset.wrapping_sub_unsigned(self.first);
    }
}

/// Gives the kernel this thread's list, or none; false where it takes none.
fn register(list: *const List) -> bool {
    // SAFETY: the kernel reads the list when the thread ends, and not before: it stays where it is until another is registered, or none. Whatever it leads
    // to, the kernel writes no word but one that names this thread.
    unsafe { libc::syscall(libc::SYS_set_robust_list, list, HEAD_BYTES) == 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::{Mapped, made};
    use heapshim_ledger::control::OWNER_DIED;
    use heapshim_ledger::layout::PAGE;
    use std::thread;

    /// Check that the kernel says of a thread that has ended with its pledge that it has died, that one that took its pledge back has not, and that
    /// a word which names another thread is left as it is.
    #[test]
    fn ends() {
        let page = Mapped::of(&made(0, 7), PAGE, 7, "test").expect("mapped");
        let control = page.control();
        let after = |end: fn(Pledge<'_>, &Control)| {
            thread::scope(|scope| {
                let make = || Pledge::make(control).expect("robust futexes");
                let ended = scope.spawn(move || end(make(), control));
                ended.join().expect("no panic");
            });
            control.owner.peek()
        };
        assert_eq!(after(|pledge, _| drop(pledge)), 0);
        assert_eq!(
            after(|pledge, control| {
                control.owner.put(1);
                std::mem::forget(pledge);
            }),
            1
        );
        assert_eq!(after(|pledge, _| std::mem::forget(pledge)), OWNER_DIED);
        assert!(control.is_over(0));
    }
}
