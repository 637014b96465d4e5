//! The harness: what a test of the suite says, in the words of the manual.
//!
//! ```no_run
//! # use heapshim_tests::Target;
//! let mut target = Target::c("leak.c").opt("-O2").spawn();
//! target.mark("warm");
//! target.step(b"go");
//! target.diff(&["warm"]).assert_rows(&target.expected());
//! ```
//!
//! Our part: building the command and the programs once, a place of its own for each run of the suite, an environment that is the
//! same on every machine, the hand-shake with a target, and reading what the command prints. A test's part: what the right answer is;
//! for a target program it mostly stands in its source, as a comment on the line that it is about (`expected`). Not for: anything
//! that only one test needs.
//!
//! Rules that keep tests true: a target and its test take turns through pipes, nothing sleeps and nothing has a time limit,
//! but no wait outlives whom it waits for (`until`, `Tmux::wait`); the
//! command and the library are those that a user gets; a program that is missing skips a test by name, and fails it in CI.

mod browser;
mod command;
mod compile;
mod control_page;
mod count;
mod descriptors;
mod diff;
mod expected;
mod hangup;
mod heaptrack_figures;
mod heaptrack_lines;
mod ledger_size;
mod needs;
mod oracle;
mod own_directory;
mod package;
mod place;
mod pythons;
mod recording;
mod run;
mod schema;
mod soak;
mod stress;
mod suites;
mod target;
mod tmux;
mod until;
mod walks;
mod walkthrough;

pub use browser::Browser;
pub use command::{heapshim, library, talk};
pub use compile::{Compiler, shared_library};
pub use control_page::ControlPage;
pub use count::{
    Counts, OBJECTS_LEFT_OUT, as_long_as_ours, counted, counting_preload, counts_in, total_of,
};
pub use descriptors::descriptors_of;
pub use diff::{Amount, Diff, Row};
pub use expected::{Expected, expected_in};
pub use hangup::hears_hangups;
pub use heaptrack_figures::HeaptrackFigures;
pub use heaptrack_lines::{HeaptrackLines, Held, Where};
pub use ledger_size::LedgerSize;
pub use needs::{as_nobody, as_root, for_all, found, go, needs, not_allowed, skip};
pub use oracle::Usage;
pub use package::Package;
pub use place::{
    copy_program, environment, fresh_directory, line_of, open_directory, programs, workspace,
    write_program,
};
pub use pythons::{Python, builds, needs_debug_build, pythons};
pub use recording::{Recorded, Recording};
pub use run::{Finished, Run, bare};
pub use schema::Schema;
pub use soak::{Outcome, Soak, soaks};
pub use stress::{stress, stress_by};
pub use suites::{OthersTest, Verdict, tests_of, tests_of_python};
pub use target::{Running, Target};
pub use tmux::Tmux;
pub use until::until;
pub use walks::{Stack, Stacks, assert_same_stacks, walks_in};
pub use walkthrough::{Walkthrough, alone};
