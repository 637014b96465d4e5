//! Who freed what a recording's rows allocated: its events in order, as `frees` counts them. Memory: the rows that grew, and the lines that freed their blocks.

use super::file::Chunk;
use super::read::Trace;
use crate::error::{Error, Kind};
use crate::frees::{Freed, Frees, Groups};
use std::rc::Rc;

/// Who freed the blocks of each group that grew, from the recording's beginning up to an instant (in nanoseconds), and how many of them after another.
///
/// # Errors
/// `Missing` where the stacks of frees were not recorded; `Damaged` where the file is.
pub fn freed(
    trace: &mut Trace,
    groups: &Groups,
    from_ns: u64,
    to_ns: u64,
) -> Result<Vec<Rc<Freed>>, Error> {
    check(trace)?;
    let mut frees = Frees::new(groups);
    let has_any = |chunk: &&Chunk| chunk.head.from_ns <= to_ns;
    let chunks: Vec<Chunk> = trace.events().filter(has_any).copied().collect();
    trace.visit(&chunks, |happening| {
        let is_within = happening.ns <= to_ns;
        match happening.operation.frees() {
            _ if !is_within => (),
            true => frees.freed(
                (happening.site, happening.freed_by),
                happening.ns,
                happening.size,
                happening.ns > from_ns,
            ),
            false => frees.allocated(happening.site, happening.ns),
        }
        is_within
    })?;
    let freed = frees.finish(to_ns.min(trace.length_ns()));
    Ok(freed.into_iter().map(Rc::new).collect())
}

/// Refuses a recording that cannot say.
///
/// # Errors
/// `Missing` where the stacks of frees were not recorded.
pub fn check(trace: &Trace) -> Result<(), Error> {
    if trace.has_free_stacks() {
        return Ok(());
    }
    let problem = "the stacks of frees were not recorded";
    let next = "record it with --free-stacks: heapshim record --free-stacks -o FILE";
    Err(Error::new(Kind::Missing, trace.path().display(), problem).next(next))
}
