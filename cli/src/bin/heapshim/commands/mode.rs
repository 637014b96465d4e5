//! `heapshim mode`: what a running process records from now on.

use super::output::print;
use crate::args::ModeOf as Args;
use heapshim_cli::control::{self, ControlPage};
use heapshim_cli::error::Error;
use heapshim_cli::mode;
use heapshim_cli::session::{self, Session};
use heapshim_ledger::sampling::Mode;
use std::thread;
use std::time::{Duration, Instant};

/// A process that allocates at all does so by then.
const PATIENCE: Duration = Duration::from_millis(500);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(2);

/// Says what is recorded, or has it switched.
pub(crate) fn run(args: &Args) -> Result<(), Error> {
    let session = session::resolve(args.target.target.as_deref())?;
    let Some(asked) = args.mode else {
        return print(&format!("{}\n", mode::word(control::mode(&session)?)));
    };
    control::check(&session, asked)?;
    ControlPage::open(&session)?.ask(asked);
    let when = match comes_about(&session, asked)? {
        true => "",
        false => "   from its next allocation on",
    };
    print(&format!("{}{when}\n", mode::word(asked)))
}

/// Waits for the process to switch. False where it has not yet: one that does nothing switches when it goes on.
fn comes_about(session: &Session, asked: Mode) -> Result<bool, Error> {
    let begun = Instant::now();
    while control::mode(session)? != asked {
        if begun.elapsed() >= PATIENCE {
            return Ok(false);
        }
        thread::sleep(PAUSE);
    }
    Ok(true)
}
