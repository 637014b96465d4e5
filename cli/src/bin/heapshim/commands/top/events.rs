//! Keys, sizes and signals, one after the other: whatever comes first.
//!
//! Two threads wait, one for the terminal and one for signals, and pass on what they get; they end with the process. Signals are those that
//! end a program: they are obeyed after the terminal was given back.

use ratatui::crossterm::event::{self, Event as Input, KeyEvent, KeyEventKind};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;
use std::io;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

/// What happens.
#[derive(Debug)]
pub(super) enum Event {
    /// A key.
    Key(KeyEvent),
    /// The terminal has another size, or something else that is seen by drawing.
    Redraw,
    /// A signal that ends us.
    Signal(i32),
    /// The time has come.
    Time,
    /// The terminal has gone.
    Closed,
}

/// All that happens.
#[derive(Debug)]
pub(super) struct Events(Receiver<Event>);

impl Events {
    pub(super) fn begin() -> io::Result<Events> {
        let (sender, receiver) = mpsc::channel();
        let mut signals = Signals::new([SIGTERM, SIGHUP, SIGINT, SIGQUIT])?;
        let of_signals = sender.clone();
        thread::spawn(move || {
            let events = signals.forever().map(Event::Signal);
            pass_on(events, &of_signals);
        });
        thread::spawn(move || pass_on(std::iter::repeat_with(input), &sender));
        Ok(Events(receiver))
    }

    /// The next, or that the time has come.
    pub(super) fn next(&self, within: Duration) -> Event {
        match self.0.recv_timeout(within) {
            Ok(event) => event,
            Err(RecvTimeoutError::Timeout) => Event::Time,
            Err(RecvTimeoutError::Disconnected) => Event::Closed,
        }
    }
}

/// Until nobody listens, or nothing more can come.
fn pass_on(events: impl Iterator<Item = Event>, to: &Sender<Event>) {
    for event in events {
        let last = matches!(event, Event::Closed);
        if to.send(event).is_err() || last {
            return;
        }
    }
}

fn input() -> Event {
    match event::read() {
        Ok(Input::Key(key)) if key.kind != KeyEventKind::Release => Event::Key(key),
        Ok(_) => Event::Redraw,
        Err(_) => Event::Closed,
    }
}

/// Ends as the signal would have ended us, had nobody caught it.
pub(super) fn end_by(signal: i32) {
    let _refused = emulate_default_handler(signal);
}
