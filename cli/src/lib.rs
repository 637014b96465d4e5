//! The stages of the `heapshim` command, in pipeline order: find a traced process, copy its account, name its lines, compare, print.
pub mod blame;
pub mod catalog;
pub mod complaint;
pub mod diff;
pub mod directory;
pub mod error;
#[cfg(test)]
mod fixture;
pub mod glob;
pub mod iso_time;
pub mod launch;
pub mod library;
pub mod mapping;
pub mod mark;
pub mod model;
pub mod overview;
pub mod process;
pub mod render;
pub mod report;
pub mod session;
pub mod snapshot;
pub mod store;
pub mod subject;
pub mod symbolize;
pub mod tree;
