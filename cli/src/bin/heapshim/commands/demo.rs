//! `heapshim demo`: a leak found, from beginning to end, on a machine with nothing else installed.
//!
//! Starts this very executable as the server of `demo_server`, traced, and does what a user would do; the commands that it stands for
//! are printed before each step.

use super::output::print;
use super::report::{self, Subject};
use crate::args::{Args, Command};
use clap::Parser;
use heapshim_cli::catalog::Catalog;
use heapshim_cli::error::{Error, Kind};
use heapshim_cli::launch::{self, Settings};
use heapshim_cli::library;
use heapshim_cli::process::Origin;
use std::env;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

/// The server's source, so that its lines show also where this command was installed without it.
const SOURCE: (&str, &str) = (
    "heapshim/commands/demo_server.rs",
    include_str!("demo_server.rs"),
);

/// Requests between the two marks.
const REQUESTS: u32 = 1000;

/// Runs it.
pub(crate) fn run() -> Result<(), Error> {
    let Some(Command::Diff(diff)) = Args::parse_from(["heapshim", "diff", "warm"]).command else {
        return Err(Error::new(Kind::Failed, "demo", "no report"));
    };
    print("A small server, traced from its start:\n\n  $ heapshim run -- server\n\n")?;
    let mut server = Server::start()?;
    server.serve(100)?;
    print(
        "It has answered 100 requests. From another terminal, a mark:\n\n  $ heapshim mark warm\n\n",
    )?;
    let catalog = Catalog::of(Some(&server.child.id().to_string()))?;
    let warm = catalog.take("warm")?;
    server.serve(REQUESTS)?;
    print("1,000 requests later, what has grown since?\n\n  $ heapshim diff warm\n\n")?;
    let now = catalog.take("now")?;
    let subject = Subject::new(Some(&warm), &now, Origin::default()).embedding(SOURCE);
    report::print(&subject, &diff.report)?;
    server.end()?;
    print(&format!("\n{EXPLANATION}"))
}

const EXPLANATION: &str = "\
Each request kept 4,000 bytes and a place in the table of sessions; the pages and log lines that it also made do not
appear, since all of them were given back. Now yours:

  $ heapshim run -- COMMAND …
";

/// The traced server and the two ends that we hold of it.
struct Server {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Server {
    fn start() -> Result<Server, Error> {
        let failed = |error| Error::io("demo", "server not started", error);
        let exe = env::current_exe().map_err(failed)?;
        let words = [exe.into_os_string(), "demo-server".into()];
        let mut command =
            launch::command(&words, Some(&library::path()?), &Settings::default(), None);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        let (input, output) = (child.stdin.take(), child.stdout.take());
        let ends = input
            .zip(output)
            .ok_or_else(|| Error::new(Kind::Failed, "demo", "no pipes"))?;
        Ok(Server {
            child,
            input: ends.0,
            output: BufReader::new(ends.1),
        })
    }

    /// Has it answer so many requests, and waits until it has.
    fn serve(&mut self, requests: u32) -> Result<(), Error> {
        let mut answer = String::new();
        let asked =
            writeln!(self.input, "{requests}").and_then(|()| self.output.read_line(&mut answer));
        match asked {
            Ok(1..) => Ok(()),
            Ok(0) => Err(Error::new(Kind::Failed, "demo", "the server has ended")),
            Err(error) => Err(Error::io("demo", "no answer from the server", error)),
        }
    }

    fn end(mut self) -> Result<(), Error> {
        drop(self.input);
        let ended = self.child.wait();
        ended
            .map(|_| ())
            .map_err(|error| Error::io("demo", "server not ended", error))
    }
}
