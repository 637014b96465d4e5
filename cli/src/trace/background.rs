//! Recording a command that `run` has started: a thread of its own beside the one poll(2), from the command's first event to its last.
//!
//! The library keeps its events from the first on (HEAPSHIM_RECORD), and waits for us where a ring is full before we have come. A command that
//! executes another program begins anew, and so does its file: the image before is gone, and its heap with it.

use super::Child;
use super::recorder::{Ended, Options, Recorder, Summary};
use crate::error::{Error, Kind};
use crate::mapping::Mapping;
use crate::model::Exit;
use crate::session::Session;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

/// Processes that wait to be told of: the recorder takes them a thousand times a second.
const WAITING: usize = 1024;

/// The recording of one command.
#[derive(Debug)]
pub struct Background {
    path: PathBuf,
    options: Options,
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    stop: Arc<AtomicBool>,
    children: SyncSender<Child>,
    /// Those that found no room.
    left_out: u64,
    thread: JoinHandle<Result<Recorder, Error>>,
}

impl Background {
    /// Nothing yet; the file is made, so that what cannot be written is known before anything runs.
    ///
    /// # Errors
    /// What the system said of it.
    pub fn new(path: &Path, options: Options) -> Result<Background, Error> {
        let made = std::fs::File::create(path);
        made.map_err(|error| Error::io(path.display(), "not written", error))?;
        Ok(Background {
            path: path.to_path_buf(),
            options,
            running: None,
        })
    }

    /// The command has registered with these: its ledger and its control file; it `has_executed` where it was another image before, which need not have come here.
    pub fn begin(&mut self, pid: u32, [ledger, control]: [OwnedFd; 2], has_executed: bool) {
        let before = self.running.take().map(Running::end);
        let has_executed = has_executed || before.is_some();
        drop(before);
        let (path, options) = (self.path.clone(), self.options.clone());
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let (children, born) = sync_channel(WAITING);
        let record = move || {
            let session = Session::new(pid, Mapping::new(&ledger, format!("pid {pid}"))?);
            let mut recorder = Recorder::of(session, control, &path, options)?;
            if has_executed {
                recorder.tell_began_anew()?;
            }
            while !stopped.load(Ordering::Relaxed) {
                recorder.step()?;
                recorder.tell_children(&born.try_iter().collect::<Vec<_>>())?;
            }
            recorder.tell_children(&born.try_iter().collect::<Vec<_>>())?;
            Ok(recorder)
        };
        let thread = thread::spawn(record);
        self.running = Some(Running {
            stop,
            children,
            left_out: 0,
            thread,
        });
    }

    /// Another process of its tree has registered.
    pub fn born(&mut self, child: Child) {
        if let Some(running) = &mut self.running {
            let sent = running.children.try_send(child);
            running.left_out += u64::from(sent.is_err());
        }
    }

    /// The command has ended: the rest, and what it came to.
    ///
    /// # Errors
    /// What stopped the recording.
    pub fn finish(&mut self, exit: Exit) -> Result<Summary, Error> {
        let none = || {
            let problem = "nothing recorded: the command was not traced";
            Error::new(Kind::Missing, self.path.display(), problem)
        };
        let recorder = self.running.take().ok_or_else(none)?.end()?;
        recorder.finish(Ended::Exited(Some(exit)))
    }
}

impl Running {
    fn end(self) -> Result<Recorder, Error> {
        self.stop.store(true, Ordering::Relaxed);
        let defect = |_| {
            Err(Error::new(
                Kind::Failed,
                "recording",
                "heapshim failed on it",
            ))
        };
        let mut recorder = self.thread.join().unwrap_or_else(defect)?;
        recorder.leave_out(self.left_out);
        Ok(recorder)
    }
}
