//! Recording: passes over the rings of one process, and the chunks that come of them.
//!
//! Called by `record` and by `run --record`, which decide when to make a pass and when to end. A chunk is written when it is full, or a second after
//! its first event, so that what a crash of ours costs is a second. The file begins with the account as it was and ends with the account as it is: where
//! nothing was lost, the one and the events come to the other, to the byte, and the last account says how many events are missing where it does not.

use super::clock::{Clock, Look};
use super::columns::Encoder;
use super::control::{self, ControlFile};
use super::drain::Drain;
use super::file::{Contents, Kind, Of, Output};
use super::instants::{self, Instant, Told, What};
use super::sums::Sums;
use super::witness::{self, Witness};
use super::{Child, Happening, tables};
use crate::error::{Error, Kind as Failure};
use crate::mark::{self, Mark};
use crate::mode;
use crate::model::{Counters, Exit, Process, Snapshot};
use crate::process::{self, Memory, Origin};
use crate::session::Session;
use crate::snapshot;
use crate::subject::{self, Places};
use heapshim_ledger::Reader;
use heapshim_ledger::layout::RingFlag;
use heapshim_ledger::sampling::Mode;
use heapshim_ledger::sync::Word;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

/// Events of a chunk: read whole, in some 10 MB of memory.
const CHUNK_EVENTS: u64 = 1 << 18;
/// Nanoseconds of a chunk.
const CHUNK_NS: u64 = 1_000_000_000;
/// Passes for which a target is waited for that is in the middle of an event when we end.
const LAST_PASSES: u32 = 1000;
/// Between two passes that found little: a ring of the usual size takes ten times as long to fill.
const PAUSE: Duration = Duration::from_millis(1);

/// How to record.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Have the target wait where we are too slow.
    pub lossless: bool,
    /// Keep the stack of each free, too.
    pub free_stacks: bool,
    /// Keep what addresses mean, found at these places.
    pub bundle: Option<Places>,
}

impl Options {
    /// As the target is asked.
    fn flags(&self) -> u32 {
        let flag = |is_wanted, flag: RingFlag| if is_wanted { flag as u32 } else { 0 };
        flag(self.lossless, RingFlag::Lossless) | flag(self.free_stacks, RingFlag::FreeStacks)
    }
}

/// What was recorded so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Events in the file.
    pub events: u64,
    /// Events that found no room, or are missing by the account.
    pub lost: u64,
    /// Bytes of the file.
    pub bytes: u64,
    /// Nanoseconds since the beginning.
    pub ns: u64,
}

/// How the recording ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// We leave; the process goes on.
    Left,
    /// The process has ended; how, where that is known.
    Exited(Option<Exit>),
}

/// A recording of one process.
#[derive(Debug)]
pub struct Recorder {
    session: Session,
    process: Process,
    options: Options,
    path: PathBuf,
    control: ControlFile,
    drain: Drain,
    clock: Clock,
    output: Output<File>,
    start: Snapshot,
    written: tables::Lens,
    lens: [u32; 5],
    encoder: Encoder,
    sums: Sums,
    /// What the chunk that is being filled comes to.
    chunk: Option<Of>,
    witness: Witness,
    told: Told,
    summary: Summary,
    dropped_before: u64,
    given_up: bool,
}

impl Recorder {
    /// Asks a running process for its events from now on.
    ///
    /// # Errors
    /// `Missing` where it has no rings or is recorded already, `Denied` where it may not be asked; what the system said of the file.
    pub fn attach(session: Session, path: &Path, options: Options) -> Result<Recorder, Error> {
        let inode = session.reader()?.header.control_inode.peek();
        let file = control::find(session.pid(), inode)?;
        let control = ControlFile::open(file, identity(&session)?, &session.object())?;
        Recorder::with(session, control, path, options)
    }

    /// The same with its control file, which it has handed over itself; from its first event on, where it keeps them for us.
    ///
    /// # Errors
    /// As `attach`.
    pub fn of(
        session: Session,
        control: OwnedFd,
        path: &Path,
        options: Options,
    ) -> Result<Recorder, Error> {
        let control = ControlFile::handed(&control, identity(&session)?, &session.object())?;
        Recorder::with(session, control, path, options)
    }

    fn with(
        session: Session,
        mut control: ControlFile,
        path: &Path,
        options: Options,
    ) -> Result<Recorder, Error> {
        let reader = session.reader()?;
        let began = reader.header.start_boot_ns.peek();
        let since_start = control.since_start(began);
        if let Err(refused) = refuse_samples(&reader, &session) {
            // One that keeps its events for us from its start on is not to wait: asked, it is told so when `control` goes.
            let _asked = control.ask(options.flags(), since_start.is_some());
            return Err(refused);
        }
        let process = session.process()?;
        let memory = process::memory(session.pid());
        let mut start = snapshot::take(&reader, process.clone(), "begin", memory)?;
        let clock = Clock::new(since_start.unwrap_or_else(Look::now));
        start.moment.unix_ns = clock.begin_unix_ns();
        if since_start.is_some() {
            (start.moment.exact, start.moment.in_flight) = (true, 0);
            start
                .sites
                .iter_mut()
                .for_each(|site| site.counters = Counters::default());
        }
        let written = |error| Error::io(path.display(), "not written", error);
        let contents = match options.free_stacks {
            true => Contents::FreeStacks,
            false => Contents::Events,
        };
        let output = File::create(path).and_then(|file| Output::new(file, contents));
        let mut output = output.map_err(written)?;
        let dropped_before = match since_start {
            Some(_) => 0,
            None => control.with(|rings| rings.dropped()).unwrap_or(0),
        };
        let drain = Drain::new(control.ask(options.flags(), since_start.is_some())?);
        if since_start.is_none() {
            // What happened between the account and our request is in neither, or in both.
            expect_quiet(&mut start, &reader);
        }
        tell_of_samples(&mut start);
        append_start(&mut output, &start, memory).map_err(written)?;
        let mut witness = Witness::default();
        if since_start.is_none() {
            witness.begin_with(&start);
        }
        Ok(Recorder {
            written: tables::Lens::of(&start),
            session,
            process,
            options,
            path: path.to_path_buf(),
            control,
            drain,
            clock,
            output,
            start,
            lens: [0; 5],
            encoder: Encoder::new(contents),
            sums: Sums::default(),
            chunk: None,
            witness,
            told: Told::default(),
            summary: Summary::default(),
            dropped_before,
            given_up: false,
        })
    }

    /// Whom it records.
    #[must_use]
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// False where the process has executed another program: its account has gone with the image.
    #[must_use]
    pub fn is_there(&self) -> bool {
        let inode = self
            .session
            .reader()
            .map(|reader| reader.header.control_inode.peek());
        inode.is_ok_and(|inode| control::find(self.session.pid(), inode).is_ok())
    }

    /// What was recorded so far.
    #[must_use]
    pub fn summary(&self) -> Summary {
        Summary {
            bytes: self.output.bytes(),
            ns: self.clock.now_ns(),
            lost: self.lost(),
            ..self.summary
        }
    }

    fn lost(&self) -> u64 {
        let dropped = self.control.with(|rings| rings.dropped()).unwrap_or(0);
        let dropped = dropped.wrapping_sub(self.dropped_before);
        dropped.saturating_add(self.drain.skipped())
    }

    /// One pass; then it waits a moment where little came.
    ///
    /// # Errors
    /// What the system said of the file.
    pub fn step(&mut self) -> Result<(), Error> {
        let came = self.pass(false)?;
        self.given_up |= !self.control.is_asked();
        if came < 1024 {
            thread::sleep(PAUSE);
        }
        Ok(())
    }

    fn pass(&mut self, last: bool) -> Result<usize, Error> {
        let look = self.clock.look();
        let came = self.drain.pass(&self.control, look, last);
        let ready = self.drain.ready(&self.clock, last);
        self.take(&ready)?;
        let now = self.clock.now_ns();
        let old = |of: &Of| now.saturating_sub(of.from_ns) >= CHUNK_NS;
        if self.chunk.as_ref().is_some_and(old) {
            self.flush()?;
        }
        Ok(came)
    }

    fn take(&mut self, happenings: &[Happening]) -> Result<(), Error> {
        for happening in happenings {
            let of = self.chunk.get_or_insert_with(|| {
                self.encoder.begin(happening.ns);
                Of::from(happening.ns)
            });
            of.add(happening);
            self.encoder.add(happening);
            self.sums.add(happening);
            self.witness.sees(happening);
            self.summary.events += 1;
            if of.events >= CHUNK_EVENTS {
                self.flush()?;
            }
        }
        Ok(())
    }

    /// Writes the open chunk, behind what its events name.
    fn flush(&mut self) -> Result<(), Error> {
        let Some(of) = self.chunk.take() else {
            return Ok(());
        };
        self.write_tables()?;
        let (sums, events) = (self.sums.finish(), self.encoder.finish());
        self.append(Kind::Events, &of, [&sums, &events])
    }

    /// Writes what the ledger knows by now and the file does not, and the marks that the target took meanwhile.
    fn write_tables(&mut self) -> Result<(), Error> {
        let reader = self.session.reader()?;
        let modules = self.witness.modules(&reader, &self.clock);
        let lens = [
            reader.frames.len(),
            reader.sites.len(),
            reader.modules.len(),
            reader.codes.len(),
            reader.marks.begun(),
        ];
        if lens == self.lens {
            return self.tell(&modules);
        }
        let snapshot = snapshot::meanings(&reader, self.process.clone())?;
        let tables = tables::encode(&snapshot, &self.written);
        self.written = tables::Lens::of(&snapshot);
        let marks = self.witness.marks(&reader, self.start.moment.unix_ns);
        let labels = self.witness.labels(&snapshot, self.clock.now_ns());
        self.append(Kind::Tables, &Of::default(), [&tables, &[]])?;
        for (ns, name) in marks {
            self.append_at(ns, Kind::Note, name.as_bytes())?;
        }
        self.lens = lens;
        self.tell(&modules)?;
        self.tell(&labels)
    }

    /// Writes what happened besides events, as far as there is to be any more of it.
    fn tell(&mut self, all: &[Instant]) -> Result<(), Error> {
        for instant in all {
            if self.told.one_more() {
                self.append_at(instant.ns, Kind::Instant, &instants::encode(instant))?;
            }
        }
        Ok(())
    }

    /// The process has executed the program whose recording this is: what it was before is not in it.
    ///
    /// # Errors
    /// What the system said of the file.
    pub(super) fn tell_began_anew(&mut self) -> Result<(), Error> {
        let text = self.process.exe.clone();
        self.tell(&[exec(0, text)])
    }

    /// The account is gone, and the process is not: where it has executed another program, that is told.
    ///
    /// # Errors
    /// What the system said of the file.
    pub fn tell_gone_on(&mut self) -> Result<(), Error> {
        let pid = self.session.pid();
        let identity = |session: &Session| Some(session.reader().ok()?.header.identity.peek());
        let account = Session::attach(pid).ok().as_ref().and_then(identity);
        let has_another = account.is_some_and(|account| Some(account) != identity(&self.session));
        match process::exe(pid) {
            Some(exe) if has_another || exe != self.process.exe => {
                self.tell(&[exec(self.clock.now_ns(), exe)])
            }
            _ => Ok(()),
        }
    }

    /// Tells of children that have begun since this was asked last, and are still there. For those whom nobody hands us.
    ///
    /// # Errors
    /// What the system said of the file; `Damaged` where the account is.
    pub fn look_at_children(&mut self) -> Result<(), Error> {
        let children = self.witness.children(self.session.pid());
        self.tell_children(&children)
    }

    /// Tells of those of these processes that are its children.
    pub(super) fn tell_children(&mut self, children: &[Child]) -> Result<(), Error> {
        if children.is_empty() {
            return Ok(());
        }
        let (reader, pid) = (self.session.reader()?, self.session.pid());
        let born = |child| witness::birth(child, &reader, pid, &self.clock);
        let births: Vec<Instant> = children.iter().filter_map(born).collect();
        self.tell(&births)
    }

    /// So many more happened than were told.
    pub(super) fn leave_out(&mut self, count: u64) {
        self.told.leave_out(count);
    }

    fn append_at(&mut self, ns: u64, kind: Kind, bytes: &[u8]) -> Result<(), Error> {
        let of = Of {
            from_ns: ns,
            to_ns: ns,
            ..Of::default()
        };
        self.append(kind, &of, [bytes, &[]])
    }

    fn append(&mut self, kind: Kind, of: &Of, parts: [&[u8]; 2]) -> Result<(), Error> {
        let written = self.output.append(kind, of, parts);
        written.map_err(|error| Error::io(self.path.display(), "not written", error))
    }

    /// Ends: takes what is there, and the account as it is then.
    ///
    /// # Errors
    /// What the system said of the file; `Damaged` where the account is.
    pub fn finish(mut self, how: Ended) -> Result<Summary, Error> {
        let before = snapshot::totals(&self.session.reader()?);
        self.control.end();
        self.settle(how == Ended::Left)?;
        let mut mark = self.last_mark(how)?;
        if how == Ended::Left && totals_of(&mark.snapshot) != before {
            // It went on meanwhile: what it did after our request ended is in the account and not in the file.
            inexact(&mut mark.snapshot);
        }
        self.pass(true)?;
        self.lens = [0; 5]; // a last time
        if self.chunk.is_some() {
            self.flush()?;
        } else {
            self.write_tables()?;
        }
        let left_out = self.told.left_out();
        if left_out > 0 {
            let left_out = instants::encode_left_out(left_out);
            self.append_at(self.clock.now_ns(), Kind::Instant, &left_out)?;
        }
        tell_of_samples(&mut mark.snapshot);
        let lost = self.missing(&mark.snapshot);
        if let Some(places) = self.options.bundle.clone() {
            subject::bundle(&mut mark, places, &self.origin(how));
        }
        let now = self.clock.now_ns();
        let of = Of {
            from_ns: now,
            to_ns: now,
            events: lost,
            ..Of::default()
        };
        self.append(Kind::End, &of, [&mark::encode(&mark), &[]])?;
        Ok(Summary {
            lost,
            ..self.summary()
        })
    }

    /// Until nobody is in the middle of an event that we asked for.
    fn settle(&mut self, runs: bool) -> Result<(), Error> {
        for _ in 0..LAST_PASSES {
            let came = self.pass(false)?;
            let busy = runs && self.session.reader()?.threads.losses().in_hook > 0;
            if came == 0 && !busy {
                break;
            }
            if came == 0 {
                thread::sleep(PAUSE);
            }
        }
        Ok(())
    }

    fn last_mark(&self, how: Ended) -> Result<Mark, Error> {
        let exit = match how {
            Ended::Exited(exit) => exit,
            Ended::Left => None,
        };
        let process = Process {
            exit,
            ..self.process.clone()
        };
        let memory = process::memory(self.session.pid());
        let mut snapshot = snapshot::take(&self.session.reader()?, process, "end", memory)?;
        self.session.made_code()?.name(&mut snapshot);
        snapshot.complaints = self.session.complaints()?;
        Ok(Mark {
            snapshot,
            memory,
            bundle: None,
        })
    }

    /// Events that the account has and the file has not.
    fn missing(&self, end: &Snapshot) -> u64 {
        let blocks = |snapshot: &Snapshot| {
            let all = totals_of(snapshot);
            all.allocated_blocks.wrapping_add(all.freed_blocks)
        };
        let known = end.moment.exact && self.start.moment.exact;
        let there = blocks(end).wrapping_sub(blocks(&self.start));
        let missing = match known {
            true => there.saturating_sub(self.summary.events),
            false => u64::from(self.given_up),
        };
        self.lost().max(missing)
    }

    fn origin(&self, how: Ended) -> Origin {
        match how {
            Ended::Left => Origin::of(self.session.pid()),
            Ended::Exited(_) => Origin::default(),
        }
    }
}

fn exec(ns: u64, text: String) -> Instant {
    Instant {
        ns,
        what: What::Exec,
        pid: None,
        text,
    }
}

/// Which account its control page must belong to.
fn identity(session: &Session) -> Result<u64, Error> {
    Ok(session.reader()?.header.identity.peek())
}

/// A recording has each event as it was: of a sample it would say that it was all.
fn refuse_samples(reader: &Reader<'_>, session: &Session) -> Result<(), Error> {
    match snapshot::sampling(reader, None).mode {
        Mode::Exact => Ok(()),
        mode => {
            let problem = format!(
                "it is in mode {}, which has no events to record",
                mode::word(mode)
            );
            let pid = session.pid();
            let next = format!(
                "have each recorded again: heapshim mark -p {pid} NAME, then heapshim mode -p {pid} exact"
            );
            Err(Error::new(Failure::Missing, session.object(), problem).next(next))
        }
    }
}

/// Blocks that are samples, or were not recorded: an event says neither, and each stands for itself alone.
fn tell_of_samples(snapshot: &mut Snapshot) {
    if snapshot.sampling.had_samples() {
        inexact(snapshot);
    }
}

fn totals_of(snapshot: &Snapshot) -> Counters {
    let mut all = Counters::default();
    let each = snapshot.sites.iter().map(|site| &site.counters);
    each.for_each(|counters| all.add(counters));
    all
}

/// Says that an account is not the one that the events begin or end with.
fn inexact(snapshot: &mut Snapshot) {
    let moment = &mut snapshot.moment;
    (moment.exact, moment.in_flight) = (false, moment.in_flight.max(1));
}

/// Says so where the account has changed since.
fn expect_quiet(snapshot: &mut Snapshot, reader: &Reader<'_>) {
    if snapshot::totals(reader) != totals_of(snapshot) {
        inexact(snapshot);
    }
}

fn append_start(output: &mut Output<File>, start: &Snapshot, memory: Memory) -> io::Result<()> {
    let mark = Mark {
        snapshot: start.clone(),
        memory,
        bundle: None,
    };
    output.append(Kind::Start, &Of::default(), [&mark::encode(&mark), &[]])
}

impl Of {
    /// Of a chunk whose first event is at this time.
    fn from(ns: u64) -> Of {
        Of {
            from_ns: ns,
            to_ns: ns,
            ..Of::default()
        }
    }

    fn add(&mut self, happening: &Happening) {
        (self.to_ns, self.events) = (happening.ns, self.events + 1);
        self.growth = self.growth.wrapping_add(happening.growth());
        self.crest = self.crest.max(self.growth);
    }
}
