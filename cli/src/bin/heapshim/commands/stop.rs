//! Being asked to stop: Ctrl-C, the terminal's end, a service manager. Commands that have something to tell or to finish ask here.
//!
//! The first such signal is passed on, the second ends us as if nobody had caught it. One that was ignored when we were started (nohup) stays
//! ignored. Threads wait for signals and for lines of stdin; they end with the process.

use heapshim_cli::error::Error;
use heapshim_cli::launch::is_ignored;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;
use std::io::{self, BufRead};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

/// What ended a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Woken {
    /// The time is over.
    Time,
    /// Somebody pressed Enter.
    Entered,
    /// A signal asks us to stop, or stdin has ended.
    Stop,
}

/// What somebody has asked for since we began.
#[derive(Debug)]
pub(super) struct Asked {
    receiver: Receiver<Woken>,
    sender: Sender<Woken>,
}

impl Asked {
    /// Catches the signals from now on.
    pub(super) fn by_signals() -> Result<Asked, Error> {
        let asking = [SIGINT, SIGTERM, SIGHUP];
        let caught = asking.into_iter().filter(|&signal| !is_ignored(signal));
        let mut signals =
            Signals::new(caught).map_err(|error| Error::io("signals", "not caught", error))?;
        let (sender, receiver) = mpsc::channel();
        let of_signals = sender.clone();
        thread::spawn(move || {
            for (number, signal) in signals.forever().enumerate() {
                let unheard = of_signals.send(Woken::Stop).is_err();
                if number > 0 || unheard {
                    let _refused = emulate_default_handler(signal);
                }
            }
        });
        Ok(Asked { receiver, sender })
    }

    /// Listens to stdin, too, line by line until its end.
    pub(super) fn or_by_lines(self) -> Asked {
        let sender = self.sender.clone();
        thread::spawn(move || {
            for line in io::stdin().lock().lines() {
                if line.is_err() || sender.send(Woken::Entered).is_err() {
                    break;
                }
            }
            // Nobody may be there any more.
            let _unheard = sender.send(Woken::Stop);
        });
        self
    }

    /// True where somebody has asked us to stop; never waits.
    pub(super) fn is_stopped(&self) -> bool {
        self.receiver.try_recv() == Ok(Woken::Stop)
    }

    /// Waits until something happens, so long at most.
    pub(super) fn wait(&self, at_most: Duration) -> Woken {
        match self.receiver.recv_timeout(at_most) {
            Ok(woken) => woken,
            Err(RecvTimeoutError::Timeout) => Woken::Time,
            Err(RecvTimeoutError::Disconnected) => Woken::Stop,
        }
    }
}
