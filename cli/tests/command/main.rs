//! The command as its user has it: the built binary, its words, its streams and its exit statuses.
//!
//! One file a subject. Each test works in a directory of its own, with its own cache and state, so that tests neither see each other's
//! marks nor the user's. Whoever has to wait waits for a byte of the other side, never for time.
//!
//! Not here: what the account holds (the workspace's `tests/`), and the stages one by one (beside the code).

#![expect(
    clippy::print_stderr,
    reason = "a test that is skipped says what is missing"
)]

mod build;
mod diff;
mod doctor;
mod library;
mod marks;
mod notes;
#[path = "../../../tests/src/own_directory.rs"]
mod own_directory;
mod place;
mod refusals;
mod signals;
mod streams;
mod tree;
mod words;
