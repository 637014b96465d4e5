//! The program that `heapshim demo` traces: a small server that forgets to end its sessions.
//!
//! It reads one number a line from stdin, serves so many requests, and answers "served"; it ends with its input. Each request parses,
//! renders and logs, and gives all of that back; a session is kept for each client, and none is ever evicted.

use heapshim_cli::error::Error;
use std::collections::{HashMap, VecDeque};
use std::hint::black_box;
use std::io::{self, BufRead, Write};

/// Lines that the log keeps.
const LOG_LINES: usize = 64;

struct Session {
    history: Vec<u8>,
}

#[derive(Default)]
struct Server {
    sessions: HashMap<u64, Session>,
    log: VecDeque<String>,
    requests: u64,
}

impl Server {
    fn serve(&mut self) {
        self.requests += 1;
        let client = self.requests;
        let page = render(client);
        self.remember(client);
        self.note(format!("GET /{client} 200 {}", black_box(page).len()));
    }

    /// The leak: no session is ever removed.
    #[inline(never)]
    fn remember(&mut self, client: u64) {
        let session = Session {
            history: vec![0; 4000],
        };
        self.sessions.insert(client, black_box(session));
    }

    /// No leak: the oldest line makes room for the newest.
    #[inline(never)]
    fn note(&mut self, line: String) {
        if self.log.len() == LOG_LINES {
            self.log.pop_front();
        }
        self.log.push_back(line);
    }
}

/// No leak: everything is given back.
#[inline(never)]
fn render(client: u64) -> String {
    let rows: Vec<String> = (0..20)
        .map(|row| format!("<td>{client}.{row}</td>"))
        .collect();
    rows.concat()
}

/// Serves until its input ends.
pub(crate) fn run() -> Result<(), Error> {
    // The name under which `heapshim ls` and the report show it.
    let _named = rustix::thread::set_name(c"server");
    let mut server = Server::default();
    let mut stdout = io::stdout().lock();
    for line in io::stdin().lock().lines() {
        let line = line.map_err(|error| Error::io("stdin", "not read", error))?;
        let requests = line.trim().parse().unwrap_or(0);
        // Who has its answer takes a mark: nothing of a request is left that would go then or a moment later.
        drop(line);
        (0..requests).for_each(|_: u32| server.serve());
        let answered = writeln!(stdout, "served").and_then(|()| stdout.flush());
        answered.map_err(|error| Error::io("stdout", "not written", error))?;
    }
    let kept: usize = server
        .sessions
        .values()
        .map(|session| session.history.len())
        .sum();
    black_box(kept);
    Ok(())
}
