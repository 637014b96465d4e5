//! Placeholder header: the stages of the heapshim command.
pub mod model;
