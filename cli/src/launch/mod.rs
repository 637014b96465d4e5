//! Starting a program under the shim and holding what it and its children account for, until they end.
//!
//! Called by the commands `run`, `check` and `demo`. `executable` says beforehand what cannot be traced (with `image`, `rights`, `script`, `preloads`,
//! `allocator`, which `doctor` asks, too); `command` starts it; `gather` receives
//! the ledgers of the whole tree over sockets (`listener`); `peak` is how much memory it had at most; `signals` keeps the terminal's signals from ending us before our report. All of it is
//! one thread around one poll(2): nothing here waits for the target, and the target never waits for us.

pub mod allocator;
mod child;
mod command;
mod executable;
mod gather;
pub mod image;
mod limits;
mod listener;
mod onward;
mod peak;
pub mod preloads;
mod rights;
mod script;
mod signals;
mod spoken;

pub use child::{Arrival, Arrived, Child, Ended, Happened, run};
pub use command::{Settings, command};
pub use executable::{Refusal, check};
pub use gather::{Files, Gather, Held};
pub use limits::Limits;
pub use listener::Place;
pub use signals::{inherited_sigpipe, is_ignored};
pub use spoken::Spoken;
