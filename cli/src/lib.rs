//! The stages of the `heapshim` command, in pipeline order: find a traced process, copy its account, name its lines, compare, print.
pub mod blame;
pub mod bundle;
pub mod catalog;
pub mod complaint;
pub mod denial;
pub mod diff;
pub mod directory;
pub mod doctor;
pub mod error;
pub mod export;
#[cfg(test)]
mod fixture;
pub mod glob;
pub mod iso_time;
pub mod kept;
pub mod launch;
pub mod library;
pub mod mapping;
pub mod mark;
pub mod merged;
pub mod model;
pub mod nearest;
pub mod overview;
pub mod process;
pub mod render;
pub mod report;
pub mod resident;
pub mod rss;
pub mod session;
pub mod shell;
pub mod snapshot;
pub mod store;
pub mod subject;
pub mod symbolize;
#[cfg(test)]
mod totals;
pub mod tree;
