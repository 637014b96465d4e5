//! `heapshim serve`: every traced process of the user as metrics, for Prometheus and what reads the same.

use super::lines;
use super::output::{self, say};
use crate::args::Serve as Args;
use heapshim_cli::blame::Mode;
use heapshim_cli::error::Error;
use heapshim_cli::metrics::{self, Accounts};
use heapshim_cli::session;
use heapshim_cli::subject::Places;
use std::net::TcpListener;

/// Listens, says where, and answers until it is ended.
pub(crate) fn run(args: &Args) -> Result<(), Error> {
    let only = args
        .target
        .as_deref()
        .map(|target| session::resolve(Some(target)));
    let only = only.transpose()?.map(|session| session.pid());
    let refused = |error| {
        let error = Error::io(args.metrics, "cannot listen there", error);
        error.next("choose another port, or 0 for any")
    };
    let listener = TcpListener::bind(args.metrics).map_err(refused)?;
    let address = listener.local_addr().map_err(refused)?;
    output::print(&format!("http://{address}/metrics\n"))?;
    if !address.ip().is_loopback() {
        say("whoever reaches this address reads names of files and functions of your programs");
    }
    let places = Places {
        quiet: true,
        ..lines::places(&args.lines, false)
    };
    let options = lines::options(&args.lines, Mode::App);
    let mut accounts = Accounts::new(options, places, usize::from(args.top), only);
    loop {
        let page = |form| metrics::text(&mut accounts, form);
        metrics::serve(&listener, page).map_err(refused)?;
    }
}
