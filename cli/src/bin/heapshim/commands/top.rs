//! `heapshim top`: a process read again and again, on the terminal. What is shown and what keys mean is `heapshim_cli::top`'s.

mod events;
mod screen;

use super::lines;
use crate::args::Top as Args;
use events::{Event, Events};
use heapshim_cli::blame::Mode;
use heapshim_cli::catalog::Catalog;
use heapshim_cli::error::{Error, Kind};
use heapshim_cli::mark::{self, Mark};
use heapshim_cli::process::Alive;
use heapshim_cli::subject::{Places, Readers, Subject};
use heapshim_cli::top::{Ask, Other, Reading, State, draw};
use heapshim_cli::{births, diff, directory, overview, process, session};
use screen::Screen;
use std::collections::BTreeMap;
use std::env;
use std::io::{self, IsTerminal};
use std::path::Path;
use std::time::{Duration, Instant};

/// A reading takes at most a quarter of the time: the rest is the target's, and its machine's.
const SHARE: u32 = 4;

/// Shows the process until the user has seen enough.
pub(crate) fn run(args: &Args) -> Result<(), Error> {
    refuse_without_terminal()?;
    let mut watched = Watched::of(args.target.target.as_deref(), args)?;
    let mut state = State::new(has_color());
    let events = Events::begin().map_err(|error| Error::io("terminal", "not read", error))?;
    let mut screen = Screen::enter().map_err(|error| Error::io("terminal", "not set", error))?;
    let signal = watch(&mut watched, &mut state, &events, &mut screen);
    drop(screen);
    if let Some(signal) = signal? {
        events::end_by(signal);
    }
    Ok(())
}

/// Readings, keys and drawings until the end; the signal that ended it, where one did.
fn watch(
    watched: &mut Watched<'_>,
    state: &mut State,
    events: &Events,
    screen: &mut Screen,
) -> Result<Option<i32>, Error> {
    let mut next = Instant::now();
    loop {
        if next <= Instant::now() {
            next = Instant::now() + watched.read(state);
        }
        let drawn = screen.draw(|frame| draw(state, frame));
        drawn.map_err(|error| Error::io("terminal", "not written", error))?;
        let key = match events.next(next.saturating_duration_since(Instant::now())) {
            Event::Key(key) => key,
            Event::Redraw | Event::Time => continue,
            Event::Signal(signal) => return Ok(Some(signal)),
            Event::Closed => return Ok(None),
        };
        match state.key(key) {
            Some(Ask::Quit) => return Ok(None),
            Some(ask) => {
                let done = watched.answer(&ask, state);
                state.message = done.unwrap_or_else(|error| Some(error.to_string()));
                next = Instant::now();
            }
            None => state.unfold(watched.readers.sources()),
        }
    }
}

fn refuse_without_terminal() -> Result<(), Error> {
    let dumb = env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
    let object = match (io::stdin().is_terminal(), io::stdout().is_terminal()) {
        (false, _) => "stdin",
        (_, false) => "stdout",
        _ if dumb => "TERM",
        _ => return Ok(()),
    };
    let error = Error::new(Kind::Missing, object, "no terminal to draw on");
    Err(error.next("`heapshim diff --for 10s` and `heapshim watch` print instead"))
}

/// Unless NO_COLOR is set (no-color.org).
fn has_color() -> bool {
    env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// The target, and what its growth is counted from.
struct Watched<'a> {
    args: &'a Args,
    catalog: Catalog,
    pid: u32,
    process: Alive,
    from: Option<Mark>,
    last: Option<Mark>,
    /// Names are looked up once, however often the process is read.
    readers: Readers,
}

impl Watched<'_> {
    fn of<'a>(target: Option<&str>, args: &'a Args) -> Result<Watched<'a>, Error> {
        let catalog = Catalog::of(target)?;
        let now = catalog.look("now")?;
        let pid = now.snapshot.process.pid;
        let from = catalog.last_or_start()?;
        let readers = Readers::new(quiet(args), &catalog.origin());
        Ok(Watched {
            args,
            readers,
            catalog,
            pid,
            process: Alive::of(pid),
            from,
            last: Some(now),
        })
    }

    /// Reads the target; how long to wait until the next time.
    fn read(&mut self, state: &mut State) -> Duration {
        let begun = Instant::now();
        if !state.paused && !state.ended {
            match self.take() {
                Ok(mark) => self.show(mark, state),
                Err(error) => self.failed(&error, state),
            }
        }
        self.args.every.max(begun.elapsed() * SHARE)
    }

    fn take(&self) -> Result<Mark, Error> {
        match self.process.has_ended() {
            true => Err(Error::new(
                Kind::Missing,
                format!("pid {}", self.pid),
                "it has ended",
            )),
            // Where survivors are told, it is read what they are told by.
            false if self.tells_survivors() => self.catalog.take("now"),
            false => self.catalog.look("now"),
        }
    }

    fn tells_survivors(&self) -> bool {
        let from = self.from.as_ref();
        from.is_some_and(|from| from.snapshot.births.pinned.is_some())
    }

    fn failed(&self, error: &Error, state: &mut State) {
        state.ended = self.process.has_ended();
        state.message = Some(error.to_string());
    }

    fn show(&mut self, mark: Mark, state: &mut State) {
        let before = self.last.as_ref().map(|last| last.snapshot.moment.unix_ns);
        let now = mark.snapshot.moment.unix_ns;
        let elapsed = now.saturating_sub(before.unwrap_or(now));
        let seconds = Duration::from_nanos(elapsed).as_secs_f64();
        self.last = Some(mark);
        self.report(seconds, state);
    }

    /// The growth up to the last mark, as it is to be shown now.
    fn report(&mut self, seconds: f64, state: &mut State) {
        let Some(last) = &self.last else { return };
        let options = diff::Options {
            by: state.by,
            ..options(self.args)
        };
        let from = self.from.as_ref();
        let survivors = from.and_then(|from| births::survivors(&from.snapshot, &last.snapshot));
        let subject = Subject::new(from, last, self.catalog.origin());
        let subject = subject.surviving(survivors.as_ref());
        self.readers.rest();
        let report = subject.report_with(&mut self.readers, &options);
        state.read(Reading { report, seconds }, self.readers.sources());
    }

    /// Does what a key asked for; what is to be said of it.
    fn answer(&mut self, ask: &Ask, state: &mut State) -> Result<Option<String>, Error> {
        match ask {
            Ask::Quit | Ask::Read => {
                self.report(0.0, state);
                Ok(None)
            }
            Ask::Mark => self.mark(state, false).map(Some),
            Ask::MarkSurvivors => self.mark(state, true).map(Some),
            Ask::FromStart => {
                self.from = None;
                Ok(Some("growth since the start".to_owned()))
            }
            Ask::Save => self.save().map(Some),
            Ask::List => {
                state.show_others(others());
                Ok(None)
            }
            Ask::Switch(pid) => self.switch(*pid, state).map(Some),
        }
    }

    /// Takes a mark, which growth is counted from; with survivors, it is pinned.
    fn mark(&mut self, state: &State, survivors: bool) -> Result<String, Error> {
        if state.ended {
            return Err(Error::new(
                Kind::Missing,
                format!("pid {}", self.pid),
                "it has ended",
            ));
        }
        let name = self.catalog.free_name();
        let mark = match survivors {
            true => {
                // Before it costs one of the cohorts.
                let process = self.catalog.process()?;
                self.catalog.store().check_free(&name, &process)?;
                self.catalog.pin(&name)?
            }
            false => self.catalog.take(&name)?,
        };
        self.catalog.store().save(&mark, false)?;
        self.from = Some(mark);
        let counted = match survivors {
            true => "growth and survivors are",
            false => "growth is",
        };
        Ok(format!("marked: {name}; {counted} counted from here"))
    }

    /// The account as it was last read, in a file of the current directory that is not there yet.
    fn save(&self) -> Result<String, Error> {
        let Some(last) = &self.last else {
            return Ok("nothing was read yet".to_owned());
        };
        let process = &last.snapshot.process;
        let base = process.name.replace('/', "_");
        let names = (1_u32..).map(|number| format!("{base}-{}-{number}.heapmark", process.pid));
        let name = names.into_iter().find(|name| !Path::new(name).exists());
        let name = name.unwrap_or_default();
        directory::write_file(Path::new(&name), &mark::encode(last))?;
        Ok(format!("written: {name}"))
    }

    fn switch(&mut self, pid: u32, state: &mut State) -> Result<String, Error> {
        *self = Watched::of(Some(&pid.to_string()), self.args)?;
        state.forget();
        Ok(format!("pid {pid}"))
    }
}

fn options(args: &Args) -> diff::Options {
    lines::options(&args.lines, Mode::App)
}

/// Progress is no business of a screen's.
fn quiet(args: &Args) -> Places {
    Places {
        quiet: true,
        ..lines::places(&args.lines, false)
    }
}

/// The traced processes, each below the one that it is a child of.
fn others() -> Vec<Other> {
    let all = overview::read(&session::all());
    let pids: BTreeMap<u32, usize> = all
        .iter()
        .enumerate()
        .map(|(at, one)| (one.process.pid, at))
        .collect();
    let ancestors = |pid: u32| -> Vec<u32> {
        let parents = std::iter::successors(Some(pid), |&pid| process::parent(pid));
        let mut traced: Vec<u32> = parents.filter(|pid| pids.contains_key(pid)).collect();
        traced.reverse();
        traced
    };
    let mut listed: Vec<(Vec<u32>, Other)> = all
        .iter()
        .map(|one| {
            let path = ancestors(one.process.pid);
            let other = Other {
                pid: one.process.pid,
                name: one.process.name.clone(),
                live: one.counters.live_bytes(),
                depth: path.len().saturating_sub(1),
            };
            (path, other)
        })
        .collect();
    listed.sort_by(|(one, _), (other, _)| one.cmp(other));
    listed.into_iter().map(|(_, other)| other).collect()
}
