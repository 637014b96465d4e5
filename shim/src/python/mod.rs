//! CPython in the target: its objects, which malloc never sees.

pub(crate) mod shadow;
pub(crate) mod watched;

pub(crate) use watched::code_freed;
