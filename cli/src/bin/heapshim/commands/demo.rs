//! `heapshim demo`: a leak found, from beginning to end, on a machine with nothing else installed.
//!
//! Starts this very executable as the server of `demo_server`, traced, and does what a user would do; the commands that it stands for
//! are printed before each step.

use super::output::print;
use super::report;
use crate::args::{Args, Command};
use clap::Parser;
use heapshim_cli::catalog::Catalog;
use heapshim_cli::error::{Error, Kind};
use heapshim_cli::launch::{self, Settings, Spoken};
use heapshim_cli::library;
use heapshim_cli::process::Origin;
use heapshim_cli::subject::Subject;
use std::env;

/// The server's source, so that its lines show also where this command was installed without it.
const SOURCE: (&str, &str) = (
    "heapshim/commands/demo_server.rs",
    include_str!("demo_server.rs"),
);

/// Requests between the two marks.
const REQUESTS: &str = "1000";

/// Runs it.
pub(crate) fn run() -> Result<(), Error> {
    let Some(Command::Diff(diff)) = Args::parse_from(["heapshim", "diff", "warm"]).command else {
        return Err(Error::new(Kind::Failed, "demo", "no report"));
    };
    print("A small server, traced from its start:\n\n  $ heapshim run -- server\n\n")?;
    let mut server = start()?;
    server.ask("100")?;
    print(
        "It has answered 100 requests. From another terminal, a mark:\n\n  $ heapshim mark warm\n\n",
    )?;
    let catalog = Catalog::of(Some(&server.pid().to_string()))?;
    let warm = catalog.take("warm")?;
    server.ask(REQUESTS)?;
    print("1,000 requests later, what has grown since?\n\n  $ heapshim diff warm\n\n")?;
    let now = catalog.take("now")?;
    let subject = Subject::new(Some(&warm), &now, Origin::default()).embedding(SOURCE.0, SOURCE.1);
    report::print(&subject, &diff.report)?;
    server.end()?;
    print(&format!("\n{EXPLANATION}"))
}

/// This executable as the server, traced.
fn start() -> Result<Spoken, Error> {
    let exe = env::current_exe();
    let exe = exe.map_err(|error| Error::io("demo", "server not started", error))?;
    let words = [exe.into_os_string(), "demo-server".into()];
    let library = library::path()?;
    let mut command = launch::command(&words, Some(&library), &Settings::default(), None);
    Spoken::start(&mut command)
}

const EXPLANATION: &str = "\
Each request kept 4,000 bytes and a place in the table of sessions; the pages
and log lines that it also made do not appear, since all of them were given
back. Now yours:

  $ heapshim run -- COMMAND …
";
