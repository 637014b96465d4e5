//! `heapshim run`: a command under the shim, and what it had grown by when it ended.

use super::{lines, output::say, record, report};
use crate::args::{Run as Args, Sort};
use heapshim_cli::error::{Error, Kind};
use heapshim_cli::launch::{self, Arrival, Arrived, Ended, Happened, Refusal, Settings, allocator};
use heapshim_cli::library;
use heapshim_cli::mark::Mark;
use heapshim_cli::subject::Places;
use heapshim_cli::trace::{Background, Options};
use heapshim_cli::tree::Tree;
use heapshim_ledger::sampling::Mode;
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::rc::Rc;

/// A recording that goes on while the command runs.
type Recording = Rc<RefCell<Background>>;

/// Runs it; the exit status is the command's.
pub(crate) fn run(args: &Args) -> Result<u8, Error> {
    let Some(program) = args.words.first() else {
        return Err(Error::new(Kind::Usage, "run", "no command").next("heapshim run -- COMMAND"));
    };
    report::check(&args.report)?;
    if args.merge && args.report.sort == Some(Sort::Temporary) {
        return Err(report::not_counted());
    }
    let (library, image) = match launch::check(program) {
        Ok(mut chain) => (Some(library::path()?), chain.pop()),
        Err(refusal) if refusal.runs && args.anyway => (None, None),
        Err(refusal) => return Ok(refused(&refusal)),
    };
    let bundle = args
        .bundle
        .then(|| lines::places(&args.report.lines, false));
    let places = lines::places(&args.report.lines, false);
    let mut recording = recording(args, places)?;
    let mut tree = Tree::new(args.save.as_deref(), bundle)?;
    if args.merge {
        tree = tree.merging();
    }
    let happened = |what| match what {
        Happened::Started if !args.quiet => image.iter().for_each(|image| say_hidden(image)),
        Happened::Started => (),
        Happened::Ended(held) => tree.finished(&held),
    };
    let arrived = recording.as_ref().map(arrived);
    let settings = Settings {
        depth: args.depth,
        mode: args.sample,
        free_stacks: args.free_stacks,
        ..Settings::default()
    };
    let ended = match launch::run(
        &args.words,
        library.as_deref(),
        &settings,
        arrived,
        happened,
    )? {
        Ok(ended) => ended,
        Err(refusal) => return Ok(refused(&refusal)),
    };
    let status = ended.exit.status();
    if let (Some(recording), Some(path)) = (&mut recording, &args.record) {
        match recording.borrow_mut().finish(ended.exit) {
            Ok(summary) => say(&record::told(&summary, path)),
            Err(error) => say(&format!("heapshim: {error}")),
        }
    }
    if library.is_some() {
        account_for(args, ended, &mut tree);
    }
    Ok(status)
}

/// At once, not only when a server ends days later: that an allocator hides what the program does. It runs already: this costs it no time, and what it takes
/// us to read a large program is not taken for the command's memory.
fn say_hidden(program: &Path) {
    if let Some(allocator) = allocator::linked_in(program) {
        let problem = allocator::unseen(allocator);
        let error = Error::new(Kind::Failed, program.display(), problem);
        say(&format!("heapshim: {error}"));
    }
}

/// What `--record` asks for.
fn recording(args: &Args, places: Places) -> Result<Option<Recording>, Error> {
    if args.bundle && args.save.is_none() && args.record.is_none() {
        let next = "add --save DIR or --record FILE";
        return Err(Error::new(Kind::Usage, "--bundle", "nothing is kept").next(next));
    }
    let Some(path) = &args.record else {
        return Ok(None);
    };
    record::check_name(path)?;
    if args.sample.is_some_and(|mode| mode != Mode::Exact) {
        let problem = "a recording has every event, of which samples are a part";
        let next = "leave out one of --record and --sample";
        return Err(Error::new(Kind::Usage, "--record", problem).next(next));
    }
    let options = Options {
        lossless: args.lossless,
        free_stacks: args.free_stacks,
        bundle: args.bundle.then_some(places),
    };
    let background = Background::new(path, options)?;
    Ok(Some(Rc::new(RefCell::new(background))))
}

fn arrived(recording: &Recording) -> Arrived {
    let recording = recording.clone();
    let tell = move |arrival| match arrival {
        Arrival::Own(pid, files) => {
            let has_executed = files.has_executed;
            recording.borrow_mut().begin(pid, files.each, has_executed);
        }
        Arrival::Other(child) => recording.borrow_mut().born(child),
    };
    Arrived(Box::new(tell))
}

fn refused(refusal: &Refusal) -> u8 {
    say(&format!("heapshim: {}", refusal.error));
    refusal.status
}

/// The command's status stands, whatever becomes of the report: what fails here is said, and that is all.
fn account_for(args: &Args, ended: Ended, tree: &mut Tree) {
    let concluded = catch_unwind(AssertUnwindSafe(|| conclude(args, ended, tree)));
    let defect = |_| Err(Error::new(Kind::Failed, "report", "heapshim failed on it"));
    if let Err(error) = concluded.unwrap_or_else(defect)
        && error.kind() != Kind::Closed
    {
        say(&format!("heapshim: {error}"));
    }
}

/// The report of the command, then one line for the rest of its tree.
fn conclude(args: &Args, ended: Ended, tree: &mut Tree) -> Result<(), Error> {
    ended.others.iter().for_each(|held| tree.finished(held));
    let gone_on = ended.own.as_ref().and_then(|held| held.gone_on.clone());
    let mark = ended.own.map(|held| tree.own(&held, ended.exit));
    let mark = mark.transpose()?;
    if !args.quiet {
        if let Some(program) = gone_on {
            let so = "its account is of what it was before";
            say(&format!(
                "heapshim: {}",
                gone_on_as(ended.pid, &program, so)
            ));
        }
        let refused = ended.untraced.contains(&ended.pid);
        let peak_rss = ended.peak_rss;
        tell(args, mark.as_ref(), tree, peak_rss, || {
            no_account(ended.pid, refused)
        })?;
        say_untraced(ended.untraced.iter().filter(|&&pid| pid != ended.pid));
    }
    tree.problem().map_or(Ok(()), Err)
}

/// Prints the report: of the command and a line for the rest of its tree, or of all of it.
fn tell(
    args: &Args,
    own: Option<&Mark>,
    tree: &mut Tree,
    peak_rss: Option<u64>,
    no_account: impl Fn() -> String,
) -> Result<(), Error> {
    if let Some((whole, processes)) = tree.merged(own) {
        return report::finish(&whole, Some(processes), None, &args.report);
    }
    match own {
        Some(mark) => report::finish(mark, None, peak_rss, &args.report)?,
        None => say(&no_account()),
    }
    if let Some(line) = tree.summary() {
        say(&line);
    }
    Ok(())
}

fn say_untraced<'a>(others: impl Iterator<Item = &'a u32>) {
    match others.count() {
        0 => (),
        count => say(&format!(
            "{count} more that could not be traced (limits on memory or file size)"
        )),
    }
}

/// That a process's account ended before it did, and what this means to whoever asks.
pub(super) fn gone_on_as(pid: u32, program: &Path, so: &str) -> Error {
    let program = program.display();
    let problem = format!("went on as {program}, which is not traced: {so}");
    let next = format!("`heapshim doctor {program}` says why");
    Error::new(Kind::Missing, format!("pid {pid}"), problem).next(next)
}

fn no_account(pid: u32, refused: bool) -> String {
    let why = match refused {
        true => "limits on memory or file size leave no room for one; `heapshim doctor` says more",
        false => {
            "nothing was traced (HEAPSHIM=0, HEAPSHIM_ONLY, a sandbox, or a start that drops LD_PRELOAD); \
             `heapshim doctor` says more"
        }
    };
    format!("heapshim: pid {pid}: no account: {why}")
}
