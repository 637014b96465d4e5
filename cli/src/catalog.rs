//! All marks of one process, wherever they lie: now, its start, the files that were kept, and those that it took itself.
//!
//! Called by the commands `mark`, `marks` and `diff`; it alone knows what a MARK word means. A process that has ended is still there
//! by the marks that were kept of it.

use crate::births::Births;
use crate::control::ControlPage;
use crate::error::{Error, Kind};
use crate::kept;
use crate::mark::{Mark, Packed};
use crate::model::{Moment, Process, Snapshot};
use crate::nearest::nearest;
use crate::peak::NAME;
use crate::process::{self, Memory, Origin};
use crate::rss::Rss;
use crate::session::{self, Session};
use crate::shell;
use crate::snapshot;
use crate::store::{self, Store};
use crate::temporaries;
use crate::trace;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// What a MARK word means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Word {
    /// The empty account.
    Start,
    /// The account as it is.
    Now,
    /// The newest mark.
    Last,
    /// The highest moment.
    Peak,
    /// The mark of that name, `exit` included.
    Named(String),
    /// A mark file, or a ledger that HEAPSHIM_DIR kept.
    File(PathBuf),
    /// The highest moment before such a file's.
    PeakOf(PathBuf),
    /// A mark that the target took itself, in a ledger that HEAPSHIM_DIR kept.
    NamedIn(PathBuf, String),
}

impl FromStr for Word {
    type Err = std::convert::Infallible;
    fn from_str(text: &str) -> Result<Word, Self::Err> {
        Ok(match text {
            "start" => Word::Start,
            "now" => Word::Now,
            "last" => Word::Last,
            NAME => Word::Peak,
            // A file of another kind, which reading it then says. (A program may give its own marks any name.)
            _ if is_file(text) || is_path(text) => Word::File(text.into()),
            _ => match text.rsplit_once(':').filter(|(path, _)| is_file(path)) {
                Some((path, NAME)) => Word::PeakOf(path.into()),
                Some((path, name)) if kept::is_ledger(path.as_ref()) => {
                    Word::NamedIn(path.into(), name.to_owned())
                }
                _ => Word::Named(text.to_owned()),
            },
        })
    }
}

fn is_path(word: &str) -> bool {
    word.contains('/') && Path::new(word).is_file()
}

fn is_file(word: &str) -> bool {
    let ends = [".heapmark", ".heapledger", ".heaptrace"];
    ends.iter().any(|end| word.ends_with(end))
}

impl Word {
    /// The mark that needs no process: of a file, or the start.
    ///
    /// # Errors
    /// As the file's; `None` outside where the word is of another kind.
    #[must_use]
    pub fn without_process(&self) -> Option<Result<Option<Mark>, Error>> {
        let read = match self {
            Word::Start => return Some(Ok(None)),
            Word::File(path) => store::read_file(path),
            Word::PeakOf(path) => store::read_file(path).map(at_peak),
            Word::NamedIn(path, name) => kept::read_inside(path, name),
            _ => return None,
        };
        Some(read.map(Some))
    }
}

/// A mark of the highest moment before another.
fn at_peak(mark: Mark) -> Mark {
    Mark {
        snapshot: mark.snapshot.at_peak(),
        memory: Memory::default(),
        ..mark
    }
}

/// A mark without its stacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Name, time, RSS.
    pub moment: Moment,
    /// Bytes allocated and not freed then.
    pub live_bytes: i64,
    /// Blocks allocated and not freed then.
    pub live_blocks: i64,
    /// What explains its resident memory, where it says it.
    pub rss: Option<Rss>,
    /// Taken by the target itself, with this number; None: a file.
    pub inside: Option<u32>,
}

/// The marks of one process.
#[derive(Debug)]
pub struct Catalog {
    session: Option<Session>,
    store: Store,
    object: String,
    /// How the user named it; None: it was the only one.
    asked: Option<String>,
}

impl Catalog {
    /// The marks of the process that the user means; of one that has ended, where some were kept.
    ///
    /// # Errors
    /// As `session::resolve`.
    pub fn of(target: Option<&str>) -> Result<Catalog, Error> {
        let error = match session::resolve(target) {
            Ok(session) => return Catalog::live(session, target),
            Err(error) => error,
        };
        let pid = target.and_then(|target| target.parse().ok());
        let ended = pid.filter(|&pid| process::start_ticks(pid).is_none());
        match ended.map(Store::of_ended).transpose()?.flatten() {
            Some(store) => {
                let object = format!("pid {}", pid.unwrap_or(0));
                Ok(Catalog {
                    session: None,
                    store,
                    object,
                    asked: target.map(str::to_owned),
                })
            }
            None => Err(error),
        }
    }

    fn live(session: Session, target: Option<&str>) -> Result<Catalog, Error> {
        trace::clear(&session);
        let object = session.object();
        let ticks = process::start_ticks(session.pid())
            .ok_or_else(|| Error::new(Kind::Missing, &object, "it has just ended"))?;
        let store = Store::new(session.pid(), ticks)?;
        Ok(Catalog {
            session: Some(session),
            store,
            object,
            asked: target.map(str::to_owned),
        })
    }

    /// What a command about this process is: `heapshim mark -p server`, where it had to be named.
    #[must_use]
    pub fn command(&self, word: &str) -> String {
        command(word, self.asked.as_deref())
    }

    /// Where its marks are kept.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Where its files are, and with whose rights they are to be shown.
    #[must_use]
    pub fn origin(&self) -> Origin {
        let live = self.session.as_ref();
        live.map_or_else(Origin::default, |session| Origin::of(session.pid()))
    }

    fn running(&self) -> Result<&Session, Error> {
        let problem = "it has ended: there is no 'now'";
        let ended = || Error::new(Kind::Missing, &self.object, problem);
        let next = format!(
            "name two of its marks; `{}` lists them",
            self.command("marks")
        );
        self.session.as_ref().ok_or_else(|| ended().next(next))
    }

    /// Who it is that runs.
    ///
    /// # Errors
    /// `Missing` where it has ended.
    pub fn process(&self) -> Result<Process, Error> {
        self.running()?.process()
    }

    /// Takes a mark, which is not kept yet.
    ///
    /// # Errors
    /// `Missing` where the process has ended.
    pub fn take(&self, name: &str) -> Result<Mark, Error> {
        let mut mark = self.look(name)?;
        if let Some(session) = &self.session {
            let reader = session.reader()?;
            mark.snapshot.births = Births::of(&reader);
            mark.snapshot.temporaries = Some(temporaries::of(&reader));
        }
        Ok(mark)
    }

    /// The same to be kept and not looked at: written as it is taken.
    ///
    /// # Errors
    /// As `take`.
    pub fn take_packed(&self, name: &str) -> Result<Packed, Error> {
        let session = self.running()?;
        let reader = session.reader()?;
        let pid = session.pid();
        let memory = || process::memory(pid);
        let process = session.process()?;
        let (mut packed, made) = snapshot::take_packed(&reader, process, name, memory)?;
        let snapshot = &mut packed.mark.snapshot;
        snapshot.jit = session.made_code()?.names(&made);
        snapshot.complaints = session.complaints()?;
        snapshot.births = Births::of(&reader);
        snapshot.temporaries = Some(temporaries::of(&reader));
        Ok(packed)
    }

    /// The same to look at, again and again: nothing is in it of when blocks were born, or went.
    ///
    /// # Errors
    /// As `take`.
    pub fn look(&self, name: &str) -> Result<Mark, Error> {
        let session = self.running()?;
        let memory = process::memory(session.pid());
        let mut snapshot = snapshot::take(&session.reader()?, session.process()?, name, memory)?;
        session.made_code()?.name(&mut snapshot);
        snapshot.complaints = session.complaints()?;
        Ok(Mark {
            snapshot,
            memory,
            bundle: None,
        })
    }

    /// As [`Catalog::take`], of the account from which survivors are to be known: what is allocated from now on is told from what is there.
    ///
    /// # Errors
    /// As `take`, and as `begin_cohort`.
    pub fn pin(&self, name: &str) -> Result<Mark, Error> {
        let pinned = self.begin_cohort()?;
        let mut mark = self.take(name)?;
        mark.snapshot.births.pinned = Some(pinned);
        Ok(mark)
    }

    /// As [`Catalog::pin`], to be kept and not looked at.
    ///
    /// # Errors
    /// As `pin`.
    pub fn pin_packed(&self, name: &str) -> Result<Packed, Error> {
        let pinned = self.begin_cohort()?;
        let mut packed = self.take_packed(name)?;
        packed.mark.snapshot.births.pinned = Some(pinned);
        Ok(packed)
    }

    /// Begins what survivors are counted of.
    ///
    /// # Errors
    /// Where they could not be known: the process was asked that too often, samples were taken, its control page is closed to us.
    fn begin_cohort(&self) -> Result<u32, Error> {
        let session = self.running()?;
        if snapshot::sampling(&session.reader()?, None).had_samples() {
            let problem = "samples were taken, or nothing was recorded: which of its blocks are new is not known any more";
            let error = Error::new(Kind::Failed, &self.object, problem);
            return Err(error.next("survivors take a process that was exact from its start"));
        }
        ControlPage::open(session)?.begin_cohort().ok_or_else(|| {
            let problem = "it has as many marks with survivors as it can tell apart (15, in a forked child fewer)";
            let next = format!("compare with one that it has: {}", self.command("marks"));
            Error::new(Kind::Failed, &self.object, problem).next(next)
        })
    }

    /// Every mark that is kept, oldest first. What cannot be read, or is of an earlier image, is left out.
    #[must_use]
    pub fn list(&self) -> Vec<Listed> {
        let names = self.store.names();
        let kept = names.iter().filter_map(|name| self.kept(name).ok());
        let mut list: Vec<Listed> = kept.map(|mark| listed(&mark.snapshot, None)).collect();
        for number in self.inside_numbers() {
            list.extend(
                self.inside(number)
                    .map(|mark| listed(&mark.snapshot, Some(number))),
            );
        }
        list.sort_by_key(|mark| mark.moment.unix_ns);
        list
    }

    /// The mark that a word means; None for `start`.
    ///
    /// # Errors
    /// `Missing` where there is none, with the next step.
    pub fn get(&self, word: &Word) -> Result<Option<Mark>, Error> {
        match word {
            Word::Start => Ok(None),
            Word::Now => self.take("now").map(Some),
            Word::Peak => self.peak().map(Some),
            Word::File(_) | Word::PeakOf(_) | Word::NamedIn(..) => {
                word.without_process().unwrap_or(Ok(None))
            }
            Word::Last => match self.list().pop() {
                Some(last) => self.fetch(&last).map(Some),
                None => Err(self.missing("last")),
            },
            Word::Named(name) => {
                let newest = self
                    .list()
                    .into_iter()
                    .rfind(|mark| mark.moment.name == *name);
                newest.map_or_else(
                    || Err(self.missing(name)),
                    |found| self.fetch(&found).map(Some),
                )
            }
        }
    }

    /// The newest mark, or None (the start) where there is none: what `diff` begins with when nothing is said.
    ///
    /// # Errors
    /// `Missing` where it has gone meanwhile.
    pub fn last_or_start(&self) -> Result<Option<Mark>, Error> {
        self.list().pop().map(|last| self.fetch(&last)).transpose()
    }

    /// A name that no mark has: `mark-1`, `mark-2` …
    #[must_use]
    pub fn free_name(&self) -> String {
        let names: Vec<String> = self
            .list()
            .into_iter()
            .map(|mark| mark.moment.name)
            .collect();
        let mut free = (1u32..).map(|number| format!("mark-{number}"));
        free.find(|name| !names.contains(name)).unwrap_or_default()
    }

    /// The highest moment; of a process that has ended, the highest before its last mark.
    fn peak(&self) -> Result<Mark, Error> {
        let mark = match self.session {
            Some(_) => self.take(NAME)?,
            None => self.get(&Word::Last)?.ok_or_else(|| self.missing(NAME))?,
        };
        Ok(at_peak(mark))
    }

    fn fetch(&self, listed: &Listed) -> Result<Mark, Error> {
        let name = &listed.moment.name;
        match listed.inside {
            Some(number) => self.inside(number).ok_or_else(|| self.missing(name)),
            None => self.kept(name),
        }
    }

    /// A kept mark, if it is of the image that runs now.
    fn kept(&self, name: &str) -> Result<Mark, Error> {
        let mark = self.store.load(name)?;
        let identity = self.session.as_ref().map(Session::process).transpose()?;
        if identity.is_some_and(|now| now.identity != mark.snapshot.process.identity) {
            return Err(self.missing(name));
        }
        Ok(mark)
    }

    fn inside_numbers(&self) -> Vec<u32> {
        let reader = self
            .session
            .as_ref()
            .and_then(|session| session.reader().ok());
        reader.map_or_else(Vec::new, |reader| {
            snapshot::inside_marks(&reader)
                .into_iter()
                .map(|(number, _)| number)
                .collect()
        })
    }

    fn inside(&self, number: u32) -> Option<Mark> {
        let session = self.session.as_ref()?;
        let (reader, process) = (session.reader().ok()?, session.process().ok()?);
        let mut snapshot = snapshot::inside(&reader, process, number).ok()??;
        session.made_code().ok()?.name(&mut snapshot);
        snapshot.complaints |= session.complaints().ok()?;
        let memory = Memory {
            rss_bytes: snapshot.moment.rss_bytes,
            resident: snapshot.moment.resident,
            ..Memory::default()
        };
        Some(Mark {
            snapshot,
            memory,
            bundle: None,
        })
    }

    fn missing(&self, name: &str) -> Error {
        let names: Vec<String> = self
            .list()
            .into_iter()
            .map(|mark| mark.moment.name)
            .collect();
        let known = names
            .iter()
            .map(String::as_str)
            .chain(["start", "now", NAME]);
        let next = match nearest(name, known) {
            _ if is_process(name) => format!("a process is named with -p {name}"),
            Some(right) => format!("did you mean {}?", shell::word(right)),
            None if name.contains('/') => {
                "a file of marks ends in .heapmark, .heapledger or .heaptrace".to_owned()
            }
            None if !names.is_empty() => format!("there are: start, {}, now", names.join(", ")),
            None if name == "last" => format!("take one with `{}`", self.command("mark")),
            None => format!(
                "take one with `{} {}`",
                self.command("mark"),
                shell::word(name)
            ),
        };
        Error::new(Kind::Missing, &self.object, format!("no mark '{name}'")).next(next)
    }
}

/// `heapshim WORD`, with the process as the user has named it.
#[must_use]
pub fn command(word: &str, target: Option<&str>) -> String {
    let process = target.map(|target| format!(" -p {}", shell::word(target)));
    format!("heapshim {word}{}", process.unwrap_or_default())
}

/// True where a word is no mark but a process: a slip that is easily made.
fn is_process(word: &str) -> bool {
    word.parse()
        .is_ok_and(|pid| process::start_ticks(pid).is_some())
}

fn listed(snapshot: &Snapshot, inside: Option<u32>) -> Listed {
    let sum = |value: fn(&crate::model::Counters) -> i64| {
        snapshot
            .sites
            .iter()
            .fold(0i64, |sum, site| sum.wrapping_add(value(&site.counters)))
    };
    Listed {
        moment: snapshot.moment.clone(),
        live_bytes: sum(crate::model::Counters::live_bytes),
        live_blocks: sum(crate::model::Counters::live_blocks),
        rss: Rss::of(snapshot),
        inside,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Check what each word means.
    #[test]
    fn words() {
        let word = |text: &str| text.parse::<Word>().expect("any text is a word");
        assert_eq!(word("start"), Word::Start);
        assert_eq!(word("now"), Word::Now);
        assert_eq!(word("last"), Word::Last);
        assert_eq!(word("peak"), Word::Peak);
        assert_eq!(word("a.heapmark:peak"), Word::PeakOf("a.heapmark".into()));
        assert_eq!(word("a:peak"), Word::Named("a:peak".into()));
        assert_eq!(word("exit"), Word::Named("exit".into()));
        assert_eq!(word("dir/a.heapmark"), Word::File("dir/a.heapmark".into()));
        assert_eq!(word("/etc/passwd"), Word::File("/etc/passwd".into()));
        assert_eq!(
            word("dir/a.heapmark:peak"),
            Word::PeakOf("dir/a.heapmark".into())
        );
        assert_eq!(word("a.heapledger"), Word::File("a.heapledger".into()));
        assert_eq!(
            word("dir/a.heapledger:warm"),
            Word::NamedIn("dir/a.heapledger".into(), "warm".into())
        );
        assert_eq!(
            word("a.heapledger:peak"),
            Word::PeakOf("a.heapledger".into())
        );
        assert_eq!(
            word("a.heapmark:warm"),
            Word::Named("a.heapmark:warm".into())
        );
        assert_eq!(word("warm"), Word::Named("warm".into()));
    }

    /// Check that the marks of a process that is not traced are an error that says so.
    #[test]
    fn not_traced() {
        let pid = std::process::id().to_string();
        let error = Catalog::of(Some(&pid)).expect_err("not traced");
        assert!(error.to_string().contains("not traced"), "{error}");
    }
}
