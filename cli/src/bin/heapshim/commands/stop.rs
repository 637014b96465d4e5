//! Being asked to stop: Ctrl-C, the terminal's end, a service manager. Commands that have something to tell or to finish ask here.
//!
//! Whoever waits is told. A signal that comes a second after the first, or another Ctrl-C, ends us as if nobody had caught it; not what comes with the first: a terminal that closes
//! hangs up twice, `timeout` asks us and our group. A hangup that was ignored when we were started (nohup) stays ignored; an interrupt does not, since shells have commands
//! in the background ignore it. Threads wait for signals and for lines of stdin; they end with the process.

use heapshim_cli::error::Error;
use heapshim_cli::launch::is_ignored;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;
use std::io::{self, BufRead};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

/// What comes so soon after the first signal is the same request.
const PATIENCE: Duration = Duration::from_secs(1);

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
        let caught = asking
            .into_iter()
            .filter(|&signal| signal != SIGHUP || !is_ignored(SIGHUP));
        let mut signals =
            Signals::new(caught).map_err(|error| Error::io("signals", "not caught", error))?;
        let (sender, receiver) = mpsc::channel();
        let of_signals = sender.clone();
        thread::spawn(move || {
            let mut first = None;
            for signal in signals.forever() {
                let is_again = first.is_some_and(|(before, at): (i32, Instant)| {
                    at.elapsed() >= PATIENCE || (before, signal) == (SIGINT, SIGINT)
                });
                if of_signals.send(Woken::Stop).is_err() || is_again {
                    let _refused = emulate_default_handler(signal);
                }
                first.get_or_insert((signal, Instant::now()));
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
