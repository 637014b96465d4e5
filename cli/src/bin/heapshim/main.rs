//! `heapshim`: words in, stages run, one exit status out.
//!
//! The only place that decides exit statuses (0 done, 1 not there or failed, 2 wrong words; `run` exits as its command did) and
//! what a closed pipe means (a quiet end). Data goes to stdout, talk to stderr.

mod args;
mod commands;
mod help;
mod values;
mod wrong;

use args::{Args, Command};
use clap::Parser;
use commands::output::say;
use heapshim_cli::error::{Error, Kind};
use heapshim_cli::launch;
use std::process::ExitCode;

/// Runs before the runtime sets SIGPIPE aside: see `launch::inherited_sigpipe`.
#[used]
// SAFETY: the loader calls what stands in this section before `main`, as an `extern "C" fn` whose arguments may be left unread.
#[unsafe(link_section = ".init_array")]
static NOTE_SIGPIPE: extern "C" fn() = launch::inherited_sigpipe;

fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => return wrong::answer(&error),
    };
    match dispatch(args) {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            if error.kind() == Kind::Closed {
                return ExitCode::SUCCESS;
            }
            say(&format!("heapshim: {error}"));
            ExitCode::from(if error.kind() == Kind::Usage { 2 } else { 1 })
        }
    }
}

fn dispatch(args: Args) -> Result<u8, Error> {
    match args.command {
        None => commands::first::run(),
        Some(Command::Run(run)) => return commands::run::run(&run),
        Some(Command::Check(check)) => return commands::check::run(&check),
        Some(Command::Doctor(doctor)) => return commands::doctor::run(&doctor),
        Some(Command::Lib) => commands::lib::run(),
        Some(Command::Ls(ls)) => commands::ls::run(&ls),
        Some(Command::Mark(mark)) => commands::mark::run(&mark),
        Some(Command::Marks(marks)) => commands::marks::run(&marks),
        Some(Command::Mode(mode)) => commands::mode::run(&mode),
        Some(Command::Diff(diff)) => commands::diff::run(&diff),
        Some(Command::Export(export)) => commands::export::run(&export),
        Some(Command::Report(page)) => commands::page::run(&page),
        Some(Command::Top(top)) => commands::top::run(&top),
        Some(Command::Record(record)) => commands::record::run(&record),
        Some(Command::Peak(question)) => commands::question::peak(&question),
        Some(Command::Temporary(question)) => commands::question::temporary(&question),
        Some(Command::Lifetimes(question)) => commands::question::lifetimes(&question),
        Some(Command::Sizes(question)) => commands::question::sizes(&question),
        Some(Command::Timeline(timeline)) => commands::timeline::run(&timeline),
        Some(Command::Watch(watch)) => commands::watch::run(&watch),
        Some(Command::Serve(serve)) => commands::serve::run(&serve),
        Some(Command::Completions { shell }) => commands::words::completions(shell),
        Some(Command::ManPages { directory }) => commands::words::man_pages(&directory),
        Some(Command::Demo) => commands::demo::run(),
        Some(Command::DemoServer) => commands::demo_server::run(),
    }
    .map(|()| 0)
}
