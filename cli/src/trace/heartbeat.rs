//! A thread that tells the target that its reader lives, whatever the reader is busy with: a slow disk, a large table, a loaded machine.
//!
//! It has a mapping of its own of the control page, and ends with the value that it belongs to.

use super::clock::{Clock, Look};
use crate::error::Error;
use heapshim_ledger::layout::Control;
use heapshim_ledger::sync::Word;
use heapshim_ledger::{Region, rings};
use rustix::mm::{MapFlags, ProtFlags};
use std::os::fd::AsFd;
use std::ptr::NonNull;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// How long the target believes in us after our last word: longer than a loaded machine keeps a thread from running. As long at most does a target
/// that was to lose nothing wait for a reader that was killed.
const LEASE_NS: u64 = 10_000_000_000;
/// Between two words.
const EVERY: Duration = Duration::from_millis(100);

/// Renews the lease until it is dropped.
#[derive(Debug)]
pub(super) struct Heartbeat {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Heartbeat {
    /// Begins, with a lease that is there when this returns. The file is one page at least, and sealed.
    pub(super) fn begin(file: impl AsFd, first: Look, object: &str) -> Result<Heartbeat, Error> {
        let page = Page::map(file, object)?;
        page.renew(first);
        let (stop, stopped) = channel();
        let beat = move || {
            while stopped.recv_timeout(EVERY) == Err(RecvTimeoutError::Timeout) {
                page.renew(first);
            }
        };
        Ok(Heartbeat {
            stop: Some(stop),
            thread: Some(thread::spawn(beat)),
        })
    }
}

impl Drop for Heartbeat {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // It has nothing to say.
            let _ended = thread.join();
        }
    }
}

/// The control page, mapped.
struct Page(NonNull<u8>);

// SAFETY: the page is reached through atomics alone.
unsafe impl Send for Page {}

impl Page {
    fn map(file: impl AsFd, object: &str) -> Result<Page, Error> {
        let (protection, flags) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED);
        // SAFETY: no address is asked for, so that no other mapping is touched; the memory is used as atomics alone.
        let mapped = unsafe {
            rustix::mm::mmap(
                std::ptr::null_mut(),
                size_of::<Control>(),
                protection,
                flags,
                file,
                0,
            )
        };
        let failed = |errno| Error::io(object, "its control page was not mapped", errno);
        let base = NonNull::new(mapped.map_err(failed)?.cast());
        let none = || {
            Error::new(
                crate::error::Kind::Failed,
                object,
                "its control page was mapped at 0",
            )
        };
        Ok(Page(base.ok_or_else(none)?))
    }

    fn renew(&self, first: Look) {
        // SAFETY: mapped, readable and writable until `self` is dropped; page-aligned; a file that its maker has sealed against
        // shrinking; and this type uses it through `Region` alone.
        let region = unsafe { Region::new(self.0.as_ptr(), size_of::<Control>() as u64) };
        if let Ok(control) = rings::control(&region) {
            control
                .lease
                .put(Clock::ticks_in(first, Look::now(), LEASE_NS));
        }
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        // SAFETY: exactly what `map` mapped; every borrow of it is gone.
        let _unmapped = unsafe { rustix::mm::munmap(self.0.as_ptr().cast(), size_of::<Control>()) };
    }
}
