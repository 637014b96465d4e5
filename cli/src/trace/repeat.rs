//! A recording as though its program had gone on doing the same: its events so many times, one after the other.
//!
//! For measurements of recordings that are longer than anybody wants to wait for (`cargo xtask bench-trace --times`). Events are copied as they are packed: a chunk says in
//! its head when it begins, and its events count from there. What happened besides, and what the events name, is told once. Blocks that were alive at the end of one time stay
//! alive for good, and the next one's may have their addresses: where lifetimes matter, the program frees what it has.

use super::file::{self, Chunk, Kind, Output, Refused};
use super::questions::{Account, Moment};
use super::read::{Trace, explain};
use crate::error::{Error, Kind as Failure};
use crate::mark;
use std::fs::File;
use std::path::Path;

/// Writes to `to` what `from` has, so many times. Refused where `from` is not whole: its account could not be added up.
///
/// # Errors
/// `Missing` where events were lost, or the account is not exact; `Damaged` where the file is; what the system said.
pub fn repeat(from: &Path, times: u32, to: &Path) -> Result<(), Error> {
    let mut trace = Trace::open(from)?;
    let mut account = Account::of(&mut trace)?;
    if trace.is_cut() || !account.is_exact() {
        let problem = "not repeated: events are missing, or its account is not exact";
        return Err(Error::new(Failure::Missing, from.display(), problem));
    }
    let unread = |refused: Refused| explain(from, refused);
    let unwritten = |error| Error::io(to.display(), "not written", error);
    let mut input = File::open(from).map_err(|error| unread(error.into()))?;
    let (chunks, _) = file::chunks(&mut input).map_err(unread)?;
    let contents = file::contents(&mut input).map_err(|error| unread(error.into()))?;
    let output = File::create(to).and_then(|file| Output::new(file, contents));
    let mut output = output.map_err(unwritten)?;
    let length_ns = trace.length_ns();
    for time in 0..times.into() {
        let is_wanted = |chunk: &&Chunk| match chunk.head.kind {
            Some(Kind::Events) => true,
            Some(kind) => time == 0 && kind != Kind::End,
            None => false,
        };
        for chunk in chunks.iter().filter(is_wanted) {
            let head = chunk.head.later(length_ns * time);
            let packed = chunk.packed(&mut input).map_err(unread)?;
            let appended = output.append_packed(&head, &[&packed]);
            appended.map_err(unwritten)?;
            if chunk.head.kind == Some(Kind::Events) {
                account.add_chunk(&mut trace, chunk)?;
            }
        }
    }
    let end = Moment {
        ns: length_ns * u64::from(times),
        name: "end".to_owned(),
    };
    let end = account.mark(&mut trace, &end)?;
    let (of, account) = (file::Of::default(), mark::encode(&end));
    let appended = output.append(Kind::End, &of, [&account, &[]]);
    appended.map_err(unwritten)
}
