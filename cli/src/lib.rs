//! Placeholder header: the stages of the heapshim command.
pub mod catalog;
pub mod directory;
pub mod error;
pub mod launch;
pub mod library;
pub mod mapping;
pub mod mark;
pub mod model;
pub mod process;
pub mod session;
pub mod snapshot;
pub mod store;
