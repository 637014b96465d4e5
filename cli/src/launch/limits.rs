//! The limit on descriptors, as a command is to inherit it.
//!
//! `child` raises our own while a command runs, since a tree may have any number of processes. Whoever runs a second command puts it
//! back first, or that command would start with other limits than the first.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What the limit was.
#[derive(Clone, Debug)]
pub struct Limits(Rlimit);

impl Limits {
    /// What it is now.
    #[must_use]
    pub fn now() -> Limits {
        Limits(getrlimit(Resource::Nofile))
    }

    /// Puts it back.
    pub fn restore(&self) {
        // Lowering what was raised is always allowed.
        let _done = setrlimit(Resource::Nofile, self.0);
    }
}
