//! `heapshim check`: a command under the shim, as often as is asked, and whether it grew more than it may. docs/CHECK.md.

use super::lines;
use super::output::{self, say};
use crate::args::{Check as Args, CheckFormat as Format};
use heapshim_cli::blame;
use heapshim_cli::catalog::Word;
use heapshim_cli::check::{self, Limits, Repeat, Sample, Suppressions, Verdict};
use heapshim_cli::diff;
use heapshim_cli::error::{Error, Kind};
use heapshim_cli::launch::{self, Ended, Happened, Held, Refusal, Settings, allocator};
use heapshim_cli::library;
use heapshim_cli::mark::Mark;
use heapshim_cli::model::Exit;
use heapshim_cli::process::{Memory, Origin};
use heapshim_cli::report::{By, Report};
use heapshim_cli::snapshot;
use heapshim_cli::subject::Subject;
use heapshim_cli::tree::Tree;
use heapshim_ledger::sampling::Mode;
use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};

/// What stands for the number of the run in the command's words.
const REPETITIONS: &str = "{}";

/// What does not change from run to run.
struct Gate<'a> {
    args: &'a Args,
    library: PathBuf,
    between: Option<(Word, Word)>,
    repeat: Repeat,
    limits: launch::Limits,
}

/// What stopped it: the exit status that we end with, after it was said why.
struct Stopped(u8);

/// Runs the command and judges it. The exit status is the command's where it failed, else 1 where it grew too much.
pub(crate) fn run(args: &Args) -> Result<u8, Error> {
    let mut suppressions = read(args.suppressions.as_deref())?;
    let between = args.between.as_deref().map(marks).transpose()?;
    let library = match traceable(args)? {
        Ok(library) => library,
        Err(Stopped(status)) => return Ok(status),
    };
    let gate = Gate {
        args,
        library,
        between,
        repeat: repeat(args),
        limits: launch::Limits::now(),
    };
    let samples = match gate.samples(&mut suppressions)? {
        Ok(samples) => samples,
        Err(Stopped(status)) => return Ok(status),
    };
    let verdict = check::judge(&samples, gate.repeat, limits(args), suppressions.used());
    print(args, &verdict)?;
    Ok(u8::from(verdict.failed()))
}

/// The library, where the command can be traced.
fn traceable(args: &Args) -> Result<Result<PathBuf, Stopped>, Error> {
    let program = args.words.first().map_or(OsStr::new(""), |word| word);
    match launch::check(program) {
        Ok(chain) => {
            visible(chain.last().map(PathBuf::as_path))?;
            library::path().map(Ok)
        }
        Err(refusal) => Ok(Err(refused(&refusal))),
    }
}

fn refused(refusal: &Refusal) -> Stopped {
    say(&format!("heapshim: {}", refusal.error));
    Stopped(refusal.status)
}

impl Gate<'_> {
    /// What each run grew by.
    fn samples(
        &self,
        suppressions: &mut Suppressions,
    ) -> Result<Result<Vec<Sample>, Stopped>, Error> {
        let (Repeat::Runs(runs) | Repeat::Repetitions(runs)) = self.repeat;
        let mut samples = Vec::new();
        for run in 1..=runs {
            let (first, last) = match self.one(run, runs)? {
                Ok(ends) => ends,
                Err(stopped) => return Ok(Err(stopped)),
            };
            samples.push(sample(self.args, first.as_ref(), &last, suppressions)?);
        }
        Ok(Ok(samples))
    }

    /// One run, and the two marks that it is judged by.
    fn one(&self, run: u32, runs: u32) -> Result<Result<(Option<Mark>, Mark), Stopped>, Error> {
        self.limits.restore();
        let words = words(self.args, self.repeat, run);
        let mut tree = Tree::new(None, None)?;
        if self.args.merge {
            tree = tree.merging();
        }
        let happened = |what| match what {
            Happened::Started => (),
            Happened::Ended(held) => tree.finished(&held),
        };
        let settings = Settings {
            mode: Some(Mode::Exact),
            ..Settings::default()
        };
        let ended = match launch::run(&words, Some(&self.library), &settings, None, happened)? {
            Ok(ended) => ended,
            Err(refusal) => return Ok(Err(refused(&refusal))),
        };
        if ended.exit != Exit::Code(0) {
            say(&failed(run, runs, ended.exit));
            return Ok(Err(Stopped(ended.exit.status())));
        }
        if self.args.merge && !ended.untraced.is_empty() {
            let problem = "not every process of its tree could be traced: nothing to judge";
            let object = format!("pid {}", ended.pid);
            return Err(
                Error::new(Kind::Failed, object, problem).next("`heapshim run --merge` says more")
            );
        }
        ends(ended, &mut tree, self.between.as_ref()).map(Ok)
    }
}

fn read(file: Option<&Path>) -> Result<Suppressions, Error> {
    let Some(file) = file else {
        return Ok(Suppressions::default());
    };
    let text = fs::read_to_string(file);
    let text = text.map_err(|error| Error::io(file.display(), "not read", error))?;
    Suppressions::parse(&text, &file.display().to_string())
}

/// The two marks of `--between`: the target's own, the start, its end.
fn marks(words: &[Word]) -> Result<(Word, Word), Error> {
    let is_kept = |word: &Word| matches!(word, Word::Start | Word::Named(_));
    match words {
        [from, to] if is_kept(from) && matches!(to, Word::Named(_)) => {
            Ok((from.clone(), to.clone()))
        }
        _ => {
            let problem = "it takes the names of two marks that the command takes itself";
            let next = "write start or a name, then a name or exit";
            Err(Error::new(Kind::Usage, "--between", problem).next(next))
        }
    }
}

fn repeat(args: &Args) -> Repeat {
    let has_number = |word: &OsString| word.to_string_lossy().contains(REPETITIONS);
    match args.repeat {
        1 => Repeat::Runs(1),
        runs if args.words.iter().any(has_number) => Repeat::Repetitions(runs),
        runs => Repeat::Runs(runs),
    }
}

fn words(args: &Args, repeat: Repeat, run: u32) -> Vec<OsString> {
    let numbered = |word: &OsString| match word.to_str() {
        Some(text) => OsString::from(text.replace(REPETITIONS, &run.to_string())),
        None => word.clone(),
    };
    match repeat {
        Repeat::Runs(_) => args.words.clone(),
        Repeat::Repetitions(_) => args.words.iter().map(numbered).collect(),
    }
}

/// A gate that sees nothing must not say that nothing grew.
fn visible(program: Option<&Path>) -> Result<(), Error> {
    let hidden = program.filter(|program| allocator::linked_in(program).is_some());
    let Some(program) = hidden else { return Ok(()) };
    let problem = "an allocator is linked into it, whose blocks cannot be seen: nothing to judge";
    let next = "`heapshim doctor` says more";
    Err(Error::new(Kind::Failed, program.display(), problem).next(next))
}

fn failed(run: u32, runs: u32, exit: Exit) -> String {
    let how = match exit {
        Exit::Code(code) => format!("status {code}"),
        Exit::Signal(signal) => format!("signal {signal}"),
    };
    match runs {
        1 => format!("heapshim check: the command failed ({how}): not judged"),
        _ => format!("heapshim check: run {run} of {runs} failed ({how}): not judged"),
    }
}

/// The two marks that a run is judged by.
fn ends(
    ended: Ended,
    tree: &mut Tree,
    between: Option<&(Word, Word)>,
) -> Result<(Option<Mark>, Mark), Error> {
    ended.others.iter().for_each(|held| tree.finished(held));
    let held = ended.own.ok_or_else(|| {
        let problem = "no account: nothing was traced (HEAPSHIM=0, HEAPSHIM_ONLY, limits, or a start that drops LD_PRELOAD)";
        Error::new(Kind::Missing, format!("pid {}", ended.pid), problem)
            .next("`heapshim doctor` says more")
    })?;
    if let Some(program) = &held.gone_on {
        return Err(super::run::gone_on_as(
            ended.pid,
            program,
            "nothing to judge",
        ));
    }
    let exit = tree.own(&held, ended.exit)?;
    let Some((from, to)) = between else {
        let whole = tree.merged(Some(&exit)).map(|(whole, _)| whole);
        return Ok((None, whole.unwrap_or(exit)));
    };
    let last = match inside(&held, to)? {
        Some(mark) => mark,
        None => exit,
    };
    Ok((inside(&held, from)?, last))
}

/// The newest mark of that name that the target took; None for its start and its end.
fn inside(held: &Held, word: &Word) -> Result<Option<Mark>, Error> {
    let Word::Named(name) = word else {
        return Ok(None);
    };
    let reader = held.session.reader()?;
    let marks = snapshot::inside_marks(&reader);
    let Some((number, _)) = marks.iter().rfind(|(_, moment)| moment.name == *name) else {
        return match &**name {
            "exit" => Ok(None),
            name => Err(no_mark(held, name, marks.iter().map(|(_, one)| &*one.name))),
        };
    };
    let snapshot = snapshot::inside(&reader, held.process.clone(), *number)?;
    let mark = snapshot.map(|snapshot| Mark {
        snapshot,
        memory: Memory::default(),
        bundle: None,
    });
    Ok(mark)
}

fn no_mark<'a>(held: &Held, name: &str, taken: impl Iterator<Item = &'a str>) -> Error {
    let names: Vec<&str> = taken.collect();
    let next = match names.is_empty() {
        true => "the command takes marks with heapshim_mark (heapshim.h)".to_owned(),
        false => format!("the last that it took: {}", names.join(", ")),
    };
    let problem = format!("it took no mark '{name}'");
    Error::new(Kind::Missing, held.session.object(), problem).next(next)
}

fn sample(
    args: &Args,
    first: Option<&Mark>,
    last: &Mark,
    suppressions: &mut Suppressions,
) -> Result<Sample, Error> {
    let options = diff::Options {
        // A suppression may be meant for any frame; without one, lines are all that is asked, and far less work.
        by: if suppressions.is_empty() {
            By::Line
        } else {
            By::Stack
        },
        ..lines::options(&args.lines, blame::Mode::App)
    };
    let places = lines::places(&args.lines, false);
    let subject = Subject::new(first, last, Origin::default());
    let (mut report, _) = subject.report(places, &options);
    for note in &report.notes {
        say(&note.to_string());
    }
    whole(last, &report)?;
    // What the user's filters left out is none of this gate's business; what nobody can be charged with is.
    report.unattributed.growth += -report.unattributed.excluded;
    Ok(Sample::of(&report, suppressions))
}

/// Nor may it say so where a part was not seen: with no room for its entry a block is in no number.
fn whole(last: &Mark, report: &Report) -> Result<(), Error> {
    let missing = report.unattributed.untracked_blocks;
    let problem = match last.snapshot.sampling.had_samples() {
        true => "not every event was recorded (`heapshim mode`): nothing to judge".to_string(),
        false if missing > 0 => format!("{missing} blocks could not be tracked: nothing to judge"),
        false => return Ok(()),
    };
    let object = format!("pid {}", last.snapshot.process.pid);
    Err(Error::new(Kind::Failed, object, problem).next("`heapshim doctor` says more"))
}

fn limits(args: &Args) -> Limits {
    let none = args.max_growth.is_none() && args.per_line.is_none();
    Limits {
        whole: args.max_growth.or(none.then_some(0)),
        line: args.per_line,
    }
}

fn print(args: &Args, verdict: &Verdict) -> Result<(), Error> {
    let words = args.words.iter().map(|word| word.to_string_lossy());
    let words: Vec<String> = words.map(std::borrow::Cow::into_owned).collect();
    let dir = env::current_dir().ok();
    let dir = dir.as_deref();
    let text = check::text(verdict, &words, dir);
    let report = match args.format {
        Format::Text => text.clone(),
        Format::Junit => check::junit(verdict, &words, dir),
        Format::Github => check::github(verdict, &words, dir),
    };
    let Some(file) = &args.output else {
        say(report.trim_end());
        return Ok(());
    };
    // The log of a CI job is read before its files are.
    say(text.trim_end());
    output::write_bytes(report.as_bytes(), Some(file))
}
