//! `workloads/pairs.c`, compiled: the program of pairs of malloc and free that several benches measure.

use std::path::Path;
use std::process::Command;

/// Where its source lies.
const SOURCE: &str = "xtask/workloads/pairs.c";

/// Compiles it to `program`, with these words for the compiler beyond the usual.
pub(crate) fn compile(root: &Path, program: &Path, flags: &[&str]) -> Option<()> {
    let mut compiler = Command::new("gcc");
    compiler.args(["-O2", "-g", "-pthread"]).args(flags);
    let status = compiler
        .arg(root.join(SOURCE))
        .arg("-o")
        .arg(program)
        .status();
    status.ok()?.success().then_some(())
}
