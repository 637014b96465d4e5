//! `heapshim run`: a command under the shim, and what it had grown by when it ended.

use super::{output::say, report};
use crate::args::Run as Args;
use heapshim_cli::error::{Error, Kind};
use heapshim_cli::launch::{self, Child, Ended, Settings};
use heapshim_cli::library;
use heapshim_cli::model::Exit;
use heapshim_cli::tree::Tree;
use std::io;
use std::path::PathBuf;

/// Runs it; the exit status is the command's.
pub(crate) fn run(args: &Args) -> Result<u8, Error> {
    let Some(program) = args.words.first() else {
        return Err(Error::new(Kind::Usage, "run", "no command").next("heapshim run -- COMMAND"));
    };
    let refused = launch::check(program).err();
    if let Some(refusal) = refused
        .as_ref()
        .filter(|refusal| !(refusal.runs && args.anyway))
    {
        say(&format!("heapshim: {}", refusal.error));
        return Ok(refusal.status);
    }
    let library = if refused.is_none() {
        Some(library::path()?)
    } else {
        None
    };
    let mut tree = Tree::new(args.save.as_deref())?;
    let ended = match start(args, library, &mut tree)? {
        Ok(ended) => ended,
        Err(error) => {
            let problem = Error::io(program.to_string_lossy(), "not started", error);
            say(&format!("heapshim: {problem}"));
            return Ok(if problem.kind() == Kind::Missing {
                127
            } else {
                126
            });
        }
    };
    let status = status(ended.exit);
    let outcome = if refused.is_some() {
        Ok(())
    } else {
        conclude(args, ended, &mut tree)
    };
    // The command's status stands, whatever becomes of the report.
    if let Err(error) = outcome
        && error.kind() != Kind::Closed
    {
        say(&format!("heapshim: {error}"));
    }
    Ok(status)
}

fn start(
    args: &Args,
    library: Option<PathBuf>,
    tree: &mut Tree,
) -> Result<io::Result<Ended>, Error> {
    let child = Child::prepare()?;
    let settings = Settings {
        socket: Some(child.socket().to_owned()),
        depth: args.depth,
    };
    let mut command = launch::command(
        &args.words,
        library.as_deref(),
        &settings,
        Some(child.mask()),
    );
    Ok(child.run(&mut command, |held| tree.finished(&held)))
}

/// The report of the command, then one line for the rest of its tree.
fn conclude(args: &Args, ended: Ended, tree: &mut Tree) -> Result<(), Error> {
    ended.others.iter().for_each(|held| tree.finished(held));
    match ended
        .own
        .map(|held| tree.own(&held, ended.exit))
        .transpose()?
    {
        Some(_) if args.quiet => {}
        Some(mark) => report::finish(&mark, &args.report)?,
        None if args.quiet => {}
        None => say(&format!(
            "heapshim: pid {}: no account: the shim did not start in it (a sandbox, or a start that drops LD_PRELOAD)",
            ended.pid
        )),
    }
    if !args.quiet
        && let Some(line) = tree.summary()
    {
        say(&line);
    }
    tree.problem().map_or(Ok(()), Err)
}

fn status(exit: Exit) -> u8 {
    let number = match exit {
        Exit::Code(code) => code,
        Exit::Signal(signal) => 128 + signal,
    };
    u8::try_from(number & 0xff).unwrap_or(1)
}
