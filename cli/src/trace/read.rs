//! A trace, opened to be asked: where its chunks are, what its sites mean, and the account that its events are added to.
//!
//! Only heads are read until somebody asks. The account at the beginning is what the file's first mark says, or, where the recording ended with an exact
//! account and lost nothing, that account less all events: the first mark may have been taken while the target was busy.

use super::file::{self, Chunk, Contents, Kind, Refused};
use super::instants::{Instant, Instants, What};
use super::sums::subtract;
use super::{Damage, Happening, ahead, sums, tables};
use crate::error::{Error, Kind as Failure};
use crate::mark::{self, Mark};
use crate::model::{Counters, Snapshot};
use std::fs::File;
use std::path::{Path, PathBuf};

/// A trace's file, and what it begins and ends with.
#[derive(Debug)]
pub struct Trace {
    path: PathBuf,
    file: File,
    chunks: Vec<Chunk>,
    start: Mark,
    end: Option<Mark>,
    lost: u64,
    cut: bool,
    contents: Contents,
    base: Option<Base>,
}

/// An account by site, and whether it is known exactly.
type Base = (Vec<Counters>, bool);

impl Trace {
    /// Opens a trace.
    ///
    /// # Errors
    /// What the system said; `Damaged` where it is none, or does not begin as one does.
    pub fn open(path: &Path) -> Result<Trace, Error> {
        let failed = |error| Error::io(path.display(), "not read", error);
        let mut file = File::open(path).map_err(failed)?;
        let (mut chunks, cut) =
            file::chunks(&mut file).map_err(|refused| explain(path, refused))?;
        let mark = |chunk: Option<&Chunk>, file: &mut File| {
            let Some(chunk) = chunk else {
                return Ok(None);
            };
            let bytes = chunk
                .part(file, 0)
                .map_err(|refused| explain(path, refused))?;
            mark::decode(&bytes, path.display()).map(Some)
        };
        let of = |kind| move |chunk: &&Chunk| chunk.head.kind == Some(kind);
        let start = mark(chunks.first().filter(of(Kind::Start)), &mut file)?;
        let last = chunks.last().filter(of(Kind::End));
        let end = mark(last, &mut file)?;
        let lost = last.map_or(0, |chunk| chunk.head.events);
        let contents = file::contents(&mut file).map_err(failed)?;
        let begins = "damaged: it does not begin with an account";
        let start = start.ok_or_else(|| Error::new(Failure::Damaged, path.display(), begins))?;
        chunks.retain(|chunk| {
            matches!(
                chunk.head.kind,
                Some(Kind::Events | Kind::Tables | Kind::Note | Kind::Instant)
            )
        });
        Ok(Trace {
            path: path.to_path_buf(),
            file,
            chunks,
            start,
            cut: cut || end.is_none(),
            end,
            lost,
            contents,
            base: None,
        })
    }

    /// Where it lies.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Events that the target had and the trace has not.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost
    }

    /// True where the recording did not come to its end: the events up to its last whole chunk are there.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.cut
    }

    /// True where each free has its stack.
    #[must_use]
    pub fn has_free_stacks(&self) -> bool {
        self.contents == Contents::FreeStacks
    }

    /// Nanoseconds from the beginning to the last event, or to the recording's end.
    #[must_use]
    pub fn length_ns(&self) -> u64 {
        let events = self.events().map(|chunk| chunk.head.to_ns).max();
        let end = self.end.as_ref().map(|end| end.snapshot.moment.unix_ns);
        let end = end.map_or(0, |ns| ns.saturating_sub(self.begin_unix_ns()));
        events.unwrap_or(0).max(end)
    }

    /// True where each event is in it, as it was: none was lost, and none is a sample.
    pub(super) fn has_all(&self) -> bool {
        let ends = [Some(&self.start), self.end.as_ref()];
        let had_samples = |mark: &Mark| mark.snapshot.sampling.had_samples();
        self.lost == 0 && !ends.into_iter().flatten().any(had_samples)
    }

    /// When it began, since the Unix epoch.
    #[must_use]
    pub fn begin_unix_ns(&self) -> u64 {
        self.start.snapshot.moment.unix_ns
    }

    /// The marks that the target took itself meanwhile: when, in nanoseconds from the beginning, and their names.
    ///
    /// # Errors
    /// `Damaged` where the file is.
    pub fn notes(&mut self) -> Result<Vec<(u64, String)>, Error> {
        let notes = |chunk: &&Chunk| chunk.head.kind == Some(Kind::Note);
        let chunks: Vec<Chunk> = self.chunks.iter().filter(notes).copied().collect();
        let text = |chunk: Chunk| {
            let bytes = self.part(&chunk, 0)?;
            Ok((
                chunk.head.from_ns,
                String::from_utf8_lossy(&bytes).into_owned(),
            ))
        };
        chunks.into_iter().map(text).collect()
    }

    /// What happened besides events, the target's own marks among it, in the order of time.
    ///
    /// # Errors
    /// `Damaged` where the file is.
    pub fn happened(&mut self) -> Result<Instants, Error> {
        let mut happened = Instants::default();
        let is_instant = |chunk: &&Chunk| chunk.head.kind == Some(Kind::Instant);
        let chunks: Vec<Chunk> = self.chunks.iter().filter(is_instant).copied().collect();
        for chunk in chunks {
            let bytes = self.part(&chunk, 0)?;
            let added = happened.add(chunk.head.from_ns, &bytes);
            added.map_err(|damage| self.damaged(damage))?;
        }
        let marks = self.notes()?.into_iter().map(|(ns, text)| Instant {
            ns,
            what: What::Mark,
            pid: None,
            text,
        });
        happened.all.extend(marks);
        happened.all.sort_by_key(|instant| instant.ns);
        Ok(happened)
    }

    /// The chunks of events.
    pub(super) fn events(&self) -> impl Iterator<Item = &Chunk> {
        let is_events = |chunk: &&Chunk| chunk.head.kind == Some(Kind::Events);
        self.chunks.iter().filter(is_events)
    }

    /// What the trace ends with, or begins with where it is cut: a mark without its account.
    pub(super) fn frame(&mut self) -> Result<Mark, Error> {
        if let Some(end) = &self.end {
            return Ok(end.clone());
        }
        let mut mark = self.start.clone();
        let is_tables = |chunk: &&Chunk| chunk.head.kind == Some(Kind::Tables);
        let chunks: Vec<Chunk> = self.chunks.iter().filter(is_tables).copied().collect();
        for chunk in chunks {
            let bytes = self.part(&chunk, 0)?;
            let decoded = tables::decode(&bytes, &mut mark.snapshot);
            decoded.map_err(|damage| self.damaged(damage))?;
        }
        Ok(mark)
    }

    /// The account that the first event is added to, by site; and whether it is known exactly. Worked out once: it takes every chunk's sums.
    pub(super) fn base(&mut self) -> Result<Base, Error> {
        let base = match self.base.take() {
            Some(base) => base,
            None => self.work_out_base()?,
        };
        Ok(self.base.insert(base).clone())
    }

    fn work_out_base(&mut self) -> Result<Base, Error> {
        let counters = |snapshot: &Snapshot| {
            let each = snapshot.sites.iter().map(|site| site.counters);
            each.collect::<Vec<_>>()
        };
        let whole = self
            .end
            .as_ref()
            .filter(|end| end.snapshot.moment.exact && self.lost == 0);
        let Some(mut base) = whole.map(|end| counters(&end.snapshot)) else {
            let start = &self.start.snapshot;
            return Ok((counters(start), start.moment.exact && self.lost == 0));
        };
        let chunks: Vec<Chunk> = self.events().copied().collect();
        for chunk in chunks {
            for (site, sum) in self.sums(&chunk)? {
                if let Some(counters) = base.get_mut(site as usize) {
                    subtract(counters, &sum);
                }
            }
        }
        Ok((base, true))
    }

    /// A chunk's sums.
    pub(super) fn sums(&mut self, chunk: &Chunk) -> Result<Vec<(u32, Counters)>, Error> {
        let bytes = self.part(chunk, 0)?;
        sums::decode(&bytes).map_err(|damage| self.damaged(damage))
    }

    /// The events of these chunks, in order. Of a chunk of which `visit` has had enough (false) the rest is passed over.
    pub(super) fn visit(
        &mut self,
        chunks: &[Chunk],
        mut visit: impl FnMut(&Happening) -> bool,
    ) -> Result<(), Error> {
        self.visit_many(chunks, |events| events.iter().all(&mut visit))
    }

    /// The same, some thousand events at once.
    pub(super) fn visit_many(
        &mut self,
        chunks: &[Chunk],
        visit: impl FnMut(&[Happening]) -> bool,
    ) -> Result<(), Error> {
        let visited = ahead::visit(&mut self.file, chunks, visit);
        visited.map_err(|refused| explain(&self.path, refused))
    }

    fn part(&mut self, chunk: &Chunk, part: usize) -> Result<Vec<u8>, Error> {
        chunk
            .part(&mut self.file, part)
            .map_err(|refused| explain(&self.path, refused))
    }

    fn damaged(&self, damage: Damage) -> Error {
        explain(&self.path, Refused::Damaged(damage))
    }
}

pub(super) fn explain(path: &Path, refused: Refused) -> Error {
    let damaged = |problem| Error::new(Failure::Damaged, path.display(), problem);
    match refused {
        Refused::NoTrace => damaged("not a trace".to_owned()).next("`heapshim record` makes one"),
        Refused::Version(version) => damaged(format!(
            "a trace of version {version}, this heapshim reads version 1"
        )),
        Refused::Damaged(damage) => damaged(damage.to_string()),
        Refused::System(error) => Error::io(path.display(), "not read", error),
    }
}
