//! A thread that tells the target that its reader lives, whatever the reader is busy with: a slow disk, a large table, a loaded machine; and of which the kernel
//! tells the target when it has ended (`pledge`).
//!
//! It has a mapping of its own of the control page, and ends with the value that it belongs to.

use super::clock::{Clock, Look};
use super::pledge::Pledge;
use crate::control::Mapped;
use heapshim_ledger::sync::Word;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// How long the target believes in us after our last word: longer than a loaded machine keeps a thread from running. As long at most does a target
/// that was to lose nothing wait for a reader that is stopped.
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
    /// Begins, with a lease and a pledge that are there when this returns. The page is a mapping of its own.
    pub(super) fn begin(page: Mapped, first: Look) -> Heartbeat {
        renew(&page, first);
        let (stop, stopped) = channel();
        let (ready, is_ready) = channel();
        let beat = move || {
            let _pledge = Pledge::make(page.control());
            drop::<Sender<()>>(ready);
            while stopped.recv_timeout(EVERY) == Err(RecvTimeoutError::Timeout) {
                renew(&page, first);
            }
        };
        let thread = thread::spawn(beat);
        // Nothing is sent: the other end goes when the pledge is made.
        let _ready = is_ready.recv();
        Heartbeat {
            stop: Some(stop),
            thread: Some(thread),
        }
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

/// The target believes in us from now on for as long as a lease runs.
pub(super) fn renew(page: &Mapped, first: Look) {
    let until = Clock::ticks_in(first, Look::now(), LEASE_NS);
    page.control().lease.put(until);
}
