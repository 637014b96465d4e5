//! What would stop a command from being traced, or a process from being looked at, and what to do about it.
//!
//! Called by the command `doctor`. Every check that `run` and `diff` make themselves is theirs (`launch::check`, `Session::attach`,
//! `library::path`), so that doctor never says another thing than what will happen; what else is here explains. One concept a file:
//! `finding` (a line of the answer), `machine` (this system and this environment), `program` (a command, before it is started), `target`
//! (a process that runs), `limits`, `debug` (which modules have source lines), `packages` (who would bring them).

mod debug;
mod environment;
mod finding;
mod limits;
mod machine;
mod packages;
mod program;
mod target;

pub use finding::{Finding, Level};
pub use machine::findings as machine;
pub use program::findings as program;
pub use target::{find, findings as target};
